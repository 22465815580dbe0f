"""Combining what four providers say of 5,000 instruments, and hearing one word about one of them.

The floor of combining is a bare SQL read of the values that it is made of.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg

from benchmarks.figures import Figure
from benchmarks.setting import fresh_database, timed
from pipeline.fundamentals.fields import MONEY, Field
from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.values import Parsed, Value
from pipeline.snapshots.history import follow, recombine
from pipeline.store.database import Database
from pipeline.store.fields import sync_fields
from pipeline.store.snapshots import Fetched, columns, keep
from pipeline.store.subjects import subjects

INSTRUMENTS, FEW, FIELDS, ROUNDS, CHANGES = 5000, 10, 40, 3, 30
_TO_FLOOR, _TO_FEW = 20.0, 1.5
_DOCUMENTS: Final = {
    "fmp": ("income-statement", "ratios-ttm"),
    "yahoo": ("fundamentals-timeseries", "quoteSummary"),
    "alpha_vantage": ("INCOME_STATEMENT", "OVERVIEW"),
    "ibkr": ("ReportSnapshot", "ReportSnapshot"),
}
_HEARD, _YEAR_END = datetime(2025, 2, 1, tzinfo=UTC), date(2024, 9, 28)
_CHANGED: Final = """
WITH heard AS (
    SELECT s.id, u.instrument_id, s.xmin FROM ledger.snapshot s JOIN ledger.subject u
    ON u.id = s.subject_id),
touched AS (
    SELECT instrument_id FROM ledger.fundamental WHERE xmin = %(transaction)s::xid
    UNION ALL SELECT instrument_id FROM heard WHERE xmin = %(transaction)s::xid
    UNION ALL SELECT instrument_id FROM ledger.snapshot_value v JOIN heard ON id = snapshot_id
    WHERE v.xmin = %(transaction)s::xid)
SELECT count(*) FROM touched WHERE instrument_id <> %(instrument)s
"""
_VALUES: Final = """
COPY ledger.snapshot_value (snapshot_id, field, period, period_end, number, words, day, currency,
                            found_at) FROM STDIN
"""
_FLOOR: Final = """
SELECT u.instrument_id, u.provider, s.document, s.fetched_at, s.last_seen_at, v.*
FROM ledger.subject u JOIN ledger.snapshot s ON s.subject_id = u.id
JOIN ledger.snapshot_value v ON v.snapshot_id = s.id
"""


def run() -> Iterator[Figure]:
    """Measure, and yield the figures."""
    with fresh_database() as many, fresh_database() as few:
        stored = [_stocked(many, INSTRUMENTS), _stocked(few, FEW)]
        yield from _of_all(stored[0])
        recombine(stored[1], registry(), _ids(stored[1]), _HEARD)
        yield from _of_one(*stored)
        for connection in stored:
            connection.close()


def _stocked(database: Database, instruments: int) -> psycopg.Connection:
    """Return a connection to a ledger in which providers have said all about some instruments."""
    connection = database.connect()
    sync_fields(connection, registry())
    connection.execute(
        "INSERT INTO ledger.instrument (key, asset_class, method)"
        " SELECT 'S' || n, 'equity', 'primary' FROM generate_series(1, %s) n",
        [instruments],
    )
    connection.execute(
        "INSERT INTO ledger.subject (instrument_id, provider, client, symbol, asked)"
        " SELECT i.id, p, p, i.key, '{(,)}' FROM ledger.instrument i, unnest(%s::text[]) p",
        [list(_DOCUMENTS)],
    )
    for provider, documents in _DOCUMENTS.items():
        connection.execute(
            "INSERT INTO ledger.snapshot"
            " (subject_id, document, fetched_at, last_seen_at, digest, payload, registry)"
            " SELECT id, d, %(at)s, %(at)s, sha256((symbol || d)::bytea), symbol, ''"
            " FROM ledger.subject, unnest(%(documents)s::text[]) d WHERE provider = %(provider)s",
            {"at": _HEARD, "documents": list(set(documents)), "provider": provider},
        )
    connection.execute(
        "INSERT INTO ledger.snapshot_check (subject_id, document, checked_at, outcome)"
        " SELECT subject_id, document, fetched_at, 'new' FROM ledger.snapshot"
    )
    _state(connection)
    connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM ANALYZE")
    return connection


def _state(connection: psycopg.Connection) -> None:
    rows = connection.execute(
        "SELECT s.id, u.instrument_id, u.provider, s.document"
        " FROM ledger.snapshot s JOIN ledger.subject u ON u.id = s.subject_id"
    ).fetchall()
    with connection.cursor() as cursor, cursor.copy(_VALUES) as copy:
        for snapshot, instrument, provider, document in rows:
            for one in _values(instrument, provider, document):
                value = (one.period, one.period_end, *columns(one.value), one.currency)
                copy.write_row((snapshot, one.field, *value, one.found_at))


def _values(instrument: int, provider: str, document: str) -> list[Value]:
    """Return what a provider says in a document: all nearly the same, and some fields not quite."""
    statements, others = _DOCUMENTS[provider]
    turn = list(_DOCUMENTS).index(provider)
    return [
        Value(
            field=name,
            value=_value(field, instrument + (turn if (instrument + place) % 3 == 0 else 0)),
            currency="USD" if field.kind in MONEY else None,
            period=field.period,
            period_end=_YEAR_END if field.period == "annual" else None,
            filed_at=None,
            found_at=f"{document}.{name}",
        )
        for place, (name, field) in enumerate(list(registry().fields.items())[:FIELDS])
        if document == (statements if field.period == "annual" else others)
    ]


def _value(field: Field, number: int) -> float | str | date:
    if field.kind == "text":
        return f"word {number}"
    if field.kind == "date":
        return date(2024, 1, 1) + timedelta(days=number % 365)
    return (1 + number % 89) / 100


def _ids(connection: psycopg.Connection) -> list[int]:
    return [number for (number,) in connection.execute("SELECT id FROM ledger.instrument")]


def _of_all(connection: psycopg.Connection) -> Iterator[Figure]:
    """Combine all from what is stored, into an empty history and over one that says the same."""
    numbers = _ids(connection)
    floor, empty, again = [], [], []
    rows = 0
    for _ in range(ROUNDS):
        connection.execute("TRUNCATE ledger.fundamental")
        floor.append(timed(lambda: connection.execute(_FLOOR, binary=True).fetchall()))
        empty.append(timed(lambda: recombine(connection, registry(), numbers, _HEARD)))
        again.append(timed(lambda: recombine(connection, registry(), numbers, _HEARD)))
    ((rows,),) = connection.execute("SELECT count(*) FROM ledger.snapshot_value")
    ((fields,),) = connection.execute("SELECT count(*) FROM ledger.fundamental")
    yield Figure(f"bare SQL read of {rows:,} values", f"{statistics.median(floor):.2f} s")
    for name, times in (("first", empty), ("again", again)):
        ratio = statistics.median(o / f for o, f in zip(times, floor, strict=True))
        yield Figure(
            f"{fields:,} fields of {len(numbers):,} instruments combined, {name} / bare read",
            f"{statistics.median(times):.1f} s, {ratio:.1f}x",
            f"<= {_TO_FLOOR:.0f}x",
            ratio <= _TO_FLOOR,
        )


def _of_one(many: psycopg.Connection, few: psycopg.Connection) -> Iterator[Figure]:
    """Hear something new about one instrument, among many and among few."""
    costs: dict[psycopg.Connection, list[float]] = {few: [], many: []}
    heard: list[dict[str, Any]] = []
    touched = 0
    for number in range(1, CHANGES + 1):
        for connection, times in costs.items():
            times.append(timed(lambda c=connection, n=number: heard.append(_hear(c, n))))  # type: ignore[misc]
        ((others,),) = many.execute(_CHANGED, heard[-1])
        touched += others
    alone, among = (statistics.median(times) * 1000 for times in costs.values())
    ratio = statistics.median(o / a for a, o in zip(*costs.values(), strict=True))
    yield Figure(f"one document about one of {FEW} instruments kept, combined", f"{alone:.1f} ms")
    yield Figure(
        f"the same of {INSTRUMENTS:,} / of {FEW}",
        f"{among:.1f} ms, {ratio:.2f}x",
        f"<= {_TO_FEW:.2f}x",
        ratio <= _TO_FEW,
    )
    yield Figure("rows that it writes of other instruments", str(touched), "0", touched == 0)


def _hear(connection: psycopg.Connection, number: int) -> dict[str, Any]:
    """Keep a new document and combine; return about which instrument, and the transaction."""
    (subject,) = subjects(connection, "fmp", [f"S{1 + number % FEW}"])
    at = _HEARD + timedelta(hours=number)
    document = _DOCUMENTS["fmp"][1]
    said = Parsed(_values(subject.instrument_id + number, "fmp", document))
    with connection.transaction():
        keep(connection, subject, Fetched(document, str(number), at, said), "benchmark")
        follow(connection, registry(), subject.instrument_id, at)
        ((transaction,),) = connection.execute("SELECT pg_current_xact_id()::xid::text")
    return {"instrument": subject.instrument_id, "transaction": transaction}
