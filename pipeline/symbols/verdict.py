"""What a name may mean, who says so, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from pipeline.providers.protocol import Market

Source = Literal["universe", "list", "rule"]
"""Who decided: the user, a provider's market list, or a rule about spellings."""

Certainty = Literal["certain", "likely", "possible"]
_ORDER: Final = ("certain", "likely", "possible")


@dataclass(frozen=True, slots=True)
class Listed:
    """A market of a provider's list.

    Attributes:
        provider: The provider's name in the universe.
        market: The market.
        vanished: Whether it is no longer in the list.
    """

    provider: str
    market: Market
    vanished: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """One instrument that a name may mean.

    Attributes:
        key: Its normal form; None where the name lacks something to make one (a coin's quote).
        asset_class: One of the universe's, or `future` for one of no crypto exchange.
        source: Who says so.
        certainty: How sure that is.
        because: Why, in words.
        markets: Where it is listed, as far as the name fits there.
    """

    key: str | None
    asset_class: str
    source: Source
    certainty: Certainty
    because: str
    markets: tuple[Listed, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a name means.

    Attributes:
        name: The name, as it was given.
        candidates: What it may mean, the surest first.
    """

    name: str
    candidates: Sequence[Candidate] = field(default=())

    @property
    def decided(self) -> Candidate | None:
        """The one instrument that it means; None if there are several, or none is likely."""
        if len(self.candidates) != 1 or self.candidates[0].certainty == "possible":
            return None
        return self.candidates[0]

    @property
    def ambiguous(self) -> bool:
        """Whether it may mean several instruments: a person has to choose."""
        return len(self.candidates) > 1

    def explain(self) -> str:
        """Return the verdict in one sentence."""
        if not self.candidates:
            return f"{self.name!r} names nothing that any list or rule knows"
        found = "; or ".join(
            f"{one.key or one.asset_class} ({one.asset_class}, {one.certainty}: {one.because})"
            for one in self.candidates
        )
        return f"{self.name!r} is {'ambiguous: ' if self.ambiguous else ''}{found}"


def by_certainty(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the candidates, the surest first; of two for one instrument the surer is kept."""
    ordered = sorted(candidates, key=lambda one: _ORDER.index(one.certainty))
    kept: dict[tuple[str | None, str], Candidate] = {}
    for one in ordered:
        kept.setdefault((one.key, one.asset_class), one)
    return tuple(kept.values())
