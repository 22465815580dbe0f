"""The universe file's order of providers: who is asked first, and who stands by.

What belongs here: the model of a rule, and what rules and roles make of the listings of one
instrument. Which provider is out of service is decided while it runs (`pipeline.selection`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pipeline.universe.values import FileModel

Role = Literal["primary", "standby"]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class SelectionRule(FileModel):
    """Whom to ask first for some instruments, and who stands by."""

    asset_class: Names = Field((), alias="class", examples=["[equity, etf]"])
    """For instruments of these classes; if not said, of all."""
    region: Names = Field((), examples=["US"])
    """For instruments of these regions; if not said, of all."""
    providers: Names = Field(min_length=1, examples=["[alpaca, yahoo]"])
    """The first of these that lists the instrument is its primary, the others stand by in turn."""

    def fits(self, asset_class: str, region: str | None) -> bool:
        """Return whether the rule is for such an instrument."""
        return (not self.asset_class or asset_class in self.asset_class) and (
            not self.region or region in self.region
        )


def standbys(
    rules: Sequence[SelectionRule],
    asset_class: str,
    region: str | None,
    roles: Mapping[str, Role | None],
) -> dict[str, int]:
    """Return the standbys among the providers that list an instrument, each with its turn.

    The first rule that fits decides; a role that a listing was given beats it. Providers that no
    rule names are primaries.

    Args:
        rules: The rules, in the file's order.
        asset_class: The instrument's class.
        region: Its region, if it has one.
        roles: The providers that list it, in the file's order, with the role that each was given.
    """
    rule = next((rule for rule in rules if rule.fits(asset_class, region)), None)
    named = [name for name in (rule.providers if rule else ()) if name in roles]
    primary = next((name for name in named if roles[name] != "standby"), None)
    order = [*named, *(name for name in roles if name not in named)]
    waiting = [
        name
        for name in order
        if roles[name] == "standby" or (roles[name] is None and name in named and name != primary)
    ]
    return {name: turn for turn, name in enumerate(waiting, start=1)}


def ranked(listed: Iterable[str], turns: Mapping[str, int]) -> dict[str, int]:
    """Return the places, from 1 on, of the providers that list an instrument.

    Args:
        listed: The providers, in the file's order.
        turns: The standbys among them, each with its turn; they come last.
    """
    order = sorted(listed, key=lambda name: turns.get(name, 0))
    return {name: place for place, name in enumerate(order, start=1)}
