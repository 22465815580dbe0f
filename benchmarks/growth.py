"""How Dagster's database grows in a day of 1,000 listings, and what retention leaves of it.

Runs that sensors ask for are really made, and their rows measured; how often they come in a day is
reckoned from the settings.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import yaml

from benchmarks.figures import Figure
from benchmarks.populated import SAMPLE, Home
from benchmarks.status import LISTINGS, PROVIDERS
from benchmarks.webui import WebUi
from pipeline.orchestration.api import Location
from pipeline.orchestration.history import forget
from pipeline.universe import load_universe

_DAY = timedelta(days=1)
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_RUN_SECONDS = 300
_ENDED = ("SUCCESS", "FAILURE", "CANCELED")

# The day of a repair that is not the first: nothing old is due.
_OLDER_ARE_WHOLE = """
WITH mine AS (SELECT id, first_trade FROM ledger.listing WHERE provider = %(provider)s),
gone AS (DELETE FROM ledger.fetch_failure f USING mine WHERE f.listing_id = mine.id)
UPDATE ledger.coverage c SET answered = whole.month, settled = whole.month
FROM mine, ledger.session_month s,
     LATERAL (SELECT s.asked * tstzmultirange(tstzrange(mine.first_trade, NULL))) AS whole(month)
WHERE mine.id = c.listing_id AND s.session = '24x7' AND s.month = c.month
  AND c.month < now() - interval '2 months'
"""
# What a row takes besides the event itself, indexes above all.
_BESIDES = """
SELECT (pg_total_relation_size('event_logs') - sum(pg_column_size(event))) / count(*),
       (SELECT pg_total_relation_size('asset_event_tags') / count(*) FROM asset_event_tags),
       (SELECT (pg_total_relation_size('runs') + pg_total_relation_size('run_tags')) / count(*)
        FROM runs)
FROM event_logs
"""
_EVENTS = "SELECT count(*), sum(pg_column_size(event)) FROM event_logs WHERE run_id = %s"
_TAGS = """
SELECT count(*) FROM asset_event_tags t JOIN event_logs e ON e.id = t.event_id WHERE e.run_id = %s
"""
_CELLS = """
SELECT count(*) FROM event_logs WHERE run_id = %s AND asset_key = %s
AND dagster_event_type = 'ASSET_MATERIALIZATION'
"""
_TICKS = "SELECT pg_total_relation_size('job_ticks') / count(*), count(*) FROM job_ticks"


@dataclass(slots=True)
class Made:
    """A run that was made.

    Attributes:
        name: What it is.
        run: Its id.
        cells: How many months of listings it told Dagster of.
        whole: Bytes in Dagster's database.
        left: Bytes that are left once its details are forgotten.
    """

    name: str
    run: str
    cells: int
    whole: float = 0
    left: float = 0


def requests_of(ui: WebUi, location: Location, sensor: str) -> list[dict[str, Any]]:
    """Return the runs that a sensor, evaluated now, asks for."""
    selector = location.sensor(sensor)
    tick = ui.ask("SensorDryRunMutation", selectorData=selector, cursor=None)["sensorDryRun"]
    found = tick["evaluationResult"]
    if found["error"]:
        raise RuntimeError(f"{sensor}: {found['error']['message']}")
    requests: list[dict[str, Any]] = found["runRequests"] or []
    return requests


def launch(home: Home, ui: WebUi, location: Location, request: dict[str, Any]) -> str:
    """Launch a run that a sensor asks for; return its id once it has succeeded."""
    selection = request["assetSelection"] or []
    parameters = {
        "selector": {
            "jobName": request["jobName"] or "__ASSET_JOB",
            "repositoryName": location.repository,
            "repositoryLocationName": location.name,
            "assetSelection": [{"path": key["path"]} for key in selection],
        },
        "runConfigData": yaml.safe_load(request["runConfigYaml"]) or {},
        "mode": "default",
        "executionMetadata": {
            "tags": [{"key": tag["key"], "value": tag["value"]} for tag in request["tags"]]
        },
    }
    answer = ui.ask("LaunchPipelineExecution", executionParams=parameters)
    run: str = answer["launchPipelineExecution"]["run"]["id"]
    deadline, status = time.monotonic() + _RUN_SECONDS, ""
    with home.dagster() as connection:
        while status not in _ENDED and time.monotonic() < deadline:
            time.sleep(0.2)
            query = "SELECT status FROM runs WHERE run_id = %s"
            ((status,),) = connection.execute(query, [run]).fetchall()
    if status != "SUCCESS":
        raise RuntimeError(f"the run {run} is {status}; see {home.settings.logs}")
    return run


def forget_details(home: Home) -> None:
    """Forget what housekeeping forgets of runs, as if all were old enough."""
    with home.dagster() as connection:
        forget(
            connection,
            details_before=datetime.now(UTC) + _DAY,
            runs_before=_LONG_AGO,
            delete_run=lambda _: None,
            delete_output=lambda _: None,
        )


def figures(home: Home, ui: WebUi, location: Location) -> Iterator[Figure]:
    """Make a run of each kind that comes every day, and yield what they come to."""
    with home.database.connect() as connection:
        connection.execute(_OLDER_ARE_WHOLE, {"provider": SAMPLE})
    sensors = {"refresh": f"refresh_{SAMPLE}", "repair": "heal", "show": "show"}
    # Each leaves the others less to do, or has them wait.
    requests = {name: _of_sample(requests_of(ui, location, one)) for name, one in sensors.items()}
    made = {name: _made(home, ui, location, name, one) for name, one in requests.items()}
    _, refresh = load_universe(home.settings.universe_path).pace(SAMPLE)
    with home.dagster() as connection:
        besides = connection.execute(_BESIDES).fetchall()[0]
        for one in made.values():
            one.whole = _bytes(connection, one.run, besides)
        forget_details(home)
        for one in made.values():
            one.left = _bytes(connection, one.run, besides)
        of_tick, ticks = connection.execute(_TICKS).fetchall()[0]
    for name, one in made.items():
        yield Figure(
            f"a {name} run, which tells of {one.cells} listing-months",
            f"{one.whole / 1e3:,.1f} KB, {one.left / 1e3:,.1f} KB after 14 days",
        )
    # Refreshes take this month's checks along, the last one's are a repair a day; both months are
    # shown once a day.
    a_day = {
        "refresh": PROVIDERS * (_DAY / refresh),
        "repair": PROVIDERS,
        "show": 2 * LISTINGS / made["show"].cells,
    }
    for name, times in a_day.items():
        yield Figure(f"{name} runs a day", f"{times:.0f}: {times * made[name].whole / 1e6:,.1f} MB")
    whole, left = (
        sum(times * getattr(made[name], what) for name, times in a_day.items()) / 1e6
        for what in ("whole", "left")
    )
    days, runs = home.settings.keep_run_details_days, home.settings.keep_runs_days
    yield Figure("a day's growth of Dagster's database", f"{whole:,.0f} MB")
    yield Figure(f"what is left of a day after {days} days", f"{left:,.0f} MB")
    yield Figure(
        f"what days come to before their runs go, after {runs} days",
        f"{(days * whole + (runs - days) * left) / 1e3:,.1f} GB",
    )
    yield Figure("a tick of a sensor", f"{of_tick / 1e3:.1f} KB ({ticks} measured)")


def _of_sample(requests: list[dict[str, Any]]) -> dict[str, Any]:
    return next(one for one in requests if SAMPLE in [tag["value"] for tag in one["tags"]])


def _made(home: Home, ui: WebUi, location: Location, name: str, request: dict[str, Any]) -> Made:
    run = launch(home, ui, location, request)
    with home.dagster() as connection:
        key = f'["{SAMPLE}", "bars_1m"]'
        ((cells,),) = connection.execute(_CELLS, [run, key]).fetchall()
    return Made(name, run, cells)


def _bytes(connection: psycopg.Connection, run: str, besides: tuple[float, ...]) -> float:
    of_event, of_tag, of_run = map(float, besides)
    ((events, size),) = connection.execute(_EVENTS, [run]).fetchall()
    ((tags,),) = connection.execute(_TAGS, [run]).fetchall()
    return float(size) + int(events) * of_event + int(tags) * of_tag + of_run
