"""Snapshots as files: out and in again, and what is refused."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.folders import DestinationError, Folder
from pipeline.snapshots.accepting import Meant, accept
from pipeline.snapshots.exporting import export_snapshots
from pipeline.snapshots.importing import Imported, import_snapshots
from pipeline.store.database import Database
from pipeline.store.retention import prune
from pipeline.store.session import LedgerSession
from pipeline.universe import SnapshotsConfig
from tests.fundamentals import DAY, Desk, universe
from tests.making import at
from tests.unit.fundamentals.making import fmp_income, fmp_profile

START = at("2026-03-02T12:00") + timedelta(microseconds=250_000)
NOW = at("2026-07-01")
BODIES: dict[str, Callable[..., dict[str, Any]]] = {
    "income-statement": fmp_income,
    "profile": fmp_profile,
}


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


def send(
    desk: Desk,
    moment: datetime,
    document: str = "income-statement",
    name: str = "ACME",
    **said: Any,
) -> None:
    """Store a document as a refresh does."""
    desk.receive(moment, document, json.dumps([BODIES[document](**{"symbol": name, **said})]), name)


def quietly(done: int, total: int) -> None:
    assert 0 < done <= total


def export(desk: Desk, folder: Path) -> dict[str, int]:
    done = export_snapshots(desk.connection, Folder(str(folder)), None, None, quietly)
    return counted([one.outcome for one in done])


def take_in(session: LedgerSession, folder: Path, **options: Any) -> list[Imported]:
    return import_snapshots(session, Folder(str(folder)), show=quietly, now=NOW, **options)


def counted(outcomes: list[Any]) -> dict[str, int]:
    return {one: outcomes.count(one) for one in outcomes}


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.json"))


def state(desk: Desk) -> list[Any]:
    """All that is kept, without numbers, and all that follows from it."""
    snapshots = (
        "SELECT provider, instrument, symbol, document, fetched_at, last_seen_at, unusable, payload"
        " FROM market.fundamentals_snapshots ORDER BY 2, 4, 5"
    )
    values = (
        "SELECT instrument, provider, document, fetched_at, field, period, period_end, value,"
        " words, day, currency, found_at, held FROM market.fundamentals_values"
        " ORDER BY 1, 2, 3, 4, 5, 6, 7"
    )
    checks = (
        "SELECT document, checked_at, outcome, detail FROM ledger.snapshot_check"
        " ORDER BY 1, 2, 3, 4"
    )
    return [desk.history(), *map(desk.rows, (snapshots, values, checks))]


def emptied(desk: Desk) -> None:
    desk.connection.execute(
        "TRUNCATE ledger.snapshot, ledger.snapshot_check, ledger.fundamental CASCADE"
    )


def fill(desk: Desk) -> None:
    send(desk, START)
    send(desk, START + DAY / 86_400 / 2, revenue=1250)  # of the same second
    send(desk, START + DAY, revenue=1300)
    send(desk, START + 2 * DAY, revenue=1300)
    send(desk, START + 3 * DAY, symbol="OTHER")
    send(desk, START, "profile")
    send(desk, START, "profile", "BETA", companyName='Béta "quoted"\u2028 & Söhne')


def test_what_went_out_comes_in_as_it_was(
    desk: Desk, session: LedgerSession, tmp_path: Path
) -> None:
    fill(desk)
    before = state(desk)
    assert export(desk, tmp_path) == {"written": 6}
    assert files(tmp_path) == [
        "ACME/income-statement/fmp_20260302_120000.json",
        "ACME/income-statement/fmp_20260302_120000_750000.json",
        "ACME/income-statement/fmp_20260303_120000.json",
        "ACME/income-statement/fmp_20260305_120000.json",
        "ACME/profile/fmp_20260302_120000.json",
        "BETA/profile/fmp_20260302_120000.json",
    ]
    assert export(desk, tmp_path) == {"kept": 6}
    assert counted([one.outcome for one in take_in(session, tmp_path)]) == {"there": 6}
    assert state(desk) == before
    emptied(desk)
    planned = take_in(session, tmp_path, dry_run=True)
    assert not desk.rows("SELECT FROM ledger.snapshot")
    done = take_in(session, tmp_path)
    assert done == planned
    assert counted([one.outcome for one in done]) == {"new": 5, "unusable": 1}
    assert state(desk) == before
    assert counted([one.outcome for one in take_in(session, tmp_path)]) == {"there": 6}
    assert state(desk) == before


def test_when_a_document_came_again_and_what_was_accepted_come_in_too(
    desk: Desk, session: LedgerSession, tmp_path: Path
) -> None:
    for n in range(8):
        send(desk, START + n * 15 * DAY)
    send(desk, START + 110 * DAY, revenue=1_200_000)
    accept(session, Meant(desk.subject("fmp", "ACME"), "revenue"))
    send(desk, START + 2 * DAY, symbol="OTHER")  # late, and of no use
    before = state(desk)
    late, end = START + 104 * DAY, START + 111 * DAY
    rows = [desk.combined(moment)["revenue"] for moment in (late, end)]
    assert [(row["state"], row["value"]) for row in rows] == [("single", 1200), ("single", 1.2e6)]
    export(desk, tmp_path)
    emptied(desk)
    assert counted([one.outcome for one in take_in(session, tmp_path)]) == {"new": 2, "unusable": 1}
    assert state(desk) == before
    # A ledger that has the documents, but not what became of them, learns it.
    desk.connection.execute("UPDATE ledger.snapshot_value SET accepted = false")
    desk.connection.execute(
        "DELETE FROM ledger.snapshot_check WHERE outcome = 'same' AND checked_at < %s", [late]
    )
    assert counted([one.outcome for one in take_in(session, tmp_path)]) == {"same": 2, "there": 1}
    assert state(desk) == before
    assert counted([one.outcome for one in take_in(session, tmp_path)]) == {"there": 3}


def test_a_day_that_was_accepted_comes_in_too(
    desk: Desk, session: LedgerSession, tmp_path: Path
) -> None:
    send(desk, START)
    send(desk, START + DAY, date="2024-12-31")
    accept(session, Meant(desk.subject("fmp", "ACME"), "fiscal_period_end"))
    before = state(desk)
    assert str(desk.combined(START + DAY)["fiscal_period_end"]["day"]) == "2024-12-31"
    export(desk, tmp_path)
    emptied(desk)
    take_in(session, tmp_path)
    assert state(desk) == before


def test_what_was_accepted_is_not_when_something_else_is_read(
    desk: Desk, session: LedgerSession, tmp_path: Path
) -> None:
    send(desk, START)
    send(desk, START + DAY, revenue=1_200_000)
    accept(session, Meant(desk.subject("fmp", "ACME"), "revenue"))
    export(desk, tmp_path)
    emptied(desk)
    (path,) = [path for path in tmp_path.rglob("*.json") if "20260303" in path.name]
    (accepted,) = json.loads(path.read_text())["accepted"]
    changed(path, accepted=[accepted | {"value": 1_200_001.0}])
    take_in(session, tmp_path)
    assert desk.combined(START + DAY)["revenue"]["value"] == 1200


def test_files_of_the_first_format_are_read(
    desk: Desk, session: LedgerSession, tmp_path: Path
) -> None:
    send(desk, START)
    send(desk, START + DAY)
    before = state(desk)
    export(desk, tmp_path)
    (path,) = tmp_path.rglob("*.json")
    body = json.loads(path.read_text()) | {"format": "minuteledger snapshot 1"}
    path.write_text(json.dumps({k: v for k, v in body.items() if k not in {"seen_at", "accepted"}}))
    emptied(desk)
    assert counted([one.outcome for one in take_in(session, tmp_path)]) == {"new": 1}
    assert state(desk) == before


@pytest.mark.parametrize("seed", range(4))
def test_files_that_come_late_and_in_any_order_change_nothing_of_the_past(
    desk: Desk, session: LedgerSession, tmp_path: Path, seed: int
) -> None:
    generator = random.Random(seed)
    for day in range(8):
        revenue = generator.choice([1200, 1.2, 1300, 120_000])
        send(
            desk, START + day * DAY, revenue=revenue, symbol=generator.choice(["ACME"] * 4 + ["X"])
        )
    before = state(desk)
    export(desk, tmp_path)
    emptied(desk)
    late = files(tmp_path)
    generator.shuffle(late)
    for number, path in enumerate(late):
        folder = tmp_path.parent / f"{tmp_path.name}-{number}"
        folder.mkdir()
        (tmp_path / path).rename(folder / "any name.json")
        assert all(one.outcome != "refused" for one in take_in(session, folder))
    assert state(desk) == before


def test_a_payload_that_was_pruned_is_exported_and_comes_back(
    desk: Desk, session: LedgerSession, tmp_path: Path
) -> None:
    for day in range(4):
        send(desk, START + day * DAY, revenue=1200 + day)
    before = state(desk)
    keeping = SnapshotsConfig(month_ends=False)
    assert len(prune(desk.connection, keeping, NOW).pruned) == 1
    assert export(desk, tmp_path) == {"written": 4}
    prune(desk.connection, keeping, NOW + 40 * DAY)
    assert export(desk, tmp_path / "later") == {"written": 3, "gone": 1}
    done = take_in(session, tmp_path / "ACME")
    assert counted([one.outcome for one in done]) == {"restored": 1, "there": 3}
    assert state(desk) == before


def changed(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"payload": "[]"}, r"its payload is not the one .* another copy"),
        ({"symbol": "OTHER"}, r"of the symbol 'OTHER' \(client fmp\), .* ACME by 'ACME'"),
        ({"client": "yahoo"}, r"\(client yahoo\), .* by 'ACME' \(client fmp\)"),
        ({"instrument": "NOBODY"}, r"fmp is not asked about NOBODY here; add it"),
        ({"document": "profiles"}, r"'profiles' is no document of fmp; use one of: profile"),
        ({"fetched_at": "2026-03-09T00:00:00Z"}, r"are not in order of time"),
        ({"seen_at": ["2026-03-09T00:00:00Z"]}, r"fetched_at, seen_at and last_seen_at are not in"),
        ({"last_seen_at": "2027-03-09T00:00:00Z"}, r"in the future"),
        ({"fetched_at": "yesterday"}, r"fetched_at: .* another copy"),
        ({"more": 1}, r"more: "),
    ],
)
def test_a_file_that_is_not_right_is_refused_and_the_others_are_taken(
    desk: Desk, session: LedgerSession, tmp_path: Path, values: dict[str, Any], why: str
) -> None:
    send(desk, START)
    send(desk, START + DAY, revenue=1300)
    export(desk, tmp_path)
    emptied(desk)
    wrong = "ACME/income-statement/fmp_20260303_120000.json"
    changed(tmp_path / wrong, **values)
    refused, taken = take_in(session, tmp_path)
    assert (refused.path, refused.outcome, taken.outcome) == (wrong, "refused", "new")
    assert refused.detail is not None
    assert refused.detail.startswith(wrong)
    assert re.search(why, refused.detail), refused.detail
    assert desk.rows("SELECT fetched_at FROM ledger.snapshot") == [(START,)]


def test_a_torn_file_is_refused_and_written_anew_by_the_next_export(
    desk: Desk, session: LedgerSession, tmp_path: Path
) -> None:
    send(desk, START)
    export(desk, tmp_path)
    (path,) = tmp_path.rglob("*.json")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (refused,) = take_in(session, tmp_path)
    assert "was cut short" in str(refused.detail)
    assert export(desk, tmp_path) == {"written": 1}
    assert path.read_bytes() == whole


def test_a_document_that_contradicts_a_stored_one_is_refused(
    desk: Desk, session: LedgerSession, tmp_path: Path
) -> None:
    send(desk, START)
    send(desk, START + 4 * DAY)  # unchanged
    send(desk, START + 6 * DAY, revenue=1300)
    export(desk, tmp_path)
    emptied(desk)
    send(desk, START, revenue=1400)
    refused, taken = take_in(session, tmp_path)
    assert "another document of that moment" in str(refused.detail)
    assert taken.outcome == "new"
    emptied(desk)
    send(desk, START + 2 * DAY, revenue=1402)
    (refused,) = [one for one in take_in(session, tmp_path) if one.outcome == "refused"]
    assert "and so was another document that the ledger has since 2026-03-04" in str(refused.detail)


def test_a_folder_that_is_not_there_is_told(session: LedgerSession, tmp_path: Path) -> None:
    with pytest.raises(DestinationError, match=r"no such folder"):
        take_in(session, tmp_path / "nowhere")
