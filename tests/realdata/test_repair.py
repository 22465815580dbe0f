"""A repair asks for exactly what is missing, and for no more than a page holds besides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.asking import Patience
from pipeline.intervals import Interval, floor_minute
from pipeline.reports import MonthReport
from pipeline.store.coverage import CoverageRow, coverage
from pipeline.store.database import Database
from tests.making import at, span
from tests.realdata import published
from tests.realdata.ledgers import Recording, fill, venue_of
from tests.realdata.published import Bars
from tests.realdata.reading import gaps, query, stored
from venue import VenueProcess

NOW = at("2017-06-01")
LIFE = span("2016-07-15", "2016-08-15")
# Bitfinex answers 10,000 minutes at once: these are the second page of July and the last of August.
UNANSWERED = span("2016-07-21T22:40", "2016-07-28T21:20")
SPOILED = span("2016-08-14T21:20", "2016-08-15")
HALT = span("2016-08-02T18:03", "2016-08-10T15:53")
ONCE = Patience(attempts=1)


@pytest.fixture(scope="module")
def bitcoin(market_data: Path) -> Recording:
    file = market_data / published.FOLDER / "BTCUSD/Candles_1m/2016/merged.csv.gz"
    return Recording("BTC-USD", [file], LIFE)


@pytest.fixture(scope="module")
def truth(market_data: Path) -> Bars:
    bars = published.merged(market_data, "BTCUSD", 2016)
    return published.between(bars, LIFE.start, LIFE.end)


@pytest.fixture
def venue(bitcoin: Recording) -> Iterator[VenueProcess]:
    with venue_of([bitcoin], NOW) as venue:
        yield venue


def failed(database: Database) -> list[Interval]:
    rows = query(
        database, "SELECT since, before FROM market.gaps WHERE state = 'failed' ORDER BY since"
    )
    return [Interval(*row) for row in rows]


def asked(venue: VenueProcess) -> list[Interval]:
    """Return the windows that were asked for since the venue last forgot them."""
    return sorted(
        Interval(moment(one["start"]), floor_minute(moment(one["stop"] + 59_999)))
        for one in venue.requests()["requests"]
        if one["symbol"]
    )


def rows(database: Database) -> list[CoverageRow]:
    with database.connect() as connection:
        return coverage(connection)


def complete(reports: list[MonthReport]) -> bool:
    return all(report.complete for report in reports)


def moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def break_down(venue: VenueProcess, kind: str, within: Interval, **options: str) -> None:
    """Let the answers about an interval go wrong."""
    start, end = (int(edge.timestamp()) * 1000 for edge in (within.start, within.end))
    venue.post_fault(kind, **{"from": start, "to": end}, **options)


def test_failed_gaps_begin_and_end_with_what_is_missing_and_a_repair_asks_for_just_that(
    database: Database, venue: VenueProcess, bitcoin: Recording, truth: Bars
) -> None:
    begun = replace(bitcoin, life=Interval(LIFE.start, UNANSWERED.start))
    assert complete(fill(database, venue, [begun], NOW))
    break_down(venue, "server_error", UNANSWERED)
    break_down(venue, "bad_values", SPOILED, variant="nan")
    reports = fill(database, venue, [bitcoin], NOW, patience=ONCE)
    assert not all(report.complete for report in reports)

    spoiled = [ts for ts in sorted(truth) if ts in SPOILED][::5]
    minutes = [Interval(ts, ts + published.MINUTE) for ts in spoiled]
    assert len(minutes) > 10
    assert failed(database) == [UNANSWERED, *minutes]
    for row in rows(database):
        assert row.adds_up
    assert sum(row.failed for row in rows(database)) == UNANSWERED.minutes + len(minutes)

    venue.clear_faults()
    venue.clear_requests()
    reports = fill(database, venue, [bitcoin], NOW, patience=ONCE)
    assert complete(reports)
    # The spoiled minutes lie within one page: what is between them comes with them for nothing.
    assert asked(venue) == [UNANSWERED, Interval(minutes[0].start, minutes[-1].end)]
    assert failed(database) == []
    assert stored(database, "BTC-USD") == truth
    found = {Interval(gap.since, gap.before): gap.reason for gap in gaps(database, "BTC-USD", LIFE)}
    assert [(gap.start, gap.end) for gap in found] == published.silences(
        truth, LIFE.start, LIFE.end
    )
    assert found[HALT] == "halt"
    assert all(row.settled == row.expected for row in rows(database))


def test_a_page_that_was_cut_short_leaves_out_nothing(
    database: Database, venue: VenueProcess, bitcoin: Recording, truth: Bars
) -> None:
    venue.post_fault("short_page", every=2)
    assert complete(fill(database, venue, [bitcoin], NOW))
    assert any(one["faults"] for one in venue.requests()["requests"])
    assert stored(database, "BTC-USD") == truth
