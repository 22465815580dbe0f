"""A stand-in for the gateway of Interactive Brokers: contracts and fundamentals, over TCP.

Like the real one it serves many clients, each under a number of its own, answers by the number of
the request, and falls silent when it is asked for too many reports. It has no market data and no
orders; what it does not know it does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from venue import gateway_wire as wire
from venue.faults import Target
from venue.journal import Entry
from venue.limits import Budget, SlidingWindow
from venue.reports import snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from venue.clock import Clock
    from venue.config import ContractConfig, GatewayConfig
    from venue.faults import Fault, Faults
    from venue.journal import Journal

NAME = "ibkr"
REPORTS = ("ReportSnapshot", "ReportsFinSummary", "ReportsOwnership", "RESC", "CalendarReport")
_NONE = "We are sorry, but fundamentals data for the security specified is not available."
_UNKNOWN = "No security definition has been found for the request"
_TAKEN = "Unable to connect as the client id is already in use. Retry with a unique client id."
_ACCOUNTS = ("DU0000001",)
_PAGE = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
_TEN_MINUTES = 600.0
_VERSION, _OLD_VERSION = 178, 150


class Gateway:
    """What all of the gateway's clients see alike.

    Args:
        config: Contracts, reports and limits.
        clock: Tells the time.
        faults: Those of the whole venue.
        journal: That of the whole venue.
    """

    def __init__(
        self, config: GatewayConfig, clock: Clock, faults: Faults, journal: Journal
    ) -> None:
        self.contracts = tuple(config.contracts.values())
        self.clients: set[str] = set()
        self.faults = faults
        self.address = ""
        self._port = config.port
        self._clock = clock
        self._journal = journal
        self._limit = (
            SlidingWindow(Budget(config.requests, _TEN_MINUTES)) if config.requests else None
        )

    @contextlib.asynccontextmanager
    async def listening(self, host: str) -> AsyncIterator[None]:
        """Serve clients meanwhile."""
        server = await asyncio.start_server(self._serve, host, self._port)
        self.address = f"tcp://{host}:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()

    def now(self) -> datetime:
        """Return the venue's time, UTC."""
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)

    def find(self, wanted: wire.Wanted) -> Sequence[ContractConfig]:
        """Return the contracts that are asked about."""
        return [contract for contract in self.contracts if wanted.fits(contract)]

    def other(self, than: ContractConfig) -> ContractConfig:
        """Return another contract than this one."""
        return next(contract for contract in self.contracts if contract is not than)

    def paces(self) -> bool:
        """Count a report; return whether it is one too many."""
        return self._limit is not None and self._limit.admit(1) is not None

    def write(self, step: str, symbol: str | None, rows: int, faults: Sequence[Fault]) -> None:
        """Write a request into the journal."""
        kinds = tuple(fault.kind for fault in faults)
        now_ms = int(time.time() * 1000)
        self._journal.write(
            Entry(now_ms, NAME, step, symbol, None, None, None, 200, rows, faults=kinds)
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(self, reader, writer)
        with contextlib.suppress(OSError, EOFError, ValueError):
            await session.run()
        self.clients.discard(session.client)
        writer.close()


class _Session:
    """One client of the gateway, from its first word to its last."""

    def __init__(
        self, gateway: Gateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._gateway = gateway
        self._reader = reader
        self._writer = writer
        self._frozen = False
        self.client = ""

    async def run(self) -> None:
        """Answer until either side hangs up."""
        if await self._reader.readexactly(len(wire.HELLO)) != wire.HELLO:
            return
        _, _, latest = (await wire.read(self._reader)).decode().partition("..")
        faults = self._faults("login")
        kinds = {fault.kind for fault in faults}
        if kinds & {"silence", "frozen"}:
            await self._reader.read()
            return
        version = _OLD_VERSION if "too_old" in kinds else min(_VERSION, int(latest.split()[0]))
        await self._send(wire.accepted(version, f"{self._gateway.now():%Y%m%d %H:%M:%S} UTC"))
        while not self._writer.is_closing():
            asked = wire.fields(await wire.read(self._reader))
            if not self._frozen:
                await self._take(asked, faults)

    async def _take(self, asked: Sequence[str], of_login: Sequence[Fault]) -> None:
        """Answer one message, by its number."""
        match int(asked[0]):
            case 71:
                await self._login(asked[2], of_login)
            case 9:
                await self._details(wire.wanted_details(asked))
            case 52:
                await self._report(*wire.wanted_report(asked))
            case 49:
                await self._send(wire.time(int(self._gateway.now().timestamp())))
            case 53:  # a report is no longer wanted
                pass
            case kind:
                self._gateway.write(f"message {kind}", None, 0, ())

    async def _login(self, client: str, faults: Sequence[Fault]) -> None:
        self._gateway.write("login", client, 1, faults)
        if client in self._gateway.clients:
            await self._send(wire.error(-1, 326, _TAKEN))
            self._writer.close()
            return
        self.client = client
        self._gateway.clients.add(client)
        await self._deliver(wire.logged_in(_ACCOUNTS), -1, faults)

    async def _details(self, wanted: wire.Wanted) -> None:
        found = self._gateway.find(wanted)
        symbol = found[0].symbol if found else wanted.symbol
        faults = self._faults("details", symbol)
        self._gateway.write("details", symbol, len(found), faults)
        if any(fault.kind == "another_subject" for fault in faults):
            found = [self._gateway.other(contract) for contract in found]
        answer = wire.details(wanted.request, found)
        if not found:
            answer = [wire.error(wanted.request, 200, _UNKNOWN)]
        await self._deliver(answer, wanted.request, faults)

    async def _report(self, wanted: wire.Wanted, name: str) -> None:
        found = self._gateway.find(wanted)
        symbol = found[0].symbol if found else wanted.symbol
        faults = self._faults("report", symbol)
        self._gateway.write("report", symbol, len(found), faults)
        if self._gateway.paces():
            return
        request = wanted.request
        if name not in REPORTS:
            answer = wire.error(request, 430, f"{_NONE}Missing reportType")
        elif not found:
            answer = wire.error(request, 200, _UNKNOWN)
        elif not found[0].reported:
            answer = wire.error(request, 430, _NONE)
        else:
            answer = wire.report(request, self._text(found[0], faults))
        await self._deliver([answer], request, faults)

    def _text(self, contract: ContractConfig, faults: Sequence[Fault]) -> str:
        kinds = {fault.kind for fault in faults}
        if "empty_body" in kinds:
            return ""
        if "not_json" in kinds:
            return _PAGE
        if "another_subject" in kinds:
            contract = self._gateway.other(contract)
        return contract.report.read_text() if contract.report else snapshot(contract)

    async def _deliver(
        self, answer: Sequence[bytes], request: int, faults: Sequence[Fault]
    ) -> None:
        """Send an answer, or what the faults make of it."""
        body = b"".join(answer)
        for fault in faults:
            match fault.kind:
                case "gateway_error":
                    body = wire.error(request, fault.code, fault.text)
                case "silence" | "disconnect":
                    body = b""
                case "frozen":
                    self._frozen, body = True, b""
                case "truncated":
                    body = body[: len(body) // 2]
                case "garbled":
                    body = wire.GARBLED
        await self._send(body)
        if any(fault.kind in {"disconnect", "truncated", "hang_up"} for fault in faults):
            self._writer.close()

    async def _send(self, body: bytes) -> None:
        self._writer.write(body)
        await self._writer.drain()

    def _faults(self, step: str, symbol: str = "") -> Sequence[Fault]:
        symbols = (symbol,) if symbol else ()
        return self._gateway.faults.hit(Target(NAME, symbols, step=step))
