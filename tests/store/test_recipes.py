"""Every recipe of the page runs as it stands there, by an analyst, and finds something."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.building import build
from pipeline.calendars import session_named
from pipeline.intervals import MINUTE, Interval
from pipeline.settling import Settling
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.failures import Failure
from pipeline.store.listings import listings, sync_universe
from pipeline.store.session import LedgerSession
from pipeline.universe import Universe
from tests.making import at, bar, span, table

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
RECIPES = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)

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


@pytest.fixture(scope="module")
def stocked(shared_database: Database) -> Database:
    """A ledger with all that the recipes ask for."""
    with LedgerSession(shared_database) as session:
        universe = Universe.model_validate(UNIVERSE)
        session.run(lambda c: sync_universe(c, universe))
        week = span("2024-03-01", "2024-03-08 10:00")
        for provider, price in (("bitfinex", 60_000.0), ("kraken", 60_010.0)):
            _deliver(session, provider, week, list(_bitcoin(week, price)))
        revised = span("2024-03-05", "2024-03-05 00:10")
        _deliver(session, "bitfinex", revised, list(_bitcoin(revised, 60_000.5)))
        weeks = span("2024-06-03", "2024-06-15")
        _deliver(session, "alpaca", weeks, list(_nvidia(date(2024, 6, 3), date(2024, 6, 14))))
        build(shared_database, session, [1, 2, 3])
    return shared_database


def _first_line(recipe: str) -> str:
    return " ".join(recipe.split())[:60]


@pytest.mark.parametrize("recipe", RECIPES, ids=_first_line)
def test_the_recipe_runs_for_an_analyst_and_finds_something(stocked: Database, recipe: str) -> None:
    with stocked.connect() as connection:
        connection.execute("SET ROLE analyst")
        rows = connection.execute(recipe.encode()).fetchall()
    assert rows
    assert not any(value is None for value in rows[0])


def test_the_page_has_recipes() -> None:
    assert len(RECIPES) > 15


def _rows(database: Database, part: str) -> list[Any]:
    (recipe,) = (recipe for recipe in RECIPES if part in recipe)
    with database.connect() as connection:
        return connection.execute(recipe.encode()).fetchall()


def test_the_split_shows_and_is_taken_out(stocked: Database) -> None:
    ((_, _, day, *_, ratio),) = _rows(stocked, "AS ratio")
    assert (day, round(ratio)) == (date(2024, 6, 10), 10)
    closes = [close for _, close, _ in _rows(stocked, "ELSE 1 END AS close")]
    assert max(closes) / min(closes) < 1.1


def test_a_day_of_new_york_has_its_390_minutes(stocked: Database) -> None:
    rows = _rows(stocked, "AS new_york")
    assert len(rows) == 390
    assert rows[0][0] == datetime(2024, 6, 10, 9, 30)  # noqa: DTZ001 - local, as it is shown
