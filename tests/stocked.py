"""A ledger with all that the recipes and the notebook of the docs ask for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from pipeline.calendars import session_named
from pipeline.following import follow
from pipeline.intervals import MINUTE, Interval
from pipeline.settling import Settling
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.failures import Failure
from pipeline.store.listings import listings, sync_universe
from pipeline.store.session import LedgerSession
from pipeline.universe import Universe
from tests.making import at, bar, span, table

UNIVERSE = {
    "start": "2024-03-01",
    "providers": {"alpaca": {}, "bitfinex": {}, "kraken": {}},
    "instruments": {
        "BTC-USD": {
            "class": "crypto_spot",
            "listings": {"bitfinex": "BTC/USD", "kraken": "BTC/USD"},
        },
        "NVDA": {
            "class": "equity",
            "session": "XNYS",
            "listings": {"alpaca": {"symbol": "NVDA", "start": "2024-06-01"}},
        },
    },
}


def _deliver(session: LedgerSession, provider: str, during: Interval, rows: list[Any]) -> None:
    listing = session.run(lambda c: listings(c, provider))[0]
    after = Interval(during.end, during.end + timedelta(hours=2))
    delivery = Delivery(
        listing_id=listing.id,
        month=during.start.date().replace(day=1),
        answered=(during,),
        bars=table(rows),
        refused=(),
        failed=(Failure(after, "Timeout", "took too long", retryable=True),),
        received_at=at("2024-08-01"),
        settling=Settling((timedelta(days=1),)),
    )
    session.run(lambda c: commit(c, delivery))


def _bitcoin(during: Interval, price: float) -> Iterator[dict[str, Any]]:
    for number in range(during.minutes):
        ts = during.start + number * MINUTE
        if ts.minute % 7 != 3:  # nobody trades in every seventh minute
            yield bar(ts, price + number % 50)


def _nvidia(first: date, last: date) -> Iterator[dict[str, Any]]:
    for day in session_named("XNYS").trading(first, last):
        for piece in day.open:
            for number in range(-10, piece.minutes):  # some before the opening
                price = (1200.0 if day.day < date(2024, 6, 10) else 120.0) + number / 100
                yield bar(piece.start + number * MINUTE, price, vwap=price, trades=3)


def stock(database: Database) -> None:
    """Fill an empty ledger: a week of Bitcoin at two providers, two weeks of a stock."""
    with LedgerSession(database) as session:
        universe = Universe.model_validate(UNIVERSE)
        session.run(lambda c: sync_universe(c, universe))
        week = span("2024-03-01", "2024-03-08 10:00")
        for provider, price in (("bitfinex", 60_000.0), ("kraken", 60_010.0)):
            _deliver(session, provider, week, list(_bitcoin(week, price)))
        revised = span("2024-03-05", "2024-03-05 00:10")
        _deliver(session, "bitfinex", revised, list(_bitcoin(revised, 60_000.5)))
        weeks = span("2024-06-03", "2024-06-15")
        _deliver(session, "alpaca", weeks, list(_nvidia(date(2024, 6, 3), date(2024, 6, 14))))
        follow(database, session, [1, 2, 3])
