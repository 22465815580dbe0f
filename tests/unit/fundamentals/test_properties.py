"""Whatever a document holds: it is read, or refused, and nothing is made up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.fundamentals.values import Parsed, UnusableDocument
from tests.unit.fundamentals.making import DOCUMENTS, asked, read
from tests.unit.fundamentals.mutating import garbled, is_all_in, spoilt, spoilt_report

SERIES = '{"timeseries": {"result": [{"meta": {"symbol": ["ACME"]}, "annualEBITDA": [%s]}]}}'
STATED = '{"asOfDate": %s, "periodType": "12M", "currencyCode": %s}'
JSON = [kind for kind in DOCUMENTS if kind[0] != "ibkr"]


def read_or_refuse(client: str, document: str, payload: str) -> Parsed:
    """Parse a payload; nothing but UnusableDocument may come of it."""
    try:
        return read(client, document, payload, asked(client))
    except UnusableDocument as why:
        str(why).encode()
        return Parsed()


def storable(parsed: Parsed) -> bool:
    """Whether PostgreSQL takes all texts."""
    texts = [refusal.raw + refusal.why + refusal.found_at for refusal in parsed.refusals]
    texts += [value.found_at for value in parsed.values]
    texts += [value.value for value in parsed.values if isinstance(value.value, str)]
    return not any("\x00" in text for text in texts) and bool("".join(texts).encode() or True)


@pytest.mark.parametrize(("client", "document"), JSON)
@settings(max_examples=100)
@given(data=st.data())
def test_nonsense_at_random_places_becomes_no_value(
    client: str, document: str, data: st.DataObject
) -> None:
    body: Any = json.loads(json.dumps(DOCUMENTS[client, document]))
    payload = data.draw(spoilt(body))
    parsed = read_or_refuse(client, document, payload)
    assert is_all_in(parsed, payload)
    assert storable(parsed)


@settings(max_examples=100)
@given(spoilt_report(DOCUMENTS["ibkr", "ReportSnapshot"]))
def test_nonsense_in_a_report_becomes_no_value(payload: str) -> None:
    parsed = read_or_refuse("ibkr", "ReportSnapshot", payload)
    assert is_all_in(parsed, payload)
    assert storable(parsed)


@pytest.mark.parametrize(("client", "document"), DOCUMENTS)
@settings(max_examples=100)
@given(data=st.data())
def test_a_document_that_was_garbled_is_read_as_it_is_or_refused(
    client: str, document: str, data: st.DataObject
) -> None:
    body = DOCUMENTS[client, document]
    payload = data.draw(garbled(body if isinstance(body, str) else json.dumps(body)))
    parsed = read_or_refuse(client, document, payload)
    assert not parsed.values or is_all_in(parsed, payload)
    assert storable(parsed)


@settings(max_examples=200)
@given(st.sampled_from(list(DOCUMENTS)), st.text())
def test_any_text_is_refused(kind: tuple[str, str], payload: str) -> None:
    assert not read_or_refuse(*kind, payload).values


@pytest.mark.parametrize(("client", "document"), DOCUMENTS)
@pytest.mark.parametrize("opened", ["[", '{"a":', "<a>"])
def test_what_is_nested_without_end_is_refused(client: str, document: str, opened: str) -> None:
    with pytest.raises(UnusableDocument):
        read(client, document, opened * 100_000, asked(client))


@pytest.mark.parametrize("depth", [3, 50, 400, 900])
def test_what_is_nested_deep_is_no_number(depth: int) -> None:
    for client, document, body in (
        ("fmp", "quote", '[{"symbol": "ACME", "price": %s}]'),
        ("coingecko", "coin", '{"id": "acmecoin", "market_data": {"current_price": {"usd": %s}}}'),
        ("coingecko", "coin", '{"id": "acmecoin", "a": %s, "name": 7}'),
        ("yahoo", "fundamentals-timeseries", SERIES % "%s"),
        ("yahoo", "fundamentals-timeseries", SERIES % STATED),
    ):
        for opened, closed in (("[", "]"), ('{"a":', "}")):
            nested = opened * depth + "1" + closed * depth
            parsed = read_or_refuse(client, document, body.replace("%s", nested))
            assert not parsed.values
