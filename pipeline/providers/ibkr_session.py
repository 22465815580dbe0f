"""A connection to a gateway of Interactive Brokers, kept by a thread of its own.

What belongs here: how ib_async is run, and how it is known whether the other side is still there.
Not here: what is asked (`ibkr_client`), or what the gateway's errors mean (`ibkr_errors`).

ib_async lives on one asyncio loop. Our callers are threads, some of which have a loop of their own
running, so the connection's loop has its own thread. One question is under way at a time.

Only the connection itself is made, by ib_async's `Client`: `IB.connectAsync` would ask for the
account's positions and orders as well, which are nobody's business here.

The number by which the gateway knows a client must be its own among up to 32. It is drawn anew from
two billion for each connection: processes, containers and machines that share a gateway need not
know of each other, and a connection that was lost does not stand in the way of the next one.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from ib_async import IB, Contract
from ib_async.wrapper import RequestError

Reply = TypeVar("Reply")
Question = Callable[[IB], Awaitable[Reply]]

OF_CONNECTION: Final = frozenset({100, 326, 502, 503, 504, 507, 1100, 1300, 2110})
"""Errors after which nothing more can be expected over a connection, whatever was asked."""

_TOO_OLD: Final = 503
_TAKEN_FOR_WARNING: Final = 321
"""An error about a question, after which ib_async goes on waiting for its answer."""
_PULSE_SECONDS: Final = 5.0
_FIRST_NUMBER, _NUMBERS = 1_000, 2**31 - 1_000

# All that it has to say of a failure is in our errors; whoever wants more lowers the level again.
logging.getLogger("ib_async").setLevel(logging.CRITICAL)


class UnreachableError(Exception):
    """No gateway takes connections at the address, or none that lets anybody in.

    Args:
        where: Where it was looked for.
        why: What was found instead.
    """

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"no gateway at {where} ({why})")


class SilentError(Exception):
    """The gateway lives, and does not answer this question."""


class Gateway:
    """Asks a gateway one question at a time, and connects to it when that is needed.

    Safe to share between threads, whether or not they run a loop.

    Args:
        host: Where it listens.
        port: Likewise.
        timeout_seconds: How long an answer may take, and a login.
    """

    def __init__(self, host: str, port: int, timeout_seconds: float) -> None:
        self._address = host, port
        self._timeout_seconds = timeout_seconds
        self._turn = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connection: _Connection | None = None

    def ask(self, question: Question[Reply]) -> Reply:
        """Return the answer to a question, which is a method of ib_async's `IB`.

        Raises:
            RequestError: The gateway answers with an error, or has told one of the connection.
            UnreachableError: There is no gateway.
            SilentError: It does not answer this.
            TimeoutError: It does not answer at all any more.
            ConnectionError: The connection was lost before the answer came.
        """
        with self._turn:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_serve, args=(self._loop,), daemon=True)
                self._thread.start()
            return _run(self._ask(question), self._loop)

    def close(self) -> None:
        """Hang up, and end the thread. Another question would begin anew."""
        with self._turn:
            if self._loop is not None and self._thread is not None:
                _run(self._hang_up(), self._loop)
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop = self._thread = None

    async def _ask(self, question: Question[Reply]) -> Reply:
        connection = self._connection
        if connection is None or not connection.usable:
            await self._hang_up()
            connection = self._connection = _Connection()
        try:
            if not connection.usable:
                await connection.open(*self._address, self._timeout_seconds)
            return await connection.ask(question, self._timeout_seconds)
        finally:
            if not connection.usable:
                await self._hang_up()

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _run(coroutine: Coroutine[Any, Any, Reply], loop: asyncio.AbstractEventLoop) -> Reply:
    asked = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return asked.result()
    except BaseException:  # also what a signal raises here, while the loop goes on
        asked.cancel()
        raise


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


class _Connection:
    """One connection, from its login to its end. Everything here happens on the loop."""

    def __init__(self) -> None:
        self._ib = IB()
        self._ib.RaiseRequestErrors = True
        self._trouble: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._left = False
        # Its own listener asks for the account when the gateway finds its servers again.
        self._ib.errorEvent.clear()
        self._ib.errorEvent += self._on_error
        self._ib.client.apiError += self._on_failure

    @property
    def usable(self) -> bool:
        """Whether both sides are there, for all that is known, and nothing is still to come."""
        return self._ib.client.isReady() and not self._trouble.done() and not self._left

    async def open(self, host: str, port: int, seconds: float) -> None:
        """Connect and log in."""
        client = self._ib.client
        number = _FIRST_NUMBER + secrets.randbelow(_NUMBERS - _FIRST_NUMBER)
        self._ib.wrapper.clientId = number
        where = f"{host}:{port}"
        try:
            await self._until(client.connectAsync(host, port, number, None), seconds)
        except TimeoutError:
            reached = client.conn.numMsgSent > 0
            why = "it takes connections, but lets nobody in" if reached else "no answer"
            raise UnreachableError(where, why) from None
        except ConnectionRefusedError:
            raise UnreachableError(where, "nothing listens there") from None
        except (OSError, UnicodeError) as error:
            raise UnreachableError(where, str(error)) from error

    async def ask(self, question: Question[Reply], seconds: float) -> Reply:
        """Return an answer; see `Gateway.ask`."""
        try:
            return await self._until(question(self._ib), seconds)
        except TimeoutError:
            await self._until(self._ib.reqCurrentTimeAsync(), min(seconds, _PULSE_SECONDS))
            raise SilentError from None

    async def close(self) -> None:
        """Hang up, whatever is under way."""
        transport = self._ib.client.conn.transport
        self._ib.client.disconnect()
        if transport is not None:
            transport.abort()
            await asyncio.sleep(0)

    async def _until(self, awaited: Awaitable[Reply], seconds: float) -> Reply:
        """Return what is awaited, unless there is trouble first, or nothing in time."""
        reply = asyncio.ensure_future(awaited)
        either: set[asyncio.Future[Any]] = {reply, self._trouble}
        try:
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            cut = not reply.done()
            if cut:
                # What came of it later would be taken for the answer to something else.
                self._left = True
                reply.cancel()
        trouble = self._trouble.result() if self._trouble.done() else None
        if cut:
            await asyncio.wait({reply})
        if trouble and (cut or (reply.exception() and isinstance(trouble, RequestError))):
            raise trouble
        if cut:
            raise TimeoutError
        return reply.result()

    def _on_error(self, request: int, code: int, text: str, contract: Contract) -> None:
        del contract
        if code in OF_CONNECTION or code == _TAKEN_FOR_WARNING:
            self._fail(RequestError(request, code, text))

    def _on_failure(self, text: str) -> None:
        if "version" in text:
            self._fail(RequestError(-1, _TOO_OLD, text))
        else:
            self._fail(ConnectionError("the other side hung up"))

    def _fail(self, error: Exception) -> None:
        if not self._trouble.done():
            self._trouble.set_result(error)
