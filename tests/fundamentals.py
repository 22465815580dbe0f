"""Made-up words of providers about companies, for tests of what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg

from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.values import Parsed, Value
from pipeline.snapshots.history import catch_up, follow
from pipeline.snapshots.refreshing import read
from pipeline.store.database import Database
from pipeline.store.listings import sync_universe
from pipeline.store.snapshots import Fetched, Outcome, keep
from pipeline.store.subjects import Subject, subjects
from pipeline.universe import Universe

WHERE = {
    ("fmp", "statements"): "income-statement",
    ("fmp", "ratios"): "ratios-ttm",
    ("yahoo", "statements"): "fundamentals-timeseries",
    ("yahoo", "ratios"): "quoteSummary",
    ("alpha_vantage", "statements"): "INCOME_STATEMENT",
    ("alpha_vantage", "ratios"): "OVERVIEW",
}
"""A document of each client, by what kind of field it holds."""

YEAR_END = date(2024, 9, 28)


def universe(
    *providers: str,
    instruments: Sequence[str] = ("AAPL",),
    symbols: dict[str, str] | None = None,
    **options: Any,
) -> Universe:
    """Return a universe in which providers are asked about companies, by their keys or symbols."""
    document = {
        "start": "2020-01-01",
        "providers": {name: {} for name in providers},
        "instruments": {
            key: {
                "class": "equity",
                "fundamentals": dict.fromkeys(providers, key) | (symbols or {}),
            }
            for key in instruments
        },
        **options,
    }
    return Universe.model_validate(document)


def said(
    field: str,
    value: float | str | date,
    *,
    period_end: date | None = YEAR_END,
    currency: str | None = "USD",
    filed_at: datetime | None = None,
) -> Value:
    """Return a value of a field, in the period and with the currency that such a field has."""
    known = registry().fields[field]
    return Value(
        field=field,
        value=value,
        currency=currency if known.kind in ("amount", "per_share") else None,
        period=known.period,
        period_end=period_end if known.period == "annual" else None,
        filed_at=filed_at,
        found_at=f"{field} of the document",
    )


@dataclass
class Desk:
    """A ledger in which providers' words are put, and what is combined of them is read."""

    connection: psycopg.Connection

    @classmethod
    def of(cls, database: Database, about: Universe) -> Desk:
        connection = database.connect()
        sync_universe(connection, about)
        connection.commit()
        connection.autocommit = True
        return cls(connection)

    def ask(self, about: Universe) -> datetime:
        """Take over a universe as it is served, and return when nothing newer has come yet."""
        sync_universe(self.connection, about)
        catch_up(self.connection, registry())
        return datetime.now(UTC)

    def rework(self, since: datetime) -> None:
        """Work out the past anew, as an import does, or a fix of what was read."""
        for (number,) in self.rows("SELECT DISTINCT instrument_id FROM ledger.subject"):
            with self.connection.transaction():
                follow(self.connection, registry(), number, since)

    def subject(self, provider: str, instrument: str = "AAPL") -> Subject:
        (found,) = subjects(self.connection, provider, [instrument])
        return found

    def hear(
        self,
        provider: str,
        at: datetime,
        *values: Value,
        instrument: str = "AAPL",
        unusable: str | None = None,
    ) -> Outcome:
        """Store what a provider says, each kind of field in a document of its own."""
        subject = self.subject(provider, instrument)
        outcome: Outcome = "new"
        with self.connection.transaction():
            for document, of_it in _documents(provider, values).items():
                payload = repr(of_it)
                parsed = Parsed(() if unusable else of_it)
                fetched = Fetched(document, payload, at, parsed, unusable)
                outcome, _ = keep(self.connection, subject, fetched, "test")
            follow(self.connection, registry(), subject.instrument_id, at)
        return outcome

    def receive(self, moment: datetime, document: str, payload: str, instrument: str) -> None:
        """Store a document of FMP's as a refresh does."""
        subject = self.subject("fmp", instrument)
        with self.connection.transaction():
            fetched = read(subject, document, payload, moment)
            keep(self.connection, subject, fetched, registry().version)
            follow(self.connection, registry(), subject.instrument_id, moment)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), values).fetchall()

    def combined(self, at: datetime | None = None) -> Mapping[str, Mapping[str, Any]]:
        """Return what is combined by field, as it was known at a moment (None: now)."""
        cursor = self.connection.execute(
            "SELECT * FROM market.fundamentals_asof(coalesce(%s, now()))", [at]
        )
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor]
        return {row["field"]: row for row in rows}

    def history(self) -> list[tuple[Any, ...]]:
        """Return all that was ever combined, but not which of equal documents said so first."""
        return self.rows(
            "SELECT instrument_id, field, since, before, number, words, day, currency, period_end,"
            " provider, rule, state, spread, stands_in,"
            " (SELECT jsonb_agg(c - 'snapshot' - 'fetched_at')"
            "  FROM jsonb_array_elements(candidates) c)"
            " FROM ledger.fundamental ORDER BY 1, 2, 3"
        )


def _documents(provider: str, values: Sequence[Value]) -> Mapping[str, Sequence[Value]]:
    found: dict[str, list[Value]] = {}
    for value in values:
        kind = "statements" if value.period == "annual" else "ratios"
        found.setdefault(WHERE[provider, kind], []).append(value)
    return found


DAY = timedelta(days=1)
