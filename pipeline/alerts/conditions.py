"""What is wrong now: the conditions that open alerts, in words that say what to do.

What belongs here: one function a kind of trouble. Runs that fail are no condition: see `runs`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import psycopg

from pipeline import endangered
from pipeline.alerts.model import Kind, Severity, Trouble
from pipeline.disk import room
from pipeline.endangered import Loss
from pipeline.selection import LONGEST_PAUSE
from pipeline.settings import Settings
from pipeline.store import troubles
from pipeline.store.coverage import CoverageRow, contradictions
from pipeline.store.held import Held, held_values
from pipeline.universe import Universe

LOST_WITHIN: Final = timedelta(days=5)
_LOST_TOMORROW: Final = timedelta(days=1)
_NAMED: Final = 5


def providers(
    connection: psycopg.Connection, now: datetime, stale_after: timedelta
) -> Iterator[Trouble]:
    """Yield providers that answer nobody, and listings that are stale at the others."""
    reasons: dict[str, list[str]] = {}
    since: dict[str, datetime] = {}
    aside = set()
    for one in troubles.out_of_service(connection, now, LONGEST_PAUSE):
        reasons.setdefault(one.provider, []).append(f"It is out of service: {one.reason}.")
        if not one.primary_:
            aside.add(one.provider)
    late = troubles.behind(connection, now, stale_after)
    for behind in (one for one in late if one.down):
        what = f"None of its {behind.listings} listings is up to date."
        reasons.setdefault(behind.provider, []).append(f"{what} {behind.error or ''}".strip())
        since[behind.provider] = behind.failing_since or behind.since
    for silent in troubles.unanswered(connection, now):
        what = f"It was asked in vain about {silent.failing} instruments."
        reasons.setdefault(silent.provider, []).append(f"{what} {silent.error or ''}".strip())
        since.setdefault(silent.provider, silent.since)
    for provider, why in reasons.items():
        severity: Severity = "warning" if provider in aside else "critical"
        yield _down(provider, why, since.get(provider, now), severity)
    yield from (_stale(one) for one in late if one.stale and one.provider not in reasons)


def _down(provider: str, why: Sequence[str], since: datetime, severity: Severity) -> Trouble:
    return Trouble(
        Kind.PROVIDER_DOWN,
        provider,
        severity,
        f"{provider} answers nobody",
        "\n".join(why) + "\nNothing is lost as long as it keeps its history: what is missing is "
        "asked for again by itself. Look whether its keys are right and its service is up: "
        "`minuteledger doctor` asks it once, `minuteledger status` shows how it has answered.",
        since,
        provider=provider,
    )


def _stale(behind: troubles.Behind) -> Trouble:
    few = f"{behind.stale} of {behind.listings} listings"
    why = f"\nThe last error: {behind.error}" if behind.error else ""
    return Trouble(
        Kind.STALE,
        behind.provider,
        "critical" if behind.stale == behind.listings else "warning",
        f"{few} of {behind.provider} are behind",
        f"Minutes are missing that should have been there for long, UTC:\n"
        f"{_listed(behind.worst or (), behind.stale)}{why}\n"
        f"Look at the sensor refresh_{behind.provider} and its runs: is it on, do they end well, "
        "does the run queue move? `minuteledger status` shows what is in the way.",
        behind.since,
        behind.stale,
        behind.provider,
    )


def given_up(connection: psycopg.Connection) -> Iterator[Trouble]:
    """Yield minutes that nobody asks for any more."""
    for one in troubles.given_up(connection):
        yield Trouble(
            Kind.GIVEN_UP,
            one.provider,
            "warning",
            f"{_are(one.minutes, 'minute', 'minutes', one.provider)} given up",
            f"They were asked for in vain until nobody asked any more, UTC:\n"
            f"{_listed(one.worst, one.ranges)}\nThe longest failed with: {one.error}\n"
            "Mend what it says; then `minuteledger heal --retry-given-up` asks again. "
            "market.failures has them all, with the reason in given_up.",
            one.since,
            one.minutes,
            one.provider,
        )


def refused(connection: psycopg.Connection) -> Iterator[Trouble]:
    """Yield refused deliveries that stand."""
    for one in troubles.refused(connection):
        yield Trouble(
            Kind.REFUSED,
            one.provider,
            "critical",
            f"{_are(one.deliveries, 'delivery', 'deliveries', one.provider)} refused",
            f"They contradict what is stored, and nothing of them was taken; of {one.listings} "
            f"listings perhaps nothing new is, either:\n{_listed(one.worst, one.deliveries)}\n"
            "Look at them with `minuteledger revisions`: correct the provider's stamps or symbol "
            "in the universe, or take one with `minuteledger revisions accept ID`.",
            one.since,
            one.deliveries,
            one.provider,
        )


def held(connection: psycopg.Connection) -> Iterator[Trouble]:
    """Yield values of fundamentals that are held back."""
    by_provider: dict[str, list[Held]] = {}
    for value in held_values(connection):
        by_provider.setdefault(value.provider, []).append(value)
    for provider, values in by_provider.items():
        said = [f"{one.instrument} {one.field}: {one.why}" for one in values[:_NAMED]]
        yield Trouble(
            Kind.HELD,
            provider,
            "warning",
            f"{_are(len(values), 'value', 'values', provider)} held back",
            f"They look like a change of unit, and older ones count in their place:\n"
            f"{_listed(said, len(values))}\n`minuteledger snapshots held` shows them with what "
            "counts instead; `minuteledger snapshots accept` takes those that are right.",
            min(one.since for one in values),
            len(values),
            provider,
        )


def identity(connection: psycopg.Connection, now: datetime) -> Iterator[Trouble]:
    """Yield months whose minutes do not add up; there should never be one."""
    by_provider: dict[str, list[CoverageRow]] = {}
    for row in contradictions(connection):
        by_provider.setdefault(row.provider, []).append(row)
    for provider, rows in by_provider.items():
        said = [
            f"{one.listing} {one.month:%Y-%m}: {one.expected} expected, {one.bars} bars + "
            f"{one.empty} empty + {one.failed} failed + {one.unavailable} unavailable + "
            f"{one.pending} pending"
            for one in rows[:_NAMED]
        ]
        yield Trouble(
            Kind.IDENTITY,
            provider,
            "critical",
            f"The minutes of {provider} do not add up",
            f"This must never be: the ledger contradicts itself.\n{_listed(said, len(rows))}\n"
            "Trust nothing of these months; `minuteledger status --check` tells all of it. It is "
            "a defect of the software, or somebody changed the tables by hand: report it.",
            now,
            len(rows),
            provider,
        )


def soon_lost(
    connection: psycopg.Connection, universe: Universe, now: datetime
) -> Iterator[Trouble]:
    """Yield minutes that were never answered, and soon cannot be asked for."""
    by_provider: dict[str, list[Loss]] = {}
    for loss in endangered.soon_lost(connection, universe, now, LOST_WITHIN):
        by_provider.setdefault(loss.threat.provider, []).append(loss)
    for provider, losses in by_provider.items():
        minutes = sum(one.threat.minutes for one in losses)
        first = min(one.lost_at for one in losses)
        said = [
            f"{one.threat.listing} {one.threat.month:%Y-%m}: {one.threat.minutes} minutes from "
            f"{one.threat.first:%Y-%m-%d %H:%M} on, lost at {one.lost_at:%Y-%m-%d %H:%M}"
            for one in losses[:_NAMED]
        ]
        yield Trouble(
            Kind.SOON_LOST,
            provider,
            "critical" if first - now < _LOST_TOMORROW else "warning",
            f"{_are(minutes, 'minute', 'minutes', provider)} soon lost for ever",
            f"They were never answered, and {provider} keeps its newest minutes only, UTC:\n"
            f"{_listed(said, len(losses))}\nRepair asks for them first; see why it does not get "
            f"them with `minuteledger heal --provider {provider}` and `minuteledger status`.",
            now,
            minutes,
            provider,
        )


def disk(settings: Settings, now: datetime) -> Iterator[Trouble]:
    """Yield a disk that is nearly full, where the ledger is on one of ours."""
    if settings.database_url is not None:
        return
    found = room(settings.postgres_dir)
    if found.state != "enough":
        yield Trouble(
            Kind.DISK,
            "ledger",
            "critical" if found.state == "nothing" else "warning",
            f"The disk of the ledger is nearly full: {found}",
            "Without room PostgreSQL stops, and nothing is collected any more; a million bars take "
            "0.11 GiB. Make room, or move the home folder (MINUTELEDGER_HOME) to a larger disk "
            "while nothing runs.",
            now,
        )


def _are(number: int, one: str, several: str, provider: str) -> str:
    noun, verb = (one, "is") if number == 1 else (several, "are")
    return f"{number:,} {noun} of {provider} {verb}"


def _listed(said: Sequence[str], number: int) -> str:
    more = [f"- and {number - len(said)} more"] if number > len(said) else []
    return "\n".join([*(f"- {one}" for one in said), *more])
