"""A year as Bitfinex published it, through everything: `minuteledger backfill` to the last bar.

One backfill by real Dagster processes over an embedded PostgreSQL of its own (a minute on two
cores), and a second one over the same months. The tests look at what they left.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.coverage import CoverageRow, coverage
from pipeline.store.database import Database
from pipeline.store.ranges import from_multirange
from pipeline.store.server import EmbeddedServer
from tests.folders import new_folder
from tests.making import at, span
from tests.realdata import published
from tests.realdata.published import Bars
from tests.realdata.reading import query, stored, versions
from venue import VenueProcess

pytestmark = pytest.mark.long

MARKETS = {
    "BTC-USD": [f"BTCUSD/Candles_1m/{year}/merged.csv.gz" for year in (2015, 2016)],
    "LTC-USD": ["LTCUSD/Candles_1m/2013/raw"],
}
UNIVERSE = """
start: 2015-11-01
providers:
  bitfinex:
    base_url: {url}/bitfinex
    limits: {{requests: 1000, seconds: 1}}
instruments:
  BTC-USD:
    class: crypto_spot
    listings: {{bitfinex: {{symbol: BTC/USD, end: 2016-10-01}}}}
  LTC-USD:
    class: crypto_spot
    listings: {{bitfinex: {{symbol: LTC/USD, start: 2013-05-01, end: 2013-06-01}}}}
"""
START, END = at("2015-11-01"), at("2016-10-01")
MONTHS = 11 + 1  # of bitcoin and of litecoin
HALT = span("2016-08-02T18:03", "2016-08-10T15:53")
PATIENCE = 1200.0


@dataclass
class Home:
    """A user's home folder, the commands given in it, and the ledger in it."""

    folder: Path
    venue: VenueProcess

    @property
    def server(self) -> EmbeddedServer:
        return EmbeddedServer(self.folder / "postgres")

    @property
    def database(self) -> Database:
        return Database(self.server)

    def backfill(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Give the command as a user does; nothing of our environment reaches it."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MINUTELEDGER_", "DAGSTER_"))
        }
        return subprocess.run(
            [Path(sys.executable).with_name("minuteledger"), "backfill", "--wait", *options],
            env=kept | {"MINUTELEDGER_HOME": str(self.folder)},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def coverage(self, listing: str) -> list[CoverageRow]:
        with self.database.connect() as connection:
            return coverage(connection, "bitfinex", [listing])

    def answered(self, listing: str, month: str) -> Any:
        ((ranges,),) = query(
            self.database,
            """
            SELECT c.answered FROM ledger.coverage c JOIN ledger.listing l ON l.id = c.listing_id
            WHERE l.key = %s AND c.month = %s
            """,
            listing,
            f"{month}-01",
        )
        return from_multirange(ranges)


@pytest.fixture(scope="module")
def home(bitfinex: VenueProcess) -> Iterator[Home]:
    """A home in which the backfill has been done."""
    folder = new_folder()
    folder.chmod(0o755)  # the server's account has to reach it when the tests run as root
    home = Home(folder, bitfinex)
    (folder / "universe.yaml").write_text(UNIVERSE.format(url=bitfinex.url))
    try:
        ended = home.backfill()
        said = ended.stdout + ended.stderr
        assert ended.returncode == 0, said
        assert f"bitfinex {MONTHS}/{MONTHS}" in said
        yield home
    finally:
        home.server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def bitcoin(market_data: Path) -> Bars:
    """The published bars of the months that the universe wants."""
    return published.between(published.merged(market_data, "BTCUSD", 2015, 2016), START, END)


@pytest.fixture(scope="module")
def litecoin(market_data: Path) -> dict[datetime, Bars]:
    """The published bodies of May 2013."""
    return published.bodies(market_data, "LTCUSD", "2013/05")


def test_every_bar_of_a_year_is_stored_as_it_was_published_and_no_other(
    home: Home, bitcoin: Bars
) -> None:
    found = stored(home.database, "BTC-USD")
    assert len(bitcoin) == 287_506
    assert published.differences(found, bitcoin) == []
    assert found == bitcoin


def test_what_bitfinex_does_not_publish_is_null(home: Home) -> None:
    ((others,),) = query(home.database, "SELECT count(vwap) + count(trades) FROM ledger.bars_1m")
    assert others == 0


def test_each_month_counts_as_many_bars_as_the_file_and_the_rest_as_empty(
    home: Home, bitcoin: Bars
) -> None:
    bars = Counter(ts.date().replace(day=1) for ts in bitcoin)
    rows = home.coverage("BTC-USD")
    assert {row.month: row.bars for row in rows} == {row.month: bars[row.month] for row in rows}
    assert [row.month for row in rows] == [date(2015, 11, 1), date(2015, 12, 1)] + [
        date(2016, month, 1) for month in range(1, 10)
    ]
    for row in rows:
        assert row.adds_up
        assert row.failed == row.unavailable == row.pending == 0
        assert row.settled == row.expected == row.bars + row.empty
        assert row.percent == 100.0
    assert sum(row.expected for row in rows) * published.MINUTE == END - START


@pytest.mark.parametrize(("month", "bars"), [("2016-04", 1), ("2016-05", 0)])
def test_the_months_that_bitfinex_lost_are_answered_and_empty(
    home: Home, month: str, bars: int
) -> None:
    whole = span(f"{month}-01", f"2016-{int(month[-2:]) + 1:02}-01")
    assert home.answered("BTC-USD", month) == [whole]
    found = published.between(stored(home.database, "BTC-USD"), whole.start, whole.end)
    # One bar is left of the two months, at their very first minute.
    assert list(found) == [whole.start][:bars]


def test_the_halt_is_answered_and_has_no_bar(home: Home) -> None:
    found = stored(home.database, "BTC-USD")
    (august,) = home.answered("BTC-USD", "2016-08")
    assert august.intersection(HALT) == HALT
    assert published.between(found, HALT.start, HALT.end) == {}
    # It is exactly as long as it was: the minutes around it have their bars.
    assert {HALT.start - published.MINUTE, HALT.end} <= set(found)


@pytest.mark.parametrize("month", ["2016/04", "2016/08"])
def test_the_stored_bars_are_those_of_the_bodies_that_bitfinex_sent(
    home: Home, market_data: Path, month: str
) -> None:
    sent = published.bodies(market_data, "BTCUSD", month)
    bars = {ts: bar for body in sent.values() for ts, bar in body.items()}
    first, end = min(sent), max(sent) + published.BODY_SPAN
    found = published.between(stored(home.database, "BTC-USD"), first, end)
    assert published.differences(found, bars) == []


def test_every_bar_of_litecoins_first_days_is_stored_as_it_was_sent_and_no_other(
    home: Home, litecoin: dict[datetime, Bars]
) -> None:
    sent = {ts: bar for body in litecoin.values() for ts, bar in body.items()}
    assert len(sent) == 86
    assert stored(home.database, "LTC-USD") == sent


def test_what_was_answered_by_nothing_is_covered_or_lies_before_the_first_trade(
    home: Home, litecoin: dict[datetime, Bars]
) -> None:
    first = min(ts for body in litecoin.values() for ts in body)
    (covered,) = home.answered("LTC-USD", "2013-05")
    assert (covered.start, covered.end) == (first, at("2013-06-01"))
    silent = [start for start, body in litecoin.items() if not body]
    assert len(silent) == 326
    for start in silent:
        end = start + published.BODY_SPAN
        assert end <= first or covered.start <= start < end <= covered.end
    (row,) = home.coverage("LTC-USD")
    assert row.adds_up
    assert (row.bars, row.empty) == (86, (covered.end - first) // published.MINUTE - 86)
    assert row.failed == row.unavailable == row.pending == 0


def test_a_second_backfill_of_all_asks_for_nothing_and_writes_no_row(home: Home) -> None:
    before = versions(home.database)
    assert before["bars_1m"][0] == 287_506 + 86
    home.venue.clear_requests()
    ended = home.backfill("--all")
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert f"bitfinex {MONTHS}/{MONTHS}" in said
    assert home.venue.requests()["requests"] == []
    assert versions(home.database) == before
