"""`minuteledger up`: serve the universe until told to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.output import CommandError, say

if TYPE_CHECKING:
    from pipeline.orchestration.service import Service

PORT = 3000
INTERRUPTED = 130

PortOption = typer.Option(help="Port of the web UI.", min=1, max=65_535)


def up(
    *,
    port: Annotated[int, PortOption] = PORT,
    host: Annotated[
        str, typer.Option(help="Where the web UI listens. It asks nobody who they are.")
    ] = "127.0.0.1",
    metrics: Annotated[
        int | None,
        typer.Option(help="Also serve metrics on this port of 127.0.0.1.", min=1, max=65_535),
    ] = None,
) -> None:
    """Serve your universe: database, Dagster with its web UI, and whatever keeps it up to date.

    Starts the embedded PostgreSQL when it is needed, migrates, and follows the universe file.
    Processes that die are started again. Ctrl-C ends everything but the database, which other
    commands share; `minuteledger db stop` ends that, too.
    """
    from pipeline.orchestration import instance
    from pipeline.orchestration.interruption import Interruption
    from pipeline.orchestration.service import serving
    from pipeline.orchestration.state import claim
    from pipeline.settings import load_settings

    settings, interruption = load_settings(), Interruption()
    served, companion = False, None
    if metrics is not None:
        if not instance.is_free(metrics):
            raise CommandError(f"port {metrics} is in use; choose another with --metrics")
        companion = (instance.metrics(metrics), lambda: instance.answers(metrics))
    try:
        with (
            claim(settings, "up") as right,
            serving(
                settings,
                right,
                host=host,
                port=port,
                interruption=interruption,
                say=say,
                companion=companion,
            ) as service,
        ):
            served = True
            _welcome(service)
            service.serve()
    except KeyboardInterrupt:
        say("Stopped." if served else "Stopped before everything was up.")
        raise typer.Exit(0 if served else INTERRUPTED) from None


def _welcome(service: Service) -> None:
    say()
    say(f"Minute Ledger is up: {service.api.url}  (Ctrl-C ends it)")
    say("  minuteledger backfill   download the history of everything in the universe")
    say("  minuteledger status     what became of every minute")
    say("  minuteledger db url     where the tables are, for psql and notebooks")
    say(f"  {service.settings.universe_path}")
    say("                          edit it while this runs: changes are taken over")
