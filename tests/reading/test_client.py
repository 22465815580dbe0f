"""The client for analysts, and the one rule of ranges and limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

from pipeline.intervals import MINUTE
from pipeline.reading import (
    AmbiguousListing,
    Ledger,
    UnknownListing,
    UnknownTimeframe,
    connect,
)
from pipeline.settings import SettingsError
from pipeline.store.arrow import ArrowReader
from pipeline.store.catalog import Catalog
from pipeline.store.database import DatabaseError
from pipeline.store.views import MarketReader, bars_query
from tests.making import at, span
from tests.reading.conftest import DAY, YEAR_END, World, minutes, moments

STORED = minutes(YEAR_END)
STAMPS = moments(STORED)


@pytest.fixture
def ledger(world: World) -> Iterator[Ledger[pd.DataFrame]]:
    with connect(world.database.url()) as opened:
        yield opened


def stamps(frame: pd.DataFrame) -> list[datetime]:
    return [ts.to_pydatetime() for ts in frame["ts"]]


def btc(ledger: Ledger[pd.DataFrame], **options: Any) -> list[datetime]:
    return stamps(ledger.bars("BTC-USD", provider="bitfinex", **options))


def test_bars_are_the_stored_ones(ledger: Ledger[pd.DataFrame]) -> None:
    table = ledger.arrow.bars("BTC-USD", provider="bitfinex")

    assert table.to_pylist() == [row | {"extended": False} for row in STORED]


def test_missing_values_are_missing_and_times_are_utc(ledger: Ledger[pd.DataFrame]) -> None:
    frame = ledger.bars("BTC-USD", provider="bitfinex")

    assert str(frame["ts"].dtype) == "datetime64[us, UTC]"
    assert frame["vwap"].isna().all()
    assert frame["trades"].isna().sum() == sum(row["trades"] is None for row in STORED)
    assert frame["trades"].dropna().tolist() == [r["trades"] for r in STORED if r["trades"]]
    assert str(frame["trades"].dtype) == "Int64"


def test_types_do_not_depend_on_what_is_there(ledger: Ledger[pd.DataFrame]) -> None:
    for timeframe in ("1m", "5m", "1d", "1mo"):
        some = ledger.bars("BTC-USD", timeframe, provider="bitfinex")
        none = ledger.bars("BTC-USD", timeframe, provider="bitfinex", before=at("2020-01-01"))
        never = ledger.bars("ES=F", timeframe)
        assert len(some) > 0 == len(none) == len(never)
        assert some.dtypes.equals(none.dtypes)
        assert some.dtypes.equals(never.dtypes)


@pytest.mark.parametrize(
    ("since", "before"),
    [
        (at("2023-12-31T23:57"), at("2024-01-01T00:03")),
        (at("2023-12-31T23:57"), at("2023-12-31T23:57")),
        (at("2023-12-30T00:00"), at("2023-12-30T00:02")),
        (at("2023-12-31T23:56") + timedelta(seconds=30), at("2024-01-01") + timedelta(seconds=1)),
        (None, at("2023-12-30T01:00")),
        (at("2024-01-02T23:00"), None),
        (pd.Timestamp("2024-01-01", tz="America/New_York"), pd.Timestamp("2024-01-02", tz="UTC")),
        (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
        (datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))), None),
    ],
)
def test_ranges_are_half_open(
    ledger: Ledger[pd.DataFrame], since: datetime | None, before: datetime | None
) -> None:
    expected = [ts for ts in STAMPS if (not since or ts >= since) and (not before or ts < before)]

    assert btc(ledger, since=since, before=before) == expected


@pytest.mark.parametrize("limit", [1, 7, 2470, 2500, 10_000])
def test_before_with_limit_returned_the_oldest_rows_in_one_route_is_a_defect_that_is_absent(
    ledger: Ledger[pd.DataFrame], limit: int
) -> None:
    before, since = at("2024-01-02T12:00"), at("2023-12-31T12:00")
    earlier = [ts for ts in STAMPS if ts < before]
    later = [ts for ts in STAMPS if ts >= since]
    between = [ts for ts in STAMPS if since <= ts < before]

    assert btc(ledger, before=before, limit=limit) == earlier[-limit:]
    assert btc(ledger, limit=limit) == STAMPS[-limit:]
    assert btc(ledger, since=since, limit=limit) == later[:limit]
    assert btc(ledger, since=since, before=before, limit=limit) == between[:limit]


@pytest.mark.parametrize("timeframe", ["5m", "15m", "30m", "1h", "4h", "1d", "1w", "1mo"])
def test_built_bars_keep_the_same_rule(
    ledger: Ledger[pd.DataFrame], world: World, timeframe: str
) -> None:
    rows = world.execute(
        f"SELECT ts FROM market.bars_{timeframe}"
        " WHERE provider = 'bitfinex' AND listing = 'BTC-USD' ORDER BY ts"
    )
    expected, before = [ts for (ts,) in rows], at("2024-01-01T07:00")

    assert expected
    assert btc(ledger, timeframe=timeframe) == expected
    assert btc(ledger, timeframe=timeframe, limit=3) == expected[-3:]
    earlier = [ts for ts in expected if ts < before]
    assert btc(ledger, timeframe=timeframe, before=before, limit=2) == earlier[-2:]
    assert btc(ledger, timeframe=timeframe, since=at("2000-01-01"), limit=2) == expected[:2]


def test_minutes_outside_of_the_session_are_marked_as_the_view_marks_them(
    ledger: Ledger[pd.DataFrame], world: World
) -> None:
    frame = ledger.bars("SPY")
    seen = world.execute(
        "SELECT ts, extended FROM market.bars_1m WHERE listing = 'SPY' ORDER BY ts"
    )

    assert list(zip(stamps(frame), frame["extended"], strict=True)) == seen
    assert 0 < frame["extended"].sum() < len(frame) == len(minutes(DAY))


def test_gaps_and_coverage_are_rows_of_their_views(
    ledger: Ledger[pd.DataFrame], world: World
) -> None:
    gaps, coverage = ledger.gaps("SPY"), ledger.coverage("SPY")

    found = world.execute("SELECT since, minutes, reason FROM market.gaps WHERE listing = 'SPY'")
    assert sorted(zip(gaps["since"], gaps["minutes"], gaps["reason"], strict=True)) == sorted(found)
    march = coverage[coverage["month"] == "2024-03-01"].iloc[0]
    assert march["bars"] + march["extended"] == len(minutes(DAY))
    assert (
        coverage["expected"]
        == coverage[["bars", "empty", "failed", "unavailable", "pending"]].sum(axis=1)
    ).all()


def test_gaps_and_coverage_of_a_time_are_what_touches_it(ledger: Ledger[pd.DataFrame]) -> None:
    first = ledger.gaps("SPY")["since"].min()
    end = ledger.gaps("SPY")["before"].max()

    assert len(ledger.gaps("SPY", before=first)) == 0
    assert len(ledger.gaps("SPY", since=end)) == 0
    assert len(ledger.gaps("SPY", since=end - MINUTE)) == 1
    months = ledger.coverage("SPY", since=at("2024-01-31T23:59"), before=at("2024-03-01"))["month"]
    assert months.tolist() == [pd.Timestamp("2024-01-01"), pd.Timestamp("2024-02-01")]


def test_an_analyst_reads_all_of_it(analyst: str) -> None:
    with connect(analyst) as ledger:
        assert btc(ledger) == STAMPS
        assert len(ledger.bars("SPY", "1h", limit=3)) == 3
        assert len(ledger.gaps()) > 0
        assert len(ledger.coverage()) > 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ledger._arrow.read(sql.SQL("SELECT * FROM ledger.bars_1m").format())


def test_arrow_tables_have_the_same_columns(ledger: Ledger[pd.DataFrame]) -> None:
    for method in ("gaps", "coverage"):
        table = getattr(ledger.arrow, method)()
        assert isinstance(table, pa.Table)
        assert table.column_names == list(getattr(ledger, method)().columns)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        ({"listing": "BTCUSD"}, UnknownListing, ["BTC-USD"]),
        ({"listing": "SPY", "provider": "kraken"}, UnknownListing, ["at kraken", "ES=F"]),
        ({"listing": "SPY", "provider": "krakn"}, UnknownListing, ["bitfinex, kraken"]),
        ({"listing": "BTC-USD"}, AmbiguousListing, ["bitfinex, kraken", "provider="]),
        ({"listing": "SPY", "timeframe": "2h"}, UnknownTimeframe, ["5m, 15m", "`timeframes:`"]),
        ({"listing": "SPY", "timeframe": "1M"}, UnknownTimeframe, ["a month is 1mo", "1w, 1mo"]),
        ({"listing": "SPY", "limit": 0}, ValueError, ["limit is 0"]),
        ({"listing": "SPY", "since": datetime(2024, 1, 1)}, ValueError, ["time zone", "tzinfo"]),  # noqa: DTZ001
        ({"listing": "SPY", "before": "2024-01-01"}, ValueError, ["before is '2024-01-01'"]),
        ({"listing": "SPY", "before": pd.NaT}, ValueError, ["before is NaT"]),
        (
            {"listing": "SPY", "since": at("2024-01-02"), "before": at("2024-01-01")},
            ValueError,
            ["is after"],
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_the_choices(
    ledger: Ledger[pd.DataFrame], call: dict[str, Any], error: type[Exception], words: list[str]
) -> None:
    with pytest.raises(error) as raised:
        ledger.bars(**call)

    assert all(word in str(raised.value) for word in words), raised.value


def test_gaps_of_what_is_not_listed_are_no_empty_answer(ledger: Ledger[pd.DataFrame]) -> None:
    with pytest.raises(UnknownListing):
        ledger.gaps("NOPE")
    with pytest.raises(UnknownListing):
        ledger.coverage(provider="nobody")
    with pytest.raises(ValueError, match="time zone"):
        ledger.gaps(since=datetime(2024, 1, 1))  # noqa: DTZ001


def test_a_ledger_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("MINUTELEDGER_HOME", str(tmp_path / "none"))
    monkeypatch.delenv("MINUTELEDGER_DATABASE_URL", raising=False)

    with pytest.raises(DatabaseError, match="there is no ledger in"):
        connect()
    with pytest.raises(SettingsError, match="postgresql://"):
        connect("mysql://x/y")


def test_a_reading_sees_one_moment(changing: World) -> None:
    with ArrowReader(changing.database) as arrow:
        reader = MarketReader(arrow)
        with arrow.snapshot():
            series = Catalog(arrow).series("bitfinex", "BTC-USD")
            tables = reader.bars(series)
            first = next(tables)
            changing.execute("UPDATE ledger.bars_1m SET close = -1")
            rest = pa.concat_tables([first, *tables])
        assert rest.column("close").to_pylist() == [row["close"] for row in STORED]
        assert set(pa.concat_tables(reader.bars(series))["close"].to_pylist()) == {-1}


def test_a_month_of_minutes_is_read_from_one_partition_by_its_index(changing: World) -> None:
    changing.execute(
        "INSERT INTO ledger.bars_1m SELECT n, ts, 1, 1, 1, 1 FROM generate_series(1000, 1100) n,"
        " generate_series('2023-12-01Z'::timestamptz, '2024-01-31Z', '1 hour') ts"
    )
    changing.execute("ANALYZE")
    with ArrowReader(changing.database) as arrow:
        series = Catalog(arrow).series("bitfinex", "BTC-USD")
    query = bars_query(series, span("2023-12-31T12:00", "2023-12-31T13:00"))

    def explain(connection: psycopg.Connection) -> str:
        rows = connection.execute(sql.SQL("EXPLAIN (FORMAT JSON) {}").format(query)).fetchone()
        return json.dumps(rows)

    plan = changing.session.run(explain)
    assert "bars_1m_2023_12" in plan
    assert "bars_1m_2024_01" not in plan
    assert "bars_1m_2023_12_pkey" in plan
