"""`minuteledger alerts`, in process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from pipeline.alerts.model import Kind, Trouble
from pipeline.cli import app
from pipeline.store.alerts import record
from pipeline.store.database import Database
from tests.alerts.conftest import SECRET, Receiver
from tests.making import at

NOW = at("2024-05-01 12:00")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, database: Database, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINUTELEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("MINUTELEDGER_DATABASE_URL", database.url())


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["alerts", *arguments])


def test_what_stands_is_shown_with_what_to_do(connection: psycopg.Connection) -> None:
    assert "No alert stands." in run().output
    assert "MINUTELEDGER_ALERT_URL is not set" in run().output
    refused = Trouble(Kind.REFUSED, "kraken", "critical", "2 are refused", "look\nthere", NOW, 2)
    record(connection, (Kind.REFUSED,), [refused], NOW)
    shown = run().output
    assert "[critical] 2 are refused" in shown
    assert "refused_deliveries:kraken, 2; since 2024-05-01 12:00 UTC\n  look\n  there" in shown
    document = json.loads(run("--json").stdout)
    assert document["alerts"][0]["key"] == "refused_deliveries:kraken"
    assert document["watch"]["looked_at"] == "2024-05-01T12:00:00Z"
    record(connection, (Kind.REFUSED,), [], NOW)
    assert "No alert stands." in run().output
    assert "resolved 2024-05-01 12:00 UTC" in run("--all").output


def test_a_test_message_says_what_came_back(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run("--test")
    assert done.exit_code == 1
    assert "MINUTELEDGER_ALERT_URL is not set" in str(done.exception)
    monkeypatch.setenv("MINUTELEDGER_ALERT_URL", receiver.url)
    receiver.answers = [200, 403, 403]
    taken, refused = run("--test"), run("--test")
    assert (taken.exit_code, refused.exit_code) == (0, 1)
    assert taken.stdout == "The test message was taken: the receiver answered 200 OK.\n"
    assert "was not taken: the receiver answered 403 Forbidden" in refused.output
    document = json.loads(run("--test", "--json").stdout)
    assert (document["delivered"], document["sent"]) == (False, receiver.received[-1])
    assert SECRET not in f"{taken.output} {refused.output} {document}"
