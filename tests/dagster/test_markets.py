"""`P/markets` in process: a provider's list is kept, and what is new in it is shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from pipeline.definitions import build_defs
from pipeline.providers.protocol import Market
from pipeline.store.markets import keep_list
from resources.downloads import DownloadsResource
from tests.dagster.conftest import Location
from venue import VenueProcess

MARKETS = dg.AssetKey(["bitfinex", "markets"])
BEFORE = datetime.now(UTC) - timedelta(days=1)


def pair(symbol: str, base: str) -> Market:
    return Market(symbol, "crypto_spot", base, "USD", active=True)


def take(location: Location, **config: object) -> Any:
    defs = build_defs(resources={"downloads": DownloadsResource(attempts=1, first_wait_seconds=0)})
    return defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=location.instance,
        asset_selection=[MARKETS],
        run_config={"ops": {"bitfinex__markets": {"config": config}}},
        raise_on_error=False,
    )


def shown(location: Location) -> dict[str, Any]:
    event = location.instance.get_latest_materialization_event(MARKETS)
    assert event is not None
    assert event.asset_materialization is not None
    return {name: one.value for name, one in event.asset_materialization.metadata.items()}


def knew(location: Location, *markets: Market) -> None:
    with location.database.connect() as connection:
        keep_list(connection, "bitfinex", markets, BEFORE)


def test_a_list_is_kept_and_its_listings_are_found(location: Location) -> None:
    result = take(location)
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert check.passed
    assert shown(location)["dagster/row_count"] == shown(location)["crypto_spot"] == 3
    assert location.stored("SELECT count(*) FROM market.markets WHERE vanished_at IS NULL") == 3
    assert "changes" not in shown(location)


def test_new_and_vanished_markets_are_shown(location: Location) -> None:
    knew(location, pair("tBTCUSD", "BTC"), pair("tOLDUSD", "OLD"), pair("tEEEUSD", "ETH"))
    assert take(location).success
    told = shown(location)
    assert (told["new"], told["vanished"], told["renamed"]) == (1, 1, 1)
    assert "| vanished | tOLDUSD |" in told["changes"]
    assert "| renamed | tETHUSD | tEEEUSD |" in told["changes"]
    assert "a guess" in told["changes"]


def test_a_listing_that_its_provider_no_longer_has_is_a_warning(location: Location) -> None:
    text = location.universe_file.read_text().replace("bitfinex: BTC/USD", "bitfinex: BTG/USD")
    location.universe_file.write_text(text)
    result = take(location)
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    (wrong,) = check.metadata["wrong"].value
    assert (wrong["listing"], wrong["state"]) == ("BTC-USD", "unknown")


def test_a_list_that_is_too_short_fails_and_changes_nothing(location: Location) -> None:
    knew(location, *(pair(f"tC{n}USD", f"C{n}") for n in range(7)))
    result = take(location)
    assert not result.success
    failure = result.get_step_failure_events()[0].event_specific_data
    assert "has 3 markets, the one before had 7" in failure.error.message
    assert "accept_short" in failure.error.message
    assert location.stored("SELECT count(*) FROM market.markets WHERE vanished_at IS NULL") == 7
    assert take(location, accept_short=True).success
    assert location.stored("SELECT count(*) FROM market.markets WHERE vanished_at IS NULL") == 3


def test_a_list_that_cannot_be_had_fails_and_changes_nothing(
    location: Location, venue: VenueProcess
) -> None:
    knew(location, pair("tBTCUSD", "BTC"))
    venue.post_fault("server_error", exchange="bitfinex")
    assert not take(location).success
    assert location.stored("SELECT count(*) FROM market.markets WHERE vanished_at IS NULL") == 1


def test_a_provider_without_a_list_has_no_such_asset(location: Location) -> None:
    text = location.universe_file.read_text()
    more = "providers:\n  yahoo: {}\n  alpaca: {}\n"
    location.universe_file.write_text(text.replace("providers:\n", more))
    keys = {key.to_user_string() for key in build_defs().resolve_asset_graph().get_all_asset_keys()}
    assert {"alpaca/markets", "bitfinex/markets", "yahoo/bars_1m"} <= keys
    assert "yahoo/markets" not in keys


def test_it_waits_for_its_turn_in_the_providers_pool(location: Location) -> None:
    asset = build_defs().get_assets_def(MARKETS)
    assert asset.op.pool == "bitfinex"
    assert asset.partitions_def is None
    assert asset.group_names_by_key[MARKETS] == "bitfinex"
