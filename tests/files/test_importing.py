"""What files of a vendor become in the ledger: bars, coverage, failures, revisions, refusals."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.intervals import Interval
from pipeline.providers import files_unpacking
from pipeline.providers.files_finding import Source
from pipeline.providers.files_unpacking import Unpacked
from pipeline.store.database import Database
from tests.files.conftest import Home, declared, lines, minutes, opened
from tests.making import at, span


def test_a_file_answers_from_its_first_row_to_its_last_and_no_further(
    database: Database, folder: Path
) -> None:
    stamps = minutes("2024-03-01 14:30", 5) + minutes("2024-03-15 20:00", 3)
    (folder / "SPY.csv").write_text(lines(stamps))
    home = Home(database, declared(folder / "{symbol}.csv"))
    (march, april) = home.download("2024-03", "2024-04")
    assert march.complete
    assert april.complete
    assert list(home.stored()) == [at(stamp) for stamp in stamps]
    assert home.answered("2024-03") == [span("2024-03-01T14:30", "2024-03-15T20:03")]
    assert home.answered("2024-04") == []
    row = home.coverage("2024-04")
    assert (row.bars, row.empty, row.unavailable) == (0, 0, row.expected)
    assert home.listing().first_trade == at("2024-03-01T14:30")
    row = home.coverage("2024-03")
    assert (row.bars, row.failed, row.pending) == (8, 0, 0)
    assert row.adds_up


def test_a_month_in_the_name_answers_for_the_whole_month(database: Database, folder: Path) -> None:
    for month in ("01", "02"):
        (folder / f"SPY-2024-{month}.csv").write_text(lines(minutes(f"2024-{month}-10 10:00", 3)))
    home = Home(database, declared(folder / "{symbol}-{year}-{month}.csv"))
    assert all(report.complete for report in home.download("2024-01", "2024-02", "2024-03"))
    assert home.answered("2024-01") == [span("2024-01-10T10:00", "2024-02-01")]
    assert home.answered("2024-02") == [span("2024-02-01", "2024-03-01")]
    assert home.coverage("2024-03").unavailable == 31 * 1440


def test_a_file_written_before_its_period_ended_answers_no_further_than_its_rows(
    database: Database, folder: Path
) -> None:
    file = folder / "SPY-2024-03.csv"
    file.write_text(lines(minutes("2024-03-10 10:00", 3)))
    written = at("2024-03-15").timestamp()
    os.utime(file, (written, written))
    home = Home(database, declared(folder / "{symbol}-{year}-{month}.csv"))
    home.download("2024-03")
    assert home.answered("2024-03") == [span("2024-03-10T10:00", "2024-03-10T10:03")]
    assert home.coverage("2024-03").unavailable > 0


def test_a_missing_day_fails_with_the_name_of_its_file_and_is_left_alone(
    database: Database, folder: Path
) -> None:
    for day in ("04", "05", "07"):
        (folder / f"SPY_202403{day}.csv").write_text(lines(minutes(f"2024-03-{day} 10:00", 3)))
    home = Home(database, declared(folder / "{symbol}_{year}{month}{day}.csv"))
    (report,) = home.download("2024-03")
    assert not report.complete
    ((since, before, error, message, attempts, given_up),) = home.failures()
    assert (since, before, error) == (at("2024-03-06"), at("2024-03-07"), "MissingFile")
    assert "SPY_20240306.csv" in message
    assert given_up is not None
    # What is only due leaves it alone, and it costs nothing.
    (again,) = home.download("2024-03", only_due=True)
    assert again.complete
    assert again.requests == 0
    assert home.failures()[0][4] == attempts == 1
    # It is noticed when it comes.
    (folder / "SPY_20240306.csv").write_text(lines(minutes("2024-03-06 10:00", 3)))
    (healed,) = home.download("2024-03", only_due=True)
    assert healed.complete
    assert healed.inserted == 3
    assert home.failures() == []
    assert home.answered("2024-03") == [span("2024-03-04T10:00", "2024-03-08")]


def test_a_broken_day_fails_and_all_others_are_stored(database: Database, folder: Path) -> None:
    for day in range(4, 12):
        (folder / f"SPY_202403{day:02}.csv").write_text(
            lines(minutes(f"2024-03-{day:02} 10:00", 3))
        )
        if day % 2:
            (folder / f"SPY_202403{day:02}.csv").write_text("2024-03-05 10:00,1,2\n")
    home = Home(database, declared(folder / "{symbol}_{year}{month}{day}.csv"))
    (report,) = home.download("2024-03")
    assert report.inserted == 4 * 3
    assert len(report.failures) == 4
    for _, _, error, message, _, given_up in home.failures():
        assert error == "BrokenFile"
        assert "line 1: has 3 columns instead of 6" in message
        assert "correct `delimiter:`" in message
        assert given_up


def test_an_unchanged_file_is_not_asked_again(database: Database, folder: Path) -> None:
    (folder / "SPY.csv").write_text(lines(minutes("2024-03-01 10:00", 30)))
    home = Home(database, declared(folder / "{symbol}.csv"))
    home.download("2024-03")
    (report,) = home.download("2024-03")
    assert (report.requests, report.inserted, report.revised) == (0, 0, 0)


def test_a_changed_row_becomes_a_revision(database: Database, folder: Path) -> None:
    file = folder / "SPY.csv"
    file.write_text(lines(minutes("2024-03-01 10:00", 30)))
    home = Home(database, declared(folder / "{symbol}.csv"))
    home.download("2024-03")
    text = file.read_text().replace("2024-03-01 10:07,107.0,", "2024-03-01 10:07,107.5,")
    file.write_text(text)
    (report,) = home.download("2024-03")
    assert (report.inserted, report.revised) == (0, 1)
    assert home.query("SELECT ts, old_open, new_open FROM ledger.bar_revision") == [
        (at("2024-03-01T10:07"), 107.0, 107.5)
    ]
    (report,) = home.download("2024-03")
    assert report.requests == 0


def test_a_declaration_that_shifts_all_stamps_is_refused_whole(
    database: Database, folder: Path
) -> None:
    (folder / "SPY.csv").write_text(lines(minutes("2024-03-01 10:00", 300)))
    home = Home(database, declared(folder / "{symbol}.csv"))
    home.download("2024-03")
    before = home.stored()
    home.files = declared(folder / "{symbol}.csv", stamp="end")
    (report,) = home.download("2024-03")
    assert report.revised == 0
    assert "shift of -1 minutes" in report.explain()
    assert home.stored() == before
    assert home.query("SELECT count(*) FROM ledger.refused_delivery") == [(1,)]


def test_a_file_that_grows_is_taken_further(database: Database, folder: Path) -> None:
    file = folder / "SPY.csv"
    file.write_text(lines(minutes("2024-03-01 10:00", 30)))
    home = Home(database, declared(folder / "{symbol}.csv"))
    home.download("2024-03")
    assert home.coverage("2024-03").unavailable > 0
    with file.open("a") as more:
        more.write(lines(minutes("2024-03-09 10:00", 5), price=200))
    (report,) = home.download("2024-03")
    assert report.inserted == 5
    assert home.answered("2024-03") == [span("2024-03-01T10:00", "2024-03-09T10:05")]


def test_overlapping_files_may_agree_and_what_contradicts_is_refused_with_their_names(
    database: Database, folder: Path
) -> None:
    (folder / "SPY_a.csv").write_text(lines(minutes("2024-03-01 10:00", 30)))
    other = lines(minutes("2024-03-01 10:00", 40))
    (folder / "SPY_b.csv").write_text(other.replace("10:07,107.0,", "10:07,107.5,"))
    home = Home(database, declared(folder / "{symbol}_*.csv"))
    (report,) = home.download("2024-03")
    assert report.inserted == 39
    assert at("2024-03-01T10:07") not in home.stored()
    refused = home.query(
        "SELECT rule, bar->>'open', bar->>'file', bar->>'line' FROM ledger.quarantine ORDER BY 2"
    )
    assert refused == [
        ("one_bar_a_minute", "107.0", str(folder / "SPY_a.csv"), "8"),
        ("one_bar_a_minute", "107.5", str(folder / "SPY_b.csv"), "8"),
    ]
    ((since, before, error, *_),) = home.failures()
    assert (since, before - since, error) == (
        at("2024-03-01T10:07"),
        timedelta(minutes=1),
        "RefusedBar",
    )


def test_rows_that_break_rules_are_refused_as_those_of_any_provider(
    database: Database, folder: Path
) -> None:
    rows = lines(minutes("2024-03-01 10:00", 5)).splitlines()
    rows[1] = "2024-03-01 10:01,101,90,99,100,1"
    rows[2] = "2024-03-01 10:02,101,NaN,99,100,1"
    rows[3] = "2024-03-01 10:03:20,101,103,99,100,1"
    (folder / "SPY.csv").write_text("\n".join(rows))
    home = Home(database, declared(folder / "{symbol}.csv"))
    (report,) = home.download("2024-03")
    assert (report.inserted, report.refused) == (2, 3)
    rules = home.query("SELECT rule FROM ledger.quarantine ORDER BY 1")
    assert [rule for (rule,) in rules] == ["high_finite", "high_is_highest", "on_the_minute"]


@pytest.mark.parametrize("pattern", ["{symbol}.csv", "{symbol}-{year}.csv"])
def test_a_symbol_without_a_file_fails_and_says_where_it_was_looked_for(
    database: Database, folder: Path, pattern: str
) -> None:
    home = Home(database, declared(folder / pattern))
    (report,) = home.download("2024-03")
    assert str(folder / "SPY") in report.explain()
    assert "put the files there" in report.explain()
    assert home.failures()[0][2] == "UnknownSymbol"


def test_one_file_may_hold_all_symbols(database: Database, folder: Path) -> None:
    rows = [
        f"{symbol},{row}"
        for stamp in minutes("2024-03-01 10:00", 10)
        for symbol, row in (("SPY", lines([stamp])), ("QQQ", lines([stamp], 300)))
    ]
    (folder / "all.csv").write_text("".join(rows))
    files = declared(
        folder / "all.csv", columns=["symbol", "time", "open", "high", "low", "close", "_"]
    )
    home = Home(database, files, symbols=("SPY", "QQQ"))
    home.download("2024-03", symbol="SPY")
    home.download("2024-03", symbol="QQQ")
    assert {bar[0] for bar in home.stored("SPY").values()} == {100.0}
    assert {bar[0] for bar in home.stored("QQQ").values()} == {300.0}
    assert len(home.stored("QQQ")) == 10
    assert {bar[4] for bar in home.stored("QQQ").values()} == {None}


def test_what_is_older_than_the_first_row_so_far_is_noticed_by_a_look(
    database: Database, folder: Path
) -> None:
    (folder / "SPY-2024-03.csv").write_text(lines(minutes("2024-03-10 10:00", 3)))
    home = Home(database, declared(folder / "{symbol}-{year}-{month}.csv"))
    home.download("2024-03")
    (folder / "SPY-2024-01.csv").write_text(lines(minutes("2024-01-10 10:00", 3)))
    home.look()
    assert home.listing().first_trade == at("2024-01-10T10:00")
    (january, february) = home.download("2024-01", "2024-02")
    assert (january.complete, january.inserted) == (True, 3)
    # February lies between them now.
    assert "SPY-2024-02.csv" in february.explain()


def test_a_month_that_was_beyond_the_files_is_asked_for_once_they_reach_it(
    database: Database, folder: Path
) -> None:
    (folder / "SPY-2024-03.csv").write_text(lines(minutes("2024-03-10 10:00", 3)))
    home = Home(database, declared(folder / "{symbol}-{year}-{month}.csv"))
    home.download("2024-03", "2024-04", "2024-05")
    assert [home.coverage(f"2024-0{month}").unavailable for month in (4, 5)] == [43_200, 44_640]
    (folder / "SPY-2024-05.csv").write_text(lines(minutes("2024-05-10 10:00", 3)))
    home.look()
    assert home.due() >= {"2024-04", "2024-05"}
    (april, may) = home.download("2024-04", "2024-05")
    assert "SPY-2024-04.csv" in april.explain()
    assert home.coverage("2024-04").failed == 43_200
    assert (may.complete, may.inserted) == (True, 3)


def test_after_a_look_only_what_changed_is_due(database: Database, folder: Path) -> None:
    for month in ("01", "02", "03"):
        (folder / f"SPY-2024-{month}.csv").write_text(lines(minutes(f"2024-{month}-10 10:00", 3)))
    home = Home(database, declared(folder / "{symbol}-{year}-{month}.csv"), end="2024-04-01")
    home.look()
    assert home.due() == {"2024-01", "2024-02", "2024-03"}
    home.download("2024-01", "2024-02", "2024-03")
    home.look()
    assert home.due() == set()
    (folder / "SPY-2024-02.csv").write_text(lines(minutes("2024-02-10 10:00", 4)))
    home.look()
    assert home.due() == {"2024-02"}
    home.download("2024-02")
    assert home.due() == set()


def test_files_that_are_gone_altogether_leave_what_was_answered_as_it_was(
    database: Database, folder: Path
) -> None:
    for month in ("01", "02"):
        (folder / f"SPY-2024-{month}.csv").write_text(lines(minutes(f"2024-{month}-10 10:00", 3)))
    home = Home(database, declared(folder / "{symbol}-{year}-{month}.csv"), end="2024-03-01")
    home.download("2024-01", "2024-02")
    before = home.stored()
    for file in folder.iterdir():
        file.unlink()
    home.look()
    assert home.due() == set()
    assert all(report.complete for report in home.download("2024-01", "2024-02"))
    assert home.stored() == before


def test_a_day_that_is_taken_away_is_missed_and_its_bars_stay(
    database: Database, folder: Path
) -> None:
    for day in ("04", "05", "06"):
        (folder / f"SPY_202403{day}.csv").write_text(lines(minutes(f"2024-03-{day} 10:00", 3)))
    home = Home(database, declared(folder / "{symbol}_{year}{month}{day}.csv"), end="2024-03-07")
    home.download("2024-03")
    (folder / "SPY_20240305.csv").unlink()
    (report,) = home.download("2024-03")
    assert "SPY_20240305.csv" in report.explain()
    assert len(home.stored()) == 9
    assert home.coverage("2024-03").adds_up


def test_a_broken_file_without_a_period_keeps_its_whole_listing_open(
    database: Database, folder: Path
) -> None:
    (folder / "SPY_1.csv").write_text(lines(minutes("2024-03-01 10:00", 30)))
    broken = folder / "SPY_2.csv"
    broken.write_text("<html>")
    home = Home(database, declared(folder / "{symbol}_*.csv"))
    (report,) = home.download("2024-03")
    # What it covers nobody knows: the silence of the other may be its share.
    assert not report.complete
    assert home.answered("2024-03") == []
    assert "SPY_2.csv" in report.explain()
    broken.write_text(lines(minutes("2024-03-02 10:00", 30)))
    (report,) = home.download("2024-03", only_due=True)
    assert report.complete
    assert len(home.stored()) == 60


def test_a_file_is_read_once_whatever_is_asked_of_it(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = files_unpacking.unpack

    def counted(source: Source, *arguments: Any, **options: Any) -> Unpacked:
        read.append(source.path)
        return original(source, *arguments, **options)

    monkeypatch.setattr("pipeline.providers.files_client.unpack", counted)
    stamps = [f"2024-{month:02}-10 10:00" for month in range(1, 13)]
    (folder / "SPY.csv").write_text(lines(stamps))
    home = Home(database, declared(folder / "{symbol}.csv"))
    home.download(*[f"2024-{month:02}" for month in range(1, 13)])
    assert len(home.stored()) == 12
    assert read == [str(folder / "SPY.csv")]
    # And not at all when nothing has changed.
    home.download(*[f"2024-{month:02}" for month in range(1, 13)])
    assert len(read) == 1


@given(
    days=st.sets(st.integers(1, 31), min_size=1),
    bounds=st.sets(st.integers(0, 31 * 24 * 60), min_size=2, max_size=2),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_minute_is_answered_lacking_or_beyond(
    folder: Path, days: set[int], bounds: set[int]
) -> None:
    for file in folder.iterdir():
        file.unlink()
    for day in days:
        text = "x" if day % 5 == 0 else lines([f"2024-03-{day:02} 10:00"])
        (folder / f"SPY_202403{day:02}.csv").write_text(text)
    during = Interval(*(at("2024-03-01") + timedelta(minutes=one) for one in sorted(bounds)))
    with closing(opened(declared(folder / "{symbol}_{year}{month}{day}.csv"))) as provider:
        held = provider.holdings("SPY", "etf", during)
    told = sorted([*held.pieces, *(hole.during for hole in held.holes), *held.beyond])
    assert told[0].start == during.start
    assert told[-1].end == during.end
    assert all(one.end == after.start for one, after in pairwise(told))
