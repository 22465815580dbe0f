"""A month as candles before its gaps: every shape is where its numbers say, in the right colour."""

from __future__ import annotations

import base64
import re
from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from xml.etree import ElementTree as ET

import pytest

from assets.candles import ASKED_AGAIN, COLOURS, LOST, candle_picture
from pipeline.store.cells import Candle
from pipeline.store.reasons import REASONS, ReasonedGap
from tests.making import at

UP, DOWN = "#2a9d8f", "#d64550"
JANUARY, FEBRUARY = date(2024, 1, 1), date(2023, 2, 1)
TOP, BOTTOM = 16, 80
"""Where the plot begins and ends, from above."""
DAY = 10
"""How wide a day is."""
CANDLE = re.compile(r"M(\d+),(-?\d+)h7v(\d+)h-7zM(\d+),(-?\d+)h1v(\d+)h-1z")


@dataclass(frozen=True)
class Shape:
    """A candle as it is drawn."""

    colour: str
    opacity: float
    left: int
    top: int
    bottom: int
    highest: int
    lowest: int


def root(picture: str) -> ET.Element:
    found = re.fullmatch(r"!\[[^\]]+\]\(data:image/svg\+xml;base64,([^)]+)\)", picture)
    assert found
    return ET.fromstring(base64.b64decode(found[1]))


def shapes(picture: str) -> dict[int, Shape]:
    """Return the drawn candles by the day whose columns they lie in."""
    drawn = {}
    for path in root(picture).findall("{*}path[@fill]"):
        found = CANDLE.findall(path.get("d") or "")
        assert "".join(CANDLE.sub("", path.get("d") or "")) == ""
        for x, top, body, middle, highest, wick in (map(int, each) for each in found):
            assert middle == x + 3
            day = x // DAY + 1
            assert day not in drawn
            drawn[day] = Shape(
                path.get("fill") or "",
                float(path.get("fill-opacity") or ""),
                x,
                top,
                top + body,
                highest,
                highest + wick,
            )
    return drawn


def bands(picture: str) -> dict[str, list[tuple[int, int]]]:
    """Return the shaded columns by colour, from each first to the one after each last."""
    found: dict[str, list[tuple[int, int]]] = {}
    strips: dict[str, list[tuple[int, int]]] = {}
    for path in root(picture).findall("{*}path[@stroke]"):
        pieces = re.findall(r"M(\d+),(\d+)H(\d+)", path.get("d") or "")
        columns = [(int(first), int(end)) for first, _, end in pieces]
        is_band = int(path.get("stroke-width") or "") == BOTTOM - TOP
        assert {int(y) for _, y, _ in pieces} == {(TOP + BOTTOM) // 2 if is_band else BOTTOM + 2}
        (found if is_band else strips)[path.get("stroke") or ""] = columns
    assert found == strips
    return found


def texts(picture: str) -> list[str]:
    return ["".join(text.itertext()) for text in root(picture).findall("{*}text")]


def candle(day: int, prices: tuple[float, float, float, float], *, complete: bool = True) -> Candle:
    return Candle(JANUARY.replace(day=day), *prices, complete)


def gap(since: str, before: str, reason: str) -> ReasonedGap:
    return ReasonedGap("bitfinex", "BTC-USD", at(since), at(before), 1, "any", reason, None)


def of(prices: Mapping[int, tuple[float, float, float, float]]) -> list[Candle]:
    return [candle(day, each) for day, each in prices.items()]


MONTH = {
    1: (10.0, 14.0, 9.0, 12.0),
    2: (12.0, 12.5, 8.0, 8.5),
    3: (8.5, 9.0, 8.5, 8.5),
    17: (9.0, 20.0, 9.0, 20.0),
    31: (20.0, 21.0, 5.0, 6.0),
}


def test_each_candle_stands_in_its_days_columns_and_is_coloured_by_its_way() -> None:
    drawn = shapes(candle_picture(JANUARY, of(MONTH), []))

    assert sorted(drawn) == list(MONTH)
    for day, shape in drawn.items():
        assert (day - 1) * DAY < shape.left < shape.left + 7 <= day * DAY
    colours = {day: shape.colour for day, shape in drawn.items()}
    assert colours == {1: UP, 2: DOWN, 3: UP, 17: UP, 31: DOWN}
    assert {shape.opacity for shape in drawn.values()} == {1.0}


@pytest.mark.parametrize("factor", [1e-12, 1e-8, 1.0, 1e6, 1e100])
def test_prices_are_drawn_in_proportion_whatever_their_size(factor: float) -> None:
    prices = {
        day: (factor * each[0], factor * each[1], factor * each[2], factor * each[3])
        for day, each in MONTH.items()
    }
    drawn = shapes(candle_picture(JANUARY, of(prices), []))

    highest, lowest = drawn[31].highest, drawn[31].lowest
    assert TOP <= highest < lowest <= BOTTOM
    a_unit = (lowest - highest) / (21.0 - 5.0)
    assert a_unit > 3
    for day, (first, high, low, last) in MONTH.items():
        shape = drawn[day]
        edges = (shape.highest, shape.lowest, shape.top, shape.bottom)
        values = (high, low, max(first, last), min(first, last))
        for edge, value in zip(edges, values, strict=True):
            # Rounded, and a body without a height has one of a pixel.
            assert abs(edge - (highest + (21.0 - value) * a_unit)) <= 1.5


def test_one_price_alone_is_a_line_in_the_middle() -> None:
    picture = candle_picture(JANUARY, of(dict.fromkeys(range(1, 32), (5.0,) * 4)), [])
    drawn = shapes(picture)

    assert len(drawn) == 31
    assert {(shape.top, shape.bottom) for shape in drawn.values()} == {(48, 49)}
    assert [text for text in texts(picture) if text.startswith("5")] == ["5.0000"]


def test_what_is_not_complete_is_pale_and_the_picture_says_so() -> None:
    days = [candle(day, MONTH[1], complete=day != 2) for day in (1, 2)]
    drawn = shapes(candle_picture(JANUARY, days, []))

    assert drawn[2].opacity < drawn[1].opacity == 1
    assert texts(candle_picture(JANUARY, days, []))[-1] == "pale: not complete"
    assert not any("pale" in text for text in texts(candle_picture(JANUARY, days[:1], [])))


@pytest.mark.parametrize(
    ("since", "before", "columns"),
    [
        ("2024-01-03", "2024-01-05", (20, 40)),
        ("2024-01-03T12:00", "2024-01-03T12:01", (25, 26)),
        ("2024-01-03T11:59", "2024-01-03T12:01", (24, 26)),
        ("2024-01-31T23:59", "2024-02-01", (309, 310)),
        ("2023-11-07", "2024-01-01T02:24", (0, 1)),
        ("2024-01-31", "2031-01-01", (300, 310)),
        ("2023-11-07", "2024-07-01", (0, 310)),
    ],
)
def test_a_gap_shades_the_columns_that_it_touches(
    since: str, before: str, columns: tuple[int, int]
) -> None:
    assert bands(candle_picture(JANUARY, [], [gap(since, before, "failed")])) == {
        ASKED_AGAIN: [columns]
    }


def test_gaps_that_touch_are_one_band_and_colours_are_apart() -> None:
    gaps = [
        gap("2024-01-10", "2024-01-11", "pending"),
        gap("2024-01-02", "2024-01-03", "outage"),
        gap("2024-01-11", "2024-01-11T05:00", "failed"),
        gap("2024-01-20", "2024-01-20T00:01", "halt"),
        gap("2024-01-20T01:00", "2024-01-20T01:01", "halt"),
        gap("2024-01-10T20:00", "2024-01-10T21:00", "failed"),
    ]
    picture = candle_picture(JANUARY, of(MONTH), gaps)

    assert bands(picture) == {LOST: [(10, 20), (190, 191)], ASKED_AGAIN: [(90, 103)]}
    assert texts(picture)[-1] == "\u25a0 failed, pending\u2003\u25a0 outage, halt"


def test_every_reason_has_its_colour_and_is_named() -> None:
    assert set(COLOURS) == set(REASONS)
    again = {reason for reason, colour in COLOURS.items() if colour == ASKED_AGAIN}
    assert again == {"failed", "pending"}
    for reason in REASONS:
        picture = candle_picture(JANUARY, [], [gap("2024-01-03", "2024-01-05", reason)])
        assert list(bands(picture)) == [ASKED_AGAIN if reason in again else LOST]
        assert "_" not in texts(picture)[-1]


def test_the_future_of_a_month_is_blank() -> None:
    picture = candle_picture(
        JANUARY,
        [candle(9, MONTH[1]), candle(10, MONTH[1], complete=False)],
        [gap("2024-01-10T12:00", "2024-01-10T13:30", "pending")],
    )
    assert set(shapes(picture)) == {9, 10}
    assert bands(picture) == {ASKED_AGAIN: [(95, 96)]}


def test_without_bars_only_gaps_are_drawn_and_without_these_nothing() -> None:
    outage = gap("2023-12-01", "2024-03-01", "outage")
    picture = candle_picture(JANUARY, [], [outage])

    assert shapes(picture) == {}
    assert texts(picture) == [
        "January 2024: no bars",
        *["1", "8", "15", "22", "29"],
        "\u25a0 outage",
    ]
    assert candle_picture(JANUARY, [], []) == ""
    assert candle_picture(date(2024, 4, 1), [], [outage]) == ""


def test_a_month_says_its_last_price_its_change_and_its_extremes() -> None:
    prices = {1: (40_000.0, 43_210.4, 39_999.6, 42_000.0), 2: (42_000.0, 42_500.0, 41_000.0, 41e3)}
    picture = candle_picture(JANUARY, of(prices), [])
    assert {"January 2024: 41,000 (+2.5 %)", "43,210", "40,000"} <= set(texts(picture))


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (0.0, "0"),
        (1.23456e-8, "1.235e-8"),
        (0.00123456, "0.0012346"),
        (1.08311, "1.0831"),
        (180.129, "180.13"),
        (1_234_567.8, "1,234,568"),
        (123_456_789.0, "1.235e8"),
        (-37.63, "-37.630"),
    ],
)
def test_prices_are_short_whatever_their_size(price: float, text: str) -> None:
    assert text in texts(candle_picture(JANUARY, of({1: (price,) * 4}), []))


@pytest.mark.parametrize("month", [JANUARY, FEBRUARY])
def test_the_picture_is_as_wide_as_its_month_and_nothing_is_cut_off(month: date) -> None:
    days = monthrange(month.year, month.month)[1]
    candles = [
        Candle(month.replace(day=day), *MONTH[1], complete=False) for day in range(1, days + 1)
    ]
    gaps = [gap(f"{month}", f"{month.replace(day=days)}T23:00", reason) for reason in REASONS]
    image = root(candle_picture(month, candles, gaps))

    width, height = int(image.get("width") or ""), int(image.get("height") or "")
    assert days * DAY < width <= 362
    assert height <= 112
    places = [(int(t.get("x") or ""), int(t.get("y") or "")) for t in image.findall("{*}text")]
    assert all(x < width and y < height for x, y in places)
    assert ("29" in texts(candle_picture(month, candles, gaps))) == (days > 28)


def sizes(candles: Sequence[Candle], *gaps: Iterable[ReasonedGap]) -> list[int]:
    return [len(candle_picture(JANUARY, candles, list(each))) for each in gaps]


def test_pictures_stay_small() -> None:
    whole = [
        candle(d, (1e6 + d, 2e6, 1e6, 1.5e6 - 30 * d), complete=d % 2 > 0) for d in range(1, 32)
    ]
    a_few = [gap(f"2024-01-{d:02}", f"2024-01-{d:02}T05:00", "failed") for d in range(1, 32, 7)]
    worst = [
        gap(f"2024-01-{d:02}T{h:02}:00", f"2024-01-{d:02}T{h:02}:01", reason)
        for d in range(1, 32)
        for h in range(0, 24, 5)
        for reason in REASONS
    ]
    none, some, most = sizes(whole, [], a_few, worst)
    assert none < some < 4096
    assert most < 16_384
