"""Faults that can be switched on: which answers they hit, and in what way.

A fault of the wire (`WIRE_KINDS`) replaces or damages the HTTP answer, whatever was asked. A fault
of the rows (`BAR_KINDS`, `ROW_KINDS`) changes what an answer to a request for candles holds; how is
in `mischief`. One of a document (`DOCUMENT_KINDS`) changes what that says; how is in `shelf`. One
of the gateway (`GATEWAY_KINDS`) is done to what that answers. A fault applies to the requests that
match its exchange, symbol, window and step.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from venue.mischief import BAR_KINDS, ROW_KINDS
from venue.shelf import DOCUMENT_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

WIRE_KINDS = frozenset(
    {
        "rate_limit",  # the exchange's own 429 (Kraken: 200 with an error)
        "ban",  # 418 where the exchange has it, else as rate_limit
        "server_error",  # 502 with the HTML of a content delivery network
        "timeout",  # no answer for `seconds`, then the connection is closed
        "disconnect",  # the connection is closed without an answer
        "truncated",  # true Content-Length, half of the body, connection closed
        "truncated_json",  # a complete HTTP answer whose JSON ends in the middle
        "not_json",  # HTML with status 200
        "empty_object",  # {} with status 200
        "empty_body",  # nothing with status 200
        "error_body",  # a vendor of documents says no with status 200
        "not_paid",  # 403: the client's plan does not pay for this
    }
)
_OF_CANDLES = {**BAR_KINDS, **ROW_KINDS}
_OF_HTTP = WIRE_KINDS.union(_OF_CANDLES, DOCUMENT_KINDS)
GATEWAY_KINDS = frozenset(
    {
        "gateway_error",  # the error `code` with the words `text`
        "silence",  # no answer to this; the gateway goes on telling the time
        "frozen",  # no answer to this, nor to anything else on this connection
        "garbled",  # bytes that are no message
        "hang_up",  # the connection is closed after the answer
        "too_old",  # a version that clients do not talk to
        "disconnect",  # and these as above: here half of a message is cut, and a report is replaced
        "truncated",
        "not_json",
        "empty_body",
        "another_subject",
    }
)
STEPS = frozenset({"login", "details", "report"})
KINDS = _OF_HTTP | GATEWAY_KINDS
_JSON_NAMES = {"from": "from_ms", "to": "to_ms"}


@dataclass(slots=True)
class Fault:
    """One switched-on fault; the fields are those of the control API's JSON.

    `exchange` and `symbol` (`BTC-USD`) limit it, as do `from`/`to` (UTC milliseconds, half-open) to
    candle windows that overlap, and `step` to a login, details or a report of the gateway. It hits
    every `every`-th matching request, `times` times at most.
    """

    kind: str
    exchange: str | None = None
    symbol: str | None = None
    times: int | None = None
    every: int = 1
    from_ms: int | None = None
    to_ms: int | None = None
    retry_after: float = 5.0
    seconds: float = 30.0
    shift_minutes: int = 60
    variant: str | None = None
    step: str | None = None
    code: int = 0
    text: str = ""
    id: int = 0
    seen: int = 0
    hits: int = 0

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Fault:
        """Read the control API's JSON; ValueError names what is wrong with it."""
        known = {field.name for field in fields(cls)} - {"id", "seen", "hits"}
        values = {_JSON_NAMES.get(name, name): value for name, value in document.items()}
        if unknown := values.keys() - known:
            raise ValueError(f"unknown fault options {sorted(unknown)}")
        if document.get("kind") not in KINDS:
            raise ValueError(f"unknown kind of fault: choose one of {sorted(KINDS)}")
        fault = cls(**values)
        variants = {**_OF_CANDLES, **DOCUMENT_KINDS}.get(fault.kind, ())
        if fault.variant is not None and fault.variant not in variants:
            raise ValueError(f"{fault.kind} knows the variants {sorted(variants)}")
        if fault.step not in {None, *STEPS}:
            raise ValueError(f"unknown step: choose one of {sorted(STEPS)}")
        return fault


@dataclass(frozen=True, slots=True)
class Target:
    """What a fault can be aimed at: candles have symbols and a window, documents a symbol.

    What the gateway is asked is a `step`.
    """

    exchange: str
    symbols: tuple[str, ...] = ()
    start_ms: int | None = None
    stop_ms: int | None = None
    document: bool = False
    step: str | None = None


class Faults:
    """The faults that are switched on."""

    def __init__(self) -> None:
        self._active: list[Fault] = []
        self._ids = itertools.count(1)

    def add(self, fault: Fault) -> Fault:
        """Switch a fault on and number it."""
        fault.id = next(self._ids)
        self._active.append(fault)
        return fault

    def clear(self) -> None:
        """Switch all off."""
        self._active.clear()

    def all(self) -> list[Fault]:
        """Return all faults, spent ones too, with what they have hit."""
        return list(self._active)

    def hit(self, target: Target) -> list[Fault]:
        """Return the faults that this request suffers, counting it."""
        return [fault for fault in self._active if _matches(fault, target) and _fires(fault)]


def _matches(fault: Fault, target: Target) -> bool:
    if fault.exchange not in {None, target.exchange}:
        return False
    if fault.symbol not in {None, *target.symbols} or not _concerns(fault, target):
        return False
    if fault.from_ms is None and fault.to_ms is None:
        return True
    if target.start_ms is None or target.stop_ms is None:
        return False
    after = fault.to_ms is None or target.start_ms < fault.to_ms
    return after and (fault.from_ms is None or target.stop_ms > fault.from_ms)


def _concerns(fault: Fault, target: Target) -> bool:
    """Return whether a request is of the sort that such a fault changes."""
    if target.step is not None:
        return fault.kind in GATEWAY_KINDS and fault.step in {None, target.step}
    if fault.kind not in _OF_HTTP or fault.step is not None:
        return False
    if fault.kind in DOCUMENT_KINDS:
        return target.document
    return fault.kind not in _OF_CANDLES or target.start_ms is not None


def _fires(fault: Fault) -> bool:
    if fault.times is not None and fault.hits >= fault.times:
        return False
    fault.seen += 1
    if fault.seen % fault.every:
        return False
    fault.hits += 1
    return True
