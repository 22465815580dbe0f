"""Microsoft around Thanksgiving 2020, as Alpha Vantage sent it, against another reading."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from pydantic import SecretStr

from pipeline.intervals import Interval
from pipeline.providers.alpha_vantage_client import AlphaVantageProvider
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.limiter import Unlimited
from pipeline.providers.options import ProviderOptions
from pipeline.quality import sift
from tests.venue.recordings import FOLDER, needed
from venue import VenueProcess

pytestmark = needed

FILE = FOLDER / "RomelTorres_alpha_vantage" / "test_data" / "mock_time_series_extended"
NEW_YORK = ZoneInfo("America/New_York")
Bar = tuple[float, ...]


def recorded() -> dict[datetime, Bar]:
    """Read the table line by line: each stamp is the end of a minute on the wall in New York."""
    bars = {}
    with FILE.open(newline="") as lines:
        for line in csv.DictReader(lines):
            end = datetime.fromisoformat(line["time"]).replace(tzinfo=NEW_YORK)
            names = ("open", "high", "low", "close", "volume")
            start = (end - timedelta(minutes=1)).astimezone(UTC)
            bars[start] = tuple(float(line[name]) for name in names)
    return bars


@pytest.fixture(scope="module")
def months() -> Iterator[tuple[pa.Table, int]]:
    """What the client makes of November and December, and how many requests that took."""
    market = {"files": [str(FILE)], "price_decimals": 8}
    section = {"requests_per_second": 0, "markets": {"MSFT": market}}
    with VenueProcess({"exchanges": {"alpha_vantage": section}}) as venue:
        options = ProviderOptions(
            source="alpha_vantage",
            base_url=f"{venue.url}/alpha_vantage",
            asset_classes=("equity",),
            keys={"ALPHAVANTAGE_API_KEY": SecretStr("any")},
            limit=RateLimit(1000, 1.0),
        )
        client = AlphaVantageProvider("alpha_vantage", options, limiter=Unlimited())
        windows = [Interval.month(date(2020, number, 1)) for number in (11, 12)]
        tables = [client.fetch_bars("MSFT", "equity", window) for window in windows]
        client.close()
        yield pa.concat_tables(tables), client.requests_sent


def rows(months: tuple[pa.Table, int]) -> dict[datetime, Bar]:
    good, refused = sift(months[0])
    assert refused == []
    read: dict[datetime, Bar] = {}
    for row in good.to_pylist():
        *numbers, vwap, trades = [value for name, value in row.items() if name != "ts"]
        assert (vwap, trades) == (None, None)
        read[row["ts"]] = tuple(numbers)
    return read


def test_every_recorded_minute_is_there_under_its_start_and_no_other(
    months: tuple[pa.Table, int],
) -> None:
    assert rows(months) == recorded()
    assert len(months[0]) == 11_190
    assert months[1] == 2  # the evening of 30 November came with November


def test_thanksgiving_has_no_bar_and_the_day_after_ends_at_one(
    months: tuple[pa.Table, int],
) -> None:
    days: dict[date, list[Any]] = {}
    for ts in sorted(rows(months)):
        local = ts.astimezone(NEW_YORK)
        days.setdefault(local.date(), []).append(local.time())
    assert date(2020, 11, 26) not in days
    friday = days[date(2020, 11, 27)]
    regular = [at for at in friday if "09:30" <= f"{at:%H:%M}" < "13:00"]
    assert len(regular) == 210
    assert f"{regular[-1]:%H:%M}" == "12:59"
    # After hours were recorded too, and end at 17:00 on that day.
    assert f"{friday[-1]:%H:%M}" == "16:59"
    assert len(friday) == 312
    for day in (date(2020, 11, 25), date(2020, 11, 30)):
        whole = [at for at in days[day] if "09:30" <= f"{at:%H:%M}" < "16:00"]
        assert len(whole) == 390


def test_the_last_hour_of_november_in_new_york_is_decembers_first_in_utc(
    months: tuple[pa.Table, int],
) -> None:
    evening = Interval(datetime(2020, 12, 1, tzinfo=UTC), datetime(2020, 12, 1, 1, tzinfo=UTC))
    known = {ts: bar for ts, bar in recorded().items() if ts in evening}
    assert known == {ts: bar for ts, bar in rows(months).items() if ts in evening}
    assert len(known) > 5
