"""The universe file's sessions: when markets are open that need to be told.

What belongs here: their models, and which session an instrument keeps if nothing is said. The rules
themselves are `pipeline.calendars`'.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, time
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pipeline.calendars import ALWAYS, KNOWN, session_named
from pipeline.sessions import ExchangeSession, Session
from pipeline.universe import values
from pipeline.universe.wording import nearest
from pipeline.weekly import SPAN_HELP, WeeklySession, read_span

_EXCHANGES = "XNYS is New York, XLON London; exchange_calendars lists them all"


def _exchange(name: str) -> str:
    session = _known(name)
    if not isinstance(session, ExchangeSession):
        raise ValueError(f"is {name!r}, which is no exchange; {_EXCHANGES}")  # noqa: TRY004
    return name


def session_name(name: str) -> str:
    """Check the name of a session, which may be one that the file declares."""
    if not name.strip():
        raise ValueError("is blank; write 24x7, 24x5, XNYS, or one declared under sessions")
    return name.strip()


def _known(name: str) -> Session:
    try:
        return session_named(name)
    except ValueError:
        raise ValueError(f"is {name!r}, which is no session; {_EXCHANGES}") from None


def _span(text: str) -> str:
    list(read_span(text))
    return text


def _clock(value: object) -> object:
    try:
        return time.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(f"is {value!r}, which is no time of day; write 04:00") from None


Clock = Annotated[time, BeforeValidator(_clock)]


class SessionConfig(values.FileModel):
    """When a market is open: an exchange's regular sessions, or hours of its own."""

    exchange: Annotated[str, AfterValidator(_exchange)] | None = None
    """The exchange whose regular sessions it keeps, by its name in exchange_calendars (XNYS)."""
    extended: tuple[Clock, Clock] | None = Field(None, examples=["[04:00, 20:00]"])
    """Start and end of its extended hours, in the exchange's time: asked for, and not expected."""
    zone: Annotated[str, AfterValidator(values.zone)] | None = None
    """The time zone of the hours below."""
    hours: tuple[Annotated[str, AfterValidator(_span)], ...] = ()
    """Hours of every week, as in [Mon-Fri 09:30 - 16:00], or [Sun 17:00 - Fri 17:00] for one span
    over days."""
    closed: tuple[date, ...] = ()
    """Days on which these hours do not hold."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.exchange is None) == (not self.hours):
            raise ValueError(f"needs either an exchange, or a zone and hours; {SPAN_HELP}")
        if self.hours and self.zone is None:
            raise ValueError("has hours without a zone; write zone: America/New_York")
        if self.exchange is not None and (self.zone or self.closed):
            raise ValueError("has an exchange, which knows its zone and days; remove these")
        if self.hours and self.extended:
            raise ValueError("has extended hours without an exchange; write them as hours")
        return self

    @property
    def session(self) -> Session:
        """The rule."""
        if self.exchange is not None:
            known = session_named(self.exchange)
            usual = known.extended if isinstance(known, ExchangeSession) else None
            return ExchangeSession(self.exchange, self.extended or usual)
        return WeeklySession(self.zone or "UTC", self.hours, self.closed)


def default_session(asset_class: str) -> str:
    """Return the session that instruments of a class keep if nothing is said."""
    if asset_class.startswith("crypto"):
        return ALWAYS
    return "24x5" if asset_class == "fx" else "XNYS"


def unknown_session(name: object, declared: Iterable[str]) -> str | None:
    """Say what is wrong with the name of a session; None when it is one.

    Args:
        name: What was written; None when nothing was.
        declared: The names of the sessions that the file declares.
    """
    if not isinstance(name, str) or name in (known := [*declared]):
        return None
    try:
        session_named(name)
    except ValueError:
        hint = nearest(name, [*known, *KNOWN])
        return f"is {name!r}, which is no session{hint}; declare it under sessions, or correct it"
    return None
