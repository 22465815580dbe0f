"""The whole venue without its sockets: from path and parameters to an answer."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from email.utils import formatdate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

from venue.bars import MINUTE_MS, UNIT
from venue.clock import Clock
from venue.dialects.base import Answer, RefusedError
from venue.dialects.documents import Documents
from venue.exchange import Exchange
from venue.faults import WIRE_KINDS, Fault, Faults, Target
from venue.gateway import Gateway
from venue.journal import Entry, Journal
from venue.mischief import BAR_KINDS, ROW_KINDS, Scene, spoil_rows
from venue.shelf import DOCUMENT_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from venue.config import VenueConfig

_CDN_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
_INSTEAD = {
    "server_error": Answer(_CDN_PAGE, 502, "text/html"),
    "not_json": Answer(_CDN_PAGE, 200, "text/html"),
    "empty_object": Answer(b"{}"),
    "empty_body": Answer(b""),
}
_UNKNOWN = Answer(b'{"error":"no such exchange"}', status=404)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and the faults that are still to be done to it on its way out."""

    answer: Answer
    faults: Sequence[Fault] = ()


class Venue:
    """All exchanges and the gateway, with one clock, one list of faults and one journal."""

    def __init__(self, config: VenueConfig) -> None:
        self.clock = Clock(config.now, config.speed)
        self.faults = Faults()
        self.journal = Journal()
        self.exchanges = {
            name: Exchange(name, section, config.seed) for name, section in config.exchanges.items()
        }
        self.gateway: Gateway | None = None
        if config.gateway is not None:
            self.gateway = Gateway(config.gateway, self.clock, self.faults, self.journal)

    def reply(
        self,
        name: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Reply:
        """Answer one request to one exchange and write it into the journal."""
        exchange = self.exchanges.get(name)
        if exchange is None:
            return Reply(_UNKNOWN)
        call = _Call(self, name, exchange, path, query)
        try:
            exchange.admit(path, query, headers)
            reply = call.reply()
        except RefusedError as refused:
            reply = Reply(refused.answer)
        self.journal.write(call.entry(reply))
        answer = exchange.dialect.addressed(reply.answer, query)
        dated = {**answer.headers, "Date": call.date()}
        return replace(reply, answer=replace(answer, headers=dated))

    def truth(self, exchange: str, symbol: str, start_ms: int, stop_ms: int) -> dict[str, Any]:
        """Return what a perfect download of [start, stop) holds now: the minutes that are over.

        Prices and volumes are floats, the nearest to the published decimals. KeyError for an
        exchange or symbol that is not configured.
        """
        market = self.exchanges[exchange].market(symbol)
        over_ms = self.clock.now_ms() // MINUTE_MS * MINUTE_MS
        bars = market.minutes(start_ms, min(stop_ms, over_ms))
        numbers = ("open", "high", "low", "close", "volume")
        columns = {name: (getattr(bars, name) / UNIT).tolist() for name in numbers}
        return {"ts": bars.ts.tolist(), **columns}


class _Call:
    """One request on its way through limits, faults and dialect."""

    def __init__(
        self, venue: Venue, name: str, exchange: Exchange, path: str, query: Mapping[str, str]
    ) -> None:
        self._venue, self._name, self._exchange = venue, name, exchange
        self._path, self._query = path, query
        self._now_ms = venue.clock.now_ms()
        self._scenes: Sequence[Scene] | None = None
        self._recorded: Answer | None = None
        self._subject = exchange.subject(path, query)
        self._faults: Sequence[Fault] = ()
        self._rows = 0

    def reply(self) -> Reply:
        """Return the answer; RefusedError if the exchange says no."""
        self._recorded = self._exchange.recorded(self._path, self._query)
        if self._recorded is None:
            self._scenes = self._exchange.scenes(self._path, self._query, self._now_ms)
        headers = self._exchange.check_limit(self._path, self._now_ms)
        faults = self._faults = self._venue.faults.hit(self._target())
        answer = _replaced(faults, self._exchange, self._now_ms)
        if answer is None:
            answer = self._true_answer(faults)
        wire = [fault for fault in faults if fault.kind in WIRE_KINDS]
        return Reply(replace(answer, headers={**answer.headers, **headers}), wire)

    def date(self) -> str:
        """Return the exchange's time as a header: as wrong as the stamps of its bars."""
        shifts = (fault.shift_minutes for fault in self._faults if fault.kind == "clock_shift")
        return formatdate((self._now_ms + sum(shifts) * MINUTE_MS) / 1000, usegmt=True)

    def entry(self, reply: Reply) -> Entry:
        """Describe the request for the journal."""
        target, scenes = self._target(), self._scenes
        return Entry(
            time=int(time.time() * 1000),
            exchange=self._name,
            endpoint=self._path,
            symbol=",".join(target.symbols) or None,
            start=target.start_ms,
            stop=target.stop_ms,
            limit=scenes[0].window.limit if scenes else None,
            status=reply.answer.status,
            rows=self._rows,
            faults=tuple(fault.kind for fault in self._faults),
            document=target.document,
        )

    def _target(self) -> Target:
        scenes = self._scenes
        if self._subject:
            return Target(self._name, (self._subject.name,), document=True)
        if not scenes:
            return Target(self._name)
        return Target(
            self._name,
            tuple(str(scene.market.symbol) for scene in scenes),
            min(scene.window.start_ms for scene in scenes),
            max(scene.window.stop_ms for scene in scenes),
        )

    def _true_answer(self, faults: Sequence[Fault]) -> Answer:
        """Return what the exchange says, with the faults of bars and rows in it."""
        of_documents = [fault for fault in faults if fault.kind in DOCUMENT_KINDS]
        if self._recorded is not None:
            shelf = self._exchange.shelf
            return shelf.changed(self._recorded, of_documents) if shelf else self._recorded
        if self._subject and self._exchange.shelf:
            return self._exchange.shelf.answer(
                self._subject, self._query, self._now_ms, of_documents
            )
        if self._scenes is None:
            return self._exchange.other(self._path, self._query, self._now_ms)
        of_bars = [fault for fault in faults if fault.kind in BAR_KINDS]
        answer, self._rows = self._exchange.candles(self._path, self._query, self._scenes, of_bars)
        for fault in faults:
            if fault.kind in ROW_KINDS:
                document = orjson.loads(answer.body)
                spoil_rows(document, fault, self._exchange.dialect, self._query)
                answer = replace(answer, body=orjson.dumps(document))
        return answer


def _replaced(faults: Sequence[Fault], exchange: Exchange, now_ms: int) -> Answer | None:
    """Return the answer that a fault sends instead of the true one."""
    dialect = exchange.dialect
    for fault in faults:
        if fault.kind == "rate_limit":
            return dialect.limited(fault.retry_after, now_ms)
        if fault.kind == "ban":
            return dialect.banned(fault.retry_after, now_ms)
        if fault.kind == "not_paid":
            return dialect.not_paid()
        if fault.kind == "error_body" and isinstance(dialect, Documents):
            return dialect.refusal_in_a_body()
        if fault.kind in _INSTEAD:
            return _INSTEAD[fault.kind]
    return None
