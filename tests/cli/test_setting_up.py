"""From nothing to a migrated database, and what is said when that does not work."""

import re

import psycopg
import pytest

from tests.cli.conftest import INSTRUMENTS, PROVIDERS, UNKNOWN, VENUE, Home
from venue import VenueProcess

UNIVERSE = PROVIDERS + INSTRUMENTS.replace("{", "{{").replace("}", "}}")


def test_init_writes_a_universe_and_never_overwrites_it(home: Home) -> None:
    first = home.run("init")
    assert first.returncode == 0
    assert "minuteledger up" in first.stdout
    home.universe.write_text(home.universe.read_text() + "# mine\n")

    second = home.run("init")

    assert second.returncode == 0
    assert "is kept" in second.stdout
    assert home.universe.read_text().endswith("# mine\n")


def test_looking_at_nothing_makes_no_database(home: Home) -> None:
    done = home.run("status")

    assert done.returncode == 1
    assert "minuteledger init" in done.stderr
    assert not (home.path / "home").exists()


def test_a_missing_universe_names_the_way_out(home: Home) -> None:
    done = home.run("migrate")

    assert done.returncode == 1
    assert "minuteledger init" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_universe_is_told_with_line_and_key(home: Home) -> None:
    home.write_universe("start: 2024-01-01\nproviders: {}\ninstruments:\n  A: {class: coin}\n")

    done = home.run("migrate")

    assert done.returncode == 1
    assert "universe.yaml:4: instruments.A.class" in done.stderr


def test_a_broken_setting_is_told_without_its_password(home: Home) -> None:
    home.settings["MINUTELEDGER_DATABASE_URL"] = "mysql://me:secret@host/market"

    done = home.run("status")

    assert done.returncode == 1
    assert "MINUTELEDGER_DATABASE_URL" in done.stderr
    assert "secret" not in done.stderr + done.stdout


def test_a_database_out_of_reach_is_told_without_a_traceback(home: Home) -> None:
    home.settings["MINUTELEDGER_DATABASE_URL"] = "postgresql://me:secret@127.0.0.1:1/market"

    for command in (["status"], ["db", "url"], ["doctor"]):
        done = home.run(*command)
        assert "Traceback" not in done.stderr
        assert done.returncode == (0 if command[0] == "db" else 1)
    assert "secret" not in home.run("doctor").stdout


@pytest.mark.parametrize("action", ["start", "stop", "status"])
def test_a_server_of_somebody_else_is_left_alone(home: Home, action: str) -> None:
    home.settings["MINUTELEDGER_DATABASE_URL"] = "postgresql://me:secret@host/market"

    done = home.run("db", action)

    assert done.returncode == 1
    assert "postgresql://me@host/market" in done.stderr


def test_the_database_is_migrated_down_and_up_again(home: Home, markets: VenueProcess) -> None:
    home.write_universe(UNIVERSE.format(url=markets.url))
    assert home.run("db", "status").returncode == 1
    assert home.run("migrate").returncode == 0
    assert home.run("migrate").returncode == 0
    assert len(home.json("status")["coverage"]) == 3

    assert home.run("migrate", "--to", "nowhere").returncode == 1
    assert "base" in home.run("migrate", "--to", "base").stdout
    unmigrated = home.run("status")
    assert unmigrated.returncode == 1
    assert "minuteledger migrate" in unmigrated.stderr

    assert home.run("migrate").returncode == 0
    assert home.run("db", "status").returncode == 0
    assert home.json("db", "status")["state"] == "running"
    sizes = {(one["database"], one["relation"]) for one in home.json("db", "sizes")}
    assert ("market", "ledger.coverage") in sizes
    assert "stopped" in home.run("db", "stop").stdout
    assert home.run("db", "status").returncode == 1
    assert "running" in home.run("db", "start").stdout


def test_a_key_is_not_given_to_another_market(ledger: Home) -> None:
    before = ledger.universe.read_text()
    ledger.universe.write_text(before.replace("{symbol: ETH/USD", "{symbol: XRP/USD"))

    done = ledger.run("migrate")
    ledger.universe.write_text(before)

    assert done.returncode == 1
    assert "ETH-USD" in done.stderr
    assert "`key:`" in done.stderr


def test_an_analyst_reads_the_market_and_nothing_else(ledger: Home) -> None:
    url = ledger.run("db", "url", "--analyst").stdout.strip()

    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM market.bars_1m").fetchone()
        assert row is not None
        assert row[0] > 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM ledger.bars_1m")
    assert "/dagster?" in ledger.run("db", "url", "--dagster").stdout


def test_doctor_finds_nothing_wrong_where_nothing_is(home: Home, markets: VenueProcess) -> None:
    home.write_universe(UNIVERSE.format(url=markets.url))
    assert home.run("migrate").returncode == 0

    done = home.run("doctor", "--json")

    assert done.returncode == 0, done.stdout
    assert '"broken"' not in done.stdout


def test_doctor_warns_of_a_clock_that_differs_and_its_question_counts(home: Home) -> None:
    with VenueProcess(VENUE) as behind:
        behind.set_clock(offset_seconds=-600)
        home.write_universe(UNIVERSE.format(url=behind.url))
        assert home.run("migrate").returncode == 0

        found = {finding["what"]: finding for finding in home.json("doctor")}

    assert found["bitfinex clock"]["state"] == "note"
    assert re.search(r"-(599|600|601) s", found["bitfinex clock"]["text"])
    (health,) = [row for row in home.json("status")["health"] if row["provider"] == "bitfinex"]
    assert health["requests"] > 0
    assert -602 < health["clock_skew_seconds"] < -598


def test_doctor_names_what_is_broken(home: Home, markets: VenueProcess) -> None:
    dead = PROVIDERS.replace("{url}/bitfinex, limits", "http://127.0.0.1:1, limits", 1)
    home.write_universe(
        dead.format(url=markets.url), INSTRUMENTS, UNKNOWN.replace("bitfinex", "mirror")
    )

    done = home.run("doctor")
    states = {finding["what"]: finding["state"] for finding in home.json("doctor")}

    assert done.returncode == 1
    assert states["bitfinex"] == "broken"
    assert states["mirror"] == "ok"
    assert states["mirror NOPE-USD"] == "broken"
    assert states["database"] == "note"
