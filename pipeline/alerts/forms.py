"""The forms in which news of alerts are sent. docs/alerts.md documents them.

What belongs here: pure functions from news to documents. Receivers rely on the JSON form: what is
in it stays, and a change that could break one gets another version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pipeline.alerts.model import Alert, Event, Kind, News

VERSION: Final = 1
_SHOWN: Final = 15
"""Slack takes 50 blocks a message; people read fewer."""
_LONGEST_TITLE: Final = 150
_LONGEST_TEXT: Final = 2_800
"""Slack takes 3,000 characters a block."""
_MARKS: Final[Mapping[str, str]] = {
    "critical": ":red_circle:",
    "warning": ":large_yellow_circle:",
    "resolved": ":white_check_mark:",
}
_WORDS: Final[Mapping[Event, str]] = {
    "opened": "new",
    "reminder": "still open",
    "resolved": "resolved",
}
_TEST: Final = "A test message of Minute Ledger: alerts reach this place."


def as_json(news: Sequence[News], now: datetime, *, test: bool = False) -> dict[str, Any]:
    """Return news in the generic form.

    Args:
        news: What is to be told.
        now: When it is sent, UTC.
        test: Whether it is a test message, which tells of no alert.
    """
    return {
        "version": VERSION,
        "source": "minuteledger",
        "test": test,
        "sent_at": _stamp(now),
        "summary": _TEST if test else summary(news),
        "alerts": [_document(one) for one in news],
    }


def as_slack(news: Sequence[News], now: datetime, *, test: bool = False) -> dict[str, Any]:
    """Return news as Slack and what is like it read them; arguments as of `as_json`."""
    text = _TEST if test else f"Minute Ledger: {summary(news)}"
    blocks = [_section(f"*{_escaped(text)}*"), *(_block(one) for one in news[:_SHOWN])]
    if len(news) > _SHOWN:
        left = f"... and {len(news) - _SHOWN} more: `minuteledger alerts` lists all that stand."
        blocks.append(_section(left))
    lines = [_escaped(text), *(_escaped(_line(one)) for one in news[:_SHOWN])]
    del now  # the receiver has a clock of its own
    return {"text": "\n".join(lines), "blocks": blocks}


def summary(news: Sequence[News]) -> str:
    """Return news in a line: one in words, several as numbers."""
    if len(news) == 1:
        return _line(news[0])
    counts = Counter(one.event for one in news)
    return ", ".join(f"{counts[event]} {word}" for event, word in _WORDS.items() if counts[event])


def _line(one: News) -> str:
    alert = one.alert
    often = f", {alert.count} times" if alert.kind == Kind.RUN_FAILED and alert.count > 1 else ""
    return f"{_WORDS[one.event]}: {alert.title}{often}{_lasted(alert)}"


def _lasted(alert: Alert) -> str:
    if alert.resolved_at is None:
        return ""
    minutes = int((alert.resolved_at - alert.opened_at).total_seconds()) // 60
    return f" (open for {minutes // 60} h {minutes % 60:02} min)"


def _document(one: News) -> dict[str, Any]:
    alert = one.alert
    return {
        "event": one.event,
        "id": alert.id,
        "key": alert.key,
        "kind": alert.kind,
        "provider": alert.provider,
        "severity": alert.severity,
        "title": alert.title,
        "text": alert.text,
        "count": alert.count,
        "since": _stamp(alert.since),
        "opened_at": _stamp(alert.opened_at),
        "last_seen_at": _stamp(alert.last_seen_at),
        "resolved_at": _stamp(alert.resolved_at) if alert.resolved_at else None,
    }


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _block(one: News) -> dict[str, Any]:
    mark = _MARKS["resolved" if one.event == "resolved" else one.alert.severity]
    title = _cut(_line(one), _LONGEST_TITLE)
    body = ""
    if one.event != "resolved":
        since = f"Since {one.alert.since:%Y-%m-%d %H:%M} UTC."
        body = f"\n{_cut(one.alert.text, _LONGEST_TEXT // 2)}\n{since}"
    return _section(f"{mark} *{_escaped(title)}*{_escaped(body)}")


def _section(text: str) -> dict[str, Any]:
    # Escapes make it longer: it is cut once more, but never in the middle of one.
    if len(text) > _LONGEST_TEXT:
        head = text[:_LONGEST_TEXT]
        text = head[: head.rfind("&")] if head.rfind("&") > head.rfind(";") else head
        text += "..."
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
