"""Windows that overlap: what agrees merges in silence, what is stamped an hour late is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipeline.reports import MonthReport
from pipeline.store import refusals
from pipeline.store.coverage import coverage
from pipeline.store.database import Database
from pipeline.store.revisions import RefusedDelivery, refused_deliveries
from pipeline.store.server import EmbeddedServer
from tests.conftest import new_database
from tests.making import at
from tests.realdata import bittrex
from tests.realdata.bittrex import JANUARY, NOVEMBER
from tests.realdata.habits import Called, bearable, called
from tests.realdata.ledgers import Recording, fill, venue_of
from tests.realdata.published import Bars
from tests.realdata.reading import query, stored

HOUR = timedelta(hours=1)
IN_BOTH = [key for key, files in NOVEMBER.items() if len(files) == 2]
FEBRUARY = at("2018-02-01")

Reports = dict[str, list[MonthReport]]
"""Listing to what the download of each of its months did."""


@dataclass
class Asked:
    """A ledger whose markets were asked for twice, and what that did."""

    database: Database
    first: Reports
    second: Reports
    called: list[Called]


def ask(database: Database, recordings: list[Recording], now: datetime) -> Reports:
    """Ask for everything that there is, also for what was settled, as of some time."""
    with venue_of(recordings, now) as venue:
        reports = fill(database, venue, recordings, now, again=True)
    keys = {report.listing.key for report in reports}
    return {key: [one for one in reports if one.listing.key == key] for key in keys}


@pytest.fixture(scope="module")
def november(shared_database: Database, market_data: Path) -> Asked:
    early = {key: NOVEMBER[key][:1] for key in IN_BOTH}
    first = ask(shared_database, bittrex.recordings(market_data, early), at("2017-11-14T23:05"))
    everything = bittrex.recordings(market_data, NOVEMBER)
    second = ask(shared_database, everything, at("2017-11-18T08:40"))
    return Asked(shared_database, first, second, called(shared_database, "Bittrex 2017-11"))


@pytest.mark.parametrize("key", IN_BOTH)
def test_windows_that_agree_merge_without_a_revision_and_lose_nothing(
    november: Asked, market_data: Path, key: str
) -> None:
    first, second = (bittrex.bars(market_data, [file]) for file in NOVEMBER[key])
    common = first.keys() & second.keys()
    assert len(common) > 7_000
    assert stored(november.database, key) == {**first, **second}
    (earlier,), (later,) = november.first[key], november.second[key]
    assert earlier.complete
    assert later.complete
    assert (earlier.inserted, later.inserted) == (len(first), len(second) - len(common))
    assert later.revised == 0


def test_merging_leaves_no_revision_and_no_minute_unexplained(november: Asked) -> None:
    assert query(november.database, "SELECT * FROM market.revisions") == []
    with november.database.connect() as connection:
        rows = coverage(connection)
    assert len(rows) == len(NOVEMBER)
    assert all(row.adds_up and row.expected == row.bars + row.empty for row in rows)


@dataclass
class Refused:
    """January's ledger after the files that are an hour late."""

    asked: Asked
    deliveries: dict[str, RefusedDelivery]
    before: dict[str, Bars]
    late: dict[str, Bars]


@pytest.fixture(scope="module")
def january(server: EmbeddedServer, migrated_template: str, market_data: Path) -> Iterator[Refused]:
    on_time = {key: files[:1] for key, files in JANUARY.items()}
    with new_database(server, migrated_template) as database:
        first = ask(database, bittrex.recordings(market_data, on_time), at("2018-01-30T05:00"))
        counted = called(database, "Bittrex 2018-01")
        before = {key: stored(database, key) for key in JANUARY}
        recordings = bittrex.recordings(market_data, JANUARY)
        second = ask(database, recordings, at("2018-02-04T17:00"))
        with database.connect() as connection:
            kept = {one.listing: one for one in refused_deliveries(connection)}
        late = {key: bittrex.bars(market_data, files[1:]) for key, files in JANUARY.items()}
        yield Refused(Asked(database, first, second, counted), kept, before, late)


@pytest.mark.parametrize("key", JANUARY)
def test_a_window_stamped_an_hour_late_is_refused_whole_with_its_explanation(
    january: Refused, market_data: Path, key: str
) -> None:
    report, _ = january.asked.second[key]
    assert not report.complete
    assert {failure.error for failure in report.failures} == {"ContradictoryDelivery"}
    assert stored(january.asked.database, key) == january.before[key]
    assert january.before[key] == bittrex.bars(market_data, JANUARY[key][:1])
    late = january.late[key]
    hour_late = sum(late.get(ts + HOUR) == bar for ts, bar in january.before[key].items())
    assert hour_late > 4_900
    said = f"a shift of +60 minutes would explain {hour_late} of {len(january.before[key])} bars"
    assert january.deliveries[key].explanation == said
    assert said in report.explain()


def test_no_minute_of_a_refused_window_is_unexplained(january: Refused) -> None:
    with january.asked.database.connect() as connection:
        rows = coverage(connection)
    assert query(january.asked.database, "SELECT * FROM market.revisions") == []
    assert len(rows) == 2 * len(JANUARY)
    assert all(row.adds_up for row in rows)


@pytest.mark.parametrize("key", JANUARY)
def test_what_such_a_feed_has_of_a_month_without_stored_bars_is_not_believed_either(
    january: Refused, key: str
) -> None:
    _, report = january.asked.second[key]
    assert not report.complete
    assert report.inserted == 0
    number = january.deliveries[key].id
    assert f"while refused delivery {number} contradicts what is stored" in report.explain()
    assert max(stored(january.asked.database, key)) < FEBRUARY


def test_a_refused_window_can_be_accepted_and_the_bars_before_it_stay_as_revisions(
    january: Refused,
) -> None:
    key, database = "ADA-BTC", january.asked.database
    with database.connect() as connection:
        connection.autocommit = True
        refusals.accept(connection, january.deliveries[key].id, at("2018-02-05"))
    before, late = january.before[key], january.late[key]
    told = {ts: bar for ts, bar in late.items() if ts < FEBRUARY}
    assert stored(database, key) == {**before, **told}
    replaced = {ts: bar for ts, bar in before.items() if ts >= min(late) and late.get(ts) != bar}
    rows = query(
        database,
        "SELECT ts, old_open, old_high, old_low, old_close, old_volume FROM market.revisions"
        " WHERE listing = %s",
        key,
    )
    assert {ts: tuple(old) for ts, *old in rows} == replaced


def test_quiet_minutes_are_not_often_called_broken(november: Asked, january: Refused) -> None:
    for one in (*november.called, *january.asked.called):
        assert one.unconfirmed <= bearable(one.silences)
