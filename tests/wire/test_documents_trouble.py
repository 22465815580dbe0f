"""What is no document about a company or coin: an error without a key in it, or the word "none"."""

from __future__ import annotations

import json
import logging
import re
from datetime import timedelta
from typing import Any

import orjson
import pytest
from curl_cffi.requests import Response
from pydantic import SecretStr

from pipeline.providers import yahoo_documents
from pipeline.providers.errors import (
    AuthenticationFailed,
    MalformedAnswer,
    MissingKeys,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    RequestTimedOut,
    Unsupported,
)
from pipeline.providers.limiter import Unlimited
from pipeline.providers.options import ProviderOptions
from pipeline.providers.registry import open_fundamentals
from pipeline.providers.vendor_session import Answer
from tests.venue import recordings
from tests.wire.documents import KEY, KEYS, NOW, SUBJECTS, DocumentsOpener
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
    "not_paid": (RequestRefused, False),
    "connection": (ProviderUnavailable, True),
}
OTHERWISE: dict[tuple[str, str], tuple[type[ProviderError], bool]] = {
    ("alpha_vantage", "not_paid"): (Unsupported, False),
    ("yahoo", "not_paid"): (ProviderUnavailable, True),  # it wants no keys: a matter of cookies
}


@recordings.needed
def test_a_recorded_404_of_yahoos_says_that_there_is_none(
    ask: DocumentsOpener, documents_venue: VenueProcess
) -> None:
    assert ask("yahoo").fetch_document("QQQ", "quoteSummary") is None
    (request,) = [one for one in documents_venue.requests()["requests"] if one["symbol"]]
    assert request["status"] == 404


@pytest.mark.parametrize(
    ("name", "kind"),
    # An empty object is Alpha Vantage's word that it has none.
    [(n, k) for n in SUBJECTS for k in FAULTS if (n, k) != ("alpha_vantage", "empty_object")],
)
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
        documents_venue.post_fault(kind, symbol=SUBJECTS[name])
    client = ask(name, limiter=limiter, **options)
    expected, retryable = OTHERWISE.get((name, kind), FAULTS[kind])
    document = client.capabilities.documents[0]
    with caplog.at_level(logging.DEBUG), pytest.raises(expected) as caught:
        client.fetch_document(SUBJECTS[name], document)
    assert caught.value.retryable is retryable
    assert name == "yahoo" or caught.value.__cause__ is caught.value.__context__ is None
    shown = [everything_about(caught.value), client, vars(client)]
    shown += [vars(part) for part in vars(client).values() if hasattr(part, "__dict__")]
    logged = [record.args for record in caplog.records]
    assert "MARKED" not in f"{shown} {limiter.pauses} {caplog.text} {logged}"
    documents_venue.clear_faults()
    assert ask(name).fetch_document(SUBJECTS[name], document)


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_refusal_pauses_everybody(
    name: str, ask: DocumentsOpener, documents_venue: VenueProcess
) -> None:
    limiter = Pauses()
    client = ask(name, limiter=limiter)
    documents_venue.post_fault("rate_limit", retry_after=7, symbol=SUBJECTS[name])
    with pytest.raises(RateLimited):
        client.fetch_document(SUBJECTS[name], client.capabilities.documents[0])
    ((pause, reason),) = limiter.pauses
    told = {"coingecko": timedelta(seconds=7), "alpha_vantage": timedelta(minutes=1)}
    assert pause == told.get(name, client.capabilities.refusal_pause)
    assert re.search("limit|frequency|429", reason, re.IGNORECASE)


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


def test_a_404_of_another_kind_does_not_say_that_there_is_none(
    ask: DocumentsOpener, documents_venue: VenueProcess
) -> None:
    for name, symbol in SUBJECTS.items():
        client = ask(name, base_url=f"{documents_venue.url}/nowhere")
        with pytest.raises(RequestRefused, match="check base_url"):
            client.fetch_document(symbol, client.capabilities.documents[0])


def test_a_crumb_that_yahoo_does_not_take_any_more_is_replaced(
    ask: DocumentsOpener, documents_venue: VenueProcess
) -> None:
    client = ask("yahoo")
    first = client.fetch_document("ACME", "quoteSummary")
    documents_venue.post_fault("not_paid", symbol="ACME", times=1)
    assert client.fetch_document("ACME", "quoteSummary") == first


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, {"quoteSummary": {"result": None, "error": {"code": "Not Found"}}}, None),
        (404, {"finance": {"result": None, "error": {"code": "Not Found"}}}, RequestRefused),
        (404, {"quoteSummary": {"result": None, "error": {"code": "Gone"}}}, RequestRefused),
        (200, {"quoteSummary": {"result": None, "error": {"code": "Not Found"}}}, MalformedAnswer),
        (200, {"quoteSummary": {"result": None, "error": None}}, MalformedAnswer),
        (200, {"finance": {"result": None, "error": {"code": "Internal"}}}, MalformedAnswer),
        (401, {"finance": {"error": {"code": "Unauthorized"}}}, ProviderUnavailable),
        (500, {"quoteSummary": {"error": {"code": "Internal"}}}, ProviderUnavailable),
        (999, {}, RateLimited),
        (200, {"finance": {"error": {"code": "Too Many Requests"}}}, RateLimited),
        (200, {"timeseries": {"result": [{"meta": {}}], "error": None}}, None),
        (200, {"timeseries": {"result": [], "error": None}}, None),
        (200, {"timeseries": {"result": [None], "error": None}}, "text"),
        (200, {"chart": {"result": [], "error": None}}, MalformedAnswer),
        (200, [], MalformedAnswer),
        (200, None, MalformedAnswer),
    ],
)
def test_what_yahoo_says_is_none_an_error_or_a_document(
    status: int, body: object, expected: type[ProviderError] | str | None
) -> None:
    response = Response()
    response.status_code, response.content = status, orjson.dumps(body)
    if isinstance(expected, type):
        with pytest.raises(expected):
            yahoo_documents.read("yahoo", response)
    else:
        text = yahoo_documents.read("yahoo", response)
        assert text == (response.content.decode() if expected else None)


def read(name: str, status: int, document: object) -> str | None:
    """Return what a client makes of an answer."""
    options = ProviderOptions(source=name, keys={variable: SecretStr(KEY) for variable in KEYS})
    client: Any = open_fundamentals(name, options, Unlimited())
    text: str | None = client._read(Answer(status, {}, orjson.dumps(document)), NOW)
    return text


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        (200, "Limit Reach . Please upgrade your plan", RateLimited),
        (429, "Bandwidth Limit Reach . Please upgrade your plan", RateLimited),
        (200, "Invalid API KEY. Feel free to create a Free API Key", AuthenticationFailed),
        (401, "Invalid API KEY.", AuthenticationFailed),
        (403, "Your account is suspended.", AuthenticationFailed),
        (403, "Exclusive Endpoint : upgrade your plan", RequestRefused),
        (403, "Legacy Endpoint : no longer supported", RequestRefused),
        (402, "", RequestRefused),
        (200, "We are moving house", MalformedAnswer),
        (403, "", ProviderUnavailable),
        (404, "", RequestRefused),
        (503, "", ProviderUnavailable),
    ],
)
def test_what_fmp_says_in_words_is_an_error_whatever_the_status(
    status: int, words: str, expected: type[ProviderError]
) -> None:
    with pytest.raises(expected) as caught:
        read("fmp", status, {"Error Message": words})
    assert type(caught.value) is expected
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "document", "expected"),
    [
        (404, {"error": "coin not found"}, None),
        (404, {"error": "page not found"}, RequestRefused),
        (200, {"error": "coin not found"}, MalformedAnswer),
        (200, {"status": {"error_code": 429, "error_message": "slow down"}}, RateLimited),
        (429, {}, RateLimited),
        (401, {"status": {"error_code": 10005}}, RequestRefused),
        (401, {"status": {"error_code": 10002}}, AuthenticationFailed),
        (400, {"error_code": 10011, "status": {"error_code": 10011}}, AuthenticationFailed),
        (403, {"status": {"error_code": 1020}}, ProviderUnavailable),
        (500, {"status": {"error_code": 500}}, ProviderUnavailable),
        (200, {}, MalformedAnswer),
        (200, [], MalformedAnswer),
    ],
)
def test_what_coingecko_says_is_none_or_an_error(
    status: int, document: object, expected: type[ProviderError] | None
) -> None:
    if expected is None:
        assert read("coingecko", status, document) is None
        return
    with pytest.raises(expected) as caught:
        read("coingecko", status, document)
    assert type(caught.value) is expected
