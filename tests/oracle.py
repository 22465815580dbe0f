"""Bars of a timeframe as anybody would work them out by hand: minute by minute, in plain Python.

Written apart from the code under test, shares nothing with it, and is as slow as it looks.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import NamedTuple

_MINUTE = timedelta(minutes=1)


class Minute(NamedTuple):
    """A 1-minute bar."""

    open: float
    high: float
    low: float
    close: float
    volume: float | None = None
    vwap: float | None = None
    trades: int | None = None


@dataclass(frozen=True)
class Day:
    """A day of trading: its date, and its open ranges in order of time."""

    day: date
    open: Sequence[tuple[datetime, datetime]]

    @property
    def start(self) -> datetime:
        return self.open[0][0]

    @property
    def end(self) -> datetime:
        return self.open[-1][1]

    @cached_property
    def minutes(self) -> Sequence[datetime]:
        found = []
        for start, end in self.open:
            minute = start
            while minute < end:
                found.append(minute)
                minute += _MINUTE
        return found


class Bar(NamedTuple):
    ts: datetime
    before: datetime
    session_date: date
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    vwap: float | None
    trades: int | None
    minutes_expected: int
    minutes_present: int
    complete: bool


_LENGTHS = {"m": 1, "h": 60}


def bars(
    timeframe: str,
    days: Sequence[Day],
    minutes: Mapping[datetime, Minute],
    answered: Collection[datetime],
    first_trade: datetime | None = None,
) -> list[Bar]:
    """Return the bars of a timeframe.

    Args:
        timeframe: As in 5m, 4h, 1d, 1w, 1mo, 1y.
        days: All days of trading, in order of time, those without bars included.
        minutes: The bars by their minute.
        answered: The minutes for which the provider has answered.
        first_trade: Before it nothing is expected.
    """
    found = []
    for label, start, end, inside in _buckets(timeframe, days):
        present = [minutes[one] for one in inside if one in minutes]
        if present:
            expected = [one for one in inside if first_trade is None or one >= first_trade]
            found.append(
                Bar(
                    ts=start,
                    before=end,
                    session_date=label,
                    open=present[0].open,
                    high=max([one.high for one in present]),
                    low=min([one.low for one in present]),
                    close=present[-1].close,
                    volume=_sum([one.volume for one in present]),
                    vwap=_vwap(present),
                    trades=_trades([one.trades for one in present]),
                    minutes_expected=len(expected),
                    minutes_present=len(present),
                    complete=all(one in answered for one in expected),
                )
            )
    return found


def _buckets(
    timeframe: str, days: Sequence[Day]
) -> Iterator[tuple[date, datetime, datetime, Sequence[datetime]]]:
    if timeframe in {"1w", "1mo", "1y"}:
        labels: dict[date, list[Day]] = {}
        for day in days:
            labels.setdefault(_label(timeframe, day.day), []).append(day)
        for label, mine in labels.items():
            inside = [minute for day in mine for minute in day.minutes]
            yield label, mine[0].start, mine[-1].end, inside
        return
    for day in days:
        start, done = day.start, 0
        whole = day.end - day.start
        step = whole if timeframe == "1d" else _MINUTE * _minutes(timeframe)
        while start < day.end:
            end = min(start + step, day.end)
            until = bisect_left(day.minutes, end, done)
            yield day.day, start, end, day.minutes[done:until]
            start, done = end, until


def _minutes(timeframe: str) -> int:
    return int(timeframe[:-1]) * _LENGTHS[timeframe[-1]]


def _label(timeframe: str, day: date) -> date:
    if timeframe == "1w":
        while day.strftime("%a") != "Mon":
            day -= timedelta(days=1)
        return day
    return date(day.year, 1 if timeframe == "1y" else day.month, 1)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return math.fsum(known) if len(known) == len(values) else None


def _trades(values: Sequence[int | None]) -> int | None:
    known = [one for one in values if one is not None]
    return sum(known) if len(known) == len(values) else None


def _vwap(minutes: Sequence[Minute]) -> float | None:
    """Weigh by volume; where nothing was traded no price is needed."""
    volume, turnover = 0.0, 0.0
    for one in minutes:
        if one.volume is None or (one.volume and one.vwap is None):
            return None
        volume += one.volume
        turnover += one.volume * (one.vwap or 0.0)
    return turnover / volume if volume else None


def differences(found: Sequence[Bar], right: Sequence[Bar]) -> list[str]:
    """Return in what some bars differ from the right ones; sums may differ in their last digits."""
    by_start = {bar.ts: bar for bar in found}
    texts = [f"{bar.ts}: not there" for bar in right if bar.ts not in by_start]
    known = {bar.ts for bar in right}
    texts += [f"{bar.ts}: should not be there" for bar in found if bar.ts not in known]
    if len(by_start) != len(found):
        texts.append("bars are there twice")
    for bar in right:
        mine = by_start.get(bar.ts, bar)
        for name in Bar._fields if mine != bar else ():
            one, other = getattr(mine, name), getattr(bar, name)
            same = one == other
            if name in {"volume", "vwap"} and None not in {one, other}:
                same = math.isclose(one, other, rel_tol=1e-12)
            if not same:
                texts.append(f"{bar.ts}: {name} is {one}, not {other}")
    return texts
