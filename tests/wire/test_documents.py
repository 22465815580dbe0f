"""Documents about companies and coins: as they were sent, or an error, and never in between."""

from __future__ import annotations

import json
import logging
from typing import Any
from urllib.request import urlopen

import pytest
from pydantic import SecretStr

from pipeline.providers.capabilities import RateLimit
from pipeline.providers.errors import (
    AuthenticationFailed,
    MalformedAnswer,
    MissingKeys,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestTimedOut,
    Unsupported,
)
from pipeline.providers.limiter import Send, Unlimited
from pipeline.providers.options import ProviderOptions
from pipeline.providers.protocol import FundamentalsProvider
from pipeline.providers.registry import open_fundamentals, open_provider
from tests.venue import recordings
from tests.wire.documents import COMPANIES, DOCUMENTS, KEY, RECORDED, SUBJECTS, DocumentsOpener
from tests.wire.test_alpha_vantage_trouble import Pauses, everything_about
from venue import VenueProcess

FAULTS: dict[str, tuple[type[ProviderError], bool]] = {
    "rate_limit": (RateLimited, True),
    "error_body": (RateLimited, True),
    "server_error": (ProviderUnavailable, True),
    "timeout": (RequestTimedOut, True),
    "disconnect": (ProviderUnavailable, True),
    "truncated": (ProviderUnavailable, True),
    "truncated_json": (MalformedAnswer, True),
    "not_json": (MalformedAnswer, True),
    "empty_object": (MalformedAnswer, True),
    "empty_body": (MalformedAnswer, True),
    "not_paid": (Unsupported, False),
    "connection": (ProviderUnavailable, True),
}


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
    assert client.requests_sent == documents_venue.requests()["total"] == 2
    assert client.clock_skew is not None


@recordings.needed
@pytest.mark.parametrize(("name", "url"), [(n, url) for n in RECORDED for url in RECORDED[n]])
def test_a_recorded_document_comes_byte_for_byte(name: str, url: str, ask: DocumentsOpener) -> None:
    document = url.rpartition("/")[2].partition("?")[0]
    symbol = "AAPL"
    if name == "coingecko":
        symbol, document = document, "coin"
    text = ask(name).fetch_document(symbol, document)
    assert text is not None
    assert text.encode() == RECORDED[name][url].read_bytes()


@pytest.mark.parametrize(("name", "document"), DOCUMENTS)
def test_of_whom_a_vendor_does_not_know_it_has_no_document(
    name: str, document: str, ask: DocumentsOpener
) -> None:
    assert ask(name).fetch_document("NOPE", document) is None


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("name", SUBJECTS)
def test_what_is_no_answer_is_an_error_without_a_key_and_never_a_document_or_none(
    name: str,
    kind: str,
    ask: DocumentsOpener,
    documents_venue: VenueProcess,
    caplog: pytest.LogCaptureFixture,
) -> None:
    limiter, options = Pauses(), dict[str, Any]()
    if kind == "connection":
        options["base_url"] = "http://127.0.0.1:9"
    else:
        documents_venue.post_fault(kind, seconds=2)
    client, (expected, retryable) = ask(name, limiter=limiter, **options), FAULTS[kind]
    document = client.capabilities.documents[0]
    with caplog.at_level(logging.DEBUG), pytest.raises(expected) as caught:
        client.fetch_document(SUBJECTS[name], document)
    assert caught.value.retryable is retryable
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    shown = [client, vars(client), vars(client._session), vars(client._watch)]  # type: ignore[attr-defined]
    shown.append(everything_about(caught.value))
    logged = [record.args for record in caplog.records]
    assert "MARKED" not in f"{shown} {limiter.pauses} {caplog.text} {logged}"
    documents_venue.clear_faults()
    assert ask(name).fetch_document(SUBJECTS[name], document)


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_document_that_there_is_not_is_not_asked_for(
    name: str, ask: DocumentsOpener, documents_venue: VenueProcess
) -> None:
    with pytest.raises(ValueError, match="has no document 'horoscope'; it has"):
        ask(name).fetch_document(SUBJECTS[name], "horoscope")
    assert documents_venue.requests()["total"] == 0


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_refusal_pauses_everybody(
    name: str, ask: DocumentsOpener, documents_venue: VenueProcess
) -> None:
    limiter = Pauses()
    client = ask(name, limiter=limiter)
    documents_venue.post_fault("rate_limit", retry_after=7)
    with pytest.raises(RateLimited):
        client.fetch_document(SUBJECTS[name], client.capabilities.documents[0])
    ((pause, reason),) = limiter.pauses
    told = {"coingecko": 7}.get(name)
    assert pause.total_seconds() == told or pause == client.capabilities.refusal_pause
    assert "imit" in reason


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


def test_a_vendor_without_its_key_is_not_asked_and_says_which_one() -> None:
    with pytest.raises(MissingKeys, match="FMP_API_KEY not set"):
        open_fundamentals("fmp", ProviderOptions(source="fmp"), Unlimited())


def test_a_key_that_is_not_taken_is_an_error_that_says_which(
    ask: DocumentsOpener, documents_venue: VenueProcess
) -> None:
    for name, key in (("fmp", "FMP_API_KEY"), ("coingecko", "COINGECKO_DEMO_API_KEY")):
        client = ask(name, keys={key: SecretStr("MARKEDOTHER")})
        with pytest.raises(AuthenticationFailed, match=key) as caught:
            client.fetch_document(SUBJECTS[name], client.capabilities.documents[0])
        assert "MARKED" not in everything_about(caught.value)
    assert "MARKED" not in json.dumps(documents_venue.requests())


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
