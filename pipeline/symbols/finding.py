"""Searching the market lists for a person who writes the universe.

What belongs here: which instruments a name or some words may mean, and what to write down for each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from pipeline.calendars import ALWAYS
from pipeline.providers.table import CAPABILITIES
from pipeline.symbols.classifier import Classifier
from pipeline.symbols.index import MarketIndex
from pipeline.symbols.spelling import SPELLINGS
from pipeline.symbols.verdict import Candidate, Listed, Verdict, by_certainty
from pipeline.universe import Universe


@dataclass(frozen=True, slots=True)
class Match:
    """One instrument that was found.

    Attributes:
        candidate: What it is, who says so, and where it is listed.
        collected: Its listings in the universe: provider and symbol there, to the listing's key.
        guessed: How providers without a list may spell it, by rule.
    """

    candidate: Candidate
    collected: Mapping[tuple[str, str], str]
    guessed: Mapping[str, str]

    @property
    def found(self) -> bool:
        """Whether it can be had somewhere, as far as lists and rules know."""
        return bool(self.candidate.markets or self.guessed)

    @property
    def markets(self) -> Sequence[Listed]:
        """Where it is listed; what vanished comes last."""
        return sorted(
            self.candidate.markets, key=lambda one: (one.vanished, one.provider, one.market.symbol)
        )

    def snippet(self) -> str:
        """Return what to paste below `instruments:`; empty if it can be had nowhere."""
        if self.candidate.key is None:
            return ""
        listings: dict[str, object] = {}
        for one in self.markets:
            if not one.vanished and one.market.active is not False:
                listings.setdefault(one.provider, _listing(one))
        listings |= {name: symbol for name, symbol in self.guessed.items() if name not in listings}
        if not listings:
            return ""
        # No exchange has a class of its own for what futures of others are followed by.
        future = self.candidate.asset_class == "future"
        words = next((one.market.name for one in self.markets if one.market.name), None)
        document: dict[str, Any] = {"class": "index" if future else self.candidate.asset_class}
        document |= ({"name": words} if words else {}) | ({"session": "24x5"} if future else {})
        text = yaml.safe_dump(
            {self.candidate.key: document | {"listings": listings}},
            sort_keys=False,
            allow_unicode=True,
            width=1000,
        )
        return "".join(f"  {line}\n" for line in text.splitlines())


def find(
    index: MarketIndex, universe: Universe, name: str, provider: str | None = None
) -> tuple[Verdict, Sequence[Match]]:
    """Return what a name means, and the instruments that it or its words may mean.

    What the universe says of it comes first, and what others would say after it.

    Args:
        index: The market lists.
        universe: What is collected already.
        name: A symbol in anybody's spelling, or words of a name (`apple`).
        provider: Look at this one only; None for all.
    """
    verdict = Classifier(index, universe).classify(name, provider)
    others = Classifier(index).classify(name, provider).candidates
    worded = _by_words(index, name, provider)
    read = [*verdict.candidates, *others]
    listed = any(one.source != "rule" for one in read)
    candidates = [*read, *worded] if listed or not worded else list(worded)
    collected = _collected(index, universe)
    matches = [
        Match(one, _of(one, collected), _guessed(one, universe, provider))
        for one in _by_weight(by_certainty(candidates))
    ]
    return verdict, matches


def _by_words(index: MarketIndex, words: str, provider: str | None) -> Iterable[Candidate]:
    found: dict[tuple[str, str], Candidate] = {}
    for one in index.named(words):
        if provider in {None, one.provider}:
            key, kind = one.market.key, one.market.asset_class
            because = f"{one.provider} calls it {one.market.name}"
            new = Candidate(key, kind, "list", "possible", because)
            known = found.setdefault((key, kind), new)
            found[key, kind] = replace(known, markets=(*known.markets, one))
    return list(found.values())


def _by_weight(candidates: Iterable[Candidate]) -> Iterable[Candidate]:
    """Return them with what more providers have first; surer ones stay before others."""
    order = {"certain": 0, "likely": 1, "possible": 2}
    return sorted(
        candidates,
        key=lambda one: (
            one.source != "universe",
            order[one.certainty],
            -len({each.provider for each in one.markets if not each.vanished}),
            one.key or "",
        ),
    )


def _collected(index: MarketIndex, universe: Universe) -> Mapping[tuple[str, str, str], str]:
    """Return the listings of the universe by provider, asset class and symbol in the list."""
    return {
        (spec.provider, one.market.asset_class, one.market.symbol): spec.key
        for spec in universe.listings()
        for one in index.at(spec.provider, spec.symbol, spec.asset_class)[:1]
    }


def _of(
    candidate: Candidate, collected: Mapping[tuple[str, str, str], str]
) -> Mapping[tuple[str, str], str]:
    return {
        (one.provider, one.market.symbol): key
        for one in candidate.markets
        if (key := collected.get((one.provider, one.market.asset_class, one.market.symbol)))
    }


def _guessed(candidate: Candidate, universe: Universe, provider: str | None) -> Mapping[str, str]:
    return dict(_spellings(candidate, universe, {provider} if provider else universe.providers))


def _spellings(
    candidate: Candidate, universe: Universe, providers: Collection[str]
) -> Iterator[tuple[str, str]]:
    for name in sorted(providers):
        rule = SPELLINGS.get(universe.client(name))
        row = CAPABILITIES.get(universe.source(name))
        kind = "index" if candidate.asset_class == "future" else candidate.asset_class
        if not (rule and row and candidate.key and kind in row.asset_classes):
            continue
        if symbol := rule(candidate.key, candidate.asset_class):
            yield name, symbol


def _listing(one: Listed) -> object:
    """Return what the universe says of a listing: its symbol, and what is not to be expected."""
    market = one.market
    if market.asset_class in {"crypto_swap", "crypto_future"}:
        # Binance gives a swap the id of its spot market; a universe names each once.
        return f"{market.base}/{market.quote}:{market.contract}"
    if market.asset_class == "fx":  # at an exchange of coins, which never closes
        return {"symbol": market.symbol, "session": ALWAYS}
    return market.symbol
