"""Errors, limits and plans of Alpaca, as the real alpaca-py meets them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.intervals import Interval
from pipeline.providers import open_provider
from pipeline.providers.alpaca_client import AlpacaProvider
from pipeline.providers.errors import (
    AuthenticationFailed,
    MalformedAnswer,
    MissingKeys,
    NotServedYet,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestTimedOut,
    Unsupported,
)
from pipeline.providers.limiter import Unlimited
from pipeline.providers.options import ProviderOptions
from pipeline.store.database import Database
from pipeline.store.limits import LedgerLimiter
from tests.wire.stocks import (
    HOUR,
    NOW,
    AlpacaOpener,
    keys,
)
from venue import VenueProcess


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("server_error", ProviderUnavailable),
        ("disconnect", ProviderUnavailable),
        ("timeout", RequestTimedOut),
        ("truncated", MalformedAnswer),
        ("truncated_json", MalformedAnswer),
        ("not_json", MalformedAnswer),
        ("empty_object", MalformedAnswer),
        ("rate_limit", RateLimited),
        ("not_paid", NotServedYet),
    ],
)
@pytest.mark.parametrize("what", ["bars", "assets"])
def test_trouble_is_retryable_is_asked_once_and_passes(
    what: str,
    kind: str,
    error: type[ProviderError],
    alpaca: AlpacaOpener,
    stock_venue: VenueProcess,
) -> None:
    provider = alpaca(listed=what == "bars", timeout_seconds=5)

    def ask() -> object:
        return provider.fetch_bars("AAPL", "equity", HOUR) if what == "bars" else provider.markets()

    stock_venue.post_fault(kind, times=1)
    with pytest.raises(error) as caught:
        ask()
    assert caught.value.retryable
    assert stock_venue.requests()["total"] == 1
    assert ask()


def test_a_refusal_says_to_the_second_when_the_limit_is_new(
    alpaca: AlpacaOpener, stock_venue: VenueProcess, database: Database
) -> None:
    with LedgerLimiter(database, "alpaca") as limiter:
        provider = alpaca(limiter=limiter)
        stock_venue.post_fault("rate_limit", times=1, retry_after=7)
        with pytest.raises(RateLimited) as caught:
            provider.fetch_bars("AAPL", "equity", HOUR)
    assert caught.value.retry_after in {timedelta(seconds=7), timedelta(seconds=8)}
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT extract(epoch FROM upper(during) - lower(during))::int FROM ledger.pause"
        ).fetchall()
    assert rows == [(caught.value.retry_after.total_seconds(),)]


def test_what_others_use_of_the_limit_is_read_from_the_headers(database: Database) -> None:
    exchanges: dict[str, object] = {"alpaca": {"markets": {"AAPL": {}}}}
    standing = {"now": NOW.isoformat(), "speed": 0, "exchanges": exchanges}
    with VenueProcess(standing) as limited, LedgerLimiter(database, "alpaca") as limiter:
        options = ProviderOptions(
            source="alpaca",
            base_url=f"{limited.url}/alpaca",
            keys=keys(),
            asset_classes=("equity",),
        )
        others = AlpacaProvider("others", options, limiter=Unlimited())
        for _ in range(20):
            others._assets(others._hosts[0], {})
        ours = AlpacaProvider("alpaca", options, limiter=limiter)
        ours.markets()
        with database.connect() as connection:
            row = connection.execute(
                "SELECT weight FROM ledger.request WHERE sent_at IS NULL"
            ).fetchone()
        others.close()
        ours.close()
    assert row == (20,)


def test_recent_minutes_of_all_exchanges_are_asked_for_when_the_free_plan_has_them(
    alpaca: AlpacaOpener,
) -> None:
    provider = alpaca()
    final = NOW - provider.capabilities.lag
    ripe = Interval(final.replace(second=0) - timedelta(minutes=30), final.replace(second=0))
    assert provider.fetch_bars("AAPL", "equity", ripe).num_rows == 30
    recent = Interval(ripe.start, NOW.replace(second=0))
    with pytest.raises(NotServedYet, match="remove `lag`") as caught:
        provider.fetch_bars("AAPL", "equity", recent)
    assert caught.value.retry_after == timedelta(minutes=15)
    assert alpaca(feed="iex").capabilities.lag == timedelta(minutes=1)
    assert alpaca(lag=timedelta(minutes=2)).capabilities.lag == timedelta(minutes=2)


def test_wrong_keys_are_named_by_their_variables(alpaca: AlpacaOpener) -> None:
    provider = alpaca(listed=False, keys=keys("PKOTHER", "other"))
    for ask in (provider.markets, lambda: provider._ask(["AAPL"], HOUR)):
        with pytest.raises(AuthenticationFailed, match="APCA_API_KEY_ID and APCA_API_SECRET_KEY"):
            ask()
    with pytest.raises(MissingKeys, match="APCA_API_KEY_ID and APCA_API_SECRET_KEY not set"):
        open_provider("alpaca", ProviderOptions(source="alpaca"), Unlimited())


def test_what_it_does_not_serve_is_said_at_once(alpaca: AlpacaOpener) -> None:
    with pytest.raises(Unsupported, match="crypto_spot"):
        alpaca(asset_classes=("equity", "crypto_spot"))
    with pytest.raises(Unsupported, match="feed 'otc'"):
        alpaca(feed="otc")
    with pytest.raises(Unsupported, match="not for etf"):
        alpaca(asset_classes=("equity",)).fetch_bars("SPY", "etf", HOUR)
