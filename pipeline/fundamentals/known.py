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
    Kind,
    Said,
    Statement,
    confirmed,
    newest_of,
    watched,
)
from pipeline.fundamentals.candidates import Candidate
from pipeline.fundamentals.memory import Memory
from pipeline.fundamentals.registry import Registry


@dataclass(slots=True)
class Known:
    """The newest usable document of each kind about one instrument.

    What a provider said by a symbol that it is not asked by at a moment does not count then, and is
    not forgotten: it may be asked by that again.

    Attributes:
        statements: The documents.
        memory: What they and those before them said.
    """

    statements: dict[Kind, Statement] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)

    def learn(self, registry: Registry, new: Statement) -> Statement:
        """Take in a document that is newer than all of its kind, and return it judged."""
        heard = partial(self.memory.of, new.kind)
        found = watched(registry, new, heard, self._others(new, new.fetched_at))
        self.statements[new.kind] = found
        self.memory.add(found)
        return found

    def set_free(self, at: datetime) -> Sequence[Statement]:
        """Set held values free that another provider states, too, by a moment.

        Returns:
            The documents in which there were any.
        """
        changed = []
        for statement in self._asked(at):
            free = confirmed(statement, self._others(statement, at), at)
            if free is not statement:
                self.statements[free.kind] = free
                self.memory.add(free)
                changed.append(free)
        return changed

    def said(self, registry: Registry, at: datetime) -> Mapping[str, Sequence[Candidate]]:
        """Return by field what providers say, each in its newest document about its latest time.

        Of what one provider says in several documents the first counts that the registry names,
        and one that was not confirmed for long only where there is no other.

        Args:
            registry: The fields.
            at: The moment, UTC, not before any of the documents.
        """
        found: dict[str, dict[str, tuple[Statement, Said]]] = {}
        for statement in self._asked(at):
            for (name, period), one in newest_of(statement).items():
                if name not in registry.fields or registry.fields[name].period != period:
                    continue
                of_field = found.setdefault(name, {})
                other = of_field.get(statement.provider)
                if other is None or _turn(registry, name, statement, one, at) < _turn(
                    registry, name, *other, at
                ):
                    of_field[statement.provider] = statement, one
        confirmed = {one.kind: one.confirmed_at(at) for one in self.statements.values()}
        return {
            name: [
                candidate
                for statement, one in of_field.values()
                for candidate in _candidates(statement, one, confirmed[statement.kind])
            ]
            for name, of_field in found.items()
        }

    def _asked(self, at: datetime) -> list[Statement]:
        return [one for one in self.statements.values() if one.counts(at)]

    def _others(self, than: Statement, at: datetime) -> Sequence[Statement]:
        return [one for one in self._asked(at) if one.provider != than.provider]


def _turn(
    registry: Registry, name: str, of_one: Statement, said: Said, at: datetime
) -> tuple[bool, int, str]:
    """Return what a provider's documents are ordered by, if several tell of a field."""
    found = registry.fields[name].sources.items()
    documents = [
        one.document for client, sources in found if client == of_one.client for one in sources
    ]
    known = of_one.document in documents
    place = documents.index(of_one.document) if known else len(documents)
    return of_one.has_lapsed(said.value, at), place, of_one.document


def _candidates(statement: Statement, one: Said, confirmed_at: datetime) -> list[Candidate]:
    """Return what a document says, and what stands in for it if it is held."""
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
        period=value.period,
        period_end=value.period_end,
        filed_at=value.filed_at,
        fetched_at=where.fetched_at,
        confirmed_at=where.confirmed_at,
        lasts=statement.lasts,
        document=statement.document,
        snapshot=where.snapshot,
        found_at=value.found_at,
        held=held,
    )
