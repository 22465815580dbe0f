"""`minuteledger demo`: everything, offline."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.backfill import Launch, follow_to_end, launch, report, stage
from pipeline.commands.ledger import connect
from pipeline.commands.output import print_table, say, warn
from pipeline.commands.progress import shown
from pipeline.commands.status import proof
from pipeline.commands.up import INTERRUPTED, PORT, PortOption

if TYPE_CHECKING:
    import psycopg

    from pipeline.demo import World
    from pipeline.orchestration.backfills import Wave
    from pipeline.orchestration.interruption import Interruption
    from pipeline.orchestration.service import Service
    from pipeline.settings import Settings
    from pipeline.store.fundamentals import Row

_SAMPLES = 15


def demo(
    *,
    port: Annotated[int, PortOption] = PORT,
    leave: Annotated[
        bool, typer.Option("--exit", help="End after the summary; 0 only if all is well.")
    ] = False,
) -> None:
    """Show everything offline: a local venue, a demo universe, and its history through Dagster.

    Lives in .demo of the current folder, or in MINUTELEDGER_HOME. A repeat goes on from what is
    there and downloads nothing twice. Without --exit the web UI is served until Ctrl-C; in the end
    everything is stopped, the database included.
    """
    from pipeline.orchestration.interruption import Interruption
    from pipeline.providers.table import KEYS
    from pipeline.settings import load_settings

    home = Path(os.environ.get("MINUTELEDGER_HOME") or ".demo").expanduser().absolute()
    # Neither a database, a universe nor keys of the user's own have anything to do with the demo.
    # A key that is called demo is known to vendors, and good for less.
    os.environ |= dict.fromkeys(KEYS, "local")
    # Served, the sensors are at work; what is told before should not depend on when they tick.
    sensors = "stopped" if leave else "running"
    settings = load_settings(home=home, database_url=None, universe=None, sensors=sensors)
    run = _Run(settings, Interruption(), port)
    try:
        run.go(leave=leave)
    except KeyboardInterrupt:
        say("Stopped.")
        if run.sound is None:
            raise typer.Exit(INTERRUPTED) from None
    if not run.sound:
        raise typer.Exit(1)


class _Run:
    """One run of the demo; `sound` says whether everything is there and adds up, once known."""

    def __init__(self, settings: Settings, interruption: Interruption, port: int) -> None:
        self.sound: bool | None = None
        self._settings = settings
        self._interruption = interruption
        self._port = port
        self._launched = Launch()
        self._asked: list[Wave] = []
        self._started = time.monotonic()

    def go(self, *, leave: bool) -> None:
        """Make or find the demo, download what is missing, tell, and serve until interrupted."""
        from pipeline.demo import World
        from pipeline.orchestration.service import serving
        from pipeline.orchestration.state import claim

        with claim(self._settings, "demo") as right, self._database_stopped():
            world = World.open(self._settings.home)
            with serving(
                self._settings,
                right,
                port=self._port,
                interruption=self._interruption,
                say=say,
                companion=(world.program(), world.answers),
                before_daemon=self._launch,
            ) as service:
                self.sound = self._download(service)
                self._tell(service, world)
                if not leave:
                    say(f"\nServing {service.api.url} until Ctrl-C.")
                    service.serve()

    @contextmanager
    def _database_stopped(self) -> Iterator[None]:
        """Leave no server behind."""
        from pipeline.store.server import EmbeddedServer

        try:
            yield
        finally:
            self._interruption.ignore()
            EmbeddedServer(self._settings.postgres_dir).stop()

    def _launch(self, service: Service) -> None:
        from pipeline.orchestration import backfills, refreshes
        from pipeline.orchestration.backfills import Selection

        left = service.api.open_backfills()
        self._launched = launch(self._settings, service.api, Selection())
        with connect(self._settings) as connection:
            self._asked = refreshes.plan(connection, service.api, datetime.now(UTC))
        backfills.launch(service.api, self._asked)
        if not self._launched.waves and not self._asked:
            say("Everything is downloaded already.")
            return
        for backfill in left:  # of a run that was interrupted; ours ask for the same
            service.api.cancel(backfill)

    def _download(self, service: Service) -> bool:
        """Follow the backfills to their end; return whether everything is there and adds up."""
        from pipeline.orchestration import backfills

        problems = follow_to_end(self._settings, service.api, self._launched, service.look)
        problems += self._hear(service)
        with connect(self._settings) as connection:
            left = backfills.plan(connection, service.api, backfills.Selection())
            wrong = proof(connection)
        problems += [
            f"{wave.provider} {cell}: not complete"
            for wave in left
            for cell in wave.cells
            if not any(text.startswith(f"{wave.provider} {cell}:") for text in problems)
        ]
        if problems:
            report(problems)
        for text in wrong:
            warn(text)
        return not problems and not wrong

    def _hear(self, service: Service) -> list[str]:
        """Follow what asks for fundamentals to its end; return what did not come, and why."""
        from pipeline.orchestration import backfills, refreshes

        with shown("instruments") as show:
            for state in backfills.follow(service.api, self._asked, service.look):
                show([stage(wave) for wave in state])
        problems = [text for wave in self._asked for text in refreshes.explain(service.api, wave)]
        with connect(self._settings) as connection:
            left = refreshes.plan(connection, service.api, datetime.now(UTC))
        return problems + [
            f"{wave.provider} {name}: not complete"
            for wave in left
            for name in wave.cells
            if not any(text.startswith(f"{wave.provider} {name}:") for text in problems)
        ]

    def _tell(self, service: Service, world: World) -> None:
        from pipeline.demo_stocks import SHOWN
        from pipeline.store.queries import sample_bars, totals
        from pipeline.store.sessions import trading_days

        with connect(self._settings) as connection:
            say()
            print_table([asdict(row) for row in totals(connection)], title="Every minute")
            days = [asdict(day) for day in trading_days(connection, SHOWN)]
            say()
            print_table(days, title="Trading days: a half day, and a change of New York's clocks")
            names = ("provider", "listing", "ts", "open", "high", "low", "close", "volume")
            rows = [dict(zip(names, row, strict=True)) for row in sample_bars(connection, _SAMPLES)]
            say()
            print_table(rows, title="The newest bars")
            say()
            print_table(_said(connection), title="Who says what, and who won")
        for_bars, for_documents, total = world.requests_sent()
        say()
        if self.sound:
            say("The minutes add up: expected = bars + empty + failed + unavailable + pending, and")
            say("every stored bar lies in an answered minute.")
        else:
            warn("Not everything is there; see above.")
        say(
            f"In this run the venue got {for_bars} requests for bars, {for_documents} for "
            f"fundamentals, {total} in all."
        )
        say(f"It took {time.monotonic() - self._started:.0f} s.")
        _where_next(service)


def _said(connection: psycopg.Connection) -> list[dict[str, object]]:
    """Return who says what of some fields, and who won."""
    from pipeline.demo_stocks import SAID
    from pipeline.store.fundamentals import combined_rows

    now = datetime.now(UTC)
    rows = {
        (name, row["field"]): row
        for name in dict.fromkeys(name for name, _ in SAID)
        for row in combined_rows(connection, name, now)
    }
    return [_of_field(rows[key]) for key in SAID if key in rows]


def _of_field(row: Row) -> dict[str, object]:
    from pipeline.fundamentals.registry import registry
    from pipeline.fundamentals.wording import said_by, spread_worded

    kind = registry().field(row["field"]).kind
    return {
        **{name: row[name] for name in ("instrument", "field", "period_end")},
        "said": said_by(kind, row["candidates"]),
        "won": row["provider"],
        **{name: row[name] for name in ("rule", "state")},
        "spread": spread_worded(kind, row["spread"]),
    }


def _where_next(service: Service) -> None:
    home = service.settings.home
    say()
    say("Where to look next:")
    say(f"  {service.api.url}  assets, partitions, runs")
    say(f"  MINUTELEDGER_HOME={home} minuteledger status --months")
    say(f"  MINUTELEDGER_HOME={home} minuteledger bars BTC-USD --provider bitfinex")
    say(f"  MINUTELEDGER_HOME={home} minuteledger fundamentals AAPL")
    say(f"  MINUTELEDGER_HOME={home} minuteledger db psql")
    say("    SELECT * FROM market.coverage ORDER BY percent;")
