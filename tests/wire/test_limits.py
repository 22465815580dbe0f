"""Limits, refusals and clocks, as the venue and the ledger see them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.intervals import Interval
from pipeline.providers import ProviderOptions, open_provider
from pipeline.providers.errors import MalformedAnswer, RateLimited
from pipeline.store.database import Database, DatabaseError
from pipeline.store.limits import LedgerLimiter
from pipeline.store.server import EmbeddedServer
from tests.wire.conftest import LISTED, Opener, recent
from venue import VenueProcess


@pytest.fixture
def limiter(database: Database) -> Iterator[LedgerLimiter]:
    with LedgerLimiter(database, "provider") as opened:
        yield opened


def query(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(statement.encode()).fetchall()


def pauses(database: Database) -> list[tuple[float, bool]]:
    """Return the seconds that each refusal asked for, and whether it was a ban."""
    return query(
        database,
        """
        SELECT extract(epoch FROM upper(during) - lower(during))::float8, ban
        FROM ledger.pause ORDER BY id
        """,
    )


@pytest.mark.parametrize("kind", ["rate_limit", "ban"])
def test_the_wait_that_a_refusal_asks_for_is_told_and_kept_to_the_second(
    kind: str, opened: Opener, venue: VenueProcess, database: Database, limiter: LedgerLimiter
) -> None:
    provider = opened("binance", limiter=limiter)
    venue.post_fault(kind, times=1, retry_after=7)
    with pytest.raises(RateLimited) as caught:
        provider.fetch_bars("BTC-USDT", "crypto_spot", recent(100))
    assert caught.value.retry_after == timedelta(seconds=7)
    assert pauses(database) == [(7.0, kind == "ban")]


def test_a_refusal_that_asks_for_no_wait_is_given_a_second(
    opened: Opener, venue: VenueProcess, database: Database, limiter: LedgerLimiter
) -> None:
    provider = opened("binance", limiter=limiter)
    venue.post_fault("rate_limit", times=1, retry_after=0)
    with pytest.raises(RateLimited):
        provider.fetch_bars("BTC-USDT", "crypto_spot", recent(100))
    assert pauses(database) == [(1.0, False)]


def test_a_refusal_that_names_no_wait_pauses_for_the_tables(
    opened: Opener, venue: VenueProcess, database: Database, limiter: LedgerLimiter
) -> None:
    provider = opened("bitfinex", limiter=limiter)
    venue.post_fault("rate_limit", times=1)
    with pytest.raises(RateLimited) as caught:
        provider.fetch_bars("BTC-USD", "crypto_spot", recent(100))
    assert caught.value.retry_after is None
    assert pauses(database) == [(60.0, False)]


def test_a_long_ban_is_told_to_every_client_at_once_and_nothing_more_is_sent(
    opened: Opener, venue: VenueProcess, database: Database, limiter: LedgerLimiter
) -> None:
    with LedgerLimiter(database, "provider") as its:
        provider, other = opened("binance", limiter=limiter), opened("binance", limiter=its)
        venue.post_fault("ban", times=1, retry_after=7200)
        for client in (provider, provider, other):
            with pytest.raises(RateLimited) as caught:
                client.fetch_bars("BTC-USDT", "crypto_spot", recent(100))
            assert caught.value.retry_after is not None
            assert caught.value.retry_after > timedelta(minutes=119)
    assert venue.requests()["total"] == 1
    assert len(pauses(database)) == 1


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("server_error", "ProviderUnavailable"),
        ("disconnect", "ProviderUnavailable"),
        ("not_json", "MalformedAnswer"),
        ("rate_limit", "RateLimited"),
    ],
)
def test_every_request_is_counted_once_with_what_became_of_it(
    kind: str, outcome: str, opened: Opener, venue: VenueProcess, database: Database
) -> None:
    limiter = LedgerLimiter(database, "provider")
    provider = opened("binance", limiter=limiter)  # one request for the list
    provider.fetch_bars("BTC-USDT", "crypto_spot", recent(100))
    venue.post_fault(kind, times=1, retry_after=0)
    with pytest.raises(Exception, match="binance"):
        provider.fetch_bars("BTC-USDT", "crypto_spot", recent(100))
    limiter.close()
    counts = query(
        database, "SELECT outcome, sum(requests)::int FROM ledger.fetch_log GROUP BY 1 ORDER BY 1"
    )
    assert sorted(counts) == sorted([("answered", 2), (outcome, 1)])


def test_many_threads_stay_within_the_venues_own_strict_limit(limiter: LedgerLimiter) -> None:
    market = {"BTC-USD": {"listed_at": LISTED.isoformat()}}
    config = {"exchanges": {"coinbase": {"markets": market}}}  # ten a second, as published
    with VenueProcess(config) as venue:
        options = ProviderOptions(source="coinbase", base_url=f"{venue.url}/coinbase")
        provider = open_provider("strict", options, limiter)
        start = datetime(2024, 5, 1, tzinfo=UTC)
        windows = list(Interval(start, datetime(2024, 5, 2, tzinfo=UTC)).split(48))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda w: provider.fetch_bars("BTC-USD", "crypto_spot", w), windows))
        counts = venue.requests()
        provider.close()
    assert counts["total"] == provider.requests_sent == 32
    assert {request["status"] for request in counts["requests"]} == {200}


def test_software_that_is_not_ours_is_left_its_part_of_the_limit(
    database: Database, limiter: LedgerLimiter
) -> None:
    market = {"BTC-USDT": {"listed_at": LISTED.isoformat()}}
    config = {"now": "2024-06-01T12:00:05Z", "exchanges": {"binance": {"markets": market}}}
    with VenueProcess(config) as venue, LedgerLimiter(database, "others") as others:
        options = ProviderOptions(source="binance", base_url=f"{venue.url}/binance")
        ours, theirs = (open_provider("binance", options, one) for one in (limiter, others))
        window = Interval(LISTED, LISTED + timedelta(minutes=1))
        with closing(ours), closing(theirs):
            for client in (theirs, theirs, theirs, ours):
                client.fetch_bars("BTC-USDT", "crypto_spot", window)
    # They have asked for the list, which weighs 20, and three times for bars, which weigh 2 each.
    noticed = query(
        database,
        """
        SELECT account, weight FROM ledger.request
        WHERE sent_at IS NULL AND weight > 0 ORDER BY account
        """,
    )
    assert noticed == [("provider", 26)]


@pytest.mark.parametrize("skew", [-3600, -600, 600, 3600])
def test_the_clock_of_the_venue_is_read_from_its_answers(
    skew: int, opened: Opener, venue: VenueProcess, database: Database, limiter: LedgerLimiter
) -> None:
    venue.set_clock(offset_seconds=skew)
    provider = opened("coinbase", limiter=limiter)
    assert provider.clock_skew is not None
    assert abs(provider.clock_skew.total_seconds() - skew) <= 1
    ((kept,),) = query(database, "SELECT clock_skew_seconds FROM market.providers")
    assert abs(kept - skew) <= 1


@pytest.mark.parametrize("shift", [-60, 60])
def test_a_feed_with_a_shifted_clock_says_so(
    shift: int, opened: Opener, venue: VenueProcess
) -> None:
    provider = opened("binance")
    assert provider.clock_skew == timedelta(0)
    venue.post_fault("clock_shift", shift_minutes=shift, times=1)
    provider.fetch_bars("BTC-USDT", "crypto_spot", recent(100, before=120))
    assert provider.clock_skew is not None
    assert abs(provider.clock_skew - timedelta(minutes=shift)) <= timedelta(seconds=1)


def test_an_answer_about_minutes_that_are_not_over_by_the_venues_clock_is_refused(
    opened: Opener, venue: VenueProcess
) -> None:
    provider = opened("coinbase")
    venue.set_clock(offset_seconds=-600)
    with pytest.raises(MalformedAnswer, match=r"(599|600) s behind ours"):
        provider.fetch_bars("BTC-USD", "crypto_spot", recent(30, before=5))
    assert len(provider.fetch_bars("BTC-USD", "crypto_spot", recent(30, before=11)))


def test_a_ledger_that_is_gone_is_not_taken_for_a_fault_of_the_provider(
    opened: Opener, own_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.store.session.RESTART_SECONDS", 0.1)
    database = Database(own_server, own_server.url("market"))
    with LedgerLimiter(database, "provider") as limiter:
        # Of Coinbase's two market lists ccxt does without the second, whatever keeps it from it.
        provider = opened("coinbase", limiter=limiter, listed=False)
        own_server.stop()
        with pytest.raises(DatabaseError, match="connect"):
            provider.markets()
        own_server.start()
        assert provider.markets()
        own_server.stop()
        with pytest.raises(DatabaseError, match="connect"):
            provider.fetch_bars("BTC-USD", "crypto_spot", recent(100))
        own_server.start()
