"""The HTTP server: sockets, and the faults that happen to an answer on its way out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from aiohttp import web

from venue.control import routes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from venue.dialects.base import Answer
    from venue.faults import Fault
    from venue.service import Venue


def application(venue: Venue) -> web.Application:
    """Return the server's application: `/_venue/...` for control, all else is exchanges."""
    app = web.Application()
    app.add_routes(routes(venue))
    app.router.add_get("/{exchange}/{path:.*}", _handler(venue))
    return app


async def start(venue: Venue, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Listen, and return the runner (to clean up) and the port (chosen by the system for 0)."""
    app = application(venue)
    if gateway := venue.gateway:
        app.cleanup_ctx.append(lambda _: gateway.listening(host))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner, int(runner.addresses[0][1])


def _handler(venue: Venue) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        name = request.match_info["exchange"]
        path = request.path[len(name) + 1 :]
        reply = venue.reply(name, path, request.query, request.headers)
        for fault in reply.faults:
            if fault.kind in _DELIVERIES:
                return await _DELIVERIES[fault.kind](request, reply.answer, fault)
        return _response(reply.answer)

    return handle


def _response(answer: Answer) -> web.Response:
    return web.Response(
        body=answer.body,
        status=answer.status,
        content_type=answer.content_type,
        headers=answer.headers,
    )


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _disconnect(request: web.Request, answer: Answer, fault: Fault) -> web.StreamResponse:
    del fault
    _hang_up(request)
    return _response(answer)


async def _timeout(request: web.Request, answer: Answer, fault: Fault) -> web.StreamResponse:
    await asyncio.sleep(fault.seconds)
    _hang_up(request)
    return _response(answer)


async def _truncated(request: web.Request, answer: Answer, fault: Fault) -> web.StreamResponse:
    """Promise the whole body, send half of it, and close."""
    del fault
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_type = answer.content_type
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()  # unlike abort, this lets the half that was written arrive
    return response


async def _truncated_json(request: web.Request, answer: Answer, fault: Fault) -> web.StreamResponse:
    del request, fault
    return _response(replace(answer, body=answer.body[: len(answer.body) // 2]))


_DELIVERIES: dict[str, Callable[[web.Request, Answer, Fault], Awaitable[web.StreamResponse]]] = {
    "disconnect": _disconnect,
    "timeout": _timeout,
    "truncated": _truncated,
    "truncated_json": _truncated_json,
}
