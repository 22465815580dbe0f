"""`P/fundamentals` and `fundamentals/combined` in process: real clients, vendors' formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline.definitions import build_defs
from pipeline.fundamentals.documents import DOCUMENTS
from pipeline.settings import load_settings
from pipeline.store.database import Database
from pipeline.universe import load_universe
from resources.downloads import DownloadsResource
from tests.dagster.conftest import RANGE_END, RANGE_START, Location, told_at
from tests.dagster.ticks import Ticks
from venue import VenueProcess

COMBINED = dg.AssetKey(["fundamentals", "combined"])
FMP, SECOND, GECKO = (
    dg.AssetKey([name, "fundamentals"]) for name in ("fmp", "second", "coingecko")
)
OF_FMP = len(DOCUMENTS["fmp"])
ACME = {"name": "Acme Inc.", "revenue": 274.5e9, "shares": 15.3e9, "price": 180}
VENUE: dict[str, Any] = {
    "exchanges": {
        "fmp": {
            "requests_per_second": 0,
            "companies": {
                "ACME": ACME,
                "ACMX": {**ACME, "revenue": 300e9},
                "BETA": {**ACME, "name": "Beta Inc."},
                "CETA": {**ACME, "name": "Ceta Inc."},
            },
        },
        "coingecko": {
            "requests_per_second": 0,
            "coins": {"acmecoin": {"symbol": "acme", "name": "Acme", "price": 2.5, "supply": 1e9}},
        },
    }
}
UNIVERSE = """
start: 2024-01-01
providers:
  fmp: {{base_url: {url}/fmp, limits: {{requests: 6000, seconds: 1}}}}
  second: {{client: fmp, base_url: {url}/fmp, limits: {{requests: 6000, seconds: 1}}}}
  coingecko: {{base_url: {url}/coingecko, limits: {{requests: 6000, seconds: 1}}}}
instruments:
  ACME: {{class: equity, fundamentals: {{fmp: ACME, second: ACMX}}}}
  BETA: {{class: equity, fundamentals: {{fmp: BETA}}}}
  CETA: {{class: equity, fundamentals: {{fmp: CETA}}}}
  ACM-USD: {{class: crypto_spot, fundamentals: {{coingecko: acmecoin}}}}
"""


@pytest.fixture(scope="module")
def vendors() -> Iterator[VenueProcess]:
    with VenueProcess(VENUE) as process:
        yield process


@pytest.fixture
def venue(vendors: VenueProcess, monkeypatch: pytest.MonkeyPatch) -> VenueProcess:
    """A venue of companies and a coin, and a key that it takes."""
    vendors.clear_faults()
    vendors.clear_requests()
    monkeypatch.setenv("FMP_API_KEY", "any")
    return vendors


@pytest.fixture
def universe_file(tmp_path: Path, venue: VenueProcess) -> Path:
    file = tmp_path / "universe.yaml"
    file.write_text(UNIVERSE.format(url=venue.url))
    return file


def run(location: Location, asset: dg.AssetKey, *instruments: str, **config: object) -> Any:
    """Materialize an asset's partitions, from the first to the last of these, in process."""
    defs = build_defs(resources={"downloads": DownloadsResource(attempts=1)})
    tags = {RANGE_START: instruments[0], RANGE_END: instruments[-1]}
    return defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=location.instance,
        asset_selection=[asset],
        partition_key=instruments[0] if len(instruments) == 1 else None,
        tags=tags if len(instruments) > 1 else {},
        run_config={"ops": {"__".join(asset.path): {"config": config}}} if config else None,
        raise_on_error=False,
    )


def shown(location: Location, asset: dg.AssetKey, partition: str) -> dict[str, Any]:
    """Return the metadata of the latest materialization of a partition, as plain values."""
    records = location.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[partition]), limit=1
    ).records
    event = records[0].asset_materialization
    assert event is not None
    return {name: value.value for name, value in event.metadata.items()}


def failure(result: dg.ExecuteInProcessResult) -> Any:
    (event,) = result.get_step_failure_events()
    return event.step_failure_data.user_failure_data


def check(location: Location, asset: dg.AssetKey, name: str) -> dg.AssetCheckEvaluation:
    """Return the latest evaluation of a check, whichever run it is from."""
    (record,) = location.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(asset, name), limit=1
    )
    assert record.event is not None
    evaluation = record.event.asset_check_evaluation
    assert evaluation is not None
    return evaluation


def wrong(evaluation: dg.AssetCheckEvaluation) -> Sequence[dict[str, Any]]:
    found = evaluation.metadata["wrong"].value
    assert isinstance(found, list)
    return found


def partitions(location: Location, name: str) -> list[str]:
    return list(location.instance.get_dynamic_partitions(name))


def asked(venue: VenueProcess) -> int:
    total: int = venue.requests()["total"]
    return total


def test_partitions_follow_the_universe(location: Location) -> None:
    assert partitions(location, "fmp_fundamentals") == ["ACME", "BETA", "CETA"]
    assert partitions(location, "second_fundamentals") == ["ACME"]
    assert partitions(location, "coingecko_fundamentals") == ["ACM-USD"]
    assert partitions(location, "fundamentals") == ["ACM-USD", "ACME", "BETA", "CETA"]
    file = location.universe_file
    file.write_text(file.read_text().replace("fmp: BETA", "fmp: BETA, second: BETA"))
    location.sync()
    assert partitions(location, "second_fundamentals") == ["ACME", "BETA"]


@pytest.fixture
def defs(universe_file: Path, tmp_path: Path) -> dg.Definitions:
    """The code location alone: nothing is asked or stored."""
    return build_defs(settings=load_settings(home=tmp_path), universe=load_universe(universe_file))


def test_an_asset_waits_for_its_turn_among_its_providers_others(defs: dg.Definitions) -> None:
    asset = defs.get_assets_def(FMP)
    assert asset.op.pool == "fmp"
    assert asset.group_names_by_key[FMP] == "fmp"
    assert asset.backfill_policy == dg.BackfillPolicy.multi_run(max_partitions_per_run=60)
    assert defs.get_assets_def(COMBINED).op.pool is None


def test_the_views_are_described_as_they_are(defs: dg.Definitions, database: Database) -> None:
    types = {"timestamp with time zone": "timestamptz"}
    for asset, view in (
        (FMP, "market.fundamentals_values"),
        (COMBINED, "market.fundamentals_fields"),
    ):
        schema = defs.get_assets_def(asset).metadata_by_key[asset]["dagster/column_schema"]
        assert isinstance(schema, dg.TableSchema)
        with database.connect() as connection:
            real = connection.execute(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
                [view],
            ).fetchall()
        described = [(column.name, column.type) for column in schema.columns]
        assert described == [(name, types.get(kind, kind)) for name, kind in real]


def test_providers_of_bars_and_of_fundamentals_have_assets_of_what_they_serve(
    universe_file: Path, tmp_path: Path
) -> None:
    more = "providers:\n  bitfinex: {}\n"
    universe_file.write_text(universe_file.read_text().replace("providers:\n", more))
    defs = build_defs(settings=load_settings(home=tmp_path), universe=load_universe(universe_file))
    dg.Definitions.validate_loadable(defs)
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    assert {"fmp/fundamentals", "fundamentals/combined", "bitfinex/bars_1m"} <= keys
    assert "bitfinex/fundamentals" not in keys
    assert "fmp/bars_1m" not in keys


def test_a_range_run_asks_once_for_each_document_and_tells_of_each_instrument(
    location: Location, venue: VenueProcess
) -> None:
    result = run(location, FMP, "ACME", "CETA")
    assert result.success
    assert asked(venue) == 3 * OF_FMP
    for name in ("ACME", "BETA", "CETA"):
        found = shown(location, FMP, name)
        assert (found["asked"], found["new"]) == (OF_FMP, OF_FMP)
        assert found["dagster/partition_row_count"] == location.stored(
            f"SELECT count(*) FROM market.fundamentals_values WHERE instrument = '{name}'"
        )
        assert found["held_values"] == found["refused_values"] == 0
        assert found["oldest_document_hours"] < 1
        assert "| balance-sheet-statement | new |" in found["documents"]
        assert found["run"].startswith(
            "3 of 3 instruments complete; 21 documents asked for: 21 new"
        )
    assert location.materialized(COMBINED) == {"ACME", "BETA", "CETA"}
    complete = check(location, COMBINED, "complete")
    assert (complete.passed, complete.severity) == (False, dg.AssetCheckSeverity.WARN)
    (poor,) = wrong(complete)
    assert (poor["instrument"], poor["score"]) == ("ACM-USD", 0)
    assert "circulating_supply" in poor["missing"]
    assert "revenue" not in poor["missing"]
    assert "fundamentals:" in str(complete.metadata["what_to_do"].value)
    assert told_at(location, FMP) < told_at(location, COMBINED)  # else it is shown as out of step


def test_what_is_fresh_is_not_asked_again_unless_it_is_forced(
    location: Location, venue: VenueProcess
) -> None:
    run(location, FMP, "ACME")
    venue.clear_requests()
    assert run(location, FMP, "ACME").success
    assert asked(venue) == 0
    assert shown(location, FMP, "ACME")["note"] == "all documents are fresh: nothing was asked"
    assert run(location, FMP, "ACME", force=True).success
    assert asked(venue) == OF_FMP
    found = shown(location, FMP, "ACME")
    assert found["same"] == OF_FMP
    assert "note" not in found


def test_an_instrument_that_failed_leaves_the_others_materialized(
    location: Location, venue: VenueProcess
) -> None:
    venue.post_fault("server_error", exchange="fmp", symbol="BETA", times=1)
    result = run(location, FMP, "ACME", "CETA")
    assert not result.success
    assert location.materialized(FMP) == {"ACME", "CETA"}
    said = failure(result)
    assert said.description.startswith("1 partitions are not complete:\nBETA: profile: fmp")
    assert said.metadata["not_complete"].value == ["BETA"]
    assert check(location, FMP, "values_are_usable").passed
    venue.clear_requests()
    assert run(location, FMP, "ACME", "CETA").success
    assert asked(venue) == 1
    assert location.materialized(FMP) == {"ACME", "BETA", "CETA"}


def test_why_a_provider_was_not_asked_any_further_is_said_once(
    location: Location, venue: VenueProcess
) -> None:
    venue.post_fault("error_body", exchange="fmp", times=1)
    result = run(location, FMP, "BETA")
    assert not result.success
    (line,) = failure(result).description.splitlines()[1:]
    assert line.startswith(f"BETA: {', '.join(DOCUMENTS['fmp'])}: fmp: Limit Reach")
    assert asked(venue) == 1


def test_a_document_about_somebody_else_fails_and_nothing_of_it_is_combined(
    location: Location, venue: VenueProcess
) -> None:
    venue.post_fault("another_subject", exchange="fmp", symbol="BETA")
    result = run(location, FMP, "BETA")
    assert not result.success
    assert "CETA" in failure(result).description
    assert location.stored("SELECT count(*) FROM market.fundamentals_values") == 0
    assert location.materialized(COMBINED) == set()


def test_a_provider_without_its_key_fails_alone_and_says_what_to_set(
    location: Location, venue: VenueProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FMP_API_KEY")
    result = run(location, FMP, "ACME")
    assert not result.success
    assert "FMP_API_KEY" in failure(result).description
    assert asked(venue) == 0
    assert run(location, GECKO, "ACM-USD").success
    dg.Definitions.validate_loadable(build_defs())


def test_that_a_provider_has_nothing_is_a_success_that_says_so(
    location: Location, venue: VenueProcess
) -> None:
    file = location.universe_file
    file.write_text(file.read_text().replace("coingecko: acmecoin", "coingecko: no-such-coin"))
    location.sync()
    assert run(location, GECKO, "ACM-USD").success
    found = shown(location, GECKO, "ACM-USD")
    assert found["note"] == "coingecko answers that it has no fundamentals of it"
    assert (found["none"], found["dagster/partition_row_count"]) == (1, 0)
    assert location.materialized(COMBINED) == set()


def test_an_instrument_that_the_universe_no_longer_names_is_not_asked_about(
    location: Location, venue: VenueProcess
) -> None:
    run(location, FMP, "BETA")
    file = location.universe_file
    file.write_text(
        file.read_text().replace("  BETA: {class: equity, fundamentals: {fmp: BETA}}", "")
    )
    location.sync()
    venue.clear_requests()
    location.instance.add_dynamic_partitions("fmp_fundamentals", ["NOPE"])
    result = run(location, FMP, "ACME", "NOPE")
    assert asked(venue) == 2 * OF_FMP
    assert location.materialized(FMP) == {"ACME", "BETA", "CETA"}
    assert shown(location, FMP, "BETA")["note"].startswith("no longer in the universe")
    assert "fmp is not asked about NOPE; name it in the universe" in failure(result).description


def test_who_says_what_and_who_won_is_shown_of_each_instrument(location: Location) -> None:
    run(location, FMP, "ACME")
    assert check(location, COMBINED, "providers_agree").passed
    alone = shown(location, COMBINED, "ACME")
    assert alone["disagree"] == alone["agree"] == alone["stale"] == alone["held"] == 0
    assert alone["single"] == alone["dagster/partition_row_count"] > 30
    assert run(location, SECOND, "ACME").success
    found = shown(location, COMBINED, "ACME")
    rows = location.stored(
        "SELECT jsonb_object_agg(state, n) FROM (SELECT state, count(*) AS n"
        " FROM market.fundamentals_fields WHERE instrument = 'ACME' GROUP BY 1) AS s"
    )
    assert {state: found[state] for state in rows} == rows
    assert found["disagree"] > 0 < found["agree"]
    table = [line.split(" | ") for line in found["comparison"].splitlines()]
    assert table[0][:3] == ["| field", "fmp", "second"]
    (revenue,) = [line for line in table if line[0] == "| revenue"]
    value = location.stored(
        "SELECT round((revenue / 1e9)::numeric, 2)::text FROM market.fundamentals"
    )
    assert revenue[1] == f"**{value} B USD**"
    assert revenue[2].endswith("B USD ≠")
    assert revenue[3:5] == ["fmp", "priority"]
    assert revenue[-2] == "**disagree**"
    assert 80 < found["completeness"] <= 100
    agree = check(location, COMBINED, "providers_agree")
    assert (agree.passed, agree.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert agree.metadata["count"].value == rows["disagree"]
    of_revenue = next(one for one in wrong(agree) if one["field"] == "revenue")
    assert (of_revenue["instrument"], of_revenue["won"]) == ("ACME", "fmp")
    assert of_revenue["said"].startswith(f"fmp {value} B USD, second ")


def test_combining_by_hand_asks_nobody_and_follows_another_strategy(
    location: Location, venue: VenueProcess
) -> None:
    run(location, FMP, "ACME")
    run(location, SECOND, "ACME")
    venue.clear_requests()
    who = "SELECT provider FROM market.fundamentals_fields WHERE field = 'revenue'"
    assert location.stored(who) == "fmp"
    file = location.universe_file
    file.write_text("combine: freshest\n" + file.read_text())
    location.sync()
    result = run(location, COMBINED, "ACM-USD", "CETA")
    assert result.success
    assert asked(venue) == 0
    assert location.stored(who) == "second"
    assert "| freshest |" in shown(location, COMBINED, "ACME")["comparison"]
    assert shown(location, COMBINED, "BETA")["note"] == "nobody has said anything of it yet"


def test_combining_what_the_ledger_does_not_know_fails_alone(location: Location) -> None:
    location.instance.add_dynamic_partitions("fundamentals", ["XYZ"])
    result = run(location, COMBINED, "ACME", "XYZ")
    assert not result.success
    assert "XYZ: the ledger has no instrument XYZ" in failure(result).description
    assert location.materialized(COMBINED) == {"ACME", "BETA", "CETA"}


def test_a_change_of_unit_is_an_error_until_it_is_undone_and_holds_the_old_value(
    location: Location, venue: VenueProcess
) -> None:
    run(location, FMP, "ACME")
    assert check(location, FMP, "no_value_is_held").passed
    before = location.stored("SELECT market_cap FROM market.fundamentals")
    venue.post_fault("other_unit", exchange="fmp", symbol="ACME", variant="thousands")
    assert run(location, FMP, "ACME", force=True).success
    assert shown(location, FMP, "ACME")["held_values"] > 0
    assert shown(location, COMBINED, "ACME")["held"] > 0
    assert location.stored("SELECT market_cap FROM market.fundamentals") == before
    found = check(location, FMP, "no_value_is_held")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    of_cap = next(one for one in wrong(found) if one["field"] == "market_cap")
    assert of_cap["instrument"] == "ACME"
    assert "perhaps another unit" in of_cap["why"]
    assert "minuteledger snapshots accept" in str(found.metadata["what_to_do"].value)
    run(location, FMP, "BETA")
    assert not check(location, FMP, "no_value_is_held").passed
    venue.clear_faults()
    run(location, FMP, "ACME", force=True)
    assert check(location, FMP, "no_value_is_held").passed


def test_a_check_names_values_that_cannot_be_used(location: Location, venue: VenueProcess) -> None:
    venue.post_fault("bad_numbers", exchange="fmp", symbol="BETA", variant="text")
    run(location, FMP, "BETA")
    found = check(location, FMP, "values_are_usable")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    first = wrong(found)[0]
    assert first["instrument"] == "BETA"
    assert "abc" in first["said"]
    with location.database.connect() as connection:
        ((refused,),) = connection.execute(
            "SELECT count(*) FROM ledger.snapshot_refusal r JOIN ledger.snapshot s"
            " ON s.id = r.snapshot_id WHERE s.unusable IS NULL"  # documents that state something
        )
    assert refused == found.metadata["count"].value
    venue.clear_faults()
    run(location, FMP, "BETA", force=True)
    assert check(location, FMP, "values_are_usable").passed


def test_documents_are_asked_for_when_they_are_due_and_not_before(
    location: Location, venue: VenueProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Ticks(location, "fundamentals", datetime.now(UTC))
    launched = {one.tags["minuteledger/fundamentals"]: one for one in ticks.tick()}
    spans = {name: (one.tags[RANGE_START], one.tags[RANGE_END]) for name, one in launched.items()}
    assert spans == {
        "fmp": ("ACME", "CETA"),
        "second": ("ACME", "ACME"),
        "coingecko": ("ACM-USD", "ACM-USD"),
    }
    for request in launched.values():
        assert ticks.run(request).success
    assert ticks.said(timedelta(minutes=20)) == "no document is due"

    venue.clear_requests()
    again = {one.tags["minuteledger/fundamentals"]: one for one in ticks.tick(timedelta(days=4))}
    ticks.begin(again.pop("second"))
    for request in again.values():
        assert ticks.run(request).success
    # Ratios live for three days, statements for ninety.
    assert 0 < asked(venue) < 3 * OF_FMP
    assert "second: " in ticks.said(timedelta(hours=30))
    assert "documents are due, and a run is under way" in ticks.said()
    monkeypatch.delenv("FMP_API_KEY")
    (request,) = ticks.tick(timedelta(days=8))
    assert request.asset_selection == [GECKO]
