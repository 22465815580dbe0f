"""What opens alerts, on a real ledger: what is found, and what is said of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.alerts import conditions
from pipeline.alerts.model import Kind, Trouble
from pipeline.alerts.sources import SELDOM, due, sources
from pipeline.disk import GIB, Room
from pipeline.settings import load_settings
from pipeline.settling import DEFAULT
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.failures import Failure
from pipeline.store.listings import listings, sync_universe
from pipeline.store.merging import ContradictoryDelivery
from pipeline.store.refusals import accept, keep
from pipeline.store.snapshots import Outcome, note
from pipeline.universe import Universe
from tests.fundamentals import Desk, said
from tests.fundamentals import universe as fundamentals
from tests.making import at, bars, span

NOW = at("2024-05-10 12:00")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KEYS = ("AAA-USD", "BBB-USD", "CCC-USD", "DDD-USD")


def universe(**instruments: Any) -> Universe:
    document = {
        "start": "2024-05-10",
        "providers": {"bitfinex": {"lag": "1m", "refresh": "15m"}},
        "instruments": instruments
        or {
            key: {"class": "crypto_spot", "listings": {"bitfinex": key.replace("-", "/")}}
            for key in KEYS
        },
    }
    return Universe.model_validate(document)


@pytest.fixture
def ledger(connection: psycopg.Connection) -> psycopg.Connection:
    """Four listings that were answered until half past eleven."""
    sync_universe(connection, universe())
    for key in KEYS:
        answer(connection, key, until="2024-05-10 11:30")
    return connection


def answer(connection: psycopg.Connection, key: str, until: str) -> None:
    during = span("2024-05-10 00:00", until)
    send(connection, key, answered=(during,), bars=bars(during))


def fail(
    connection: psycopg.Connection, key: str, error: str = "RequestTimedOut", *, again: bool = True
) -> None:
    failure = Failure(span("2024-05-10 11:30", "2024-05-10 11:50"), error, f"{key} late", again)
    send(connection, key, failed=(failure,))


def send(connection: psycopg.Connection, key: str, **other: Any) -> None:
    (listing,) = listings(connection, "bitfinex", [key])
    values: dict[str, Any] = {
        "answered": (),
        "bars": bars(span("2024-05-10", "2024-05-10")),
        "failed": (),
        "received_at": NOW,
        "settling": DEFAULT,
    }
    commit(
        connection,
        Delivery(
            listing_id=listing.id,
            month=NOW.date().replace(day=1),
            refused=(),
            **(values | other),
        ),
    )


def found(connection: psycopg.Connection, now: datetime = NOW) -> dict[str, Trouble]:
    """Look everywhere, and return what was found by kind and subject."""
    places = sources(connection, load_settings(), universe(), now)
    return {f"{one.kind}:{one.about}": one for place in places for one in place.look()}


def test_a_ledger_in_order_has_no_trouble(ledger: psycopg.Connection) -> None:
    assert found(ledger) == {}


def test_listings_behind_are_one_trouble_that_names_the_worst(ledger: psycopg.Connection) -> None:
    answer(ledger, "BBB-USD", until="2024-05-10 12:46")
    # 11:30 is over at 11:31, may take a minute, is asked for within 15, and was due an hour ago.
    assert found(ledger, at("2024-05-10 12:47")) == {}
    (trouble,) = found(ledger, at("2024-05-10 12:48")).values()
    assert (trouble.kind, trouble.about, trouble.count) == (Kind.STALE, "bitfinex", 3)
    assert trouble.severity == "warning"
    assert trouble.since == at("2024-05-10 11:30")
    assert trouble.title == "3 of 4 listings of bitfinex are behind"
    assert "- AAA-USD since 2024-05-10 11:30 (77 minutes)" in trouble.text
    assert "refresh_bitfinex" in trouble.text
    assert "BBB-USD" not in trouble.text


def test_a_provider_of_which_nothing_comes_is_down_and_not_stale_besides(
    ledger: psycopg.Connection,
) -> None:
    for key in KEYS[:3]:
        fail(ledger, key)
    assert found(ledger, at("2024-05-10 11:40")) == {}
    (trouble,) = found(ledger, at("2024-05-10 11:48")).values()
    assert (trouble.kind, trouble.severity) == (Kind.PROVIDER_DOWN, "critical")
    assert "None of its 4 listings is up to date. AAA-USD late" in trouble.text
    assert "minuteledger doctor" in trouble.text
    (trouble,) = found(ledger, at("2024-05-12")).values()
    assert trouble.kind == Kind.PROVIDER_DOWN


def test_a_provider_that_answers_anybody_is_not_down(ledger: psycopg.Connection) -> None:
    for key in KEYS[:3]:
        fail(ledger, key)
    answer(ledger, "DDD-USD", until="2024-05-10 11:47")
    assert found(ledger, at("2024-05-10 11:48")) == {}


def test_few_failures_say_nothing_of_a_provider(ledger: psycopg.Connection) -> None:
    for key in KEYS[:2]:
        fail(ledger, key)
    assert found(ledger, at("2024-05-10 11:48")) == {}


def test_a_provider_out_of_service_is_down_and_says_why(ledger: psycopg.Connection) -> None:
    ledger.execute("UPDATE ledger.provider SET out_of_service = 'KEY not set'")
    (trouble,) = found(ledger).values()
    assert trouble.kind == Kind.PROVIDER_DOWN
    assert "KEY not set" in trouble.text


def test_a_long_pause_is_told_and_a_short_one_not(ledger: psycopg.Connection) -> None:
    pause = "SELECT ledger.pause_account('bitfinex', 'bitfinex', %s, false, 'enough', '1 day')"
    ledger.execute(pause, [1800])
    now = datetime.now(UTC)
    down = conditions.providers
    assert list(down(ledger, now, timedelta(days=9999))) == []
    ledger.execute(pause, [7200])
    (trouble,) = down(ledger, now, timedelta(days=9999))
    assert "wants to be left alone until" in trouble.text
    assert "enough" in trouble.text


def test_minutes_given_up_are_counted_by_provider(ledger: psycopg.Connection) -> None:
    fail(ledger, "AAA-USD", "UnknownSymbol", again=False)
    fail(ledger, "BBB-USD")
    (trouble,) = found(ledger).values()
    assert (trouble.kind, trouble.count) == (Kind.GIVEN_UP, 20)
    assert trouble.title == "20 minutes of bitfinex are given up"
    assert "- AAA-USD 2024-05-10 11:30 to 2024-05-10 11:50" in trouble.text
    assert "AAA-USD late" in trouble.text
    ledger.execute("UPDATE ledger.listing SET in_universe = false WHERE key = 'AAA-USD'")
    assert found(ledger) == {}


def test_refused_deliveries_stand_until_they_are_accepted(ledger: psycopg.Connection) -> None:
    (listing,) = listings(ledger, "bitfinex", ["AAA-USD"])
    during = span("2024-05-10 00:00", "2024-05-10 02:00")
    delivery = Delivery(
        listing_id=listing.id,
        month=NOW.date().replace(day=1),
        answered=(during,),
        bars=bars(during, 900.0),
        refused=(),
        failed=(),
        received_at=NOW,
        settling=DEFAULT,
    )
    with pytest.raises(ContradictoryDelivery) as refused:
        commit(ledger, delivery)
    keep(ledger, delivery, refused.value)
    trouble = found(ledger)["refused_deliveries:bitfinex"]
    assert (trouble.severity, trouble.count) == ("critical", 1)
    (number,) = ledger.execute("SELECT id FROM ledger.refused_delivery").fetchone() or (0,)
    assert f"- {number} of AAA-USD for 2024-05: 120 of 120 stored bars" in trouble.text
    accept(ledger, number, NOW)
    assert "refused_deliveries:bitfinex" not in found(ledger)


def test_a_ledger_that_contradicts_itself_is_critical(ledger: psycopg.Connection) -> None:
    ledger.execute("UPDATE ledger.coverage SET bars = 99999")
    trouble = found(ledger)["minutes_do_not_add_up:bitfinex"]
    assert (trouble.severity, trouble.count) == ("critical", 4)
    assert "99999 bars" in trouble.text


def test_values_held_back_are_told_until_they_count(database: Database) -> None:
    desk = Desk.of(database, fundamentals("yahoo", "fmp"))
    desk.hear("yahoo", NOW, said("dividend_yield", 0.0041))
    assert list(conditions.held(desk.connection)) == []
    desk.hear("yahoo", NOW + DAY, said("dividend_yield", 0.41))
    (trouble,) = conditions.held(desk.connection)
    assert (trouble.kind, trouble.provider, trouble.count) == (Kind.HELD, "yahoo", 1)
    assert trouble.since == NOW + DAY
    assert trouble.title == "1 value of yahoo is held back"
    assert "- AAPL dividend_yield: 0.41 is 100 times the 0.0041 before" in trouble.text
    desk.hear("yahoo", NOW + 2 * DAY, said("dividend_yield", 0.0042))
    assert list(conditions.held(desk.connection)) == []
    desk.connection.close()


def test_a_provider_of_fundamentals_that_answers_nothing_is_down(database: Database) -> None:
    keys = ("AAPL", "MSFT", "NVDA", "WMT")
    desk = Desk.of(database, fundamentals("fmp", instruments=keys))

    def asked(key: str, at: datetime, outcome: Outcome) -> None:
        note(desk.connection, desk.subject("fmp", key), "profile", at, outcome, detail="no answer")

    def down() -> list[Trouble]:
        return list(conditions.providers(desk.connection, NOW + HOUR, HOUR))

    asked("AAPL", NOW - HOUR, "same")
    for key in keys[:2]:
        asked(key, NOW, "failed")
    assert down() == []
    asked(keys[2], NOW, "failed")
    (trouble,) = down()
    assert (trouble.kind, trouble.provider, trouble.since) == (Kind.PROVIDER_DOWN, "fmp", NOW)
    assert "asked in vain about 3 instruments. no answer" in trouble.text
    asked("WMT", NOW + HOUR / 2, "none")
    assert down() == []
    desk.connection.close()


def test_minutes_soon_lost_are_told_with_their_last_hour(connection: psycopg.Connection) -> None:
    document = {
        "start": "2024-04-01",
        "providers": {"yahoo": {}},
        "instruments": {"BTC-USD": {"class": "crypto_spot", "listings": {"yahoo": "BTC-USD"}}},
    }
    wanted = Universe.model_validate(document)
    sync_universe(connection, wanted)
    (trouble,) = conditions.soon_lost(connection, wanted, NOW)
    assert (trouble.kind, trouble.severity, trouble.provider) == (
        Kind.SOON_LOST,
        "critical",
        "yahoo",
    )
    assert trouble.count > 1000
    assert "heal --provider yahoo" in trouble.text


def test_a_disk_that_is_nearly_full_is_told_only_of_a_server_of_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def disk(free: float, **other: Any) -> list[Trouble]:
        monkeypatch.setattr(conditions, "room", lambda place: Room(place, int(free * GIB)))
        return list(conditions.disk(load_settings(home=tmp_path, **other), NOW))

    assert disk(6) == []
    assert [one.severity for one in disk(4)] == ["warning"]
    assert [one.severity for one in disk(0.4)] == ["critical"]
    assert disk(0.4, database_url="postgresql://u@h/d") == []


def test_what_costs_more_than_a_glance_is_looked_for_seldom(ledger: psycopg.Connection) -> None:
    every = sources(ledger, load_settings(), universe(), NOW)
    kinds = {kind for source in every for kind in source.kinds}
    assert kinds == set(Kind) - {Kind.RUN_FAILED}
    looked = dict.fromkeys(kinds, NOW)
    soon = {kind for one in due(every, looked, NOW + SELDOM / 2) for kind in one.kinds}
    assert soon == kinds - {Kind.HELD, Kind.IDENTITY, Kind.SOON_LOST}
    assert list(due(every, looked, NOW + SELDOM)) == list(every)
    assert list(due(every, {}, NOW)) == list(every)


def test_a_universe_that_cannot_be_read_leaves_open_what_hangs_on_it(
    ledger: psycopg.Connection,
) -> None:
    kinds = {kind for one in sources(ledger, load_settings(), None, NOW) for kind in one.kinds}
    assert kinds == set(Kind) - {Kind.RUN_FAILED, Kind.SOON_LOST}
