"""Reading stored documents again, and accepting what is held in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pytest

from pipeline.fundamentals.documents import UnknownDocument
from pipeline.fundamentals.registry import UnknownField, registry
from pipeline.fundamentals.values import Parsed
from pipeline.snapshots.accepting import Meant, NothingToAccept, accept
from pipeline.snapshots.history import follow
from pipeline.snapshots.rereading import instruments_to_reread, reread, unreadable
from pipeline.store.database import Database
from pipeline.store.held import held_values
from pipeline.store.retention import prune, pruned
from pipeline.store.session import LedgerSession
from pipeline.store.snapshots import Fetched, keep
from pipeline.universe import SnapshotsConfig
from tests.fundamentals import DAY, Desk, said, universe
from tests.making import at
from tests.unit.fundamentals.making import fmp_income, fmp_profile

START = at("2026-03-02")
STORED = (
    "SELECT v.* FROM ledger.snapshot_value v ORDER BY v",
    "SELECT r.* FROM ledger.snapshot_refusal r ORDER BY r",
    "SELECT id, registry, unusable, payload FROM ledger.snapshot ORDER BY id",
    "SELECT k.* FROM ledger.snapshot_check k ORDER BY k",
)

CAME = "SELECT fetched_at, last_seen_at, payload, unusable FROM ledger.snapshot ORDER BY 1"


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    made = Desk.of(database, universe("fmp", "yahoo", instruments=("ACME", "BETA")))
    yield made
    made.connection.close()


@pytest.fixture
def session(database: Database, desk: Desk) -> Iterator[LedgerSession]:
    del desk
    with LedgerSession(database) as session:
        yield session


def send(desk: Desk, moment: datetime, body: Any, instrument: str = "ACME") -> None:
    """Store FMP's income statement as a refresh does."""
    desk.receive(moment, "income-statement", json.dumps(body), instrument)


def state(desk: Desk) -> list[Any]:
    return [desk.history(), *map(desk.rows, STORED)]


def test_what_an_old_parser_misread_is_put_right_and_told(
    desk: Desk, session: LedgerSession
) -> None:
    send(desk, START, [fmp_income()])
    send(desk, START + DAY, [fmp_income(revenue=1300)])
    send(desk, START + 2 * DAY, [fmp_income(revenue=1300, eps="nonsense")])
    send(desk, START, [fmp_income(symbol="BETA")], "BETA")
    right = state(desk)
    # As an old version would have left it: a hundred times too much since the second, the words
    # taken for a number, and a field that it did not know.
    desk.connection.execute("UPDATE ledger.snapshot SET registry = 'old'")
    desk.connection.execute(
        "UPDATE ledger.snapshot_value v SET number = number * 100 FROM ledger.snapshot s"
        " WHERE s.id = snapshot_id AND field = 'revenue' AND fetched_at = %s",
        [START + DAY],
    )
    desk.connection.execute("DELETE FROM ledger.snapshot_value WHERE field = 'net_income'")
    desk.connection.execute("DELETE FROM ledger.snapshot_refusal")
    follow(desk.connection, registry(), desk.subject("fmp", "ACME").instrument_id, START)
    assert state(desk) != right

    assert instruments_to_reread(desk.connection) == ["ACME", "BETA"]
    found = reread(session, "ACME")
    assert instruments_to_reread(desk.connection) == ["BETA"]
    (revenue,) = [
        (one.fetched_at, each)
        for one in found
        for each in one.differences
        if each.field == "revenue"
    ]
    assert (revenue[0], revenue[1].what) == (START + DAY, "value")
    assert (revenue[1].old, revenue[1].new) == (130_000.0, 1300.0)
    incomes = [
        each
        for one in found
        for each in one.differences
        if (each.field, each.what) == ("net_income", "value")
    ]
    assert [(each.old, each.new) for each in incomes] == [(None, 100.0)] * 3
    refusals = [each for one in found for each in one.differences if each.what == "refusal"]
    assert refusals
    assert "nonsense" in str(refusals[0].new)
    reread(session, "BETA")
    assert state(desk) == right
    assert not instruments_to_reread(desk.connection)
    assert not reread(session, "ACME", everything=True)
    assert state(desk) == right


def test_what_was_unusable_and_can_be_read_now_counts_from_its_time_on(
    desk: Desk, session: LedgerSession
) -> None:
    send(desk, START, [fmp_income()])
    send(desk, START + DAY, [fmp_income(revenue=1300)])
    send(desk, START + 2 * DAY, [fmp_income(symbol="BETA")])
    right = state(desk)
    desk.connection.execute("UPDATE ledger.snapshot SET registry = 'old', unusable = NULL")
    desk.connection.execute("UPDATE ledger.snapshot_check SET outcome = 'new', detail = NULL")
    unusable = "UPDATE ledger.snapshot SET unusable = 'odd' WHERE fetched_at = %s"
    unconfirmed = (
        "UPDATE ledger.snapshot_check SET outcome = 'unusable', detail = 'odd'"
        " WHERE checked_at = %s"
    )
    for query in (unusable, unconfirmed):
        desk.connection.execute(query, [START + DAY])
    desk.connection.execute(
        "DELETE FROM ledger.snapshot_value v USING ledger.snapshot s"
        " WHERE s.id = snapshot_id AND unusable IS NOT NULL"
    )
    follow(desk.connection, registry(), desk.subject("fmp", "ACME").instrument_id, START)
    told = [
        (one.fetched_at, each.what) for one in reread(session, "ACME") for each in one.differences
    ]
    assert (START + DAY, "unusable") in told
    assert (START + 2 * DAY, "unusable") in told
    assert state(desk) == right
    assert desk.combined(START + DAY)["revenue"]["confirmed_at"] == START + DAY


def test_a_pruned_document_keeps_what_was_read_in_it(desk: Desk, session: LedgerSession) -> None:
    send(desk, START, [fmp_income()])
    desk.connection.execute("UPDATE ledger.snapshot SET payload = NULL, registry = 'old'")
    before = state(desk)
    assert not reread(session, "ACME", everything=True)
    assert state(desk) == before


def misread(desk: Desk) -> None:
    """Store five documents of which an old registry took thousands for units, and prune two."""
    for day in range(5):
        filed = f"2026-02-20 17:30:0{day}"  # so that no field leads to the first documents
        send(desk, START + day * DAY, [fmp_income(revenue=1200 + day, acceptedDate=filed)])
    desk.connection.execute("UPDATE ledger.snapshot SET registry = 'old'")
    desk.connection.execute(
        "UPDATE ledger.snapshot_value SET number = number * 1000 WHERE field = 'revenue'"
    )
    follow(desk.connection, registry(), desk.subject("fmp", "ACME").instrument_id, START)
    keeping = SnapshotsConfig(backups=2, month_ends=False)
    assert len(prune(desk.connection, keeping, START + 9 * DAY).pruned) == 2


def revenues(desk: Desk) -> list[float]:
    return [desk.combined(START + day * DAY)["revenue"]["value"] for day in range(5)]


def test_pruned_documents_are_read_again_while_they_can_be_restored(
    desk: Desk, session: LedgerSession
) -> None:
    misread(desk)
    assert revenues(desk) == [1_200_000, 1_201_000, 1_202_000, 1_203_000, 1_204_000]
    assert len(reread(session, "ACME")) == 5
    assert revenues(desk) == [1200, 1201, 1202, 1203, 1204]
    assert not held_values(desk.connection)
    assert len(pruned(desk.connection)) == 2


def test_what_another_registry_misread_and_nobody_can_read_again_holds_nothing_back(
    desk: Desk, session: LedgerSession
) -> None:
    misread(desk)
    prune(desk.connection, SnapshotsConfig(month_ends=False), START + 99 * DAY)
    assert unreadable(desk.connection) == unreadable(desk.connection, "fmp", "ACME") == 2
    assert unreadable(desk.connection, "yahoo") == 0
    assert len(reread(session, "ACME")) == 3
    assert revenues(desk) == [1_200_000, 1_201_000, 1202, 1203, 1204]
    assert not held_values(desk.connection)
    # Nor when a document comes after that, or the history is worked out from later on.
    send(desk, START + 5 * DAY, [fmp_income(revenue=1205)])
    send(desk, START + 5 * DAY / 2, [fmp_income(revenue=1202)])
    assert revenues(desk)[2:] == [1202, 1203, 1204]
    assert not held_values(desk.connection)


def test_what_was_unusable_between_two_that_are_the_same_parts_them(
    desk: Desk, session: LedgerSession
) -> None:
    send(desk, START, [fmp_income()])
    send(desk, START + 4 * DAY, [fmp_income()])
    send(desk, START + 2 * DAY, [fmp_income(revenue=1300)])
    right = desk.rows(CAME)
    assert len(right) == 3
    desk.connection.execute("TRUNCATE ledger.snapshot, ledger.snapshot_check CASCADE")
    send(desk, START, [fmp_income()])
    send(desk, START + 4 * DAY, [fmp_income()])
    with desk.connection.transaction():
        odd = Fetched(
            "income-statement",
            json.dumps([fmp_income(revenue=1300)]),
            START + 2 * DAY,
            Parsed(),
            "odd",
        )
        keep(desk.connection, desk.subject("fmp", "ACME"), odd, "old")
    assert len(desk.rows(CAME)) == 2
    reread(session, "ACME")
    assert desk.rows(CAME) == right
    values = [desk.combined(START + day * DAY)["revenue"]["value"] for day in (1, 3, 5)]
    assert values == [1200, 1300, 1200]


def percent(desk: Desk) -> None:
    desk.hear("yahoo", START, said("dividend_yield", 0.0041), instrument="ACME")
    for day, value in ((1, 0.41), (2, 0.42)):
        desk.hear("yahoo", START + day * DAY, said("dividend_yield", value), instrument="ACME")


def dividend_yield(desk: Desk, moment: datetime) -> float:
    found: float = desk.combined(moment)["dividend_yield"]["value"]
    return found


def test_a_held_value_that_a_person_accepts_counts_from_its_own_time_on(
    desk: Desk, session: LedgerSession
) -> None:
    percent(desk)
    (one,) = held_values(desk.connection)
    assert (one.instrument, one.provider, one.field) == ("ACME", "yahoo", "dividend_yield")
    assert (one.since, one.old, one.new) == (START + DAY, 0.0041, 0.42)
    assert "0.0041 before" in one.why
    assert not held_values(desk.connection, "fmp")
    accepted = accept(session, Meant(desk.subject("yahoo", "ACME"), "dividend_yield"))
    assert [one.value for one in accepted] == [0.42, 0.41]
    moments = [START, START + DAY, START + 2 * DAY]
    assert [dividend_yield(desk, moment) for moment in moments] == [0.0041, 0.41, 0.42]
    assert not held_values(desk.connection)
    # The next one of that scale is not held; one of the old scale is.
    desk.hear("yahoo", START + 3 * DAY, said("dividend_yield", 0.43), instrument="ACME")
    assert dividend_yield(desk, START + 3 * DAY) == 0.43
    desk.hear("yahoo", START + 4 * DAY, said("dividend_yield", 0.0043), instrument="ACME")
    assert [one.new for one in held_values(desk.connection)] == [0.0043]
    accept(session, Meant(desk.subject("yahoo", "ACME"), "dividend_yield"), undo=True)
    assert [dividend_yield(desk, moment) for moment in moments] == [0.0041] * 3
    assert dividend_yield(desk, START + 4 * DAY) == 0.0043


def test_what_stands_in_for_each_of_several_years_is_of_that_year(desk: Desk) -> None:
    first, second = date(2023, 9, 30), date(2024, 9, 30)

    def years(moment: datetime, *values: float) -> None:
        ends = zip((first, second), values, strict=True)
        of_each = [said("revenue", value, period_end=end) for end, value in ends]
        desk.hear("yahoo", moment, *of_each, instrument="ACME")

    years(START, 100.0, 117.0)
    years(START + DAY, 100_000.0, 117.0)
    years(START + 2 * DAY, 100_000.0, 117_000.0)
    found = [(one.period_end, one.since, one.old, one.new) for one in held_values(desk.connection)]
    assert found == [
        (first, START + DAY, 100.0, 100_000.0),
        (second, START + 2 * DAY, 117.0, 117_000.0),
    ]


def test_an_accepted_value_stays_so_when_it_is_read_again_the_same(
    desk: Desk, session: LedgerSession
) -> None:
    send(desk, START, [fmp_income(revenue=1200)])
    send(desk, START + DAY, [fmp_income(revenue=1_200_000)])
    accept(session, Meant(desk.subject("fmp", "ACME"), "revenue"))
    right = state(desk)
    assert desk.combined(START + DAY)["revenue"]["value"] == 1_200_000
    desk.connection.execute("UPDATE ledger.snapshot_value SET found_at = 'elsewhere'")
    desk.connection.execute("UPDATE ledger.snapshot SET registry = 'old'")
    assert {each.what for one in reread(session, "ACME") for each in one.differences} == {
        "found_at"
    }
    assert state(desk)[1:] == right[1:]
    assert desk.combined(START + DAY)["revenue"]["value"] == 1_200_000


def test_what_cannot_be_accepted_is_told(desk: Desk, session: LedgerSession) -> None:
    percent(desk)
    with pytest.raises(NothingToAccept, match=r"no revenue of ACME is held at yahoo"):
        accept(session, Meant(desk.subject("yahoo", "ACME"), "revenue"))
    with pytest.raises(NothingToAccept, match=r"was accepted"):
        accept(session, Meant(desk.subject("yahoo", "ACME"), "dividend_yield"), undo=True)
    with pytest.raises(UnknownField, match=r"dividend_yield"):
        accept(session, Meant(desk.subject("yahoo", "ACME"), "dividend_yeld"))
    with pytest.raises(UnknownDocument, match=r"did you mean quoteSummary"):
        accept(session, Meant(desk.subject("yahoo", "ACME"), "dividend_yield", "quoteSumary"))


def test_only_the_period_that_is_named_is_accepted_and_taken_back(
    desk: Desk, session: LedgerSession
) -> None:
    ends = first, second = date(2023, 9, 30), date(2024, 9, 30)
    for day, scale in enumerate((1.0, 1e6)):
        moment = START + day * DAY
        years = [said("revenue", 100.0 * scale, period_end=end) for end in ends]
        desk.hear("yahoo", moment, *years, instrument="ACME")
    subject = desk.subject("yahoo", "ACME")
    accepted = accept(session, Meant(subject, "revenue", period_end=second))
    assert [(one.period_end, one.value) for one in accepted] == [(second, 100e6)]
    assert [one.period_end for one in held_values(desk.connection)] == [first]
    with pytest.raises(NothingToAccept, match=r"revenue of ACME about 2023-09-30 was accepted at"):
        accept(session, Meant(subject, "revenue", period_end=first), undo=True)
    accept(session, Meant(subject, "revenue", period_end=second), undo=True)
    assert [one.period_end for one in held_values(desk.connection)] == [*ends]


def test_what_was_accepted_in_another_document_is_not_taken_back_with_it(
    desk: Desk, session: LedgerSession
) -> None:
    for day, size in enumerate((5050, 5_050_000)):
        for document, body in (
            ("profile", fmp_profile(marketCap=size)),
            ("quote", {"symbol": "ACME", "price": 50.5, "marketCap": size}),
        ):
            desk.receive(START + day * DAY, document, json.dumps([body]), "ACME")
    subject = desk.subject("fmp", "ACME")
    for document in ("profile", "quote"):
        accept(session, Meant(subject, "market_cap", document))
    with pytest.raises(NothingToAccept, match=r"several documents of fmp, profile and quote"):
        accept(session, Meant(subject, "market_cap"), undo=True)
    undone = accept(session, Meant(subject, "market_cap", "quote"), undo=True)
    assert [one.document for one in undone] == ["quote"]
    assert [one.document for one in held_values(desk.connection)] == ["quote"]


def test_an_earlier_year_and_its_date_are_accepted_for_good(
    desk: Desk, session: LedgerSession
) -> None:
    wrong, right = date(2025, 9, 30), date(2024, 9, 30)

    def hear(day: int, number: float, end: date) -> None:
        ended = said("fiscal_period_end", end, period_end=end)
        desk.hear(
            "yahoo", START + day * DAY, said("revenue", number, period_end=end), ended,
            instrument="ACME",
        )  # fmt: skip

    hear(0, 300e9, wrong)
    hear(1, 391e9, right)
    found = {one.field: (one.old, one.new) for one in held_values(desk.connection)}
    assert found == {
        "revenue": (300e9, 391e9),
        "fiscal_period_end": ("2025-09-30", "2024-09-30"),
    }
    for field in found:
        accept(session, Meant(desk.subject("yahoo", "ACME"), field))
    hear(2, 392e9, right)
    now = desk.combined(START + 2 * DAY)
    assert now["revenue"]["value"] == 392e9
    assert now["fiscal_period_end"]["day"] == right
    assert held_values(desk.connection) == []
