"""The combined fundamentals in the ledger, and their history.

What belongs here: the statements, each about many instruments at once. What follows from what is
`pipeline.fundamentals`'. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from pipeline.fundamentals.candidates import Judged
from pipeline.fundamentals.combining import Combined
from pipeline.fundamentals.registry import Registry
from pipeline.store.snapshots import columns

_COLUMNS: Final[LiteralString] = """
instrument_id, field, since, number, words, day, currency, period, period_end, filed_at,
provider, rule, state, spread, snapshot_id, found_at, stands_in, lasts, candidates
"""
_OPEN: Final = sql.SQL(
    "SELECT {} FROM ledger.fundamental WHERE before IS NULL AND instrument_id = ANY(%s)"
).format(sql.SQL(_COLUMNS))
_COPY: Final = sql.SQL("COPY ledger.fundamental ({}) FROM STDIN").format(sql.SQL(_COLUMNS))
_NEVER_WERE: Final = """
DELETE FROM ledger.fundamental
WHERE (instrument_id, field) IN (SELECT * FROM unnest(%(ids)s::integer[], %(fields)s::text[]))
  AND before IS NULL AND since = %(at)s
"""
_END: Final = """
UPDATE ledger.fundamental SET before = %(at)s
WHERE (instrument_id, field) IN (SELECT * FROM unnest(%(ids)s::integer[], %(fields)s::text[]))
  AND before IS NULL
"""
_ROWS: Final = """
SELECT f.* FROM ledger.fundamentals_at(%s) f LEFT JOIN ledger.field d ON d.name = f.field
WHERE f.instrument = %s ORDER BY d.place, f.field
"""
Row = Mapping[str, Any]
"""A row of `market.fundamentals_fields`, by column."""
_OF_SNAPSHOT: Final = ("snapshot", "fetched_at", "found_at")
"""What tells of a candidate where it was first said, and not what."""
_SAID: Final = ("provider", "document", "value", "currency", "period_end", "filed_at")
"""What tells of a candidate what was said, and in which document, however often that came."""


def write_combined(
    connection: psycopg.Connection,
    registry: Registry,
    found: Mapping[int, Sequence[Combined]],
    at: datetime,
) -> Collection[int]:
    """Store what follows from what is known of instruments from a moment on.

    Rows that say the same as before are left alone: they tell where it was first said.

    Args:
        connection: An open connection.
        registry: The fields.
        found: What was combined, by instrument; all fields of each.
        at: The moment, UTC, not before the newest row of any of the instruments began.

    Returns:
        The instruments of which something is otherwise than before.
    """
    before = {
        (row[0], row[1]): row for row in connection.execute(_OPEN, [list(found)], binary=True)
    }
    over: list[Sequence[Any]] = []
    new: list[tuple[Any, ...]] = []
    for instrument, rows in found.items():
        for one in rows:
            old = before.pop((instrument, one.field), None)
            row = _row(registry, instrument, one, at, old)
            if old is not None and _same(row, old):
                continue
            over += [] if old is None else [old]
            new.append(row)
    over += before.values()
    _end_rows(connection, over, at)
    with connection.cursor() as cursor, cursor.copy(_COPY) as stream:
        for row in new:
            stream.write_row((*row[:-1], Jsonb(row[-1])))
    return {row[0] for row in (*over, *new)}


def _end_rows(connection: psycopg.Connection, rows: Sequence[Sequence[Any]], at: datetime) -> None:
    """End rows at a moment; one that began at that moment never was."""
    for statement, over in (
        (_NEVER_WERE, [row for row in rows if row[2] >= at]),
        (_END, [row for row in rows if row[2] < at]),
    ):
        if over:
            ids, fields = [row[0] for row in over], [row[1] for row in over]
            connection.execute(statement, {"ids": ids, "fields": fields, "at": at})


def _row(
    registry: Registry,
    instrument: int,
    one: Combined,
    at: datetime,
    old: Sequence[Any] | None,
) -> tuple[Any, ...]:
    """Return a row, which keeps where each word was first said if it was said before.

    What stands in for a held value leads to where it was last said: nobody has confirmed it since.
    """
    said = [_told(judged) for judged in one.candidates]
    holding = {entry["provider"] for entry in said if entry["verdict"] == "held"}
    if old is not None:
        firsts = {_words(entry): entry for entry in old[-1]}
        for entry in said:
            if entry["verdict"] == "held" or entry["provider"] not in holding:
                entry.update(_first(firsts.get(_words(entry))))
    won = one.won
    place = next((entry for entry in said if entry["verdict"] == "won"), None)
    stands_in = won is not None and won.provider in holding
    return (
        instrument,
        one.field,
        at,
        *columns(one.value),
        won and won.currency,
        registry.fields[one.field].period,
        won and won.period_end,
        won and won.filed_at,
        one.provider,
        one.rule,
        one.state,
        one.spread,
        place and place["snapshot"],
        place and place["found_at"],
        stands_in,
        won and won.lasts,
        said,
    )


def _told(judged: Judged) -> dict[str, Any]:
    one = judged.candidate
    entry: dict[str, Any] = {
        "provider": one.provider,
        "value": _json(one.value),
        "fetched_at": one.fetched_at.isoformat(),
        "document": one.document,
        "snapshot": one.snapshot,
        "found_at": one.found_at,
        "verdict": judged.verdict,
    }
    if one.currency is not None:
        entry["currency"] = one.currency
    if one.period_end is not None:
        entry["period_end"] = one.period_end.isoformat()
    if one.filed_at is not None:
        entry["filed_at"] = one.filed_at.isoformat()
    if judged.why:
        entry["why"] = judged.why
    if judged.compared is not None and judged.compared != one.value:
        entry["compared"] = _json(judged.compared)
    return entry


def _json(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value


def _words(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(entry.get(name) for name in _SAID)


def _first(entry: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if entry is None else {name: entry[name] for name in _OF_SNAPSHOT}


def _same(row: Sequence[Any], old: Sequence[Any]) -> bool:
    """Return whether a row says what another says, whenever it began."""
    return tuple(row[:2]) == tuple(old[:2]) and tuple(row[3:]) == tuple(old[3:])


def lock(connection: psycopg.Connection, instrument_id: int) -> None:
    """Keep others from combining an instrument until the transaction ends."""
    connection.execute(
        "SELECT FROM ledger.instrument WHERE id = %s FOR NO KEY UPDATE", [instrument_id]
    )


def lock_named(connection: psycopg.Connection, instrument: str) -> int:
    """Keep others from combining an instrument, by its key, and return its number."""
    ((number,),) = connection.execute(
        "SELECT id FROM ledger.instrument WHERE key = %s FOR NO KEY UPDATE", [instrument]
    )
    return int(number)


def newest_moment(
    connection: psycopg.Connection, instrument_ids: Collection[int]
) -> datetime | None:
    """Return when the newest row of any of some instruments began; None without one."""
    ((found,),) = connection.execute(
        """
        SELECT max(since) FROM ledger.fundamental
        WHERE instrument_id = ANY(%s) AND before IS NULL
        """,
        [list(instrument_ids)],
    )
    moment: datetime | None = found
    return moment


def forget(connection: psycopg.Connection, instrument_id: int, since: datetime) -> None:
    """Take back what was combined of an instrument, and held, from a moment on."""
    row = {"instrument": instrument_id, "since": since}
    connection.execute(
        """
        DELETE FROM ledger.fundamental
        WHERE instrument_id = %(instrument)s AND since >= %(since)s
        """,
        row,
    )
    connection.execute(
        """
        UPDATE ledger.fundamental SET before = NULL
        WHERE instrument_id = %(instrument)s AND before >= %(since)s
        """,
        row,
    )
    # What was free only from then on was held before, and what came then is not judged yet.
    connection.execute(
        """
        UPDATE ledger.snapshot_value v
        SET held = CASE WHEN s.fetched_at < %(since)s THEN v.was_held END,
            instead = CASE WHEN s.fetched_at < %(since)s THEN v.was_instead END,
            instead_end = CASE WHEN s.fetched_at < %(since)s THEN v.was_instead_end END,
            freed_at = NULL, was_held = NULL, was_instead = NULL, was_instead_end = NULL
        FROM ledger.snapshot s JOIN ledger.subject u ON u.id = s.subject_id
        WHERE v.snapshot_id = s.id AND u.instrument_id = %(instrument)s
          AND (s.fetched_at >= %(since)s AND coalesce(v.held, v.was_held) IS NOT NULL
               OR v.freed_at >= %(since)s)
        """,
        row,
    )


def combined_rows(connection: psycopg.Connection, instrument: str, at: datetime) -> Sequence[Row]:
    """Return what was combined of an instrument at a moment, in the order of the registry."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_ROWS, [at, instrument]).fetchall()
