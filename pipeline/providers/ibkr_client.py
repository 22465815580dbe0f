"""Reports about companies from Interactive Brokers, by way of a gateway that the user runs.

What belongs here: `FundamentalsProvider` for Interactive Brokers, as the sum of its parts: the
connection (`ibkr_session`), what a symbol means (`ibkr_contracts`), what errors mean
(`ibkr_errors`). The gateway is logged in by a person; nothing here knows of accounts or passwords,
and nothing is asked about them.

A report is asked for by the number of the stock. The first report of a symbol therefore takes two
requests; both are counted, although it is not published whether the first one is.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from urllib.parse import urlsplit

from ib_async import IB, Contract
from ib_async.wrapper import RequestError

from pipeline.providers.errors import Unsupported
from pipeline.providers.ibkr_contracts import Stock
from pipeline.providers.ibkr_errors import UNKNOWN_CONTRACT, says_none, translate
from pipeline.providers.ibkr_session import Gateway
from pipeline.providers.limiter import Limiter
from pipeline.providers.options import ProviderOptions
from pipeline.providers.watched import WatchedProvider

Answer = TypeVar("Answer")

DEFAULT_ADDRESS: Final = "tcp://127.0.0.1:4002"
"""Where IB Gateway listens for a paper account, on this machine."""


def open_client(name: str, options: ProviderOptions, limiter: Limiter) -> IbkrProvider:
    """Return a client for Interactive Brokers; see `registry.open_fundamentals`."""
    return IbkrProvider(name, options, limiter=limiter)


class IbkrProvider(WatchedProvider):
    """A `FundamentalsProvider` for Interactive Brokers, safe to call from many threads.

    Args:
        name: The provider's name in the universe.
        options: How it is configured; `base_url` is where the gateway listens.
        limiter: Shared by everything that asks through this gateway.

    Raises:
        Unsupported: An asset class is none that it has reports about, or the address is none.
    """

    def __init__(
        self,
        name: str,
        options: ProviderOptions,
        *,
        limiter: Limiter,
    ) -> None:
        super().__init__(name, options, limiter, translate)
        self._serve(self.capabilities.asset_classes, "has no reports about {}")
        address = urlsplit(options.base_url or DEFAULT_ADDRESS)
        if address.scheme != "tcp" or not address.hostname or not address.port:
            what = "base_url is not the address of a gateway"
            raise Unsupported(name, what, f"write it as in {DEFAULT_ADDRESS}")
        self._gateway = Gateway(address.hostname, address.port, options.timeout_seconds)
        self._contracts: dict[str, Contract] = {}
        self._turn = threading.Lock()

    def fetch_document(self, symbol: str, document: str) -> str | None:
        """Return a report about a company, as it came.

        Args:
            symbol: See `ibkr_contracts`.
            document: One of `capabilities.documents`.

        Returns:
            The report; None if the gateway answers that there is none.

        Raises:
            ProviderError: There is no answer to this question.
            ValueError: There is no such document.
        """
        self._check_document(document)
        with self._turn:
            contract = self._contracts.get(symbol)
            if contract is None:
                contract = self._contracts[symbol] = self._find(symbol)
            return self._ask(lambda: self._report(contract, document))

    def close(self) -> None:
        """Give back the connection."""
        self._gateway.close()

    def _find(self, symbol: str) -> Contract:
        stock = Stock.read(self.name, symbol)

        def find() -> Contract:
            try:
                found = self._gateway.ask(lambda ib: ib.reqContractDetailsAsync(stock.question))
            except RequestError as error:
                if error.code == UNKNOWN_CONTRACT:
                    raise stock.unknown(self.name) from error
                raise
            return stock.choose(self.name, found)

        return self._ask(find)

    def _report(self, contract: Contract, document: str) -> str | None:
        def question(ib: IB) -> Awaitable[str]:
            return ib.reqFundamentalDataAsync(contract, document)

        try:
            return self._gateway.ask(question)
        except RequestError as error:
            if says_none(error):
                return None
            raise

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        """Ask one question, in its turn."""
        found: list[Answer] = []

        def send() -> object:
            found.append(question())
            return {}

        with self._watch.exchanging(self.capabilities.request_weight):
            self._watch.send(send)
        return found[0]
