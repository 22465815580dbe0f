"""`heal` and `revisions` on a ledger that holds a month."""

from __future__ import annotations

from datetime import date
from typing import Any

import psycopg
import pytest

from pipeline.settings import load_settings
from pipeline.store.database import Database
from pipeline.store.listings import listings
from pipeline.universe import load_universe
from resources.downloads import DownloadsResource
from tests.cli.conftest import Home
from venue import VenueProcess

BTC = ("--provider", "bitfinex", "--listing", "BTC-USD")

DAYS = """
SELECT (SELECT sum(minutes_present)::int FROM market.bars_1d WHERE {of_btc}),
       (SELECT sum(minutes_present)::int FROM market.consolidated_1d WHERE {of_btc}),
       (SELECT count(*) FROM market.bars_1m WHERE {of_btc})
""".format(of_btc="provider = 'bitfinex' AND listing = 'BTC-USD'")
NOTES = """
SELECT (SELECT count(*) FROM ledger.stale WHERE listing_id = l.id),
       (SELECT count(*) FROM ledger.unconsolidated WHERE instrument_id = l.instrument_id)
FROM ledger.listing l WHERE provider = 'bitfinex' AND key = 'BTC-USD'
"""


def query(home: Home, statement: str) -> list[Any]:
    with psycopg.connect(home.server.url("market"), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def lose_an_hour(home: Home) -> None:
    """Make an hour of bitcoin pending, without its bars."""
    hour = "tstzrange('2024-01-20 10:00Z', '2024-01-20 11:00Z')"
    where = """listing_id = (SELECT id FROM ledger.listing
                             WHERE symbol = 'BTC/USD' AND provider = 'bitfinex')"""
    query(home, f"DELETE FROM ledger.bars_1m WHERE ts <@ {hour} AND {where}")
    query(
        home,
        f"""
        UPDATE ledger.coverage c
        SET answered = answered - lost, settled = settled - lost,
            bars = (SELECT count(*) FROM ledger.bars_1m b WHERE b.listing_id = c.listing_id)
        FROM tstzmultirange({hour}) AS lost
        WHERE {where}
        """,
    )


def test_a_healthy_ledger_has_nothing_due(ledger: Home) -> None:
    done = ledger.run("heal", *BTC, "--json")

    assert done.returncode == 0
    (row,) = ledger.json("heal", *BTC)["providers"]
    assert (row["due"], row["requests_sent"], row["left"]) == (0, 0, 0)


def test_lost_minutes_are_told_and_then_asked_for_again(ledger: Home) -> None:
    before = query(ledger, "SELECT * FROM ledger.bars_1m ORDER BY listing_id, ts")
    lose_an_hour(ledger)

    told = ledger.json("heal", "--dry-run", *BTC)
    done = ledger.run("heal", *BTC)

    assert told["left"] == [
        {"provider": "bitfinex", "listing": "BTC-USD", "month": "2024-01-01", "requests": 1}
    ]
    assert told["providers"][0]["requests_sent"] == 0
    assert done.returncode == 0, done.stderr
    assert "listing-months done: bitfinex 1/1" in done.stdout
    assert query(ledger, "SELECT * FROM ledger.bars_1m ORDER BY listing_id, ts") == before
    ((days, consolidated, minutes),) = query(ledger, DAYS)
    assert days == consolidated == minutes > 0
    assert query(ledger, NOTES) == [(0, 0)]
    assert ledger.run("status", "--check").returncode == 0


def test_what_was_given_up_makes_it_fail_until_it_is_mended(ledger: Home) -> None:
    done = ledger.run("heal")

    assert done.returncode == 1
    assert "UnknownSymbol does not pass by itself" in done.stdout
    assert "--retry-given-up" in done.stdout


def test_a_dry_run_takes_up_nothing_that_was_given_up(ledger: Home) -> None:
    told = ledger.json("heal", "--listing", "NOPE-USD", "--retry-given-up", "--dry-run")

    assert told["retried"] == 1
    assert [one["listing"] for one in told["left"]] == ["NOPE-USD"]
    assert query(ledger, "SELECT count(*) FROM market.failures WHERE given_up IS NULL") == [(0,)]


def test_what_was_given_up_is_taken_up_again_and_may_fail_again(ledger: Home) -> None:
    done = ledger.run("heal", "--listing", "NOPE-USD", "--retry-given-up")

    assert done.returncode == 1
    assert "1 ranges that were given up are due again" in done.stdout
    assert query(ledger, "SELECT attempts FROM market.failures") == [(1,)]


@pytest.mark.parametrize(
    "options", [("--provider", "nobody"), ("--listing", "NOPE"), ("--requests", "0")]
)
def test_what_there_is_not_is_wrong_usage(ledger: Home, options: tuple[str, str]) -> None:
    assert ledger.run("heal", *options).returncode == 2


def test_no_revisions_are_said_to_be_none(ledger: Home) -> None:
    assert "No stored bar" in ledger.run("revisions").stdout
    assert ledger.json("revisions") == {"revisions": [], "refused_deliveries": []}


def test_a_refused_delivery_is_listed_and_stored_once_accepted(
    ledger: Home, markets: VenueProcess
) -> None:
    refuse_a_delivery(ledger, markets)

    refused, *_ = ledger.json("revisions", *BTC)["refused_deliveries"]
    assert refused["accepted_at"] is None
    assert str(refused["id"]) in ledger.run("revisions").stdout
    assert ledger.json("revisions", "--provider", "mirror")["refused_deliveries"] == []
    accepted = ledger.run("revisions", "accept", str(refused["id"]))
    again = ledger.run("revisions", "accept", str(refused["id"]))

    assert accepted.returncode == again.returncode == 0, accepted.stderr
    assert f"Delivery {refused['id']} is accepted" in accepted.stdout
    assert "0 bars are new, 0 revised" in again.stdout
    told = ledger.json("revisions")
    assert len(told["revisions"]) >= refused["contradicting"]
    assert told["refused_deliveries"][0]["accepted_at"]
    assert query(ledger, NOTES) == [(0, 0)]
    assert ledger.run("status", "--check").returncode == 0


def test_a_delivery_that_is_not_there_cannot_be_accepted(ledger: Home) -> None:
    done = ledger.run("revisions", "accept", "999")

    assert done.returncode == 1
    assert "no refused delivery 999" in done.stderr


def refuse_a_delivery(home: Home, markets: VenueProcess) -> None:
    """Ask for all of bitcoin's month again, from a venue that tells another history."""
    settings = load_settings(home=home.path / "home", universe=None, database_url=None)
    database, universe = Database.from_settings(settings), load_universe(home.universe)
    markets.post_fault("restate", exchange="bitfinex", symbol="BTC-USD")
    try:
        with (
            database.connect() as connection,
            DownloadsResource(attempts=1).downloader(database, universe, "bitfinex") as downloader,
        ):
            (listing,) = listings(connection, "bitfinex", ["BTC-USD"])
            assert not downloader.download(listing, date(2024, 1, 1), again=True).complete
    finally:
        markets.clear_faults()
