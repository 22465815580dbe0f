"""The history of what is combined: worked out from the snapshots on, whenever some are added.

What belongs here: the order of the steps. A snapshot that is added late, as by an import, changes
what was known from its time on, and nothing before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from datetime import datetime

import psycopg

from pipeline.fundamentals.candidates import Rates
from pipeline.fundamentals.combining import combine
from pipeline.fundamentals.registry import Registry
from pipeline.store import fundamentals as store
from pipeline.store import recombinations
from pipeline.store import statements as documents
from pipeline.store.rates import stored_rates
from pipeline.store.recombinations import Strategies

_AT_ONCE = 50
"""Instruments that are combined together; more would take more memory, and longer."""


def follow(
    connection: psycopg.Connection, registry: Registry, instrument_id: int, since: datetime
) -> None:
    """Work out one instrument's history anew from a moment on, inside the caller's transaction.

    It follows from the documents, from who was asked and by which strategy was combined at each
    time, and from when it was combined anew in between; not from the order in which all that came.

    Args:
        connection: An open connection.
        registry: The fields.
        instrument_id: The instrument.
        since: When the first snapshot that was added or read anew was fetched, UTC.
    """
    store.lock(connection, instrument_id)
    since, anew = recombinations.moments(connection, instrument_id, since)
    store.forget(connection, instrument_id, since)
    rates, strategies = stored_rates(connection), recombinations.strategies(connection)
    known = documents.known_before(connection, instrument_id, since)
    statements = deque(documents.statements_since(connection, instrument_id, since))
    heard = documents.heard_since(connection, instrument_id, since)
    for at in sorted({*anew, *heard, *(one.fetched_at for one in statements)}):
        while statements and statements[0].fetched_at <= at:
            documents.hold(connection, [known.learn(registry, statements.popleft())], at)
        documents.hold(connection, known.set_free(at), at)
        said = known.said(registry, at)
        found = combine(registry, said, at, strategy=strategies.at(at), rates=rates)
        store.write_combined(connection, registry, {instrument_id: found}, at)
    recombinations.all_done(connection, [instrument_id])


def recombine(
    connection: psycopg.Connection,
    registry: Registry,
    instrument_ids: Sequence[int],
    at: datetime,
) -> int:
    """Combine anew what was known of instruments at a moment, no earlier than anything newer.

    Args:
        connection: An open connection, outside of a transaction.
        registry: The fields.
        instrument_ids: The instruments.
        at: The moment, UTC.

    Returns:
        Of how many instruments something is otherwise than before.
    """
    rates, strategies = stored_rates(connection), recombinations.strategies(connection)
    return sum(
        _recombine(
            connection,
            registry,
            instrument_ids[i : i + _AT_ONCE],
            at,
            strategies=strategies,
            rates=rates,
        )
        for i in range(0, len(instrument_ids), _AT_ONCE)
    )


def catch_up(connection: psycopg.Connection, registry: Registry) -> None:
    """Combine anew what was noted: others are asked about it now, or another strategy is in force.

    Args:
        connection: An open connection, outside of a transaction.
        registry: The fields.
    """
    for at, instruments in recombinations.pending(connection).items():
        recombine(connection, registry, sorted(instruments), at)


def _recombine(
    connection: psycopg.Connection,
    registry: Registry,
    instrument_ids: Collection[int],
    at: datetime,
    *,
    strategies: Strategies,
    rates: Rates,
) -> int:
    with connection.transaction():
        for number in sorted(instrument_ids):
            store.lock(connection, number)
        # No row may end before it began, whatever the clocks of those say who wrote it.
        at = max(at, store.newest_moment(connection, instrument_ids) or at)
        strategy = strategies.at(at)
        found = {
            number: combine(registry, known.said(registry, at), at, strategy=strategy, rates=rates)
            for number, known in documents.known(connection, instrument_ids, at).items()
        }
        changed = store.write_combined(connection, registry, found, at)
        recombinations.done(connection, changed, at)
        recombinations.all_done(connection, instrument_ids)
    return len(changed)
