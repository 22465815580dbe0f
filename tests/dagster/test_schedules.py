"""What is done every night, as Dagster knows it; and a deep check in process."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline.definitions import build_defs
from pipeline.store.cells import Cell
from pipeline.universe import load_universe
from resources.downloads import DownloadsResource
from resources.ledger import LedgerResource
from sensors.schedules import minute_of
from sensors.schedules import schedules as made
from tests.dagster.conftest import Location
from tests.making import at


def schedules() -> dict[str, dg.ScheduleDefinition]:
    return {
        one.name: one
        for one in build_defs().schedules or []
        if isinstance(one, dg.ScheduleDefinition)
    }


def tick(schedule: dg.ScheduleDefinition) -> Any:
    context = dg.build_schedule_context(scheduled_execution_time=at("2026-01-31T02:00"))
    return schedule(context, ledger=LedgerResource())


def pause(location: Location) -> None:
    with location.database.connect() as connection:
        connection.execute(
            "INSERT INTO ledger.provider (name) VALUES ('bitfinex') ON CONFLICT DO NOTHING"
        )
        connection.execute(
            "INSERT INTO ledger.pause (provider, account, during, ban, reason) "
            "SELECT name, account, tstzrange(now(), now() + interval '1 hour'), true, 'HTTP 418' "
            "FROM ledger.provider"
        )


def test_every_night_has_its_jobs_and_they_run_from_the_start(location: Location) -> None:
    found = schedules()
    assert set(found) >= {"markets_bitfinex", "deep_check_bitfinex", "housekeeping", "sizes"}
    for one in found.values():
        assert one.default_status == dg.DefaultScheduleStatus.RUNNING
        assert one.execution_timezone == "UTC"


def test_providers_begin_at_minutes_of_their_own() -> None:
    names = ["alpaca", "binance", "bitfinex", "coinbase", "kraken", "yahoo"]
    assert len({minute_of(name) for name in names}) == len(names)
    assert all(0 <= minute_of(name) < 60 for name in names)
    assert minute_of("bitfinex") == minute_of("bitfinex")


def test_nothing_begins_while_a_provider_wants_peace(location: Location) -> None:
    check = schedules()["deep_check_bitfinex"]
    assert tick(check) == [dg.RunRequest()]
    pause(location)
    for name in ("deep_check_bitfinex", "markets_bitfinex"):
        skipped = tick(schedules()[name])
        assert isinstance(skipped, dg.SkipReason)
        assert "bitfinex is left alone until" in (skipped.skip_message or "")
        assert "HTTP 418" in (skipped.skip_message or "")


def test_a_provider_whose_keys_are_missing_is_left_out_and_its_keys_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "universe.yaml"
    file.write_text("start: 2024-01-01\nproviders: {alpaca: }\ninstruments: {}\n")
    (check,) = [one for one in made(load_universe(file)) if one.name == "deep_check_alpaca"]
    skipped = tick(check)
    assert isinstance(skipped, dg.SkipReason)
    assert "APCA_API_KEY_ID and APCA_API_SECRET_KEY not set" in (skipped.skip_message or "")


def deep_check(location: Location, **config: object) -> dict[str, Any]:
    """Run the job in process; return what it shows."""
    defs = build_defs(
        resources={"downloads": DownloadsResource(attempts=2, first_wait_seconds=0.01)}
    )
    done = defs.resolve_job_def("deep_check_bitfinex").execute_in_process(
        instance=location.instance,
        run_config={"ops": {"bitfinex__deep_check": {"config": config}}},
    )
    (event,) = done.asset_materializations_for_node("bitfinex__deep_check")
    (verdict,) = done.get_asset_check_evaluations()
    shown = {name: value.value for name, value in event.metadata.items()}
    return shown | {"passed": verdict.passed, "severity": verdict.severity}


def test_a_deep_check_shows_what_it_found_and_warns_of_what_vanished(location: Location) -> None:
    text = location.universe_file.read_text().replace("start: 2024-01-01", "start: 2024-02-28")
    short = "{bitfinex: {symbol: BTC/USD, end: 2024-03-01}}"
    location.universe_file.write_text(text.replace("{bitfinex: BTC/USD}", short))
    location.sync()
    assert location.run(Cell("BTC-USD", date(2024, 2, 1))).success
    shown = deep_check(location)
    assert shown["minutes_compared"] == 2 * 1440
    assert shown["minutes_vanished"] == shown["minutes_differing"] == 0
    assert shown["errors_per_million"] == 0
    assert shown["errors_per_million_at_most"] > 1000
    assert shown["passed"]
    with location.database.connect() as connection:
        connection.execute(
            "INSERT INTO ledger.bars_1m (listing_id, ts, open, high, low, close) "
            "SELECT id, ts, 1, 1, 1, 1 FROM ledger.listing, "
            "generate_series('2024-02-28', '2024-02-29 23:59'::timestamptz, '1 minute') AS ts "
            "WHERE key = 'BTC-USD' "
            "AND NOT EXISTS (SELECT FROM ledger.bars_1m b WHERE b.ts = ts.ts) LIMIT 2"
        )
    shown = deep_check(location, requests=1, day="2026-01-31")
    assert (shown["requests"], shown["minutes_vanished"]) == (2, 2)
    assert not shown["passed"]
    assert shown["severity"] == dg.AssetCheckSeverity.WARN
    assert "| BTC-USD [2024-02-28 00:00, 2024-03-01 00:00) | 0 | 0 | 2 |" in shown["differences"]
    pause(location)
    assert deep_check(location)["requests"] == 0
    assert location.stored("SELECT count(*) FROM market.deep_checks") == 2
