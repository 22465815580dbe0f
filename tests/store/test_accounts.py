"""Limits belong to accounts, health to providers; a budget of a day outlives whatever happens."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.heal import default_budget
from pipeline.plan import plan
from pipeline.providers.capabilities import Capabilities, RateLimit
from pipeline.providers.limiter import PausedError, Report
from pipeline.providers.options import ProviderOptions
from pipeline.providers.table import capabilities_for
from pipeline.store.cells import Cell
from pipeline.store.database import Database
from pipeline.store.limits import LedgerLimiter, budget_left
from pipeline.store.migrate import migrate
from pipeline.store.server import EmbeddedServer
from pipeline.store.standby import put_in_service
from tests.making import add_listing

ACCOUNT = "alpaca"
FREE = RateLimit(1000, 1.0)
DAY = 86_400.0


def query(database: Database, statement: str) -> list[tuple[object, ...]]:
    with database.connect() as connection:
        return connection.execute(statement.encode()).fetchall()


def say(limiter: LedgerLimiter, limit: RateLimit = FREE, budget: RateLimit | None = None) -> float:
    """Send and be answered at once; return when."""
    send = limiter.acquire(limit, 1, budget)
    now = time.monotonic()
    limiter.answered(send, Report())
    return now


def heaviest(sends: list[float], seconds: float) -> int:
    return max(sum(start <= one <= start + seconds for one in sends) for start in sends)


def test_two_providers_of_one_account_keep_one_limit_and_have_their_own_health(
    database: Database,
) -> None:
    limit = RateLimit(6, 0.5)
    sends: list[float] = []
    with (
        LedgerLimiter(database, "alpaca_sip", ACCOUNT) as sip,
        LedgerLimiter(database, "alpaca_iex", ACCOUNT) as iex,
    ):

        def ask(limiter: LedgerLimiter, times: int) -> None:
            sends.extend(say(limiter, limit) for _ in range(times))

        threads = [threading.Thread(target=ask, args=part) for part in ((sip, 10), (iex, 8))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert heaviest(sends, limit.seconds) <= limit.requests
    assert query(
        database,
        "SELECT provider, sum(requests)::int FROM market.provider_health GROUP BY 1 ORDER BY 1",
    ) == [("alpaca_iex", 8), ("alpaca_sip", 10)]
    assert query(database, "SELECT DISTINCT account FROM market.providers") == [(ACCOUNT,)]


def test_a_refusal_of_one_provider_holds_all_of_its_account_and_nobody_else(
    database: Database,
) -> None:
    with (
        LedgerLimiter(database, "alpaca_sip", ACCOUNT) as sip,
        LedgerLimiter(database, "alpaca_iex", ACCOUNT) as iex,
        LedgerLimiter(database, "elsewhere", "alpaca at http://mirror") as elsewhere,
    ):
        for limiter in (sip, iex, elsewhere):
            say(limiter)
        sip.pause(timedelta(hours=2), "go away", ban=True)
        with pytest.raises(PausedError, match="go away"):
            say(iex)
        say(elsewhere)
    assert query(
        database,
        "SELECT provider, pause_reason, bans::int FROM market.providers"
        " JOIN (SELECT provider, sum(bans) AS bans FROM market.provider_health GROUP BY 1) AS h"
        " USING (provider) ORDER BY 1",
    ) == [("alpaca_iex", "go away", 1), ("alpaca_sip", "go away", 1), ("elsewhere", None, 0)]


def test_both_limits_are_kept_and_the_longer_one_by_everybody_together(database: Database) -> None:
    limit, budget = RateLimit(5, 0.2), RateLimit(8, 2.0)
    sends: list[float] = []

    def ask(provider: str) -> None:
        with LedgerLimiter(database, provider, ACCOUNT) as limiter:
            sends.extend(say(limiter, limit, budget) for _ in range(6))

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sends) == 18
    assert heaviest(sends, limit.seconds) <= limit.requests
    # A thread may have to wait before it looks at its clock.
    assert heaviest(sends, 0.75 * budget.seconds) <= budget.requests
    assert max(sends) - min(sends) < 10  # and time is not wasted


def test_a_spent_budget_says_so_and_when_there_is_more(database: Database) -> None:
    budget = RateLimit(3, DAY)
    with LedgerLimiter(database, "alpha_vantage") as limiter:
        for _ in range(3):
            say(limiter, FREE, budget)
        for _ in range(2):
            with pytest.raises(PausedError, match="all that may be sent in 86400 s") as caught:
                say(limiter, FREE, budget)
        assert timedelta(hours=23) < caught.value.remaining < timedelta(hours=24.6)
        with pytest.raises(ValueError, match="more than the limit of 3"):
            limiter.acquire(FREE, 4, budget)
        say(limiter)  # what has no budget is not held by it
    with database.connect() as connection:
        assert budget_left(connection, "alpha_vantage", budget) == 0
        assert budget_left(connection, "alpha_vantage", RateLimit(5, DAY)) == 2
        assert budget_left(connection, "never asked", budget) == 3
        assert budget_left(connection, "alpha_vantage", None) is None


def test_a_crash_of_the_database_costs_a_window_and_neither_frees_nor_blocks_a_day(
    own_server: EmbeddedServer,
) -> None:
    database, limit, budget = Database(own_server), RateLimit(5, 1.0), RateLimit(4, DAY)
    with LedgerLimiter(database, "alpha_vantage") as limiter:
        for _ in range(3):
            say(limiter, limit, budget)
        own_server.stop("immediate")
        own_server.start()
        started = time.monotonic()
        assert 1.0 <= say(limiter, limit, budget) - started < 20
        with pytest.raises(PausedError):
            say(limiter, limit, budget)


def test_what_is_long_spent_is_forgotten(database: Database) -> None:
    budget = RateLimit(2, DAY)
    with LedgerLimiter(database, "alpha_vantage") as limiter:
        for _ in range(2):
            say(limiter, FREE, budget)
        with database.connect() as connection:
            connection.execute(
                "UPDATE ledger.spending SET slot = slot - make_interval(secs => %s)", [1.03 * DAY]
            )
        say(limiter, FREE, budget)
        assert query(database, "SELECT sum(weight)::int FROM ledger.spending") == [(1,)]


def test_a_clock_that_was_set_back_blocks_no_longer_than_the_budget_lasts(
    database: Database,
) -> None:
    budget = RateLimit(1, DAY)
    with LedgerLimiter(database, "alpha_vantage") as limiter:
        say(limiter, FREE, budget)
        with database.connect() as connection:
            connection.execute("UPDATE ledger.spending SET slot = slot + interval '30 days'")
        with pytest.raises(PausedError) as caught:
            say(limiter, FREE, budget)
    assert caught.value.remaining < timedelta(hours=24.6)


def test_repairs_and_plans_respect_a_budget(database: Database) -> None:
    slow = Capabilities(limit=RateLimit(5, 60.0), budget=RateLimit(25, DAY), bars_per_request=1440)
    assert default_budget(slow) == 50
    assert default_budget(slow, 25) == 25
    assert default_budget(slow, 0) == 0
    with database.connect() as connection:
        add_listing(connection)
        connection.commit()
        (provider, key) = connection.execute(
            "SELECT provider, key FROM ledger.listing"
        ).fetchone() or ("", "")
        cells = [Cell(key, datetime(2024, month, 1, tzinfo=UTC).date()) for month in range(1, 4)]
        found = plan(connection, provider, slow, cells, datetime(2024, 6, 1, tzinfo=UTC))
    # 25 can go today, and the others one every 24/25 hours.
    assert found.requests > 60
    assert found.seconds == pytest.approx((found.requests - 25) * DAY / 25)


def test_the_universe_says_what_the_budget_is() -> None:
    row = capabilities_for("binance", budget=RateLimit(100, DAY))
    assert row.budget == RateLimit(100, DAY)
    with pytest.raises(ValueError, match="allows nothing"):
        capabilities_for("binance", budget=RateLimit(0, DAY))


def test_an_account_is_a_client_at_an_address_and_never_a_key() -> None:
    plain = ProviderOptions(source="alpaca")
    at_venue = ProviderOptions(source="alpaca", base_url="http://127.0.0.1:1/alpaca", feed="iex")
    assert plain.account == "alpaca"
    assert at_venue.account == "alpaca at http://127.0.0.1:1/alpaca"


def test_a_pause_from_before_there_were_accounts_is_kept(database: Database) -> None:
    with database.connect() as connection:
        add_listing(connection)
        connection.commit()
    with LedgerLimiter(database, "my_exchange", "binance") as limiter:
        say(limiter)
        limiter.pause(timedelta(minutes=30), "from after")
    reason = "SELECT pause_reason FROM market.providers WHERE provider = 'my_exchange'"
    migrate(database, "0006")
    with database.connect() as connection:
        connection.execute(
            "SELECT ledger.pause_provider('my_exchange', 7200, true, 'from before', '90 days')"
        )
    assert query(database, reason) == [("from before",)]
    migrate(database)
    assert query(database, reason) == [("from before",)]
    with LedgerLimiter(database, "my_exchange", "binance") as limiter:
        for _ in range(2):
            with pytest.raises(PausedError, match="from before"):
                say(limiter)
    assert query(database, "SELECT DISTINCT account FROM ledger.pause") == [("binance",)]


def test_after_the_migration_a_limit_may_be_used_up(database: Database) -> None:
    migrate(database, "0006")
    with database.connect() as connection:
        connection.execute(
            "SELECT ledger.end_request('binance', gen_random_uuid(), 1, 'answered', 0.1, 0.0, NULL,"
            " NULL, NULL, NULL, interval '90 days')"
        )
    migrate(database)
    with LedgerLimiter(database, "binance") as limiter:
        started = time.monotonic()
        assert say(limiter, RateLimit(5, 1.0)) - started >= 1


@pytest.mark.parametrize("reason", [None, "APCA_API_KEY_ID not set"])
def test_the_first_request_to_a_provider_that_selection_knows_waits_for_nobody(
    database: Database, reason: str | None
) -> None:
    with database.connect() as connection:
        put_in_service(connection, {"binance": reason})
    with LedgerLimiter(database, "binance") as limiter:
        started = time.monotonic()
        assert say(limiter, RateLimit(5, 60.0)) - started < 30
