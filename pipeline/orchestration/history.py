"""What Dagster remembers of runs, and forgetting what nobody needs any more.

What belongs here: statements on Dagster's own tables, which it offers no way to prune. They delete
only what is named here, and nothing at all once the tables are not what they are known to be.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

import psycopg

from pipeline.orchestration import forgetting as statements
from pipeline.orchestration.errors import OrchestrationError
from pipeline.settings import PREFIX
from pipeline.store.database import Database, DatabaseError

BATCH: Final = 5_000
URL_VARIABLE = f"{PREFIX}DAGSTER_URL"

_SWEPT: Final[tuple[LiteralString, ...]] = (
    "event_logs",
    "asset_event_tags",
    "asset_check_executions",
    "run_tags",
    "runs",
)


class UnknownHistory(OrchestrationError):
    """Dagster's tables are not what they are known to be."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was forgotten of runs.

    Attributes:
        events: How many events of runs that stay.
        outputs: Of how many runs that stay what was printed.
        runs: How many whole runs.
    """

    events: int
    outputs: int
    runs: int


@contextmanager
def history(database: Database) -> Iterator[psycopg.Connection]:
    """Open Dagster's database: that of the processes we run in, else the one beside the ledger.

    Raises:
        DatabaseError: It cannot be reached.
    """
    url = os.environ.get(URL_VARIABLE)
    if not url:
        with database.connect(database.dagster_name) as connection:
            connection.autocommit = True
            yield connection
        return
    try:
        connection = psycopg.connect(
            url.replace("postgresql+psycopg2://", "postgresql://", 1),
            options="-c timezone=UTC",
            application_name="minuteledger",
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        raise DatabaseError(
            f"cannot connect to Dagster's database: {str(error).strip()}; check {URL_VARIABLE}"
        ) from error
    with connection:
        yield connection


def forget(
    connection: psycopg.Connection,
    *,
    details_before: datetime,
    runs_before: datetime,
    delete_run: Callable[[str], None],
    delete_output: Callable[[str], None],
    batch: int = BATCH,
) -> Forgotten:
    """Forget how runs went, and later the runs themselves, as far as nothing is built on them.

    What a run that succeeded has materialized, observed and checked stays, and so do a plan that
    nothing has come of yet, and every event of a run that did not succeed. A whole run goes once
    everything that it made or checked has been made or checked again. So what Dagster says of
    assets, partitions, checks and backfills stays the same.

    Args:
        connection: To Dagster's database, without a transaction around statements.
        details_before: Runs that ended before this moment, UTC, lose their details.
        runs_before: Runs that ended before this one may go.
        delete_run: Deletes a run, by its id.
        delete_output: Deletes what a run printed.
        batch: How many events are deleted in one transaction.

    Raises:
        UnknownHistory: Dagster's tables have changed; nothing was deleted.
    """
    require_known(connection)
    kinds = [f"e.dagster_event_type = '{kind}'" for kind in statements.PASSING]
    # What tells of the output goes last: after a crash, the next time finds it again.
    printed = [run for (run,) in connection.execute(statements.PRINTED, {"before": details_before})]
    for run in printed:
        delete_output(run)
    events = sum(
        _delete(connection, statements.EVENTS_OF_RUNS.format(chosen=chosen), details_before, batch)
        for chosen in (*kinds, statements.SAID, statements.PLANNED)
    )
    events += _delete(
        connection,
        statements.EVENTS_OF_NO_RUN.format(chosen=statements.FRESHNESS),
        details_before,
        batch,
    )
    old = [run for (run,) in connection.execute(statements.RUNS, {"before": runs_before})]
    for run in old:
        connection.execute("DELETE FROM asset_check_executions WHERE run_id = %s", [run])
        delete_run(run)
        delete_output(run)
    if events or old:
        for table in _SWEPT:
            connection.execute(f"VACUUM (ANALYZE) {table}".encode())
    return Forgotten(events, len(printed), len(old))


def require_known(connection: psycopg.Connection) -> None:
    """Raise UnknownHistory when Dagster's tables lack anything that the statements rely on."""
    there: dict[str, list[str]] = dict(
        connection.execute(statements.COLUMNS, [list(statements.KNOWN_COLUMNS)]).fetchall()
    )
    lacking = [
        f"{table}.{column}"
        for table, columns in statements.KNOWN_COLUMNS.items()
        for column in sorted(columns - set(there.get(table, [])))
    ]
    if lacking:
        raise UnknownHistory(
            f"Dagster's database has no {', '.join(lacking)}: this release of Dagster keeps its "
            "history in another form, so nothing of it was deleted; use the release that uv.lock "
            "names, or run `dagster instance migrate`"
        )


def _delete(
    connection: psycopg.Connection, selected: LiteralString, before: datetime, batch: int
) -> int:
    """Delete events in small transactions; return how many."""
    statement = statements.DELETE.format(selected=selected).encode()
    number, after, rows = 0, 0, batch
    while rows == batch:
        values = {"before": before, "after": after, "batch": batch}
        rows, after = connection.execute(statement, values).fetchone() or (0, after)
        number += rows
    return number
