"""What clients can be asked for about a symbol, and for how long an answer is fresh.

A document is one answer to one request. It belongs to the data types whose fields are found in it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Literal, get_args

DataType = Literal[
    "profile", "ratios", "statements", "calendar", "dividends", "splits", "insider", "analyst"
]
"""What a field is about; it decides how soon the field is asked for again, and whom to believe."""

DATA_TYPES: Final[tuple[DataType, ...]] = get_args(DataType)

TIMES_TO_LIVE: Final[Mapping[DataType, timedelta]] = MappingProxyType(
    {
        "profile": timedelta(days=14),
        "ratios": timedelta(days=3),
        "statements": timedelta(days=90),
        "calendar": timedelta(days=7),
        "dividends": timedelta(days=7),
        "splits": timedelta(days=30),
        "insider": timedelta(days=7),
        "analyst": timedelta(days=3),
    }
)
"""For how long what is said of a data type is fresh."""

_STATEMENTS: Final[tuple[DataType, ...]] = ("statements",)
_RATIOS: Final[tuple[DataType, ...]] = ("ratios",)

DOCUMENTS: Final[Mapping[str, Mapping[str, tuple[DataType, ...]]]] = MappingProxyType(
    {
        "fmp": {  # paths under /stable/
            "profile": ("profile", "ratios", "dividends"),
            "quote": _RATIOS,
            "income-statement": _STATEMENTS,
            "balance-sheet-statement": _STATEMENTS,
            "cash-flow-statement": _STATEMENTS,
            "key-metrics-ttm": _RATIOS,
            "ratios-ttm": ("ratios", "dividends"),
        },
        "yahoo": {  # paths of query2.finance.yahoo.com
            "quoteSummary": ("profile", "ratios", "calendar", "dividends", "analyst"),
            "fundamentals-timeseries": _STATEMENTS,
        },
        "alpha_vantage": {  # values of `function`
            "OVERVIEW": ("profile", "ratios", "dividends", "analyst"),
            "INCOME_STATEMENT": _STATEMENTS,
            "BALANCE_SHEET": _STATEMENTS,
            "CASH_FLOW": _STATEMENTS,
        },
        "ibkr": {  # report types of reqFundamentalData
            "ReportSnapshot": ("profile", "ratios", "dividends", "analyst"),
        },
        "coingecko": {  # /coins/{id}
            "coin": ("profile", "ratios"),
        },
    }
)
"""By client and document: the data types that are found in it."""


class UnknownDocument(ValueError):
    """No client, or no document of the client, has this name."""


def data_types(client: str, document: str) -> tuple[DataType, ...]:
    """Return the data types that a document belongs to.

    Raises:
        UnknownDocument: Nothing is called like this; the message names what is, and is nearest.
    """
    if client not in DOCUMENTS:
        raise UnknownDocument(
            f"{client!r} is no client of fundamentals{nearest(client, DOCUMENTS)}"
        )
    documents = DOCUMENTS[client]
    if document not in documents:
        raise UnknownDocument(
            f"{document!r} is no document of {client}{nearest(document, documents)}"
        )
    return documents[document]


def documents_about(client: str, symbol: str) -> tuple[str, ...]:
    """Return the documents of a client that can tell something about a symbol.

    FMP's quote is nothing but money, and names no currency: in which it is, nobody can tell of a
    symbol that names an exchange (`ACME.L`).
    """
    silent = {"quote"} if client == "fmp" and "." in symbol else ()
    return tuple(document for document in DOCUMENTS[client] if document not in silent)


def time_to_live(client: str, document: str) -> timedelta:
    """Return for how long a document is fresh: as long as the shortest-lived of its data types.

    Raises:
        UnknownDocument: Nothing is called like this.
    """
    return min(TIMES_TO_LIVE[data_type] for data_type in data_types(client, document))


def nearest(word: str, known: Iterable[str]) -> str:
    """End a message about an unknown word: with the one that may be meant, and all that exist."""
    names = list(known)
    close = difflib.get_close_matches(word.casefold(), names, n=1, cutoff=0.5)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"{hint}; use one of: {', '.join(names) or '(none)'}"
