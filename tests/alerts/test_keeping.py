"""What stands and what is over, as the ledger keeps it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

from pipeline.alerts.model import Alert, Kind, Trouble
from pipeline.alerts.runs import failed_run
from pipeline.store.alerts import (
    KEPT,
    RUNS_FORGOTTEN,
    alerts,
    failing_steps,
    note_told,
    record,
    record_runs,
    untold,
)
from pipeline.store.migrate import migrate
from tests.making import at

NOW = at("2024-05-01 12:00")
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def disk(**other: Any) -> Trouble:
    values: dict[str, Any] = {
        "severity": "warning",
        "title": "little room",
        "text": "make room",
        "since": NOW,
    }
    return Trouble(Kind.DISK, "ledger", **(values | other))


def stale(provider: str = "bitfinex") -> Trouble:
    return Trouble(Kind.STALE, provider, "warning", "behind", "look", NOW, 3, provider)


def look(connection: psycopg.Connection, now: datetime, *found: Trouble) -> list[Alert]:
    """Look for disks and listings, and return what stands then."""
    record(connection, (Kind.DISK, Kind.STALE), found, now)
    return alerts(connection)


def told(connection: psycopg.Connection, now: datetime) -> list[tuple[str, str]]:
    """Tell what is to be told, and return it."""
    news = untold(connection, now, DAY)
    note_told(connection, news, now)
    return [(one.event, one.alert.key) for one in news]


def fail(
    connection: psycopg.Connection, run: str, at: datetime, step: str = "heal_bitfinex"
) -> None:
    failed = failed_run(run, step, step, why="no answer", at=at, providers=["bitfinex"])
    record_runs(connection, [failed], at)


def test_what_is_seen_again_is_the_same_alert_with_its_newest_words(
    connection: psycopg.Connection,
) -> None:
    (first,) = look(connection, NOW, disk())
    (second,) = look(connection, NOW + MINUTE, disk(title="less room", since=NOW + MINUTE))
    assert (second.id, second.since, second.opened_at) == (first.id, NOW, NOW)
    assert (second.title, second.last_seen_at) == ("less room", NOW + MINUTE)


def test_what_is_no_longer_found_resolves_and_is_told_once(connection: psycopg.Connection) -> None:
    look(connection, NOW, disk())
    assert told(connection, NOW) == [("opened", "disk:ledger")]
    assert told(connection, NOW) == []
    assert look(connection, NOW + MINUTE) == []
    assert told(connection, NOW + MINUTE) == [("resolved", "disk:ledger")]
    assert told(connection, NOW + MINUTE) == []
    (past,) = alerts(connection, past=True)
    assert past.resolved_at == NOW + MINUTE


def test_what_was_not_looked_for_stays_as_it_is(connection: psycopg.Connection) -> None:
    look(connection, NOW, disk())
    record(connection, (Kind.STALE,), [], NOW + MINUTE)
    assert len(alerts(connection)) == 1


def test_what_may_pass_by_itself_is_told_only_when_it_lasts(connection: psycopg.Connection) -> None:
    assert look(connection, NOW, stale()) == []
    assert look(connection, NOW + 5 * MINUTE) == []
    assert look(connection, NOW + 6 * MINUTE, stale()) == []
    assert look(connection, NOW + 15 * MINUTE, stale()) == []
    (alert,) = look(connection, NOW + 16 * MINUTE, stale())
    assert (alert.opened_at, alert.count) == (NOW + 16 * MINUTE, 3)


def test_what_still_stands_is_told_again_once_a_day(connection: psycopg.Connection) -> None:
    look(connection, NOW, disk())
    told(connection, NOW)
    look(connection, NOW + DAY - MINUTE, disk())
    assert told(connection, NOW + DAY - MINUTE) == []
    assert told(connection, NOW + DAY) == [("reminder", "disk:ledger")]
    assert told(connection, NOW + DAY + MINUTE) == []


def test_what_becomes_critical_is_told_at_once(connection: psycopg.Connection) -> None:
    look(connection, NOW, disk())
    told(connection, NOW)
    look(connection, NOW + MINUTE, disk(severity="critical"))
    assert told(connection, NOW + MINUTE) == [("opened", "disk:ledger")]
    look(connection, NOW + 2 * MINUTE, disk())
    assert told(connection, NOW + 2 * MINUTE) == []


def test_what_opened_and_resolved_while_nothing_could_be_told_is_told_once(
    connection: psycopg.Connection,
) -> None:
    look(connection, NOW, disk())
    look(connection, NOW + MINUTE)
    assert told(connection, NOW + DAY) == [("resolved", "disk:ledger")]


def test_what_comes_and_goes_is_told_ever_less_often(connection: psycopg.Connection) -> None:
    said = []
    for number in range(240):  # there for a minute, gone for four
        now = NOW + number * MINUTE
        look(connection, now, *([disk()] if number % 5 == 0 else []))
        said += told(connection, now)
    assert [event for event, _ in said] == ["opened", "resolved", "opened"]
    for number in range(12):
        now = NOW + DAY + number * MINUTE
        look(connection, now)
        said += told(connection, now)
    assert [event for event, _ in said[3:]] == ["resolved"]


def test_what_comes_back_after_a_day_is_as_if_it_were_new(connection: psycopg.Connection) -> None:
    for number in range(3):
        look(connection, NOW + number * 2 * DAY, disk())
        look(connection, NOW + number * 2 * DAY + MINUTE)
    assert alerts(connection) == []
    assert len(alerts(connection, past=True)) == 3


def test_runs_of_a_step_that_fail_are_one_alert_with_a_count(
    connection: psycopg.Connection,
) -> None:
    for number in range(30):
        fail(connection, f"run{number}", NOW + number * MINUTE)
    fail(connection, "run29", NOW + 29 * MINUTE)  # a tick that is done again
    fail(connection, "other", NOW, step="heal_kraken")
    found = {one.key: one for one in alerts(connection)}
    assert set(found) == {"run_failed:heal_bitfinex", "run_failed:heal_kraken"}
    alert = found["run_failed:heal_bitfinex"]
    assert (alert.count, alert.provider, alert.since) == (30, "bitfinex", NOW)
    assert "run29" in alert.text
    assert failing_steps(connection) == {"heal_bitfinex", "heal_kraken"}


def test_a_run_that_succeeds_later_resolves_and_one_that_ended_before_does_not(
    connection: psycopg.Connection,
) -> None:
    fail(connection, "one", NOW)
    record_runs(connection, [(NOW - MINUTE, ["heal_bitfinex"])], NOW)
    record_runs(connection, [(NOW + MINUTE, ["heal_kraken"])], NOW)
    assert len(look(connection, NOW + MINUTE)) == 1
    record_runs(connection, [(NOW + MINUTE, ["another", "heal_bitfinex"])], NOW)
    assert look(connection, NOW + MINUTE) == []
    assert told(connection, NOW + MINUTE) == [("resolved", "run_failed:heal_bitfinex")]


def test_a_step_that_never_runs_again_is_no_trouble_for_ever(
    connection: psycopg.Connection,
) -> None:
    fail(connection, "one", NOW)
    assert len(look(connection, NOW + RUNS_FORGOTTEN)) == 1
    assert look(connection, NOW + RUNS_FORGOTTEN + MINUTE) == []
    (alert,) = alerts(connection, past=True)
    assert alert.text.endswith("No run of it has failed or succeeded since.")


def test_only_what_was_told_is_forgotten_in_the_end(connection: psycopg.Connection) -> None:
    look(connection, NOW, disk())
    look(connection, NOW + MINUTE)
    look(connection, NOW + KEPT + DAY)
    assert told(connection, NOW + KEPT + DAY) == [("resolved", "disk:ledger")]
    look(connection, NOW + KEPT + DAY)
    assert alerts(connection, past=True) == []


def test_alerts_in_place_are_undone_with_their_tables(
    database: Any, connection: psycopg.Connection
) -> None:
    look(connection, NOW, disk())
    connection.close()
    assert migrate(database, "0018") == "0018"
    assert migrate(database) >= "0019"
