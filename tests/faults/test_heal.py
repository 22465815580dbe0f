"""Repair: everything due is found, the cheapest comes first, and the budget holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from pipeline.download import Downloader
from pipeline.heal import Healing, Task, default_budget, find_tasks, heal
from pipeline.intervals import MINUTE, Interval
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.ccxt_client import CcxtProvider
from pipeline.providers.limiter import Unlimited
from pipeline.providers.options import ProviderOptions
from pipeline.providers.table import capabilities_for
from pipeline.store.coverage import coverage
from pipeline.store.database import Database
from pipeline.store.failures import GIVE_UP_AFTER, LONGEST_RETRY, retry_given_up
from pipeline.store.limits import LedgerLimiter
from pipeline.store.listings import listings, sync_universe
from pipeline.store.queries import false_sums, open_failures
from pipeline.universe import Universe
from tests.faults.conftest import HASTE
from tests.making import at
from venue import VenueProcess

PROVIDER, PAGE = "coinbase", 300
WANTED = Interval(at("2024-02-28"), at("2024-03-02"))
LATE = at("2024-05-01")
FEBRUARY, MARCH = date(2024, 2, 1), date(2024, 3, 1)


class Clinic:
    """Two listings over the turn of a month at a venue without limits, and what repairs them."""

    def __init__(self, venue: VenueProcess, database: Database) -> None:
        self.venue = venue
        self.database = database
        self.capabilities = capabilities_for(PROVIDER)
        instruments = {
            key: {
                "class": "crypto_spot",
                "listings": {PROVIDER: {"symbol": key.replace("-", "/"), "end": WANTED.end}},
            }
            for key in ("BTC-USD", "LTC-USD")
        }
        document = {"start": WANTED.start, "providers": {PROVIDER: {}}, "instruments": instruments}
        with database.connect() as connection:
            sync_universe(connection, Universe.model_validate(document))

    @contextmanager
    def downloader(self, now: datetime, patience: Any = HASTE) -> Iterator[Downloader]:
        options = ProviderOptions(
            source=PROVIDER,
            base_url=f"{self.venue.url}/{PROVIDER}",
            limit=RateLimit(1000, 1.0),
            timeout_seconds=1.5,
        )
        with (
            LedgerLimiter(self.database, PROVIDER) as limiter,
            closing(CcxtProvider(PROVIDER, options, limiter=limiter)) as provider,
            Downloader(self.database, provider, patience=patience, now=lambda: now) as opened,
        ):
            yield opened

    def download(self, now: datetime, key: str = "BTC-USD", month: date = FEBRUARY) -> None:
        with self.downloader(now) as downloader, self.database.connect() as connection:
            (listing,) = listings(connection, PROVIDER, [key])
            connection.close()
            downloader.download(listing, month)

    def tasks(self, now: datetime, keys: list[str] | None = None) -> list[Task]:
        with self.database.connect() as connection:
            return find_tasks(connection, PROVIDER, self.capabilities, now, keys)

    def due(self, now: datetime) -> list[tuple[str, date, int]]:
        return [(task.listing.key, task.month, task.requests) for task in self.tasks(now)]

    def heal(
        self, now: datetime, budget: int = 1000, tell: Callable[[Healing], None] = lambda _: None
    ) -> Healing:
        with self.downloader(now) as downloader:
            return heal(downloader, self.tasks(now), budget=budget, tell=tell)

    def check_sums(self) -> None:
        with self.database.connect() as connection:
            assert false_sums(connection) == []
            assert all(row.adds_up for row in coverage(connection))


@pytest.fixture
def clinic(unlimited: VenueProcess, database: Database) -> Clinic:
    return Clinic(unlimited, database)


def test_all_that_is_pending_is_found_with_its_cost_and_downloaded(clinic: Clinic) -> None:
    # Two days of February, and one of March, in pages of five hours.
    assert clinic.due(LATE) == [
        ("BTC-USD", MARCH, 5),
        ("LTC-USD", MARCH, 5),
        ("BTC-USD", FEBRUARY, 10),
        ("LTC-USD", FEBRUARY, 10),
    ]
    seen: list[int] = []
    healing = clinic.heal(LATE, tell=lambda so_far: seen.append(len(so_far.reports)))
    assert seen == [1, 2, 3, 4]
    assert all(report.complete for report in healing.reports)
    assert list(healing.left) == []
    assert clinic.due(LATE) == []
    with clinic.database.connect() as connection:
        rows = coverage(connection)
    assert sum(row.bars + row.empty for row in rows) == 2 * WANTED.minutes
    clinic.check_sums()


def test_the_budget_is_kept_and_the_rest_is_left_for_next_time(clinic: Clinic) -> None:
    clinic.heal(LATE)  # learns markets and first trades
    forget(clinic.database)
    clinic.venue.clear_requests()
    # Each time, two requests tell which markets there are.
    healing = clinic.heal(LATE, budget=9)
    assert healing.requests == 9 == len(clinic.venue.requests()["requests"])
    assert [(task.listing.key, task.month) for task in healing.left] == [
        ("LTC-USD", MARCH),
        ("BTC-USD", FEBRUARY),
        ("LTC-USD", FEBRUARY),
    ]
    # The second month was begun: what it still takes is less.
    assert clinic.due(LATE)[0] == ("LTC-USD", MARCH, 3)
    while clinic.heal(LATE, budget=9).left:
        pass
    assert clinic.due(LATE) == []
    asked = [request for request in clinic.venue.requests()["requests"] if request["symbol"]]
    assert len(asked) == 30
    clinic.check_sums()


def test_failed_minutes_are_due_when_their_time_has_come_and_checks_when_theirs(
    clinic: Clinic,
) -> None:
    noon = at("2024-03-01T12:00:00")
    clinic.heal(noon)
    clinic.venue.post_fault("server_error", exchange=PROVIDER, symbol="BTC-USD")
    later = noon + timedelta(minutes=10, seconds=10)
    clinic.heal(later)
    clinic.venue.clear_faults()
    # The failed minutes of BTC wait; LTC has its new ones.
    assert clinic.due(later + timedelta(seconds=30)) == []
    assert clinic.due(later + timedelta(seconds=61)) == [
        ("BTC-USD", MARCH, 1),
        ("LTC-USD", MARCH, 1),
    ]
    clinic.heal(later + timedelta(seconds=61))
    # At three, the hour before two is checked; on the next day, all of the last two days.
    assert clinic.due(at("2024-03-01T15:00:00")) == [("BTC-USD", MARCH, 1), ("LTC-USD", MARCH, 1)]
    clinic.heal(at("2024-03-02T01:00:20"))
    assert clinic.due(at("2024-03-03T00:00:00")) == [("BTC-USD", MARCH, 5), ("LTC-USD", MARCH, 5)]
    clinic.heal(LATE)
    with clinic.database.connect() as connection:
        assert all(row.settled == row.expected for row in coverage(connection))
    clinic.check_sums()


def test_what_was_given_up_is_left_alone_until_it_is_taken_up_again(clinic: Clinic) -> None:
    clinic.download(WANTED.start + timedelta(minutes=5))
    clinic.heal(LATE)
    forget(clinic.database)
    clinic.venue.post_fault("server_error", exchange=PROVIDER, symbol="BTC-USD", **of_march())
    now, attempts = LATE, 0
    while clinic.due(now):
        clinic.heal(now)
        attempts += 1
        now += LONGEST_RETRY
    clinic.venue.clear_faults()
    assert attempts == GIVE_UP_AFTER
    with clinic.database.connect() as connection:
        failures = open_failures(connection)
        assert {(failure.listing, failure.since.month) for failure in failures} == {("BTC-USD", 3)}
        assert all(failure.given_up for failure in failures)
    assert clinic.due(now + timedelta(days=300)) == []
    with clinic.database.connect() as connection:
        assert retry_given_up(connection, now) == len(failures)
    assert clinic.due(now) == [("BTC-USD", MARCH, 5)]
    clinic.heal(now)
    assert clinic.due(now) == []
    with clinic.database.connect() as connection:
        assert open_failures(connection) == []
    clinic.check_sums()


def of_march() -> dict[str, int]:
    return {
        "from": int(at("2024-03-01").timestamp()) * 1000,
        "to": int(WANTED.end.timestamp()) * 1000,
    }


def test_a_provider_that_does_not_answer_is_left_alone_and_its_work_for_next_time(
    clinic: Clinic,
) -> None:
    clinic.download(WANTED.start + timedelta(minutes=5))
    clinic.venue.post_fault("server_error", exchange=PROVIDER)
    healing = clinic.heal(LATE)
    assert healing.reports
    clinic.venue.clear_faults()
    clinic.check_sums()
    healed = clinic.heal(LATE + timedelta(days=1))
    assert all(report.complete for report in healed.reports)
    assert clinic.due(LATE + timedelta(days=1)) == []


def test_only_the_listings_that_are_named_are_looked_at(clinic: Clinic) -> None:
    assert {task.listing.key for task in clinic.tasks(LATE, ["LTC-USD"])} == {"LTC-USD"}
    with pytest.raises(KeyError, match="NOPE-USD"):
        clinic.tasks(LATE, ["NOPE-USD"])


def test_minutes_out_of_a_providers_reach_cost_nothing_and_become_unavailable(
    database: Database,
) -> None:
    now = at("2024-05-01T12:00")
    document = {
        "start": "2024-04-30",
        "providers": {"kraken": {}},
        "instruments": {
            "BTC-USD": {"class": "crypto_spot", "listings": {"kraken": {"symbol": "BTC/USD"}}}
        },
    }
    capabilities = capabilities_for("kraken")
    with database.connect() as connection:
        sync_universe(connection, Universe.model_validate(document))
        tasks = find_tasks(connection, "kraken", capabilities, now)
    assert [(task.month, task.requests) for task in tasks] == [
        (date(2024, 4, 1), 0),
        (date(2024, 5, 1), 1),
    ]
    options = ProviderOptions(source="kraken", base_url="http://127.0.0.1:9")
    provider = CcxtProvider("kraken", options, limiter=Unlimited())
    with Downloader(database, provider, patience=HASTE, now=lambda: now) as downloader:
        healing = heal(downloader, tasks[:1], budget=1)
    provider.close()
    assert healing.requests == 0
    with database.connect() as connection:
        row = coverage(connection, "kraken", months=[date(2024, 4, 1)])[0]
        assert (row.unavailable, row.pending) == (1440, 0)
        found = find_tasks(connection, "kraken", capabilities, now)
        assert [task.month for task in found] == [date(2024, 5, 1)]
    edge = capabilities.edge_of_history(now)
    assert edge is not None
    assert now - edge < capabilities_for("kraken").bars_per_request * MINUTE


def test_the_budget_is_by_default_what_ten_minutes_admit() -> None:
    assert default_budget(capabilities_for("bitfinex")) == 300
    assert default_budget(capabilities_for("binance")) == 30_000
    assert default_budget(capabilities_for("kraken", RateLimit(1, 3600.0))) == 1


def forget(database: Database) -> None:
    """Make all minutes pending."""
    with database.connect() as connection:
        connection.execute("TRUNCATE ledger.bars_1m, ledger.coverage, ledger.settling")
