"""What `doctor` finds at providers that are asked for fundamentals."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.commands.findings import Finding, about_provider, about_settings
from pipeline.settings import load_settings
from pipeline.universe import Universe, load_universe
from tests.wire.documents import KEY
from venue import VenueProcess

UNIVERSE = """\
start: 2024-01-01
providers:
  fmp: {{base_url: "{url}/fmp"}}
  yahoo: {{base_url: "{url}/yahoo"}}
  coingecko: {{base_url: "{url}/coingecko"}}
instruments:
  ACME: {{class: equity, fundamentals: {{fmp: {symbol}, yahoo: ACME}}}}
  ACME-USD: {{class: crypto_spot, fundamentals: {{coingecko: acmecoin}}}}
"""


@pytest.fixture
def universe_of(
    documents_venue: VenueProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Universe:
    return made(documents_venue, tmp_path, monkeypatch)


def made(
    venue: VenueProcess, folder: Path, monkeypatch: pytest.MonkeyPatch, symbol: str = "ACME"
) -> Universe:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FMP_API_KEY", KEY)
    monkeypatch.delenv("COINGECKO_DEMO_API_KEY", raising=False)
    file = folder / "universe.yaml"
    file.write_text(UNIVERSE.format(url=venue.url, symbol=symbol))
    return load_universe(file)


def found(universe: Universe, provider: str) -> list[Finding]:
    """Return what is found, but for the clock, which stands still at the venue."""
    findings = about_provider(universe, provider, None)
    return [one for one in findings if not one.what.endswith("clock")]


@pytest.mark.parametrize("provider", ["fmp", "coingecko"])
def test_a_provider_without_bars_is_asked_for_one_document(
    provider: str, universe_of: Universe, documents_venue: VenueProcess
) -> None:
    (finding,) = found(universe_of, provider)
    assert finding.state == "ok"
    assert "of 1 instruments" in finding.text
    assert documents_venue.requests()["total"] == 1


def test_a_provider_of_both_is_asked_for_both(universe_of: Universe) -> None:
    bars, document = found(universe_of, "yahoo")
    assert "no market list" in bars.text
    assert "quoteSummary of ACME" in document.text


def test_a_symbol_that_the_provider_does_not_know_is_broken(
    documents_venue: VenueProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    universe = made(documents_venue, tmp_path, monkeypatch, "NOPE")
    (finding,) = found(universe, "fmp")
    assert (finding.what, finding.state) == ("fmp ACME", "broken")
    assert "has no profile of NOPE" in finding.text


def test_a_key_that_is_not_set_is_told_with_its_use(
    universe_of: Universe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FMP_API_KEY")
    (finding,) = found(universe_of, "fmp")
    assert finding.state == "broken"
    assert "FMP_API_KEY not set" in finding.text
    told = {one.what: one.text for one in about_settings(load_settings(home=tmp_path))}
    assert told["FMP_API_KEY"] == "not set; only needed for fmp"
    assert told["COINGECKO_DEMO_API_KEY"].startswith("not set; coingecko answers without it")
