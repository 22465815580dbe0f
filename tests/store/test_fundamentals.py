"""Combined fundamentals: who wins, what is known when, and where each value leads back to."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.values import Parsed, Value
from pipeline.snapshots.history import follow
from pipeline.store.database import Database
from pipeline.store.snapshots import Fetched, keep
from pipeline.store.subjects import sync_subjects
from tests.fundamentals import DAY, Desk, said, universe
from tests.making import at

PROVIDERS = ("fmp", "yahoo", "alpha_vantage")
START = at("2025-02-01")


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    made = Desk.of(database, universe(*PROVIDERS))
    yield made
    made.connection.close()


def test_the_first_by_priority_wins_and_the_others_are_shown(desk: Desk) -> None:
    desk.hear("yahoo", START, said("total_debt", 106_629e6, period_end=date(2024, 9, 30)))
    desk.hear("fmp", START + DAY, said("total_debt", 119_059e6))
    row = desk.combined()["total_debt"]
    assert (row["value"], row["provider"], row["rule"]) == (119_059e6, "fmp", "priority")
    assert row["period_end"] == date(2024, 9, 28)
    assert row["spread"] == pytest.approx((119_059 - 106_629) / 119_059)
    verdicts = [(one["provider"], one["value"], one["verdict"]) for one in row["candidates"]]
    assert verdicts == [("fmp", 119_059e6, "won"), ("yahoo", 106_629e6, "disagrees")]
    (state,) = desk.rows(
        "SELECT state FROM ledger.fundamental WHERE field = 'total_debt' AND before IS NULL"
    )
    assert state == ("disagree",)


def test_a_moment_between_two_snapshots_sees_only_the_first(desk: Desk) -> None:
    first, second = at("2021-02-10"), at("2025-02-24")
    desk.hear("yahoo", first, said("market_cap", 2.28e12))
    desk.hear("yahoo", second, said("market_cap", 3.69e12))
    assert desk.combined(at("2021-02-01")) == {}
    between = desk.combined(at("2021-02-11"))["market_cap"]
    assert (between["value"], between["since"], between["state"]) == (2.28e12, first, "single")
    assert desk.combined(at("2023-01-01"))["market_cap"]["state"] == "stale"
    assert desk.combined(second)["market_cap"]["value"] == 3.69e12


def test_a_value_of_another_fiscal_year_is_not_compared(desk: Desk) -> None:
    desk.hear("fmp", START, said("revenue", 383e9, period_end=date(2023, 9, 30)))
    desk.hear("yahoo", START, said("revenue", 391e9, period_end=date(2024, 9, 30)))
    row = desk.combined(START)["revenue"]
    assert (row["value"], row["provider"], row["state"]) == (391e9, "yahoo", "single")
    assert [one["verdict"] for one in row["candidates"]] == ["older period", "won"]


def test_zero_is_a_value(desk: Desk) -> None:
    desk.hear("fmp", START, said("total_debt", 0.0))
    desk.hear("yahoo", START, said("total_debt", 5e9))
    assert desk.combined(START)["total_debt"]["value"] == 0


def test_a_value_out_of_its_bounds_does_not_win(desk: Desk) -> None:
    desk.hear("fmp", START, said("revenue", -1.0))
    assert desk.combined(START)["revenue"]["state"] == "none"
    assert desk.combined(START)["revenue"]["value"] is None
    desk.hear("yahoo", START + DAY, said("revenue", 391e9))
    row = desk.combined(START + DAY)["revenue"]
    assert (row["value"], row["provider"]) == (391e9, "yahoo")
    assert row["candidates"][0]["verdict"] == "out of bounds"
    assert "above 0" in row["candidates"][0]["why"]


def test_amounts_in_another_currency_are_compared_only_by_a_stored_rate(desk: Desk) -> None:
    desk.hear("fmp", START, said("revenue", 100e9, currency="EUR"))
    desk.hear("yahoo", START, said("revenue", 109e9, currency="USD"))
    row = desk.combined(START)["revenue"]
    assert (row["value"], row["currency"], row["state"]) == (100e9, "EUR", "single")
    assert "no rate to EUR" in row["candidates"][1]["why"]


def test_a_sudden_percentage_is_held_and_the_old_value_goes_on(desk: Desk) -> None:
    desk.hear("yahoo", START, said("dividend_yield", 0.0041))
    desk.hear("yahoo", START + DAY, said("dividend_yield", 0.41))
    row = desk.combined(START + DAY)["dividend_yield"]
    assert row["value"] == 0.0041
    held = next(one for one in row["candidates"] if one["verdict"] == "held")
    assert held["value"] == 0.41
    assert "100 times the 0.0041 before" in held["why"]
    # It stays held however often it is said again, and is free when the unit is right again.
    desk.hear("yahoo", START + 2 * DAY, said("dividend_yield", 0.42))
    assert desk.combined(START + 2 * DAY)["dividend_yield"]["value"] == 0.0041
    desk.hear("yahoo", START + 3 * DAY, said("dividend_yield", 0.0042))
    row = desk.combined(START + 3 * DAY)["dividend_yield"]
    assert row["value"] == 0.0042
    assert [one["verdict"] for one in row["candidates"]] == ["won"]


def test_a_change_of_scale_that_another_provider_states_too_is_believed(desk: Desk) -> None:
    for provider in ("yahoo", "fmp"):
        desk.hear(provider, START, said("shares_outstanding", 1e9))
    desk.hear("yahoo", START + DAY, said("shares_outstanding", 20e9))
    assert desk.combined(START + DAY)["shares_outstanding"]["value"] == 1e9
    desk.hear("fmp", START + 2 * DAY, said("shares_outstanding", 20e9))
    row = desk.combined(START + 2 * DAY)["shares_outstanding"]
    assert row["value"] == 20e9
    assert {one["verdict"] for one in row["candidates"]} == {"won", "agrees"}


def test_an_unusable_document_changes_nothing(desk: Desk) -> None:
    desk.hear("fmp", START, said("revenue", 391e9))
    before = desk.history()
    outcome = desk.hear(
        "fmp", START + DAY, said("revenue", 1.0), unusable="it is about MSFT and not AAPL"
    )
    assert outcome == "unusable"
    assert desk.history() == before


def test_a_document_that_comes_again_is_only_seen_again(desk: Desk) -> None:
    assert desk.hear("fmp", START, said("revenue", 391e9)) == "new"
    before = desk.history()
    assert desk.hear("fmp", START + DAY, said("revenue", 391e9)) == "same"
    assert desk.history() == before
    assert desk.rows("SELECT fetched_at, last_seen_at FROM ledger.snapshot") == [
        (START, START + DAY)
    ]
    row = desk.combined(START + DAY)["revenue"]
    assert (row["since"], row["confirmed_at"], row["age"]) == (START, START + DAY, timedelta(0))


def test_a_value_that_is_said_again_in_a_new_document_keeps_its_history(desk: Desk) -> None:
    desk.hear("fmp", START, said("revenue", 391e9))
    desk.hear("fmp", START + DAY, said("revenue", 391e9), said("net_income", 93e9))
    assert desk.combined(START + DAY)["revenue"]["since"] == START
    assert len(desk.rows("SELECT FROM ledger.fundamental WHERE field = 'revenue'")) == 1


def test_a_lapsed_value_loses_to_a_fresh_one_and_is_served_stale_without_one(desk: Desk) -> None:
    desk.hear("yahoo", START, said("pe_ratio", 30.0))
    later = START + 100 * DAY
    assert desk.combined(later)["pe_ratio"]["state"] == "stale"
    assert desk.combined(later)["pe_ratio"]["value"] == 30.0
    desk.hear("fmp", later, said("pe_ratio", 35.0))
    row = desk.combined(later)["pe_ratio"]
    assert (row["value"], row["provider"]) == (35.0, "fmp")
    assert row["candidates"][0]["verdict"] == "lapsed"


def test_a_quarter_never_stands_for_a_year(desk: Desk) -> None:
    quarter = replace(said("revenue", 124e9, period_end=date(2024, 12, 31)), period="quarter")
    desk.hear("fmp", START, said("revenue", 391e9))
    desk.hear("yahoo", START, said("revenue", 391e9, period_end=date(2024, 9, 30)), quarter)
    row = desk.combined(START)["revenue"]
    assert (row["value"], row["provider"], row["state"]) == (391e9, "fmp", "agree")


def test_a_later_confirmation_does_not_change_what_was_known_before_it(desk: Desk) -> None:
    desk.hear("yahoo", START, said("pe_ratio", 30.0))
    desk.hear("fmp", START + 50 * DAY, said("pe_ratio", 35.0))
    assert desk.combined(START + 50 * DAY)["pe_ratio"]["provider"] == "fmp"
    desk.hear("yahoo", START + 100 * DAY, said("pe_ratio", 30.0))
    desk.hear("alpha_vantage", START + 10 * DAY, said("beta", 1.0))
    assert desk.combined(START + 50 * DAY)["pe_ratio"]["provider"] == "fmp"


def test_a_document_that_came_again_after_a_late_one_counts_again(desk: Desk) -> None:
    desk.hear("fmp", START, said("revenue", 391e9))
    desk.hear("fmp", START + 9 * DAY, said("revenue", 391e9))
    desk.hear("fmp", START + 5 * DAY, said("revenue", 300e9))
    values = [desk.combined(START + n * DAY)["revenue"]["value"] for n in (0, 4, 5, 8, 9, 20)]
    assert values == [391e9, 391e9, 300e9, 300e9, 391e9, 391e9]


def test_two_documents_of_a_provider_are_one_opinion(desk: Desk) -> None:
    subject = desk.subject("fmp")
    for number, (document, price) in enumerate([("profile", 225.0), ("quote", 230.0)]):
        parsed = Parsed([said("current_price", price)])
        fetched = Fetched(document, document, START + number * DAY, parsed)
        keep(desk.connection, subject, fetched, "test")
    follow(desk.connection, registry(), subject.instrument_id, START)
    row = desk.combined(START + DAY)["current_price"]
    assert (row["value"], row["state"]) == (230.0, "single")
    assert len(row["candidates"]) == 1


def test_the_wide_view_has_a_row_for_each_instrument(desk: Desk) -> None:
    desk.hear("fmp", START, said("revenue", 391e9), said("company_name", "Apple Inc."))
    desk.hear("yahoo", START, said("revenue", 300e9))
    (row,) = desk.rows(
        "SELECT instrument, company_name, revenue, net_income, currencies, disagreeing"
        " FROM market.fundamentals"
    )
    assert row[:5] == ("AAPL", "Apple Inc.", 391e9, None, ["USD"])
    stale = desk.rows("SELECT stale FROM market.fundamentals")[0][0]
    assert "revenue" in stale


FIELDS = ("revenue", "net_income", "dividend_yield", "shares_outstanding", "pe_ratio", "sector")


def made_up(generator: random.Random) -> Value:
    name = generator.choice(FIELDS)
    if name == "sector":
        return said(name, generator.choice(["Technology", "TECHNOLOGY", "Energy"]))
    number = generator.choice([1.0, 1.02, 100.0, 1000.0, 30.0, -1.0]) * generator.choice([0.004, 5])
    end = generator.choice([date(2023, 9, 30), date(2024, 9, 28), date(2024, 9, 30)])
    return said(name, number, period_end=end, currency=generator.choice(["USD", "USD", "EUR"]))


def made_up_words(seed: int) -> list[tuple[str, datetime, list[Value]]]:
    generator = random.Random(seed)
    days = generator.sample(range(200), 9)
    words: list[tuple[str, datetime, list[Value]]] = []
    for day in days:
        values = {one.field: one for one in (made_up(generator) for _ in range(4))}
        provider, said_ = generator.choice(PROVIDERS), list(values.values())
        if words and generator.random() < 0.4:
            provider, _, said_ = generator.choice(words)  # what was said before, once more
        words.append((provider, START + day * DAY, said_))
    return words


@pytest.mark.parametrize("seed", [*range(8), 16, 53, 56, 133])
def test_the_order_of_arrival_means_nothing(database: Database, seed: int) -> None:
    words = made_up_words(seed)
    desk = Desk.of(database, universe(*PROVIDERS))
    histories: list[list[tuple[Any, ...]]] = []
    for turn in range(3):
        desk.connection.execute("TRUNCATE ledger.subject, ledger.fundamental CASCADE")
        sync(desk)
        ordered = sorted(words, key=lambda one: one[1])
        if turn:
            random.Random(seed * 7 + turn).shuffle(ordered)
        for provider, moment, values in ordered:
            desk.hear(provider, moment, *values)
        histories.append(desk.history())
    assert histories[0]
    assert histories[1] == histories[0]
    assert histories[2] == histories[0]
    desk.connection.close()


def sync(desk: Desk) -> None:
    sync_subjects(desk.connection, universe(*PROVIDERS).fundamentals())


@pytest.mark.parametrize("seed", range(8))
def test_every_value_leads_back_to_a_stored_document_that_says_so(desk: Desk, seed: int) -> None:
    for provider, moment, values in sorted(made_up_words(seed), key=lambda one: one[1]):
        desk.hear(provider, moment, *values)
    rows = desk.rows(
        """
        SELECT f.field, f.since,
               v.field IS NOT NULL AND s.payload IS NOT NULL AND s.fetched_at <= f.since
        FROM ledger.fundamental f LEFT JOIN ledger.snapshot s ON s.id = f.snapshot_id
        LEFT JOIN ledger.snapshot_value v
          ON (v.snapshot_id, v.field, v.found_at) = (s.id, f.field, f.found_at)
         AND (v.number, v.words, v.day) IS NOT DISTINCT FROM (f.number, f.words, f.day)
        WHERE f.state <> 'none'
        """
    )
    assert rows
    assert all(found for *_, found in rows), rows


def test_what_stands_in_is_as_old_as_its_last_confirmation(desk: Desk) -> None:
    desk.hear("yahoo", START, said("dividend_yield", 0.0041))
    desk.hear("yahoo", START + 20 * DAY, said("dividend_yield", 0.0041), said("beta", 1.0))
    desk.hear("yahoo", START + 21 * DAY, said("dividend_yield", 0.41))
    desk.hear("yahoo", START + 22 * DAY, said("dividend_yield", 0.42))
    row = desk.combined(START + 22 * DAY)["dividend_yield"]
    assert (row["value"], row["state"]) == (0.0041, "single")
    assert (row["confirmed_at"], row["age"]) == (START + 20 * DAY, 2 * DAY)
