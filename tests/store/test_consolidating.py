"""One series per instrument follows its listings, whatever changes of them and in any order."""

from __future__ import annotations

import random
import threading

import pytest

from pipeline.building import build
from pipeline.consolidating import consolidate
from pipeline.intervals import MINUTE, Interval
from pipeline.store.migrate import migrate
from pipeline.store.session import LedgerSession
from tests.making import at, made_up_minute, span
from tests.store.series import NAMES, Desk, some

MADE = pytest.mark.parametrize(
    "desk",
    [
        (session, method)
        for session in ("24x7", "XNYS", "24x5")
        for method in ("primary", "best_quality", "median")
        if session == "24x7" or method == "primary"
    ],
    indirect=True,
    ids="-".join,
)


@MADE
def test_the_series_is_what_the_listings_say(desk: Desk) -> None:
    some(desk)
    desk.build()
    assert desk.problems() == []
    names = desk.execute("SELECT DISTINCT provider FROM market.consolidated_1m")
    assert {name for (name,) in names} >= {"kraken", "binance", "bitfinex"}
    assert desk.execute("SELECT count(*) FROM ledger.consolidated_1d") > [(0,)]


@pytest.mark.parametrize("desk", [("24x7", "primary"), ("24x7", "median")], indirect=True)
def test_the_order_in_which_minutes_come_does_not_matter(desk: Desk) -> None:
    pieces = [
        ("bitfinex", span("2024-01-31 22:00", "2024-02-01 02:07")),
        ("kraken", span("2024-02-01 01:00", "2024-02-01 03:00")),
        ("binance", span("2024-01-31 23:00", "2024-01-31 23:59")),
        ("kraken", span("2024-01-31 20:00", "2024-01-31 23:13")),
        ("binance", span("2024-02-01 02:00", "2024-02-01 02:30")),
        ("kraken", span("2024-01-31 23:13", "2024-02-01 00:02")),
    ]
    for name, piece in pieces:
        desk.deliver(name, piece)
        desk.build()
        assert desk.problems() == []


def test_a_quiet_minute_of_the_first_listing_is_not_filled(desk: Desk) -> None:
    hour = span("2024-01-10 10:00", "2024-01-10 11:00")
    desk.deliver("kraken", hour, share=0.3)
    desk.deliver("binance", hour, share=1)
    desk.build()
    assert desk.problems() == []
    rows = desk.execute("SELECT provider, count(*) FROM market.consolidated_1m GROUP BY 1")
    assert rows == [("kraken", len(desk.feeds["kraken"].minutes))]
    assert len(desk.feeds["kraken"].minutes) < 60


def test_what_failed_and_what_was_an_outage_is_filled_and_said_so(desk: Desk) -> None:
    desk.sync(binance={"role": "standby"}, bitfinex={"role": "standby"})
    whole, failed = span("2024-01-10", "2024-01-11"), span("2024-01-10 06:00", "2024-01-10 07:00")
    silent = span("2024-01-10 12:00", "2024-01-10 12:30")
    for piece in whole.minus(failed):
        for part in piece.minus(silent) if silent.start in piece else [piece]:
            desk.deliver("kraken", part)
    desk.put("kraken", silent, {})
    desk.fail("kraken", failed)
    desk.outage("kraken", silent)
    for piece in (failed, silent):
        desk.deliver("binance", piece)
    desk.build()
    assert desk.problems() == []
    said = desk.execute(
        "SELECT provider, minutes, reason FROM market.consolidated_segments ORDER BY minutes"
    )
    assert said == [
        ("binance", 90, "kraken IT: 60 failed, 30 in an outage"),
        ("kraken", 1350, "comes first"),
    ]


def test_an_outage_that_is_found_or_withdrawn_later_is_followed(desk: Desk) -> None:
    silent = span("2024-01-10 12:00", "2024-01-10 12:30")
    desk.deliver("kraken", span("2024-01-10 10:00", "2024-01-10 12:00"))
    desk.put("kraken", silent, {})
    desk.deliver("kraken", span("2024-01-10 12:30", "2024-01-10 14:00"))
    desk.deliver("binance", span("2024-01-10 10:00", "2024-01-10 14:00"))
    desk.build()
    assert desk.problems() == []
    desk.outage("kraken", silent)
    desk.build(only=True)
    assert desk.problems() == []
    assert desk.execute("SELECT count(*) FROM ledger.consolidated_1d") == [(1,)]
    desk.execute("DELETE FROM ledger.gap")
    desk.feeds["kraken"].outage.clear()
    desk.build(only=True)
    assert desk.problems() == []
    assert desk.execute("SELECT count(*) FROM ledger.consolidated_1d") == [(0,)]


def test_another_order_method_or_role_is_followed(desk: Desk) -> None:
    some(desk)
    desk.build()
    desk.order.reverse()
    desk.sync()
    desk.build(only=True)
    assert desk.problems() == []
    for method in ("median", "best_quality", "primary"):
        desk.method = method
        desk.sync()
        desk.build(only=True)
        assert desk.problems() == []
    desk.sync(bitfinex={"role": "standby"})
    desk.order.append(desk.order.pop(0))
    desk.build(only=True)
    assert desk.problems() == []


@pytest.mark.parametrize("desk", [("24x7", "primary"), ("24x7", "median")], indirect=True)
def test_only_what_a_changed_minute_is_part_of_is_written_anew(desk: Desk) -> None:
    some(desk)
    desk.build()
    before = desk.versions()
    ts = at("2024-01-30 14:45")
    for name in ("kraken", "binance"):
        known = desk.feeds[name].minutes
        known[ts] = made_up_minute(random.Random(3))._replace(high=500.0)
        desk.put(name, Interval(ts, ts + MINUTE), {ts: known[ts]})
    desk.build()
    after = desk.versions()
    assert desk.problems() == []
    changed = {name for name, *_ in before ^ after}
    wanted = {"consolidated_4h", "consolidated_1d", "consolidated_1w", "consolidated_1mo"}
    assert changed - {"combined_1m", "consolidated_5m"} == wanted
    assert len(after - before) <= 6


def test_doing_it_again_writes_nothing(desk: Desk) -> None:
    some(desk)
    desk.build()
    before = desk.versions()
    assert desk.build() is None
    desk.execute("SELECT ledger.note_all(id) FROM ledger.instrument")
    again = desk.build()
    assert again is not None
    assert {(one.written, one.removed) for one in again.rows.values()} == {(0, 0)}
    assert desk.versions() == before


def test_nothing_is_stored_of_an_instrument_with_one_listing(desk: Desk) -> None:
    desk.deliver("binance", span("2024-01-30 03:00", "2024-02-02 05:00"))
    desk.build()
    assert desk.problems() == []
    assert {name for name, *_ in desk.versions()} == {"segment"}


def test_a_timeframe_that_is_added_is_consolidated_too(desk: Desk) -> None:
    some(desk)
    desk.build()
    desk.timeframes = ["90m", "1d", "1mo"]
    desk.sync()
    desk.build()
    assert desk.problems() == []
    known = desk.execute(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = 'market' AND table_name ~ '^consolidated_[0-9]'"
    )
    names = {"consolidated_1m", "consolidated_90m", "consolidated_1d", "consolidated_1mo"}
    assert {name for (name,) in known} == names


def test_what_a_removed_listing_delivered_stays_after_that_of_all_others(desk: Desk) -> None:
    some(desk)
    desk.build()
    desk.order.remove("kraken")
    desk.sync()
    desk.order.append("kraken")
    desk.build(only=True)
    assert desk.problems() == []


@pytest.mark.parametrize("desk", [("XNYS", "primary")], indirect=True)
def test_a_listing_with_another_session_has_no_bars_of_its_own(desk: Desk) -> None:
    desk.sync(binance={"session": "XLON"})
    desk.feeds["binance"].builds = False
    some(desk)
    desk.deliver("binance", span("2024-01-22", "2024-01-24"))
    desk.build()
    assert desk.problems() == []
    own = "SELECT count(*) FROM market.consolidated_1d WHERE listing IS NULL"
    assert desk.execute(f"{own} AND provider = 'binance'") == [(2,)]


def test_first_trades_are_followed(desk: Desk) -> None:
    desk.deliver("kraken", span("2024-01-30 10:02", "2024-01-30 12:00"))
    desk.deliver("binance", span("2024-01-30 12:00", "2024-01-30 14:00"))
    desk.deliver("bitfinex", span("2024-01-30 13:00", "2024-01-31 14:00"))
    for name, first in zip(NAMES, ("10:03", "09:01", "13:00"), strict=True):
        desk.build()
        assert desk.problems() == []
        ts = at(f"2024-01-30 {first}")
        desk.execute(f"UPDATE ledger.listing SET first_trade = '{ts}' WHERE provider = '{name}'")
        desk.feeds[name].first_trade = ts
    desk.build()
    assert desk.problems() == []
    whole = desk.execute(
        "SELECT minutes_expected, complete FROM market.consolidated_1d ORDER BY ts"
    )
    assert whole == [(1440 - 541, False), (1440, False)]


def test_two_that_work_on_the_same_instrument_at_once_agree(desk: Desk) -> None:
    some(desk)
    build(desk.database, desk.session, list(desk.ids.values()))
    ((number,),) = desk.execute("SELECT id FROM ledger.instrument")

    def work() -> None:
        with LedgerSession(desk.database) as session:
            consolidate(desk.database, session, [number])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert desk.problems() == []


def test_the_tables_can_be_taken_away_and_made_again(desk: Desk) -> None:
    some(desk)
    desk.build()
    assert migrate(desk.database, "0013") == "0013"
    migrate(desk.database)
    desk.sync()
    desk.build(only=True)
    assert desk.problems() == []
