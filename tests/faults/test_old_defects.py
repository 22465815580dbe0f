"""Defects of the systems that this one replaces, proved absent; docs/old-defects.md lists them all.

What belongs here: those that no other test proves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg
import pytest
from pydantic import ValidationError

from pipeline.download import Downloader
from pipeline.gaps import judge
from pipeline.intervals import MINUTE, Interval
from pipeline.opening import options_of
from pipeline.providers.alpaca_client import AlpacaProvider
from pipeline.providers.table import CAPABILITIES
from pipeline.reports import MonthReport
from pipeline.settling import Settling
from pipeline.store.coverage import coverage
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.limits import LedgerLimiter
from pipeline.store.listings import listings, sync_universe
from pipeline.store.queries import false_sums
from pipeline.store.reasons import gaps
from pipeline.universe import Universe
from tests.faults.conftest import DAY, HASTE, Drill
from tests.making import at, bars, span
from venue import VenueProcess

ROOT: Final = Path(__file__).resolve().parents[2]
on_coinbase = pytest.mark.parametrize("drill", ["coinbase"], indirect=True)


def asked_during(drill: Drill) -> list[Interval]:
    """Return the windows that the venue was asked for since it last forgot."""

    def moment(ms: int) -> datetime:
        return datetime.fromtimestamp(ms // 60_000 * 60, UTC)

    return [Interval(moment(one["start"]), moment(one["stop"] + 59_998)) for one in drill.asked()]


@on_coinbase
def test_a_daily_update_that_overwrote_the_whole_history_is_absent(drill: Drill) -> None:
    rows = partial(drill.query, "SELECT ts, xmin::text, ctid::text FROM ledger.bars_1m ORDER BY ts")
    noon = DAY.start + timedelta(hours=12)
    drill.download(now=lambda: noon)
    history = rows()
    answered_until = drill.answered()[-1].end
    assert len(history) > 600
    drill.venue.clear_requests()
    # No settling check is due yet, so only the new part of the day is of interest.
    report = drill.download(now=lambda: noon + timedelta(minutes=30))
    assert report.inserted > 0
    assert rows()[: len(history)] == history  # the same rows, not even written again
    assert all(answered_until <= one.start for one in asked_during(drill))
    drill.download()
    assert rows()[: len(history)] == history
    assert drill.stored() == drill.truth()


@on_coinbase
def test_a_gap_recorded_as_starting_at_the_bar_after_it_and_never_filled_is_absent(
    drill: Drill,
) -> None:
    drill.download(now=lambda: DAY.start + timedelta(minutes=5))  # learns markets and first trade
    lost = Interval(at("2024-03-10T10:00"), at("2024-03-10T10:30"))
    bounds = {"from": 1_710_064_800_000, "to": 1_710_066_600_000}
    drill.venue.post_fault("server_error", exchange=drill.exchange, **bounds)
    drill.download()
    with drill.database.connect() as connection:
        (gap,) = [one for one in gaps(connection) if one.reason == "failed"]
    assert gap.since <= lost.start
    assert gap.before >= lost.end
    stored = drill.stored()
    missing = sorted(set(drill.truth()) - set(stored))
    # All that is missing lies in the gap, and nothing of it is there.
    assert missing
    assert {ts for ts in drill.truth() if gap.since <= ts < gap.before} == set(missing)
    assert {gap.since - MINUTE, gap.before} <= {
        minute
        for piece in drill.answered()
        for minute in (piece.start + n * MINUTE for n in range(piece.minutes))
    }

    drill.venue.clear_faults()
    drill.venue.clear_requests()
    drill.download(now=lambda: at("2024-05-01") + timedelta(hours=8))
    first, *more = sorted(asked_during(drill))
    assert (first.start, max([first, *more]).end) == (gap.since, gap.before)
    assert drill.stored() == drill.truth()
    with drill.database.connect() as connection:
        assert [one for one in gaps(connection) if one.reason == "failed"] == []


@on_coinbase
def test_any_stored_row_that_counted_as_full_coverage_is_absent(drill: Drill) -> None:
    minute = Interval(at("2024-03-10T12:00"), at("2024-03-10T12:01"))
    month = DAY.start.date().replace(day=1)
    with drill.database.connect() as connection:
        commit(
            connection,
            Delivery(
                listing_id=drill.listing.id,
                month=month,
                answered=(minute,),
                bars=bars(minute),
                refused=(),
                failed=(),
                received_at=at("2024-05-01"),
                settling=Settling((timedelta(days=1),)),
            ),
        )
    row = drill.coverage()
    assert (row.bars, row.pending) == (1, DAY.minutes - 1)
    drill.download()
    true = drill.truth()
    assert {ts: true[ts] for ts in true if ts != minute.start} == {
        ts: values for ts, values in drill.stored().items() if ts != minute.start
    }
    assert drill.coverage().pending == 0


@on_coinbase
def test_a_failed_insert_that_counted_as_done_is_absent(drill: Drill) -> None:
    with drill.database.connect() as connection:
        connection.execute(
            """
            CREATE FUNCTION ledger.refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'no bar is taken today'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON ledger.bars_1m
                FOR EACH ROW EXECUTE FUNCTION ledger.refuse()
            """
        )
    with pytest.raises(psycopg.errors.RaiseException, match="no bar is taken today"):
        drill.download()
    row = drill.coverage()
    assert (row.bars, row.empty, row.pending) == (0, 0, DAY.minutes)
    assert drill.answered() == []
    with drill.database.connect() as connection:
        connection.execute("DROP FUNCTION ledger.refuse CASCADE")
    assert drill.download().complete
    assert drill.stored() == drill.truth()


@on_coinbase
def test_a_database_error_that_counted_as_no_gaps_is_absent(drill: Drill) -> None:
    with drill.database.connect() as connection:
        connection.execute("DROP TABLE ledger.coverage CASCADE")
    with drill.database.connect() as connection:
        for ask in (
            partial(gaps, connection),
            partial(coverage, connection),
            partial(judge, connection, "coinbase", [drill.listing.id], sends_quiet_minutes=False),
            drill.download,
        ):
            with pytest.raises(psycopg.Error):
                ask()
            connection.rollback()


# Weeks of New York: in winter, its evenings are the next day of UTC.
WINTER, SUMMER = span("2024-01-08", "2024-01-13T12:00"), span("2024-07-08", "2024-07-13T12:00")
NEW_YORK = ZoneInfo("America/New_York")


@dataclass
class Seasons:
    """Two stocks of the venue: one that trades in every minute of its hours, and a quiet one."""

    venue: VenueProcess
    database: Database
    universe: Universe

    def download(self) -> list[MonthReport]:
        """Download January and July."""
        options = options_of(self.universe, "alpaca")
        with (
            LedgerLimiter(self.database, "alpaca") as limiter,
            closing(AlpacaProvider("alpaca", options, limiter=limiter)) as provider,
            Downloader(self.database, provider, patience=HASTE) as downloader,
        ):
            with self.database.connect() as connection:
                both = listings(connection, "alpaca")
            return [
                report
                for month in (date(2024, 1, 1), date(2024, 7, 1))
                for report in downloader.download_together(both, month)
            ]

    def week(self, key: str, week: Interval) -> list[tuple[datetime, bool]]:
        """Return the time of each bar, and whether it is marked as of extended hours."""
        with self.database.connect() as connection:
            return connection.execute(
                "SELECT ts, extended FROM market.bars_1m"
                " WHERE listing = %s AND ts >= %s AND ts < %s ORDER BY ts",
                [key, week.start, week.end],
            ).fetchall()


@pytest.fixture(scope="module")
def stocks() -> Iterator[VenueProcess]:
    stock = {"listed_at": "2023-06-01T13:30:00Z", "price": 100, "volume": 900}
    markets = {
        "BUSY": {**stock, "quiet": 0, "quiet_extended": 0},
        "CALM": {**stock, "quiet": 0.3, "quiet_extended": 0.95},
    }
    section = {"requests_per_second": 0, "markets": markets}
    with VenueProcess({"exchanges": {"alpaca": section}}) as running:
        yield running


@pytest.fixture
def seasons(stocks: VenueProcess, database: Database, monkeypatch: pytest.MonkeyPatch) -> Seasons:
    for name in CAPABILITIES["alpaca"].keys:
        monkeypatch.setenv(name, "k")
    document: dict[str, Any] = {
        "start": WINTER.start,
        "providers": {
            "alpaca": {
                "base_url": f"{stocks.url}/alpaca",
                "limits": {"requests": 10_000, "seconds": 1},
            }
        },
        "instruments": {
            key: {
                "class": "equity",
                "listings": {"alpaca": {"symbol": key, "end": SUMMER.end}},
            }
            for key in ("BUSY", "CALM")
        },
    }
    universe = Universe.model_validate(document)
    with database.connect() as connection:
        sync_universe(connection, universe)
    return Seasons(stocks, database, universe)


def test_a_session_filter_on_utc_times_that_lost_minutes_by_the_season_is_absent(
    seasons: Seasons,
) -> None:
    assert all(report.complete for report in seasons.download())
    for week in (WINTER, SUMMER):
        found = seasons.week("BUSY", week)
        assert len(found) == 5 * 960
        clocks = [(ts.astimezone(NEW_YORK).time(), extended) for ts, extended in found]
        assert min(clocks)[0] == time(4)
        assert max(clocks)[0] == time(19, 59)
        assert all(extended == (not time(9, 30) <= clock < time(16)) for clock, extended in clocks)
        assert sum(not extended for _, extended in clocks) == 5 * 390
    with seasons.database.connect() as connection:
        rows = [row for row in coverage(connection, "alpaca") if row.month.month in {1, 7}]
        assert false_sums(connection) == []
    assert all(row.adds_up for row in rows)
    assert all(row.bars == row.expected for row in rows if row.listing == "BUSY")


def test_nights_weekends_and_quiet_minutes_that_were_gaps_at_every_run_are_absent(
    seasons: Seasons,
) -> None:
    assert all(report.complete for report in seasons.download())
    with seasons.database.connect() as connection:
        rows = [row for row in coverage(connection, "alpaca") if row.month.month in {1, 7}]
        left = {gap.reason for gap in gaps(connection) if gap.since.month in {1, 7}}
    assert sum(row.empty for row in rows) > 1000  # quiet, and known to be
    assert all((row.pending, row.failed) == (0, 0) for row in rows)
    assert not left & {"failed", "history_limit"}
    seasons.venue.clear_requests()
    assert all(report.complete for report in seasons.download())
    assert [one for one in seasons.venue.requests()["requests"] if one["symbol"]] == []


def test_a_month_in_capitals_that_became_one_minute_is_absent() -> None:
    def lag(text: str) -> timedelta | None:
        document = {
            "start": "2024-01-01",
            "providers": {"kraken": {"lag": text}},
            "instruments": {},
        }
        return Universe.model_validate(document).providers["kraken"].lag

    assert lag("1m") == timedelta(minutes=1)
    with pytest.raises(ValidationError, match="'1M', which is no delay"):
        lag("1M")


def test_every_proof_that_is_named_exists() -> None:
    text = (ROOT / "docs" / "old-defects.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)
    assert len(named) > 15
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text(), f"{file} has no {name}"
    proofs = {name for file, name in named if file == "tests/faults/test_old_defects.py"}
    own = set(re.findall(r"def (test_\w+_absent)\(", Path(__file__).read_text()))
    assert proofs == own
