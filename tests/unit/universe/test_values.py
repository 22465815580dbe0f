"""Dates, keys, names and classes: what one value may be."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.universe import values
from tests.unit.universe.texts import complaints, with_listing, with_provider

FIRST, LAST = (datetime(year, 1, 2) for year in (2009, 2026))  # noqa: DTZ001  zones follow


@given(
    moment=st.datetimes(FIRST, LAST),
    hours=st.integers(-12, 12),
    sign=st.sampled_from(["T", " "]),
)
def test_a_moment_in_any_zone_is_the_same_minute_in_utc(
    moment: datetime, hours: int, sign: str
) -> None:
    local = moment.replace(second=0, microsecond=0, tzinfo=timezone(timedelta(hours=hours)))
    written = local.isoformat(sign, "minutes")
    assert values.instant(written) == local
    assert values.instant(written).tzinfo is UTC


@pytest.mark.parametrize(
    "written", ["2020", "1577836800", "2020-1-1", "20200101", "2020-W01", "soon", "2020-01-01T24"]
)
def test_what_is_not_a_date_is_refused_where_it_could_be_taken_for_one(
    written: str, file: Path
) -> None:
    (told,) = complaints(file, with_provider(f"{{start: {written}}}"))
    assert told == (
        f"universe.yaml:3: providers.bitfinex.start: is '{written}', which is not a date or time; "
        "write 2020-01-31 or 2020-01-31T09:30Z (without a zone, UTC is meant)"
    )


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("2020-02-30", "is '2020-02-30': day is out of range for month; write 2020-01-31"),
        ("0001-01-01T00:00+14:00", "is 0001-01-01 00:00:00+14:00, beyond the calendar; write"),
        ("[2020]", "must be a date or time; write 2020-01-31"),
    ],
)
def test_a_date_that_no_calendar_has_is_refused(written: str, why: str, file: Path) -> None:
    (told,) = complaints(file, with_provider(f"{{start: {written}}}"))
    assert told.startswith(f"universe.yaml:3: providers.bitfinex.start: {why}")


@pytest.mark.parametrize("key", ["a,b", "a[b", "a]b", "a|b", "a/b", "a b", "-a", "a...b", "ä"])
def test_a_key_that_is_unsafe_as_a_partition_key_is_refused(key: str, file: Path) -> None:
    text = with_listing("x").replace("  BTC-USD:", f"  '{key}':")
    (told,) = complaints(file, text)
    assert told.startswith("universe.yaml:4: instruments.")
    assert f"is {key!r}, not usable as a key; use letters, digits and" in told


@pytest.mark.parametrize("name", ["Kraken", "1inch", "gate.io", "my-own", "_x", "a b"])
def test_a_provider_name_that_is_unsafe_is_refused(name: str, file: Path) -> None:
    (told,) = complaints(file, with_provider("").replace("bitfinex", name))
    assert told.startswith("universe.yaml:3: providers.")
    assert f"is {name!r}, not usable as a provider's name; use lower-case letters" in told


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("consolidated", "the series of several providers are"),
        ("fundamentals", "that of several providers together is"),
    ],
)
def test_no_provider_is_called_like_what_is_made_of_several(
    name: str, what: str, file: Path
) -> None:
    (told,) = complaints(file, with_provider("").replace("bitfinex", name))
    assert f"is {name}, which is what {what} called" in told


def test_a_class_that_does_not_exist_is_told_with_those_that_do(file: Path) -> None:
    (told,) = complaints(file, with_listing("x").replace("crypto_spot", "crypto_spt"))
    assert told == (
        "universe.yaml:5: instruments.BTC-USD.class: is the text 'crypto_spt' (did you mean "
        "crypto_spot?); use crypto_spot, crypto_swap, crypto_future, equity, etf, fx or index"
    )


def test_a_key_with_a_dot_is_quoted_in_the_place_it_names(file: Path) -> None:
    (told,) = complaints(file, with_listing("").replace("BTC-USD", "BRK.B"))
    assert told.startswith('universe.yaml:7: instruments."BRK.B".listings.bitfinex: ')
