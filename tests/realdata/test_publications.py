"""Two days of two shares, published seven times in six years, each time a little different."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipeline.intervals import Interval
from pipeline.store import refusals
from pipeline.store.coverage import coverage
from pipeline.store.database import Database
from pipeline.store.revisions import refused_deliveries
from tests.making import at
from tests.realdata import published
from tests.realdata.ledgers import Recording, as_file, fill, venue_of
from tests.realdata.published import Bars
from tests.realdata.reading import query, stored

SHARES = ("spy", "aig")
DAYS = ("20131007", "20131008")
FIRST_ASKED = at("2015-06-09")
LIFE = Interval(at("2013-10-07T08:00"), at("2013-10-09"))

Values = tuple[float | None, ...]
Step = tuple[datetime, Values, Values]
"""A revision: the minute, its old and its new values; no new ones when the bar was left out."""


@dataclass
class Restated:
    """The ledger after all publications.

    Attributes:
        database: The ledger's database.
        publications: Share to its publications, the oldest first.
        refused: Share to the numbers of the publications that were refused, and then accepted.
    """

    database: Database
    publications: Mapping[str, Sequence[Bars]]
    refused: dict[str, list[int]] = field(default_factory=lambda: {key: [] for key in SHARES})


def listing(share: str) -> str:
    return f"{share.upper()}-USD"


@pytest.fixture(scope="module")
def restated(
    shared_database: Database, market_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Restated:
    publications = {share: published.restated(market_data, share, *DAYS) for share in SHARES}
    result = Restated(shared_database, publications)
    for number in range(7):
        folder = tmp_path_factory.mktemp("publication")
        now = FIRST_ASKED + number * timedelta(days=365)
        recordings = [
            Recording(listing(share), [as_file(folder / f"{share}.csv", bars[number])], LIFE)
            for share, bars in publications.items()
        ]
        with venue_of(recordings, now) as venue:
            fill(shared_database, venue, recordings, now, again=True)
        accept(result, number, now)
    return result


def accept(result: Restated, number: int, now: datetime) -> None:
    """Accept what was refused of a publication."""
    with result.database.connect() as connection:
        connection.autocommit = True
        for delivery in refused_deliveries(connection):
            if delivery.accepted_at is None:
                result.refused[delivery.listing.split("-")[0].lower()].append(number)
                refusals.accept(connection, delivery.id, now)


def revisions(database: Database, key: str) -> list[Step]:
    """Return the revisions of a listing as an analyst reads them, in the order they came."""
    rows = query(
        database,
        """
        SELECT ts, old_open, old_high, old_low, old_close, old_volume,
               new_open, new_high, new_low, new_close, new_volume
        FROM market.revisions WHERE listing = %s ORDER BY revision
        """,
        key,
    )
    return [(ts, tuple(values[:5]), tuple(values[5:])) for ts, *values in rows]


@pytest.mark.parametrize("share", SHARES)
def test_restated_minutes_can_be_read_back_in_order(restated: Restated, share: str) -> None:
    now: dict[datetime, Values] = {}
    found = revisions(restated.database, listing(share))
    steps = iter(found)
    left_out: set[datetime] = set()
    for bars in restated.publications[share]:
        expected: dict[datetime, tuple[Values, Values]] = {}
        for ts, old in now.items():
            new = bars.get(ts)
            if new is not None and new != old:
                expected[ts] = (old, new)
            elif new is None and ts not in left_out:
                left_out.add(ts)
                expected[ts] = (old, (None,) * 5)
        came = [next(steps) for _ in expected]
        assert {ts: (old, new) for ts, old, new in came} == expected
        now |= bars
    assert list(steps) == []
    assert stored(restated.database, listing(share)) == now


@pytest.mark.parametrize("share", SHARES)
def test_no_link_is_missing_in_the_chain_of_a_bars_values(restated: Restated, share: str) -> None:
    chain: dict[datetime, Values] = {}
    for ts, old, new in revisions(restated.database, listing(share)):
        assert chain.get(ts, old) == old
        chain[ts] = old if new[0] is None else new
    found = stored(restated.database, listing(share))
    assert len(chain) > 380
    assert all(found[ts] == last for ts, last in chain.items())


@pytest.mark.parametrize("share", SHARES)
def test_only_what_contradicts_a_tenth_of_the_bars_had_to_be_accepted(
    restated: Restated, share: str
) -> None:
    now: dict[datetime, Values] = {}
    contradicting = []
    for number, bars in enumerate(restated.publications[share]):
        differ = [ts for ts, old in now.items() if bars.get(ts, ())[:4] != old[:4]]
        if differ and len(differ) >= max(10, len(now) / 10):
            contradicting.append(number)
        now |= bars
    assert restated.refused[share] == contradicting
    assert 0 < len(contradicting) < 6


def test_restating_leaves_every_minute_accounted_for(restated: Restated) -> None:
    with restated.database.connect() as connection:
        rows = coverage(connection)
    assert len(rows) == len(SHARES)
    assert all(row.adds_up and row.failed == row.pending == 0 for row in rows)
