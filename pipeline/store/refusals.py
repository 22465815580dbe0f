"""Deliveries that contradicted too many stored bars: kept as they came, until somebody decides.

What belongs here: keeping them and accepting them. That they are refused is decided in `merging`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import psycopg
import pyarrow as pa

from pipeline.intervals import MINUTE, Interval
from pipeline.settling import Settling
from pipeline.store import failures
from pipeline.store.deliveries import Delivery, commit, lock_month, quarantine
from pipeline.store.merging import ContradictoryDelivery, Merged
from pipeline.store.ranges import from_multirange, to_multirange

# One that came before with the same bars keeps its number, so that who has seen it can accept it.
_REPLACE = """
WITH gone AS (
    DELETE FROM ledger.refused_delivery
    WHERE listing_id = %(listing)s AND month = %(month)s AND accepted_at IS NULL
      AND answered && %(answered)s::tstzmultirange
      AND (answered, bars) IS DISTINCT FROM (%(answered)s::tstzmultirange, %(bars)s)
)
INSERT INTO ledger.refused_delivery
    (listing_id, month, answered, received_at, delays, delivered, compared, contradicting,
     explanation, bars)
SELECT %(listing)s, %(month)s, %(answered)s::tstzmultirange, %(received_at)s, %(delays)s,
       %(delivered)s, %(compared)s, %(contradicting)s, %(explanation)s, %(bars)s
WHERE NOT EXISTS (
    SELECT FROM ledger.refused_delivery
    WHERE listing_id = %(listing)s AND month = %(month)s AND accepted_at IS NULL
      AND (answered, bars) = (%(answered)s::tstzmultirange, %(bars)s))
"""

_SELECT = """
SELECT listing_id, month, answered, received_at, delays, bars
FROM ledger.refused_delivery WHERE id = %s
"""

_ACCEPT = """
UPDATE ledger.refused_delivery SET accepted_at = %(now)s
WHERE id = %(number)s AND accepted_at IS NULL
"""


# A stamp shift or another market's data is in all that a feed sends; restated history is not.
_DOUBT = """
SELECT id, month, answered,
       coalesce(explanation, contradicting || ' of ' || compared || ' stored bars')
FROM ledger.refused_delivery
WHERE listing_id = %s AND accepted_at IS NULL
  AND (explanation IS NOT NULL OR 2 * contradicting >= compared)
ORDER BY received_at DESC, id DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why nothing new is believed of a listing for now.

    Attributes:
        number: The refused delivery.
        month: First day of its month.
        last: The end of what it answered, to be asked again: when that agrees with what is stored,
            the doubt is over.
        reason: What it contradicts, or what would explain it.
    """

    number: int
    month: date
    last: Interval
    reason: str

    def __str__(self) -> str:
        return (
            f"nothing new is believed while refused delivery {self.number} contradicts what is "
            f"stored ({self.reason}); correct the provider's stamps or symbol, or `minuteledger "
            f"revisions accept {self.number}`"
        )


class NoSuchDelivery(Exception):
    """There is no refused delivery of that number."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"there is no refused delivery {number}; a newer answer for the same minutes may have "
            "taken its place: `minuteledger revisions` lists those that there are"
        )


def keep(
    connection: psycopg.Connection, delivery: Delivery, error: ContradictoryDelivery
) -> tuple[failures.Failure, ...]:
    """Keep a refused delivery, in place of earlier ones of the same minutes.

    Nothing of it is stored: its minutes failed, and are asked for again. The minutes that failed
    beside it are recorded, too.

    Returns:
        The failures that this leaves for the minutes it answers.
    """
    refused = tuple(
        failures.Failure(interval, type(error).__name__, str(error), retryable=True)
        for interval in delivery.answered
    )
    with connection.transaction():
        lock_month(connection, delivery)
        connection.execute(_REPLACE, _row(delivery, error))
        for failure in (*refused, *delivery.failed):
            failures.record(connection, delivery.listing_id, failure, delivery.received_at)
        quarantine(connection, delivery)
    return refused


def doubt(connection: psycopg.Connection, listing_id: int, minutes: int) -> Doubt | None:
    """Return what makes a listing's whole feed doubtful, if anything; `last` is at most so long."""
    row = connection.execute(_DOUBT, [listing_id]).fetchone()
    if row is None:
        return None
    number, month, answered, reason = row
    last = from_multirange(answered)[-1]
    start = max(last.start, last.end - minutes * MINUTE)
    return Doubt(number, month, Interval(start, last.end), reason)


def accept(connection: psycopg.Connection, number: int, now: datetime) -> Merged:
    """Store a refused delivery exactly as it was kept; doing it again changes nothing.

    Stored bars that it contradicts are kept as revisions, and its minutes have not failed any more.

    Raises:
        NoSuchDelivery: It is not there, or not any more.
    """
    with connection.transaction():
        delivery = _delivery(connection, number)
        lock_month(connection, delivery)
        _delivery(connection, number)  # Another delivery may have come before the lock.
        if not connection.execute(_ACCEPT, {"number": number, "now": now}).rowcount:
            return Merged(inserted=0, revised=0)
        return commit(connection, delivery, believe=True)


def listing_of(connection: psycopg.Connection, number: int) -> int:
    """Return the number of the listing of a refused delivery.

    Raises:
        NoSuchDelivery: It is not there, or not any more.
    """
    return _delivery(connection, number).listing_id


def _row(delivery: Delivery, error: ContradictoryDelivery) -> dict[str, object]:
    return {
        "listing": delivery.listing_id,
        "month": delivery.month,
        "answered": to_multirange(delivery.answered),
        "received_at": delivery.received_at,
        "delays": list(delivery.settling.delays),
        "delivered": delivery.bars.num_rows,
        "compared": error.compared,
        "contradicting": error.contradicting,
        "explanation": error.explanation,
        "bars": _packed(delivery.bars),
    }


def _packed(bars: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, bars.schema, options=options) as stream:
        stream.write_table(bars.combine_chunks())
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def _delivery(connection: psycopg.Connection, number: int) -> Delivery:
    row = connection.execute(_SELECT, [number]).fetchone()
    if row is None:
        raise NoSuchDelivery(number)
    listing_id, month, answered, received_at, delays, bars = row
    return Delivery(
        listing_id=listing_id,
        month=month,
        answered=tuple(from_multirange(answered)),
        bars=pa.ipc.open_stream(bars).read_all(),
        refused=(),
        failed=(),
        received_at=received_at,
        settling=Settling(tuple(delays)),
    )
