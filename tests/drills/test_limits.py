"""Three processes at a venue that refuses the eleventh request in any second: it never has to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pipeline.intervals import Interval
from pipeline.store.database import Database
from tests.drills import evidence
from tests.drills.processes import COMPLETE, Job, ended, started
from tests.drills.worlds import PROVIDER, VENUE, World
from tests.making import at
from venue import VenueProcess

WANTED = Interval(at("2024-02-26"), at("2024-03-04"))
ALL = World(("BTC-USD", "ETH-USD", "LTC-USD"), WANTED)


@pytest.fixture
def strict() -> Iterator[VenueProcess]:
    """The venue with a limit, which shuts out for half a minute whoever breaks it."""
    limits = {"requests_per_second": 10, "ban_seconds": 30}
    exchange: dict[str, Any] = {**VENUE["exchanges"][PROVIDER], **limits}
    with VenueProcess({"exchanges": {PROVIDER: exchange}}) as process:
        yield process


def test_three_processes_together_keep_a_strict_limit_to_the_last_request(
    database: Database, strict: VenueProcess
) -> None:
    ALL.enter(database)
    jobs = [
        replace(Job.of(database, strict.url, World((key,), WANTED)), per_second=10)
        for key in ALL.keys
    ]
    with started(jobs[0]) as one, started(jobs[1]) as two, started(jobs[2]) as three:
        assert [ended(process) for process in (one, two, three)] == [COMPLETE] * 3
    requests = strict.requests()["requests"]
    assert len(requests) > 100
    assert {request["status"] for request in requests} == {200}
    # They did share it: each has asked while the others did.
    times = {key: [r["time"] for r in requests if r["symbol"] == key] for key in ALL.keys}
    assert max(map(min, times.values())) < min(map(max, times.values()))
    with database.connect() as connection:
        row = connection.execute(
            "SELECT sum(requests)::int, min(success_percent), sum(refusals)::int"
            " FROM market.provider_health"
        ).fetchone()
    assert row == (len(requests), 100, 0)
    evidence.check_truth(database, strict, ALL)
