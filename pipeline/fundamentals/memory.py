"""What providers said before, field by field: what a new value is compared with.

What belongs here: remembering. A document that leaves a field out, or says nothing or zero of it,
must not make its next value the first one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.fundamentals.canaries import Earlier, Heard, Statement, is_of_period
from pipeline.fundamentals.values import Value

_Place = tuple[str, str, str, str]
"""Provider, document, field and period."""


class Memory:
    """The last value other than zero of each field and period in each kind of document.

    Args:
        heard: What was said, with provider and document of each, in any order.
    """

    def __init__(self, heard: Iterable[tuple[str, str, Heard]] = ()) -> None:
        self._heard: dict[_Place, list[Heard]] = {}
        for provider, document, one in sorted(heard, key=lambda each: each[2].where.fetched_at):
            self._put(provider, document, one)

    def of(self, provider: str, document: str, value: Value) -> Sequence[Heard]:
        """Return what was heard of a value's field and period there, of any end."""
        return self._heard.get(_place(provider, document, value), ())

    def add(self, statement: Statement) -> None:
        """Remember what a document says, after it was judged."""
        for said in statement.said:
            value = said.value
            if value.value == 0:
                continue
            confirmed_at = max((statement.fetched_at, *statement.seen))
            where = Earlier(value, statement.snapshot, statement.fetched_at, confirmed_at)
            self._put(statement.provider, statement.document, Heard(said, where))

    def _put(self, provider: str, document: str, heard: Heard) -> None:
        place = _place(provider, document, heard.said.value)
        others = [
            one
            for one in self._heard.get(place, ())
            if not is_of_period(one.said.value, heard.said.value)
        ]
        self._heard[place] = [*others, heard]


def _place(provider: str, document: str, value: Value) -> _Place:
    return provider, document, value.field, value.period
