"""Markets that close: hours, half days, holidays, clock changes, recorded minutes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pytest
from exchange_calendars import get_calendar

from tests.venue import recordings
from venue import config
from venue.hours import Hours, midnights
from venue.service import Venue

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NEW_YORK = ZoneInfo("America/New_York")
MINUTE_MS = 60_000
# Trading days that are remarkable, and how many regular minutes each has, from the exchange's own
# calendars.
DAYS = {
    "2012-10-29": 0,  # Sandy
    "2018-12-05": 0,  # a day of mourning
    "2021-12-24": 0,  # Christmas on a Saturday
    "2021-12-31": 390,  # New Year on a Saturday is not made up for
    "2022-06-20": 0,  # Juneteenth on a Sunday
    "2023-07-03": 210,
    "2023-11-23": 0,
    "2023-11-24": 210,
    "2024-03-29": 0,  # Good Friday
    "2024-07-03": 210,
    "2024-07-04": 0,
    "2024-07-05": 390,
    "2024-12-24": 210,
    "2025-01-09": 0,  # a day of mourning
    "2025-04-18": 0,  # Good Friday
}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * 1000


def venue_of(markets: Mapping[str, Any], **options: Any) -> Venue:
    section = {"requests_per_second": 0, "markets": markets, **options}
    document = {"now": "2025-07-01T00:00:00Z", "speed": 0, "exchanges": {"alpaca": section}}
    return Venue(config.parse(document, recordings.FOLDER))


def local_times(venue: Venue, symbol: str, day: str) -> list[str]:
    """Return the wall-clock times of New York at which a day has bars."""
    truth = venue.truth("alpaca", symbol, at(day), at(day) + 24 * 60 * MINUTE_MS)
    moments = [datetime.fromtimestamp(ts / 1000, UTC).astimezone(NEW_YORK) for ts in truth["ts"]]
    return [f"{moment:%H:%M}" for moment in moments]


def test_a_trading_day_has_every_regular_minute_and_a_few_around_it() -> None:
    times = local_times(venue_of({"AAPL": {}}), "AAPL", "2024-06-03")
    regular = [time for time in times if "09:30" <= time < "16:00"]
    assert len(regular) == 390
    before, after = (sum(time < "09:30" for time in times), sum(time >= "16:00" for time in times))
    assert 10 < before < 60
    assert 5 < after < 60
    assert times[0] >= "04:00"
    assert times[-1] < "20:00"


@pytest.mark.parametrize(("day", "minutes"), DAYS.items())
def test_holidays_and_half_days_are_those_of_new_york(day: str, minutes: int) -> None:
    times = local_times(
        venue_of({"AAPL": {"quiet_extended": 0, "listed_at": date(2010, 1, 4)}}), "AAPL", day
    )
    close = "13:00" if minutes == 210 else "16:00"
    assert sum("09:30" <= time < close for time in times) == minutes
    assert len(times) == {0: 0, 210: 780, 390: 960}[minutes]


def test_the_hours_follow_the_clocks_of_new_york() -> None:
    truth = venue_of({"AAPL": {"quiet_extended": 1}}).truth(
        "alpaca", "AAPL", at("2024-03-07"), at("2024-03-13")
    )
    opens = [
        f"{datetime.fromtimestamp(ts / 1000, UTC):%m-%d %H:%M}"
        for before, ts in zip([0, *truth["ts"]], truth["ts"], strict=False)
        if ts - before > MINUTE_MS
    ]
    assert opens == ["03-07 14:30", "03-08 14:30", "03-11 13:30", "03-12 13:30"]


def test_days_without_trading_can_be_configured() -> None:
    venue = venue_of({"AAPL": {}}, holidays=["2024-06-03"], half_days=[date(2024, 7, 5)])
    assert not local_times(venue, "AAPL", "2024-06-03")
    assert max(local_times(venue, "AAPL", "2024-07-05")) < "17:00"
    assert len(local_times(venue, "AAPL", "2024-07-04")) > 390
    with pytest.raises(TypeError, match="not a day"):
        venue_of({"AAPL": {}}, holidays=[3])


def test_a_market_may_trade_always_where_others_close() -> None:
    venue = venue_of({"AAPL": {"hours": "always"}})
    assert len(local_times(venue, "AAPL", "2024-06-02")) == 1440
    with pytest.raises(ValueError, match=r"markets\.AAPL\.hours"):
        venue_of({"AAPL": {"hours": "london"}})


def test_the_calendar_agrees_with_an_independent_one() -> None:
    theirs = get_calendar("XNYS", start="2005-01-01", end="2026-12-31")
    trading = {stamp.date() for stamp in theirs.sessions}
    early = {stamp.date() for stamp in theirs.early_closes}
    hours = Hours()
    for number in range((date(2026, 12, 31) - date(2005, 1, 3)).days):
        day = date(2005, 1, 3) + timedelta(days=number)
        assert hours.is_trading_day(day) == (day in trading), day
        assert (hours.is_trading_day(day) and hours.is_half_day(day)) == (day in early), day


def test_midnights_are_new_yorks_also_when_clocks_change() -> None:
    begin = midnights(at("2024-03-09T12:00"), at("2024-03-11T12:00"))
    assert begin.tolist() == [at("2024-03-09"), at("2024-03-10"), at("2024-03-11")]
    assert np.diff(begin).tolist() == [24 * 60 * MINUTE_MS, 23 * 60 * MINUTE_MS]


@recordings.needed
def test_a_csv_with_readable_times_is_served_with_its_digits() -> None:
    file = "Wat-Street_money-making/Datasets/FXY_1min_2023-07-10_to_2025-07-08.csv"
    venue = venue_of({"FXY": {"files": [file]}})
    start, stop = (int(datetime(2024, 11, day, tzinfo=UTC).timestamp()) * 1000 for day in (1, 8))
    truth = venue.truth("alpaca", "FXY", start, stop)
    columns = [truth[name] for name in ("open", "high", "low", "close", "volume")]
    stamps = [f"{datetime.fromtimestamp(ts / 1000, UTC):%Y-%m-%d %H:%M:%S}" for ts in truth["ts"]]
    found = [",".join(map(str, row)) for row in zip(stamps, *columns, strict=True)]
    lines = (recordings.FOLDER / file).read_text().splitlines()
    assert found == [line for line in lines if "2024-11-01" <= line < "2024-11-08"]
    assert len(found) > 500


@recordings.needed
def test_days_of_lean_are_served_with_raw_prices() -> None:
    folder = "QuantConnect_Lean/Data/equity/usa/minute/aapl"
    truth = venue_of({"AAPL": {"files": [folder]}}).truth(
        "alpaca", "AAPL", at("2014-06-06T09:30"), at("2014-06-09T16:00")
    )
    prices = dict(zip(truth["ts"], truth["close"], strict=True))
    assert prices[at("2014-06-06T15:59")] > 600  # before the split of seven to one
    assert prices[at("2014-06-09T09:30")] < 100
    assert sum(ts >= at("2014-06-09T09:30") for ts in truth["ts"]) == 390


def test_an_empty_document_is_no_recording(tmp_path: Path) -> None:
    file = tmp_path / "pages.json"
    file.write_bytes(orjson.dumps([{"url": "https://x/v2/assets", "body": {"a": [1]}}]))
    venue = venue_of({}, recorded={"/v2/assets": str(file)})
    keys = {"APCA-API-KEY-ID": "k", "APCA-API-SECRET-KEY": "s"}
    assert venue.reply("alpaca", "/v2/assets", {}, keys).answer.body == b'{"a":[1]}'
