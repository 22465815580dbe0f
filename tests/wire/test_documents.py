"""Documents about companies and coins: as they were sent, of whom was asked, within limits."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.request import urlopen

import orjson
import pytest

from pipeline.fundamentals.parsing import parse
from pipeline.fundamentals.registry import registry
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.errors import (
    ProviderError,
    Unsupported,
)
from pipeline.providers.limiter import Send, Unlimited
from pipeline.providers.options import ProviderOptions
from pipeline.providers.protocol import FundamentalsProvider
from pipeline.providers.registry import open_fundamentals, open_provider
from pipeline.providers.table import CAPABILITIES
from tests.venue import recordings
from tests.wire.documents import COMPANIES, DOCUMENTS, KEY, NOW, RECORDED, SUBJECTS, DocumentsOpener
from venue import VenueProcess


@pytest.mark.parametrize(("name", "document"), DOCUMENTS)
def test_a_document_is_the_text_that_was_sent_about_whom_was_asked(
    name: str, document: str, ask: DocumentsOpener, documents_venue: VenueProcess
) -> None:
    client = ask(name)
    assert isinstance(client, FundamentalsProvider)
    text = client.fetch_document(SUBJECTS[name], document)
    assert text is not None
    assert json.loads(text)
    assert SUBJECTS[name] in text
    assert text == client.fetch_document(SUBJECTS[name], document)
    cookies = 2 if name == "yahoo" else 0
    assert client.requests_sent == documents_venue.requests()["total"] == 2 + cookies
    assert client.clock_skew is not None


RECORDED_ONES = [
    *(("fmp", "AAPL", document) for document in CAPABILITIES["fmp"].documents),
    ("yahoo", "AAPL", "quoteSummary"),
    ("yahoo", "AAPL", "fundamentals-timeseries"),
    ("alpha_vantage", "IBM", "OVERVIEW"),
    ("alpha_vantage", "IBM", "INCOME_STATEMENT"),
    ("alpha_vantage", "MSFT", "OVERVIEW"),
    ("coingecko", "ethereum", "coin"),
]


@recordings.needed
@pytest.mark.parametrize(("name", "symbol", "document"), RECORDED_ONES)
def test_a_recorded_document_comes_byte_for_byte(
    name: str, symbol: str, document: str, ask: DocumentsOpener
) -> None:
    words = {symbol, {"fundamentals-timeseries": "timeseries"}.get(document, document)}
    (file,) = [
        file
        for url, file in RECORDED[name].items()
        if words - {"coin"} <= set(re.split("[/?=&]", url))
    ]
    recorded = file.read_bytes()
    if name == "yahoo":  # recorded with its status, and without the spaces that it may have had
        recorded = orjson.dumps(orjson.loads(recorded)["response"]["bodyJson"])
    text = ask(name).fetch_document(symbol, document)
    assert text is not None
    assert text.encode() == recorded


@pytest.mark.parametrize(("name", "document"), DOCUMENTS)
def test_of_whom_a_vendor_does_not_know_it_has_no_document(
    name: str, document: str, ask: DocumentsOpener
) -> None:
    assert ask(name).fetch_document("NOPE", document) is None


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_document_that_there_is_not_is_not_asked_for(
    name: str, ask: DocumentsOpener, documents_venue: VenueProcess
) -> None:
    with pytest.raises(ValueError, match="has no document 'horoscope'; it has"):
        ask(name).fetch_document(SUBJECTS[name], "horoscope")
    assert documents_venue.requests()["total"] == 0


class Noting(Unlimited):
    """Notes by which limits each request is counted."""

    def __init__(self) -> None:
        self.asked: list[tuple[RateLimit, int, RateLimit | None]] = []

    def acquire(self, limit: RateLimit, weight: int = 1, budget: RateLimit | None = None) -> Send:
        self.asked.append((limit, weight, budget))
        return super().acquire(limit, weight, budget)


@pytest.mark.parametrize("name", SUBJECTS)
def test_each_request_is_counted_against_the_limit_and_the_budget(
    name: str, ask: DocumentsOpener
) -> None:
    limiter, limit, budget = Noting(), RateLimit(3, 1.0), RateLimit(9, 60.0)
    client = ask(name, limiter=limiter, limit=limit, budget=budget)
    for _ in range(2):
        client.fetch_document(SUBJECTS[name], client.capabilities.documents[0])
    assert limiter.asked == [(limit, 1, budget)] * client.requests_sent


def test_coingecko_is_asked_without_a_key_and_by_id_alone(ask: DocumentsOpener) -> None:
    client = ask("coingecko", keys={})
    assert client.fetch_document("acmecoin", "coin")
    assert client.fetch_document("acme", "coin") is None  # its ticker


def test_a_symbol_cannot_leave_its_place_in_a_path(
    ask: DocumentsOpener, documents_venue: VenueProcess
) -> None:
    with pytest.raises(ProviderError):
        ask("coingecko").fetch_document("../../../fmp/stable/profile?symbol=ACME", "coin")
    (request,) = documents_venue.requests()["requests"]
    assert request["exchange"] == "coingecko"


def test_a_new_fiscal_year_is_told_when_it_has_been_filed(
    ask: DocumentsOpener, documents_venue: VenueProcess
) -> None:
    client, ends = ask("fmp"), []
    for day in ("2024-11-01", "2024-11-02"):  # 09-28 and 35 days
        documents_venue.set_clock(now=f"{day}T12:00:00Z")
        text = client.fetch_document("ACME", "income-statement")
        assert text is not None
        ends.append(json.loads(text)[0]["date"])
    assert ends == ["2023-09-28", "2024-09-28"]


def test_open_provider_refuses_who_serves_no_bars() -> None:
    with pytest.raises(Unsupported, match="serves no bars"):
        open_provider("fmp", ProviderOptions(source="fmp"), Unlimited())
    with pytest.raises(Unsupported, match="serves no fundamentals"):
        open_fundamentals("kraken", ProviderOptions(source="kraken"), Unlimited())


def test_the_numbers_of_an_invented_year_hang_together(documents_venue: VenueProcess) -> None:
    def rows(document: str) -> list[dict[str, Any]]:
        url = f"{documents_venue.url}/fmp/stable/{document}?symbol=NOVO&apikey={KEY}"
        with urlopen(url.replace("+", "%2B")) as answer:
            found: list[dict[str, Any]] = json.loads(answer.read())
        return found

    assert rows("profile")[0]["currency"] == "USD"
    for income, balance, flow in zip(
        rows("income-statement"),
        rows("balance-sheet-statement"),
        rows("cash-flow-statement"),
        strict=True,
    ):
        assert income["reportedCurrency"] == COMPANIES["NOVO"]["currency"]
        assert income["revenue"] - income["costOfRevenue"] == income["grossProfit"]
        assert income["grossProfit"] - income["operatingExpenses"] == income["operatingIncome"]
        assert income["incomeBeforeTax"] - income["incomeTaxExpense"] == income["netIncome"]
        assert balance["totalAssets"] - balance["totalLiabilities"] == balance["totalEquity"]
        assert flow["operatingCashFlow"] + flow["capitalExpenditure"] == flow["freeCashFlow"]
        assert 0 < income["epsDiluted"] < income["eps"]


@pytest.mark.parametrize(("name", "document"), DOCUMENTS)
def test_what_the_venue_invents_is_read_without_a_refusal(
    name: str, document: str, ask: DocumentsOpener
) -> None:
    payload = ask(name).fetch_document(SUBJECTS[name], document)
    assert payload is not None
    parsed = parse(registry(), name, document, payload, SUBJECTS[name], NOW)
    assert parsed.values
    assert not parsed.refusals
