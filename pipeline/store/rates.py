"""Rates of exchange, from the daily bars of currencies that the ledger has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import cache
from typing import Final

import psycopg

from pipeline.fundamentals.candidates import Rates

_CLOSED: Final = timedelta(days=7)
"""How old the last close before a day may be: over a weekend with holidays."""

_CLOSES = """
SELECT before, close FROM market.consolidated_1d
WHERE instrument = %s AND ts >= %s AND ts < %s AND session_date <= %s AND close > 0 AND complete
ORDER BY ts DESC
"""


def stored_rates(connection: psycopg.Connection) -> Rates:
    """Return a function that looks rates up: the close of the day, or the last before it.

    Only a session that was over at the moment has closed.

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
    def closes(pair: str, on: date) -> Sequence[tuple[datetime, float]]:
        days = [on - _CLOSED, on + timedelta(days=1), on]
        return connection.execute(_CLOSES, [pair, *days]).fetchall()

    def close(pair: str, on: date, at: datetime) -> float | None:
        return next((price for before, price in closes(pair, on) if before <= at), None)

    def rate(one: str, other: str, on: date, at: datetime) -> float | None:
        if f"{one}-{other}" in pairs:
            return close(f"{one}-{other}", on, at)
        if f"{other}-{one}" in pairs:
            price = close(f"{other}-{one}", on, at)
            return None if price is None else 1 / price
        return None

    return rate
