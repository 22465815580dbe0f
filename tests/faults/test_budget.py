"""What a day's budget does not reach is left for another day: it has not failed."""

from __future__ import annotations

import pytest

from pipeline.providers.capabilities import RateLimit
from tests.faults.conftest import Drill

DAY = 86_400.0


@pytest.mark.parametrize("drill", ["coinbase"], indirect=True)
@pytest.mark.parametrize("requests", [0, 2, 4])
def test_what_a_budget_does_not_reach_is_pending_and_asked_for_when_there_is_more(
    requests: int, drill: Drill
) -> None:
    # The list takes two requests, the first trade some more, the day five.
    budget = RateLimit(requests + 1, DAY)
    reports = [drill.download(budget=budget) for _ in range(3)]
    for report in reports:
        assert not report.complete
        assert not report.failures
        assert report.unasked
        assert "all that may be sent in 86400 s has been sent" in report.explain()
    assert drill.query("SELECT count(*) FROM ledger.fetch_failure") == [(0,)]
    assert sum(report.requests for report in reports) == requests + 1
    assert drill.coverage().adds_up
    assert drill.coverage().failed == 0
    with drill.database.connect() as connection:
        connection.execute("UPDATE ledger.spending SET slot = slot - interval '25 hours'")
    last = drill.download(budget=RateLimit(100, DAY))
    assert last.complete, last.explain()
    assert drill.stored() == drill.truth()
