"""Messages over real HTTP: delivered at least once, together, and nowhere else."""

from __future__ import annotations

import logging
import socket
import time
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pipeline.alerts import webhook
from pipeline.alerts.forms import as_json, as_slack
from pipeline.alerts.model import Kind, News, Trouble
from pipeline.alerts.telling import LONGEST_WAIT, NoAddress, send_test, tell
from pipeline.settings import Settings, load_settings
from pipeline.store.alert_watch import watch
from pipeline.store.alerts import alerts, record, untold
from pipeline.store.database import Database
from tests.alerts.conftest import SECRET, Receiver
from tests.making import at

NOW = at("2024-05-01 12:00")
MINUTE = timedelta(minutes=1)


def refused(provider: str = "kraken", text: str = "look") -> Trouble:
    title = f"deliveries of {provider} are refused"
    return Trouble(Kind.REFUSED, provider, "critical", title, text, NOW, 2, provider)


def find(connection: psycopg.Connection, *found: Trouble, now: Any = NOW) -> None:
    record(connection, (Kind.REFUSED,), found, now)


def told(connection: psycopg.Connection, settings: Settings, now: Any = NOW) -> list[News]:
    """Tell, and return what the log has of it."""
    logged: list[News] = []
    tell(connection, settings, now, logged.append)
    return logged


def events(message: Any) -> list[tuple[str, str]]:
    return [(one["event"], one["key"]) for one in message["alerts"]]


def test_a_message_has_the_documented_form(
    connection: psycopg.Connection, receiver: Receiver
) -> None:
    find(connection, refused())
    told(connection, receiver.settings)
    (message,) = receiver.received
    number = alerts(connection)[0].id
    assert message == {
        "version": 1,
        "source": "minuteledger",
        "test": False,
        "sent_at": "2024-05-01T12:00:00Z",
        "summary": "new: deliveries of kraken are refused",
        "alerts": [
            {
                "event": "opened",
                "id": number,
                "key": "refused_deliveries:kraken",
                "kind": "refused_deliveries",
                "provider": "kraken",
                "severity": "critical",
                "title": "deliveries of kraken are refused",
                "text": "look",
                "count": 2,
                "since": "2024-05-01T12:00:00Z",
                "opened_at": "2024-05-01T12:00:00Z",
                "last_seen_at": "2024-05-01T12:00:00Z",
                "resolved_at": None,
            }
        ],
    }
    assert receiver.paths == [f"/services/{SECRET}"]


def test_what_opens_together_is_one_message_and_what_ends_together_another(
    connection: psycopg.Connection, receiver: Receiver
) -> None:
    many = [refused(f"p{number:03}") for number in range(500)]
    find(connection, *many)
    told(connection, receiver.settings)
    told(connection, receiver.settings)
    find(connection, now=NOW + MINUTE)
    told(connection, receiver.settings, NOW + MINUTE)
    opened, resolved = receiver.received
    assert len(opened["alerts"]) == len(resolved["alerts"]) == 500
    assert opened["summary"] == "500 new"
    assert resolved["summary"] == "500 resolved"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (500, "answered 500 Internal Server Error"),
        (404, "answered 404 Not Found"),
        (299 + 3, "answered 302 Found, a redirect, which is not followed"),
        (799, "answered 799"),
        ("drop", "cannot be reached (ConnectionError)"),
    ],
)
def test_what_is_not_taken_is_sent_again_later_with_all_that_is_new_since(
    connection: psycopg.Connection, receiver: Receiver, answer: int | str, said: str
) -> None:
    receiver.answers = [answer, 204]
    receiver.headers = {"Location": receiver.url.replace("services", "elsewhere")}
    find(connection, refused())
    assert len(told(connection, receiver.settings)) == 1
    state = watch(connection)
    assert said in (state.error or "")
    assert (state.attempts, state.failing_since, state.next_attempt_at) == (1, NOW, NOW + MINUTE)
    find(connection, refused(), refused("bitfinex"))
    assert told(connection, receiver.settings, NOW + MINUTE / 2) == []
    told(connection, receiver.settings, NOW + MINUTE)
    assert [events(message) for message in receiver.received] == [
        [("opened", "refused_deliveries:kraken")],
        [("opened", "refused_deliveries:kraken"), ("opened", "refused_deliveries:bitfinex")],
    ]
    assert set(receiver.paths) == {f"/services/{SECRET}"}
    state = watch(connection)
    assert (state.error, state.attempts, state.failing_since) == (None, 0, None)
    assert state.delivered_at == NOW + MINUTE


def test_a_receiver_that_is_down_for_a_day_is_tried_ever_less_often_and_loses_nothing(
    connection: psycopg.Connection, receiver: Receiver
) -> None:
    receiver.answers = [503]
    find(connection, refused())
    find(connection, now=NOW + MINUTE)
    find(connection, refused(), now=NOW + 2 * MINUTE)
    now = NOW
    waits: list[timedelta] = []
    while sum(waits, timedelta(0)) < timedelta(hours=12):
        told(connection, receiver.settings, now)
        due = watch(connection).next_attempt_at
        assert due is not None
        assert told(connection, receiver.settings, due - timedelta(seconds=1)) == []
        waits.append(due - now)
        now = due
    assert waits[:6] == [MINUTE * n for n in (1, 2, 4, 8, 15, 15)]
    assert set(waits[6:]) == {LONGEST_WAIT}
    assert len(receiver.received) == len(waits)
    receiver.answers = [200]
    told(connection, receiver.settings, now)
    assert events(receiver.received[-1]) == [
        ("opened", "refused_deliveries:kraken"),
        ("resolved", "refused_deliveries:kraken"),
    ]


def test_a_receiver_that_wants_to_be_left_alone_is(
    connection: psycopg.Connection, receiver: Receiver
) -> None:
    receiver.answers = [429]
    receiver.headers = {"Retry-After": "1200"}
    find(connection, refused())
    told(connection, receiver.settings)
    assert watch(connection).next_attempt_at == NOW + 20 * MINUTE


def test_a_receiver_that_hangs_keeps_nobody_waiting(
    receiver: Receiver, connection: psycopg.Connection
) -> None:
    receiver.answers = ["hang"]
    begun = time.monotonic()
    assert receiver.settings.alert_url is not None
    answer = webhook.post(receiver.settings.alert_url, {}, seconds=0.2)
    assert time.monotonic() - begun < 8
    assert answer.words == "the receiver did not answer within 0.2 s"


def test_nobody_at_the_address_is_no_delivery(connection: psycopg.Connection) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
    find(connection, refused())
    told(connection, load_settings(alert_url=url))
    assert watch(connection).error == "the receiver cannot be reached (ConnectionError)"
    assert alerts(connection)[0].notified_at is None


def test_a_crash_after_sending_sends_again(
    connection: psycopg.Connection, receiver: Receiver, database: Database
) -> None:
    find(connection, refused())
    # Taken by the receiver, while the ledger has gone away before it can keep that.
    connection.execute("ALTER TABLE ledger.alert ADD CHECK (told IS NULL)")
    with pytest.raises(psycopg.errors.CheckViolation):
        told(connection, receiver.settings)
    connection.execute("ALTER TABLE ledger.alert DROP CONSTRAINT alert_told_check1")
    told(connection, receiver.settings)
    told(connection, receiver.settings)
    assert len(receiver.received) == 2


def test_two_who_tell_at_once_do_not_tell_twice(
    connection: psycopg.Connection, receiver: Receiver, database: Database
) -> None:
    find(connection, refused())
    with database.connect() as other:
        other.autocommit = True
        meanwhile: list[News] = []
        tell(
            other,
            receiver.settings,
            NOW,
            lambda _: meanwhile.extend(told(connection, receiver.settings)),
        )
    assert meanwhile == []
    assert len(receiver.received) == 1


def test_without_an_address_the_log_has_it_and_it_counts_as_told(
    connection: psycopg.Connection,
) -> None:
    settings = load_settings(alert_url=None)
    find(connection, refused())
    (news,) = told(connection, settings)
    assert (news.event, news.alert.key) == ("opened", "refused_deliveries:kraken")
    assert told(connection, settings) == []
    assert alerts(connection)[0].notified_at == NOW
    with pytest.raises(NoAddress, match="MINUTELEDGER_ALERT_URL is not set"):
        send_test(settings, NOW)


def test_slack_gets_text_and_blocks_that_it_takes(
    connection: psycopg.Connection, receiver: Receiver
) -> None:
    settings = load_settings(alert_url=receiver.url, alert_format="slack")
    hostile = "<!channel> & " * 1000
    find(connection, *(refused(f"p{number}", hostile) for number in range(20)))
    told(connection, settings)
    (message,) = receiver.received
    assert set(message) == {"text", "blocks"}
    assert message["text"].startswith("Minute Ledger: 20 new\nnew: deliveries of p0 are refused")
    blocks = message["blocks"]
    assert len(blocks) == 17
    for block in blocks:
        assert block["type"] == "section"
        assert block["text"]["type"] == "mrkdwn"
        assert len(block["text"]["text"]) <= 3000
        assert "<!channel>" not in block["text"]["text"]
    assert "and 5 more" in blocks[-1]["text"]["text"]


def test_a_test_message_tells_of_no_alert(receiver: Receiver) -> None:
    for form, make in (("json", as_json), ("slack", as_slack)):
        settings = load_settings(alert_url=receiver.url, alert_format=form)
        answer, document = send_test(settings, NOW)
        assert answer.delivered
        assert document == make([], NOW, test=True) == receiver.received[-1]
    assert receiver.received[0]["test"] is True
    assert receiver.received[0]["alerts"] == []


def test_the_address_is_in_no_log_no_error_and_no_table(
    connection: psycopg.Connection,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").debug("what is logged is seen")
    receiver.echo = True
    receiver.headers = {"Location": f"/services/{SECRET}"}
    receiver.answers = [302, 500, 429, 418, "drop", 200]
    said = []
    for number in range(6):
        find(connection, refused(f"p{number}"))
        said.append(repr(send_test(receiver.settings, NOW)))
        said.append(repr(receiver.settings))
        told(connection, receiver.settings, NOW + number * timedelta(hours=2))
        said.append(repr(untold(connection, NOW, MINUTE)))
    tables = [
        connection.execute(f"SELECT t::text FROM {name} t").fetchall()
        for name in ("ledger.alert", "ledger.alert_watch", "market.alerts")
    ]
    left = f"{said} {tables} {caplog.text} {capfd.readouterr()}"
    assert "what is logged is seen" in left
    assert "deliveries of p5 are refused" in left
    for secret in (SECRET, "hunter2", f":{receiver.port}", "/services/"):
        assert secret not in left
