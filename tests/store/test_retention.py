"""Pruning: what stays, what can be restored, and that the past is answered as before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from pipeline.store.database import Database
from pipeline.store.retention import prunable, prune, pruned, restore
from pipeline.universe import SnapshotsConfig
from tests.fundamentals import DAY, Desk, said, universe
from tests.making import at

PROVIDERS = ("fmp", "yahoo", "alpha_vantage")
START = at("2025-01-30")
NOW = at("2025-12-01")
KEEPING = SnapshotsConfig()
NOTHING_MORE = SnapshotsConfig(backups=1, month_ends=False)


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    made = Desk.of(database, universe(*PROVIDERS))
    yield made
    made.connection.close()


def whole(desk: Desk) -> list[datetime]:
    """When the documents were fetched that still have their payload."""
    return [
        when
        for (when,) in desk.rows(
            "SELECT fetched_at FROM ledger.snapshot WHERE payload IS NOT NULL ORDER BY 1"
        )
    ]


def hear_prices(desk: Desk, days: int) -> list[datetime]:
    moments = [START + day * DAY for day in range(days)]
    for number, moment in enumerate(moments):
        desk.hear("yahoo", moment, said("current_price", 100.0 + number))
    return moments


def test_the_newest_a_backup_and_the_month_ends_stay(desk: Desk) -> None:
    moments = hear_prices(desk, 8)  # 30 and 31 January, 1 to 6 February
    done = prune(desk.connection, KEEPING, NOW)
    assert whole(desk) == [moments[1], *moments[-2:]]
    assert [one.fetched_at for one in done.pruned] == [moments[0], *moments[2:-2]]
    assert "is newer; 1 before it stay, month-ends too" in done.pruned[0].rule
    assert prune(desk.connection, NOTHING_MORE, NOW).pruned[0].fetched_at == moments[1]
    assert whole(desk) == moments[-2:]
    assert not prune(desk.connection, NOTHING_MORE, NOW).pruned


def test_nothing_is_pruned_before_a_newer_good_one_is_there(desk: Desk) -> None:
    (first, second) = hear_prices(desk, 2)
    for day in range(3, 6):
        desk.hear(
            "yahoo", START + day * DAY, said("current_price", float(day)), unusable="nonsense"
        )
    assert not prune(desk.connection, NOTHING_MORE, NOW).pruned
    desk.hear("yahoo", START + 7 * DAY, said("current_price", 7.0))
    taken = prune(desk.connection, NOTHING_MORE, NOW).pruned
    assert first in {one.fetched_at for one in taken}
    assert len(taken) == 4  # the unusable ones are of no use either
    assert whole(desk) == [second, START + 7 * DAY]


def test_what_is_led_to_stays(desk: Desk) -> None:
    desk.hear("yahoo", START, said("current_price", 1.0), said("dividend_yield", 0.0041))
    for day in range(1, 6):
        price = said("current_price", 1.0 + day)
        desk.hear("yahoo", START + day * DAY, price, said("dividend_yield", 0.41))
    prune(desk.connection, NOTHING_MORE, NOW)
    # What stands in for the yield is of the first; who lost since the second day is shown from it.
    assert whole(desk) == [START + day * DAY for day in (0, 1, 4, 5)]
    row = desk.combined(NOW)["dividend_yield"]
    assert row["value"] == 0.0041
    assert all(
        payload
        for (payload,) in desk.rows(
            "SELECT s.payload FROM jsonb_array_elements(%s::jsonb) c"
            " JOIN ledger.snapshot s ON s.id = (c ->> 'snapshot')::bigint",
            psycopg.types.json.Jsonb(row["candidates"]),
        )
    )


def test_what_was_pruned_can_be_restored_for_a_while(desk: Desk) -> None:
    hear_prices(desk, 8)
    before = desk.rows("SELECT id, payload FROM ledger.snapshot ORDER BY 1")
    taken = prune(desk.connection, KEEPING, NOW).pruned
    assert [one.snapshot for one in pruned(desk.connection, pruned_at=NOW)] == [
        one.snapshot for one in taken
    ]
    assert not pruned(desk.connection, provider="fmp")
    assert not pruned(desk.connection, pruned_at=NOW - DAY)
    first, *others = [one.snapshot for one in pruned(desk.connection, instrument="AAPL")]
    assert restore(desk.connection, [first], NOW) == 1
    assert restore(desk.connection, [first], NOW) == 0
    assert restore(desk.connection, others, NOW) == len(others)
    assert desk.rows("SELECT id, payload FROM ledger.snapshot ORDER BY 1") == before
    log = desk.rows("SELECT snapshot_id, pruned_at, restored_at, gone_at FROM ledger.pruning")
    assert log == [(one.snapshot, NOW, NOW, None) for one in taken]


def test_what_was_pruned_long_ago_goes_for_good(desk: Desk) -> None:
    hear_prices(desk, 8)
    count = len(prune(desk.connection, KEEPING, NOW).pruned)
    assert prune(desk.connection, KEEPING, NOW + 30 * DAY).gone == 0
    assert prune(desk.connection, KEEPING, NOW + 31 * DAY).gone == count
    assert not pruned(desk.connection)
    gone = desk.rows("SELECT DISTINCT gone_at, rule <> '' FROM ledger.pruning")
    assert gone == [(NOW + 31 * DAY, True)]
    assert len(desk.rows("SELECT FROM ledger.snapshot")) == 8


def test_a_payload_that_is_led_to_again_comes_back(desk: Desk) -> None:
    moments = hear_prices(desk, 5)
    prune(desk.connection, NOTHING_MORE, NOW)
    assert moments[1] not in whole(desk)
    desk.connection.execute(
        "UPDATE ledger.fundamental SET snapshot_id ="
        " (SELECT id FROM ledger.snapshot WHERE fetched_at = %s) WHERE before IS NULL",
        [moments[1]],
    )
    assert prune(desk.connection, NOTHING_MORE, NOW + DAY).restored == 1
    assert moments[1] in whole(desk)


def hear_between(desk: Desk) -> list[tuple[int, bool]]:
    """Store late what came between two that are the same; return what then has its payload."""
    desk.hear("yahoo", START + 2 * DAY, said("current_price", 0.5))
    return desk.rows("SELECT id, payload IS NOT NULL FROM ledger.snapshot ORDER BY fetched_at")


def test_a_pruned_document_that_turns_out_to_be_two_can_be_restored_as_both(desk: Desk) -> None:
    for day, price in ((0, 1.0), (4, 1.0), (6, 2.0), (7, 3.0)):
        desk.hear("yahoo", START + day * DAY, said("current_price", price))
    assert len(prune(desk.connection, NOTHING_MORE, NOW).pruned) == 1
    assert [whole for _, whole in hear_between(desk)] == [False, True, True, True, True]
    taken = prune(desk.connection, NOTHING_MORE, NOW + DAY).pruned
    assert len(taken) == 2
    restore(desk.connection, [one.snapshot for one in pruned(desk.connection)], NOW + DAY)
    assert len(whole(desk)) == 5


def test_of_a_payload_that_is_gone_the_log_says_so_of_both_that_it_was(desk: Desk) -> None:
    for day, price in ((0, 1.0), (4, 1.0), (6, 2.0), (7, 3.0)):
        desk.hear("yahoo", START + day * DAY, said("current_price", price))
    for moment in (NOW, NOW + 40 * DAY):
        prune(desk.connection, NOTHING_MORE, moment)
    (first, _), _, (again, there), *_ = hear_between(desk)
    assert not there
    log = desk.rows("SELECT snapshot_id, pruned_at, gone_at FROM ledger.pruning ORDER BY 1")
    assert log == [(number, NOW, NOW + 40 * DAY) for number in (first, again)]


FIELDS = ("current_price", "dividend_yield", "revenue", "net_income")
_EVERYTHING = """
SELECT instrument, field, value, words, day, currency, period_end, provider, rule, state, spread,
       since, confirmed_at, snapshot, found_at, candidates
FROM market.fundamentals_asof(%s) ORDER BY 1, 2
"""


def random_words(desk: Desk, seed: int) -> list[datetime]:
    generator = random.Random(seed)
    moments = sorted(START + timedelta(hours=generator.randrange(3000)) for _ in range(14))
    for moment in dict.fromkeys(moments):
        values = [
            said(name, generator.choice([0.004, 0.4, 4.0, -1.0]))
            for name in generator.sample(FIELDS, 2)
        ]
        nonsense = "nonsense" if generator.random() < 0.2 else None
        desk.hear(generator.choice(PROVIDERS[:2]), moment, *values, unusable=nonsense)
    return moments


@pytest.mark.parametrize("seed", range(6))
def test_deleting_old_snapshots_destroyed_the_history_is_a_defect_that_is_absent(
    desk: Desk, seed: int
) -> None:
    moments = random_words(desk, seed)
    asked = [moment + one for moment in moments for one in (-DAY / 24, DAY / 48)] + [NOW]

    def answers() -> list[Any]:
        stored = desk.rows("SELECT * FROM ledger.snapshot_value v ORDER BY v")
        refused = desk.rows("SELECT * FROM ledger.snapshot_refusal r ORDER BY r")
        return [stored, refused, desk.history(), *(desk.rows(_EVERYTHING, one) for one in asked)]

    before = answers()
    generator = random.Random(seed)
    taken = 0
    for turn in range(4):
        keeping = SnapshotsConfig(
            backups=generator.choice([1, 2]),
            month_ends=generator.random() < 0.3,
            restorable=timedelta(days=10),
        )
        planned = prunable(desk.connection, keeping)
        done = prune(desk.connection, keeping, NOW + turn * 6 * DAY)
        assert [one.snapshot for one in planned] == [one.snapshot for one in done.pruned]
        taken += len(done.pruned)
        assert answers() == before
        kept_enough(desk)
        if generator.random() < 0.4:
            some = [one.snapshot for one in pruned(desk.connection) if generator.random() < 0.5]
            restore(desk.connection, some, NOW)
            assert answers() == before
    assert taken


def kept_enough(desk: Desk) -> None:
    """Check, in another way than it is worked out, that what has to stay is there."""
    rows = desk.rows(
        "SELECT subject_id, document, payload IS NOT NULL FROM ledger.snapshot"
        " WHERE unusable IS NULL ORDER BY fetched_at"
    )
    for kind in {(subject, document) for subject, document, _ in rows}:
        good = [whole for *of, whole in rows if tuple(of) == kind]
        assert good[-1]
        assert sum(good) >= min(len(good), 2)
    led_to = desk.rows(
        "SELECT s.payload IS NOT NULL FROM ledger.fundamental f"
        " JOIN ledger.snapshot s ON s.id = f.snapshot_id WHERE f.before IS NULL"
        " UNION ALL SELECT s.payload IS NOT NULL FROM ledger.snapshot_value v"
        " JOIN ledger.snapshot s ON s.id = v.instead"
    )
    assert all(found for (found,) in led_to)
