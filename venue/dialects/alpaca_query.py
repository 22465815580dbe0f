"""What a request for Alpaca's bars asks, parameter by parameter, and where a page goes on.

What belongs here: values, what is said to wrong ones, and the tokens of pages. Not here: which
parameters there are and what is answered (`alpaca`).
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from venue.bars import DAY_MS, MINUTE_MS, MONTH_MS, WEEK_MS
from venue.dialects.base import HOUR_MS, Answer, RefusedError, answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from venue.pages import Window

_TIMEFRAME = re.compile(r"^(\d{1,2})(Min|T|Hour|H|Day|D|Week|W|Month|M)$")
_UNITS = {
    "Min": (MINUTE_MS, range(1, 60)),
    "Hour": (HOUR_MS, range(1, 24)),
    "Day": (DAY_MS, (1,)),
    "Week": (WEEK_MS, (1,)),
    "Month": (MONTH_MS, (1,)),  # Alpaca also has 2, 3, 6 and 12
}
_SHORT = {"T": "Min", "H": "Hour", "D": "Day", "W": "Week", "M": "Month"}
SYMBOL = re.compile(r"^[A-Z]{1,6}(\.[A-Z]{1,3})?$")
_DEFAULT_ROWS, _MAX_ROWS = 1000, 10_000
_LATEST_NS = 2**63 - 1


def refusal(message: str, status: int = 422, code: int | None = None) -> Answer:
    """Return an error body: words, and a number where there is one."""
    return answer(({"code": code} if code else {}) | {"message": message}, status)


def names_of(query: Mapping[str, str]) -> set[str]:
    """Read `symbols`: one at least, spelled as symbols are."""
    names = set(query.get("symbols", "").split(",")) - {""}
    if not names:
        raise RefusedError(refusal("symbols is required", 400))
    for name in sorted(names):
        if not SYMBOL.match(name):
            raise RefusedError(refusal(f"invalid symbol: {name}", 400))
    return names


def one_of(
    query: Mapping[str, str], name: str, known: frozenset[str] | set[str], default: str
) -> str:
    """Read a parameter that has few values."""
    value = query.get(name, default)
    if value not in known:
        raise RefusedError(refusal(f"invalid {name}: {value}"))
    return value


def step_of(query: Mapping[str, str]) -> int:
    """Read `timeframe` as milliseconds."""
    match = _TIMEFRAME.match(query.get("timeframe", ""))
    if match is not None:
        length_ms, numbers = _UNITS[_SHORT.get(match[2], match[2])]
        if int(match[1]) in numbers:
            return int(match[1]) * length_ms
    raise RefusedError(refusal(f"invalid timeframe: {query.get('timeframe', '')}"))


def limit_of(query: Mapping[str, str]) -> int:
    """Read `limit`: how many rows a page may have."""
    value = query.get("limit", str(_DEFAULT_ROWS))
    if not value.isdigit() or not 1 <= int(value) <= _MAX_ROWS:
        raise RefusedError(refusal(f"invalid limit: {value}"))
    return int(value)


def time_of(query: Mapping[str, str], name: str, default: int) -> int:
    """Read a time as milliseconds since 1970; without an offset it is UTC."""
    value = query.get(name)
    if value is None:
        return default
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise RefusedError(refusal(f"invalid {name}: {value}")) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def token_after(name: str, ts: int, window: Window) -> str:
    """Return the token of the page after a row."""
    unit = "D" if window.step_ms >= DAY_MS else "H" if window.step_ms >= HOUR_MS else "M"
    moment = datetime.fromtimestamp(ts // 1000, UTC)
    at = f"{moment:%Y-%m-%dT%H:%M:%S}.000000000Z"
    if window.descending:
        at = str(_LATEST_NS // 10**9 * 10**9 - ts * 10**6)
    return base64.b64encode(f"{name}|{unit}|{at}".encode()).decode()


def read_token(token: str) -> tuple[str, int]:
    """Return the symbol and the stamp of the last row that was sent."""
    try:
        name, _, at = base64.b64decode(token, validate=True).decode().split("|")
        if at.isdigit():
            return name, (_LATEST_NS // 10**9 * 10**9 - int(at)) // 10**6
        return name, int(datetime.fromisoformat(at[:19] + "Z").timestamp()) * 1000
    except ValueError:
        raise RefusedError(refusal("invalid page_token")) from None
