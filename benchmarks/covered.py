"""What a partition costs that is covered already: ours alone, and within a Dagster run."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import yaml

from assets.downloading import download_cells
from benchmarks.figures import Figure
from benchmarks.setting import (
    PROVIDER,
    binance_venue,
    first_days,
    fresh_database,
    months,
    open_client,
    put_in_ledger,
)
from pipeline.definitions import build_defs
from pipeline.download import Downloader
from pipeline.orchestration.instance import DEFAULTS
from pipeline.store.cells import Cell
from pipeline.store.database import Database
from pipeline.universe import load_universe
from resources.partitions import to_key
from sensors.universe import sync_instance
from venue import VenueProcess

MONTHS = 60
ROUNDS = 5
_WANTED = months(datetime(2019, 1, 1, tzinfo=UTC), MONTHS)
_OURS_MS, _WHOLE_MS = 20, 100


def run() -> Iterator[Figure]:
    """Measure, and yield the figures."""
    with fresh_database() as database, binance_venue() as venue:
        listing = put_in_ledger(database, _WANTED)
        cells = [Cell(listing.key, month) for month in first_days(_WANTED)]
        client = open_client(database, venue)
        with Downloader(database, client) as downloader:
            download_cells(database, downloader, PROVIDER, cells)
            venue.clear_requests()
            ours = _fastest(lambda: download_cells(database, downloader, PROVIDER, cells))
        with _instance(database, venue) as instance:
            whole = _fastest(lambda: _dagster_run(instance, cells))
        candles = sum(request["symbol"] is not None for request in venue.requests()["requests"])
    yield Figure(
        f"a covered partition, ours ({MONTHS} a run)",
        f"{ours:.1f} ms",
        f"< {_OURS_MS} ms",
        ours < _OURS_MS,
    )
    yield Figure(
        f"a covered partition in a Dagster run ({MONTHS} a run)",
        f"{whole:.1f} ms",
        f"< {_WHOLE_MS} ms",
        whole < _WHOLE_MS,
    )
    yield Figure("requests for bars sent for them", str(candles), "0", candles == 0)


def _fastest(work: Callable[[], object]) -> float:
    """Return the milliseconds per partition of the fastest of several rounds."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times) / MONTHS * 1000


@contextmanager
def _instance(database: Database, venue: VenueProcess) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance on the benchmark's server, with the environment that its runs need."""
    home = Path(tempfile.mkdtemp(prefix="ml-bench-dagster-"))
    shutil.copy(Path(__file__).resolve().parents[1] / "dagster.yaml", home)
    universe = home / "universe.yaml"
    universe.write_text(
        yaml.safe_dump(
            {
                "start": _WANTED.start.date(),
                "providers": {PROVIDER: {"base_url": f"{venue.url}/{PROVIDER}"}},
                "instruments": {
                    "BTC-USDT": {
                        "class": "crypto_spot",
                        "listings": {PROVIDER: {"symbol": "BTC/USDT", "end": _WANTED.end.date()}},
                    }
                },
            }
        )
    )
    dagster_url = database.url(database.dagster_name)
    os.environ |= DEFAULTS | {
        "MINUTELEDGER_HOME": str(home),
        "MINUTELEDGER_UNIVERSE": str(universe),
        "MINUTELEDGER_DATABASE_URL": database.url(),
        "MINUTELEDGER_DAGSTER_URL": dagster_url.replace("postgresql:", "postgresql+psycopg2:"),
    }
    try:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            sync_instance(instance, load_universe(universe))
            yield instance
    finally:
        shutil.rmtree(home)


def _dagster_run(instance: dg.DagsterInstance, cells: list[Cell]) -> None:
    job = build_defs().resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey([PROVIDER, name]) for name in ("bars_1m", "gaps", "bars")],
        tags={
            "dagster/asset_partition_range_start": to_key(cells[0]),
            "dagster/asset_partition_range_end": to_key(cells[-1]),
        },
        run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
    )
    if not result.success:
        raise RuntimeError("the run over covered partitions failed")
