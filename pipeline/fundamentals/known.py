"""What is known of an instrument at a moment: the newest documents, and what follows from them.

What belongs here: the way from documents to candidates. A document that is no longer the newest of
its kind says nothing any more, but for the values that stand in for held ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from pipeline.fundamentals.canaries import (
    Earlier,
    Said,
    Statement,
    confirmed,
    newest_of,
    watched,
)
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
            for (name, period), one in newest_of(statement).items():
                if name not in registry.fields or registry.fields[name].period != period:
                    continue
                of_field = found.setdefault(name, {})
                other = of_field.get(statement.provider)
                if other is None or _before(registry, name, statement, other[0]):
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


def _before(registry: Registry, name: str, of_one: Statement, other: Statement) -> bool:
    """Return whether the registry names a document before another for a field."""
    found = registry.fields[name].sources.items()
    documents = [
        one.document for client, sources in found if client == of_one.client for one in sources
    ]
    places = {document: place for place, document in reversed([*enumerate(documents)])}
    last = len(documents)
    return places.get(of_one.document, last) < places.get(other.document, last)


def _candidates(statement: Statement, one: Said, at: datetime) -> list[Candidate]:
    """Return what a document says, and what stands in for it if it is held."""
    confirmed_at = statement.confirmed_at(at)
    where = Earlier(one.value, statement.snapshot, statement.fetched_at, confirmed_at)
    found = [_candidate(statement, where, one.held)]
    if one.instead is not None:
        found.append(_candidate(statement, one.instead))
    return found


def _candidate(statement: Statement, where: Earlier, held: str | None = None) -> Candidate:
    value = where.value
    return Candidate(
        provider=statement.provider,
        client=statement.client,
        value=value.value,
        currency=value.currency,
        period_end=value.period_end,
        filed_at=value.filed_at,
        fetched_at=where.fetched_at,
        confirmed_at=where.confirmed_at,
        lasts=statement.lasts,
        snapshot=where.snapshot,
        found_at=value.found_at,
        held=held,
    )
