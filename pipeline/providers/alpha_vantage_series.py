"""Alpha Vantage's documents: whether one is an answer, what it is about, and which bars it holds.

What belongs here: the meaning of a body. Not here: how it is asked for (`alpha_vantage_client`),
and what becomes of a month (`alpha_vantage_months`).

Nearly everything comes with status 200. A refusal is a document with `Note`, `Information` or
`Error Message` at its top; all of them are words, and what they mean is read from the words. A
series says which symbol, interval and time zone it is about, and whether it was cut (`Compact`).
Its rows are stamped with the END of their minute in New York's time, between 04:01 and 20:00.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from pipeline.bars import BAR_SCHEMA, bar_table, empty_bars
from pipeline.providers.errors import (
    AuthenticationFailed,
    MalformedAnswer,
    ProviderError,
    RateLimited,
    UnknownSymbol,
    Unsupported,
)

NEW_YORK: Final = ZoneInfo("America/New_York")
OPENS: Final = time(4)
CLOSES: Final = time(20)
"""What the vendor documents as its hours, New York's time: no bar lies outside of them."""

SERIES: Final = "Time Series (1min)"
_REFUSALS: Final = ("Error Message", "Information", "Note")
_ABOUT: Final = {
    "4. Interval": ("1min",),
    "5. Output Size": ("Full size",),
    "6. Time Zone": ("US/Eastern", "America/New_York"),
}
_COLUMNS: Final = ("1. open", "2. high", "3. low", "4. close", "5. volume")
_RATE: Final = re.compile(r"(?:per|a|/)[ -]?(second|minute|day)\b|\bdaily\b", re.IGNORECASE)
_SECOND, _MINUTE, _DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
_LONGEST_MESSAGE: Final = 200
_STAMP: Final = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}")


def decode(provider: str, body: bytes) -> dict[str, Any]:
    """Return a body as a document; an object that names a member twice becomes a list of pairs.

    Raises:
        MalformedAnswer: It is none.
    """
    try:
        document = json.loads(body, object_pairs_hook=_pairs)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise MalformedAnswer(provider, "the body is not whole JSON")
    return document


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any] | list[tuple[str, Any]]:
    # A dictionary would keep the last of two rows of one minute, and lose the other in silence.
    members = dict(pairs)
    return members if len(members) == len(pairs) else pairs


def refusal(
    provider: str, document: Mapping[str, Any], now: datetime, hide: Callable[[str], str]
) -> ProviderError | None:
    """Return what a document refuses, if it does.

    Args:
        provider: The provider's name.
        document: The document.
        now: The present by the vendor's clock.
        hide: Takes keys out of words.
    """
    words = hide(" ".join(str(document[name]) for name in _REFUSALS if name in document))
    what, told = words[:_LONGEST_MESSAGE], words.lower()
    if not words:
        return None
    if rates := {(match[1] or "day").lower() for match in _RATE.finditer(words)}:
        return RateLimited(provider, what, retry_after=_wait(rates, now))
    if "apikey" in told or "api key" in told:
        return AuthenticationFailed(provider, what, "check ALPHAVANTAGE_API_KEY")
    if "premium" in told:
        return Unsupported(provider, what, "use a key of a paying account, or another provider")
    if "invalid api call" in told:
        fix = "check the symbol, and that the listing's start is not before its first trade"
        return UnknownSymbol(provider, f"knows no such symbol, or not in that month: {what}", fix)
    return MalformedAnswer(provider, f"answers in words: {what}")


def _wait(rates: set[str], now: datetime) -> timedelta:
    """Return for how long a limit keeps us out; of several the shortest is met first.

    The vendor does not say when its day begins: it is taken for New York's.
    """
    if "second" in rates:
        return 2 * _SECOND
    if "minute" in rates:
        return _MINUTE
    today = now.astimezone(NEW_YORK).date()
    return datetime.combine(today + _DAY, time(), NEW_YORK).astimezone(UTC) - now


def to_bars(provider: str, document: Mapping[str, Any], symbol: str, month: date) -> pa.Table:
    """Convert the series of a month to a table with `BAR_SCHEMA`, in the order given.

    Args:
        provider: The provider's name, for errors.
        document: The document; refuses nothing.
        symbol: What it has to be about.
        month: First day of the month that it has to be about, in New York.

    Returns:
        One row a member, by the starts of their minutes, UTC. What is no number is null.

    Raises:
        MalformedAnswer: It is about something else, was cut, or has stamps outside of the month or
            of the vendor's hours.
    """
    about = document.get("Meta Data")
    if not isinstance(about, dict) or str(about.get("2. Symbol")).upper() != symbol.upper():
        raise MalformedAnswer(provider, f"the answer is not about {symbol}")
    for name, right in _ABOUT.items():
        if about.get(name) not in right:
            raise MalformedAnswer(provider, f"{name[3:]} is {about.get(name)!r}, not {right[0]!r}")
    series = document.get(SERIES)
    if not isinstance(series, dict | list):
        raise MalformedAnswer(provider, "the answer holds no series of minutes")
    pairs = list(series.items()) if isinstance(series, dict) else series
    if not pairs:
        return empty_bars()
    starts = _starts(provider, [stamp for stamp, _ in pairs], month)
    rows = [row if isinstance(row, dict) else {} for _, row in pairs]
    numbers = {name[3:]: [_number(row.get(name)) for row in rows] for name in _COLUMNS}
    return bar_table({"ts": starts, **numbers})


def _starts(provider: str, stamps: Sequence[str], month: date) -> pa.Array:
    """Return the starts of the minutes that end at New York's times."""
    if odd := next((one for one in stamps if not _STAMP.fullmatch(str(one))), None):
        raise MalformedAnswer(provider, f"a row is stamped {odd!r}")
    try:
        ends = np.array(stamps, "datetime64[us]")
    except ValueError:
        raise MalformedAnswer(provider, "a row is stamped with a time that is none") from None
    local = ends - np.timedelta64(1, "m")
    days = local.astype("datetime64[D]")
    at = (local - days) // np.timedelta64(1, "s")
    if wrong := _first(stamps, days.astype("datetime64[M]") != np.datetime64(month, "M")):
        raise MalformedAnswer(provider, f"asked for {month:%Y-%m}, a row is stamped {wrong}")
    if wrong := _first(stamps, (at < _seconds(OPENS)) | (at >= _seconds(CLOSES))):
        raise MalformedAnswer(
            provider,
            f"a row is stamped {wrong}, outside of its hours, 04:00 to 20:00 in New York",
            "nothing of this answer was stored; stamps of another time zone look like this",
        )
    named, place = np.unique(days, return_inverse=True)
    return pa.array(local + _offsets(named.tolist())[place], BAR_SCHEMA.field("ts").type)


def _offsets(days: Iterable[date]) -> Any:  # noqa: ANN401 - an array of timedelta64
    """Return how far UTC is ahead of New York on each day; clocks change before it opens."""
    ahead = [-(datetime.combine(day, OPENS, NEW_YORK).utcoffset() or timedelta(0)) for day in days]
    return np.array(ahead, "timedelta64[us]")


def _first(stamps: Sequence[str], wrong: Any) -> str:  # noqa: ANN401 - an array of booleans
    """Return the first stamp for which something is wrong; empty if none is."""
    return stamps[int(np.argmax(wrong))] if wrong.any() else ""


def _seconds(at: time) -> int:
    return at.hour * 3600


def _number(text: object) -> float | None:
    """Read a number; "None" and other words are as good as missing, and never 0."""
    if not isinstance(text, str) or "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None
