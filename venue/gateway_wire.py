"""The wire format of Interactive Brokers' gateway: messages of text fields, with their length.

What belongs here: how messages are told apart, read and written. Not here: what is answered.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from venue.config import ContractConfig

HELLO = b"API\0"
"""What a client says first, without a length."""
GARBLED = b"\xff\xff\xff\xf0<html>502</html>"
"""The beginning of a message of four gigabytes."""

_LENGTH = struct.Struct(">I")
_LONGEST = 1 << 20
_NO_REQUEST = -1
_OF_CONNECTION = frozenset({326, 1100, 1101, 1102, 1300, *range(500, 600), *range(2100, 2200)})
_TRADED_AT = "America/New_York"


def message(*fields: object) -> bytes:
    """Return one message: each field ends with a NUL, the length comes first."""
    body = b"".join(str(field).encode() + b"\0" for field in fields)
    return _LENGTH.pack(len(body)) + body


async def read(stream: asyncio.StreamReader) -> bytes:
    """Return the body of the next message; EOFError when there is none, ValueError if too long."""
    (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
    if length > _LONGEST:
        raise ValueError(f"a message of {length} bytes")
    return await stream.readexactly(length)


def fields(body: bytes) -> Sequence[str]:
    """Return the fields of a message."""
    return body.decode().split("\0")[:-1]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which contract a client asks about; what is empty, or 0, is left open."""

    request: int
    number: int
    symbol: str
    kind: str
    exchange: str
    listed_on: str
    currency: str

    def fits(self, contract: ContractConfig) -> bool:
        """Return whether a contract is one of those asked about."""
        return (
            self.number in {0, contract.number}
            and self.symbol.upper() in {"", contract.symbol}
            and self.kind in {"", "STK"}
            and self.exchange in {"", "SMART", contract.listed_on}
            and self.listed_on in {"", contract.listed_on}
            and self.currency in {"", contract.currency}
        )


def wanted_details(asked: Sequence[str]) -> Wanted:
    """Read a request for the details of contracts (9, version 8)."""
    request, number, symbol, kind = asked[2:6]
    exchange, listed_on, currency = asked[10:13]
    return Wanted(int(request), int(number), symbol, kind, exchange, listed_on, currency)


def wanted_report(asked: Sequence[str]) -> tuple[Wanted, str]:
    """Read a request for fundamentals (52, version 2): about what, and the name of the report."""
    request, number, symbol, kind, exchange, listed_on, currency, _, report = asked[2:11]
    return (
        Wanted(int(request), int(number), symbol, kind, exchange, listed_on, currency),
        report,
    )


def accepted(version: int, time: str) -> bytes:
    """Return the end of the handshake."""
    return message(version, time)


def logged_in(accounts: Sequence[str]) -> Sequence[bytes]:
    """Return what a client is told once it has given its number."""
    farms = ((2104, "Market data farm connection is OK:usfarm"), (2158, "Sec-def data farm is OK"))
    return [
        message(15, 1, ",".join(accounts)),
        message(9, 1, 1),
        *(error(_NO_REQUEST, code, text) for code, text in farms),
    ]


def error(request: int, code: int, text: str) -> bytes:
    """Return what the gateway sends as an error; what is about the connection names no request."""
    of_connection = code in _OF_CONNECTION
    return message(4, 2, _NO_REQUEST if of_connection else request, code, text, "")


def details(request: int, contracts: Sequence[ContractConfig]) -> Sequence[bytes]:
    """Return what is known of contracts (10, for servers from 164 on), and the end of it (52)."""
    return [*(_details(request, one) for one in contracts), message(52, 1, request)]


def _details(request: int, contract: ContractConfig) -> bytes:
    hours = "20240603:0400-20240603:2000"
    return message(
        10,
        request,
        contract.symbol,
        "STK",
        "",  # expiry
        0,  # strike
        "",  # right
        "SMART",
        contract.currency,
        contract.symbol,
        contract.symbol,  # market name
        contract.symbol,  # trading class
        contract.number,
        0.01,
        "",  # multiplier
        "ACTIVETIM,ADJUST,ALERT,LMT,MKT",
        f"SMART,{contract.listed_on}",
        1,  # price magnifier
        0,  # underlying
        contract.name or contract.symbol,
        contract.listed_on,
        "",  # contract month
        "Technology",
        "Semiconductors",
        "Electronic Components",
        _TRADED_AT,
        hours,
        hours,
        "",  # rule and multiplier of economic value
        "",
        0,  # security ids
        1,  # aggregated group
        "",  # symbol and type of the underlying
        "",
        26,  # market rules
        "",  # real expiry
        "COMMON",
        1,
        1,
        100,
    )


def report(request: int, text: str) -> bytes:
    """Return a report (51)."""
    return message(51, 1, request, text)


def time(seconds: int) -> bytes:
    """Return the time (49)."""
    return message(49, 1, seconds)
