"""The statements by which what Dagster remembers of runs is forgotten, and what they rely on.

What belongs here: which rows. In which order, and how many at once, is `history`'s business.
"""
# ruff: noqa: S608  every statement is made of constants

from __future__ import annotations

from typing import Final, LiteralString

PASSING: Final[tuple[LiteralString, ...]] = (
    "ENGINE_EVENT",
    "RESOURCE_INIT_STARTED",
    "RESOURCE_INIT_SUCCESS",
    "LOGS_CAPTURED",
    "PIPELINE_ENQUEUED",
    "PIPELINE_DEQUEUED",
    "PIPELINE_STARTING",
    "STEP_WORKER_STARTING",
    "STEP_WORKER_STARTED",
    "STEP_START",
    "STEP_INPUT",
    "STEP_OUTPUT",
    "STEP_SUCCESS",
    "LOADED_INPUT",
    "HANDLED_OUTPUT",
    "OBJECT_STORE_OPERATION",
    "ASSET_CHECK_EVALUATION_PLANNED",
)
"""Events that say how a run went on. Nothing is built on them once it has succeeded."""

KNOWN_COLUMNS: Final = {
    "event_logs": {
        "id",
        "run_id",
        "event",
        "dagster_event_type",
        "timestamp",
        "step_key",
        "asset_key",
        "partition",
    },
    "runs": {"run_id", "status", "end_time", "update_timestamp", "backfill_id"},
    "asset_keys": {"asset_key", "last_run_id"},
    "asset_check_executions": {"id", "asset_key", "check_name", "partition", "run_id"},
}
"""What the statements rely on."""

_ENDED: Final[LiteralString] = """
r.status IN ('SUCCESS', 'FAILURE', 'CANCELED') AND %(before)s
    > coalesce(to_timestamp(r.end_time), timezone('UTC', r.update_timestamp))
"""
_SUCCEEDED: Final[LiteralString] = f"r.status = 'SUCCESS' AND {_ENDED}"

# A later materialization tells all that a plan does; of others, a later event of the same kind.
_FOLLOWED: Final[LiteralString] = """
CASE WHEN e.partition IS NULL
     THEN EXISTS (SELECT FROM event_logs n
                  WHERE n.asset_key = e.asset_key AND n.dagster_event_type = {kind}
                    AND n.partition IS NULL AND n.id > e.id)
     ELSE EXISTS (SELECT FROM event_logs n
                  WHERE n.asset_key = e.asset_key AND n.dagster_event_type = {kind}
                    AND n.partition = e.partition AND n.id > e.id) END
"""
_MATERIALIZED: Final[LiteralString] = _FOLLOWED.format(kind="'ASSET_MATERIALIZATION'")
_REPLACED: Final[LiteralString] = _FOLLOWED.format(kind="e.dagster_event_type")

PRINTED: Final[LiteralString] = f"""
SELECT DISTINCT e.run_id FROM event_logs e JOIN runs r USING (run_id)
WHERE e.dagster_event_type = 'LOGS_CAPTURED' AND {_SUCCEEDED}
"""
EVENTS_OF_RUNS: Final[LiteralString] = f"""
SELECT e.id FROM event_logs e JOIN runs r USING (run_id)
WHERE {{chosen}} AND e.id > %(after)s AND {_SUCCEEDED} ORDER BY e.id LIMIT %(batch)s
"""
EVENTS_OF_NO_RUN: Final[LiteralString] = """
SELECT e.id FROM event_logs e
WHERE {chosen} AND e.id > %(after)s AND timezone('UTC', e.timestamp) < %(before)s
ORDER BY e.id LIMIT %(batch)s
"""
DELETE: Final[LiteralString] = """
WITH old AS MATERIALIZED ({selected}), gone AS (
    DELETE FROM event_logs e USING old WHERE e.id = old.id)
SELECT count(*), max(id) FROM old
"""
SAID: Final[LiteralString] = (
    "e.dagster_event_type IS NULL AND (e.event::json ->> 'level')::integer < 30"
)
PLANNED: Final[LiteralString] = (
    f"e.dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED' AND {_MATERIALIZED}"
)
FRESHNESS: Final[LiteralString] = f"e.dagster_event_type = 'FRESHNESS_STATE_CHANGE' AND {_REPLACED}"

# Neither the newest of anything nor of a backfill, which shows its runs.
RUNS: Final[LiteralString] = f"""
SELECT r.run_id FROM runs r
WHERE {_ENDED} AND r.backfill_id IS NULL
  AND NOT EXISTS (SELECT FROM asset_keys k WHERE k.last_run_id = r.run_id)
  AND NOT EXISTS (
    SELECT FROM event_logs e WHERE e.run_id = r.run_id AND e.asset_key IS NOT NULL
      AND CASE e.dagster_event_type
          WHEN 'ASSET_MATERIALIZATION' THEN NOT ({_REPLACED})
          WHEN 'ASSET_OBSERVATION' THEN NOT ({_REPLACED})
          WHEN 'ASSET_MATERIALIZATION_PLANNED' THEN NOT ({_MATERIALIZED})
          WHEN 'ASSET_FAILED_TO_MATERIALIZE' THEN NOT ({_MATERIALIZED})
          ELSE false END)
  AND NOT EXISTS (
    SELECT FROM asset_check_executions c WHERE c.run_id = r.run_id AND NOT EXISTS (
        SELECT FROM asset_check_executions n
        WHERE n.asset_key = c.asset_key AND n.check_name = c.check_name
          AND n.partition IS NOT DISTINCT FROM c.partition AND n.id > c.id))
ORDER BY r.run_id
"""

COLUMNS = """
SELECT table_name, array_agg(column_name::text) FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = ANY(%s) GROUP BY table_name
"""
