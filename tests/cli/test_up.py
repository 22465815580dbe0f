"""`up` and `backfill`, with Dagster's real processes."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import requests

from pipeline.orchestration.instance import free_port
from pipeline.orchestration.state import SoleServer
from pipeline.store.database import Database
from tests.cli.conftest import INSTRUMENTS, PROVIDERS, UNKNOWN, Home, Started, gone, wait_until
from venue import VenueProcess

NEW = """
  BTC-EUR:
    class: crypto_spot
    listings: {bitfinex: {symbol: BTC/EUR, end: 2024-02-01}}
"""


@pytest.fixture(scope="module")
def served(make_home: Callable[[], Home], markets: VenueProcess) -> Home:
    made = make_home()
    made.write_universe(PROVIDERS.format(url=markets.url), INSTRUMENTS)
    return made


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def up(served: Home, metrics_port: int) -> Iterator[Started]:
    everywhere = ("--host", "0.0.0.0", "--port", str(free_port()))
    started = served.start("up", *everywhere, "--metrics", str(metrics_port))
    started.wait_for("is up")
    yield started
    started.process.kill()


def url_of(up: Started) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+", up.output)
    assert found is not None
    return found.group()


def comparison(output: str) -> dict[str, dict[str, str]]:
    """Return the rows of the table that compares the plan with what it took, by provider."""
    _, _, table = output.partition("Planned, and what it took\n")
    header, *lines = (re.split("  +", line) for line in table.splitlines())
    rows = [dict(zip(header, line, strict=True)) for line in lines if len(line) == len(header)]
    return {row["provider"]: row for row in rows}


def test_up_serves_the_web_ui(up: Started) -> None:
    info = requests.get(f"{url_of(up)}/server_info", timeout=10).json()

    assert info["dagster_version"]
    assert len(up.children()) >= 4


def test_up_serves_metrics(up: Started, metrics_port: int) -> None:
    told = requests.get(f"http://127.0.0.1:{metrics_port}/metrics", timeout=30).text

    assert 'minuteledger_runs_open{status="QUEUED"}' in told
    assert 'minuteledger_minutes{provider="bitfinex",state="pending"}' in told


def test_what_is_up_is_healthy(served: Home, up: Started) -> None:
    looked = []

    def healthy() -> bool:
        looked.append(served.json("health"))
        return bool(looked[-1]["state"] == "healthy")

    wait_until(healthy, 400)

    assert len(looked[-1]["vitals"]) == 8


def test_a_second_up_on_the_same_home_is_refused(served: Home, up: Started) -> None:
    done = served.run("up", "--port", str(free_port()))

    assert done.returncode == 1
    assert f"process {up.process.pid}" in done.stderr
    assert url_of(up) in done.stderr


def test_a_port_in_use_is_told_with_the_fix(home: Home, up: Started) -> None:
    home.run("init")

    done = home.run("up", "--port", url_of(up).rpartition(":")[2])

    assert done.returncode == 1
    assert "PORT=" in done.stderr
    assert not home.server.data_dir.exists()


def test_a_database_that_is_served_from_elsewhere_is_left_as_it_is(home: Home) -> None:
    home.run("init")
    database = Database(home.server)
    database.create()

    with closing(SoleServer(database)):
        done = home.run("up", "--port", str(free_port()))

    assert done.returncode == 1
    assert "is served already" in done.stderr
    with database.connect() as connection:
        assert connection.execute(TABLES).fetchall() == []


def test_the_database_is_not_stopped_under_a_running_up(served: Home, up: Started) -> None:
    done = served.run("db", "stop")

    assert done.returncode == 1
    assert str(up.process.pid) in done.stderr
    assert served.server.status().state == "running"


def test_a_backfill_downloads_through_the_running_up(
    served: Home, up: Started, markets: VenueProcess
) -> None:
    done = served.run("backfill", "--to", "2024-01")

    assert done.returncode == 0, done.stderr
    took = comparison(done.stdout)
    # One page fewer than planned, for the first trade of one listing is ten days after the start.
    assert [took["bitfinex"][name] for name in ("requests planned", "requests")] == ["17", "16"]
    assert [took["mirror"][name] for name in ("requests planned", "requests")] == ["5", "5"]
    stored = served.json("status", "--provider", "bitfinex")["coverage"]
    assert took["bitfinex"]["bars"] == f"{sum(row['bars'] for row in stored):,}"
    assert served.run("status", "--check").returncode == 0
    rows = served.json("status")["coverage"]
    assert len(rows) == 3
    assert all(row["percent"] == 100.0 for row in rows)
    assert url_of(up) in str(served.json("doctor"))

    markets.clear_requests()
    again = served.run("backfill")
    assert again.returncode == 0
    assert "Nothing to do" in again.stdout
    assert markets.requests()["total"] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "2024-13"),
        ("--from", "2024-02", "--to", "2024-01"),
        ("--provider", "bitfinec"),
        ("--listing", "DOGE"),
    ],
)
def test_a_backfill_of_what_there_is_not_is_wrong_usage(
    served: Home, up: Started, arguments: tuple[str, ...]
) -> None:
    assert served.run("backfill", *arguments).returncode == 2


def test_changes_of_the_universe_are_taken_over(served: Home, up: Started) -> None:
    before = served.universe.read_text()
    served.universe.write_text(before + "  X: {class: coin}\n")
    up.wait_for("the old one stays in use")
    assert "instruments.X.class" in up.output

    fewer, _, _ = before.partition("  ETH-USD:")
    served.universe.write_text(fewer + UNKNOWN)
    up.wait_for("3 listings; new: bitfinex NOPE-USD; no longer asked for: bitfinex ETH-USD\n")

    done = served.run("backfill")
    assert done.returncode == 1
    assert "bitfinex NOPE-USD|2024-01-01: " in done.stderr
    assert "NOPE" in done.stderr.partition("2024-01-01: ")[2]


def test_a_process_that_dies_is_started_again(up: Started) -> None:
    web = next(child for child in up.children() if "dagster-webserver" in " ".join(child.cmdline()))
    web.send_signal(signal.SIGKILL)

    up.wait_for("webserver is started again")
    wait_until(lambda: answers(url_of(up)), 400)


def test_a_database_that_is_killed_is_started_again(served: Home, up: Started) -> None:
    before = served.server.status().pid
    assert before is not None
    os.kill(before, signal.SIGKILL)

    def is_another() -> bool:
        now = served.server.status()
        return now.ready and now.pid != before

    wait_until(is_another, 400)


def test_runs_that_failed_are_told_by_the_running_up(served: Home, up: Started) -> None:
    def keys() -> list[str]:
        return [one["key"] for one in served.json("alerts")["alerts"]]

    wait_until(lambda: "run_failed:bitfinex__minutes" in keys(), 400)


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/server_info", timeout=5).ok
    except requests.RequestException:
        return False


def test_ctrl_c_ends_everything_but_the_database(served: Home, up: Started) -> None:
    children = up.children()

    assert up.interrupt() == 0
    assert gone(children)
    assert "Stopped." in up.output
    assert served.server.status().state == "running"
    assert served.run("health", "--live").returncode == 1


def test_without_an_up_a_backfill_brings_its_own_dagster(served: Home, up: Started) -> None:
    assert served.run("backfill", "--no-wait").returncode == 1

    served.universe.write_text(served.universe.read_text().replace(UNKNOWN, ""))
    done = served.run("backfill", "--provider", "mirror", "--all")

    assert done.returncode == 0, done.stderr
    assert "mirror 1/1" in done.stdout
    assert not (served.path / "home" / "serving.json").exists()


def test_children_do_not_outlive_an_up_that_is_killed(served: Home) -> None:
    started = served.start("up", "--port", str(free_port()))
    started.wait_for("is up")
    children = started.children()
    assert len(children) >= 4

    os.kill(started.process.pid, signal.SIGKILL)
    started.process.wait()

    wait_until(lambda: gone(children), 60)
    # What it left behind is in nobody's way.
    assert "is not running" in served.run("doctor").stdout
    assert served.run("db", "stop").returncode == 0


def test_a_copy_of_both_databases_is_put_back_elsewhere(
    served: Home, make_home: Callable[[], Home], tmp_path: Path
) -> None:
    copy, other = tmp_path / "copy", make_home()
    assert served.run("db", "backup", str(copy)).returncode == 0
    assert "a copy is never mixed" in served.run("db", "backup", str(copy)).stderr

    done = other.run("db", "restore", str(copy))

    assert done.returncode == 0, done.stderr
    for database in ("market", "dagster"):
        assert contents(other, database) == contents(served, database)
    assert other.universe.read_text() == served.universe.read_text()
    assert other.run("status", "--check").returncode == 0
    with psycopg.connect(other.server.url("market")) as connection:
        rights = "SELECT has_database_privilege('analyst', current_database(), 'TEMPORARY')"
        assert connection.execute(rights).fetchone() == (False,)
    again = other.run("db", "restore", str(copy))
    assert again.returncode == 1
    assert "has tables, and is left as it is" in again.stderr


def test_what_is_no_whole_copy_is_refused(home: Home, tmp_path: Path) -> None:
    done = home.run("db", "restore", str(tmp_path))

    assert done.returncode == 1
    assert "is no copy that `minuteledger db backup` has finished" in done.stderr


def contents(home: Home, database: str) -> dict[str, str | None]:
    """Return a digest of each table's rows."""
    with psycopg.connect(home.server.url(database)) as connection:
        names = [name for (name,) in connection.execute(TABLES)]
        assert names
        return {
            name: connection.execute(
                f"SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {name} t".encode()
            ).fetchall()[0][0]
            for name in names
        }


TABLES = """
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
