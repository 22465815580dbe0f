"""What vendors of documents about companies and coins have in common.

A vendor that serves bars as well has a dialect that is both; one that serves nothing else is a
`DocumentDialect`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from venue.dialects.base import Dialect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from venue.bars import Bars
    from venue.dialects.base import Answer, Json
    from venue.market import Market, Symbol
    from venue.pages import Window
    from venue.render import Lines


@dataclass(frozen=True, slots=True)
class Subject:
    """What a document is asked for about: a company or coin, by the vendor's own name of it."""

    name: str
    document: str


class Documents(ABC):
    """A vendor's documents about companies, or coins."""

    yields: ClassVar[frozenset[str]] = frozenset()  # names of yields, which are fractions
    numbers_are_text: ClassVar[bool] = False

    @abstractmethod
    def subject(self, path: str, query: Mapping[str, str]) -> Subject | None:
        """Read a request for a document; None if something else is asked for."""

    @abstractmethod
    def document(
        self,
        subject: Subject,
        about: Any,  # noqa: ANN401 - a Company, or a Coin, as the vendor knows them
        query: Mapping[str, str],
        now_ms: int,
    ) -> Answer:
        """Return a document about a company or coin."""

    @abstractmethod
    def unknown_subject(self, subject: Subject, query: Mapping[str, str]) -> Answer:
        """Answer a request about what the vendor does not know."""

    @abstractmethod
    def refusal_in_a_body(self) -> Answer:
        """Say no with status 200."""


class DocumentDialect(Documents, Dialect):
    """A vendor that serves no bars, and lists no markets."""

    fills_quiet = False
    row_fields: ClassVar[Mapping[str, int | str]] = {}

    def symbol(self, name: str) -> Symbol:
        """Refuse a market."""
        raise ValueError(f"{name!r} is listed, but {self.name} serves no bars: name companies")

    def market_id(self, symbol: Symbol) -> str:
        """Return the symbol as it is."""
        return str(symbol)

    def windows(
        self, path: str, query: Mapping[str, str], now_ms: int, plan: str
    ) -> Sequence[Window] | None:
        """Return None: nobody asks for candles."""
        del path, query, now_ms, plan
        return None

    def catalogue(
        self, path: str, query: Mapping[str, str], markets: Sequence[Market], now_ms: int
    ) -> Answer | None:
        """Return None: there is nothing but documents."""
        del path, query, markets, now_ms
        return None

    def lines(self, bars: Bars, market: Market, step_ms: int) -> Lines:
        """Render no bar."""
        raise NotImplementedError

    def rows(self, document: Json) -> list[Json]:
        """Return no row."""
        del document
        return []

    def unknown_symbol(self) -> Answer:
        """Answer nothing about a market."""
        raise NotImplementedError
