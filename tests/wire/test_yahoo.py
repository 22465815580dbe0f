"""Every bar that Yahoo shows arrives as it is, and nothing that is no bar."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest

from pipeline.intervals import MINUTE, Interval
from pipeline.providers.errors import MalformedAnswer, UnknownSymbol, Unsupported
from tests.wire.yahoo import (
    EDGE,
    FRIDAY,
    NOW,
    YahooOpener,
    between,
    minute_at,
    minutes_of,
    plain,
    published,
)
from venue import VenueProcess


@pytest.mark.parametrize("symbol", ["AAPL", "BRK-B", "^VIX", "ES=F", "EURUSD=X", "BTC-USD"])
def test_every_traded_minute_arrives_and_no_quiet_one(
    symbol: str, yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    bars = yahoo_client().fetch_bars(symbol, "equity", FRIDAY)
    assert plain(bars) == published(yahoo_venue, symbol, FRIDAY)
    assert len(bars) > 100


def test_the_first_volume_of_a_window_is_the_true_one_although_an_answers_first_is_zero(
    yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    client = yahoo_client()
    for window in list(FRIDAY.split(1))[:20]:
        assert plain(client.fetch_bars("AAPL", "equity", window)) == published(
            yahoo_venue, "AAPL", window
        )


def test_a_week_of_a_stock_holds_extended_hours_without_volume_and_no_night(
    yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    client = yahoo_client()
    start = between("2024-05-20T00:00", "2024-05-20T00:01").start
    week = Interval(start, start + client.capabilities.bars_per_request * MINUTE)
    rows = plain(client.fetch_bars("AAPL", "equity", week))
    truth = published(yahoo_venue, "AAPL", week)
    assert [row["ts"] for row in rows] == [row["ts"] for row in truth]
    for row, true in zip(rows, truth, strict=True):
        regular = (13, 30) <= (row["ts"].hour, row["ts"].minute) < (20, 0)
        assert row["volume"] == (true["volume"] if regular else 0)
        assert row["close"] == true["close"]
        assert row["ts"].hour >= 8
    assert {row["ts"].hour for row in rows} == set(range(8, 24))
    assert yahoo_venue.requests()["total"] == 3  # a cookie, a crumb, the chart


def test_a_weekend_is_answered_with_no_bar(yahoo_client: YahooOpener) -> None:
    weekend = between("2024-06-01T02:00", "2024-06-02T23:00")
    assert len(yahoo_client().fetch_bars("AAPL", "equity", weekend)) == 0


def test_cookies_and_crumb_are_asked_for_once_and_counted(
    yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    client = yahoo_client()
    for window in list(FRIDAY.split(60))[:3]:
        client.fetch_bars("AAPL", "equity", window)
    paths = [request["endpoint"] for request in yahoo_venue.requests()["requests"]]
    assert paths == ["/", "/v1/test/getcrumb", *["/v8/finance/chart/AAPL"] * 3]
    assert client.requests_sent == len(paths)
    assert client.clock_skew is not None


def test_the_latest_price_after_the_window_is_no_bar_and_spoils_nothing(
    yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    window = Interval(minute_at(15, 0).start, minute_at(16, 0).start)
    bars = yahoo_client().fetch_bars("AAPL", "equity", window)
    assert plain(bars) == published(yahoo_venue, "AAPL", window)


def test_the_forming_minute_was_stored_as_final_is_a_defect_that_is_absent(
    yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    running = NOW.replace(second=0)
    until_now = Interval(running - timedelta(minutes=30), running)
    bars = yahoo_client().fetch_bars("AAPL", "equity", until_now)
    assert plain(bars) == published(yahoo_venue, "AAPL", until_now)
    assert max(minutes_of(bars)) < running
    # Asked too early, the minute is not there: its only row is the latest price, with its second.
    rows = yahoo_client().fetch_bars("AAPL", "equity", Interval(running, running + MINUTE))
    assert [ts.second for ts in minutes_of(rows)] in ([], [30])


def test_the_row_of_the_close_stays_in_the_minute_that_it_names(
    yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    evening = NOW.replace(hour=22)
    yahoo_venue.set_clock(now=evening.isoformat(), speed=0)
    window = Interval(minute_at(19, 30).start, minute_at(20, 1).start)
    bars = yahoo_client(now=evening).fetch_bars("AAPL", "equity", window)
    regular = Interval(window.start, window.end - MINUTE)
    *inside, last = plain(bars)
    assert inside == published(yahoo_venue, "AAPL", regular)
    assert last["ts"] == regular.end
    assert last["open"] == last["close"]


def test_a_gap_recorded_as_starting_at_the_bar_after_it_is_a_defect_that_is_absent(
    yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    client = yahoo_client()
    whole = minutes_of(client.fetch_bars("AAPL", "equity", FRIDAY))
    quiet = [m.start for m in FRIDAY.split(1) if m.start not in whole]
    assert len(quiet) > 10
    for start in quiet[:10]:
        # The window of a gap, and of the bar before it: nothing, and exactly that bar.
        gap, before = Interval(start, start + MINUTE), Interval(start - MINUTE, start)
        assert len(client.fetch_bars("AAPL", "equity", gap)) == 0
        rows = plain(client.fetch_bars("AAPL", "equity", before))
        assert rows == published(yahoo_venue, "AAPL", before)


def test_the_history_ends_thirty_days_ago_and_what_is_older_is_not_asked_for(
    yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    client = yahoo_client()
    reach = client.capabilities.edge_of_history(NOW)
    assert reach is not None
    assert timedelta(minutes=5) < reach - EDGE < timedelta(hours=1)
    oldest = Interval(reach, reach + timedelta(hours=6))
    assert (
        plain(client.fetch_bars("BTC-USD", "crypto_spot", oldest))[1:]
        == (published(yahoo_venue, "BTC-USD", oldest)[1:])
    )
    yahoo_venue.clear_requests()
    with pytest.raises(MalformedAnswer, match="its history begins at 2024-05-04"):
        client.fetch_bars("AAPL", "equity", Interval(reach - MINUTE, reach))
    assert yahoo_venue.requests()["total"] == 0


def test_a_history_that_has_moved_on_meanwhile_is_to_be_planned_again(
    yahoo_client: YahooOpener,
) -> None:
    late = yahoo_client(now=NOW - timedelta(hours=2))
    begin = late.capabilities.edge_of_history(NOW - timedelta(hours=2))
    assert begin is not None
    with pytest.raises(MalformedAnswer, match=r"moved on: .* must be within the last 30 days"):
        late.fetch_bars("AAPL", "equity", Interval(begin, begin + MINUTE))


def test_a_window_longer_than_seven_days_is_an_error_of_the_caller(
    yahoo_client: YahooOpener,
) -> None:
    client = yahoo_client(bars_per_request=8 * 24 * 60)
    long = Interval(FRIDAY.start - timedelta(days=8), FRIDAY.start)
    with pytest.raises(ValueError, match="has not between 1 and"):
        yahoo_client().fetch_bars("AAPL", "equity", long)
    with pytest.raises(Exception, match="Only 7 days worth of 1m granularity"):
        client.fetch_bars("AAPL", "equity", long)


@pytest.mark.parametrize(
    ("symbol", "asset_class"),
    [
        ("AAPL", "equity"),
        ("BRK-B", "equity"),
        ("SPY", "etf"),
        ("^VIX", "index"),
        ("EURUSD=X", "fx"),
        ("BTC-USD", "crypto_spot"),
        ("ES=F", "index"),
    ],
)
def test_a_symbol_is_looked_up_by_what_its_chart_says(
    symbol: str, asset_class: str, yahoo_client: YahooOpener
) -> None:
    market = yahoo_client().find_market(symbol, asset_class)
    assert (market.symbol, market.asset_class, market.quote) == (symbol, asset_class, "USD")


def test_an_unknown_symbol_and_another_class_are_said_to_be_so(yahoo_client: YahooOpener) -> None:
    client = yahoo_client()
    with pytest.raises(UnknownSymbol, match="No data found, symbol may be delisted"):
        client.find_market("BRK.B", "equity")
    with pytest.raises(UnknownSymbol, match="'SPY' is no equity: Yahoo calls it ETF"):
        client.find_market("SPY", "equity")
    with pytest.raises(UnknownSymbol):
        client.fetch_bars("GONE", "equity", FRIDAY)


def test_there_is_no_market_list_and_no_first_minute(yahoo_client: YahooOpener) -> None:
    client = yahoo_client()
    with pytest.raises(Unsupported, match="has no list of markets"):
        client.markets()
    assert client.first_trade("AAPL", "equity") is None
    assert client.requests_sent == 0
    assert NOW.tzinfo is UTC
