"""Rates of exchange, from the daily bars of currencies that the ledger has."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import Final

import psycopg

from pipeline.fundamentals.candidates import Rates

_CLOSED: Final = timedelta(days=7)
"""How old the last close before a day may be: over a weekend with holidays."""

_CLOSE = """
SELECT close FROM market.consolidated_1d
WHERE instrument = %s AND ts >= %s AND ts < %s AND session_date <= %s AND close > 0 AND complete
ORDER BY ts DESC LIMIT 1
"""


def stored_rates(connection: psycopg.Connection) -> Rates:
    """Return a function that looks rates up: the close of the day, or the last before it.

    A rate is found where the universe has the pair as an instrument of class fx, either way round
    (`EUR-USD`), and bars of a day.
    """
    pairs = {
        key
        for (key,) in connection.execute(
            "SELECT key FROM ledger.instrument WHERE asset_class = 'fx'"
        )
    }

    @cache
    def rate(one: str, other: str, on: date) -> float | None:
        if f"{one}-{other}" in pairs:
            return _close(connection, f"{one}-{other}", on)
        if f"{other}-{one}" in pairs:
            close = _close(connection, f"{other}-{one}", on)
            return None if close is None else 1 / close
        return None

    return rate


def _close(connection: psycopg.Connection, pair: str, on: date) -> float | None:
    row = connection.execute(_CLOSE, [pair, on - _CLOSED, on + timedelta(days=1), on]).fetchone()
    return None if row is None else row[0]
