"""Alerts in the ledger: what stands, what has been told of it, and how telling goes.

What belongs here: the statements. What is a trouble `pipeline.alerts` says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from pipeline.alerts.model import PATIENCE, Alert, Kind, News, Trouble

KEPT: Final = timedelta(days=90)
"""How long a resolved alert is remembered."""
FIRST_HOLD: Final = timedelta(minutes=5)
"""How long the end of a trouble that came back within a day is waited for; twice as long each
further time. One that comes for the first time is over at once."""
LONGEST_HOLD: Final = timedelta(hours=6)
RUNS_FORGOTTEN: Final = timedelta(days=3)
"""How long after the last run of it failed a step that never runs any more is no trouble."""
_RUNS_NAMED: Final = 20

_LOCK: Final = "LOCK TABLE ledger.alert IN SHARE ROW EXCLUSIVE MODE"

_OPENINGS: Final = """
    SELECT 1 + coalesce((
        SELECT openings FROM ledger.alert past
        WHERE (past.kind, past.about) = (%(kind)s, %(about)s)
          AND past.resolved_at > %(now)s - interval '1 day'
        ORDER BY past.resolved_at DESC LIMIT 1), 0)
"""

_SEEN: Final = f"""
INSERT INTO ledger.alert AS a (kind, about, provider, severity, title, text, count, since,
                               first_seen_at, last_seen_at, openings)
VALUES (%(kind)s, %(about)s, %(provider)s, %(severity)s, %(title)s, %(text)s, %(count)s, %(since)s,
        %(now)s, %(now)s, ({_OPENINGS}))
ON CONFLICT (kind, about) WHERE resolved_at IS NULL DO UPDATE
SET provider = excluded.provider, severity = excluded.severity, title = excluded.title,
    text = excluded.text, count = excluded.count, since = least(a.since, excluded.since),
    last_seen_at = greatest(a.last_seen_at, excluded.last_seen_at), gone_at = NULL
"""  # noqa: S608 - made of constants

# A run that was counted before, by a tick that did not end, is not counted again.
_FAILED: Final = f"""
INSERT INTO ledger.alert AS a (kind, about, provider, severity, title, text, count, runs, since,
                               first_seen_at, last_seen_at, opened_at, openings)
VALUES (%(kind)s, %(about)s, %(provider)s, %(severity)s, %(title)s, %(text)s, 1, ARRAY[%(run)s],
        %(since)s, %(since)s, %(since)s, %(now)s, ({_OPENINGS}))
ON CONFLICT (kind, about) WHERE resolved_at IS NULL DO UPDATE
SET provider = excluded.provider, title = excluded.title, text = excluded.text, count = a.count + 1,
    runs = (a.runs || excluded.runs)[greatest(1, cardinality(a.runs) + 2 - %(named)s):],
    last_seen_at = greatest(a.last_seen_at, excluded.last_seen_at), gone_at = NULL
WHERE NOT a.runs @> excluded.runs
"""  # noqa: S608 - made of constants

_SUCCEEDED: Final = """
UPDATE ledger.alert SET gone_at = %(at)s
WHERE kind = %(kind)s AND about = ANY(%(steps)s) AND resolved_at IS NULL AND gone_at IS NULL
  AND last_seen_at <= %(at)s
"""

_FOLLOW: Final = (
    """
    UPDATE ledger.alert SET gone_at = %(now)s,
           text = text || E'\n\nNo run of it has failed or succeeded since.'
    WHERE kind = %(runs)s AND resolved_at IS NULL AND gone_at IS NULL
      AND last_seen_at < %(now)s - %(forgotten)s::interval
    """,
    """
    UPDATE ledger.alert SET gone_at = %(now)s
    WHERE kind = ANY(%(looked)s) AND resolved_at IS NULL AND gone_at IS NULL
      AND NOT (kind || ':' || about) = ANY(%(found)s)
    """,
    """
    DELETE FROM ledger.alert
    WHERE opened_at IS NULL AND gone_at IS NOT NULL OR told = 'resolved' AND resolved_at < %(old)s
    """,
    """
    UPDATE ledger.alert SET opened_at = %(now)s
    FROM unnest(%(kinds)s::text[], %(waits)s::interval[]) AS patience(kind, wait)
    WHERE patience.kind = alert.kind AND opened_at IS NULL AND first_seen_at + wait <= %(now)s
    """,
    """
    UPDATE ledger.alert SET resolved_at = %(now)s
    WHERE resolved_at IS NULL AND gone_at + CASE openings WHEN 1 THEN interval '0'
          ELSE least(%(longest)s, %(hold)s * power(2, least(openings - 2, 20))) END <= %(now)s
    """,
)

_COLUMNS: Final = """
    id, kind || ':' || about AS key, kind, provider, severity, title, text, count, since, opened_at,
    last_seen_at, resolved_at, notified_at
"""

_STANDING: Final = f"""
SELECT {_COLUMNS} FROM ledger.alert
WHERE opened_at IS NOT NULL AND (%(past)s OR resolved_at IS NULL)
ORDER BY resolved_at DESC NULLS FIRST, severity, opened_at, id
"""  # noqa: S608 - made of constants

_UNTOLD: Final = f"""
SELECT CASE WHEN resolved_at IS NOT NULL THEN 'resolved'
            WHEN told IS NULL OR (told, severity) = ('warning', 'critical') THEN 'opened'
            ELSE 'reminder' END AS event, {_COLUMNS}
FROM ledger.alert
WHERE opened_at IS NOT NULL AND told IS DISTINCT FROM 'resolved'
  AND (resolved_at IS NOT NULL OR told IS NULL
       OR (told, severity) = ('warning', 'critical')
       OR gone_at IS NULL AND notified_at <= %(now)s - %(remind)s)
ORDER BY resolved_at NULLS FIRST, severity, opened_at, id
"""  # noqa: S608 - made of constants

_TOLD: Final = "UPDATE ledger.alert SET told = %s, notified_at = %s WHERE id = %s"

_LOOKED: Final = "UPDATE ledger.alert_watch SET looked_at = %s"


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that failed.

    Attributes:
        run: Its id.
        trouble: What is told of it; about the step that failed.
    """

    run: str
    trouble: Trouble


def record(
    connection: psycopg.Connection,
    looked: Collection[Kind],
    found: Sequence[Trouble],
    now: datetime,
) -> None:
    """Keep what was found: troubles open once they have lasted, and resolve once they stay away.

    Args:
        connection: An open connection; the work is one transaction.
        looked: The kinds that were looked for: what of these was not found is gone.
        found: The troubles that were found.
        now: The present, UTC.
    """
    keys = [f"{one.kind}:{one.about}" for one in found]
    parameters = {
        "now": now,
        "looked": list(looked),
        "found": keys,
        "old": now - KEPT,
        "kinds": list(Kind),
        "waits": [PATIENCE.get(kind, timedelta(0)) for kind in Kind],
        "hold": FIRST_HOLD,
        "longest": LONGEST_HOLD,
        "runs": Kind.RUN_FAILED,
        "forgotten": RUNS_FORGOTTEN,
    }
    with connection.transaction():
        connection.execute(_LOCK)
        for trouble in found:
            connection.execute(_SEEN, asdict(trouble) | {"now": now})
        for statement in _FOLLOW:
            connection.execute(statement, parameters)
        connection.execute(_LOOKED, [now])


def record_runs(
    connection: psycopg.Connection,
    ended: Iterable[FailedRun | tuple[datetime, Collection[str]]],
    now: datetime,
) -> None:
    """Keep which runs have failed, and which steps succeeded; doing it again changes nothing.

    Args:
        connection: An open connection; the work is one transaction.
        ended: Runs in the order in which they ended: what failed, or when, and the steps that it
            had, if it succeeded.
        now: The present, UTC.
    """
    with connection.transaction():
        connection.execute(_LOCK)
        for one in ended:
            if isinstance(one, FailedRun):
                row = asdict(one.trouble) | {"run": one.run, "now": now, "named": _RUNS_NAMED}
                connection.execute(_FAILED, row)
            else:
                succeeded = {"at": one[0], "steps": list(one[1]), "kind": Kind.RUN_FAILED}
                connection.execute(_SUCCEEDED, succeeded)


def failing_steps(connection: psycopg.Connection) -> set[str]:
    """Return the steps whose runs have failed, as far as they stand."""
    rows = connection.execute(
        "SELECT about FROM ledger.alert WHERE kind = %s AND resolved_at IS NULL", [Kind.RUN_FAILED]
    )
    return {about for (about,) in rows}


def alerts(connection: psycopg.Connection, *, past: bool = False) -> list[Alert]:
    """Return the alerts that stand, the worst first, and with `past` those that are over."""
    with connection.cursor(row_factory=class_row(Alert)) as cursor:
        return cursor.execute(_STANDING, {"past": past}).fetchall()


def untold(connection: psycopg.Connection, now: datetime, remind_every: timedelta) -> list[News]:
    """Return what is to be told now, the worst first, what is over last.

    What has opened and resolved since anything could be told is told as resolved.
    """
    with connection.cursor(row_factory=_news) as cursor:
        return cursor.execute(_UNTOLD, {"now": now, "remind": remind_every}).fetchall()


def _news(cursor: psycopg.Cursor[News]) -> Callable[[Sequence[Any]], News]:
    names = [column.name for column in cursor.description or ()][1:]
    return lambda row: News(row[0], Alert(**dict(zip(names, row[1:], strict=True))))


def note_told(connection: psycopg.Connection, told: Sequence[News], now: datetime) -> None:
    """Note that news have been told as they are; what has changed since is told next time."""
    rows = [
        ("resolved" if one.event == "resolved" else one.alert.severity, now, one.alert.id)
        for one in told
    ]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_TOLD, rows)
