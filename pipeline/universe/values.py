"""What one value of the universe file may be: moments, delays, keys, names, addresses.

What the values mean together is for the models and for `pipeline.universe.conflicts`.
"""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from pipeline.consolidation import CONSOLIDATED
from pipeline.universe.wording import kind_of

EARLIEST_START = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?$"
KEY = r"^[A-Za-z0-9^][A-Za-z0-9._:^=-]*$"
PROVIDER = r"^[a-z][a-z0-9_]*$"
DELAY = r"^[1-9]\d*[mhdw]$"
BASE_URL = r"^(https?|tcp)://[^@?#]+$"

_INSTANT_HELP = "write 2020-01-31 or 2020-01-31T09:30Z (without a zone, UTC is meant)"
_DELAY_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class FileModel(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


def instant(value: object) -> datetime:
    """Read a date or time: a whole minute, in UTC when it names no zone."""
    if isinstance(value, str):
        if not re.match(INSTANT, value, re.ASCII):
            raise ValueError(f"is {value!r}, which is not a date or time; {_INSTANT_HELP}")
        value = _from_iso(value)
    if not isinstance(value, datetime):
        raise ValueError(f"must be a date or time; {_INSTANT_HELP}")  # noqa: TRY004  pydantic's
    try:
        moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError(f"is {value}, beyond the calendar; {_INSTANT_HELP}") from None
    if moment.second or moment.microsecond:
        raise ValueError(f"is {moment:%H:%M:%S}, inside a minute; use a whole minute")
    return moment


def _from_iso(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"is {text!r}: {error}; {_INSTANT_HELP}") from None


def delay(value: object) -> timedelta:
    """Read a length of time: a whole number and one letter, as in 90m, 1h, 7d or 2w."""
    if isinstance(value, timedelta):
        return value
    text = value if isinstance(value, str) else ""
    if not re.match(DELAY, text, re.ASCII):
        raise ValueError(f"is {kind_of(value)}, which is no delay; write 90m, 1h, 7d or 2w")
    try:
        return timedelta(**{_DELAY_UNITS[text[-1]]: int(text[:-1])})
    except OverflowError:
        raise ValueError(f"is {text!r}, beyond the calendar; write 90m, 1h, 7d or 2w") from None


def start(moment: datetime) -> datetime:
    """Check a start: not before `EARLIEST_START`, not in the future."""
    if moment < EARLIEST_START:
        raise ValueError(f"is {moment:%Y-%m-%d}, before any minute bars; use 1970-01-01 or later")
    if moment > datetime.now(UTC):
        raise ValueError(f"is {moment:%Y-%m-%d %H:%M} UTC, in the future; use a time that has been")
    return moment


def key(text: str) -> str:
    """Check a key: safe as a Dagster partition key, where `...` would mean a range."""
    if not re.match(KEY, text) or ".." in text:
        raise ValueError(
            f"is {text!r}, not usable as a key; use letters, digits and . _ : ^ = - (not first), "
            "as in BTC-USD or BRK.B"
        )
    return text


_TAKEN = {
    CONSOLIDATED: "the series of several providers are",
    "fundamentals": "that of several providers together is",
}


def provider_name(text: str) -> str:
    """Check a provider's name: safe as a name in Dagster and SQL."""
    if not re.match(PROVIDER, text):
        raise ValueError(
            f"is {text!r}, not usable as a provider's name; "
            "use lower-case letters, digits and _, a letter first"
        )
    if text in _TAKEN:
        raise ValueError(f"is {text}, which is what {_TAKEN[text]} called")
    return text


def zone(name: str) -> str:
    """Check the name of a time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # America is a folder, which no reading opens
        raise ValueError(
            f"is {name!r}, which is no IANA time zone; write America/New_York, Europe/London or UTC"
        ) from None
    return name


def base_url(url: str) -> str:
    """Check an address. One that is refused is not repeated: it may hold a password."""
    if set(url) & set("@?#"):
        raise ValueError(
            "must not carry a user, password or query; "
            "remove it, keys come from the environment (see .env.example)"
        )
    try:
        parts = urlsplit(url)
        of_gateway = parts.scheme == "tcp" and parts.port and not parts.path.strip("/")
        of_web = parts.scheme in {"http", "https"} and parts.port != 0
        usable = parts.hostname and (of_web or of_gateway)
    except ValueError:  # the port is not a number
        usable = False
    if not usable:
        if url.startswith("tcp:"):
            raise ValueError("is not the address of a gateway; write tcp://host:port")
        raise ValueError("is not a web address; write http://host:port/path or https://...")
    return url.rstrip("/")
