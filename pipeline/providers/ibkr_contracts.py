"""What a symbol means at Interactive Brokers, which knows stocks by number.

A symbol is a ticker as Interactive Brokers spells it (`AMD`, `BRK B`), which means the stock of
that name that trades in US dollars. Where a ticker alone is not unique, or means another stock, it
is followed by where the stock is listed or by its number: `SAP@IBIS`, `7203@TSEJ`, `AMD@4391`. The
ticker is always there, so that a report can be checked against it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ib_async import Contract, ContractDetails

from pipeline.providers.errors import MalformedAnswer, UnknownSymbol

_SYMBOL: Final = re.compile(r"(?P<ticker>[^@\s][^@]*?)(@((?P<number>\d+)|(?P<venue>[A-Za-z]\w*)))?")
_STOCK: Final = "STK"
_ROUTED: Final = "SMART"
_CURRENCY: Final = "USD"
_FIX: Final = (
    "write its own ticker, alone if it trades in US dollars, or with its exchange or its number:"
    " BRK B, SAP@IBIS, AMD@4391"
)
_SAME_VENUE: Final = {"ISLAND": "NASDAQ"}
"""What the gateway's programs call some exchanges, and people do not."""


@dataclass(frozen=True, slots=True)
class Stock:
    """The stock that a symbol means.

    Attributes:
        ticker: Its ticker.
        number: Its number; 0 where the symbol does not name it.
        venue: Where it is listed; empty likewise.
    """

    ticker: str
    number: int = 0
    venue: str = ""

    @classmethod
    def read(cls, provider: str, symbol: str) -> Stock:
        """Return what a symbol means.

        Raises:
            UnknownSymbol: It is not written as one.
        """
        found = _SYMBOL.fullmatch(symbol)
        if found is None:
            raise UnknownSymbol(provider, f"{symbol!r} is no symbol", _FIX)
        return cls(found["ticker"], int(found["number"] or 0), _venue(found["venue"] or ""))

    @property
    def question(self) -> Contract:
        """What the gateway is asked for."""
        if self.number:
            return Contract(conId=self.number, exchange=_ROUTED)
        return Contract(
            secType=_STOCK,
            symbol=self.ticker,
            exchange=_ROUTED,
            primaryExchange=self.venue,
            currency="" if self.venue else _CURRENCY,
        )

    def unknown(self, provider: str) -> UnknownSymbol:
        """Return the error that there is no such stock."""
        return UnknownSymbol(provider, f"it has no stock {str(self)!r}", _FIX)

    def choose(self, provider: str, found: Sequence[ContractDetails]) -> Contract:
        """Return the one contract among those that the gateway answers with.

        Raises:
            UnknownSymbol: It is none of them, or several are.
            MalformedAnswer: They are about something else, or there are none.
        """
        contracts = {one.contract.conId: one.contract for one in found if one.contract}
        listed = ", ".join(map(_described, contracts.values())) or "nothing"
        if not contracts or not all(map(self._asked_for, contracts.values())):
            raise MalformedAnswer(provider, f"asked about {self}, and answered about {listed}")
        chosen = [contract for contract in contracts.values() if self._means(contract)]
        if len(chosen) != 1:
            raise UnknownSymbol(provider, f"{str(self)!r} does not name one of {listed}", _FIX)
        return chosen[0]

    def _asked_for(self, contract: Contract) -> bool:
        if self.number:
            return contract.conId == self.number
        return contract.symbol.casefold() == self.ticker.casefold()

    def _means(self, contract: Contract) -> bool:
        if contract.secType != _STOCK or contract.symbol.casefold() != self.ticker.casefold():
            return False
        if self.venue:
            return _venue(contract.primaryExchange) == self.venue
        return bool(self.number) or contract.currency == _CURRENCY

    def __str__(self) -> str:
        where = str(self.number or "") or self.venue
        return f"{self.ticker}@{where}" if where else self.ticker


def _venue(name: str) -> str:
    return _SAME_VENUE.get(name.upper(), name.upper())


def _described(contract: Contract) -> str:
    where = f"{_venue(contract.primaryExchange)}, {contract.currency}"
    return f"{contract.symbol}@{contract.conId} ({where})"
