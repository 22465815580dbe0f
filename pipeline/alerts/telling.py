"""Telling people: what is due is delivered, at least once, all of it in one message.

What belongs here: when to send and what to keep of it. A message is made of what the ledger says
when it is sent, so one that could not be delivered is never older than the news that it tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from pipeline.alerts.forms import as_json, as_slack
from pipeline.alerts.model import News
from pipeline.alerts.webhook import Answer, post
from pipeline.settings import Settings
from pipeline.store import alert_watch
from pipeline.store.alerts import note_told, untold

FIRST_WAIT: Final = timedelta(minutes=1)
"""How long after a failure it is tried again; twice as long each further time."""
LONGEST_WAIT: Final = timedelta(minutes=15)
# Any number will do, as long as no other program on the server uses it for an advisory lock.
_LOCK: Final = 0x4D4C_414C

FORMS: Final = {"json": as_json, "slack": as_slack}


@dataclass(frozen=True, slots=True)
class Told:
    """What came of telling.

    Attributes:
        news: What was to be told.
        answer: What came back; None where nothing was sent.
        waits_until: Until when nothing is sent, after failures; None otherwise, UTC.
    """

    news: Sequence[News]
    answer: Answer | None = None
    waits_until: datetime | None = None


def tell(
    connection: psycopg.Connection,
    settings: Settings,
    now: datetime,
    log: Callable[[News], None],
) -> Told:
    """Deliver what is to be told now, and keep that it was.

    Without an address the log is all that is told. With one, news count as told once the receiver
    has taken them; a crash in between tells them again.

    Args:
        connection: An open connection in autocommit.
        settings: What the environment says.
        now: The present, UTC.
        log: Writes news into the log, whether they can be delivered or not.
    """
    if connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone() != (True,):
        return Told(())  # somebody else is telling it at this moment
    try:
        return _tell(connection, settings, now, log)
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _tell(
    connection: psycopg.Connection,
    settings: Settings,
    now: datetime,
    log: Callable[[News], None],
) -> Told:
    news = untold(connection, now, settings.alert_remind_every)
    if not news:
        return Told(())
    watch = alert_watch.watch(connection)
    if settings.alert_url is None:
        answer = None
    elif watch.next_attempt_at is not None and now < watch.next_attempt_at:
        return Told(news, waits_until=watch.next_attempt_at)
    else:
        answer = post(settings.alert_url, FORMS[settings.alert_format](news, now))
    for one in news:
        log(one)
    if answer is None or answer.delivered:
        with connection.transaction():
            note_told(connection, news, now)
            if answer is not None:
                alert_watch.note_delivered(connection, now)
        return Told(news, answer)
    until = now + max(_wait(watch.attempts), answer.wait or timedelta(0))
    alert_watch.note_undelivered(connection, answer.words, now, until)
    return Told(news, answer, until)


def _wait(failures: int) -> timedelta:
    """Return how long to wait after a failure that so many others went before."""
    wait: timedelta = FIRST_WAIT * 2 ** min(failures, 10)
    return min(wait, LONGEST_WAIT)


class NoAddress(Exception):
    """There is no address to send anything to."""

    def __init__(self) -> None:
        super().__init__(
            "MINUTELEDGER_ALERT_URL is not set, so there is nowhere to send a message; set it in "
            "the environment or in .env (see .env.example)"
        )


def send_test(settings: Settings, now: datetime) -> tuple[Answer, dict[str, Any]]:
    """Send a message that tells of no alert.

    Args:
        settings: What the environment says.
        now: The present, UTC.

    Returns:
        What came back, and what was sent.

    Raises:
        NoAddress: There is nowhere to send it.
    """
    if settings.alert_url is None:
        raise NoAddress
    document = FORMS[settings.alert_format]([], now, test=True)
    return post(settings.alert_url, document), document
