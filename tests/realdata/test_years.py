"""Whole years through the downloader alone: the quiet minutes are those that are known of them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.download import Downloader
from pipeline.intervals import Interval
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.ccxt_client import CcxtOptions, CcxtProvider
from pipeline.store.coverage import coverage
from pipeline.store.database import Database
from pipeline.store.listings import listings, sync_universe
from pipeline.universe import Universe
from tests.making import at
from tests.realdata import published
from tests.realdata.reading import query, stored
from venue import VenueProcess

MARKETS = {
    "BTC-USD": ["BTCUSD/Candles_1m/2015/merged.csv.gz"],
    "ETH-USD": ["ETHUSD/Candles_1m/2016/merged.csv.gz"],
    "LTC-USD": ["LTCUSD/Candles_1m/2014/merged.csv.gz"],
}


class Year(NamedTuple):
    """A market's year and what is known of it, counted without us.

    Quiet minutes have no bar and lie between the first and the last; runs are of such minutes.
    """

    market: str
    number: int
    bars: int
    quiet: int
    runs: int


YEARS = [
    Year("BTC-USD", 2015, bars=366_710, quiet=158_890, runs=61_148),
    Year("ETH-USD", 2016, bars=85_818, quiet=342_310, runs=37_430),
    Year("LTC-USD", 2014, bars=110_366, quiet=357_554, runs=47_894),
]
# The longest a run is, to how many runs of bitcoin's 2015 are longer than the line before.
BITCOIN_RUNS = {1: 36_926, 2: 12_549, 5: 9_483, 15: 2_109, 60: 76, 1_440: 4, 44_640: 1}

# Runs of quiet minutes by the ledger alone: answered, and between two bars.
RUNS = """
SELECT extract(epoch FROM later - ts)::integer / 60 - 1
FROM (SELECT ts, lead(ts) OVER (ORDER BY ts) AS later FROM ledger.bars_1m) AS bar
WHERE later - ts > interval '1 minute'
  AND (SELECT range_agg(piece) FROM ledger.coverage, unnest(answered) AS piece)
      @> tstzrange(ts, later)
"""


def download(database: Database, venue: VenueProcess, year: Year) -> None:
    """Download a year, month by month, with nothing to hold it back."""
    start, end = at(f"{year.number}-01-01"), at(f"{year.number + 1}-01-01")
    symbol = year.market.replace("-", "/")
    document = {
        "start": start,
        "providers": {"bitfinex": {}},
        "instruments": {
            year.market: {
                "class": "crypto_spot",
                "listings": {"bitfinex": {"symbol": symbol, "end": end}},
            }
        },
    }
    with database.connect() as connection:
        sync_universe(connection, Universe.model_validate(document))
        connection.commit()
        (listing,) = listings(connection, "bitfinex")
    options = CcxtOptions(
        exchange="bitfinex", base_url=f"{venue.url}/bitfinex", limit=RateLimit(1000, 1.0)
    )
    provider = CcxtProvider("bitfinex", options)
    try:
        with Downloader(database, provider) as downloader:
            for month in Interval(start, end).months():
                report = downloader.download(listing, month.start.date())
                assert report.complete, report.explain()
                listing = report.listing
    finally:
        provider.close()


@pytest.mark.parametrize("year", YEARS, ids=lambda year: year.market)
def test_a_year_has_the_bars_and_the_quiet_minutes_that_are_known_of_it(
    database: Database, bitfinex: VenueProcess, market_data: Path, year: Year
) -> None:
    download(database, bitfinex, year)
    truth = published.merged(market_data, year.market.replace("-", ""), year.number)
    found = stored(database, year.market)
    assert published.differences(found, truth) == []
    assert len(found) == year.bars
    lengths = sorted(length for (length,) in query(database, RUNS))
    assert lengths == sorted(published.silences(truth))
    assert (len(lengths), sum(lengths)) == (year.runs, year.quiet)
    if year.market == "BTC-USD":
        limits = list(BITCOIN_RUNS)
        counts = Counter(limits[bisect_left(limits, length)] for length in lengths)
        assert counts == BITCOIN_RUNS
    with database.connect() as connection:
        rows = coverage(connection)
    assert all(row.adds_up and row.settled == row.expected for row in rows)
    # What lies before the first bar is not expected, what comes after the last one is empty.
    after = at(f"{year.number + 1}-01-01") - max(truth) - published.MINUTE
    assert sum(row.bars for row in rows) == year.bars
    assert sum(row.empty for row in rows) == year.quiet + after // published.MINUTE
