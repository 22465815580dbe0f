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
from pipeline.store import statements as documents
from pipeline.store.rates import stored_rates

_AT_ONCE = 50
"""Instruments that are combined together; more would take more memory, and longer."""


def follow(
    connection: psycopg.Connection,
    registry: Registry,
    instrument_id: int,
    since: datetime,
    strategy: str | None,
) -> int:
    """Work out one instrument's history anew from a moment on, inside the caller's transaction.

    Args:
        connection: An open connection.
        registry: The fields.
        instrument_id: The instrument.
        since: When the first snapshot that was added or read anew was fetched, UTC.
        strategy: The name of a strategy instead of each field's own; None for these.

    Returns:
        How many rows were written.
    """
    store.lock(connection, instrument_id)
    moments = set(store.forget(connection, instrument_id, since))
    rates = stored_rates(connection)
    known = documents.known_before(connection, instrument_id, since)
    statements = deque(documents.statements_since(connection, instrument_id, since))
    left = deque(documents.left_since(connection, instrument_id, since))
    moments |= documents.heard_since(connection, instrument_id, since)
    moments |= {one.fetched_at for one in statements} | {moment for _, moment in left}
    written = 0
    for at in sorted(moments):
        while left and left[0][1] <= at:
            known.forget(left.popleft()[0])
        while statements and statements[0].fetched_at <= at:
            documents.hold(connection, [known.learn(registry, statements.popleft())], at)
        documents.hold(connection, known.set_free(at), at)
        found = combine(registry, known.said(registry, at), at, strategy=strategy, rates=rates)
        written += store.write_combined(connection, registry, {instrument_id: found}, at)
    return written


def recombine(
    connection: psycopg.Connection,
    registry: Registry,
    instrument_ids: Sequence[int],
    at: datetime,
    strategy: str | None,
) -> int:
    """Combine anew what is known of instruments now: by another strategy, or as time has passed.

    Args:
        connection: An open connection, outside of a transaction.
        registry: The fields.
        instrument_ids: The instruments.
        at: The present, UTC.
        strategy: As for `follow`.

    Returns:
        How many rows were written.
    """
    rates = stored_rates(connection)
    return sum(
        _recombine(
            connection,
            registry,
            instrument_ids[i : i + _AT_ONCE],
            at,
            strategy=strategy,
            rates=rates,
        )
        for i in range(0, len(instrument_ids), _AT_ONCE)
    )


def _recombine(
    connection: psycopg.Connection,
    registry: Registry,
    instrument_ids: Collection[int],
    at: datetime,
    *,
    strategy: str | None,
    rates: Rates,
) -> int:
    with connection.transaction():
        for number in sorted(instrument_ids):
            store.lock(connection, number)
        # No row may end before it began, whatever the clocks of those say who wrote it.
        at = max(at, store.newest_moment(connection, instrument_ids) or at)
        found = {
            number: combine(registry, known.said(registry, at), at, strategy=strategy, rates=rates)
            for number, known in documents.known(connection, instrument_ids, at).items()
        }
        return store.write_combined(connection, registry, found, at)
