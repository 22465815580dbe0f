"""Companies as vendors have told of them: what agrees, what does not, and what was known when."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.fundamentals.registry import registry
from pipeline.snapshots.history import follow
from pipeline.snapshots.refreshing import read
from pipeline.store.database import Database
from pipeline.store.snapshots import keep
from tests.fundamentals import Desk, universe
from tests.making import at

YEAR = {"revenue": 391_035e6, "net_income": 93_736e6, "cash": 29_943e6, "total_assets": 364_980e6}
FETCHED = at("2025-09-23")


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    made = Desk.of(database, universe("fmp", "yahoo"))
    yield made
    made.connection.close()


def put(desk: Desk, provider: str, at_: datetime, documents: Mapping[str, str]) -> None:
    """Store documents as if they had come at a moment."""
    subject = desk.subject(provider)
    with desk.connection.transaction():
        for document, payload in documents.items():
            fetched = read(subject, document, payload, at_)
            assert fetched.unusable is None, fetched.unusable
            keep(desk.connection, subject, fetched, registry().version)
        follow(desk.connection, registry(), subject.instrument_id, at_)


def fmp(market_data: Path) -> dict[str, str]:
    folder = market_data / "OpenBB-finance_OpenBB/decoded_bodies"
    return {
        path.name.removesuffix("_AAPL.json"): path.read_text()
        for path in folder.glob("*_AAPL.json")
        if path.name.removesuffix("_AAPL.json") not in {"key-metrics", "ratios"}
    }


def yahoo(market_data: Path, name: str) -> str:
    folder = market_data / "gadicc_node-yahoo-finance2/tests"
    (path,) = folder.rglob(name)
    response = json.loads(path.read_text())["response"]
    return json.dumps(response.get("bodyJson") or response.get("body"))


def test_a_fiscal_year_of_two_vendors_agrees_where_it_does_and_nowhere_else(
    desk: Desk, market_data: Path
) -> None:
    year = yahoo(market_data, "fundamentalsTimeSeries-AAPL-all-annual.json")
    put(desk, "yahoo", at("2025-02-24"), {"fundamentals-timeseries": year})
    put(desk, "fmp", FETCHED, fmp(market_data))
    found = desk.combined(FETCHED)
    for field, value in YEAR.items():
        row = found[field]
        assert (row["value"], row["provider"], row["state"]) == (value, "fmp", "agree"), field
        assert (row["currency"], row["spread"], row["period_end"]) == ("USD", 0, date(2024, 9, 28))
    disagreeing: dict[str, tuple[Any, Any]] = {
        "total_debt": (119_059e6, 106_629e6),
        "earnings_per_share": (6.11, 6.08),
        "fiscal_period_end": ("2024-09-28", "2024-09-30"),
    }
    for field, both in disagreeing.items():
        row = found[field]
        assert row["state"] == "disagree", field
        assert row["provider"] == "fmp"
        said = {one["provider"]: (one["value"], one["verdict"]) for one in row["candidates"]}
        assert said == {"fmp": (both[0], "won"), "yahoo": (both[1], "disagrees")}


def test_between_two_points_in_time_only_the_first_is_known(desk: Desk, market_data: Path) -> None:
    folder = "quoteSummary-allModules-AAPL.json"
    then, now = at("2021-02-01T12:53"), at("2025-02-24T09:35")
    put(desk, "yahoo", now, {"quoteSummary": yahoo_of_2025(market_data)})
    put(desk, "yahoo", then, {"quoteSummary": yahoo(market_data, folder)})
    assert desk.combined(at("2021-01-31")) == {}
    between = desk.combined(at("2022-01-01"))
    assert between["market_cap"]["value"] == 2_215_357_710_336
    assert between["market_cap"]["since"] == then
    assert {row["snapshot"] for row in between.values()} == {snapshot(desk, then)}
    after = desk.combined(now)
    assert after["market_cap"]["value"] == 3_688_676_720_640
    assert after["dividend_yield"]["value"] == 0.0041


def yahoo_of_2025(market_data: Path) -> str:
    path = market_data / "gadicc_node-yahoo-finance2/tests/fixtures/http/quoteSummary-all-AAPL.json"
    return json.dumps(json.loads(path.read_text())["response"]["bodyJson"])


def snapshot(desk: Desk, fetched_at: datetime) -> int:
    ((number,),) = desk.rows("SELECT id FROM ledger.snapshot WHERE fetched_at = %s", fetched_at)
    return int(number)


def test_every_value_is_in_the_payload_that_it_leads_back_to(desk: Desk, market_data: Path) -> None:
    put(desk, "fmp", FETCHED, fmp(market_data))
    rows = desk.rows(
        "SELECT f.field, f.value, s.payload FROM market.fundamentals_fields f"
        " JOIN market.fundamentals_snapshots s ON s.id = f.snapshot WHERE f.value IS NOT NULL"
    )
    assert len(rows) > 20
    for field, value, payload in rows:
        numbers = {abs(float(one)) for one in json.loads(payload)[0].values() if number(one)}
        assert abs(value) in numbers, (field, value)


def number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)
