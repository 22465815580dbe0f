"""`python -m venue`: serve until SIGTERM or SIGINT, or until a parent process is gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from venue import config
from venue.server import start
from venue.service import Venue

_PARENT_CHECK_SECONDS = 0.5


def main(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 lets the system choose.")] = 8765,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    configuration: Annotated[
        Path | None, typer.Option("--config", help="YAML file; default: a built-in one.")
    ] = None,
    parent_pid: Annotated[
        int | None, typer.Option(help="End when the process with this id is gone.")
    ] = None,
) -> None:
    """Answer as Bitfinex, Binance, Kraken, Coinbase and Alpaca do, on one local port."""
    try:
        venue = Venue(config.load(configuration))
    except (ValueError, TypeError, OSError) as error:
        typer.echo(f"venue: the configuration is wrong: {error}", err=True)
        raise typer.Exit(2) from None
    asyncio.run(_serve(venue, host, port, parent_pid))


async def _serve(venue: Venue, host: str, port: int, parent_pid: int | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner, chosen = await start(venue, host, port)
    typer.echo(f"venue listening on http://{host}:{chosen}")
    while not stop.is_set() and (parent_pid is None or _alive(parent_pid)):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _PARENT_CHECK_SECONDS)
    await runner.cleanup()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    typer.run(main)
