"""Each vendor's way of packing what it says, whom it is about, and what it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.fundamentals.values import UnusableDocument
from tests.unit.fundamentals.making import (
    DOCUMENTS,
    asked,
    coin,
    fmp_profile,
    overview,
    read,
    reports,
    series,
    snapshot,
    stated,
    summary,
)


@pytest.mark.parametrize(("client", "document"), DOCUMENTS)
def test_a_document_in_the_vendors_format_is_read(client: str, document: str) -> None:
    parsed = read(client, document, DOCUMENTS[client, document], asked(client))
    assert parsed.values
    assert not parsed.refusals


@pytest.mark.parametrize(("client", "document"), DOCUMENTS)
@pytest.mark.parametrize(
    "body",
    [
        "",
        "  \n",
        "<html><body>Busy</body></html>",
        "[]",
        "{}",
        "null",
        "7",
        '"text"',
        "<a/>",
        "[[]]",
    ],
)
def test_what_is_no_such_document_is_unusable(client: str, document: str, body: str) -> None:
    with pytest.raises(UnusableDocument):
        read(client, document, body, asked(client))


@pytest.mark.parametrize(("client", "document"), DOCUMENTS)
def test_a_document_that_was_cut_off_is_unusable(client: str, document: str) -> None:
    body = DOCUMENTS[client, document]
    whole = body if isinstance(body, str) else json.dumps(body)
    for end in range(0, len(whole) - 1, 7):
        with pytest.raises(UnusableDocument):
            read(client, document, whole[:end], asked(client))


@pytest.mark.parametrize(("client", "document"), DOCUMENTS)
def test_a_document_about_somebody_else_is_unusable(client: str, document: str) -> None:
    with pytest.raises(UnusableDocument, match=r"is about .*, not about OTHER"):
        read(client, document, DOCUMENTS[client, document], "OTHER")


@pytest.mark.parametrize(
    ("client", "document", "body", "said"),
    [
        ("fmp", "profile", {"Error Message": "Invalid API KEY."}, "Invalid API KEY"),
        ("fmp", "profile", [{"price": 1}], "does not say whether it is about ACME"),
        ("fmp", "profile", [fmp_profile(), fmp_profile(symbol="EMCA")], "is about 'EMCA'"),
        ("alpha_vantage", "OVERVIEW", {"Note": "5 calls per minute"}, "5 calls per minute"),
        ("alpha_vantage", "OVERVIEW", overview(Information="25 a day"), "25 a day"),
        ("alpha_vantage", "CASH_FLOW", {"symbol": "ACME"}, "has neither annualReports"),
        ("alpha_vantage", "CASH_FLOW", reports(annualReports="None"), "must be a list"),
        ("coingecko", "coin", {"error": "coin not found"}, "coin not found"),
        ("coingecko", "coin", {"status": {"error_code": 429}}, "429"),
        ("ibkr", "ReportSnapshot", snapshot(root="ReportsFinSummary"), "not a ReportSnapshot"),
        ("ibkr", "ReportSnapshot", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "its own entities"),
        (
            "yahoo",
            "quoteSummary",
            {"quoteSummary": {"result": None, "error": {"code": "Not Found"}}},
            "Not Found",
        ),
        (
            "yahoo",
            "quoteSummary",
            {"quoteSummary": {"result": [{"financialData": {"totalRevenue": 1}}], "error": None}},
            "does not say whether it is about ACME",
        ),
        ("fmp", "profile", '[{"symbol": "ACME", "price": 1, "price": 2}]', "names 'price' twice"),
    ],
)
def test_an_error_in_a_document_and_what_is_half_one_are_unusable(
    client: str, document: str, body: Any, said: str
) -> None:
    with pytest.raises(UnusableDocument, match=said):
        read(client, document, body)


def test_series_in_which_one_is_of_another_symbol_are_unusable() -> None:
    both = series({"annualTotalRevenue": [stated("2025-12-31", 9)]})
    both["timeseries"]["result"].append({"meta": {"symbol": ["EMCA"], "type": ["annualNetIncome"]}})
    with pytest.raises(UnusableDocument, match="is about 'EMCA'"):
        read("yahoo", "fundamentals-timeseries", both)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("BRK.B", "BRK-B"),
        ("BRK-B", "BRK.B"),
        ("BRK/B", "brk-b"),
        ("acme", "ACME"),
        ("VOD.L", "VOD.L"),
    ],
)
def test_another_spelling_of_a_symbol_is_the_same_symbol(asked: str, said: str) -> None:
    assert read("fmp", "profile", [fmp_profile(symbol=said)], asked).values
    assert read("yahoo", "quoteSummary", summary(said), asked).values
    assert read("alpha_vantage", "OVERVIEW", overview(Symbol=said), asked).values


@pytest.mark.parametrize(
    ("asked", "said"), [("BRK.B", "BRK.A"), ("VOD.L", "VOD"), ("ACME", "ACM"), ("ACM.E", "ACME")]
)
def test_a_similar_symbol_is_another_symbol(asked: str, said: str) -> None:
    with pytest.raises(UnusableDocument, match="is about"):
        read("fmp", "profile", [fmp_profile(symbol=said)], asked)


def test_reports_of_ibkr_write_the_class_of_a_share_small() -> None:
    assert read("ibkr", "ReportSnapshot", snapshot(ticker="BRKb"), "BRK B").values
    with pytest.raises(UnusableDocument, match=r"is about 'BRK\.a', not about BRK B"):
        read("ibkr", "ReportSnapshot", snapshot(ticker="BRKa"), "BRK B")


def test_reports_of_ibkr_are_about_their_first_issue() -> None:
    with pytest.raises(UnusableDocument, match="is about 'ACME', not about ACMEP"):
        read("ibkr", "ReportSnapshot", snapshot(), "ACMEP")


def test_where_a_stock_is_listed_at_ibkr_is_no_part_of_its_ticker() -> None:
    for symbol in ("ACME@NASDAQ", "ACME@4391"):
        assert read("ibkr", "ReportSnapshot", snapshot(), symbol).values
    for symbol in ("ACMEP@NASDAQ", "4391"):
        with pytest.raises(UnusableDocument, match="is about 'ACME', not about"):
            read("ibkr", "ReportSnapshot", snapshot(), symbol)


def test_an_issue_without_a_ticker_is_not_taken_for_the_next_one() -> None:
    with pytest.raises(UnusableDocument, match="does not say whether it is about ACMEP"):
        read("ibkr", "ReportSnapshot", snapshot(ticker=""), "ACMEP")


def test_a_coin_is_known_by_its_id_and_not_by_its_ticker() -> None:
    assert read("coingecko", "coin", coin(), "Acmecoin").values
    with pytest.raises(UnusableDocument, match="is about 'acmecoin', not about acme"):
        read("coingecko", "coin", coin(), "acme")
