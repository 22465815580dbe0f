"""Whole years through the downloader: every bar, every gap to the minute, and the reasons.

One ledger. Bitcoin is downloaded and judged alone first; then the others come, and with them the
evidence for what was an outage of the exchange.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.intervals import Interval
from pipeline.store.coverage import coverage
from pipeline.store.database import Database
from tests.making import at, span
from tests.realdata import published
from tests.realdata.habits import bearable, called
from tests.realdata.ledgers import Recording, fill, venue_of
from tests.realdata.published import Bars
from tests.realdata.reading import Gap, gaps, query, stored

LATER = at("2017-06-01")
YEARS = {"BTC-USD": (2015, 2016), "ETH-USD": (2016,), "LTC-USD": (2014,)}
BARS = {"BTC-USD": 366_710 + 293_230, "ETH-USD": 85_818, "LTC-USD": 110_366}
# The longest a run is, to how many runs of bitcoin's 2015 are longer than the line before.
RUNS_OF_2015 = {1: 36_926, 2: 12_549, 5: 9_483, 15: 2_109, 60: 76, 1_440: 4, 44_640: 1}

MAY_2015 = span("2015-05-01T04:00", "2015-06-01")
SPRING_2016 = span("2016-04-01T00:01", "2016-06-01")
HALT_2016 = span("2016-08-02T18:03", "2016-08-10T15:53")


@dataclass
class Years:
    """The ledger, its gaps, what was published, and bitcoin's gaps while it was there alone."""

    database: Database
    published: dict[str, Bars]
    gaps: dict[str, list[Gap]]
    alone: list[Gap]

    def of_bitcoin(self, year: int) -> list[Gap]:
        whole = span(f"{year}-01-01", f"{year + 1}-01-01")
        return [gap for gap in self.gaps["BTC-USD"] if gap.since in whole]


def recording(folder: Path, key: str) -> Recording:
    market, years = key.replace("-", ""), YEARS[key]
    root = folder / published.FOLDER / market / "Candles_1m"
    life = span(f"{years[0]}-01-01", f"{years[-1] + 1}-01-01")
    return Recording(key, [root / str(year) / "merged.csv.gz" for year in years], life)


@pytest.fixture(scope="module")
def years(shared_database: Database, market_data: Path) -> Years:
    recordings = [recording(market_data, key) for key in YEARS]
    with venue_of(recordings, LATER) as venue:
        reports = fill(shared_database, venue, recordings[:1], LATER)
        alone = gaps(shared_database, "BTC-USD", recordings[0].life)
        reports += fill(shared_database, venue, recordings, LATER)
    assert [report.explain() for report in reports if not report.complete] == []
    bars = {key: published.merged(market_data, key.replace("-", ""), *YEARS[key]) for key in YEARS}
    found = {one.key: gaps(shared_database, one.key, one.life) for one in recordings}
    return Years(shared_database, bars, found, alone)


everywhere = pytest.mark.parametrize("key", YEARS)


@everywhere
def test_the_bars_are_those_that_were_published(years: Years, key: str) -> None:
    found, bars = stored(years.database, key), years.published[key]
    assert found == bars, published.differences(found, bars)
    assert len(found) == BARS[key]


@everywhere
def test_the_gaps_are_the_runs_of_minutes_that_the_files_leave_out(years: Years, key: str) -> None:
    bars, end = years.published[key], at(f"{YEARS[key][-1] + 1}-01-01")
    # What lies before the first trade is not expected.
    runs = published.silences(bars, min(bars), end)
    assert [(gap.since, gap.before) for gap in years.gaps[key]] == runs
    assert all(gap.minutes * published.MINUTE == gap.before - gap.since for gap in years.gaps[key])


def test_the_gaps_of_bitcoins_2015_are_as_long_as_is_known(years: Years) -> None:
    limits = list(RUNS_OF_2015)
    lengths = [gap.minutes for gap in years.of_bitcoin(2015)]
    assert Counter(limits[bisect_left(limits, length)] for length in lengths) == RUNS_OF_2015
    assert sum(lengths) == 158_890


def test_the_gaps_of_bitcoins_2016_are_as_long_as_is_known(years: Years) -> None:
    found = years.of_bitcoin(2016)
    longest = sorted(found, key=lambda gap: -gap.minutes)[:2]
    assert [Interval(gap.since, gap.before) for gap in longest] == [SPRING_2016, HALT_2016]
    assert HALT_2016.minutes == 11_390
    # The file ends with the minute 23:58; one more is silent.
    assert sum(gap.minutes for gap in found) == 233_809 + 1


@everywhere
def test_the_minutes_of_each_month_add_up(years: Years, key: str) -> None:
    with years.database.connect() as connection:
        rows = coverage(connection, listings=[key])
    silent = query(
        years.database,
        "SELECT month, minutes, quiet_minutes + outage_minutes + halt_minutes, judged"
        " FROM market.silences WHERE listing = %s ORDER BY month",
        key,
    )
    bars = Counter(ts.date().replace(day=1) for ts in years.published[key])
    assert {row.month: row.bars for row in rows if row.bars} == bars
    for row in rows:
        assert row.adds_up
        assert (row.failed, row.unavailable, row.pending) == (0, 0, 0)
        assert row.settled == row.expected
    assert silent == [(row.month, row.empty, row.empty, True) for row in rows]
    assert sum(row.expected for row in rows) * published.MINUTE == (
        at(f"{YEARS[key][-1] + 1}-01-01") - min(years.published[key])
    )


def reasons(found: list[Gap], *wanted: Interval) -> list[str]:
    """Return the reasons of gaps that are exactly these intervals."""
    by_interval = {Interval(gap.since, gap.before): gap.reason for gap in found}
    return [by_interval[interval] for interval in wanted]


def test_bitcoin_alone_was_halted_whenever_it_had_no_bar_for_days(years: Years) -> None:
    known = (MAY_2015, SPRING_2016, HALT_2016)
    assert reasons(years.alone, *known) == ["halt", "halt", "halt"]
    days = [gap for gap in years.alone if gap.minutes > 24 * 60]
    assert len(days) == len(known)


def test_what_ether_missed_at_the_same_minutes_was_an_outage(years: Years) -> None:
    found = years.gaps["BTC-USD"]
    # In 2015 nobody else was asked.
    assert reasons(found, MAY_2015, SPRING_2016, HALT_2016) == ["halt", "outage", "outage"]
    for gap in found:
        if gap.reason == "outage":
            assert "silent together with ETH-USD" in (gap.evidence or "")
    of_ether = {gap.reason for gap in years.gaps["ETH-USD"] if gap.minutes > 24 * 60}
    assert of_ether == {"outage"}


def test_litecoin_is_quiet_most_of_the_time_and_never_called_broken(years: Years) -> None:
    last = max(years.published["LTC-USD"])
    found = years.gaps["LTC-USD"]
    assert {gap.reason for gap in found if gap.since < last} == {"no_trade"}
    # From the last bar of the file on there is nothing for forty days.
    assert [gap.reason for gap in found if gap.since > last] == ["halt"]


def test_quiet_minutes_are_not_often_called_broken(years: Years) -> None:
    broken_in_truth = {"BTC-USD": 1, "ETH-USD": 0, "LTC-USD": 1}
    for one in called(years.database, "Bitfinex 2014 to 2016"):
        assert one.silences == len(years.gaps[one.listing])
        assert one.unconfirmed - broken_in_truth[one.listing] <= bearable(one.silences)
