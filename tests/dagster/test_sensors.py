"""The sensors that keep the ledger up to date, ticked by hand; what they launch runs in process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline.definitions import build_defs
from pipeline.store.cells import Cell
from pipeline.store.listings import listings
from resources.downloads import DownloadsResource
from tests.dagster.conftest import BARS, GAPS, HIGHER, RANGE_END, RANGE_START, UNIVERSE, Location
from tests.dagster.ticks import NOON, Ticks
from tests.making import at
from venue import VenueProcess

TAIL = dg.AssetKey(["bitfinex", "tail"])
MINUTES = timedelta(minutes=1)
FEBRUARY_28 = {"from": 1_709_078_400_000, "to": 1_709_082_000_000}


@pytest.fixture
def universe_file(tmp_path: Path, venue: VenueProcess) -> Path:
    """Two listings that live and one that has ended, of a few days."""
    file = tmp_path / "universe.yaml"
    file.write_text(UNIVERSE.format(url=venue.url).replace("2024-01-01", "2024-02-27"))
    return file


def tail_metadata(location: Location) -> dict[str, Any]:
    event = location.instance.get_latest_materialization_event(TAIL)
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    return {name: value.value for name, value in metadata.items()}


def ranges(requests: list[dg.RunRequest]) -> list[tuple[str, str]]:
    return [(one.tags[RANGE_START], one.tags[RANGE_END]) for one in requests]


def test_the_tail_is_refreshed_once_it_has_waited(location: Location) -> None:
    ticks = Ticks(location, "refresh_bitfinex")
    (request,) = ticks.tick()
    assert request.asset_selection == [TAIL]
    assert request.tags == {"minuteledger/refresh": "bitfinex", "dagster/priority": "10"}
    assert ticks.run(request).success
    shown = tail_metadata(location)
    assert (shown["listings"], shown["stale_listings"]) == (3, 0)
    assert shown["largest_lag_minutes"] == 0
    assert shown["bars"] == location.stored("SELECT count(*) FROM ledger.bars_1m") > 10_000
    assert location.stored("SELECT min(month)::text FROM ledger.coverage") == "2024-02-01"
    newest = "SELECT min(answered_until) FROM market.freshness WHERE listing <> 'ZEC-USD'"
    assert location.stored(newest) == NOON - MINUTES  # the last is not over for long enough
    assert location.stored("SELECT count(*) FROM ledger.stale") == 0

    assert "3 listings, nothing new" in ticks.said(14 * MINUTES)
    (request,) = ticks.tick(3 * MINUTES)
    assert request.asset_selection == [TAIL]
    ticks.begin(request)
    assert "a refresh is queued or under way" in ticks.said(60 * MINUTES)


def age(location: Location, hours: int) -> None:
    """Let all changes of months, and what was shown of them, be older."""
    with location.database.connect() as connection:
        for table, column in (("coverage", "updated_at"), ("shown", "at")):
            connection.execute(
                f"UPDATE ledger.{table} SET {column} = {column} - make_interval(hours => %s)",
                [hours],
            )


def test_what_refreshes_change_is_shown_at_first_and_then_once_a_day(
    location: Location, venue: VenueProcess
) -> None:
    refresh, show = Ticks(location, "refresh_bitfinex"), Ticks(location, "show")
    assert show.said() == "everything is shown as it is"
    venue.post_fault("server_error", exchange="bitfinex", symbol="ETH-USD")
    refresh.run(refresh.tick()[0])
    first = show.tick()
    assert ranges(first) == [("BTC-USD|2024-02-01", "BTC-USD|2024-03-01")]
    venue.clear_requests()
    assert all(show.run(one).success for one in first)
    assert sum(request["symbol"] is not None for request in venue.requests()["requests"]) == 0
    keys = {f"BTC-USD|2024-{month}-01" for month in ("02", "03")}
    for asset in (BARS, GAPS, HIGHER):
        assert location.materialized(asset) == keys
    assert show.said(5 * MINUTES) == "everything is shown as it is"

    venue.clear_faults()
    (request,) = refresh.tick(60 * MINUTES)
    assert refresh.run(request).success
    others = show.tick(60 * MINUTES)  # BTC's were shown today
    assert ranges(others) == [("ETH-USD|2024-03-01", "ETH-USD|2024-03-01")]
    assert all(show.run(one).success for one in others)

    (request,) = refresh.tick(60 * MINUTES)
    assert refresh.run(request).success
    assert show.said(60 * MINUTES) == "everything is shown as it is"
    age(location, hours=24)
    assert ranges(show.tick(60 * MINUTES)) == [("BTC-USD|2024-03-01", "ETH-USD|2024-03-01")]


def test_who_makes_partitions_is_waited_for_and_a_refresh_is_not(location: Location) -> None:
    refresh, show = Ticks(location, "refresh_bitfinex"), Ticks(location, "show")
    assert refresh.run(refresh.tick()[0]).success
    refresh.begin(refresh.tick(60 * MINUTES)[0])
    first = show.tick()
    assert len(first) == 2
    show.begin(dg.RunRequest(asset_selection=[BARS]))
    assert "somebody is at work" in show.said(60 * MINUTES)


def test_what_was_stored_without_dagster_is_shown_as_soon_as_nobody_is_at_work(
    ended: Location, venue: VenueProcess
) -> None:
    cell = Cell("BTC-USD", at("2024-02-01").date())
    with (
        DownloadsResource().downloader(ended.database, ended.universe, "bitfinex") as downloader,
        ended.database.connect() as connection,
    ):
        (listing,) = listings(connection, "bitfinex", [cell.listing])
        downloader.download(listing, cell.month)
    age(ended, hours=1)
    show = Ticks(ended, "show", at("2024-06-05"))
    (request,) = show.tick()
    assert ranges([request]) == [("BTC-USD|2024-02-01", "BTC-USD|2024-02-01")]
    show.begin(request)
    assert "bitfinex: 1 months are to be shown, and some are queued" in show.said(60 * MINUTES)
    venue.clear_requests()
    assert show.run(request).success
    assert ended.materialized() == {"BTC-USD|2024-02-01"}
    assert sum(one["symbol"] is not None for one in venue.requests()["requests"]) == 0
    assert show.said() == "everything is shown as it is"


def test_a_month_in_which_minutes_have_failed_is_not_shown_as_complete(
    ended: Location, venue: VenueProcess
) -> None:
    venue.post_fault("server_error", exchange="bitfinex", symbol="BTC-USD", **FEBRUARY_28)
    assert not ended.run(Cell("BTC-USD", at("2024-02-01").date())).success
    venue.clear_faults()
    age(ended, hours=1)
    assert Ticks(ended, "show", at("2024-06-05")).said() == "everything is shown as it is"


def test_a_provider_that_is_down_is_asked_less_and_less_and_then_as_before(
    location: Location, venue: VenueProcess
) -> None:
    ticks = Ticks(location, "refresh_bitfinex")

    def launches(number: int) -> list[timedelta]:
        """Go on until so many runs were launched and have ended; return the times between."""
        moments: list[datetime] = []
        for _ in range(100):
            asked = [one for one in ticks.tick(5 * MINUTES) if one.asset_selection == [TAIL]]
            moments += [ticks.now for one in asked if ticks.run(one)]
            if len(moments) == number:
                break
        return [later - sooner for sooner, later in pairwise(moments)]

    venue.post_fault("server_error", exchange="bitfinex")
    assert launches(4) == [20 * MINUTES, 30 * MINUTES, 60 * MINUTES]
    venue.clear_faults()
    assert launches(3) == [20 * MINUTES, 20 * MINUTES]


def test_a_cursor_that_cannot_be_read_is_told_and_starts_anew(location: Location) -> None:
    ticks = Ticks(location, "backfill", at("2024-02-01 00:00"))
    ticks.cursor = "{nonsense"
    assert "cannot be read, and starts anew" in ticks.said()
    assert ticks.cursor == "{}"


def test_history_is_asked_for_in_waves_and_then_no_more(location: Location) -> None:
    ticks = Ticks(location, "backfill", at("2024-04-05"))
    first = ticks.tick()
    assert ranges(first) == [
        ("ZEC-USD|2024-02-01", "ZEC-USD|2024-02-01"),
        ("ETH-USD|2024-02-01", "ETH-USD|2024-02-01"),
        ("BTC-USD|2024-02-01", "BTC-USD|2024-02-01"),
    ]
    assert {one.tags["dagster/priority"] for one in first} == {"-10"}
    assert "launched before" in ticks.said()
    ticks.begin(first[0])
    assert ticks.said() == "bitfinex: 3 listing-months are left, and a wave is under way"
    for request in first:
        assert ticks.run(request).success
    assert len(location.materialized()) == 3
    assert ticks.said() == "no history is left to be asked for"


def test_a_long_history_takes_several_waves_of_runs_that_last(location: Location) -> None:
    text = location.universe_file.read_text().replace("start: 2024-02-27", "start: 2014-01-01")
    lines = "".join(
        f"  X{n:02d}-USD: {{class: crypto_spot, listings: {{bitfinex: X{n:02d}/USD}}}}\n"
        for n in range(8)
    )
    location.universe_file.write_text(text + lines)
    location.sync()
    wave = ranges(Ticks(location, "backfill").tick())
    assert len(wave) == 10
    assert ("ETH-USD|2019-02-01", "ETH-USD|2024-01-01") in wave
    assert all(start.split("|")[0] == end.split("|")[0] for start, end in wave)


@pytest.fixture
def ended(location: Location) -> Location:
    """A location whose listings have all ended."""
    text = location.universe_file.read_text()
    for symbol in ("BTC/USD", "ETH/USD"):
        text = text.replace(
            f"{{bitfinex: {symbol}}}", f"{{bitfinex: {{symbol: {symbol}, end: 2024-03-01}}}}"
        )
    location.universe_file.write_text(text)
    location.sync()
    return location


def test_what_failed_is_healed_when_it_is_due_and_what_was_never_asked_is_left_alone(
    ended: Location, venue: VenueProcess
) -> None:
    ticks = Ticks(ended, "heal", at("2026-11-01"))
    assert ticks.said() == "nothing is due at any provider"
    venue.post_fault("server_error", exchange="bitfinex", symbol="BTC-USD", **FEBRUARY_28)
    assert not ended.run(Cell("BTC-USD", at("2024-02-01").date())).success
    venue.clear_faults()
    assert ticks.said() == "nothing is due at any provider"  # not yet
    with ended.database.connect() as connection:
        connection.execute("UPDATE ledger.fetch_failure SET next_attempt_at = '2026-10-01'")
    (request,) = ticks.tick()
    assert (request.job_name, request.tags["minuteledger/heal"]) == ("heal_bitfinex", "bitfinex")
    assert ticks.said() == "bitfinex: launched before, not again for 10.0 minutes"
    assert ticks.run(request).success
    assert ended.materialized() == {"BTC-USD|2024-02-01"}
    assert ended.stored("SELECT count(*) FROM ledger.coverage") == 1
    assert ticks.said(11 * MINUTES) == "nothing is due at any provider"


def test_what_is_merely_new_is_the_refreshs_and_triggers_no_repair(location: Location) -> None:
    refresh = Ticks(location, "refresh_bitfinex")
    refresh.run(refresh.tick()[0])
    with location.database.connect() as connection:
        connection.execute(
            "UPDATE ledger.coverage SET settled = answered, updated_at = '2024-03-05'"
        )
    ticks = Ticks(location, "heal", NOON + timedelta(days=1))
    assert ticks.said() == "nothing is due at any provider"
    with location.database.connect() as connection:  # something is missing before the newest
        connection.execute(
            "UPDATE ledger.coverage SET answered = answered - '{[2024-02-28, 2024-02-29)}',"
            " settled = '{}' WHERE month = '2024-02-01'"
        )
    assert [one.job_name for one in ticks.tick()] == ["heal_bitfinex"]


def test_a_check_is_a_refreshs_unless_none_comes(location: Location) -> None:
    refresh, ticks = Ticks(location, "refresh_bitfinex"), Ticks(location, "heal")
    refresh.run(refresh.tick()[0])
    assert ticks.said(65 * MINUTES) == "nothing is due at any provider"  # of what was asked at noon
    refresh.run(refresh.tick(80 * MINUTES)[0])
    assert ticks.said(60 * MINUTES) == "nothing is due at any provider"  # done
    assert [one.job_name for one in ticks.tick(30 * MINUTES)] == ["heal_bitfinex"]


def test_other_minutes_of_a_month_do_not_wait_for_longer_than_the_first(ended: Location) -> None:
    assert ended.run(Cell("BTC-USD", at("2024-02-01").date())).success
    ticks, launched = Ticks(ended, "heal", at("2024-04-01")), []
    for day in (27, 28, 29):
        with ended.database.connect() as connection:
            connection.execute(
                "UPDATE ledger.coverage SET updated_at = '2024-03-05', (answered, settled) ="
                " (SELECT one, one FROM (SELECT '{[2024-02-27, 2024-03-01)}'"
                " - tstzmultirange(tstzrange(%(day)s, %(day)s + '1h')) AS one))",
                {"day": datetime(2024, 2, day, tzinfo=UTC)},
            )
        launched += ticks.tick(11 * MINUTES)

    assert len(launched) == 3


def test_notes_that_nobody_took_are_followed_up_and_told(ended: Location) -> None:
    assert ended.run(Cell("BTC-USD", at("2024-02-01").date())).success
    ticks = Ticks(ended, "follow")
    assert ticks.said() == "all that follows from minutes is in step with them"
    with ended.database.connect() as connection:
        connection.execute("DELETE FROM ledger.bars_1h")
        connection.execute(
            "INSERT INTO ledger.stale (listing_id, during) SELECT id, '{[2024-02-28, 2024-02-29)}'"
            " FROM ledger.listing WHERE key = 'BTC-USD'"
        )
    assert ticks.said() == "all that follows from minutes is in step with them"  # too young
    with ended.database.connect() as connection:
        connection.execute("UPDATE ledger.stale SET noted_at = now() - interval '6 minutes'")
    before = ended.event(Cell("BTC-USD", at("2024-02-01").date()), HIGHER)
    (request,) = ticks.tick()
    assert ticks.run(request).success
    assert ended.stored("SELECT count(*) FROM ledger.bars_1h") == 24
    assert ended.stored("SELECT count(*) FROM ledger.stale") == 0
    assert ended.event(Cell("BTC-USD", at("2024-02-01").date()), HIGHER) != before
    assert ticks.said(6 * MINUTES) == "all that follows from minutes is in step with them"


def test_sensors_begin_as_the_settings_say(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MINUTELEDGER_SENSORS")
    names = {"refresh_bitfinex", "heal", "backfill", "show", "follow"}
    sensors = {one.name: one for one in build_defs().sensors or []}
    assert set(sensors) == names | {"universe", "alerts", "failed_runs"}
    assert {sensors[name].default_status.value for name in names} == {"RUNNING"}
    monkeypatch.setenv("MINUTELEDGER_SENSORS", "stopped")
    monkeypatch.setenv("MINUTELEDGER_SENSOR_SECONDS", "2")
    sensors = {one.name: one for one in build_defs().sensors or []}
    assert {sensors[name].default_status.value for name in names} == {"STOPPED"}
    assert {sensors[name].minimum_interval_seconds for name in names} == {2}
    assert sensors["universe"].default_status.value == "RUNNING"
