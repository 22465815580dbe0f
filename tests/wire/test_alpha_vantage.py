"""Every bar of Alpha Vantage arrives under its own minute, for as few requests as it takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.intervals import MINUTE, Interval
from pipeline.providers.errors import MissingKeys, UnknownSymbol, Unsupported
from pipeline.providers.limiter import Unlimited
from pipeline.providers.options import ProviderOptions
from pipeline.providers.registry import open_provider
from tests.wire.alpha_vantage import NOW, AlphaVantageOpener, month, plain, published
from venue import VenueProcess


def requests(venue: VenueProcess) -> int:
    total: int = venue.requests()["total"]
    return total


@pytest.mark.parametrize("number", [1, 3, 4, 5])
@pytest.mark.parametrize("symbol", ["MSFT", "BRK-B"])
def test_a_month_is_the_venues_truth_also_where_clocks_change(
    symbol: str, number: int, monthly: AlphaVantageOpener, monthly_venue: VenueProcess
) -> None:
    window = month(2024, number)
    bars = monthly().fetch_bars(symbol, "equity", window)
    assert plain(bars) == published(monthly_venue, symbol, window)
    assert len(bars) > 5000


def test_a_month_costs_one_request_and_so_does_each_of_a_winter_in_order_of_time(
    monthly: AlphaVantageOpener, monthly_venue: VenueProcess
) -> None:
    client = monthly()
    months = [month(2023, 10), month(2023, 11), month(2023, 12), month(2024, 1), month(2024, 2)]
    for number, window in enumerate(months, start=1):
        bars = client.fetch_bars("MSFT", "equity", window)
        assert plain(bars) == published(monthly_venue, "MSFT", window)
        assert requests(monthly_venue) == number
    # The evening of 30 November in New York is the first of December's hours in UTC.
    evening = Interval(months[2].start, months[2].start + timedelta(hours=1))
    assert len(published(monthly_venue, "MSFT", evening)) > 10


def test_a_winter_month_alone_takes_the_evening_from_the_month_before(
    monthly: AlphaVantageOpener, monthly_venue: VenueProcess
) -> None:
    december = month(2023, 12)
    bars = monthly().fetch_bars("MSFT", "equity", december)
    assert plain(bars) == published(monthly_venue, "MSFT", december)
    assert requests(monthly_venue) == 2
    monthly_venue.clear_requests()
    later = Interval(december.start + timedelta(hours=1), december.end)
    monthly().fetch_bars("MSFT", "equity", later)
    assert requests(monthly_venue) == 1


def test_windows_of_one_month_share_its_answer_and_each_minute_is_given_out_once(
    monthly: AlphaVantageOpener, monthly_venue: VenueProcess
) -> None:
    client, window = monthly(), month(2024, 4)
    weeks = list(window.split(7 * 1440))
    rows = [row for week in weeks for row in plain(client.fetch_bars("MSFT", "equity", week))]
    assert rows == published(monthly_venue, "MSFT", window)
    assert requests(monthly_venue) == 1
    client.fetch_bars("MSFT", "equity", weeks[1])  # again: the vendor is asked again
    client.fetch_bars("BRK-B", "equity", weeks[1])
    assert requests(monthly_venue) == 3


def test_minutes_that_may_still_change_are_asked_for_anew(
    monthly: AlphaVantageOpener, monthly_venue: VenueProcess
) -> None:
    client = monthly()
    first = Interval(NOW.replace(hour=12, second=0) - timedelta(days=6), NOW.replace(second=0))
    halves = list(first.split(first.minutes // 2))
    early, late = (Interval(one.start, min(one.end, month(2024, 5).end)) for one in halves[:2])
    client.fetch_bars("MSFT", "equity", early)
    client.fetch_bars("MSFT", "equity", Interval(early.end, early.end + MINUTE))
    assert requests(monthly_venue) == 2
    assert late.start >= early.start


def test_a_gap_recorded_as_starting_at_the_bar_after_it_is_a_defect_that_is_absent(
    monthly: AlphaVantageOpener, monthly_venue: VenueProcess
) -> None:
    client = monthly()
    start = datetime(2024, 4, 10, 14, 0, tzinfo=UTC)
    whole = Interval(start, start + timedelta(hours=3))
    traded = {row["ts"] for row in published(monthly_venue, "MSFT", whole)}
    quiet = [one.start for one in whole.split(1) if one.start not in traded]
    assert len(quiet) > 5
    for at in quiet[:5]:
        # Stamped with its end, the bar before a gap would fall into the gap's first minute.
        assert len(client.fetch_bars("MSFT", "equity", Interval(at, at + MINUTE))) == 0
        before = Interval(at - MINUTE, at)
        rows = plain(client.fetch_bars("MSFT", "equity", before))
        assert rows == published(monthly_venue, "MSFT", before)


def test_the_forming_minute_was_stored_as_final_is_a_defect_that_is_absent(
    monthly: AlphaVantageOpener, monthly_venue: VenueProcess
) -> None:
    client = monthly()
    # A minute is asked for when its day is over, by the clock and not by the last row.
    assert client.capabilities.lag == timedelta(days=1)
    over = Interval(NOW.replace(hour=14, second=0), NOW.replace(second=0))
    assert plain(client.fetch_bars("MSFT", "equity", over)) == (
        published(monthly_venue, "MSFT", over)
    )


def test_hours_in_which_nobody_trades_cost_nothing(
    monthly: AlphaVantageOpener, monthly_venue: VenueProcess
) -> None:
    night = Interval(datetime(2024, 5, 1, 0, 0, tzinfo=UTC), datetime(2024, 5, 1, 8, 0, tzinfo=UTC))
    assert len(monthly().fetch_bars("MSFT", "equity", night)) == 0
    assert requests(monthly_venue) == 0


def test_the_first_month_of_the_vendors_history_is_known_and_no_first_minute() -> None:
    options = ProviderOptions(source="alpha_vantage")
    capabilities = options.capabilities("alpha_vantage")
    assert capabilities.edge_of_history(NOW) == datetime(2000, 1, 1, 5, tzinfo=UTC)
    assert capabilities.first_trade == "unknown"
    assert capabilities.list_requests == 0


def test_a_symbol_is_found_in_the_list_in_either_spelling(
    monthly: AlphaVantageOpener, monthly_venue: VenueProcess
) -> None:
    client = monthly()
    assert client.find_market("BRK.B", "equity").symbol == "BRK-B"
    assert client.find_market("SPY", "etf").active is True
    assert len(client.markets()) == 3
    assert requests(monthly_venue) == 1
    for symbol, asset_class in (("SPY", "equity"), ("GONE", "equity"), ("NOPE", "equity")):
        with pytest.raises(UnknownSymbol, match=symbol):
            client.find_market(symbol, asset_class)
    assert client.first_trade("MSFT", "equity") is None


def test_without_a_key_or_for_coins_it_cannot_be_opened(monthly: AlphaVantageOpener) -> None:
    options = ProviderOptions(source="alpha_vantage", asset_classes=("equity",))
    with pytest.raises(MissingKeys, match="ALPHAVANTAGE_API_KEY not set"):
        open_provider("alpha_vantage", options, Unlimited())
    with pytest.raises(Unsupported, match="serves no crypto_spot"):
        monthly(asset_classes=("crypto_spot",))


def test_an_empty_or_too_long_window_is_an_error_of_the_caller(monthly: AlphaVantageOpener) -> None:
    for window in (Interval(NOW.replace(second=0), NOW.replace(second=0)), month(2024, 5)):
        with pytest.raises(ValueError, match="has not between 1 and 1000 minutes"):
            monthly(bars_per_request=1000).fetch_bars("MSFT", "equity", window)
