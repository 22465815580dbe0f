"""Who is asked, by which symbol and strategy, is part of the past: as it was, it stays."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.values import Parsed
from pipeline.snapshots.history import recombine
from pipeline.snapshots.refreshing import due
from pipeline.store.database import Database
from pipeline.store.snapshots import Fetched, keep
from pipeline.store.subjects import subjects
from tests.fundamentals import DAY, Desk, said, universe
from tests.making import at

START = at("2025-02-01")
PROVIDERS = ("fmp", "yahoo", "alpha_vantage")
SECOND = timedelta(seconds=1)
NUMBERS = (0.0, 1.0, 1.02, 100.0, 1e3, 1e6, -30.0)


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    made = Desk.of(database, universe(*PROVIDERS))
    yield made
    made.connection.close()


def provider_of(desk: Desk, field: str, moment: datetime | None = None) -> str | None:
    row = desk.combined(moment).get(field)
    return None if row is None else row["provider"]


def assert_past_stays(desk: Desk, since: datetime) -> None:
    """Assert that what was known is the same when it is worked out anew from a moment on."""
    before = desk.history()
    assert before
    desk.rework(since)
    assert desk.history() == before


def test_a_provider_that_is_no_longer_asked_takes_no_part_from_then_on(desk: Desk) -> None:
    desk.hear("fmp", START, said("revenue", 391e9))
    desk.hear("yahoo", START, said("revenue", 390e9))
    desk.ask(universe("yahoo", "alpha_vantage"))
    assert provider_of(desk, "revenue") == "yahoo"
    assert provider_of(desk, "revenue", START) == "fmp"
    assert_past_stays(desk, START)


def test_what_a_provider_said_while_it_was_asked_stays_part_of_the_past(desk: Desk) -> None:
    desk.hear("fmp", START, said("revenue", 391e9))
    desk.hear("yahoo", START, said("revenue", 390e9))
    desk.ask(universe("yahoo"))
    # As by an import: it comes late, and all after it is worked out anew.
    desk.hear("yahoo", START - DAY, said("revenue", 380e9))
    assert provider_of(desk, "revenue", START - DAY) == "yahoo"
    assert provider_of(desk, "revenue", START) == "fmp"
    assert [one["provider"] for one in desk.combined()["revenue"]["candidates"]] == ["yahoo"]


def test_nothing_is_served_of_an_instrument_about_which_nobody_is_asked(desk: Desk) -> None:
    desk.hear("fmp", START, said("revenue", 391e9))
    desk.ask(universe("fmp", instruments=("MSFT",)))
    assert desk.combined() == {}
    assert provider_of(desk, "revenue", START + DAY) == "fmp"


def test_a_provider_that_is_asked_again_is_served_at_once(desk: Desk) -> None:
    desk.hear("fmp", START, said("revenue", 391e9))
    left = desk.ask(universe("fmp", instruments=("MSFT",)))
    desk.ask(universe("fmp"))
    assert provider_of(desk, "revenue") == "fmp"
    assert provider_of(desk, "revenue", left) is None
    assert_past_stays(desk, START)


def test_what_came_by_another_symbol_counts_no_more_and_all_is_due(desk: Desk) -> None:
    desk.hear("fmp", START, said("revenue", 391e9))
    assert "income-statement" not in {
        one.document for one in due(desk.connection, [desk.subject("fmp")], START + DAY)
    }
    desk.ask(universe(*PROVIDERS, symbols={"fmp": "AAPL.MX"}))
    now_due = due(desk.connection, [desk.subject("fmp")], START + DAY)
    assert "income-statement" in {one.document for one in now_due}
    assert "revenue" not in desk.combined()
    assert desk.combined(START)["revenue"]["value"] == 391e9


def test_what_came_by_another_symbol_is_no_measure_of_what_comes_now(desk: Desk) -> None:
    desk.hear("yahoo", START, said("market_cap", 5e9))
    later = desk.ask(universe(*PROVIDERS, symbols={"yahoo": "AAPL.NEW"}))
    desk.hear("yahoo", later, said("market_cap", 5e12))
    assert desk.combined(later)["market_cap"]["value"] == 5e12
    assert_past_stays(desk, START)


def test_a_symbol_that_was_mistyped_and_put_right_loses_nothing(desk: Desk) -> None:
    desk.hear("yahoo", START, said("market_cap", 5e9))
    wrong = desk.ask(universe(*PROVIDERS, symbols={"yahoo": "APPL"}))
    right = desk.ask(universe(*PROVIDERS))
    assert provider_of(desk, "market_cap", wrong) is None
    assert provider_of(desk, "market_cap", right) == "yahoo"
    desk.hear("yahoo", right + SECOND, said("market_cap", 5e9))
    assert_past_stays(desk, START)
    assert provider_of(desk, "market_cap", right + SECOND) == "yahoo"


def test_two_changes_of_a_symbol_are_two_times(desk: Desk) -> None:
    desk.hear("yahoo", START, said("revenue", 1e9))
    first = desk.ask(universe(*PROVIDERS, symbols={"yahoo": "BBB"}))
    desk.hear("yahoo", first, said("market_cap", 2e9))
    desk.ask(universe(*PROVIDERS, symbols={"yahoo": "CCC"}))
    assert provider_of(desk, "revenue", first) is None
    assert_past_stays(desk, START)


def test_another_client_of_a_provider_does_not_change_what_was_known(desk: Desk) -> None:
    desk.hear("fmp", START, said("revenue", 391e9))
    other = {"fmp": {"client": "yahoo"}, "yahoo": {}, "alpha_vantage": {}}
    desk.ask(universe(*PROVIDERS, providers=other))
    desk.hear("alpha_vantage", START - DAY, said("net_income", 93e9))
    assert desk.combined(START + DAY)["revenue"]["value"] == 391e9
    assert provider_of(desk, "revenue") is None


def test_a_strategy_counts_from_when_on_the_universe_has_it(desk: Desk) -> None:
    desk.hear("fmp", START, said("revenue", 100e9))
    desk.hear("yahoo", START, said("revenue", 104e9))
    now = desk.ask(universe(*PROVIDERS, combine="consensus"))
    assert (provider_of(desk, "revenue", START), provider_of(desk, "revenue", now)) == (
        "fmp",
        "fmp+yahoo",
    )
    desk.hear("alpha_vantage", START - DAY, said("beta", 1.0))
    assert (provider_of(desk, "revenue", START), provider_of(desk, "revenue", now)) == (
        "fmp",
        "fmp+yahoo",
    )


def test_what_lapsed_when_it_was_combined_anew_has_lapsed_then_for_good(desk: Desk) -> None:
    desk.hear("yahoo", START, said("pe_ratio", 30.0))
    desk.hear("fmp", START + 5 * DAY, said("pe_ratio", 35.0))
    desk.hear("fmp", START + 6 * DAY, said("pe_ratio", 35.0))
    lapsed = START + 6 * DAY + timedelta(hours=12)
    recombine(desk.connection, registry(), [desk.subject("fmp").instrument_id], lapsed)
    assert provider_of(desk, "pe_ratio", lapsed) == "fmp"
    late = START + 2 * DAY
    desk.hear("yahoo", late, said("pe_ratio", 31.0))
    desk.connection.execute(
        "UPDATE ledger.snapshot SET unusable = 'odd' WHERE fetched_at = %s", [late]
    )
    desk.connection.execute(
        "UPDATE ledger.snapshot_check SET outcome = 'unusable' WHERE checked_at = %s", [late]
    )
    desk.rework(START)
    assert provider_of(desk, "pe_ratio", lapsed) == "fmp"


def test_a_document_that_is_no_longer_answered_gives_way_to_the_next_of_its_provider(
    desk: Desk,
) -> None:
    subject = desk.subject("fmp")

    def tell(document: str, moment: datetime, price: float) -> None:
        parsed = Parsed([said("current_price", price)])
        with desk.connection.transaction():
            fetched = Fetched(document, f"{document} {price}", moment, parsed)
            keep(desk.connection, subject, fetched, "test")
        desk.rework(moment)

    tell("profile", START, 50.0)
    tell("quote", START, 50.0)
    for day in range(1, 20):
        tell("profile", START + day * DAY, 50.0 + day)
    row = desk.combined(START + 19 * DAY)["current_price"]
    assert (row["value"], row["state"], row["age"]) == (69.0, "single", timedelta(0))
    assert row["candidates"][0]["document"] == "profile"


def test_a_quarter_of_which_nobody_says_when_it_ended_lapses(desk: Desk) -> None:
    old = said("revenue_growth", 0.5)
    later = START + 700 * DAY
    desk.hear("yahoo", START, replace(old, period_end=None))
    new = replace(said("revenue_growth", 0.05), period_end=later.date() - 30 * DAY)
    desk.hear("alpha_vantage", later, new)
    row = desk.combined(later)["revenue_growth"]
    assert (row["value"], row["provider"]) == (0.05, "alpha_vantage")


@pytest.mark.parametrize("seed", range(6))
def test_worked_out_anew_the_past_is_what_it_was(desk: Desk, seed: int) -> None:
    """Whatever was said and asked in whatever order, live and anew are one."""
    generator = random.Random(seed)
    fields = ("revenue", "market_cap", "pe_ratio", "fiscal_period_end")
    start = datetime.now(UTC)
    for _ in range(25):
        turn = generator.random()
        if turn < 0.25:
            asked = generator.sample(PROVIDERS, generator.randint(1, 3))
            symbols = {name: generator.choice(["AAPL", "B", "C"]) for name in asked}
            desk.ask(
                universe(*asked, symbols=symbols, combine=generator.choice([None, "freshest"]))
            )
        elif turn < 0.35:
            numbers = [number for (number,) in desk.rows("SELECT id FROM ledger.instrument")]
            recombine(desk.connection, registry(), numbers, datetime.now(UTC))
        else:
            told = subjects(desk.connection)
            values = [
                said(name, date(2024, 9, 30) if name.endswith("end") else generator.choice(NUMBERS))
                for name in generator.sample(fields, 2)
            ]
            desk.hear(generator.choice(told).provider, datetime.now(UTC), *values)
    for since in (start, start + (datetime.now(UTC) - start) / 2):
        assert_past_stays(desk, since)
