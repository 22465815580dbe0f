"""An instrument with three listings, and what its series should be."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from pipeline.building import build
from pipeline.calendars import session_named
from pipeline.catching_up import CaughtUp
from pipeline.consolidating import consolidate
from pipeline.intervals import MINUTE, Interval
from pipeline.settling import Settling
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.failures import Failure
from pipeline.store.listings import sync_universe
from pipeline.store.session import LedgerSession
from pipeline.universe import Universe
from tests import consolidated_oracle as right
from tests import oracle
from tests.consolidated_oracle import Feed
from tests.making import at, executed, made_up_minute, span, table
from tests.oracle import Bar, Day, Minute

START, END, LATER = at("2023-12-20"), at("2024-02-10"), at("2024-06-01")
NOWHERE = Settling((timedelta(days=1),))
TIMEFRAMES = ["5m", "4h", "1d", "1w", "1mo"]
NAMES = ("kraken", "binance", "bitfinex")


class Desk:
    """An instrument with three listings, and what was delivered of each."""

    def __init__(self, database: Database, session: str = "24x7", method: str = "primary") -> None:
        self.database, self.session_name, self.method = database, session, method
        self.order = list(NAMES)
        self.timeframes = TIMEFRAMES
        self.feeds = {name: Feed(name) for name in NAMES}
        self.session = LedgerSession(database)
        self.sync()

    def sync(self, **options: dict[str, str]) -> None:
        listed = {
            name: {"symbol": "IT", "end": END, **options.get(name, {})} for name in self.order
        }
        document: dict[str, Any] = {
            "start": START,
            "timeframes": list(self.timeframes),
            "consolidate": self.method,
            "providers": {name: {} for name in NAMES},
            "instruments": {
                "IT": {"class": "equity", "session": self.session_name, "listings": listed}
            },
        }
        universe = Universe.model_validate(document)
        self.session.run(lambda c: sync_universe(c, universe))
        self.ids: dict[str, int] = dict(self.execute("SELECT provider, id FROM ledger.listing"))

    def deliver(self, name: str, interval: Interval, share: float = 0.7, seed: int = 1) -> None:
        """Answer an interval, with bars in a share of its minutes."""
        generator = random.Random(f"{seed} {name} {interval}")
        known = self.feeds[name].minutes
        for month in interval.months():
            moments = [month.start + number * MINUTE for number in range(month.minutes)]
            rows = {
                ts: known.get(ts) or made_up_minute(generator)
                for ts in moments
                if ts in known or generator.random() < share
            }
            self.put(name, month, rows)

    def put(self, name: str, interval: Interval, rows: Mapping[datetime, Minute]) -> None:
        self.commit(name, interval, rows, (interval,), ())
        feed = self.feeds[name]
        feed.minutes.update(rows)
        feed.answered.update(interval.start + n * MINUTE for n in range(interval.minutes))

    def fail(self, name: str, interval: Interval) -> None:
        failure = Failure(interval, "RequestTimedOut", "no answer", retryable=True)
        self.commit(name, interval, {}, (), (failure,))

    def commit(self, name: str, around: Interval, rows: Any, answered: Any, failed: Any) -> None:
        bars = table({"ts": ts, **rows[ts]._asdict()} for ts in sorted(rows))
        month = around.start.date().replace(day=1)
        delivery = Delivery(
            self.ids[name], month, answered, bars, (), failed, received_at=LATER, settling=NOWHERE
        )
        self.session.run(lambda c: commit(c, delivery))

    def outage(self, name: str, interval: Interval) -> None:
        """Judge minutes without a bar to be an outage."""
        during = f"[{interval.start.isoformat()}, {interval.end.isoformat()})"
        self.execute(
            "INSERT INTO ledger.gap (listing_id, during, reason)"
            f" VALUES ({self.ids[name]}, '{during}', 'outage')"
        )
        feed = self.feeds[name]
        feed.outage.update(interval.start + n * MINUTE for n in range(interval.minutes))

    def trade_first(self, name: str, first: datetime) -> None:
        """Have a listing's first trade found, no later than what it has already."""
        feed = self.feeds[name]
        feed.first_trade = min([first, *feed.minutes, *feed.answered])
        self.execute(
            f"UPDATE ledger.listing SET first_trade = '{feed.first_trade}'"
            f" WHERE id = {self.ids[name]}"
        )

    def build(self, *, only: bool = False) -> CaughtUp | None:
        if not only:
            build(self.database, self.session, list(self.ids.values()))
        ((number,),) = self.execute("SELECT id FROM ledger.instrument")
        return consolidate(self.database, self.session, [number]).get(number)

    def days(self) -> list[Day]:
        rule = session_named(self.session_name)
        found = rule.trading(date(2024, 1, 1), date(2024, 2, 29))
        return [Day(one.day, [(piece.start, piece.end) for piece in one.open]) for one in found]

    def problems(self) -> list[str]:
        feeds = [self.feeds[name] for name in self.order]
        who = right.served(self.method, feeds)
        days = self.days()
        dates = {ts.date() for feed in feeds for ts in feed.answered}
        near = [day for day in days if {day.start.date(), day.end.date()} & dates]
        weeks = {day.day.isocalendar()[:2] for day in near}
        whole = {"1mo": days, "1w": [d for d in days if d.day.isocalendar()[:2] in weeks]}
        texts = self.problems_of_minutes(right.minutes(feeds, who))
        for name in self.timeframes:
            known = right.bars(name, whole.get(name, near), feeds, who)
            texts += self.problems_of_bars(name, known)
        return texts

    def problems_of_minutes(self, known: Mapping[datetime, tuple[str, Minute]]) -> list[str]:
        names = ", ".join(Minute._fields)
        rows = self.execute(f"SELECT ts, provider, {names} FROM market.consolidated_1m")
        found = {ts: (provider, Minute(*values)) for ts, provider, *values in rows}
        texts = ["a minute is there twice"] if len(found) != len(rows) else []
        texts += [
            f"1m {ts}: {found.get(ts)}, not {known.get(ts)}"
            for ts in sorted(found.keys() | known.keys())
            if not _alike(found.get(ts), known.get(ts))
        ]
        return texts

    def problems_of_bars(self, timeframe: str, known: list[tuple[Bar, str]]) -> list[str]:
        names = ", ".join(Bar._fields)
        view = f"market.consolidated_{timeframe}"
        rows = self.execute(f"SELECT provider, {names} FROM {view} ORDER BY ts")
        bars = [Bar(*values) for _, *values in rows]
        texts = oracle.differences(bars, [bar for bar, _ in known])
        whose = {bar.ts: name for bar, name in known}
        texts += [
            f"{bar.ts}: of {name}, not {whose[bar.ts]}"
            for bar, (name, *_) in zip(bars, rows, strict=True)
            if bar.ts in whose and name != whose[bar.ts]
        ]
        return [f"{timeframe} {text}" for text in texts]

    def versions(self) -> set[tuple[str, str, str]]:
        """Which transaction wrote each stored row, of segments and of what was built."""
        tables = [f"consolidated_{name}" for name in self.timeframes] + ["combined_1m"]
        found = {
            (name, str(ts), version)
            for name in tables
            for ts, version in self.execute(f"SELECT ts, xmin::text FROM ledger.{name}")
        }
        return found | {
            ("segment", f"{month} {number}", version)
            for month, number, version in self.execute(
                "SELECT month, listing_id, xmin::text FROM ledger.segment"
            )
        }

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return executed(self.session, statement)


def _alike(found: Any, known: Any) -> bool:
    if found is None or known is None or found[0] != known[0]:
        return False
    return all(
        one == other or (None not in {one, other} and math.isclose(one, other, rel_tol=1e-12))
        for one, other in zip(found[1], known[1], strict=True)
    )


def some(desk: Desk) -> None:
    """Minutes around the border of two months that three listings have in part."""
    desk.deliver("kraken", span("2024-01-30 00:00", "2024-01-30 14:52"))
    desk.deliver("kraken", span("2024-01-30 15:07", "2024-01-31 20:11"))
    desk.deliver("kraken", span("2024-02-01 15:33", "2024-02-02 18:00"))
    desk.deliver("binance", span("2024-01-30 14:40", "2024-01-30 15:00"))
    desk.deliver("binance", span("2024-01-31 18:00", "2024-02-01 14:47"))
    desk.deliver("bitfinex", span("2024-01-30 14:55", "2024-01-30 16:00"))
    desk.deliver("bitfinex", span("2024-02-01 10:00", "2024-02-01 23:59"))
