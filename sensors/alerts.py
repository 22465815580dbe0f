"""Telling people what is wrong: runs that failed, and what the ledger says."""

# No `from __future__ import annotations`: Dagster reads the sensors' annotations as they are.

import json
import logging
from datetime import UTC, datetime

import dagster as dg

from pipeline.alerts.forms import summary
from pipeline.alerts.model import Kind, News
from pipeline.alerts.sources import due, sources
from pipeline.alerts.telling import Told, tell
from pipeline.settings import load_settings
from pipeline.store.alerts import alerts, failing_steps, record, record_runs
from pipeline.universe import Universe, UniverseError, load_universe
from resources.ledger import LedgerResource
from sensors.runs import ended_runs, outcomes
from sensors.ticking import looking

__all__ = ["alerts_sensor", "failed_runs_sensor"]

SECONDS_BETWEEN_LOOKS = 60
SECONDS_BETWEEN_RUNS = 30


def failed_runs_sensor(universe: Universe | None) -> dg.SensorDefinition:
    """Make the sensor that notes in the ledger which runs failed, and which have recovered.

    Args:
        universe: The universe that the definitions were made from; None when it was invalid.
    """
    providers = universe.providers if universe else ()

    @dg.sensor(
        name="failed_runs",
        description="Notes runs that fail, and steps that succeed again, in the ledger. The sensor "
        "`alerts` tells them.",
        minimum_interval_seconds=SECONDS_BETWEEN_RUNS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.SensorEvaluationContext, ledger: LedgerResource) -> dg.SensorResult:
        now = datetime.now(UTC)
        ended = ended_runs(context.instance, int(context.cursor) if context.cursor else None, now)
        if ended.records:
            with ledger.database().connect() as connection:
                connection.autocommit = True
                failing = failing_steps(connection)
                noted = list(outcomes(context.instance, ended, failing, providers))
                record_runs(connection, noted, now)
        reason = f"runs that have ended: {len(ended.records)}" + (
            ", and more" if ended.more else ""
        )
        return dg.SensorResult(skip_reason=reason, cursor=str(ended.cursor))

    return sensor


def alerts_sensor() -> dg.SensorDefinition:
    """Make the sensor that looks for trouble, keeps it in the ledger, and tells it."""

    @dg.sensor(
        name="alerts",
        description="Looks what is wrong: providers, listings that are behind, minutes given up or "
        "soon lost, refused deliveries, the disk. What is new, still stands or is over is told: "
        "in the log, and where MINUTELEDGER_ALERT_URL says.",
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.SensorEvaluationContext, ledger: LedgerResource) -> dg.SensorResult:
        settings = load_settings()
        now = settings.clock.now()
        try:
            universe = load_universe(settings.universe_path)
        except UniverseError:  # the sensor `universe` says what is wrong with it
            universe = None
        looked = _looked(context.cursor)
        with looking(ledger) as connection:
            try:
                todo = due(sources(connection, settings, universe, now), looked, now)
                found = [trouble for source in todo for trouble in source.look()]
                kinds = {kind for source in todo for kind in source.kinds}
                record(connection, kinds, found, now)
            finally:  # what was found before is told, whatever keeps us from looking
                told = tell(connection, settings, now, lambda news: _log(context.log, news))
            standing = len(alerts(connection))
        cursor = {kind: at.isoformat() for kind, at in (looked | dict.fromkeys(kinds, now)).items()}
        return dg.SensorResult(skip_reason=_said(standing, told), cursor=json.dumps(cursor))

    return sensor


def _looked(cursor: str | None) -> dict[Kind, datetime]:
    """Return when each kind was last looked for; nothing of a cursor that cannot be read."""
    try:
        known = json.loads(cursor or "{}")
        return {kind: datetime.fromisoformat(known[kind]) for kind in Kind if kind in known}
    except (ValueError, TypeError):
        return {}


def _log(log: logging.Logger, news: News) -> None:
    level = logging.INFO if news.event == "resolved" else logging.WARNING
    log.log(level, "%s\n%s", summary([news]), news.alert.text)


def _said(standing: int, told: Told) -> str:
    said = f"alerts that stand: {standing}"
    if not told.news:
        return said
    said += f"; {summary(told.news)}"
    if told.answer is not None:
        said += f": {told.answer.words}"
    if told.waits_until is not None:
        said += f"; tried again at {told.waits_until:%H:%M:%S} UTC"
    return said
