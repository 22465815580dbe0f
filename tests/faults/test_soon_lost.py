"""Minutes that Yahoo keeps for thirty days: found, asked for first, and told about in time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.checks import minutes_add_up
from assets.downloading import download_cells
from assets.outcomes import CellOutcome
from pipeline.commands.status import _losses, _show_losses
from pipeline.download import Downloader
from pipeline.heal import find_tasks, heal
from pipeline.intervals import MINUTE, Interval
from pipeline.providers.capabilities import LOSS_WARNING, RateLimit
from pipeline.providers.options import ProviderOptions
from pipeline.providers.table import capabilities_for
from pipeline.providers.yahoo_client import YahooProvider
from pipeline.reports import MonthReport
from pipeline.settings import Settings
from pipeline.store.cells import Cell
from pipeline.store.coverage import coverage
from pipeline.store.database import Database
from pipeline.store.limits import LedgerLimiter
from pipeline.store.listings import listings, sync_universe
from pipeline.store.losses import Threat, threats
from pipeline.store.queries import false_sums
from pipeline.universe import Universe, load_universe
from tests.faults.conftest import HASTE
from tests.making import at
from venue import VenueProcess

NOW = datetime(2024, 6, 3, 22, 0, 30, tzinfo=UTC)  # the evening of a Monday in New York
APRIL, MAY, JUNE = date(2024, 4, 1), date(2024, 5, 1), date(2024, 6, 1)
YAHOO = capabilities_for("yahoo")


@pytest.fixture(scope="module")
def process() -> Iterator[VenueProcess]:
    stock = {"listed_at": "2024-03-04T09:00:00Z", "price": 180, "volume": 900, "quiet": 0.05}
    markets: dict[str, Any] = {
        "AAPL": stock,
        "MSFT": stock,
        "BTC-USD": {**stock, "hours": "always"},
    }
    section = {"requests_per_second": 0, "markets": markets}
    config = {"now": NOW.isoformat(), "speed": 0, "exchanges": {"yahoo": section}}
    with VenueProcess(config) as running:
        yield running


class Shop:
    """Three listings of Yahoo in a ledger."""

    def __init__(self, venue: VenueProcess, database: Database) -> None:
        self.venue, self.database = venue, database
        venue.clear_faults()
        venue.clear_requests()
        classes = {"AAPL": "equity", "MSFT": "equity", "BTC-USD": "crypto_spot"}
        document = {
            "start": "2024-04-20",
            "providers": {"yahoo": {}},
            "instruments": {
                key: {"class": asset_class, "listings": {"yahoo": key}}
                for key, asset_class in classes.items()
            },
        }
        with database.connect() as connection:
            sync_universe(connection, Universe.model_validate(document))

    def run(self, now: datetime, *cells: tuple[str, date]) -> list[CellOutcome]:
        """Download cells, or heal everything if there are none."""
        self.venue.set_clock(now=now.isoformat(), speed=0)
        options = ProviderOptions(
            source="yahoo",
            base_url=f"{self.venue.url}/yahoo",
            limit=RateLimit(1000, 1.0),
            timeout_seconds=2.0,
            now=lambda: now,
        )
        with (
            LedgerLimiter(self.database, "yahoo") as limiter,
            closing(YahooProvider("yahoo", options, limiter=limiter)) as provider,
            Downloader(self.database, provider, patience=HASTE, now=lambda: now) as downloader,
        ):
            if cells:
                wanted = [Cell(*cell) for cell in cells]
                return download_cells(self.database, downloader, "yahoo", wanted)
            with self.database.connect() as connection:
                tasks = find_tasks(connection, "yahoo", YAHOO, now)
            self.healed: list[MonthReport] = heal(downloader, tasks, budget=1000).reports
            return []

    def order(self, now: datetime) -> list[tuple[str, date]]:
        with self.database.connect() as connection:
            tasks = find_tasks(connection, "yahoo", YAHOO, now)
        return [(task.listing.key, task.month) for task in tasks if task.requests]

    def threatened(self, now: datetime) -> dict[str, tuple[int, datetime]]:
        with self.database.connect() as connection:
            found = threats(connection, "yahoo", YAHOO.endangered(now))
        return {threat.listing: (threat.minutes, threat.first) for threat in found}


@pytest.fixture
def shop(process: VenueProcess, database: Database) -> Shop:
    return Shop(process, database)


def edge(now: datetime) -> datetime:
    found = YAHOO.edge_of_history(now)
    assert found is not None
    return found


def test_a_download_takes_what_there_still_is_and_knows_what_is_gone(shop: Shop) -> None:
    cells = [(key, month) for key in ("AAPL", "BTC-USD") for month in (APRIL, MAY, JUNE)]
    assert [one.problem for one in shop.run(NOW, *cells)] == [""] * 6
    with shop.database.connect() as connection:
        assert false_sums(connection) == []
        rows = {(row.listing, row.month): row for row in coverage(connection, "yahoo")}
        (aapl, bitcoin, _) = listings(connection, "yahoo")
        stored = connection.execute(
            "SELECT listing_id, min(ts), max(ts), count(*) FROM ledger.bars_1m GROUP BY 1"
        ).fetchall()
    assert all(row.adds_up for row in rows.values())
    assert rows["AAPL", APRIL].unavailable == rows["AAPL", APRIL].expected
    assert rows["AAPL", MAY].failed == rows["AAPL", MAY].pending == 0
    bars = {listing: (first, last, number) for listing, first, last, number in stored}
    begin = edge(NOW)
    assert bars[bitcoin.id][0] in Interval(begin, begin + 5 * MINUTE)
    truth = shop.venue.truth("yahoo", "BTC-USD", *ms(begin, NOW - YAHOO.lag))
    assert bars[bitcoin.id][2] == len([ts for ts in truth["ts"] if ts < ms(floored())[0]])
    assert bars[aapl.id][0] >= at("2024-05-06T08:00")  # the first Monday morning


def ms(*moments: datetime) -> list[int]:
    return [int(moment.timestamp() * 1000) for moment in moments]


def floored() -> datetime:
    return (NOW - YAHOO.lag).replace(second=0)


def test_what_was_never_answered_and_is_soon_lost_is_found_the_first_first(shop: Shop) -> None:
    begin = edge(NOW)
    # On a Saturday evening the history begins: the stocks lose nothing before Monday morning.
    assert shop.threatened(NOW) == {
        "BTC-USD": (LOSS_WARNING // MINUTE, begin),
        "AAPL": (3 * 960 + 14 * 60 + 32, at("2024-05-06T08:00")),
        "MSFT": (3 * 960 + 14 * 60 + 32, at("2024-05-06T08:00")),
    }
    shop.run(NOW, ("AAPL", MAY), ("BTC-USD", MAY))
    assert list(shop.threatened(NOW)) == ["MSFT"]
    later = NOW + timedelta(days=10)
    assert "AAPL" not in shop.threatened(later)


def test_repair_asks_for_what_is_soon_lost_before_what_costs_little(shop: Shop) -> None:
    # June is cheap, May is not; of the two Mays the coin's is lost first.
    assert shop.order(NOW)[:3] == [("BTC-USD", MAY), ("AAPL", MAY), ("MSFT", MAY)]
    shop.run(NOW, ("BTC-USD", MAY))
    shop.run(NOW, ("AAPL", JUNE))
    assert shop.order(NOW)[:2] == [("AAPL", MAY), ("MSFT", MAY)]
    shop.run(NOW)
    months = [(report.listing.key, report.month) for report in shop.healed if report.requests]
    assert months[:2] == [("AAPL", MAY), ("MSFT", MAY)]
    assert shop.threatened(NOW) == {}
    assert shop.order(NOW) == []


def test_a_run_of_the_assets_does_so_too(shop: Shop) -> None:
    cells = [("AAPL", JUNE), ("AAPL", MAY), ("BTC-USD", JUNE), ("BTC-USD", MAY)]
    outcomes = shop.run(NOW, *cells)
    assert [(one.cell.listing, one.cell.month) for one in outcomes] == [
        ("BTC-USD", MAY),
        ("AAPL", MAY),
        ("AAPL", JUNE),
        ("BTC-USD", JUNE),
    ]


def test_a_refusal_leaves_minutes_endangered_and_not_unavailable(shop: Shop) -> None:
    shop.venue.post_fault("server_error", symbol="AAPL")
    (outcome,) = shop.run(NOW, ("AAPL", MAY))
    assert outcome.problem
    assert "AAPL" in shop.threatened(NOW)
    shop.venue.clear_faults()
    gone = NOW + timedelta(days=5)
    shop.run(gone, ("AAPL", MAY))
    with shop.database.connect() as connection:
        (may,) = coverage(connection, "yahoo", ["AAPL"], [MAY])
    # Those that could not be asked for any more are unavailable, and no failure waits for them.
    assert (may.failed, may.pending) == (0, 0)
    assert may.unavailable > 0 < may.bars


def test_status_warns_of_what_is_soon_lost_and_only_then(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "universe.yaml"
    settings = Settings(home=tmp_path, universe=file)
    start = datetime.now(UTC) - timedelta(days=90)
    listed = "{bitfinex: BTC/USD, yahoo: BTC-USD}"
    file.write_text(
        f"start: {start:%Y-%m-%d}\nproviders: {{bitfinex: {{}}, yahoo: {{}}}}\n"
        f"instruments:\n  BTC-USD: {{class: crypto_spot, listings: {listed}}}\n"
    )
    five = timedelta(days=5)
    with database.connect() as connection:
        sync_universe(connection, load_universe(file))
        losses = _losses(connection, settings, five, None, None)
        assert _losses(connection, settings, five, "bitfinex", None) == []
        short = _losses(connection, settings, timedelta(days=1), "yahoo", "BTC-USD")
        file.unlink()
        assert _losses(connection, settings, five, None, None) == []
    assert sum(loss["minutes"] for loss in losses) == 5 * 1440
    assert {(loss["provider"], loss["listing"]) for loss in losses} == {("yahoo", "BTC-USD")}
    assert losses[0]["first"] - losses[0]["lost_at"] < -timedelta(days=29)
    assert sum(loss["minutes"] for loss in short) == 1440
    assert "What is soon lost cannot be told" in capsys.readouterr().err
    _show_losses(losses)
    shown = capsys.readouterr().out
    assert "soon lost for ever" in shown
    assert "minuteledger heal" in shown


def test_a_check_of_the_assets_tells_how_many_minutes_are_soon_lost() -> None:
    key = dg.AssetKey(["yahoo", "bars_1m"])
    threat = Threat("yahoo", "AAPL", MAY, 77, at("2024-05-06T08:00"))
    told = minutes_add_up(key, [], "", None, [threat]).metadata
    assert told["minutes_soon_lost"].value == 77
    assert told["soon_lost"].value == ["AAPL 2024-05"]
    assert "minutes_soon_lost" not in minutes_add_up(key, [], "", None).metadata


def test_a_history_of_hours_is_endangered_in_its_oldest_fifth_only() -> None:
    kraken = capabilities_for("kraken")
    during = kraken.endangered(NOW)
    assert during is not None
    assert during.minutes == 715 // 5
    assert kraken.lost_at(during.start, NOW) == NOW.replace(second=0)
    assert kraken.lost_at(during.end, NOW) == NOW.replace(second=0) + 143 * MINUTE
    assert capabilities_for("binance").endangered(NOW) is None
    assert capabilities_for("alpha_vantage").endangered(NOW) is None
    short = YAHOO.endangered(NOW, timedelta(days=2))
    assert short is not None
    assert short.minutes == 2 * 1440
