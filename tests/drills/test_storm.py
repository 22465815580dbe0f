"""Everything at once; `tests.drills.storm` says what, and weathers many."""

from __future__ import annotations

from tests.drills import storm
from tests.drills.worlds import STORMY
from venue import VenueProcess


def test_what_a_storm_leaves_is_what_an_undisturbed_download_leaves() -> None:
    with storm.stormy_server() as server, VenueProcess(storm.calm(dict(STORMY))) as venue:
        expected = storm.undisturbed(server, venue)
        assert max(len(rows) for rows in expected.values()) > 10_000
        assert any("outage" in str(row) for row in expected["gap"])
        weathered = storm.weathered(server, expected, seed=1)
    assert len(weathered.blows) == storm.KILLS + storm.VENUE_RESTARTS + 1
