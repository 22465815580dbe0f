"""Runs of `P/bars` in process: they ride with the minutes, and alone ask for nothing."""

from __future__ import annotations

import math
import re
from datetime import date

from assets.candles import ASKED_AGAIN
from pipeline.store.cells import Cell
from pipeline.timeframes import USUAL
from tests.dagster.conftest import BARS, GAPS, HIGHER, Location
from tests.unit.test_candles import UP, bands, shapes
from venue import VenueProcess

BTC = [Cell("BTC-USD", date(2024, month, 1)) for month in (1, 2, 3)]
FEBRUARY_10 = {"from": 1_707_523_200_000, "to": 1_707_526_800_000}


def number(location: Location, timeframe: str) -> int:
    found: int = location.stored(f"SELECT count(*) FROM market.bars_{timeframe}")
    return found


def test_bars_are_built_in_the_run_that_downloads(location: Location) -> None:
    assert location.run(BTC[0], BTC[2]).success
    assert location.materialized(HIGHER) == location.materialized(BARS)
    assert location.stored("SELECT count(*) FROM ledger.stale") == 0
    assert number(location, "1d") == 26 + 29 + 31
    assert number(location, "1mo") == 3
    whole = "SELECT sum(minutes_present) FROM market.bars_"
    assert {location.stored(f"{whole}{name}") for name in USUAL} == {
        location.stored("SELECT count(*) FROM market.bars_1m")
    }
    shown = location.metadata(BTC[1], HIGHER)
    assert "| 1d | 29 | 0 |" in shown["bars"]
    assert "not_complete" not in shown


def test_a_month_that_failed_keeps_no_other_from_being_built_and_marks_its_own(
    location: Location, venue: VenueProcess
) -> None:
    location.run(BTC[0])
    venue.post_fault("server_error", exchange="bitfinex", **FEBRUARY_10)
    done = location.run(BTC[1], BTC[2])
    assert not done.success
    assert location.materialized(HIGHER) == {"BTC-USD|2024-01-01", "BTC-USD|2024-03-01"}
    incomplete = "SELECT array_agg(b.ts ORDER BY b.ts)::text FROM market.bars_1h b WHERE "
    failed = "EXISTS (SELECT FROM market.gaps g WHERE g.since < b.before AND g.before > b.ts"
    assert location.stored(f"{incomplete} NOT complete") == location.stored(
        f"{incomplete} {failed} AND g.state = 'failed')"
    )
    assert location.stored("SELECT count(*) FROM market.bars_1mo WHERE NOT complete") == 1
    logged = location.instance.all_logs(done.run_id)
    assert any("bars are not complete" in entry.user_message for entry in logged)
    venue.clear_faults()
    assert location.run(BTC[1]).success
    assert location.stored("SELECT count(*) FROM market.bars_1mo WHERE NOT complete") == 0


def test_a_month_shows_its_days_as_candles(location: Location) -> None:
    location.run(BTC[1])
    shown = location.metadata(BTC[1], HIGHER)["picture"]
    last = location.stored("SELECT close FROM market.bars_1d ORDER BY ts DESC LIMIT 1")
    assert re.match(rf"!\[February 2024: {last:,.0f} \([-+][0-9.]+ %\)\]", shown)
    rising = location.stored("SELECT count(*) FROM market.bars_1d WHERE close >= open")
    drawn = shapes(shown)
    assert sorted(drawn) == list(range(1, 30))
    assert sum(shape.colour == UP for shape in drawn.values()) == rising
    assert {shape.opacity for shape in drawn.values()} == {1}
    assert bands(shown) == {}
    assert len(shown) < 4096


def test_what_failed_is_shaded_also_when_the_bars_are_built_alone(
    location: Location, venue: VenueProcess
) -> None:
    location.run(BTC[0])  # which finds the first trade
    venue.post_fault("server_error", exchange="bitfinex", **FEBRUARY_10)
    assert not location.run(BTC[1]).success
    assert location.run(BTC[1], assets=[HIGHER], rebuild=True).success
    shown = location.metadata(BTC[1], HIGHER)["picture"]
    column = "SELECT extract(epoch FROM {} - '2024-02-01 UTC')::float / 8640 FROM market.gaps"
    failed = f"{column} WHERE state = 'failed'"
    first, last = (location.stored(failed.format(bound)) for bound in ("min(since)", "max(before)"))
    assert first <= 90 < last  # the page of February 10th
    assert bands(shown) == {ASKED_AGAIN: [(math.floor(first), math.ceil(last))]}
    pale = [day for day, shape in shapes(shown).items() if shape.opacity < 1]
    incomplete = "SELECT array_agg(extract(day FROM session_date)::integer ORDER BY ts)"
    incomplete += " FROM market.bars_1d WHERE NOT complete AND ts >= '2024-02-01'"
    assert len(pale) == 2
    assert pale == location.stored(incomplete)


def test_alone_they_are_built_without_asking_the_provider(
    location: Location, venue: VenueProcess
) -> None:
    location.run(BTC[0])
    with location.database.connect() as connection:
        connection.execute("DELETE FROM ledger.bars_1h")
    venue.clear_requests()
    assert location.run(BTC[0], assets=[HIGHER]).success
    assert number(location, "1h") == 0
    assert location.run(BTC[0], assets=[HIGHER], rebuild=True).success
    assert number(location, "1h") > 600
    assert venue.requests()["total"] == 0


def test_what_is_made_with_minutes_is_told_also_if_they_alone_were_asked_for(
    location: Location,
) -> None:
    location.run(BTC[0], assets=[BARS])
    assert location.materialized(HIGHER) == location.materialized(GAPS) == {"BTC-USD|2024-01-01"}
    assert "| 1d | 26 | 0 |" in location.metadata(BTC[0], HIGHER)["bars"]
    told = location.metadata(BTC[0], GAPS)
    assert told["quiet_gaps"] > 0
    location.run(BTC[0], assets=[BARS])  # makes nothing of them
    assert location.metadata(BTC[0], GAPS) == told


def test_what_is_built_already_is_not_described_again(location: Location) -> None:
    location.run(BTC[0])
    location.run(BTC[0])
    assert set(location.metadata(BTC[0], HIGHER)) == {"run"}
