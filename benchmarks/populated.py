"""A home of 1,000 listings over ten years, and the history that Dagster would have of it.

What belongs here: making it. Its listings are those of a universe file; the ledger is filled by
SQL, and Dagster's history is a real run of two months, repeated by SQL for all the others.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import yaml

from benchmarks.healing import AS_REFRESHED
from benchmarks.status import COVERAGE, LISTINGS, MONTHS, PROVIDERS
from pipeline.orchestration.interruption import Interruption
from pipeline.orchestration.service import Service, serving
from pipeline.orchestration.state import claim
from pipeline.settings import Settings, load_settings
from pipeline.store.cells import Cell
from pipeline.store.database import Database
from pipeline.store.server import EmbeddedServer
from venue import VenueProcess

NAMES = [f"venue{number}" for number in range(PROVIDERS)]
_KEYS = [f"C{number:04}-USDT" for number in range(LISTINGS)]
SAMPLE = NAMES[0]
"""The provider of which runs are really made."""

# This month and the last have changed since Dagster was told of them, as every day.
_AROUND = """
UPDATE ledger.coverage SET judged = true, updated_at = now() - interval '1 hour';
INSERT INTO ledger.shown (listing_id, month, at)
SELECT listing_id, month, updated_at - CASE WHEN month > now() - interval '2 months'
                                            THEN interval '1 day' ELSE '0' END
FROM ledger.coverage;
"""
_UNASKED = """
WITH cell AS (SELECT id, unnest(%(months)s::date[]) AS month FROM ledger.listing WHERE key = %(key)s
), failed AS (
    DELETE FROM ledger.fetch_failure f USING cell
    WHERE (f.listing_id, ledger.month_of(lower(f.during))) = (cell.id, cell.month)
), shown AS (
    DELETE FROM ledger.shown s USING cell WHERE (s.listing_id, s.month) = (cell.id, cell.month)
)
DELETE FROM ledger.coverage c USING cell WHERE (c.listing_id, c.month) = (cell.id, cell.month)
"""

# A listing's months are two runs, an hour after each other. What is left of the run that was made
# is the template: its events of the first month stand for any month, those of no month for a run.
_COPIES = """
CREATE TEMP TABLE made AS
SELECT gen_random_uuid()::text AS run_id, listing.key,
       (%(names)s::text[])[1 + (number - 1) %% cardinality(%(names)s::text[])] AS provider,
       half.months[1] AS first, half.months[cardinality(half.months)] AS last, half.months,
       row_number() OVER () * interval '1 hour' AS ago
FROM unnest(%(keys)s::text[]) WITH ORDINALITY AS listing(key, number),
     (VALUES (%(early)s::text[]), (%(late)s::text[])) AS half(months);

CREATE FUNCTION pg_temp.as_made(text, made, month text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT replace(replace(replace(replace(replace(replace($1, %(last)s, '<last>'),
               %(first)s, coalesce(month, $2.first)), '<last>', $2.last),
               %(run)s, $2.run_id), %(name)s, $2.provider), %(key)s, $2.key)
$$;

CREATE TEMP TABLE copy AS
SELECT nextval('event_logs_id_seq') AS id, template.id AS of, made.run_id, month
FROM made CROSS JOIN event_logs template
CROSS JOIN LATERAL unnest(CASE WHEN template.partition IS NULL THEN ARRAY[NULL]
                               ELSE made.months END) AS month
WHERE template.run_id = %(run)s
  AND (template.partition IS NULL OR template.partition LIKE '%%' || %(first)s);
ANALYZE copy;

INSERT INTO runs (run_id, snapshot_id, pipeline_name, mode, status, run_body, create_timestamp,
                  update_timestamp, start_time, end_time)
SELECT made.run_id, snapshot_id, pipeline_name, mode, status,
       pg_temp.as_made(run_body, made, NULL), create_timestamp - ago, update_timestamp - ago,
       start_time - extract(epoch FROM ago), end_time - extract(epoch FROM ago)
FROM runs, made WHERE runs.run_id = %(run)s;
INSERT INTO run_tags (run_id, key, value)
SELECT made.run_id, template.key, pg_temp.as_made(value, made, NULL)
FROM run_tags template, made WHERE template.run_id = %(run)s;
INSERT INTO event_logs (id, run_id, event, dagster_event_type, timestamp, step_key, asset_key,
                        partition)
SELECT copy.id, made.run_id, pg_temp.as_made(event, made, month), dagster_event_type,
       timestamp - ago, pg_temp.as_made(step_key, made, NULL),
       pg_temp.as_made(asset_key, made, NULL), pg_temp.as_made(partition, made, month)
FROM copy JOIN made USING (run_id) JOIN event_logs template ON template.id = copy.of;
INSERT INTO asset_event_tags (event_id, asset_key, key, value, event_timestamp)
SELECT copy.id, pg_temp.as_made(asset_key, made, NULL), template.key,
       pg_temp.as_made(value, made, month), event_timestamp - ago
FROM copy JOIN made USING (run_id) JOIN asset_event_tags template ON template.event_id = copy.of;
INSERT INTO asset_check_executions
    (asset_key, check_name, partition, run_id, execution_status, evaluation_event,
     evaluation_event_timestamp, evaluation_event_storage_id, materialization_event_storage_id)
SELECT pg_temp.as_made(asset_key, made, NULL), check_name, partition, made.run_id, execution_status,
       pg_temp.as_made(evaluation_event, made, NULL), evaluation_event_timestamp - ago,
       evaluation_event_storage_id, materialization_event_storage_id
FROM asset_check_executions template, made WHERE template.run_id = %(run)s;
INSERT INTO asset_keys (asset_key, last_materialization, last_run_id, asset_details,
                        last_materialization_timestamp, tags)
SELECT DISTINCT ON (1) pg_temp.as_made(asset_key, made, NULL),
       pg_temp.as_made(last_materialization, made, last), made.run_id, asset_details,
       last_materialization_timestamp, tags
FROM asset_keys template, made WHERE last_run_id = %(run)s
ON CONFLICT (asset_key) DO NOTHING;
UPDATE asset_keys SET cached_status_data = NULL;
"""


@dataclass(frozen=True, slots=True)
class Home:
    """A folder with a universe, a database of its own, and a venue that its providers are at.

    Attributes:
        settings: What it is configured by.
        database: Its database.
    """

    settings: Settings
    database: Database

    def dagster(self) -> psycopg.Connection:
        """Open Dagster's database, without a transaction around statements."""
        connection = self.database.connect(self.database.dagster_name)
        connection.autocommit = True
        return connection

    @contextmanager
    def served(self) -> Iterator[Service]:
        """Serve it as `minuteledger up` does, with sensors that stand still."""
        with (
            claim(self.settings, "benchmark") as right,
            serving(
                self.settings, right, port=None, interruption=Interruption(), say=lambda _: None
            ) as service,
        ):
            yield service


@contextmanager
def new_home() -> Iterator[Home]:
    """Make a home with a universe, in which nothing has been done yet; its server is down."""
    folder = Path(tempfile.mkdtemp(prefix="ml-bench-"))
    folder.chmod(0o755)
    markets = {key: {"listed_at": "2010-01-01T00:00:00Z"} for key in _KEYS}
    venue = {"exchanges": {"binance": {"requests_per_second": 0, "markets": markets}}}
    settings = load_settings(
        home=folder, universe=folder / "universe.yaml", database_url=None, sensors="stopped"
    )
    try:
        with VenueProcess(venue) as process:
            settings.universe_path.write_text(yaml.safe_dump(_universe(f"{process.url}/binance")))
            yield Home(settings, Database.from_settings(settings))
    finally:
        EmbeddedServer(settings.postgres_dir).stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


def _universe(url: str) -> dict[str, Any]:
    return {
        "start": months()[0],
        "providers": {name: {"exchange": "binance", "base_url": url} for name in NAMES},
        "instruments": {
            key: {
                "class": "crypto_spot",
                "listings": {NAMES[number % PROVIDERS]: key.replace("-", "/")},
            }
            for number, key in enumerate(_KEYS)
        },
    }


def months() -> list[date]:
    """Return the first days of all months, up to the present one."""
    today = datetime.now(UTC).date()
    last = today.year * 12 + today.month - 1
    return [date(n // 12, n % 12 + 1, 1) for n in range(last - MONTHS + 1, last + 1)]


def sample() -> list[Cell]:
    """Return the two months in a row, long over, that are really downloaded."""
    return [Cell(_KEYS[0], month) for month in months()[60:62]]


def fill_ledger(home: Home) -> None:
    """Have the ledger hold the coverage of all listings, but for that of the sample."""
    unasked = {"key": _KEYS[0], "months": [cell.month for cell in sample()]}
    with home.database.connect() as connection:
        connection.execute(
            "UPDATE ledger.listing SET first_trade = starts_at + interval '36 hours',"
            " first_trade_checked_at = now()"
        )
        for statement in (COVERAGE, AS_REFRESHED, _AROUND):
            connection.execute(statement.encode())
        connection.execute(_UNASKED, unasked)
        # Where there are no bars the ledger would find outages, and work out all series after them.
        connection.execute("ALTER TABLE ledger.gap DISABLE TRIGGER gap_unconsolidated")
        connection.execute("TRUNCATE ledger.stale, ledger.unconsolidated")
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")


def fill_history(home: Home, run: str) -> None:
    """Have Dagster remember runs of all listings and months like one that was made.

    Args:
        home: The home.
        run: The id of a run of the sample.
    """
    first, last = (cell.month.isoformat() for cell in sample())
    every = [month.isoformat() for month in months()]
    values = {
        "run": run,
        "name": SAMPLE,
        "names": NAMES,
        "key": _KEYS[0],
        "keys": _KEYS,
        "first": first,
        "last": last,
        "early": every[:60],
        "late": every[60:],
    }
    with home.dagster() as connection, psycopg.ClientCursor(connection) as cursor:
        cursor.execute(_COPIES, values)
        connection.execute("VACUUM ANALYZE")
