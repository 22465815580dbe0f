"""The sensors that note failed runs and tell people, on a real instance and a real ledger."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster import SensorResult, SkipReason, build_sensor_context

from pipeline.alerts.model import Alert
from pipeline.definitions import build_defs
from pipeline.store.alerts import alerts
from pipeline.store.cells import Cell
from resources.ledger import LedgerResource
from sensors.alerts import alerts_sensor, failed_runs_sensor
from sensors.runs import ended_runs
from tests.alerts.conftest import SECRET, Receiver
from tests.alerts.conftest import receiver as receiver  # noqa: PLC0414 - a fixture
from tests.dagster.conftest import Location
from tests.dagster.test_secrets import files_with, tables_with
from venue import VenueProcess

FEBRUARY = date(2024, 2, 1)
FEBRUARY_11 = {"from": 1_707_609_600_000, "to": 1_707_613_200_000}


class Watcher:
    """Both sensors of a code location, whose cursors are kept as the daemon does."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._sensors = [failed_runs_sensor(location.universe), alerts_sensor()]
        self.cursors: dict[str, str | None] = {}

    def tick(self) -> list[str]:
        """Tick each once, and return what the UI says of it."""
        return [self._tick(sensor) for sensor in self._sensors]

    def _tick(self, sensor: Callable[..., Any]) -> str:
        name = sensor.name  # type: ignore[attr-defined]
        context = build_sensor_context(
            instance=self.location.instance, cursor=self.cursors.get(name)
        )
        result = sensor(context, ledger=LedgerResource())
        assert isinstance(result, SensorResult)
        assert isinstance(result.skip_reason, SkipReason)
        self.cursors[name] = result.cursor
        return result.skip_reason.skip_message or ""

    def alerts(self, *, past: bool = False) -> list[Alert]:
        with self.location.database.connect() as connection:
            return alerts(connection, past=past)


@pytest.fixture
def watcher(location: Location) -> Watcher:
    return Watcher(location)


def run_job(location: Location, *, well: bool, job: str = "heal_bitfinex") -> str:
    """Run a job of one step, which ends well or not; return the run's id."""

    @dg.op(name=f"{job}_minutes")
    def step() -> None:
        if not well:
            raise dg.Failure("bitfinex: no answer")

    @dg.job(name=job)
    def made() -> None:
        step()

    return made.execute_in_process(instance=location.instance, raise_on_error=False).run_id


def test_partitions_that_fail_are_told_and_a_run_that_succeeds_resolves_it(
    watcher: Watcher, venue: VenueProcess, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINUTELEDGER_ALERT_URL", receiver.url)
    cell = Cell("ZEC-USD", FEBRUARY)
    venue.post_fault("server_error", exchange="bitfinex", symbol="ZEC-USD", **FEBRUARY_11)
    assert watcher.tick()[0] == "runs that have ended: 0"
    run = watcher.location.run(cell)
    said = watcher.tick()
    assert said[0] == "runs that have ended: 1"
    assert "new: bitfinex/bars, bitfinex/bars_1m, bitfinex/gaps failed" in said[1]
    assert "answered 200" in said[1]
    (alert,) = watcher.alerts()
    assert (alert.key, alert.provider) == ("run_failed:bitfinex__minutes", "bitfinex")
    assert run.run_id in alert.text
    assert "ZEC-USD|2024-02-01" in alert.text
    venue.clear_faults()
    assert watcher.location.run(cell).success
    watcher.tick()
    assert watcher.alerts() == []
    told = [one["event"] for message in receiver.received for one in message["alerts"]]
    assert told == ["opened", "resolved"]


def test_runs_that_fail_again_and_again_are_one_alert_with_a_count(watcher: Watcher) -> None:
    runs = [run_job(watcher.location, well=False) for _ in range(3)]
    run_job(watcher.location, well=True, job="heal_kraken")
    watcher.tick()
    (alert,) = watcher.alerts()
    assert (alert.key, alert.count) == ("run_failed:heal_bitfinex_minutes", 3)
    assert runs[2] in alert.text
    assert "bitfinex: no answer" in alert.text


def test_runs_that_end_while_nobody_looks_are_all_noted_in_their_order(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensors.runs._PAGE", 1)
    run_job(watcher.location, well=False)
    run_job(watcher.location, well=True)
    last = run_job(watcher.location, well=False)
    said = [watcher.tick()[0] for _ in range(4)]
    assert said == [*["runs that have ended: 1, and more"] * 3, "runs that have ended: 0"]
    first, second = watcher.alerts(past=True)
    assert last in first.text
    assert (first.count, first.resolved_at) == (1, None)
    assert second.resolved_at is not None


def test_a_tick_that_does_not_end_is_done_again_and_counts_nothing_twice(
    watcher: Watcher,
) -> None:
    run_job(watcher.location, well=False)
    watcher.tick()
    watcher.cursors["failed_runs"] = None
    watcher.tick()
    (alert,) = [one for one in watcher.alerts() if one.kind == "run_failed"]
    assert alert.count == 1


def test_a_ledger_that_is_away_loses_no_run(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher.tick()
    run_job(watcher.location, well=False)
    with monkeypatch.context() as away:
        away.setenv("MINUTELEDGER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
        with pytest.raises(Exception, match="cannot connect"):
            watcher.tick()
    watcher.tick()
    assert [one.kind for one in watcher.alerts()] == ["run_failed"]


def test_a_run_that_died_without_a_word_is_noted_by_the_steps_that_it_had(
    watcher: Watcher, location: Location
) -> None:
    job = build_defs().resolve_job_def("heal_bitfinex")
    run = location.instance.create_run_for_job(job)
    location.instance.report_run_failed(run, "the process was killed")
    watcher.tick()
    (alert,) = watcher.alerts()
    assert (alert.key, alert.provider) == ("run_failed:heal_bitfinex_minutes", "bitfinex")
    assert alert.title == "heal_bitfinex failed"
    assert "the process was killed" in alert.text


def test_a_run_that_somebody_deleted_is_passed_over(watcher: Watcher) -> None:
    run = run_job(watcher.location, well=False)
    assert len(ended_runs(watcher.location.instance, None, datetime.now(UTC)).records) == 1
    watcher.location.instance.delete_run(run)
    watcher.tick()
    assert watcher.alerts() == []


def test_without_an_address_the_log_and_the_ledger_have_it(
    watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    down = "UPDATE ledger.provider SET out_of_service = 'KEY not set'"
    with psycopg.connect(watcher.location.database.url(), autocommit=True) as connection:
        connection.execute(down)
        connection.execute("UPDATE ledger.alert SET first_seen_at = now() - interval '1 hour'")
        watcher.tick()
        connection.execute("UPDATE ledger.alert SET first_seen_at = now() - interval '1 hour'")
    with caplog.at_level(logging.INFO):
        said = watcher.tick()[1]
    assert "bitfinex answers nobody" in said
    (alert,) = [one for one in watcher.alerts() if one.kind == "provider_down"]
    assert alert.notified_at is not None


def test_an_invalid_universe_keeps_nobody_from_being_told(
    watcher: Watcher, location: Location
) -> None:
    run_job(location, well=False)
    location.universe_file.write_text("instruments: 7")
    assert "failed" in watcher.tick()[1]


def test_a_cursor_that_cannot_be_read_is_as_none(watcher: Watcher) -> None:
    watcher.cursors["alerts"] = '{"stale": 7'
    assert watcher.tick()[1] == "alerts that stand: 0"
    assert watcher.cursors["alerts"] is not None
    assert "minutes_do_not_add_up" in watcher.cursors["alerts"]


def test_both_sensors_run_by_themselves(location: Location) -> None:
    defs = build_defs()
    for name, seconds in (("failed_runs", 30), ("alerts", 60)):
        sensor = defs.get_sensor_def(name)
        assert sensor.default_status.value == "RUNNING"
        assert sensor.minimum_interval_seconds == seconds


def test_the_address_of_alerts_is_nowhere_in_dagster_or_the_ledger(
    watcher: Watcher,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    environment: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MINUTELEDGER_ALERT_URL", receiver.url)
    receiver.echo = True
    receiver.answers = [500]
    run_job(watcher.location, well=False)
    said = watcher.tick()
    assert "answered 500" in said[1]
    assert len(receiver.received) == 1
    ledger = watcher.location.database.url()
    assert tables_with(ledger, "receiver answered 500") == ["ledger.alert_watch"]
    assert tables_with(ledger, SECRET) == []
    assert tables_with(os.environ["MINUTELEDGER_DAGSTER_URL"], SECRET) == []
    assert files_with(environment.parent, SECRET) == []
    assert SECRET not in f"{caplog.text} {said}"
