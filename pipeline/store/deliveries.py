"""Writing what a provider delivered: one delivery, one transaction.

What belongs here: bars, quarantine, failures and coverage, written together or not at all. Bars of
minutes that were answered before go through `merging`. Which bars are credible was decided before
(`pipeline.quality`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.types.json import Jsonb
from psycopg.types.multirange import Multirange

from pipeline.intervals import Interval
from pipeline.quality import RefusedBar
from pipeline.settling import Settling
from pipeline.store import failures
from pipeline.store.copying import copy_rows, with_constant
from pipeline.store.merging import Merged, merge
from pipeline.store.ranges import from_multirange, to_multirange


@dataclass(frozen=True, slots=True)
class Delivery:
    """Answers of one provider for part of one listing's month.

    Attributes:
        listing_id: The listing.
        month: First day of the month.
        answered: The minutes that were properly answered, all in that month.
        bars: The credible bars, with `BAR_SCHEMA`, in order of time, all inside `answered`.
        refused: Delivered rows that are not credible.
        failed: Ranges without a proper answer, the minutes of refused rows among them.
        received_at: When the last of the answers came, UTC.
        settling: When the answered minutes are asked again.
    """

    listing_id: int
    month: date
    answered: tuple[Interval, ...]
    bars: pa.Table
    refused: tuple[RefusedBar, ...]
    failed: tuple[failures.Failure, ...]
    received_at: datetime
    settling: Settling


_LOCK_COVERAGE = """
SELECT answered && %(answered)s::tstzmultirange, open FROM ledger.coverage
WHERE listing_id = %(listing)s AND month = %(month)s FOR UPDATE
"""

# A sound answer is newer than what was refused for the same minutes.
_FORGET_REFUSED = """
DELETE FROM ledger.refused_delivery
WHERE listing_id = %(listing)s AND month = %(month)s AND accepted_at IS NULL
  AND answered && %(answered)s::tstzmultirange
"""

_EXTEND_COVERAGE = """
UPDATE ledger.coverage
SET answered = answered + %(answered)s::tstzmultirange,
    settled = settled
        + %(answered)s::tstzmultirange * tstzmultirange(tstzrange(NULL, %(settled_before)s)),
    unavailable = unavailable - %(answered)s::tstzmultirange,
    bars = bars + %(inserted)s - %(extended)s,
    extended = extended + %(extended)s,
    judged = judged AND %(inserted)s = 0 AND %(answered)s::tstzmultirange <@ answered,
    updated_at = now()
WHERE listing_id = %(listing)s AND month = %(month)s
"""

# Rows of delays that the provider no longer has go, and so does what is settled.
_EXTEND_CHECKED = """
WITH gone AS (
    DELETE FROM ledger.settling WHERE listing_id = %(listing)s AND month = %(month)s
    RETURNING delay, checked
), step AS (
    SELECT delay, coalesce(gone.checked, '{}')
           + %(answered)s::tstzmultirange * tstzmultirange(tstzrange(NULL, before))
           - settled AS checked
    FROM ledger.coverage
    CROSS JOIN unnest(%(delays)s::interval[], %(before)s::timestamptz[]) AS asked(delay, before)
    LEFT JOIN gone USING (delay)
    WHERE listing_id = %(listing)s AND month = %(month)s
)
INSERT INTO ledger.settling (listing_id, month, delay, checked)
SELECT %(listing)s, %(month)s, delay, checked FROM step WHERE NOT isempty(checked)
"""


def commit(connection: psycopg.Connection, delivery: Delivery, *, believe: bool = False) -> Merged:
    """Store one delivery in one transaction. Doing it again changes nothing.

    Where nothing was answered before, the bars go straight into the month's table; else they are
    compared with the stored ones first, and bars that differ are replaced, the old values kept as
    revisions.

    Args:
        connection: An open connection.
        delivery: What was delivered.
        believe: Store it however much it contradicts what is stored.

    Returns:
        How many bars are new and how many were revised.

    Raises:
        ContradictoryDelivery: Too many stored bars come back different; nothing was stored.
    """
    table = _month_table(connection, delivery.month)
    with connection.transaction():
        month = lock_month(connection, delivery)
        if month.answered_before:
            _copy(connection, delivery, _staging(connection))
            result = merge(
                connection,
                delivery.listing_id,
                delivery.answered,
                month.open,
                delivery.received_at,
                believe=believe,
            )
        else:
            _copy(connection, delivery, table)
            extended = delivery.bars.num_rows - _number_within(delivery.bars, month.open)
            result = Merged(inserted=delivery.bars.num_rows, extended=extended, revised=0)
        connection.execute(_FORGET_REFUSED, _key(delivery))
        failures.clear(connection, delivery.listing_id, to_multirange(delivery.answered))
        for failure in delivery.failed:
            failures.record(connection, delivery.listing_id, failure, delivery.received_at)
        quarantine(connection, delivery)
        _extend_coverage(connection, delivery, result)
    return result


def _month_table(connection: psycopg.Connection, month: date) -> sql.Identifier:
    # In a transaction of its own, so that other writers do not wait for our bars.
    with connection.transaction():
        row = connection.execute("SELECT ledger.ensure_bars_month(%s)", [month]).fetchone()
    return sql.Identifier("ledger", str(row[0]) if row else "bars_1m")


@dataclass(frozen=True, slots=True)
class LockedMonth:
    """A listing and month that nobody else writes until the transaction ends.

    Attributes:
        answered_before: Whether minutes of the delivery were answered before.
        open: The minutes in which bars are expected.
    """

    answered_before: bool
    open: Multirange[datetime]


def lock_month(connection: psycopg.Connection, delivery: Delivery) -> LockedMonth:
    """Keep others from writing a delivery's listing and month until the transaction ends."""
    connection.execute(
        "INSERT INTO ledger.coverage (listing_id, month) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        [delivery.listing_id, delivery.month],
    )
    row = connection.execute(_LOCK_COVERAGE, _key(delivery)).fetchone()
    return LockedMonth(*row) if row else LockedMonth(answered_before=False, open=Multirange())


def _staging(connection: psycopg.Connection) -> sql.Identifier:
    connection.execute("CREATE TEMP TABLE delivered (LIKE ledger.bars_1m) ON COMMIT DROP")
    return sql.Identifier("delivered")


def _copy(connection: psycopg.Connection, delivery: Delivery, table: sql.Identifier) -> None:
    listing = pa.scalar(delivery.listing_id, pa.int32())
    copy_rows(connection, table, with_constant(delivery.bars, "listing_id", listing))


def quarantine(connection: psycopg.Connection, delivery: Delivery) -> None:
    """Keep the rows of a delivery that are not credible."""
    rows = [
        (delivery.listing_id, refused.rule, Jsonb(_jsonable(refused.bar)), delivery.received_at)
        for refused in delivery.refused
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO ledger.quarantine (listing_id, rule, bar, refused_at)
            VALUES (%s, %s, %s, %s)
            """,
            rows,
        )


def _jsonable(bar: dict[str, Any]) -> dict[str, Any]:
    """JSON knows neither moments nor NaN and infinities: they become text."""
    return {
        name: value if isinstance(value, int | str | None) else _text(value)
        for name, value in bar.items()
    }


def _text(value: datetime | float) -> str | float:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value - value == 0 else str(value)


def _number_within(bars: pa.Table, minutes: Multirange[datetime]) -> int:
    """Return how many bars, which are in order of time, lie in some minutes."""
    stamps = bars["ts"].cast(pa.int64()).to_numpy()
    edges = [
        int(edge.timestamp()) * 1_000_000
        for piece in from_multirange(minutes)
        for edge in (piece.start, piece.end)
    ]
    positions = np.searchsorted(stamps, edges)
    return int((positions[1::2] - positions[::2]).sum())


def _extend_coverage(connection: psycopg.Connection, delivery: Delivery, merged: Merged) -> None:
    late = delivery.settling.answered_late(delivery.received_at)
    key = _key(delivery)
    counts = {"inserted": merged.inserted, "extended": merged.extended}
    connection.execute(_EXTEND_COVERAGE, key | {"settled_before": late[-1]} | counts)
    steps = {"delays": list(delivery.settling.delays[:-1]), "before": list(late[:-1])}
    connection.execute(_EXTEND_CHECKED, key | steps)


def _key(delivery: Delivery) -> dict[str, object]:
    return {
        "listing": delivery.listing_id,
        "month": delivery.month,
        "answered": to_multirange(delivery.answered),
    }
