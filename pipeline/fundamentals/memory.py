"""What providers said before, field by field: what a new value is compared with.

What belongs here: remembering. A document that leaves a field out, or says nothing or zero of it,
must not make its next value the first one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.fundamentals.canaries import (
    Earlier,
    Heard,
    Kind,
    Statement,
    goes_back,
    is_of_period,
)
from pipeline.fundamentals.values import Value

_Place = tuple[Kind, str, str]
"""Whose document of which kind, field and period."""


class Memory:
    """The last value of each time of each field in each kind of document, rather one not zero.

    Args:
        heard: What was said, with the kind of document of each, in any order.
    """

    def __init__(self, heard: Iterable[tuple[Kind, Heard]] = ()) -> None:
        self._heard: dict[_Place, list[Heard]] = {}
        for kind, one in sorted(heard, key=lambda each: each[1].where.fetched_at):
            self._put(kind, one)

    def of(self, kind: Kind, value: Value) -> Sequence[Heard]:
        """Return what was heard of a value's field and period there, of any end."""
        return self._heard.get(_place(kind, value), ())

    def add(self, statement: Statement) -> None:
        """Remember what a document says, after it was judged."""
        if statement.outdated:
            return
        confirmed_at = max((statement.fetched_at, *statement.seen))
        for said in statement.said:
            where = Earlier(said.value, statement.snapshot, statement.fetched_at, confirmed_at)
            self._put(statement.kind, Heard(said, where))

    def _put(self, kind: Kind, heard: Heard) -> None:
        value = heard.said.value
        alike: list[Heard] = []
        others: list[Heard] = []
        for one in self.of(kind, value):
            (alike if is_of_period(one.said.value, value) else others).append(one)
        if heard.said.accepted:  # so the later times that were told of before are wrong
            others = [one for one in others if not goes_back(value, one.said.value)]
        told = [one for one in alike if one.said.value.value != 0] if value.value == 0 else []
        self._heard[_place(kind, value)] = [*others, *(told or [heard])]


def _place(kind: Kind, value: Value) -> _Place:
    return kind, value.field, value.period
