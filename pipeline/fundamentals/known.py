"""What is known of an instrument at a moment: the newest documents, and what follows from them.

What belongs here: the way from documents to candidates. A document that is no longer the newest of
its kind says nothing any more, but for the values that stand in for held ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.fundamentals.canaries import Said, Statement, confirmed, watched
from pipeline.fundamentals.candidates import Candidate
from pipeline.fundamentals.registry import Registry

Kind = tuple[str, str]
"""Provider and document."""


@dataclass(slots=True)
class Known:
    """The newest usable document of each kind about one instrument."""

    statements: dict[Kind, Statement] = field(default_factory=dict)

    def learn(self, registry: Registry, new: Statement) -> Sequence[Statement]:
        """Take in a document that is newer than all of its kind.

        Returns:
            The documents of which other values are held now than before: the new one among them.
        """
        kind = (new.provider, new.document)
        before = self.statements.get(kind)
        self.statements[kind] = watched(registry, new, before, self._others(new.provider))
        changed = [kind]
        for other, statement in self.statements.items():
            if other != kind:
                free = confirmed(statement, self._others(statement.provider))
                if free is not statement:
                    self.statements[other] = free
                    changed.append(other)
        return [self.statements[one] for one in changed]

    def forget(self, provider: str) -> None:
        """Leave out a provider that is no longer asked about the instrument."""
        self.statements = {k: one for k, one in self.statements.items() if k[0] != provider}

    def said(self, registry: Registry, at: datetime) -> Mapping[str, Sequence[Candidate]]:
        """Return by field what providers say, each in its newest document about its latest time.

        Args:
            registry: The fields.
            at: The moment, UTC, not before any of the documents.
        """
        found: dict[str, list[Candidate]] = {}
        for statement in self.statements.values():
            newest: dict[str, Said] = {}
            for one in statement.said:
                known = newest.get(one.value.field)
                if known is None or _later(one, known):
                    newest[one.value.field] = one
            for name, one in newest.items():
                if name in registry.fields:
                    found.setdefault(name, []).extend(_candidates(statement, one, at))
        return found

    def _others(self, provider: str) -> Sequence[Statement]:
        return [one for (name, _), one in self.statements.items() if name != provider]


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
        confirmed_at=min(statement.confirmed_at, at),
        lasts=statement.lasts,
        snapshot=statement.snapshot,
        found_at=value.found_at,
        held=one.held,
    )
