"""History that was published twice: windows that agree, stamps an hour late, restated days.

The files are read with the plainest means, and delivered as a provider would have.
"""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.intervals import MINUTE, Interval
from pipeline.settling import DEFAULT
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.merging import ContradictoryDelivery
from pipeline.store.refusals import accept, keep
from pipeline.store.revisions import RefusedDelivery, Revision, refused_deliveries, revisions
from tests.making import add_listing, at, bar, span, stored_bars, table

BITTREX = "freqtrade_freqtrade/history_bittrex_1m_"
LEAN = "QuantConnect_Lean_history/restated_minutes"
LATE = timedelta(hours=1)

Bars = dict[datetime, dict[str, Any]]


class Ledger:
    """A ledger with one listing, and a provider that delivers something new every hour."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.listing = add_listing(connection, start="2010-01-01")
        self._now = at("2020-01-01")

    def deliver(self, bars: Bars, during: Interval) -> None:
        """Deliver bars as the answer for those minutes of the first one's month."""
        self._now += timedelta(hours=1)
        month = Interval.month(during.start.date())
        answered = common(during, month)
        delivery = Delivery(
            listing_id=self.listing.id,
            month=month.start.date(),
            answered=(answered,),
            bars=table(row for ts, row in sorted(bars.items()) if ts in answered),
            refused=(),
            failed=(),
            received_at=self._now,
            settling=DEFAULT,
        )
        try:
            commit(self.connection, delivery)
        except ContradictoryDelivery as error:
            keep(self.connection, delivery, error)

    def accept_all(self) -> None:
        for refused in refused_deliveries(self.connection):
            accept(self.connection, refused.id, at("2021-01-01"))

    def stored(self) -> list[tuple[Any, ...]]:
        return stored_bars(self.connection, self.listing)

    def revisions(self) -> list[Revision]:
        return revisions(self.connection)

    def refused(self) -> list[RefusedDelivery]:
        return refused_deliveries(self.connection)


@pytest.fixture
def ledger(database: Database) -> Iterator[Ledger]:
    with database.connect() as connection:
        connection.autocommit = True
        yield Ledger(connection)


def bittrex(folder: Path, file: str) -> Bars:
    """Return the bars of a file: `[{O, H, L, C, V, T}]`, as stamped."""
    with gzip.open(folder / f"{BITTREX}{file}.json.gz", "rt") as text:
        rows = json.load(text)
    found = {}
    for row in rows:
        ts = at(row["T"])
        found[ts] = bar(ts, open=row["O"], high=row["H"], low=row["L"], close=row["C"])
        found[ts]["volume"] = row["V"]
    return found


def span_of(bars: Bars) -> Interval:
    return Interval(min(bars), max(bars) + MINUTE)


def common(one: Interval, other: Interval) -> Interval:
    found = one.intersection(other)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("first", "second"),
    [("BTC_ETH-1", "btc-eth"), ("BTC_LTC-1", "btc-ltc"), ("BTC_XZC-1", "btc-xzc")],
)
def test_overlapping_windows_merge_without_a_revision(
    market_data: Path, ledger: Ledger, first: str, second: str
) -> None:
    one, other = (
        bittrex(market_data, f"2017-11-04/{first}"),
        bittrex(market_data, f"2017-11-08/{second}"),
    )
    month = span("2017-11-01", "2017-12-01")
    ledger.deliver(one, span_of(one))
    ledger.deliver(other, span_of(other))
    assert ledger.revisions() == []
    assert ledger.refused() == []
    both = {ts for ts in one.keys() | other.keys() if ts in month}
    assert [row[0] for row in ledger.stored()] == sorted(both)


@pytest.mark.parametrize("market", ["ADA_BTC", "POWR_BTC"])
def test_a_file_stamped_an_hour_late_is_refused_and_the_shift_is_named(
    market_data: Path, ledger: Ledger, market: str
) -> None:
    name = {"ADA_BTC": "ADA_BTC-1", "POWR_BTC": "BTC_POWR-1"}[market]
    true = bittrex(market_data, f"2018-01-20/{name}")
    late = bittrex(market_data, f"2018-01-25/{market}-1m")
    agreeing = sum(true.get(ts - LATE) == row | {"ts": ts - LATE} for ts, row in late.items())
    assert agreeing > 100
    ledger.deliver(true, span_of(true))
    before = ledger.stored()
    ledger.deliver(late, span_of(late))
    (refused,) = ledger.refused()
    assert refused.explanation is not None
    assert refused.explanation.startswith("a shift of +60 minutes would explain ")
    assert ledger.stored() == before
    assert ledger.revisions() == []
    # Shifted back, everything agrees.
    mended = {ts - LATE: row | {"ts": ts - LATE} for ts, row in late.items()}
    ledger.deliver(mended, span_of(mended))
    assert ledger.revisions() == []


@pytest.mark.parametrize("day", ["spy/20131007", "spy/20131008", "aig/20131007", "aig/20131008"])
def test_a_day_restated_again_and_again_can_be_read_back_in_order(
    market_data: Path, ledger: Ledger, day: str
) -> None:
    versions = [lean(path) for path in sorted((market_data / LEAN).glob(f"{day}_*.zip"))]
    assert len(versions) >= 5
    expected: Bars = {}
    for version in versions:
        during = span_of(versions[0] | version)
        ledger.deliver(version, during)
        ledger.accept_all()
        expected |= version
    found = ledger.stored()
    assert found == [tuple(expected[ts].values()) for ts in sorted(expected)]
    stored = {row[0]: row[4] for row in found}
    changes = ledger.revisions()
    assert len(changes) > 100
    assert [one.seen_at for one in changes] == sorted(one.seen_at for one in changes)
    by_minute = sorted(changes, key=lambda one: (one.ts, one.revision))
    for ts, group in groupby(by_minute, key=lambda one: one.ts):
        check_chain(list(group), stored[ts])


def check_chain(chain: list[Revision], stored: float) -> None:
    """Each revision begins with what the one before left, and the last with what is stored."""
    close = chain[0].old_close
    for one in chain:
        assert one.old_close == close
        # A bar that was not given any more stays as it is.
        close = close if one.new_close is None else one.new_close
    assert close == stored


def lean(path: Path) -> Bars:
    """Return a day's minutes: milliseconds of the day in New York (UTC-4), prices times 10,000."""
    midnight = at(date.fromisoformat(path.name[:8]).isoformat()) + timedelta(hours=4)
    with zipfile.ZipFile(path) as archive:
        lines = archive.read(archive.namelist()[0]).decode().split()
    found = {}
    for line in lines:
        ms, *prices, volume = map(int, line.split(","))
        ts = midnight + timedelta(milliseconds=ms)
        values = dict(zip(("open", "high", "low", "close"), prices, strict=True))
        found[ts] = bar(ts, **{name: price / 10_000 for name, price in values.items()})
        found[ts]["volume"] = float(volume)
    return found
