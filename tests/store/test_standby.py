"""Standbys, on a real database: who is asked for what when another fails to deliver."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.providers.options import ProviderOptions
from pipeline.selection import out_of_service
from pipeline.settling import Settling
from pipeline.store.coverage import CoverageRow, coverage, mark_unavailable
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.failures import Failure
from pipeline.store.health import ProviderHealth
from pipeline.store.listings import listings, sync_universe
from pipeline.store.losses import threats
from pipeline.store.reasons import gaps
from pipeline.store.standby import decisions, follow_needs, needed, put_in_service
from pipeline.store.work import Rules, find_work, work_of
from pipeline.universe import Universe
from tests.making import at, bars, span, table

MARCH = date(2024, 3, 1)
WHOLE = Interval.month(MARCH)
MISSED = span("2024-03-10 06:00", "2024-03-10 09:00")
LATER = at("2024-06-01")
DAILY = Settling((timedelta(days=1),))
NOBODY = "KEY not set"


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect() as connection:
        connection.autocommit = True
        yield connection


def universe(providers: list[str], **roles: str) -> Universe:
    listed = {
        name: {"symbol": "BTC/USD", "end": "2024-04-01"}
        | ({"role": roles[name]} if name in roles else {})
        for name in ("bitfinex", "coinbase", "kraken")
    }
    document: dict[str, Any] = {
        "start": "2024-03-01",
        "providers": {name: {} for name in listed},
        "selection": [{"class": "crypto_spot", "providers": providers}] if providers else [],
        "instruments": {"BTC-USD": {"class": "crypto_spot", "listings": listed}},
    }
    return Universe.model_validate(document)


@pytest.fixture
def chain(connection: psycopg.Connection) -> dict[str, Listing]:
    """Bitfinex first; if it fails coinbase, and if that fails, too, kraken."""
    sync_universe(connection, universe(["bitfinex", "coinbase", "kraken"]))
    return {name: listings(connection, name)[0] for name in ("bitfinex", "coinbase", "kraken")}


def deliver(
    connection: psycopg.Connection, listing: Listing, *answered: Interval, failed: Interval | None
) -> None:
    failures = [Failure(failed, "RequestTimedOut", "no answer", retryable=True)] if failed else []
    rows = table(row for piece in answered for row in bars(piece).to_pylist())
    commit(
        connection,
        Delivery(listing.id, MARCH, answered, rows, (), tuple(failures), LATER, DAILY),
    )
    with connection.transaction():
        follow_needs(connection, [listing.id])


def rows(connection: psycopg.Connection) -> dict[str, CoverageRow]:
    found = {row.provider: row for row in coverage(connection)}
    assert all(row.adds_up for row in found.values())
    return found


def open_ranges(connection: psycopg.Connection, listing: Listing) -> list[Interval]:
    return list(work_of(connection, listing.id, WHOLE, Rules(LATER, DAILY)).needed)


def test_nothing_is_wanted_of_a_standby_while_its_primary_delivers(
    connection: psycopg.Connection, chain: dict[str, Listing]
) -> None:
    deliver(connection, chain["bitfinex"], WHOLE, failed=None)
    assert set(rows(connection)) == {"bitfinex"}
    assert open_ranges(connection, chain["coinbase"]) == []
    assert find_work(connection, "coinbase", Rules(LATER, DAILY), final=LATER, reach=None) == []
    assert gaps(connection, "coinbase") == []


def test_a_standby_is_asked_for_exactly_what_failed_and_keeps_its_own_name(
    connection: psycopg.Connection, chain: dict[str, Listing]
) -> None:
    before, after = Interval(WHOLE.start, MISSED.start), Interval(MISSED.end, WHOLE.end)
    deliver(connection, chain["bitfinex"], before, after, failed=MISSED)
    assert open_ranges(connection, chain["coinbase"]) == [MISSED]
    assert open_ranges(connection, chain["kraken"]) == []
    assert rows(connection)["coinbase"].expected == rows(connection)["coinbase"].pending == 180
    (gap,) = gaps(connection, "coinbase")
    assert (gap.since, gap.before, gap.reason) == (MISSED.start, MISSED.end, "pending")

    deliver(connection, chain["coinbase"], MISSED, failed=None)
    row = rows(connection)["coinbase"]
    assert (row.expected, row.bars, row.pending) == (180, 180, 0)
    names = connection.execute(
        "SELECT DISTINCT provider FROM market.bars_1m WHERE ts >= %s AND ts < %s",
        [MISSED.start, MISSED.end],
    ).fetchall()
    assert names == [("coinbase",)]


def test_the_next_in_turn_is_asked_for_what_the_one_before_it_failed_to_deliver(
    connection: psycopg.Connection, chain: dict[str, Listing]
) -> None:
    first, second = (
        span("2024-03-10 06:00", "2024-03-10 07:00"),
        span("2024-03-10 07:00", "2024-03-10 09:00"),
    )
    deliver(connection, chain["bitfinex"], Interval(WHOLE.start, MISSED.start), failed=MISSED)
    deliver(connection, chain["coinbase"], first, failed=second)
    assert open_ranges(connection, chain["kraken"]) == [second]
    latest = decisions(connection)[0]
    assert (latest.provider, latest.decision) == ("kraken", "asked for 120 minutes of 2024-03")
    assert "bitfinex BTC-USD: 180 failed" in latest.reason
    assert "coinbase BTC-USD: 120 failed" in latest.reason


def test_what_is_no_longer_served_and_outages_are_asked_of_the_standby(
    connection: psycopg.Connection, chain: dict[str, Listing]
) -> None:
    lost = span("2024-03-01", "2024-03-02")
    mark_unavailable(connection, chain["bitfinex"].id, lost)
    deliver(connection, chain["bitfinex"], Interval(lost.end, WHOLE.end), failed=None)
    connection.execute(
        "INSERT INTO ledger.gap (listing_id, during, reason) VALUES (%s, %s::tstzrange, 'outage')",
        [chain["bitfinex"].id, "[2024-03-20 10:00+00, 2024-03-20 11:00+00)"],
    )
    with connection.transaction():
        follow_needs(connection)
    assert open_ranges(connection, chain["coinbase"]) == [
        lost,
        span("2024-03-20 10:00", "2024-03-20 11:00"),
    ]
    assert "1440 no longer served" in decisions(connection)[0].reason
    assert "60 in an outage" in decisions(connection)[0].reason


def test_what_the_primary_delivers_in_the_end_is_not_wanted_any_more(
    connection: psycopg.Connection, chain: dict[str, Listing]
) -> None:
    before, after = Interval(WHOLE.start, MISSED.start), Interval(MISSED.end, WHOLE.end)
    deliver(connection, chain["bitfinex"], before, after, failed=MISSED)
    deliver(connection, chain["bitfinex"], MISSED, failed=None)
    assert open_ranges(connection, chain["coinbase"]) == []
    assert set(rows(connection)) == {"bitfinex"}
    assert decisions(connection)[0].decision == "no longer needed in 2024-03"


def test_what_a_standby_has_answered_stays_when_it_is_not_wanted_any_more(
    connection: psycopg.Connection, chain: dict[str, Listing]
) -> None:
    deliver(connection, chain["bitfinex"], Interval(WHOLE.start, MISSED.start), failed=MISSED)
    deliver(connection, chain["coinbase"], MISSED, failed=None)
    deliver(connection, chain["bitfinex"], MISSED, failed=None)
    assert rows(connection)["coinbase"].bars == rows(connection)["coinbase"].expected == 180


def test_all_that_is_pending_goes_to_the_standby_of_a_provider_out_of_service(
    connection: psycopg.Connection, chain: dict[str, Listing]
) -> None:
    answered = Interval(WHOLE.start, MISSED.start)
    deliver(connection, chain["bitfinex"], answered, failed=None)
    with connection.transaction():
        put_in_service(connection, {"bitfinex": NOBODY, "coinbase": NOBODY, "kraken": None})
        follow_needs(connection)
    rest = Interval(answered.end, WHOLE.end)
    assert open_ranges(connection, chain["coinbase"]) == [rest]
    assert open_ranges(connection, chain["kraken"]) == [rest]
    said = [one.decision for one in decisions(connection) if one.listing is None]
    assert said == ["out of service", "out of service"]
    with connection.transaction():
        put_in_service(connection, {"bitfinex": None, "coinbase": NOBODY, "kraken": None})
        follow_needs(connection)
    assert open_ranges(connection, chain["kraken"]) == []
    assert next(one.decision for one in decisions(connection) if one.listing is None) == (
        "in service again"
    )


def test_only_what_a_standby_is_needed_for_can_be_lost_with_it(
    connection: psycopg.Connection, chain: dict[str, Listing]
) -> None:
    assert threats(connection, "coinbase", WHOLE) == []
    deliver(connection, chain["bitfinex"], Interval(WHOLE.start, MISSED.start), failed=MISSED)
    (threat,) = threats(connection, "coinbase", WHOLE)
    assert (threat.first, threat.minutes) == (MISSED.start, MISSED.minutes)
    assert [one.listing for one in threats(connection, "bitfinex", WHOLE)] == ["BTC-USD"]


def test_deciding_again_changes_nothing(
    connection: psycopg.Connection, chain: dict[str, Listing]
) -> None:
    deliver(connection, chain["bitfinex"], Interval(WHOLE.start, MISSED.start), failed=MISSED)
    before = decisions(connection), needed(connection, chain["coinbase"].id, MARCH)
    for _ in range(2):
        with connection.transaction():
            put_in_service(connection, {"bitfinex": None, "coinbase": None})
            follow_needs(connection)
    assert (decisions(connection), needed(connection, chain["coinbase"].id, MARCH)) == before


def test_a_standby_that_becomes_a_primary_is_collected_in_full(
    connection: psycopg.Connection, chain: dict[str, Listing]
) -> None:
    assert "coinbase" not in rows(connection)
    sync_universe(connection, universe([]))
    assert rows(connection)["coinbase"].pending == WHOLE.minutes
    assert open_ranges(connection, chain["coinbase"]) == [WHOLE]


@pytest.mark.parametrize(
    ("providers", "roles", "turns"),
    [
        ([], {}, {}),
        (["coinbase", "bitfinex"], {}, {"bitfinex": 1}),
        (["coinbase", "bitfinex", "kraken"], {}, {"bitfinex": 1, "kraken": 2}),
        (["coinbase", "bitfinex"], {"coinbase": "standby"}, {"coinbase": 1}),
        (["coinbase", "bitfinex"], {"bitfinex": "primary"}, {}),
        ([], {"kraken": "standby"}, {"kraken": 1}),
    ],
)
def test_rules_say_who_stands_by_and_roles_beat_them(
    providers: list[str], roles: dict[str, str], turns: dict[str, int]
) -> None:
    specs = universe(providers, **roles).listings()
    assert {spec.provider: spec.standby for spec in specs if spec.standby} == turns


def health(**values: Any) -> ProviderHealth:
    quiet = dict.fromkeys(("refusals", "errors", "bans", "paused_seconds"), 0)
    nothing = dict.fromkeys(("p50_ms", "p95_ms", "p99_ms", "paused_until", "clock_skew_seconds"))
    known = {"provider": "x", "requests": 100, "success_percent": 99.0}
    return ProviderHealth(**{**quiet, **nothing, **known, **values})


@pytest.mark.parametrize(
    ("source", "told", "why"),
    [
        ("bitfinex", None, None),
        ("bitfinex", health(), None),
        ("bitfinex", health(success_percent=10.0), "answered 10 % of its last 100"),
        ("bitfinex", health(success_percent=10.0, requests=5), None),
        (
            "bitfinex",
            health(paused_until=LATER + timedelta(hours=9)),
            "until 2024-06-01",
        ),
        ("alpaca", None, "APCA_API_KEY_ID and APCA_API_SECRET_KEY not set"),
        ("nowhere", None, "no exchange 'nowhere'"),
    ],
)
def test_a_provider_without_keys_or_health_or_capability_is_out_of_service(
    source: str, told: ProviderHealth | None, why: str | None
) -> None:
    verdict = out_of_service("x", ProviderOptions(source=source), told, LATER)
    assert verdict is None if why is None else why in (verdict or "")
