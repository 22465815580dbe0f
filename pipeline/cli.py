"""The `minuteledger` command.

What belongs here: which commands there are, and what becomes of an error. What a command does is in
`pipeline.commands`.
"""

from __future__ import annotations

import gc
import sys
from typing import Annotated

import typer

from pipeline.commands import db, revisions, snapshots, universe
from pipeline.commands.alerts import alerts
from pipeline.commands.backfill import backfill
from pipeline.commands.bars import bars
from pipeline.commands.crosscheck import crosscheck
from pipeline.commands.demo import demo
from pipeline.commands.doctor import doctor
from pipeline.commands.errors import explain
from pipeline.commands.export import export
from pipeline.commands.fundamentals import fundamentals
from pipeline.commands.gaps import gaps
from pipeline.commands.heal import heal
from pipeline.commands.health import health
from pipeline.commands.importing import import_files
from pipeline.commands.init import init
from pipeline.commands.metrics import metrics
from pipeline.commands.migrate import migrate
from pipeline.commands.output import warn
from pipeline.commands.plan import plan
from pipeline.commands.rebuild import rebuild
from pipeline.commands.selection import selection
from pipeline.commands.status import status
from pipeline.commands.up import up
from pipeline.commands.worker import worker

app = typer.Typer(
    name="minuteledger",
    help="A market-data warehouse in which every minute is accounted for.",
    epilog="Exit codes: 0 done, 1 a problem was found or something failed, 2 wrong usage, "
    "130 interrupted; `health` has its own. Settings come from the environment and .env; see "
    ".env.example.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _command in (
    init,
    up,
    worker,
    demo,
    migrate,
    status,
    gaps,
    bars,
    fundamentals,
    export,
    plan,
    backfill,
    heal,
    rebuild,
    crosscheck,
    selection,
    alerts,
    health,
    doctor,
    metrics,
):
    app.command()(_command)
app.command("import")(import_files)
app.add_typer(revisions.app, name="revisions")
app.add_typer(snapshots.app, name="snapshots")
app.add_typer(universe.app, name="universe")
app.add_typer(db.app, name="db")


def _version(wanted: bool) -> None:  # noqa: FBT001  Typer calls it so
    if wanted:
        from importlib.metadata import version

        typer.echo(f"minuteledger {version('minuteledger')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    del version


def main() -> None:
    """Run the command line; errors that are news for the user are told without a traceback."""
    # Imports make many objects that stay: to look through them seldom saves a tenth of a start.
    gc.set_threshold(20_000, 10, 10)
    try:
        app()
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        warn(f"minuteledger: {message}")
        sys.exit(1)
