"""What headers say of time, waits and the use of a limit, in each vendor's own words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from requests.structures import CaseInsensitiveDict

from pipeline.providers.capabilities import RateLimit
from pipeline.providers.headers import read_clock_skew, read_retry_after, read_usage
from pipeline.providers.limiter import Usage
from tests.making import at

NOW = at("2024-06-01T12:00:30")
NO_TIME = timedelta(0)


def dated(moment: datetime, **others: str) -> CaseInsensitiveDict[str]:
    """Return headers with a date, and others with underscores for hyphens."""
    named = {name.replace("_", "-"): value for name, value in others.items()}
    return CaseInsensitiveDict({"date": format_datetime(moment, usegmt=True), **named})


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), (" 7 ", 7), ("0", 0), ("1.2", 2), ("soon", None), ("-5", None), (None, None)],
)
def test_retry_after_is_read_to_the_second(header: str | None, seconds: int | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    headers = {} if header is None else {"Retry-After": header}
    assert read_retry_after(headers) == expected


def test_retry_after_may_be_a_date_by_the_clock_of_who_sent_it() -> None:
    soon = format_datetime(NOW + timedelta(seconds=90), usegmt=True)
    assert read_retry_after(dated(NOW, Retry_After=soon)) == timedelta(seconds=90)
    assert read_retry_after({"Retry-After": soon}, NOW) == timedelta(seconds=90)
    long_ago = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert read_retry_after(dated(NOW, Retry_After=long_ago)) == timedelta(0)
    assert read_retry_after({"Retry-After": long_ago}) == timedelta(0)


@pytest.mark.parametrize("skew", [-3600, -600, -4, 4, 3600])
def test_a_clock_that_differs_is_noticed_to_the_second(skew: int) -> None:
    headers = dated(NOW + timedelta(seconds=skew))
    found = read_clock_skew(headers, NOW + timedelta(seconds=0.2), timedelta(seconds=0.4))
    assert found is not None
    assert abs(found.total_seconds() - skew) <= 0.5


@pytest.mark.parametrize("skew", [-1, 0, 1])
def test_a_date_of_whole_seconds_shows_no_small_difference(skew: int) -> None:
    assert read_clock_skew(dated(NOW + timedelta(seconds=skew)), NOW, NO_TIME) == timedelta(0)


def test_what_cannot_be_compared_says_nothing() -> None:
    assert read_clock_skew({}, NOW, NO_TIME) is None
    assert read_clock_skew({"Date": "now"}, NOW, NO_TIME) is None
    assert read_clock_skew(dated(NOW, Age="40"), NOW, NO_TIME) is None
    assert read_clock_skew(dated(NOW), NOW, timedelta(seconds=20)) is None


def stamp(seconds: float) -> str:
    return str(int(NOW.astimezone(UTC).timestamp()) + seconds)


@pytest.mark.parametrize(
    ("headers", "limit", "published", "expected"),
    [
        # Binance counts by the minute of its clock, and does not tell its limit.
        (
            {"X_MBX_USED_WEIGHT_1M": "1200"},
            RateLimit(6000, 60.0),
            RateLimit(6000, 60.0),
            Usage(1200, 0, timedelta(seconds=30)),
        ),
        (
            {"X_MBX_USED_WEIGHT_1M": "1200"},
            RateLimit(1000, 60.0),
            RateLimit(6000, 60.0),
            Usage(1200, 5000, timedelta(seconds=30)),
        ),
        # Alpaca tells the second at which it begins anew.
        (
            {
                "X_RateLimit_Limit": "200",
                "X_RateLimit_Remaining": "150",
                "X_RateLimit_Reset": stamp(15),
            },
            RateLimit(200, 60.0),
            RateLimit(200, 60.0),
            Usage(50, 0, timedelta(seconds=45)),
        ),
        # KuCoin tells the milliseconds until then.
        (
            {
                "gw_ratelimit_limit": "2000",
                "gw_ratelimit_remaining": "1989",
                "gw_ratelimit_reset": "12000",
            },
            RateLimit(2000, 30.0),
            RateLimit(2000, 30.0),
            Usage(11, 0, timedelta(seconds=18)),
        ),
        # Bybit tells milliseconds since 1970.
        (
            {
                "X_Bapi_Limit": "100",
                "X_Bapi_Limit_Status": "99",
                "X_Bapi_Limit_Reset_Timestamp": stamp(0) + "000",
            },
            RateLimit(50, 1.0),
            RateLimit(50, 1.0),
            Usage(1, 50, timedelta(seconds=1)),
        ),
        ({}, RateLimit(1, 1.0), RateLimit(1, 1.0), None),
        ({"X_RateLimit_Remaining": "5"}, RateLimit(1, 1.0), RateLimit(1, 1.0), None),
        ({"X_MBX_USED_WEIGHT_1M": "many"}, RateLimit(1, 1.0), RateLimit(1, 1.0), None),
    ],
)
def test_the_use_of_a_limit_is_read_in_each_vendors_words(
    headers: dict[str, str], limit: RateLimit, published: RateLimit, expected: Usage | None
) -> None:
    assert read_usage(dated(NOW, **headers), limit, published) == expected
