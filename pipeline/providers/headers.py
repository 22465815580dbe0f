"""What the headers of an answer say, whoever sent them: the time, the wait, the use of the limit.

What belongs here: reading. Not here: what is done with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from pipeline.providers.capabilities import RateLimit
from pipeline.providers.limiter import Usage

Headers = Mapping[str, str]
"""Must find names in any case, as those of `requests` do."""

_SURE: Final = timedelta(seconds=2)
"""The Date header counts whole seconds, and an answer travels: less is no difference of clocks."""
_EPOCH_SECONDS: Final = 10**9
_EPOCH_MILLISECONDS: Final = 10**12


@dataclass(frozen=True, slots=True)
class _Dialect:
    """Where a family of providers says how much of a limit is left; `reset` may be absent."""

    limit: str
    remaining: str
    reset: str
    milliseconds: bool = False


_DIALECTS: Final = (
    # Alpaca, and many others
    _Dialect("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
    # KuCoin
    _Dialect(
        "gw-ratelimit-limit", "gw-ratelimit-remaining", "gw-ratelimit-reset", milliseconds=True
    ),
    # Bybit
    _Dialect("x-bapi-limit", "x-bapi-limit-status", "x-bapi-limit-reset-timestamp"),
)
_USED_BY_CLOCK_MINUTE: Final = "x-mbx-used-weight-1m"  # Binance


def sender_time(headers: Headers, ours: datetime | None = None) -> datetime:
    """Return the present by the clock of who sent an answer, UTC.

    Args:
        headers: The headers of the answer.
        ours: What is taken for it if the answer has no date; None for the system's time.
    """
    return _date(headers) or ours or datetime.now(UTC)


def read_retry_after(headers: Headers, ours: datetime | None = None) -> timedelta | None:
    """Read the wait that Retry-After asks for; None if that is missing or says nothing.

    It is in seconds, or an HTTP date by the clock of who sent it. One that has passed is no wait at
    all; fractions are rounded up to a second.

    Args:
        headers: The headers of a refusal.
        ours: The present, where these have no date; None for the system's time.
    """
    text = headers.get("Retry-After", "").strip()
    if text.replace(".", "", 1).isdigit():
        return timedelta(seconds=-(-float(text) // 1))
    moment = _parse_date(text)
    if moment is None:
        return None
    wait = moment - sender_time(headers, ours)
    return timedelta(seconds=max(0.0, -(-wait.total_seconds() // 1)))


def read_reset(headers: Headers) -> timedelta | None:
    """Return how long until a used-up limit begins anew, in whole seconds; None if nothing says so.

    Args:
        headers: The headers of a refusal.
    """
    for dialect in _DIALECTS:
        reset = _number(headers, dialect.reset)
        if reset is not None and reset >= _EPOCH_SECONDS:
            at = reset / (1000 if reset >= _EPOCH_MILLISECONDS else 1)
            return timedelta(seconds=max(0.0, -(-(at - sender_time(headers).timestamp()) // 1)))
    return None


def read_clock_skew(headers: Headers, received: datetime, took: timedelta) -> timedelta | None:
    """Return how far the sender's clock is ahead of ours; zero when that is not sure.

    Args:
        headers: The headers of an answer.
        received: When it came, by our clock.
        took: Time from the question to the answer. After a long one nobody knows when it was made.

    Returns:
        None when there is no date, or it says little: after a long wait, or of a cached copy.
    """
    date = _date(headers)
    if date is None or took > _SURE or headers.get("Age", "0").strip() != "0":
        return None
    skew = date + timedelta(seconds=0.5) - (received - took / 2)
    return skew if abs(skew) > _SURE else timedelta(0)


def read_usage(headers: Headers, limit: RateLimit, published: RateLimit) -> Usage | None:
    """Return what an answer says of the use of a limit by everybody; None if it says nothing.

    Args:
        headers: The headers of an answer.
        limit: The limit that we keep.
        published: The limit that the provider publishes, for those that tell only what was used.
    """
    if (used := _number(headers, _USED_BY_CLOCK_MINUTE)) is not None:
        date = _date(headers)
        running = timedelta(seconds=date.second) if date else timedelta(seconds=limit.seconds)
        return Usage(int(used), max(0, published.requests - limit.requests), running)
    for dialect in _DIALECTS:
        allowed, left = _number(headers, dialect.limit), _number(headers, dialect.remaining)
        if allowed is not None and left is not None:
            spare = max(0, int(allowed) - limit.requests)
            return Usage(int(allowed - left), spare, _running(headers, dialect, limit))
    return None


def _running(headers: Headers, dialect: _Dialect, limit: RateLimit) -> timedelta:
    """Return for how long a provider has been counting that tells when it begins anew."""
    whole = timedelta(seconds=limit.seconds)
    reset, date = _number(headers, dialect.reset), _date(headers)
    if reset is None:
        return whole
    if reset >= _EPOCH_SECONDS:
        if date is None:
            return whole
        reset = reset / (1000 if reset >= _EPOCH_MILLISECONDS else 1) - date.timestamp()
    elif dialect.milliseconds:
        reset /= 1000
    return min(whole, max(timedelta(0), whole - timedelta(seconds=reset)))


def _number(headers: Headers, name: str) -> float | None:
    text = headers.get(name, "").strip()
    return float(text) if text.replace(".", "", 1).isdigit() else None


def _date(headers: Headers) -> datetime | None:
    return _parse_date(headers.get("Date"))


def _parse_date(text: str | None) -> datetime | None:
    """Read an HTTP date as UTC; None if it is missing or is none."""
    try:
        moment = parsedate_to_datetime(text) if text else None
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment
