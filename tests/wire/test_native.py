"""Longer bars of the providers' own making, over HTTP against the venue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from pipeline.aggregation import Market, Parts, Spans, aggregate
from pipeline.bars import BAR_SCHEMA
from pipeline.calendars import open_months, session_days, session_named
from pipeline.crosscheck import Comparison, compare
from pipeline.intervals import Interval
from pipeline.providers.errors import MalformedAnswer
from pipeline.providers.protocol import NativeProvider
from pipeline.timeframes import USUAL, Period, Timeframe
from tests.wire.conftest import EXCHANGES, LISTED, NOW, Opener, spelled, truth
from tests.wire.stocks import AlpacaOpener, day
from tests.wire.yahoo import YahooOpener
from venue import VenueProcess


def summed(
    venue: VenueProcess, exchange: str, symbol: str, start: datetime, end: datetime
) -> dict[str, Any]:
    """Return a bar made of the venue's minutes."""
    rows = truth(venue, exchange, symbol, Interval(start, end)).to_pylist()
    return {
        "ts": start,
        "open": rows[0]["open"],
        "high": max(row["high"] for row in rows),
        "low": min(row["low"] for row in rows),
        "close": rows[-1]["close"],
        "volume": pytest.approx(sum(row["volume"] for row in rows), rel=1e-9),
    }


def plain_rows(bars: pa.Table) -> list[dict[str, Any]]:
    assert bars.schema == BAR_SCHEMA
    rows: list[dict[str, Any]] = bars.drop_columns(["vwap", "trades"]).sort_by("ts").to_pylist()
    return rows


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("timeframe", ["5m", "1h", "1d"])
def test_longer_bars_are_what_the_venue_makes_of_its_minutes(
    exchange: str, timeframe: str, opened: Opener, venue: VenueProcess
) -> None:
    provider = opened(exchange)
    step = timedelta(minutes=Timeframe.named(timeframe).shortest)
    end = datetime(2024, 5, 31, tzinfo=UTC)
    window = Interval(end - 7 * step, end)
    if exchange == "kraken" and timeframe == "5m":
        window = Interval(NOW.replace(second=0) - 12 * step, NOW.replace(second=0) - 5 * step)

    bars = provider.fetch_native(spelled(exchange), "crypto_spot", timeframe, window)

    starts = [window.start + number * step for number in range(7)]
    assert plain_rows(bars) == [
        summed(venue, exchange, spelled(exchange), start, start + step) for start in starts
    ]
    assert venue.requests()["total"] == 1


@pytest.mark.parametrize("exchange", ["binance", "bitfinex"])
@pytest.mark.parametrize("timeframe", ["1w", "1mo"])
def test_weeks_and_months_bear_our_names(
    exchange: str, timeframe: str, opened: Opener, venue: VenueProcess
) -> None:
    period = Period(timeframe)
    window = Interval(datetime(2024, 4, 1, tzinfo=UTC), datetime(2024, 5, 31, tzinfo=UTC))

    bars = opened(exchange).fetch_native(spelled(exchange), "crypto_spot", timeframe, window)

    for row in plain_rows(bars)[:-1]:
        first = row["ts"].date()
        assert period.first_day(first) == first
        end = row["ts"] + (period.next_first_day(first) - first)
        assert row == summed(venue, exchange, spelled(exchange), row["ts"], end)
    assert bars.num_rows == (9 if timeframe == "1w" else 2)


def test_krakens_weeks_begin_on_thursdays(opened: Opener) -> None:
    window = Interval(datetime(2024, 4, 1, tzinfo=UTC), datetime(2024, 5, 20, tzinfo=UTC))
    bars = opened("kraken").fetch_native(spelled("kraken"), "crypto_spot", "1w", window)
    assert {ts.strftime("%a") for ts in bars["ts"].to_pylist()} == {"Thu"}


def test_a_page_holds_as_many_bars_as_of_minutes_whatever_their_length(
    opened: Opener, venue: VenueProcess
) -> None:
    provider = opened("coinbase")
    longest = provider.native_series()["1h"].minutes_per_request
    assert longest == 300 * 60
    window = Interval(LISTED.replace(minute=0) + timedelta(days=2), NOW.replace(second=0))
    [first, *_] = window.split(longest)

    bars = provider.fetch_native("BTC-USD", "crypto_spot", "1h", first)

    assert bars.num_rows == 300
    with pytest.raises(ValueError, match="window"):
        provider.fetch_native(
            "BTC-USD", "crypto_spot", "1h", Interval(first.start, first.end + timedelta(hours=1))
        )
    assert venue.requests()["total"] == 1


def test_a_short_history_is_as_many_bars_and_what_lies_before_is_no_answer(
    opened: Opener,
) -> None:
    provider = opened("kraken")
    assert provider.native_series()["1h"].history_minutes == 715 * 60
    window = Interval(NOW.replace(minute=0, second=0) - timedelta(hours=800), NOW.replace(second=0))
    with pytest.raises(ValueError, match="window"):
        provider.fetch_native(spelled("kraken"), "crypto_spot", "1h", window)
    early = Interval(window.start, window.start + timedelta(hours=100))
    with pytest.raises(MalformedAnswer, match="history begins"):
        provider.fetch_native(spelled("kraken"), "crypto_spot", "1h", early)


@pytest.mark.parametrize(
    ("exchange", "missing"), [("kraken", {"1mo"}), ("coinbase", {"4h", "1w", "1mo"})]
)
def test_what_an_exchange_does_not_make_is_not_offered(
    exchange: str, missing: set[str], opened: Opener
) -> None:
    provider = opened(exchange)
    assert set(USUAL) - provider.native_series().keys() == missing
    assert "1m" not in provider.native_series()
    for timeframe in (*missing, "1m", "7h"):
        with pytest.raises(ValueError, match=timeframe):
            provider.fetch_native(
                spelled(exchange), "crypto_spot", timeframe, Interval(LISTED, NOW.replace(second=0))
            )


def test_half_hours_of_a_stock_are_those_of_all_hours(
    alpaca: AlpacaOpener, stock_venue: VenueProcess
) -> None:
    window = day("2024-05-31T08:00", 16 * 60)
    bars = alpaca().fetch_native("AAPL", "equity", "30m", window)
    half = timedelta(minutes=30)
    assert plain_rows(bars) == [
        summed(
            stock_venue, "alpaca", "AAPL", window.start + n * half, window.start + (n + 1) * half
        )
        for n in range(32)
    ]


@pytest.mark.parametrize(
    ("timeframe", "days", "length"),
    [("1d", [26, 29, 30, 1, 2, 3], 1), ("1w", [29], 7), ("1mo", [1], 31)],
)
def test_days_and_longer_begin_at_new_yorks_midnight(
    timeframe: str, days: list[int], length: int, alpaca: AlpacaOpener, stock_venue: VenueProcess
) -> None:
    new_york = ZoneInfo("America/New_York")
    window = Interval(datetime(2024, 4, 26, 4, tzinfo=UTC), datetime(2024, 5, 4, 4, tzinfo=UTC))
    bars = alpaca().fetch_native("AAPL", "equity", timeframe, window)
    local = [ts.astimezone(new_york) for ts in bars["ts"].to_pylist()]
    assert {(ts.hour, ts.minute) for ts in local} == {(0, 0)}
    assert [ts.day for ts in local] == days
    start = bars["ts"][0].as_py()
    assert plain_rows(bars)[0] == summed(
        stock_venue, "alpaca", "AAPL", start, start + timedelta(days=length)
    )


def test_the_longest_question_about_a_stock_fits_into_one_page(
    alpaca: AlpacaOpener, stock_venue: VenueProcess
) -> None:
    provider = alpaca()
    longest = provider.native_series()["5m"].minutes_per_request
    window = day("2024-03-11T00:00", longest)

    bars = provider.fetch_native("AAPL", "equity", "5m", window)

    assert bars.num_rows == len(set(bars["ts"].to_pylist())) > 48 * 78
    assert stock_venue.requests()["total"] == 1
    with pytest.raises(ValueError, match="window"):
        provider.fetch_native("AAPL", "equity", "5m", day("2024-03-11T00:00", longest + 1))


def compared_with_ours(alpaca: AlpacaOpener, timeframe: str) -> Comparison:
    """Return a week of a stock's minutes, built to bars of ours, beside Alpaca's own."""
    during = Interval(datetime(2024, 5, 6, tzinfo=UTC), datetime(2024, 5, 11, tzinfo=UTC))
    provider, length, rule = alpaca(), Timeframe.named(timeframe), session_named("XNYS")
    open_ = Spans(next(open_months(rule, during.start.date(), during.start.date())).open)
    market = Market(session_days(rule, during.start.date(), during.start.date()), *[open_] * 3)
    minutes = provider.fetch_bars("AAPL", "equity", during).sort_by("ts")
    ours = aggregate(Parts.of(minutes, market), length, market)
    theirs = provider.fetch_native("AAPL", "equity", timeframe, during)
    others = [Timeframe.named(name) for name in USUAL]
    return compare(ours, theirs, length, market, during=during, others=others)


@pytest.mark.parametrize("timeframe", ["5m", "15m", "30m"])
def test_parts_of_a_stocks_day_agree_in_prices_volumes_and_trades(
    timeframe: str, alpaca: AlpacaOpener
) -> None:
    found = compared_with_ours(alpaca, timeframe)

    assert found.sound
    assert found.agree == 5 * 390 // Timeframe.named(timeframe).shortest
    assert found.outside > 0
    assert (found.cut_ours, found.cut_theirs, found.incomplete) == (0, 0, 0)


def test_hours_of_a_stock_on_the_clock_are_not_called_different(alpaca: AlpacaOpener) -> None:
    found = compared_with_ours(alpaca, "1h")

    assert (found.compared, found.only_ours, found.only_theirs) == (0, [], [])
    assert (found.cut_ours, found.cut_theirs) == (35, 35)
    assert found.comparable == ["5m", "15m", "30m", "1d", "1w", "1mo"]


def test_days_of_a_stock_are_compared_and_hold_more_trades_than_the_session(
    alpaca: AlpacaOpener,
) -> None:
    found = compared_with_ours(alpaca, "1d")

    assert (found.compared, found.differ) == (5, 5)
    volumes = [one for one in found.differences if one.column == "volume"]
    assert len(volumes) == 5
    assert all(one.theirs > one.ours for one in volumes)


def test_who_makes_longer_bars_can_be_told(
    alpaca: AlpacaOpener, opened: Opener, yahoo_client: YahooOpener
) -> None:
    for provider in (alpaca(), opened("kraken"), yahoo_client()):
        assert isinstance(provider, NativeProvider) is provider.capabilities.native
    assert not isinstance(yahoo_client(), NativeProvider)
