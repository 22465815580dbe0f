"""Metrics of a real ledger as Prometheus reads them, and the dashboard that shows them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.metrics import LedgerCollector
from pipeline.store.database import Database

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "minuteledger.json"


@pytest.fixture(scope="module")
def scraped(stocked: Database) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by name and labels, in the order of the labels' names."""
    stocked.create()
    registry = CollectorRegistry()
    registry.register(LedgerCollector(stocked))
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        assert family.documentation
        found.setdefault(family.name, {})
        for sample in family.samples:
            found.setdefault(sample.name, {})[
                tuple(sample.labels[name] for name in sorted(sample.labels))
            ] = sample.value
    return found


def test_minutes_are_those_of_the_coverage(
    scraped: dict[str, dict[tuple[str, ...], float]], stocked: Database
) -> None:
    with stocked.connect() as connection:
        rows = connection.execute(
            "SELECT provider, sum(expected), sum(bars) FROM market.coverage GROUP BY 1"
        ).fetchall()
    assert {row[0] for row in rows} == {"alpaca", "bitfinex", "kraken"}
    of_minutes = scraped["minuteledger_minutes"]
    for provider, expected, bars in rows:
        assert of_minutes[provider, "bars"] == bars
        mine = [number for (name, _), number in of_minutes.items() if name == provider]
        assert sum(mine) == pytest.approx(float(expected), abs=5)  # time goes on in between


def test_listings_gaps_runs_and_sizes_are_told(
    scraped: dict[str, dict[tuple[str, ...], float]],
) -> None:
    assert scraped["minuteledger_listing_stale_minutes"]["BTC-USD", "bitfinex"] > 0
    assert scraped["minuteledger_listing_newest_bar_timestamp_seconds"]["NVDA", "alpaca"] > 1.7e9
    assert set(scraped["minuteledger_alerts"]) == {("critical",), ("warning",)}
    assert scraped["minuteledger_runs_total"]["FAILURE",] == 0
    assert scraped["minuteledger_runs_open"]["QUEUED",] == 0
    assert scraped["minuteledger_database_bytes"]["market",] > 1e6


def test_the_dashboard_asks_for_nothing_that_is_not_there(
    scraped: dict[str, dict[tuple[str, ...], float]],
) -> None:
    told = set(scraped) | {f"{name}_total" for name in scraped}
    told |= {f"{name}_bucket" for name in scraped}
    asked = set(
        re.findall(r"minuteledger_\w+", json.dumps(json.loads(DASHBOARD.read_text())["panels"]))
    )
    assert len(asked) > 10
    assert asked <= told
