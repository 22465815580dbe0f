"""Documents about invented companies and coins, and what faults make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from venue.config import parse
from venue.faults import Fault
from venue.service import Venue

ACME = {"name": "Acme Inc.", "revenue": 9e9, "shares": 1e8, "price": 50, "dividend": 0.5}
COIN = {"symbol": "c", "name": "C", "price": 2, "supply": 1e6}
CONFIG: dict[str, Any] = {
    "now": "2024-06-03T12:00:00Z",
    "speed": 0,
    "exchanges": {
        "fmp": {
            "requests_per_second": 0,
            "companies": {"ACME": ACME, "BETA": {**ACME, "name": "Beta"}},
        },
        "coingecko": {"requests_per_second": 0, "coins": {"one": COIN, "two": COIN}},
    },
}
PATHS = {
    "fmp": ("/stable/ratios-ttm", {"symbol": "ACME", "apikey": "k"}),
    "coingecko": ("/api/v3/coins/one", {}),
}


@pytest.fixture
def venue() -> Venue:
    return Venue(parse(CONFIG, Path()))


def told(venue: Venue, name: str) -> Any:
    path, query = PATHS[name]
    document = orjson.loads(venue.reply(name, path, query).answer.body)
    return document[0] if isinstance(document, list) else document


def numbers(document: Any) -> list[Any]:
    """Return all that stands where a number could."""
    if isinstance(document, dict | list):
        parts = document.values() if isinstance(document, dict) else document
        return [number for part in parts for number in numbers(part)]
    return [document]


@pytest.mark.parametrize(
    ("variant", "spoiled"),
    [("null", None), ("text", "abc"), ("nan", "NaN"), ("zero", 0)],
)
@pytest.mark.parametrize("name", PATHS)
def test_every_number_is_spoiled_and_nothing_else(
    name: str, variant: str, spoiled: object, venue: Venue
) -> None:
    before = numbers(told(venue, name))
    venue.faults.add(Fault.parse({"kind": "bad_numbers", "exchange": name, "variant": variant}))
    for old, new in zip(before, numbers(told(venue, name)), strict=True):
        is_number = isinstance(old, int | float) and not isinstance(old, bool)
        assert new == (spoiled if is_number else old)


def test_a_yield_is_told_in_percent_and_amounts_in_thousands(venue: Venue) -> None:
    before = told(venue, "fmp")
    venue.faults.add(Fault.parse({"kind": "other_unit", "variant": "percent"}))
    now = told(venue, "fmp")
    assert now["dividendYieldTTM"] == pytest.approx(100 * before["dividendYieldTTM"])
    assert now | {"dividendYieldTTM": before["dividendYieldTTM"]} == before
    venue.faults.clear()
    venue.faults.add(Fault.parse({"kind": "other_unit", "variant": "thousands"}))
    assert told(venue, "fmp")["enterpriseValueTTM"] * 1000 == before["enterpriseValueTTM"]


def test_another_company_or_coin_is_told_of(venue: Venue) -> None:
    venue.faults.add(Fault.parse({"kind": "another_subject", "times": 2}))
    assert told(venue, "fmp")["symbol"] == "BETA"
    assert told(venue, "coingecko")["id"] == "two"
    assert told(venue, "fmp")["symbol"] == "ACME"


def test_a_fault_of_documents_can_be_aimed_at_one_company(venue: Venue) -> None:
    venue.faults.add(Fault.parse({"kind": "bad_numbers", "symbol": "BETA"}))
    assert None not in numbers(told(venue, "fmp"))


def test_a_vendor_of_documents_lists_no_markets_and_an_exchange_knows_no_companies() -> None:
    with pytest.raises(ValueError, match="serves no bars"):
        Venue(parse({"exchanges": {"fmp": {"markets": {"AAPL": {}}}}}, Path()))
    with pytest.raises(ValueError, match="it has no documents about ACME"):
        Venue(parse({"exchanges": {"kraken": {"companies": {"ACME": ACME}}}}, Path()))
    with pytest.raises(ValueError, match=r"fmp.companies.ACME: unknown key 'revnue'"):
        Venue(parse({"exchanges": {"fmp": {"companies": {"ACME": {"revnue": 1}}}}}, Path()))
    coin = {"symbol": "c", "name": "C", "supply": 1}
    with pytest.raises(ValueError, match=r"coingecko.coins.one: 'price' is missing"):
        Venue(parse({"exchanges": {"coingecko": {"coins": {"one": coin}}}}, Path()))


def test_a_price_changes_with_the_day_and_not_within_it(venue: Venue) -> None:
    now_ms = venue.clock.now_ms()
    first = told(venue, "coingecko")
    venue.clock.set(now_ms=now_ms + 3_600_000, speed=0)
    assert told(venue, "coingecko") == first
    venue.clock.set(now_ms=now_ms + 86_400_000, speed=0)
    assert told(venue, "coingecko") != first


def test_a_recorded_document_can_be_spoiled_too(tmp_path: Path) -> None:
    (tmp_path / "body.json").write_bytes(
        b'[{"symbol": "ACME", "price": 3, "dividendYieldTTM": 0.5}]'
    )
    section = {"recorded": {"/stable/ratios-ttm?symbol=ACME": "body.json"}}
    venue = Venue(parse({"exchanges": {"fmp": section}}, tmp_path))
    assert told(venue, "fmp")["price"] == 3
    venue.faults.add(Fault.parse({"kind": "other_unit", "variant": "percent"}))
    assert told(venue, "fmp") == {"symbol": "ACME", "price": 3, "dividendYieldTTM": 50}


@pytest.mark.parametrize("name", ["yahoo", "alpha_vantage"])
def test_vendors_of_bars_tell_of_companies_as_well(name: str) -> None:
    section = {"companies": {"ACME": ACME}, "markets": {"ACME": {}}}
    venue = Venue(parse({"exchanges": {name: section}}, Path()))
    path, query = {
        "yahoo": (
            "/v10/finance/quoteSummary/ACME",
            {"modules": "price,nothing", "crumb": "u7cO3bWvLdE"},
        ),
        "alpha_vantage": ("/query", {"function": "OVERVIEW", "symbol": "ACME", "apikey": "k"}),
    }[name]
    body = venue.reply(name, path, query).answer.body
    assert b"Acme Inc." in body
    if name == "yahoo":
        assert list(orjson.loads(body)["quoteSummary"]["result"][0]) == ["price"]
        refused = venue.reply(name, path, query | {"crumb": "old"}).answer
        assert (refused.status, b"Invalid Crumb" in refused.body) == (401, True)
    else:
        assert all(isinstance(value, str) for value in orjson.loads(body).values())
