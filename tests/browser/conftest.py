"""A real Chromium, a served home for it to open, and what a person sees there.

Screenshots are kept in test-output/browser, in the order in which they were taken.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Locator, Page, Response, expect, sync_playwright
from psycopg.rows import dict_row

from pipeline.orchestration.instance import free_port
from tests.cli.conftest import Home, make_home
from tests.programs import find_program
from venue import VenueProcess

__all__ = ["make_home"]

SCREENSHOTS = Path(__file__).resolve().parents[2] / "test-output" / "browser"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--no-sandbox",  # which Chromium cannot have as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
LISTENER = """
const send = window.fetch;
window.fetch = async (...request) => {
  const answer = await send(...request);
  if (answer.url.includes("/graphql")) answer.clone().text().then((text) => {
    if (/"errors": *\\[|"PythonError"/.test(text)) console.error("GraphQL: " + text);
  }, () => {});  // the page has gone on
  return answer;
};
"""
"""Has the browser tell of GraphQL's errors, which come with status 200."""
SLOW = 120_000
"""How many milliseconds something may take on a busy machine."""

THIS_MONTH = datetime.now(UTC).date().replace(day=1)
LAST_MONTH = (THIS_MONTH - timedelta(days=1)).replace(day=1)
_LISTED = {"listed_at": f"{LAST_MONTH}T00:00:00Z", "quiet": 0.5}
VENUE: dict[str, Any] = {
    "exchanges": {
        "bitfinex": {
            "requests_per_second": 0,
            "outages": [[f"{LAST_MONTH}T09:00:00Z", f"{LAST_MONTH}T12:00:00Z"]],
            "markets": {
                "BTC-USD": {**_LISTED, "price": 60_000},
                "ETH-USD": {**_LISTED, "price": 3_000},
            },
        },
        "binance": {
            "requests_per_second": 0,
            "markets": {"BTC-USDT": {**_LISTED, "price": 60_000}},
        },
        "coingecko": {
            "coins": {
                "bitcoin": {"symbol": "btc", "name": "Bitcoin", "price": 60_000, "supply": 19.7e6}
            },
        },
    }
}
UNIVERSE = """
start: {start}
providers:
  bitfinex: {{base_url: {url}/bitfinex, limits: {{requests: 6000, seconds: 1}}}}
  binance: {{base_url: {url}/binance, limits: {{requests: 6000, seconds: 1}}}}
  coingecko: {{base_url: {url}/coingecko}}
instruments:
  BTC-USD:
    class: crypto_spot
    listings: {{bitfinex: {{symbol: BTC/USD, end: {end}}}}}
    fundamentals: {{coingecko: bitcoin}}
  BTC-USDT:
    class: crypto_spot
    listings: {{binance: {{symbol: BTC/USDT, end: {end}}}}}
  ETH-USD:
    class: crypto_spot
    listings: {{bitfinex: {{symbol: ETH/USD, end: {end}}}}}
"""


@dataclass
class Served:
    """A served home, with its venue."""

    home: Home
    venue: VenueProcess
    url: str

    def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Return what the ledger says."""
        return self._rows("market", statement, values)

    def launched(self) -> list[str]:
        """Return who launched the runs that there are: `dagster/backfill`, a sensor, or nobody."""
        who = "('dagster/backfill', 'dagster/sensor_name', 'dagster/schedule_name')"
        found = self._rows(
            "dagster",
            "SELECT coalesce(string_agg(key, ' '), 'by hand') AS by FROM runs"
            f" LEFT JOIN run_tags ON run_tags.run_id = runs.run_id AND key IN {who}"
            " GROUP BY runs.id ORDER BY runs.id",
            (),
        )
        return [row["by"] for row in found]

    def _rows(
        self, database: str, statement: str, values: tuple[object, ...]
    ) -> list[dict[str, Any]]:
        url = self.home.server.url(database)
        with psycopg.connect(url, row_factory=dict_row) as connection:
            return connection.execute(statement.encode(), values).fetchall()


@dataclass
class Ui:
    """The web UI as a person uses it; `complaints` is what the browser and the server objected."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.url + path)

    def see(self, what: Locator | str, *, within: float = SLOW) -> None:
        found = self.page.get_by_text(what, exact=True).first if isinstance(what, str) else what
        expect(found).to_be_visible(timeout=within)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name)

    def shoot(self, name: str) -> None:
        """Keep what is seen now."""
        number = len(list(SCREENSHOTS.glob("*.png"))) + 1
        self.page.screenshot(path=SCREENSHOTS / f"{number:02}-{name}.png")

    def listen(self) -> None:
        """Keep what goes wrong from now on."""
        self.page.add_init_script(LISTENER)
        self.page.on("response", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type == "error" else None,
        )

    def _hear(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.url}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, for one module: while it lives, an event loop runs in this thread."""
    program = find_program("chromium", *PROGRAMS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(browser: Browser, make_home: Callable[[], Home]) -> Iterator[Served]:
    """A home that is served, in which nothing is collected yet; its sensors stand still."""
    with VenueProcess(VENUE) as venue:
        home = make_home()
        home.write_universe(UNIVERSE.format(url=venue.url, start=LAST_MONTH, end=THIS_MONTH))
        started = home.start("up", "--port", str(free_port()))
        started.wait_for("is up")
        found = re.search(r"http://127\.0\.0\.1:\d+", started.output)
        assert found is not None
        yield Served(home, venue, found.group())
        home.end()


@pytest.fixture(scope="module")
def ui(browser: Browser, served: Served) -> Iterator[Ui]:
    shutil.rmtree(SCREENSHOTS, ignore_errors=True)
    SCREENSHOTS.mkdir(parents=True)
    context = browser.new_context(viewport={"width": 1500, "height": 950}, locale="en-US")
    context.set_default_timeout(SLOW)
    ui = Ui(context.new_page(), served.url)
    ui.listen()
    yield ui
    context.close()
