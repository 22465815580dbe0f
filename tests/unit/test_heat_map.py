"""The heat map of coverage: what it says, in the terminal and as a picture."""

from __future__ import annotations

import base64
import re
from datetime import date
from xml.etree import ElementTree as ET

import pytest

from assets.heat_map import LISTINGS, heat_map
from pipeline.commands.heat_map import draw
from pipeline.heat_map import Counts, HeatMap
from pipeline.store.coverage import CoverageRow


def row(
    month: str,
    answered: int = 0,
    failed: int = 0,
    unavailable: int = 0,
    *,
    listing: str = "BTC-USD",
    expected: int = 1000,
) -> CoverageRow:
    pending = expected - answered - failed - unavailable
    bars = answered // 2
    return CoverageRow(
        "bitfinex",
        listing,
        date.fromisoformat(f"{month}-01"),
        expected,
        bars,
        answered - bars,
        failed,
        unavailable,
        pending,
        answered,
        answered / expected * 100,
    )


def months(first: int, count: int) -> list[str]:
    return [f"{first + n // 12}-{n % 12 + 1:02}" for n in range(count)]


def symbols(*rows: CoverageRow) -> str:
    whole = HeatMap.of(rows)
    return whole.symbols(whole.lines[0])


def svg(picture: str) -> str:
    found = re.fullmatch(r"!\[[^\]]+\]\(data:image/svg\+xml;base64,([^)]+)\)", picture)
    assert found
    return base64.b64decode(found[1]).decode()


@pytest.mark.parametrize(
    ("counts", "symbol"),
    [
        (Counts(), " "),
        (Counts(1000, 1000), "#"),
        (Counts(1000, 999), "9"),
        (Counts(1000, 899), "8"),
        (Counts(1000, 0), "0"),
        (Counts(1000, 999, failed=1), "x"),
        (Counts(1000, 600, unavailable=400), "-"),
        (Counts(1000, 600, unavailable=399), "6"),
        (Counts(1000, 0, failed=1, unavailable=999), "x"),
    ],
)
def test_a_cell_is_complete_only_when_no_minute_is_missing(counts: Counts, symbol: str) -> None:
    assert counts.symbol == symbol


def test_months_without_expected_minutes_are_blank() -> None:
    assert symbols(row("2024-01", 1000), row("2024-04", 500), row("2024-03", 0)) == "# 05"


def test_the_listing_with_the_most_open_minutes_comes_first() -> None:
    rows = [
        row("2024-01", 1000, listing="A"),
        row("2024-01", 900, listing="B"),
        row("2024-01", 0, unavailable=1000, listing="C"),
        row("2024-01", 900, failed=50, listing="D"),
        row("2024-02", 999, listing="D"),
    ]
    assert [line.listing for line in HeatMap.of(rows).lines] == ["D", "B", "A", "C"]


def test_a_map_that_is_too_wide_shows_quarters_and_then_the_newest_of_them() -> None:
    rows = [row(month, 1000) for month in months(2015, 120)]
    rows[-1] = row("2024-12", 0)
    whole = HeatMap.of(rows)
    assert whole.fitted(120) == whole
    quarters = whole.fitted(119)
    assert quarters.symbols(quarters.lines[0]) == "#" * 39 + "6"
    assert quarters.lines[0].total == whole.lines[0].total
    newest = whole.fitted(5)
    assert newest.symbols(newest.lines[0]) == "####6"
    assert newest.years() == {0: 2023, 1: 2024}


def test_the_terminal_shows_years_above_their_first_month() -> None:
    lines = [
        text.plain for text in draw(HeatMap.of([row("2023-11", 1000), row("2024-02", 250)]), 80)
    ]
    assert lines[0] == " " * 17 + "  2024 "
    assert lines[1] == "bitfinex BTC-USD #  2   62.50 %"
    assert "x some failed" in lines[-1]


@pytest.mark.parametrize("width", [40, 80, 140])
def test_the_terminal_map_is_no_wider_than_the_terminal(width: int) -> None:
    rows = [row(month, 1000) for month in months(2015, 120)]
    _, line, *_ = draw(HeatMap.of(rows), width)
    assert len(line.plain) <= width


def test_a_share_is_never_rounded_up_to_everything() -> None:
    _, line, *_ = draw(HeatMap.of([row("2024-01", 999_999, expected=1_000_000)]), 80)
    assert line.plain.endswith(" 99.99 %")


def test_the_picture_names_what_it_shows_and_draws_equal_neighbours_at_once() -> None:
    rows = [row(month, 1000) for month in months(2015, 120)]
    rows[60] = row("2020-01", 500, failed=500)
    picture = heat_map(HeatMap.of(rows, listings=3))
    image = ET.fromstring(svg(picture))
    title = image.find("{*}title")
    assert title is not None
    assert title.text == (
        "Coverage of 1 listing, 2015-01 to 2024-12: 99.58 % of the expected minutes answered; "
        "2 listings with fewer open minutes left out"
    )
    complete, failed = (path.get("d") or "" for path in image.findall("{*}path")[:2])
    assert (complete.count("M"), failed.count("M")) == (2, 1)
    texts = {text.text for text in image.findall("{*}text")}
    assert {"BTC-USD", "2015", "2024", "some failed"} <= texts


def test_names_in_the_picture_are_escaped() -> None:
    image = ET.fromstring(svg(heat_map(HeatMap.of([row("2024-01", listing="A<&B")]))))
    assert "A<&B" in {text.text for text in image.findall("{*}text")}


def test_a_picture_of_ten_years_of_sixty_listings_stays_small() -> None:
    rows = [
        row(month, 1000 - (37 * place + number) % 29 % 2 * 500, listing=f"L{number}")
        for number in range(LISTINGS)
        for place, month in enumerate(months(2015, 120))
    ]
    picture = heat_map(HeatMap.of(rows))
    assert len(picture) < 100_000  # and that is one where neighbours always differ
    with pytest.raises(ValueError, match="too many"):
        heat_map(HeatMap.of([*rows, row("2024-01", listing="one more")]))


def test_there_is_no_picture_of_nothing() -> None:
    assert heat_map(HeatMap.of([])) == ""
