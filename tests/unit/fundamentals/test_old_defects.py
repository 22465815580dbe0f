"""What went wrong with fundamentals in the systems before, and does not here."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest

from pipeline.fundamentals.documents import UnknownDocument
from pipeline.fundamentals.registry import UnknownField, registry
from pipeline.fundamentals.values import Parsed, UnusableDocument
from tests.unit.fundamentals.making import DOCUMENTS, asked, fmp_profile, read, series
from tests.unit.fundamentals.mutating import places

JSON = [kind for kind in DOCUMENTS if kind[0] != "ibkr"]


def as_set(parsed: Parsed) -> set[tuple[Any, ...]]:
    return {(one.field, one.value, one.currency, one.period) for one in parsed.values}


@pytest.mark.parametrize(("client", "document"), JSON)
@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -math.inf, "None", "NaN", ""])
def test_none_nan_and_infinity_became_zero_is_a_defect_that_is_absent(
    client: str, document: str, nothing: Any
) -> None:
    body = json.loads(json.dumps(DOCUMENTS[client, document]))
    whole = as_set(read(client, document, body, asked(client)))
    lost = 0
    for number, _ in enumerate(places(body)):
        changed = copy.deepcopy(body)
        holder, key = list(places(changed))[number]
        holder[key] = nothing
        try:
            left = as_set(read(client, document, changed, asked(client)))
        except UnusableDocument:
            left = set()
        assert left <= whole, (key, left - whole)
        lost += left < whole
    assert lost > 3


def test_a_company_without_data_became_unknown_with_zeros_is_a_defect_that_is_absent() -> None:
    for client, document, body in (
        ("fmp", "profile", [dict.fromkeys(fmp_profile()) | {"symbol": "ACME"}]),
        ("fmp", "quote", [{"symbol": "ACME"}]),
        ("yahoo", "quoteSummary", {"quoteSummary": {"result": [{"price": {"symbol": "ACME"}}]}}),
        ("yahoo", "fundamentals-timeseries", series({}, {})),
        ("alpha_vantage", "OVERVIEW", {"Symbol": "ACME", "Sector": "None", "PERatio": "-"}),
        ("alpha_vantage", "CASH_FLOW", {"symbol": "ACME", "annualReports": []}),
    ):
        parsed = read(client, document, body)
        assert (list(parsed.values), list(parsed.refusals)) == ([], [])


@pytest.mark.parametrize(
    ("client", "document"),
    [("yf", "quoteSummary"), ("yfinance", "quoteSummary"), ("fmp", "profiles"), ("fmp", "income")],
)
def test_names_that_differ_between_modules_is_a_defect_that_is_absent(
    client: str, document: str
) -> None:
    with pytest.raises(UnknownDocument, match="use one of: "):
        read(client, document, "{}")


@pytest.mark.parametrize("name", ["pb_ratio", "price_book", "profiles", "marketCap", "roe"])
def test_fields_by_another_name_that_became_defaults_is_a_defect_that_is_absent(name: str) -> None:
    with pytest.raises(UnknownField, match="use one of: "):
        registry().field(name)
