"""1,000 listings over ten years, really served: loading, ticks, pages, and how the history grows.

Pages ask what Dagster's web UI asks: at first, when Dagster has cached nothing of partitions yet,
which happens once; cold, when the webserver has just started; and warm.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg

from benchmarks import growth
from benchmarks.figures import Figure
from benchmarks.populated import SAMPLE, Home, fill_history, fill_ledger, new_home, sample
from benchmarks.setting import timed
from benchmarks.status import LISTINGS
from benchmarks.webui import WebUi
from pipeline.orchestration.api import Location
from pipeline.orchestration.instance import environment
from pipeline.orchestration.preparation import prepare
from pipeline.orchestration.service import Service
from pipeline.universe import load_universe
from resources.partitions import to_key

_ROUNDS = 3
_LOAD_SECONDS, _TICK_SECONDS, _PAGE_SECONDS = 5.0, 2.0, 3.0
_LOAD = "from pipeline.definitions import build_defs; build_defs().get_repository_def()"
_EVENTS = ["MATERIALIZATION", "FAILED_TO_MATERIALIZE", "OBSERVATION"]
_AT_WORK = ["STARTED", "STARTING", "SUSPENDED", "CANCELING"]
_DONE = ["FAILURE", "SUCCESS", "CANCELED"]
_BATCH = 10
"""Of so many assets together the UI asks how they are."""
_REAL_TICKS = """
SELECT tick.job_name, count(*), max(tick.end_timestamp - tick.timestamp)
FROM job_ticks, json_to_record(tick_body::json)
     AS tick(job_name text, timestamp float, end_timestamp float)
WHERE type = 'SENSOR' AND tick.timestamp > %s AND tick.end_timestamp IS NOT NULL
GROUP BY 1 ORDER BY 1
"""
_SHOWN_LONG_AGO = "UPDATE ledger.shown SET at = at - interval '1 year'"
_SHOWN_AGAIN = "UPDATE ledger.shown SET at = at + interval '1 year'"

Question = tuple[str, dict[str, Any]]
"""An operation of the UI, and its variables."""


def run() -> Iterator[Figure]:
    """Measure, and yield the figures."""
    with new_home() as home:
        universe = load_universe(home.settings.universe_path)
        first = timed(lambda: prepare(home.database, universe))
        again = timed(lambda: prepare(home.database, universe))
        yield Figure(f"a database made, {LISTINGS} listings brought in step", f"{first:.2f} s")
        yield _figure("again, with nothing to do", again, _TICK_SECONDS)
        fill_ledger(home)
        with home.served() as service:
            ui, (location,) = WebUi(service.api.url), service.api.locations()
            (request,) = growth.requests_of(ui, location, "backfill")
            made = growth.launch(home, ui, location, request)
        growth.forget_details(home)
        fill_history(home, made)
        with home.dagster() as connection:
            yield from _told_of_history(connection)
        with home.served() as service:
            at_first = list(_answers(WebUi(service.api.url), service))
        with home.served() as service:
            ui, (location,) = WebUi(service.api.url), service.api.locations()
            yield from _of_pages(ui, service, at_first)
            yield from _of_loading(home, service, location)
            began = time.time()
            yield from _of_ticks(home, ui, location)
            yield from growth.figures(home, ui, location)
            yield from _of_real_ticks(home, began)


def _figure(what: str, seconds: float, target: float = _PAGE_SECONDS, said: str = "") -> Figure:
    return Figure(what, said or f"{seconds:.2f} s", f"< {target:.0f} s", seconds < target)


def _told_of_history(connection: psycopg.Connection) -> Iterator[Figure]:
    ((events, size, runs),) = connection.execute(
        "SELECT count(*), pg_database_size(current_database()), (SELECT count(*) FROM runs)"
        " FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION'"
    ).fetchall()
    yield Figure(
        f"Dagster's history: {events:,} materializations by {runs:,} runs", f"{size / 1e9:.2f} GB"
    )


def _answers(ui: WebUi, service: Service) -> Iterator[tuple[str, Question, float]]:
    """Ask all that pages ask; yield the page, the question and the seconds that it took."""
    (location,) = service.api.locations()
    assets = [list(asset.key) for asset in service.api.assets()]
    for page, questions in _pages(location, assets).items():
        for name, variables in questions:
            yield f"{page}: {name}", (name, variables), ui.seconds(name, **variables)


def _of_pages(
    ui: WebUi, service: Service, at_first: list[tuple[str, Question, float]]
) -> Iterator[Figure]:
    answers = zip(_answers(ui, service), at_first, strict=True)
    for (what, (name, variables), cold), (_, _, first) in answers:
        warm = statistics.median(ui.seconds(name, **variables) for _ in range(_ROUNDS))
        said = f"{first:.2f} s at first, {cold:.2f} s cold, {warm:.2f} s warm"
        yield _figure(what, max(cold, warm), _PAGE_SECONDS, said)


def _pages(location: Location, assets: list[list[str]]) -> dict[str, list[Question]]:
    where: dict[str, Any] = {"name": location.name}
    now = datetime.now(UTC).timestamp()
    pages: dict[str, list[Question]] = {
        "every page": [
            ("LocationWorkspaceQuery", where),
            ("LocationWorkspaceAssetsQuery", where),
        ]
    }
    for key in ([SAMPLE, "bars_1m"], ["consolidated", "bars_1m"]):
        pages["/".join(key)] = _of_asset(key)
    some = [{"path": key} for key in assets[:_BATCH]]
    pages["lineage"] = [
        ("AssetGraphLiveQuery", {"assetKeys": some}),
        ("AssetStaleStatusDataQuery", {"assetKeys": some}),
        ("AssetHealthQuery", {"assetKeys": [{"path": key} for key in assets]}),
    ]
    pages["runs"] = [
        ("RunsFeedRootQuery", {"limit": 31, "filter": {}, "view": "ROOTS"}),
        (
            "RunFeedTabsCountQuery",
            {
                "queuedFilter": {"statuses": ["QUEUED"]},
                "inProgressFilter": {"statuses": _AT_WORK},
                "view": "RUNS",
            },
        ),
    ]
    hour = {"statuses": _DONE, "updatedBefore": now, "updatedAfter": now - 3600}
    pages["overview"] = [
        ("OngoingRunTimelineQuery", {"inProgressFilter": {"statuses": _AT_WORK}, "limit": 500}),
        ("CompletedRunTimelineQuery", {"completedFilter": hour, "limit": 500}),
        ("FutureTicksQuery", {"tickCursor": now, "ticksUntil": now + 3600}),
    ]
    return pages


def _of_asset(path: list[str]) -> list[Question]:
    key = {"path": path}
    one: dict[str, Any] = {"assetKey": key}
    both: dict[str, Any] = {"assetKeys": [key]}
    cells = [to_key(cell) for cell in sample()]
    return [
        ("AssetViewDefinitionQuery", one),
        ("AssetGraphLiveQuery", both),
        ("AssetsFreshnessInfoQuery", both),
        ("AssetHealthQuery", both),
        ("AssetStaleStatusDataQuery", both),
        ("AssetAutomationQuery", both),
        ("AssetOverviewMetadataEventsQuery", one),
        ("AssetChecksQuery", one),
        ("PartitionHealthQuery", one),
        ("AssetPartitionDetailQuery", {**one, "partitionKey": cells[0]}),
        ("AssetPartitionStaleQuery", {**one, "partitionKey": cells[0]}),
        ("RecentAssetEventsQuery", {**one, "limit": 100, "eventTypeSelectors": _EVENTS}),
        ("LatestAssetPartitionsQuery", {**one, "limit": 100}),
        ("AssetPartitionEventsQuery", {**one, "partitions": cells}),
        ("LaunchAssetLoaderQuery", both),
        ("LaunchAssetWarningsQuery", {"upstreamAssetKeys": [key]}),
        ("BackfillPreviewQuery", {**both, "partitionNames": cells}),
    ]


def _of_loading(home: Home, service: Service, location: Location) -> Iterator[Figure]:
    ours = environment(home.settings, home.database)

    def load(code: str) -> float:
        command = [sys.executable, "-c", code]
        return timed(lambda: subprocess.run(command, env=ours, check=True, capture_output=True))

    floor = statistics.median(load("import dagster") for _ in range(_ROUNDS))
    fresh = statistics.median(load(_LOAD) for _ in range(_ROUNDS))
    served = statistics.median(
        timed(lambda: service.api.reload(location.name)) for _ in range(_ROUNDS)
    )
    yield Figure("floor: import dagster in a fresh process", f"{floor:.2f} s")
    for who, seconds in (("loaded in a fresh process", fresh), ("by the code server", served)):
        said = f"{seconds:.2f} s, {seconds / floor:.1f}x the floor"
        yield _figure(f"definitions, {who}", seconds, _LOAD_SECONDS, said)


def _of_ticks(home: Home, ui: WebUi, location: Location) -> Iterator[Figure]:
    sensors = [f"refresh_{SAMPLE}", "heal", "backfill", "show", "follow"]
    for name in [*sensors, "universe", "alerts", "failed_runs"]:
        times = [timed(lambda: growth.requests_of(ui, location, name)) for _ in range(_ROUNDS)]  # noqa: B023
        yield _figure(f"tick of {name}, evaluated from the UI", max(times), _TICK_SECONDS)
    with home.database.connect() as connection:
        connection.execute(_SHOWN_LONG_AGO)
        connection.commit()
        everything = timed(lambda: growth.requests_of(ui, location, "show"))
        connection.execute(_SHOWN_AGAIN)
    yield _figure("tick of show, when all is to be shown anew", everything, _TICK_SECONDS)


def _of_real_ticks(home: Home, since: float) -> Iterator[Figure]:
    with home.dagster() as connection:
        for name, number, longest in connection.execute(_REAL_TICKS, [since]).fetchall():
            yield _figure(f"the longest of {number} ticks of {name}", longest, _TICK_SECONDS)
