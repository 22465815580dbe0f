"""The universe's listings against the market lists: which of them are still what they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pipeline.symbols.index import MarketIndex
from pipeline.symbols.verdict import Listed
from pipeline.universe import ListingSpec


@dataclass(frozen=True, slots=True)
class Move:
    """What a provider's lists have shown of a symbol that changed its meaning.

    Attributes:
        at: When the latest list was taken that showed such a thing; UTC.
        new_symbol: What the market is called now; None if its symbol names another market.
        sure: False for what is only a guess.
        evidence: How it is known.
    """

    at: datetime
    new_symbol: str | None
    sure: bool
    evidence: str | None


@dataclass(frozen=True, slots=True)
class ListingState:
    """What a market list says of a listing of the universe.

    Attributes:
        provider: The provider.
        listing: The listing's key.
        symbol: Its symbol, as the universe has it.
        state: `listed`; `inactive`: listed, but it does not trade; `vanished`; `replaced`: its
            symbol names another market now; `unknown`: it was in no list; `no_list`.
        text: What to know about it, and what to do.
    """

    provider: str
    listing: str
    symbol: str
    state: Literal["listed", "inactive", "vanished", "replaced", "unknown", "no_list"]
    text: str

    @property
    def fine(self) -> bool:
        """Whether nobody has to look at it."""
        return self.state in {"listed", "no_list"}


def state_of(
    spec: ListingSpec,
    index: MarketIndex,
    moves: Mapping[tuple[str, str], Move],
    since: datetime | None,
) -> ListingState:
    """Return what a provider's list says of one of its listings.

    Args:
        spec: The listing.
        index: The market lists.
        moves: What became of the provider's symbols, by asset class and symbol.
        since: Since when the ledger knows the listing; what moved before is no news.
    """

    def state(name: str, text: str) -> ListingState:
        return ListingState(spec.provider, spec.key, spec.symbol, name, text)  # type: ignore[arg-type]

    if spec.provider not in index.providers:
        return state("no_list", "no market list is kept")
    found = index.at(spec.provider, spec.symbol, spec.asset_class)
    if not found:
        near = index.near(spec.symbol, spec.provider)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        return state("unknown", f"no {spec.asset_class} market is called so{hint}")
    one = _best(found)
    market = one.market
    move = moves.get((market.asset_class, market.symbol))
    if one.vanished:
        gone = "it vanished from the list"
        if move and move.new_symbol:
            guess = "" if move.sure else "perhaps "
            gone += f"; {guess}renamed to {move.new_symbol} ({move.evidence})"
        return state("vanished", f"{gone}; give the listing an end, or its new symbol")
    if move and since and move.at > since:
        text = f"since {move.at:%Y-%m-%d} the symbol names another market ({move.evidence})"
        return state("replaced", f"{text}; end this listing, and give the new market another key")
    if market.active is False:
        return state("inactive", "the provider says that it does not trade now")
    return state("listed", f"{market.symbol}, {market.key}")


def _best(found: Sequence[Listed]) -> Listed:
    return min(found, key=lambda one: (one.vanished, one.market.active is False))
