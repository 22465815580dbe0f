"""Which shift of the stamps would explain a delivery."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline.intervals import MINUTE
from pipeline.shifts import Values, likeliest_shift
from tests.making import at

START = at("2024-01-10")
QUIET: Values = (5.0, 5.0, 5.0, 5.0, 0.0)


def series(values: list[Values], shift: int = 0) -> dict[datetime, Values]:
    return {START + (n + shift) * MINUTE: value for n, value in enumerate(values)}


def traded(price: float) -> Values:
    return (price, price + 1, price - 1, price, 2.0)


@given(st.lists(st.integers(1, 50), min_size=1), st.integers(-500, 500).filter(bool))
def test_a_shift_explains_every_bar_it_moved(prices: list[int], shift: int) -> None:
    values = [traded(price) for price in prices]
    found = likeliest_shift(series(values), series(values, shift))
    if any(prices.count(price) == 1 for price in prices):
        assert found == (shift * MINUTE, len(values))
    else:
        assert found is None


def test_bars_that_are_where_they_were_suggest_no_shift() -> None:
    values = [traded(price) for price in range(10)]
    assert likeliest_shift(series(values), series(values)) is None


def test_a_quiet_minute_suggests_no_shift_but_is_explained_by_one() -> None:
    assert likeliest_shift(series([QUIET]), series([QUIET], 60)) is None
    values = [QUIET, QUIET, traded(7.0)]
    assert likeliest_shift(series(values), series(values, -3)) == (timedelta(minutes=-3), 3)


def test_of_equally_likely_shifts_the_shortest_is_named() -> None:
    stored = series([traded(1.0), traded(2.0)])
    delivered = {START + 9 * MINUTE: traded(1.0), START + 3 * MINUTE: traded(2.0)}
    assert likeliest_shift(stored, delivered) == (timedelta(minutes=2), 1)
