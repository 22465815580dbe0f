"""The web UI as a person meets it: what is seen at first, a click that downloads, a backfill.

Everything is done and seen in a real browser; only what became of it is read from the ledger.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import LAST_MONTH, SLOW, THIS_MONTH, Served, Ui

pytestmark = pytest.mark.long

GROUPS = ("binance", "bitfinex", "coingecko", "consolidated", "fundamentals", "operations")
BARS, TAIL = "/assets/bitfinex/bars_1m", "/assets/bitfinex/tail"
MADE_TOGETHER = ("bars_1m", "gaps", "bars")


def choose(ui: Ui, listings: str, months: str) -> Locator:
    """Select partitions in the dialog that is open; return the dialog."""
    dialog = ui.page.get_by_role("dialog").filter(has_text="Partition selection")
    month = dialog.get_by_placeholder("ex:")
    month.wait_for()  # only then does it know both dimensions
    dialog.get_by_text("Select a partition or create one").click()
    ui.page.get_by_text(re.compile(rf"^{re.escape(listings)}$")).filter(visible=True).last.click()
    ui.page.keyboard.press("Escape")
    month.fill(months)
    month.press("Enter")
    return dialog


def bars_of(served: Served, listing: str) -> dict[str, Any]:
    (row,) = served.rows(
        "SELECT bars, percent, pending FROM market.coverage"
        " WHERE provider = 'bitfinex' AND listing = %s AND month = %s",
        listing,
        LAST_MONTH,
    )
    return row


def perfect(served: Served, symbol: str) -> int:
    """Return how many bars a perfect download of the month holds."""
    start, end = (
        int(datetime.combine(day, time(), UTC).timestamp() * 1000)
        for day in (LAST_MONTH, THIS_MONTH)
    )
    return len(next(iter(served.venue.truth("bitfinex", symbol, start, end).values())))


def test_the_asset_graph_shows_every_group(ui: Ui) -> None:
    ui.open("/")
    ui.page.get_by_role("link", name="Lineage").click()

    for group in GROUPS:
        ui.see(ui.page.locator(f'[data-tooltip="{group}"]'))
    expect(ui.page.get_by_text("fetching statuses")).to_have_count(0, timeout=SLOW)
    ui.shoot("asset-graph")


def test_one_partition_is_materialized_by_clicking(ui: Ui, served: Served) -> None:
    assert bars_of(served, "BTC-USD")["bars"] == 0
    ui.open(BARS)
    ui.button("Materialize").first.click()
    dialog = choose(ui, "BTC-USD", f"{LAST_MONTH}")
    ui.see(dialog.get_by_text("1 partition", exact=True))
    ui.shoot("one-partition-chosen")
    dialog.get_by_role("button", name="Launch 1 run").click()

    ui.page.get_by_role("link", name="View", exact=True).click()
    ui.see("Success", within=2 * SLOW)
    ui.shoot("run-succeeded")
    stored = bars_of(served, "BTC-USD")
    assert stored["percent"] == 100
    assert stored["bars"] == perfect(served, "BTC-USD") > 0
    assert bars_of(served, "ETH-USD")["bars"] == 0


def test_the_partition_is_green(ui: Ui) -> None:
    ui.open(f"{BARS}?view=partitions")

    ui.see("Materialized (1)")
    ui.see("Failed (0)")
    ui.page.get_by_title("BTC-USD", exact=True).first.click()
    ui.page.get_by_text(f"{LAST_MONTH}", exact=True).filter(visible=True).last.click()
    ui.see("coverage_percent")
    ui.shoot("partition-green")


def test_a_month_is_shown_as_a_picture(ui: Ui) -> None:
    ui.open("/assets/bitfinex/bars?view=partitions")
    ui.page.get_by_title("BTC-USD", exact=True).first.click()
    ui.page.get_by_text(f"{LAST_MONTH}", exact=True).filter(visible=True).last.click()
    row = ui.page.get_by_role("row").filter(has_text="picture")
    row.get_by_text("[Show Markdown]").click()

    picture = ui.page.get_by_role("dialog").get_by_role("img", name=f"{LAST_MONTH:%B %Y}")
    ui.see(picture)
    assert picture.evaluate("image => image.naturalWidth") > 300
    ui.shoot("candles")


def test_checks_have_passed(ui: Ui) -> None:
    ui.open(f"{BARS}?view=checks")

    ui.see("minutes_add_up")
    ui.see("Passed")
    ui.shoot("checks")


def test_a_backfill_of_some_partitions_is_launched(ui: Ui) -> None:
    ui.open("/assets")
    for name in MADE_TOGETHER:
        ui.page.get_by_test_id(f"checkbox-bitfinex/{name}").locator("..").click()
    ui.button("Materialize selected").click()
    dialog = choose(ui, "Select all (2)", f"{LAST_MONTH}, {THIS_MONTH}")
    ui.see(dialog.get_by_text("4 partitions", exact=True))
    ui.shoot("backfill-chosen")
    dialog.get_by_role("button", name="Launch backfill").click()
    ui.see(ui.page.get_by_text("backfill").last)
    ui.shoot("backfill-launched")


def test_numbers_of_partitions_plot_themselves(ui: Ui) -> None:
    ui.open(BARS)
    ui.button("Plots").click()

    ui.see("coverage_percent")
    ui.see("dagster/partition_row_count")
    ui.shoot("asset-plots")


def test_lags_plot_themselves(ui: Ui) -> None:
    ui.open(TAIL)
    ui.button("Materialize").first.click()
    ui.page.get_by_role("link", name="View", exact=True).click()
    ui.see("Success", within=2 * SLOW)
    ui.open(TAIL)
    ui.button("Plots").click()

    ui.see("largest_lag_minutes")
    ui.see("median_lag_minutes")
    ui.shoot("lag-plots")


def test_automation_begins_as_a_new_user_wants_it(ui: Ui) -> None:
    """Here with sensors that were told to stand still; what asks nobody runs all the same."""
    ui.open("/automation")
    ui.see("refresh_bitfinex")

    for name, on in {"refresh_bitfinex": False, "universe": True, "alerts": True}.items():
        row = ui.page.locator("[data-index]").filter(has=ui.page.get_by_role("link", name=name))
        selected, switch = (row.get_by_role("checkbox").nth(place) for place in (0, 1))
        expect(switch).to_be_checked(checked=on, timeout=SLOW)
        expect(selected).not_to_be_checked()
    ui.shoot("automation")


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/overview", "Jobless asset materializations"),
        ("/runs", "Success"),
        ("/jobs", "heal_bitfinex"),
        ("/deployment/locations", "Loaded"),
        ("/deployment/daemons", "Running"),
    ],
)
def test_a_page_of_a_healthy_system_shows_nothing_wrong(ui: Ui, path: str, seen: str) -> None:
    ui.open(path)
    ui.see(seen)
    ui.shoot(path.strip("/").replace("/", "-"))

    for wrong in ("Failure", "Failed to load", "Error", "Not running"):
        expect(ui.page.get_by_text(wrong, exact=True)).to_have_count(0)


def test_the_backfill_has_completed(ui: Ui, served: Served) -> None:
    """Dagster looks at backfills twice a minute; the other pages were seen meanwhile."""
    ui.open("/runs?view=backfills")
    ui.see("Success", within=3 * SLOW)
    ui.shoot("backfill-completed")
    for listing in ("BTC-USD", "ETH-USD"):
        stored = bars_of(served, listing)
        assert stored["percent"] == 100
        assert stored["bars"] == perfect(served, listing)
    ui.open("/assets/bitfinex/bars?view=partitions")
    ui.see("Materialized (4)")
    ui.shoot("partitions-green")


def test_nobody_else_launched_anything(served: Served) -> None:
    launched = [who for who in served.launched() if who != "dagster/schedule_name"]

    assert launched[0] == "by hand"
    assert launched.count("by hand") == 2
    assert set(launched) == {"by hand", "dagster/backfill"}


def test_neither_browser_nor_server_objected(ui: Ui) -> None:
    assert ui.complaints == []
