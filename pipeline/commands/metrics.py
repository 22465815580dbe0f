"""`minuteledger metrics`: numbers for Prometheus."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.commands.output import CommandError, say


def metrics(
    *,
    port: Annotated[int, typer.Option(help="Port to serve them on.", min=1, max=65_535)] = 9464,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    once: Annotated[bool, typer.Option("--once", help="Print them and end.")] = False,
) -> None:
    """Serve metrics in Prometheus' format at /metrics, until Ctrl-C.

    Requests and how long they took, minutes by state, how far listings are behind, gaps, pauses,
    runs, sizes. Each scrape reads the ledger; once in 15 seconds or a minute is enough.
    deploy/grafana/minuteledger.json is a dashboard of them.
    """
    from prometheus_client import CollectorRegistry, generate_latest, start_http_server

    from pipeline.metrics import LedgerCollector
    from pipeline.settings import load_settings
    from pipeline.store.database import Database

    registry = CollectorRegistry()
    registry.register(LedgerCollector(Database.existing(load_settings())))
    if once:
        say(generate_latest(registry).decode().rstrip())
        return
    try:
        _, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise CommandError(
            f"cannot serve on {host}:{port} ({error.strerror}); choose another --port"
        ) from error
    say(f"Metrics at http://{host}:{port}/metrics  (Ctrl-C ends it)")
    thread.join()
