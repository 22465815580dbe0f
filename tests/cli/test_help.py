"""What can be known without doing anything."""

import subprocess
import sys

import pytest

from tests.cli.conftest import Home

COMMANDS = [
    "init",
    "up",
    "demo",
    "migrate",
    "status",
    "gaps",
    "bars",
    "export",
    "plan",
    "backfill",
    "heal",
    "rebuild",
    "crosscheck",
    "revisions",
    "alerts",
    "health",
    "doctor",
    "metrics",
    "snapshots",
    "universe",
    "db",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(home: Home, command: str) -> None:
    done = home.run(command, "--help")

    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 5
    assert command in home.run("--help").stdout


def test_help_loads_nothing_that_is_slow() -> None:
    slow = ("dagster", "ccxt", "pandas", "psycopg", "sqlalchemy", "pyarrow", "requests", "pydantic")
    code = f"import sys, pipeline.cli; print([name for name in {slow} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_status_loads_neither_dagster_nor_a_provider() -> None:
    slow = ("dagster", "ccxt", "pandas", "sqlalchemy", "pyarrow", "requests")
    imports = "pipeline.cli, pipeline.commands.ledger, pipeline.store.coverage, pipeline.settings"
    code = f"""import sys, {imports}, pipeline.store.queries, pipeline.store.database
print([name for name in {slow} if name in sys.modules])"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_health_loads_nothing_that_takes_long() -> None:
    slow = ("dagster", "ccxt", "pandas", "sqlalchemy", "alembic", "pyarrow")
    code = (
        f"import sys, pipeline.cli, pipeline.vitals\nprint([n for n in {slow} if n in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_wrong_option_is_wrong_usage(home: Home) -> None:
    assert home.run("status", "--colour").returncode == 2
    assert home.run("nonsense").returncode == 2


def test_the_version_can_be_asked_for(home: Home) -> None:
    assert home.run("--version").stdout.startswith("minuteledger ")
