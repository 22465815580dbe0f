"""`minuteledger worker`: execute runs of a ledger that is served on another machine."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.commands.output import CommandError


def worker(
    *,
    runs: Annotated[int, typer.Option(help="So many at once.", min=1)] = 3,
) -> None:
    """Execute runs of a ledger that `minuteledger up` serves on another machine.

    Both need the same release, universe file, keys, MINUTELEDGER_DATABASE_URL and
    MINUTELEDGER_BROKER_URL. Ctrl-C, or a SIGTERM, lets it finish the runs under way and take no
    others; a second Ctrl-C ends these, too. What they have stored is kept.
    """
    import os

    from pipeline.orchestration import instance
    from pipeline.settings import load_settings
    from pipeline.store.database import Database

    settings = load_settings()
    if settings.broker_url is None:
        raise CommandError(
            "MINUTELEDGER_BROKER_URL is not set; set it to the Redis of `minuteledger up`"
        )
    instance.install(settings)
    command = list(instance.worker(runs).command)
    environment = instance.environment(settings, Database.existing(settings))
    os.chdir(settings.home)
    os.execve(command[0], command, environment)  # noqa: S606 - a command of our own making
