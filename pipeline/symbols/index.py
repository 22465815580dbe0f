"""Market lists, searched by name: whole names and whole codes only, never a part of one."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from pipeline.symbols.normal import PAIRS
from pipeline.symbols.verdict import Listed

_SEPARATORS: Final = re.compile(r"[./:\s_-]+")
_SUGGESTIONS: Final = 5


class MarketIndex:
    """The markets of all providers, found by what they are called.

    Args:
        listed: Every market of every list.
    """

    def __init__(self, listed: Iterable[Listed]) -> None:
        self._exact = _Names()
        self._folded = _Names()
        self._parts = _Names()
        self._joined = _Names()
        self._bases = _Names()
        self._symbols: dict[str, set[str]] = defaultdict(set)
        self._classes: set[str] = set()
        for one in listed:
            self._add(one)

    def _add(self, one: Listed) -> None:
        market = one.market
        names = {market.symbol, market.key, market.key.replace("-", "/", 1), *market.spellings}
        self._symbols[one.provider].add(market.symbol)
        self._classes.add(market.asset_class)
        for name in names:
            self._exact.add(name, one)
            self._folded.add(name.upper(), one)
            if len(parts := parts_of(name)) > 1:
                self._parts.add("\0".join(parts), one)
        self._joined.add("".join(parts_of(market.key)), one)
        if market.asset_class in PAIRS:
            self._bases.add(market.base.upper(), one)

    @property
    def providers(self) -> frozenset[str]:
        """The providers that have a list here."""
        return frozenset(self._symbols)

    @property
    def asset_classes(self) -> frozenset[str]:
        """The asset classes that any list here has."""
        return frozenset(self._classes)

    def called(self, name: str) -> Sequence[Listed]:
        """Return the markets of exactly that name: a symbol, a normal form, a listed spelling."""
        return self._exact.of(name)

    def spelled(self, name: str) -> Sequence[Listed]:
        """Return the markets of that name in other capitals, or with other separators."""
        parts = parts_of(name)
        apart = self._parts.of("\0".join(parts)) if len(parts) > 1 else ()
        return _unique([*self._folded.of(name.upper()), *apart])

    def joined(self, name: str) -> Sequence[Listed]:
        """Return the markets whose normal form, written together, is that name."""
        return self._joined.of(name.upper())

    def based(self, code: str) -> Sequence[Listed]:
        """Return the markets of a coin or currency, whatever it is quoted in."""
        return self._bases.of(code.upper())

    def named(self, words: str) -> Iterator[Listed]:
        """Yield the markets whose name in words has all of these; for searching by a person."""
        wanted = words.casefold().split()
        for one in self._exact.all():
            name = (one.market.name or "").casefold()
            if wanted and all(word in name for word in wanted):
                yield one

    def at(self, provider: str, symbol: str, asset_class: str) -> Sequence[Listed]:
        """Return the markets of a provider that a symbol of the universe names, best fit first."""
        for found in (self.called(symbol), self.spelled(symbol), self.joined(symbol)):
            fits = [
                one
                for one in found
                if one.provider == provider and same_kind(one.market.asset_class, asset_class)
            ]
            if fits:
                return fits
        return ()

    def near(self, symbol: str, provider: str) -> Sequence[str]:
        """Return symbols of a provider that look like this one."""
        return difflib.get_close_matches(symbol.upper(), self._symbols[provider], _SUGGESTIONS)


class _Names:
    """Markets by name."""

    def __init__(self) -> None:
        self._found: dict[str, list[Listed]] = defaultdict(list)

    def add(self, name: str, one: Listed) -> None:
        self._found[name].append(one)

    def of(self, name: str) -> Sequence[Listed]:
        return _unique(self._found.get(name, ()))

    def all(self) -> Sequence[Listed]:
        return _unique(one for found in self._found.values() for one in found)


def _unique(listed: Iterable[Listed]) -> Sequence[Listed]:
    kept: Mapping[tuple[str, str, str], Listed] = {
        (one.provider, one.market.asset_class, one.market.symbol): one for one in listed
    }
    return tuple(kept.values())


def parts_of(name: str) -> Sequence[str]:
    """Return what stands between a name's separators, in capitals."""
    return [part for part in _SEPARATORS.split(name.upper()) if part]


def same_kind(listed: str, wanted: str) -> bool:
    """Whether a market serves a listing of that class; no list tells funds from stocks surely."""
    stocks = {"equity", "etf"}
    return listed == wanted or {listed, wanted} <= stocks
