"""`minuteledger db`: the PostgreSQL server behind the ledger."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from pipeline.commands.output import CommandError, JsonOption, print_json, print_table, say

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.store.server import EmbeddedServer

_UNIVERSE = "universe.yaml"

app = typer.Typer(
    help="Start, stop, find and copy the databases behind the ledger.", no_args_is_help=True
)


@app.command()
def start() -> None:
    """Start the embedded server, if it is not running, and print the market database's URL."""
    from pipeline.store.database import Database

    settings = _settings()
    if settings.database_url is not None:
        _not_ours(settings, "started")
    database = Database.from_settings(settings)
    database.server.start()
    say(f"running; {database.url()}")


@app.command()
def stop() -> None:
    """Stop the embedded server. Whatever still uses it is cut off; nothing committed is lost."""
    from pipeline.orchestration.state import running

    settings = _settings()
    if settings.database_url is not None:
        _not_ours(settings, "stopped")
    service = running(settings)
    if service is not None:
        raise CommandError(
            f"process {service.pid} serves {service.url} from this database; stop that first"
        )
    say("stopped" if _server(settings).stop() else "was not running")


@app.command()
def status(*, as_json: Annotated[bool, JsonOption] = False) -> None:
    """Show the embedded server's state; exit code 1 when it is not running."""
    settings = _settings()
    if settings.database_url is not None:
        _not_ours(settings, "watched")
    found = _server(settings).status()
    if as_json:
        names = ("state", "ready", "data_dir", "version", "pid", "started_at", "socket_dir", "port")
        print_json({name: getattr(found, name) for name in names})
    else:
        who = f", process {found.pid}" if found.pid else ""
        since = f" since {found.started_at:%Y-%m-%d %H:%M} UTC" if found.started_at else ""
        say(f"{found.state}{who}{since}; data in {found.data_dir}")
    if found.state != "running":
        raise typer.Exit(1)


@app.command()
def url(
    *,
    dagster: Annotated[bool, typer.Option("--dagster", help="Dagster's database instead.")] = False,
    analyst: Annotated[
        bool, typer.Option("--analyst", help="With the rights of the role analyst only.")
    ] = False,
) -> None:
    """Print the URL to connect with, for psql and every other client. It may hold a password."""
    from pipeline.store.database import Database

    if dagster and analyst:
        raise typer.BadParameter("analysts read the market database only; choose one of the two")
    database = Database.from_settings(_settings())
    text = database.url(database.dagster_name if dagster else None)
    say(_as_analyst(text) if analyst else text)


@app.command()
def sizes(
    *,
    days: Annotated[int, typer.Option(min=1, help="Growth over so many days.")] = 30,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Show what the tables of both databases take now, the largest first, and how they grow.

    The growth is that of the nightly measurements; there is none before the second of them.
    """
    from pipeline.orchestration.history import history
    from pipeline.store.database import Database
    from pipeline.store.sizes import growth, measure

    database = Database.existing(_settings())
    with database.connect() as ledger, history(database) as dagster:
        found = [*measure(ledger, "market"), *measure(dagster, "dagster")]
        rates = {(one.database, one.relation): one.bytes_a_day for one in growth(ledger, days)}
    rows = [
        asdict(one) | {"bytes_a_day": rates.get((one.database, one.relation))}
        for one in sorted(found, key=lambda one: -one.bytes)
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(rows)
        say(f"{sum(one.bytes for one in found):,} bytes in all")


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="Where to; it must not exist.", file_okay=False)],
) -> None:
    """Copy both databases and the universe file into a new folder, while everything goes on."""
    import shutil

    from pipeline.store.backup import back_up
    from pipeline.store.database import Database

    settings = _settings()
    made = back_up(Database.existing(settings), folder)
    if settings.universe_path.exists():
        shutil.copyfile(settings.universe_path, folder / _UNIVERSE)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    say(f"{folder}: both databases at revision {made.revision}, {size:,} bytes")


@app.command()
def restore(
    folder: Annotated[
        Path, typer.Argument(help="What `backup` has written.", exists=True, file_okay=False)
    ],
) -> None:
    """Make both databases, and the universe file if there is none, of a copy.

    Databases that have tables are left as they are, and the command fails.
    """
    import shutil

    from pipeline.store.backup import restore as put_back
    from pipeline.store.database import Database
    from pipeline.store.migrate import migrate

    settings = _settings()
    database = Database.from_settings(settings)
    made = put_back(database, folder)
    reached = migrate(database)
    if not settings.universe_path.exists() and (folder / _UNIVERSE).exists():
        settings.universe_path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / _UNIVERSE, settings.universe_path)
    say(f"The ledger is as it was at {made.made_at:%Y-%m-%d %H:%M} UTC, at revision {reached}.")
    say("  minuteledger status --check   proves that every minute is accounted for")
    say("  minuteledger up               goes on from there")


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def psql(context: typer.Context) -> None:
    """Open psql on the market database; arguments after it are psql's own."""
    import shutil

    from pipeline.store.database import Database

    program = shutil.which("psql")
    if program is None:
        raise CommandError(
            "psql is not installed; install PostgreSQL's client programs, or use any other client "
            "with the URL that `minuteledger db url` prints"
        )
    address = Database.from_settings(_settings()).url()
    os.execv(program, [program, address, *context.args])  # noqa: S606  no shell is wanted


def _as_analyst(address: str) -> str:
    # The role has no login of its own: the session starts with its rights instead.
    joint = "&" if "?" in address else "?"
    return f"{address}{joint}options=-c%20role%3Danalyst"


def _settings() -> Settings:
    from pipeline.settings import load_settings

    return load_settings()


def _server(settings: Settings) -> EmbeddedServer:
    from pipeline.store.server import EmbeddedServer

    return EmbeddedServer(settings.postgres_dir)


def _not_ours(settings: Settings, done: str) -> NoReturn:
    raise CommandError(
        f"MINUTELEDGER_DATABASE_URL names {settings.database_label}, which is not {done} from "
        "here; unset it to use the embedded server"
    )
