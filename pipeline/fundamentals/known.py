"""What is known of an instrument at a moment: the newest documents, and what follows from them.

What belongs here: the way from documents to candidates. A document that is no longer the newest of
its kind says nothing any more, but for the values that stand in for held ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from pipeline.fundamentals.canaries import Said, Statement, confirmed, watched
from pipeline.fundamentals.candidates import Candidate
from pipeline.fundamentals.memory import Memory
from pipeline.fundamentals.registry import Registry

Kind = tuple[str, str]
"""Provider and document."""


@dataclass(slots=True)
class Known:
    """The newest usable document of each kind about one instrument.

    Attributes:
        statements: The documents.
        memory: What they and those before them said.
    """

    statements: dict[Kind, Statement] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)

    def learn(self, registry: Registry, new: Statement) -> Statement:
        """Take in a document that is newer than all of its kind, and return it judged."""
        kind = new.provider, new.document
        heard = partial(self.memory.of, *kind)
        found = watched(registry, new, heard, self._others(new.provider))
        self.statements[kind] = found
        self.memory.add(found)
        return found

    def set_free(self, at: datetime) -> Sequence[Statement]:
        """Set held values free that another provider states, too, by a moment.

        Returns:
            The documents in which there were any.
        """
        changed = []
        for kind, statement in self.statements.items():
            free = confirmed(statement, self._others(statement.provider), at)
            if free is not statement:
                self.statements[kind] = free
                self.memory.add(free)
                changed.append(free)
        return changed

    def forget(self, provider: str) -> None:
        """Leave out what a provider has said: it is no longer asked, or by another symbol."""
        self.statements = {
            kind: one for kind, one in self.statements.items() if kind[0] != provider
        }

    def said(self, registry: Registry, at: datetime) -> Mapping[str, Sequence[Candidate]]:
        """Return by field what providers say, each in its newest document about its latest time.

        Of what one provider says in several documents the first counts that the registry names.

        Args:
            registry: The fields.
            at: The moment, UTC, not before any of the documents.
        """
        found: dict[str, dict[str, tuple[Statement, Said]]] = {}
        for statement in self.statements.values():
            for one in _newest(registry, statement):
                of_field = found.setdefault(one.value.field, {})
                other = of_field.get(statement.provider)
                if other is None or _before(registry, one.value.field, statement, other[0]):
                    of_field[statement.provider] = statement, one
        return {
            name: [
                candidate
                for statement, one in of_field.values()
                for candidate in _candidates(statement, one, at)
            ]
            for name, of_field in found.items()
        }

    def _others(self, provider: str) -> Sequence[Statement]:
        return [one for (name, _), one in self.statements.items() if name != provider]


def _newest(registry: Registry, statement: Statement) -> Collection[Said]:
    """Return what a document says of each field, in the field's period, about the latest time."""
    newest: dict[str, Said] = {}
    for one in statement.said:
        rule = registry.fields.get(one.value.field)
        if rule is None or rule.period != one.value.period:
            continue
        known = newest.get(one.value.field)
        if known is None or _later(one, known):
            newest[one.value.field] = one
    return newest.values()


def _before(registry: Registry, name: str, of_one: Statement, other: Statement) -> bool:
    """Return whether the registry names a document before another for a field."""
    found = registry.fields[name].sources.items()
    documents = [
        one.document for client, sources in found if client == of_one.client for one in sources
    ]
    places = {document: place for place, document in reversed([*enumerate(documents)])}
    last = len(documents)
    return places.get(of_one.document, last) < places.get(other.document, last)


def _later(one: Said, other: Said) -> bool:
    ends = one.value.period_end, other.value.period_end
    return ends[0] is not None and (ends[1] is None or ends[0] > ends[1])


def _candidates(statement: Statement, one: Said, at: datetime) -> list[Candidate]:
    found = [_candidate(statement, one, at)]
    if (earlier := one.instead) is not None:
        value = earlier.value
        found.append(
            Candidate(
                provider=statement.provider,
                client=statement.client,
                value=value.value,
                currency=value.currency,
                period_end=value.period_end,
                filed_at=value.filed_at,
                fetched_at=earlier.fetched_at,
                confirmed_at=earlier.confirmed_at,
                lasts=statement.lasts,
                snapshot=earlier.snapshot,
                found_at=value.found_at,
            )
        )
    return found


def _candidate(statement: Statement, one: Said, at: datetime) -> Candidate:
    value = one.value
    return Candidate(
        provider=statement.provider,
        client=statement.client,
        value=value.value,
        currency=value.currency,
        period_end=value.period_end,
        filed_at=value.filed_at,
        fetched_at=statement.fetched_at,
        confirmed_at=statement.confirmed_at(at),
        lasts=statement.lasts,
        snapshot=statement.snapshot,
        found_at=value.found_at,
        held=one.held,
    )
