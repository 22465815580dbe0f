"""What every exchange's dialect provides, and the words they share.

A dialect is stateless. It knows paths, parameters, shapes, error bodies and habits of one exchange,
and nothing of sockets, caches, clocks or faults.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from venue.bars import MINUTE_MS
from venue.market import Symbol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from venue.bars import Bars
    from venue.limits import Budget
    from venue.market import Market
    from venue.mischief import Scene
    from venue.pages import Page, Window
    from venue.render import Lines

Json = Any  # a decoded document, of whatever shape

HOUR_MS = 60 * MINUTE_MS
FOR_EVER_MS = 1 << 62


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """Raised by a dialect to answer with the exchange's own error body."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body.decode())
        self.answer = answer


def answer(document: object, status: int = 200, **headers: str) -> Answer:
    """Return compact JSON; header names are given with underscores for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(orjson.dumps(document), status, headers=named)


class Dialect(ABC):
    """One exchange's wire format."""

    name: ClassVar[str]
    fills_quiet: ClassVar[bool]  # a zero-volume bar for a minute without a trade, or no row
    budget: ClassVar[Budget]  # what the exchange allows one address
    ban_seconds: ClassVar[float] = 0  # how long a client that does not stop is shut out
    row_fields: ClassVar[Mapping[str, int | str]]  # where a row holds ts, open, high, low, close
    hours: ClassVar[str] = "always"  # when its markets trade, unless they say so themselves
    first_weekday: ClassVar[int] = 0  # on which its weeks begin: Monday
    price_decimals: ClassVar[int | None] = None  # of invented prices; None: by their size
    volume_decimals: ClassVar[int] = 5  # of invented volumes
    skips_unknown: ClassVar[bool] = False  # a market that it does not know has no bars, no error

    def symbol(self, name: str) -> Symbol:
        """Read a market's name in the configuration; ValueError if it is none."""
        return Symbol.parse(name)

    @abstractmethod
    def market_id(self, symbol: Symbol) -> str:
        """Return the exchange's own id, as `Window.market` has it."""

    def aliases(self, symbol: Symbol) -> Sequence[str]:
        """Return all ids under which a market can be asked for."""
        return (self.market_id(symbol),)

    def listed_name(self, market_id: str) -> str:
        """Return the text by which a recorded market list names this id."""
        return market_id

    def admit(
        self,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        keys: Sequence[str],
    ) -> None:
        """Check a client's keys against those that are taken, if any; RefusedError if not."""
        del path, query, headers, keys

    def windows(
        self, path: str, query: Mapping[str, str], now_ms: int, plan: str
    ) -> Sequence[Window] | None:
        """Read a request for candles of some markets; None if the path asks for something else.

        Raises RefusedError with the exchange's error body for parameters it would not take, or that
        the plan does not pay for.
        """
        del plan
        window = self.window(path, query, now_ms)
        return None if window is None else [window]

    def window(self, path: str, query: Mapping[str, str], now_ms: int) -> Window | None:
        """Read a request for candles, for an exchange that takes one market a request."""
        raise NotImplementedError

    @abstractmethod
    def catalogue(
        self, path: str, query: Mapping[str, str], markets: Sequence[Market], now_ms: int
    ) -> Answer | None:
        """Answer whatever is not candles: market lists, time, status; None if unknown."""

    @abstractmethod
    def lines(self, bars: Bars, market: Market, step_ms: int) -> Lines:
        """Render one line a bar, in the order given."""

    def candles(
        self, path: str, query: Mapping[str, str], scenes: Sequence[Scene], pages: Iterator[Page]
    ) -> tuple[Answer, int]:
        """Put the rows of each window into the exchange's envelope; return it and their number.

        `pages` are rendered as they are taken: one that does not fit any more need not be.
        """
        del path, query
        page = next(pages)
        return Answer(self.body(page, scenes[0].window)), len(page)

    def body(self, page: Page, window: Window) -> bytes:
        """Put a page's rows into the envelope of an exchange that takes one market a request."""
        raise NotImplementedError

    @abstractmethod
    def rows(self, document: Json) -> list[Json]:
        """Return the list of rows inside a decoded answer, to be changed in place."""

    def rows_of(self, document: Json, symbol: str | None) -> list[Json]:
        """Return the rows of one symbol, where an answer holds several; None for all of them."""
        del symbol
        return self.rows(document)

    @abstractmethod
    def unknown_symbol(self) -> Answer:
        """Answer a request for a market that is not listed."""

    @abstractmethod
    def limited(self, retry_after: float, now_ms: int) -> Answer:
        """Answer a request over the limit; `retry_after` in seconds."""

    def banned(self, retry_after: float, now_ms: int) -> Answer:
        """Answer a client that did not stop; most exchanges just go on limiting."""
        return self.limited(retry_after, now_ms)

    def addressed(self, found: Answer, query: Mapping[str, str]) -> Answer:
        """Put into an answer what it repeats of the request."""
        del query
        return found

    def not_paid(self) -> Answer:
        """Answer a request for what the client's plan does not pay for."""
        return answer({"message": "forbidden"}, 403)

    def spoil_token(self, document: Json, variant: str, query: Mapping[str, str]) -> None:
        """Spoil what a decoded answer says of the next page, where there are such pages."""
        del document, variant, query

    def weight(self, path: str) -> float:
        """Return what a request costs of the budget."""
        del path
        return 1

    def usage_headers(self, used: float, now_ms: int) -> Mapping[str, str]:
        """Return the headers that tell what an address has used since the minute began."""
        del used, now_ms
        return {}


def whole(query: Mapping[str, str], name: str, refusal: Answer) -> int | None:
    """Return an integer parameter, None if absent; RefusedError with `refusal` if it is not one."""
    text = query.get(name)
    if text is None:
        return None
    try:
        return int(float(text))
    except ValueError:
        raise RefusedError(refusal) from None
