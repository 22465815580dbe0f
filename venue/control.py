"""The control API under `/_venue/`: faults, journal, clock and truth, as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from venue.config import millis
from venue.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from venue.dialects.base import Json
    from venue.service import Venue


def routes(venue: Venue) -> list[web.RouteDef]:
    """Return the control API's routes."""
    control = _Control(venue)
    return [
        web.get("/_venue/faults", _json(control.faults)),
        web.post("/_venue/faults", _json(control.add_fault)),
        web.delete("/_venue/faults", _json(control.clear_faults)),
        web.get("/_venue/requests", _json(control.requests)),
        web.delete("/_venue/requests", _json(control.clear_requests)),
        web.get("/_venue/clock", _json(control.clock)),
        web.post("/_venue/clock", _json(control.set_clock)),
        web.get("/_venue/truth", _json(control.truth)),
        web.get("/_venue/gateway", _json(control.gateway)),
    ]


class _Control:
    """Methods from query parameters and JSON document to a JSON document."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def faults(self, _: Json) -> object:
        return [asdict(fault) for fault in self._venue.faults.all()]

    def add_fault(self, document: Json) -> object:
        return asdict(self._venue.faults.add(Fault.parse(document)))

    def clear_faults(self, _: Json) -> object:
        self._venue.faults.clear()
        return []

    def requests(self, query: Json) -> object:
        return self._venue.journal.report(int(query.get("since", 0)))

    def clear_requests(self, _: Json) -> object:
        self._venue.journal.clear()
        return self._venue.journal.report()

    def clock(self, _: Json) -> object:
        return {"now": self._venue.clock.now_ms(), "speed": self._venue.clock.speed}

    def set_clock(self, document: Json) -> object:
        clock = self._venue.clock
        now = document.get("now")
        now_ms = clock.now_ms() if now is None else millis(now)
        offset_ms = int(document.get("offset_seconds", 0) * 1000)
        clock.set(now_ms=now_ms + offset_ms, speed=document.get("speed"))
        return self.clock(None)

    def truth(self, query: Json) -> object:
        start, end = (millis(_time(query[name])) for name in ("start", "end"))
        return self._venue.truth(query["exchange"], query["symbol"], start, end)

    def gateway(self, _: Json) -> object:
        gateway = self._venue.gateway
        if gateway is None:
            raise ValueError("no gateway is configured")
        return {"address": gateway.address, "clients": sorted(gateway.clients)}


def _time(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def _json(method: Callable[[Json], object]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        try:
            result, status = method(orjson.loads(body) if body else request.query), 200
        except (ValueError, KeyError, TypeError) as error:
            result, status = {"error": f"{type(error).__name__}: {error}"}, 400
        return web.Response(
            body=orjson.dumps(result), status=status, content_type="application/json"
        )

    return handle
