"""Deciding what a name means: the universe's word first, then the market lists', then a rule's.

What belongs here: who is heard before whom, and when nobody is sure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pipeline.symbols.index import MarketIndex, parts_of, same_kind
from pipeline.symbols.normal import PAIRS
from pipeline.symbols.rules import by_rules
from pipeline.symbols.verdict import Candidate, Certainty, Listed, Verdict, by_certainty
from pipeline.universe import Universe

_PLAIN: Final = re.compile(r"[A-Z0-9]+|[a-z0-9]+")


class Classifier:
    """Says which instrument a name means, by what that was decided, and how sure it is.

    1. The universe: the key of an instrument, or the symbol of a listing, is what its owner says.
    2. The market lists. A name without any separator may be a ticker, a coin, or a pair written
       together: all that the lists have of it are candidates, and several make it ambiguous.
    3. Rules about spellings, which are never certain.

    Args:
        index: The market lists.
        universe: What its owner has said already; None if nothing.
    """

    def __init__(self, index: MarketIndex, universe: Universe | None = None) -> None:
        self._index = index
        self._said = list(_said(universe, index)) if universe else []

    def classify(self, name: str, provider: str | None = None) -> Verdict:
        """Return what `name` means.

        Args:
            name: In anybody's spelling.
            provider: Whose spelling it is; None if that is not known.
        """
        name = name.strip()
        said = [
            candidate
            for place, spelling, candidate in self._said
            if spelling == _folded(name) and (provider is None or place in {None, provider})
        ]
        if said:
            return Verdict(name, by_certainty(said))
        listed = self._listed(name, provider)
        if not listed:
            return Verdict(name, by_certainty([*self._by_rules(name)]))
        unheard = self._unheard(name) if provider is None and _PLAIN.fullmatch(name) else ()
        return Verdict(name, by_certainty([*listed, *unheard]))

    def _listed(self, name: str, provider: str | None) -> Sequence[Candidate]:
        """Return what the lists know of a name: the best fit, or all that a plain name may be."""
        tiers: list[tuple[Certainty, str, Sequence[Listed]]] = [
            ("certain", "lists it as {symbol}", self._index.called(name)),
            ("certain", "lists it as {symbol}", self._index.spelled(name)),
        ]
        if plain := bool(_PLAIN.fullmatch(name)):
            tiers += [
                ("likely", "lists {symbol}, written together", self._index.joined(name)),
                ("possible", "trades it as {symbol}", self._index.based(name)),
            ]
        candidates: list[Candidate] = []
        for certainty, because, found in tiers:
            fits = [one for one in found if provider in {None, one.provider}]
            candidates += self._instruments(fits, certainty, because)
            if candidates and (provider or not plain):
                break
        return by_certainty(candidates)

    def _instruments(
        self, found: Iterable[Listed], certainty: Certainty, because: str
    ) -> Iterator[Candidate]:
        """Yield the instrument of each market, with all its markets."""
        for one in found:
            key, asset_class = one.market.key, one.market.asset_class
            named = self._index.called(key)
            markets = tuple(each for each in named if each.market.asset_class == asset_class)
            words = f"{one.provider} {because.replace('{symbol}', one.market.symbol)}"
            yield Candidate(key, asset_class, "list", certainty, words, markets)

    def _by_rules(self, name: str) -> Iterator[Candidate]:
        """Yield what a name means by its spelling; what is then in a list is what the list says."""
        for read in by_rules(name):
            found = [
                one
                for one in self._index.called(read.key or "")
                if same_kind(one.market.asset_class, read.asset_class)
            ]
            words = f"{{symbol}}, as {name} is read: {read.because}"
            listed = list(self._instruments(found, read.certainty, f"lists {words}"))
            yield from listed or [read]

    def _unheard(self, name: str) -> Iterator[Candidate]:
        """Yield what else a plain name may be, of kinds that no list here would have."""
        heard = self._index.asset_classes
        stocks, coins = heard & {"equity", "etf"}, heard & PAIRS
        for candidate in by_rules(name):
            if not (coins if candidate.asset_class in PAIRS else stocks):
                yield candidate


def _folded(name: str) -> str:
    """Return a name without regard to separators, and to capitals unless they are mixed."""
    parts = parts_of(name)
    plain = name.isupper() or name.islower() or len(parts) > 1
    return "-".join(parts) if plain else name


def _said(universe: Universe, index: MarketIndex) -> Iterator[tuple[str | None, str, Candidate]]:
    """Yield what the universe's owner has said: where, of which name, and what it is."""
    for key, instrument in universe.instruments.items():
        kind, listings = instrument.asset_class, instrument.listings.items()
        named = [one for one in index.called(key) if same_kind(one.market.asset_class, kind)]
        own = [one for place, each in listings for one in index.at(place, each.symbol, kind)]
        words = f"instruments.{key} of the universe"
        markets = tuple(dict.fromkeys([*own, *named]))
        candidate = Candidate(key, kind, "universe", "certain", words, markets)
        yield None, _folded(key), candidate
        for provider, listing in listings:
            yield provider, _folded(listing.symbol), candidate
