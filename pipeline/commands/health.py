"""`minuteledger health`: for supervisors, whether everything that collects is alive."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pipeline.commands.output import JsonOption, print_json, print_table


def health(
    *,
    live: Annotated[
        bool, typer.Option("--live", help="Only what runs: what a restart may mend.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(help="Dagster's webserver, where it is not served from this home folder."),
    ] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Say within two seconds whether the database, Dagster and the data are well.

    Nothing is started, and no provider is asked: `minuteledger doctor` examines what is configured.
    Exit codes: 0 healthy; 1 something is not; 2 that could not be seen (wrong settings, nothing is
    set up yet, no answer in time). With --live the alerts, the listings and the disk, which no
    restart mends, do not count.
    """
    from pipeline.settings import SettingsError, load_settings
    from pipeline.vitals import Vital, examine, exit_code

    if url is not None and not _is_plain(url):
        raise typer.BadParameter("write http://host:port, without a password", param_hint="--url")
    try:
        vitals = examine(load_settings(), url=url, live=live)
    except SettingsError as error:
        vitals = [Vital("settings", "unknown", str(error))]
    code = exit_code(vitals)
    if as_json:
        states = {0: "healthy", 1: "unhealthy", 2: "unknown"}
        print_json({"state": states[code], "vitals": [asdict(vital) for vital in vitals]})
    else:
        print_table([asdict(vital) for vital in vitals])
    raise typer.Exit(code)


def _is_plain(url: str) -> bool:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in url
    except ValueError:
        return False
