"""The sensor that follows the universe file."""

from __future__ import annotations

import pytest
from dagster import SensorResult, SkipReason, build_sensor_context

from pipeline.definitions import build_defs
from pipeline.store.listings import RelabelledListing
from pipeline.universe import UniverseError
from resources.ledger import LedgerResource
from sensors.universe import universe_sensor
from tests.dagster.conftest import Location


class Ticks:
    """Ticks of one code location, whose cursor is kept as the daemon does."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._sensor = universe_sensor(location.universe_file, location.universe)
        self.cursor: str | None = None

    def tick(self) -> str:
        """Tick, and return what the UI says of it."""
        context = build_sensor_context(instance=self._location.instance, cursor=self.cursor)
        result = self._sensor(context, ledger=LedgerResource())
        assert isinstance(result, SensorResult)
        assert isinstance(result.skip_reason, SkipReason)
        self.cursor = result.cursor
        return result.skip_reason.skip_message or ""


@pytest.fixture
def empty(instance: object, database: object, universe_file: object) -> Location:
    """A location whose ledger and instance know nothing of the universe yet."""
    return Location(instance, database, universe_file)  # type: ignore[arg-type]


def keys(location: Location) -> list[str]:
    return list(location.instance.get_dynamic_partitions("bitfinex_listings"))


def add(location: Location, line: str) -> None:
    with location.universe_file.open("a") as file:
        file.write(line + "\n")


def remove(location: Location, key: str) -> None:
    lines = location.universe_file.read_text().splitlines(keepends=True)
    location.universe_file.write_text("".join(line for line in lines if key not in line))


LTC = "  LTC-USD: {class: crypto_spot, listings: {bitfinex: LTC/USD}}"


def test_the_first_tick_fills_ledger_and_partitions_in_alphabetical_order(empty: Location) -> None:
    said = Ticks(empty).tick()
    assert keys(empty) == ["BTC-USD", "ETH-USD", "ZEC-USD"]
    assert empty.stored("SELECT count(*) FROM ledger.listing WHERE in_universe") == 3
    assert "new partitions: bitfinex BTC-USD ETH-USD ZEC-USD" in said


def test_a_tick_without_news_changes_nothing(empty: Location) -> None:
    ticks = Ticks(empty)
    ticks.tick()
    assert ticks.tick() == "3 listings, nothing new"


def test_a_provider_that_stops_answering_is_noticed_without_a_change_of_the_file(
    empty: Location,
) -> None:
    ticks = Ticks(empty)
    ticks.tick()
    service = "SELECT out_of_service FROM ledger.provider WHERE name = 'bitfinex'"
    assert empty.stored(service) is None
    with empty.database.connect() as connection:
        connection.execute(
            "INSERT INTO ledger.fetch_log VALUES"
            " ('bitfinex', date_trunc('hour', now(), 'UTC'), 'RequestTimedOut', 1, 100)"
        )
    ticks.tick()
    assert empty.stored(service) == "it answered 0 % of its last 100 requests"


def test_a_comment_in_the_file_is_no_news(empty: Location) -> None:
    ticks = Ticks(empty)
    ticks.tick()
    add(empty, "# nothing")
    assert ticks.tick() == "3 listings, nothing new"


def test_a_new_listing_gets_its_partitions(empty: Location) -> None:
    ticks = Ticks(empty)
    ticks.tick()
    add(empty, LTC)
    assert "new partitions: bitfinex LTC-USD" in ticks.tick()
    assert keys(empty) == ["BTC-USD", "ETH-USD", "ZEC-USD", "LTC-USD"]


def test_a_removed_listing_keeps_its_partitions(empty: Location) -> None:
    ticks = Ticks(empty)
    ticks.tick()
    remove(empty, "ETH-USD")
    ticks.tick()
    assert keys(empty) == ["BTC-USD", "ETH-USD", "ZEC-USD"]
    assert empty.stored("SELECT in_universe FROM ledger.listing WHERE key = 'ETH-USD'") is False


def test_partitions_that_the_instance_lost_are_added_without_a_change_of_the_file(
    empty: Location,
) -> None:
    ticks = Ticks(empty)
    ticks.tick()
    empty.instance.delete_dynamic_partition("bitfinex_listings", "ETH-USD")
    assert "new partitions: bitfinex ETH-USD" in ticks.tick()


def test_each_provider_has_its_pool_before_the_first_run_and_keeps_what_was_set(
    empty: Location,
) -> None:
    ticks = Ticks(empty)
    ticks.tick()
    storage = empty.instance.event_log_storage
    assert storage.get_concurrency_info("bitfinex").slot_count == 1
    storage.set_concurrency_slots("bitfinex", 3)
    add(empty, LTC)
    ticks.tick()
    assert storage.get_concurrency_info("bitfinex").slot_count == 3


def test_an_invalid_file_fails_the_tick_with_its_problems_and_changes_nothing(
    empty: Location,
) -> None:
    ticks = Ticks(empty)
    ticks.tick()
    before = ticks.cursor
    add(empty, "  LTC-USD: {class: crypto_spot, listings: {bitfinexx: LTC/USD}}")
    with pytest.raises(UniverseError, match=r"universe\.yaml:\d+: .*bitfinexx"):
        ticks.tick()
    assert (ticks.cursor, keys(empty)) == (before, ["BTC-USD", "ETH-USD", "ZEC-USD"])


def test_a_key_with_history_that_means_another_market_now_fails_the_tick(empty: Location) -> None:
    ticks = Ticks(empty)
    ticks.tick()
    with empty.database.connect() as connection:
        connection.execute(
            "INSERT INTO ledger.coverage (listing_id, month, answered) SELECT id, '2024-01-01', "
            "'{[2024-01-01, 2024-01-02)}' FROM ledger.listing WHERE key = 'ETH-USD'"
        )
    text = empty.universe_file.read_text().replace("ETH/USD", "LTC/USD")
    empty.universe_file.write_text(text)
    with pytest.raises(RelabelledListing, match="give the new market another"):
        ticks.tick()
    assert empty.stored("SELECT symbol FROM ledger.listing WHERE key = 'ETH-USD'") == "ETH/USD"


def test_a_new_provider_makes_the_definitions_outdated_and_the_tick_says_so(
    empty: Location,
) -> None:
    ticks = Ticks(empty)
    ticks.tick()
    text = empty.universe_file.read_text().replace("instruments:", "  kraken: {}\ninstruments:")
    empty.universe_file.write_text(text)
    assert "reload the code location" in ticks.tick()
    assert "reload the code location" in ticks.tick()


def test_a_later_first_month_is_news_for_the_definitions_too(empty: Location) -> None:
    ticks = Ticks(empty)
    text = empty.universe_file.read_text().replace("start: 2024-01-01", "start: 2023-01-01")
    empty.universe_file.write_text(text)
    assert "reload the code location" in ticks.tick()


def test_the_sensor_runs_by_itself_every_half_minute(location: Location) -> None:
    sensor = build_defs().get_sensor_def("universe")
    assert sensor.default_status.value == "RUNNING"
    assert sensor.minimum_interval_seconds == 30
