"""Providers' market lists: whether one can be whole, and what is new in it.

What belongs here: comparing lists. Not here: where they are kept (`pipeline.store.markets`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from pipeline.providers.protocol import Market
from pipeline.symbols.normal import PAIRS

Kind = Literal["new", "returned", "vanished", "renamed", "replaced"]
Ident = tuple[str, str]
"""Asset class and symbol: Binance has one symbol for a spot market and a swap."""

_WHOLE_CLASS: Final = 10
"""A class of so many markets does not vanish as a whole."""


class SuspiciousList(Exception):
    """A market list is so short that it cannot be whole. Nothing of it is believed."""


@dataclass(frozen=True, slots=True)
class KnownMarket:
    """A market as the ledger knows it.

    Attributes:
        market: As it was listed last.
        first_seen: When it was first in a list; UTC.
        last_seen: When it was last in a list.
        vanished_at: When it was first missing from one; None while it is listed.
    """

    market: Market
    first_seen: datetime
    last_seen: datetime
    vanished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a market list has that the one before had not, or the other way round.

    Attributes:
        kind: `renamed`: one market under another symbol; `replaced`: the symbol names another
            market now.
        market: The market as it is listed now; for `vanished`, as it was.
        old_symbol: The symbol before; None unless it was renamed.
        sure: False for what is only a guess.
        evidence: How that is known.
    """

    kind: Kind
    market: Market
    old_symbol: str | None = None
    sure: bool = True
    evidence: str = ""


def check_whole(known: Iterable[KnownMarket], listed: Sequence[Market]) -> None:
    """Refuse a list that cannot be whole.

    Raises:
        SuspiciousList: It has less than half of the markets that were listed last, or nothing of an
            asset class that had many.
    """
    before = [one for one in known if one.vanished_at is None]
    if 2 * len(listed) < len(before):
        raise SuspiciousList(
            f"the list has {len(listed)} markets, the one before had {len(before)}"
        )
    classes = {market.asset_class for market in listed}
    for name in sorted({one.market.asset_class for one in before} - classes):
        count = sum(one.market.asset_class == name for one in before)
        if count >= _WHOLE_CLASS:
            raise SuspiciousList(f"the list has no {name}, the one before had {count}")


def distinct(listed: Iterable[Market]) -> dict[Ident, Market]:
    """Return the markets by what they are known by; of two, the one that trades."""
    found: dict[Ident, Market] = {}
    for market in listed:
        known = found.setdefault(_ident(market), market)
        if market.active and not known.active:
            found[_ident(market)] = market
    return found


def changes(known: Sequence[KnownMarket], listed: Iterable[Market]) -> Sequence[Change]:
    """Return what is new in a list; nothing if it is the first one.

    Args:
        known: All that the ledger knows of the provider's markets, also those that vanished.
        listed: The provider's list.
    """
    if not known:
        return []
    now = distinct(listed)
    before = {_ident(one.market): one.market for one in known if one.vanished_at is None}
    past = {_ident(one.market): one.market for one in known if one.vanished_at is not None}
    gone = [old for ident, old in before.items() if not _same(old, now.get(ident))]
    fresh = [new for ident, new in now.items() if not _same(new, before.get(ident))]
    renamed = [*_by_number(gone, fresh), *_by_looks(gone, fresh)]
    moved = {_ident(old) for old, _ in renamed}
    found = [change for _, change in renamed]
    explained = {_ident(change.market) for change in found}
    for new in fresh:
        ident = _ident(new)
        if old := before.get(ident) or _other(past.get(ident), new):
            found.append(Change("replaced", new, evidence=_numbers(old, new)))
        elif ident not in explained:
            found.append(Change("returned" if ident in past else "new", new))
    found += [Change("vanished", old) for old in gone if _ident(old) not in moved | now.keys()]
    return sorted(found, key=lambda change: (change.kind, _ident(change.market)))


def _ident(market: Market) -> Ident:
    return market.asset_class, market.symbol


def _same(one: Market, other: Market | None) -> bool:
    """Whether what has one symbol is one market: a symbol can be given to another company."""
    return other is not None and (None in {one.id, other.id} or one.id == other.id)


def _other(past: Market | None, new: Market) -> Market | None:
    return None if past is None or _same(past, new) else past


def _numbers(old: Market, new: Market) -> str:
    return f"the provider's number of {new.symbol} was {old.id}, and is {new.id}"


def _by_number(gone: Sequence[Market], fresh: Sequence[Market]) -> Iterator[tuple[Market, Change]]:
    """Yield the markets that have another symbol, or asset class, under the number they had."""
    old_by_number = {market.id: market for market in gone if market.id is not None}
    for new in fresh:
        if new.id is not None and (old := old_by_number.get(new.id)):
            evidence = f"the provider's number stayed {new.id}"
            if old.asset_class != new.asset_class:
                evidence += f"; it was {old.asset_class}, and is {new.asset_class}"
            yield old, Change("renamed", new, old.symbol, sure=True, evidence=evidence)


def _by_looks(gone: Sequence[Market], fresh: Sequence[Market]) -> Iterator[tuple[Market, Change]]:
    """Yield what vanished and what is new if they look alike, and nothing else does.

    Where the provider has numbers, they are asked and not the looks.
    """
    alike: Mapping[object, tuple[list[Market], list[Market]]] = defaultdict(lambda: ([], []))
    for place, markets in enumerate((gone, fresh)):
        for market in markets:
            if market.id is None and (looks := _looks(market)):
                alike[looks][place].append(market)
    for old, new in alike.values():
        if len(old) == len(new) == 1:
            pair = new[0].asset_class in PAIRS
            what = f"base and quote, {new[0].key}" if pair else f"name, {new[0].name}"
            evidence = f"a guess: one vanished and one is new with the same {what}"
            yield old[0], Change("renamed", new[0], old[0].symbol, sure=False, evidence=evidence)


def _looks(market: Market) -> object:
    """Return by what two symbols look like one market; None where there is nothing."""
    if market.asset_class in PAIRS:
        return market.asset_class, market.key
    return (market.name or "").casefold() or None
