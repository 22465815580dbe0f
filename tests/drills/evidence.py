"""What a ledger holds and what a venue was asked, in a form that can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.intervals import MINUTE, Interval
from pipeline.store.coverage import coverage
from pipeline.store.database import Database
from pipeline.store.ranges import from_multirange
from tests.drills.worlds import PROVIDER, World, listing
from tests.making import milliseconds
from venue import VenueProcess

Ranges = Mapping[str, Sequence[Interval]]

_OF_THE_DATABASE = {"id", "listing_id", "updated_at"}
_OF_THE_CLOCK = {
    "refused_at",
    "seen_at",
    "first_failed_at",
    "last_failed_at",
    "next_attempt_at",
}
TABLES = (
    "bars_1m",
    "coverage",
    "settling",
    "gap",
    "bar_revision",
    "fetch_failure",
    "quarantine",
)
NEVER = 2**53


def tables(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the ledger's tables, without numbers and times that are by chance."""
    found = {}
    with database.connect() as connection:
        for table in TABLES:
            cursor = connection.execute(f"SELECT * FROM ledger.{table} LIMIT 0".encode())
            names = [column.name for column in cursor.description or []]
            kept = [name for name in names if name not in _OF_THE_DATABASE | _OF_THE_CLOCK]
            columns = ", ".join(f"t.{name}" for name in kept)
            statement = f"""
                SELECT l.key, {columns}
                FROM ledger.{table} t JOIN ledger.listing l ON l.id = t.listing_id ORDER BY t
            """
            rows = connection.execute(statement.encode()).fetchall()
            found[table] = sorted(map(_comparable, rows))
    return found


def _comparable(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        (value is None, value if isinstance(value, _ORDERED) else str(value)) for value in row
    )


_ORDERED = (float, int, datetime)


def differences(found: Mapping[str, list[Any]], expected: Mapping[str, list[Any]]) -> list[str]:
    """Return, for each table, how it differs."""
    said = []
    for table in TABLES:
        if found[table] != expected[table]:
            more, fewer = set(found[table]), set(expected[table])
            said.append(
                f"{table}: {len(found[table])} rows for {len(expected[table])}; "
                f"too many {list(more - fewer)[:2]}, too few {list(fewer - more)[:2]}"
            )
    return said


def settled(database: Database) -> dict[str, list[Interval]]:
    """Return what nobody should ask for again: settled, or failed and not due yet."""
    with database.connect() as connection:
        rows = connection.execute(
            """
            SELECT l.key, (SELECT range_agg(piece) FROM (
                SELECT unnest(settled) FROM ledger.coverage c WHERE c.listing_id = l.id
                UNION ALL SELECT during FROM ledger.fetch_failure f WHERE f.listing_id = l.id
            ) AS all_of_it(piece)) FROM ledger.listing l
            """
        ).fetchall()
    return {key: from_multirange(ranges) if ranges else [] for key, ranges in rows}


@dataclass(frozen=True, slots=True)
class Question:
    """A request for minutes that the venue answered."""

    key: str
    window: Interval
    rows: int


def asked(venue: VenueProcess, world: World) -> list[Question]:
    """Return the requests for wanted minutes since the venue last forgot; not those by which first
    trades are found, which begin before."""
    start = milliseconds(world.wanted.start)
    return [
        Question(entry["symbol"], _whole_minutes(entry["start"], entry["stop"]), entry["rows"])
        for entry in venue.requests()["requests"]
        if entry["symbol"] and entry["start"] >= start
    ]


def how_many(venue: VenueProcess) -> int:
    """Return the number of requests since the venue last forgot."""
    return int(venue.requests(NEVER)["total"])


def _whole_minutes(start_ms: int, stop_ms: int) -> Interval:
    start, stop = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (start_ms, stop_ms))
    return Interval(start, stop + (start - stop) % MINUTE)


def minutes(questions: Iterable[Question]) -> int:
    """Return how many minutes were asked for in all."""
    return sum(question.window.minutes for question in questions)


def overlaps(questions: Iterable[Question], ranges: Ranges) -> list[Question]:
    """Return the questions that share a minute with ranges."""
    return [
        question
        for question in questions
        if any(question.window.intersection(other) for other in ranges.get(question.key, []))
    ]


def new(before: Ranges, after: Ranges) -> dict[str, list[Interval]]:
    """Return the minutes that were added to ranges."""
    added: dict[str, list[Interval]] = {}
    for key, ranges in after.items():
        pieces = list(ranges)
        for old in before.get(key, []):
            pieces = [part for piece in pieces for part in _without(piece, old)]
        added[key] = pieces
    return added


def _without(whole: Interval, part: Interval) -> list[Interval]:
    if whole.intersection(part) is None:
        return [whole]
    pairs = ((whole.start, part.start), (part.end, whole.end))
    return [Interval(start, end) for start, end in pairs if start < end]


def check_truth(
    database: Database, venue: VenueProcess, world: World, spared: Sequence[Interval] = ()
) -> None:
    """Every stored bar is the venue's, and every bar of the venue is stored, outside of `spared`;
    and each minute is accounted for once."""
    for key in world.keys:
        true = _truth(venue, key, world.wanted)
        with database.connect() as connection:
            stored = {
                ts: tuple(values)
                for ts, *values in connection.execute(
                    """
                    SELECT ts, open, high, low, close, volume FROM ledger.bars_1m
                    WHERE listing_id = %s
                    """,
                    [listing(database, key).id],
                )
            }
        for found in (true, stored):
            for ts in [ts for ts in found if any(ts in piece for piece in spared)]:
                del found[ts]
        assert stored == true
    check_sums(database)


def check_sums(database: Database) -> None:
    """Each minute is accounted for once, and the bars that are accounted for are the stored ones,
    each in an answered minute."""
    with database.connect() as connection:
        assert all(row.adds_up for row in coverage(connection))
        wrong = connection.execute(
            """
            SELECT * FROM ledger.coverage c FULL JOIN (
                SELECT b.listing_id, date_trunc('month', b.ts)::date AS month, count(*) AS stored,
                       count(*) FILTER (WHERE b.ts <@ c.answered) AS answered
                FROM ledger.bars_1m b LEFT JOIN ledger.coverage c
                     ON c.listing_id = b.listing_id AND c.month = date_trunc('month', b.ts)::date
                GROUP BY 1, 2
            ) AS found USING (listing_id, month)
            WHERE (coalesce(c.bars, -1), coalesce(c.bars, -1))
                  <> (coalesce(found.stored, 0), coalesce(found.answered, 0))
            """
        ).fetchall()
        assert wrong == []


def _truth(venue: VenueProcess, key: str, wanted: Interval) -> dict[datetime, tuple[float, ...]]:
    start, end = milliseconds(wanted.start), milliseconds(wanted.end)
    columns = venue.truth(PROVIDER, key, start, end)
    values = zip(
        *(columns[name] for name in ("open", "high", "low", "close", "volume")), strict=True
    )
    stamps = (wanted.start + timedelta(milliseconds=ts - start) for ts in columns["ts"])
    return dict(zip(stamps, (tuple(map(float, row)) for row in values), strict=True))
