"""Which documents there are, and for how long they are fresh."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.fundamentals.documents import (
    DATA_TYPES,
    DOCUMENTS,
    TIMES_TO_LIVE,
    UnknownDocument,
    data_types,
    documents_about,
    time_to_live,
)

# By the word, so that this table cannot follow a slip in the other.
DAYS = {
    "profile": 14,
    "ratios": 3,
    "statements": 90,
    "calendar": 7,
    "dividends": 7,
    "splits": 30,
    "insider": 7,
    "analyst": 3,
}


def test_each_data_type_lives_as_long_as_is_agreed() -> None:
    assert {name: TIMES_TO_LIVE[name] for name in DATA_TYPES} == {
        name: timedelta(days=days) for name, days in DAYS.items()
    }


def test_a_document_lives_as_long_as_the_shortest_lived_thing_in_it() -> None:
    assert time_to_live("fmp", "income-statement") == timedelta(days=90)
    assert time_to_live("yahoo", "quoteSummary") == timedelta(days=3)
    assert time_to_live("coingecko", "coin") == timedelta(days=3)


def test_every_document_belongs_to_known_data_types() -> None:
    for documents in DOCUMENTS.values():
        for types in documents.values():
            assert types
            assert set(types) <= set(DAYS)


def test_a_quote_that_is_all_money_in_nobody_knows_which_currency_is_not_asked_for() -> None:
    assert documents_about("fmp", "BRK-B") == tuple(DOCUMENTS["fmp"])
    assert set(DOCUMENTS["fmp"]) - set(documents_about("fmp", "LLOY.L")) == {"quote"}
    assert documents_about("yahoo", "LLOY.L") == tuple(DOCUMENTS["yahoo"])


@pytest.mark.parametrize(
    ("client", "document", "said"),
    [
        ("yfinance", "quoteSummary", "'yfinance' is no client of fundamentals"),
        ("yaho", "quoteSummary", "did you mean yahoo?"),
        ("fmp", "incom-statement", "did you mean income-statement?"),
        ("alpha_vantage", "overview", "'overview' is no document of alpha_vantage"),
    ],
)
def test_a_misspelt_client_or_document_is_an_error(client: str, document: str, said: str) -> None:
    with pytest.raises(UnknownDocument, match="use one of: ") as refused:
        data_types(client, document)
    assert said in str(refused.value)
