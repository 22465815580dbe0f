"""Refreshing fundamentals: what is due, what is asked for, and what becomes of the answers."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from pipeline.asking import Patience
from pipeline.fundamentals.documents import DOCUMENTS
from pipeline.providers.capabilities import Capabilities
from pipeline.providers.errors import AuthenticationFailed, ProviderError, ProviderUnavailable
from pipeline.providers.table import capabilities_for
from pipeline.snapshots.refreshing import Refreshed, due, refresh
from pipeline.store.database import Database
from pipeline.store.session import LedgerSession
from pipeline.store.subjects import Subject, subjects
from tests.fundamentals import DAY, Desk, universe
from tests.making import at
from tests.unit.fundamentals.making import fmp_income, fmp_profile

NOW = at("2026-03-02T12:00")
EVERY = list(DOCUMENTS["fmp"])


class Vendor:
    """A provider of fundamentals that answers as it is told to."""

    name = "fmp"
    capabilities: Capabilities = capabilities_for("fmp")
    requests_sent = 0
    clock_skew = None

    def __init__(self, *answers: Mapping[str, Any]) -> None:
        self.answers: dict[str, Any] = {key: one for part in answers for key, one in part.items()}
        self.asked: list[tuple[str, str]] = []

    def fetch_document(self, symbol: str, document: str) -> str | None:
        self.asked.append((symbol, document))
        answer = self.answers.get(document)
        if isinstance(answer, ProviderError):
            raise answer
        return answer if answer is None or isinstance(answer, str) else json.dumps(answer)

    def close(self) -> None:
        pass


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    made = Desk.of(database, universe("fmp", instruments=("ACME", "BETA")))
    yield made
    made.connection.close()


@pytest.fixture
def session(database: Database, desk: Desk) -> Iterator[LedgerSession]:
    del desk
    with LedgerSession(database) as session:
        yield session


def everything(connection: Any) -> Sequence[Subject]:
    return subjects(connection, "fmp")


def refreshed(
    session: LedgerSession, vendor: Vendor, now: datetime = NOW, *names: str, force: bool = False
) -> Mapping[tuple[str, str], Refreshed]:
    wanted = session.run(lambda c: subjects(c, "fmp", names or ["ACME"]))
    patience = Patience(attempts=2, first_wait=timedelta(0))
    found = refresh(session, vendor, wanted, force=force, patience=patience, clock=lambda: now)
    return {(one.subject.instrument, one.document): one for one in found}


def asked(vendor: Vendor) -> list[str]:
    return [document for _, document in vendor.asked]


def test_what_was_never_answered_is_due_and_then_only_what_has_expired(
    session: LedgerSession,
) -> None:
    vendor = Vendor({"income-statement": [fmp_income()], "profile": [fmp_profile()]})
    found = refreshed(session, vendor)
    assert asked(vendor) == EVERY
    outcomes = {document: one.outcome for (_, document), one in found.items()}
    assert outcomes["income-statement"] == outcomes["profile"] == "new"
    assert outcomes["quote"] == "none"
    later = Vendor(vendor.answers)
    refreshed(session, later, NOW + 2 * DAY)
    assert asked(later) == []
    refreshed(session, later, NOW + 4 * DAY)
    assert set(asked(later)) == {"profile", "quote", "key-metrics-ttm", "ratios-ttm"}
    assert refreshed(session, Vendor(vendor.answers), NOW + 5 * DAY, force=True)


def test_a_refresh_asks_about_nobody_else_and_writes_nothing_of_others(
    session: LedgerSession, desk: Desk
) -> None:
    vendor = Vendor({"income-statement": [fmp_income()]})
    refreshed(session, vendor, NOW)
    assert {symbol for symbol, _ in vendor.asked} == {"ACME"}
    assert desk.rows("SELECT DISTINCT instrument FROM market.fundamentals_fields") == [("ACME",)]


def test_a_date_of_earnings_that_has_passed_makes_all_documents_due(
    session: LedgerSession, desk: Desk
) -> None:
    refreshed(session, Vendor({"income-statement": [fmp_income()]}))
    everyone = session.run(everything)
    now = NOW + timedelta(hours=30)
    assert [one.why for one in due(desk.connection, everyone[:1], now)] == []
    desk.connection.execute(
        "INSERT INTO ledger.snapshot_value (snapshot_id, field, period, day, found_at)"
        " SELECT max(id), 'next_earnings_date', 'instant', %s, 'calendar' FROM ledger.snapshot",
        [NOW.date()],
    )
    assert {one.why for one in due(desk.connection, everyone[:1], now)} == {"earnings"}
    refreshed(session, Vendor(), now)
    assert due(desk.connection, everyone[:1], now + timedelta(hours=1)) == []


def test_an_answer_of_a_time_that_is_still_to_come_is_none(
    session: LedgerSession, desk: Desk
) -> None:
    vendor = Vendor({"income-statement": [fmp_income()]})
    refreshed(session, vendor, NOW + 3650 * DAY)  # by a clock that was ahead
    again = Vendor(vendor.answers)
    refreshed(session, again, NOW)
    assert asked(again) == EVERY
    everyone = session.run(everything)
    assert due(desk.connection, everyone[:1], NOW + DAY) == []


def test_a_failure_is_noted_and_asked_again_and_the_rest_goes_on(
    session: LedgerSession, desk: Desk
) -> None:
    vendor = Vendor(
        {"profile": ProviderUnavailable("fmp", "status 503"), "income-statement": [fmp_income()]}
    )
    found = refreshed(session, vendor)
    assert found["ACME", "profile"].outcome == "failed"
    assert "503" in str(found["ACME", "profile"].detail)
    assert found["ACME", "income-statement"].outcome == "new"
    assert asked(vendor).count("profile") == 2
    again = Vendor({"profile": [fmp_profile()]})
    refreshed(session, again, NOW + timedelta(minutes=1))
    assert asked(again) == ["profile"]
    assert "company_name" in desk.combined(NOW + timedelta(minutes=1))


@pytest.mark.usefixtures("interruption")
def test_what_was_answered_is_kept_when_the_process_is_told_to_stop(session: LedgerSession) -> None:
    class Stopping(Vendor):
        def fetch_document(self, symbol: str, document: str) -> str | None:
            answer = super().fetch_document(symbol, document)
            if document == "profile":
                signal.raise_signal(signal.SIGINT)
            return answer

    vendor = Stopping({"income-statement": [fmp_income()], "profile": [fmp_profile()]})
    with pytest.raises(KeyboardInterrupt):
        refreshed(session, vendor, NOW, "ACME", "BETA")
    assert asked(vendor)[-1] == "profile"
    assert {symbol for symbol, _ in vendor.asked} == {"ACME"}
    again = Vendor(vendor.answers)
    refreshed(session, again, NOW, "ACME")
    assert set(asked(again)) == set(EVERY) - set(asked(vendor))


def test_without_keys_nothing_else_is_asked(session: LedgerSession) -> None:
    vendor = Vendor({"profile": AuthenticationFailed("fmp", "the key is not accepted")})
    found = refreshed(session, vendor, NOW, "ACME", "BETA")
    assert asked(vendor) == ["profile"]
    assert {one.outcome for one in found.values()} == {"failed"}
    assert "not asked" in str(found["BETA", "quote"].detail)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "empty"),
        ("<html>Service is down</html>", ""),
        ('[{"symbol": "ACME", "date": "2025-12', ""),
        ([fmp_income(symbol="OTHER")], "OTHER"),
        ("[\0]", "no text"),
        ([{"symbol": "ACME"}], "states nothing that the field registry names"),
        ([fmp_income(date=None, reportedCurrency=None)], r"states nothing usable: [0].revenue"),
    ],
)
def test_nonsense_is_kept_with_the_reason_and_changes_nothing(
    session: LedgerSession, desk: Desk, body: Any, why: str
) -> None:
    refreshed(session, Vendor({"income-statement": [fmp_income()]}))
    before = desk.history()
    found = refreshed(session, Vendor({"income-statement": body}), NOW + 100 * DAY)
    one = found["ACME", "income-statement"]
    assert one.outcome == "unusable"
    assert why in str(one.detail)
    assert desk.history() == before
    ((kept, said),) = desk.rows(
        "SELECT payload IS NOT NULL, unusable FROM market.fundamentals_snapshots"
        " WHERE document = 'income-statement' AND unusable IS NOT NULL"
    )
    assert kept
    assert said == one.detail
    again = Vendor({"income-statement": [fmp_income()]})
    refreshed(session, again, NOW + 100 * DAY + timedelta(minutes=1))
    assert "income-statement" in asked(again)


def test_a_value_that_cannot_be_one_is_refused_and_the_others_count(
    session: LedgerSession, desk: Desk
) -> None:
    refreshed(session, Vendor({"income-statement": [fmp_income(revenue="a lot")]}))
    fields = desk.combined(NOW)
    assert "revenue" not in fields
    assert fields["net_income"]["state"] == "single"
    assert desk.rows("SELECT field, raw FROM ledger.snapshot_refusal") == [("revenue", "'a lot'")]
