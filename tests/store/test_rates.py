"""Rates of exchange for comparing amounts, from the ledger's own bars of currencies."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from pipeline.following import follow
from pipeline.settling import Settling
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.listings import listings
from pipeline.store.rates import stored_rates
from pipeline.store.session import LedgerSession
from tests.fundamentals import DAY, Desk, said, universe
from tests.making import at, bar, span, table

EUR_USD = {
    "class": "fx",
    "listings": {"yahoo": {"symbol": "EURUSD=X", "start": "2024-09-01", "end": "2024-10-01"}},
}
SEPTEMBER, FRIDAY = span("2024-09-01", "2024-10-01"), at("2024-09-27T12:00")


@pytest.fixture
def desk(database: Database) -> Desk:
    """A ledger in which the euro was at 1.25 dollars on Friday, 2024-09-27."""
    about = universe("fmp", "yahoo")
    document = about.model_dump(by_alias=True, exclude_unset=True)
    document["instruments"]["EUR-USD"] = EUR_USD
    desk = Desk.of(database, type(about).model_validate(document))
    (listing,) = listings(desk.connection, "yahoo", ["EUR-USD"])
    minutes = [bar(FRIDAY + timedelta(minutes=n), 1.25) for n in range(30)]
    delivery = Delivery(
        listing_id=listing.id,
        month=SEPTEMBER.start.date(),
        answered=(SEPTEMBER,),
        bars=table(minutes),
        refused=(),
        failed=(),
        received_at=at("2025-06-01"),
        settling=Settling((timedelta(days=1),)),
    )
    commit(desk.connection, delivery)
    with LedgerSession(database) as session:
        follow(database, session, [listing.id])
    ((close,),) = desk.rows("SELECT close FROM market.consolidated_1d")
    assert close == pytest.approx(minutes[-1]["close"])
    return desk


def test_a_rate_is_the_close_of_the_day_or_the_last_before_it_either_way_round(desk: Desk) -> None:
    rates = stored_rates(desk.connection)
    ((close,),) = desk.rows("SELECT close FROM market.consolidated_1d")
    now = at("2025-02-01")
    assert rates("EUR", "USD", date(2024, 9, 27), now) == close
    assert rates("USD", "EUR", date(2024, 9, 28), now) == pytest.approx(1 / close)
    assert rates("EUR", "USD", date(2024, 9, 26), now) is None
    assert rates("EUR", "USD", date(2024, 11, 1), now) is None
    assert rates("EUR", "JPY", date(2024, 9, 27), now) is None


def test_a_session_that_is_not_over_at_a_moment_has_not_closed_by_then(desk: Desk) -> None:
    rates, friday = stored_rates(desk.connection), date(2024, 9, 27)
    ((over, close),) = desk.rows("SELECT before, close FROM market.consolidated_1d")
    assert rates("EUR", "USD", friday, over - timedelta(microseconds=1)) is None
    assert rates("EUR", "USD", friday, over) == close
    # What was worked out in the morning comes out the same when it is worked out anew.
    morning = at("2024-09-27T06:00")
    desk.hear("fmp", morning, said("market_cap", 100e9))
    desk.hear("yahoo", morning, said("market_cap", 80e9, currency="EUR"))
    desk.hear("fmp", morning - DAY, said("beta", 1.0))
    verdicts = [one["verdict"] for one in desk.combined(morning)["market_cap"]["candidates"]]
    assert verdicts == ["won", "other currency"]


def test_amounts_in_two_currencies_agree_by_the_rate_of_their_day(desk: Desk) -> None:
    ((close,),) = desk.rows("SELECT close FROM market.consolidated_1d")
    now = at("2025-02-01")
    desk.hear("fmp", now, said("revenue", 100e9 * close))
    desk.hear("yahoo", now, said("revenue", 100e9, currency="EUR"))
    row = desk.combined(now)["revenue"]
    assert (row["state"], row["currency"], row["provider"]) == ("agree", "USD", "fmp")
    other = row["candidates"][1]
    assert (other["value"], other["currency"]) == (100e9, "EUR")
    assert other["compared"] == pytest.approx(100e9 * close)
