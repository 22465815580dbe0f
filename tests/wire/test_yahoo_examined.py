"""How a provider without a market list is examined, and what its runs are planned to take."""

from __future__ import annotations

from typing import Any

from pipeline.commands.findings import about_provider
from pipeline.opening import capabilities_of
from pipeline.universe import Universe
from venue import VenueProcess

NOT_FOUND = "No data found, symbol may be delisted"


def universe_of(venue: VenueProcess, classes: dict[str, str]) -> Universe:
    instruments: dict[str, Any] = {
        f"I{number}": {"class": asset_class, "listings": {"yahoo": symbol}}
        for number, (symbol, asset_class) in enumerate(classes.items())
    }
    options = {"base_url": f"{venue.url}/yahoo", "limits": {"requests": 1000, "seconds": 1}}
    document = {"start": "2024-01-01", "providers": {"yahoo": options}, "instruments": instruments}
    return Universe.model_validate(document)


def found(venue: VenueProcess, **classes: str) -> list[tuple[str, str, str]]:
    universe = universe_of(venue, classes)
    findings = about_provider(universe, "yahoo", None)
    return [(one.what, one.state, one.text) for one in findings if "clock" not in one.what]


def test_doctor_looks_symbols_up_one_by_one_and_only_some_of_them(
    yahoo_venue: VenueProcess,
) -> None:
    assert found(yahoo_venue, AAPL="equity", SPY="equity", NOPE="equity") == [
        ("yahoo", "ok", "has no market list; 3 of 3 listings looked up"),
        (
            "yahoo I1",
            "broken",
            "yahoo: 'SPY' is no equity: Yahoo calls it ETF; correct its class or its symbol",
        ),
        (
            "yahoo I2",
            "broken",
            f"yahoo: Not Found: {NOT_FOUND}; look the symbol up on finance.yahoo.com",
        ),
    ]
    yahoo_venue.clear_requests()
    many = {f"S{number}": "equity" for number in range(9)}
    first, *broken = found(yahoo_venue, **many)
    assert first[2] == "has no market list; 5 of 9 listings looked up"
    assert len(broken) == 5
    charts = [one for one in yahoo_venue.requests()["requests"] if "chart" in one["endpoint"]]
    assert len(charts) == 5


def test_doctor_says_when_yahoo_does_not_answer(yahoo_venue: VenueProcess) -> None:
    yahoo_venue.post_fault("rate_limit")
    ((what, state, text),) = found(yahoo_venue, AAPL="equity")
    assert (what, state) == ("yahoo", "broken")
    assert "too many requests (RateLimited)" in text


def test_a_run_is_planned_with_a_cookie_and_a_crumb(yahoo_venue: VenueProcess) -> None:
    universe = universe_of(yahoo_venue, {"AAPL": "equity"})
    capabilities = capabilities_of(universe, "yahoo")
    assert (capabilities.list_requests, capabilities.concurrency) == (2, 1)
    assert universe.client("yahoo") == "yahoo"
