"""One instrument's fundamentals: refreshed where that is due, and served as they are otherwise.

What belongs here: the order of the steps of one question by a person or a program. What is due is
`refreshing`'s, and what follows from the documents `fundamentals.combining`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from pipeline.fundamentals.combining import combine
from pipeline.fundamentals.known import Known
from pipeline.fundamentals.registry import registry
from pipeline.opening import open_asked
from pipeline.providers.errors import ProviderError
from pipeline.snapshots.refreshing import due, failures, refresh
from pipeline.store.database import Database
from pipeline.store.fundamentals import Row, combined_rows, newest_moment, write_combined
from pipeline.store.rates import stored_rates
from pipeline.store.recombinations import strategies
from pipeline.store.session import LedgerSession
from pipeline.store.statements import known
from pipeline.store.subjects import Subject, subjects
from pipeline.universe import Universe


class UnknownInstrument(LookupError):
    """Nobody is asked about this instrument; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Got:
    """What was got.

    Attributes:
        rows: A row for each field, with the columns of `market.fundamentals_fields`.
        troubles: Why providers could not be asked, in words; what they said before is served.
    """

    rows: Sequence[Row]
    troubles: Sequence[str]


def get_fundamentals(
    database: Database,
    universe: Universe,
    symbol: str,
    providers: Collection[str] | None = None,
    *,
    force_refresh: bool = False,
    ask: bool = True,
) -> Got:
    """Return the fundamentals of an instrument, after asking for the documents that are due.

    Args:
        database: The ledger.
        universe: The universe.
        symbol: The instrument's key.
        providers: Combine only what these say, and ask no others; None for all. What only some say
            is combined for this answer alone and not stored.
        force_refresh: Whether to ask for all documents, due or not.
        ask: Whether to ask at all; if not, what is stored is served.

    Raises:
        UnknownInstrument: The universe asks nobody about it, or not these providers.
        psycopg.Error, DatabaseError: The ledger cannot be read or written.
    """
    troubles: list[str] = []
    with LedgerSession(database) as session:
        asked = _asked(session.run(lambda c: subjects(c, None, [symbol])), symbol, providers)
        now = datetime.now(UTC)
        wanted = session.run(lambda c: due(c, asked, now, force=force_refresh)) if ask else []
        for subject in dict.fromkeys(one.subject for one in wanted):
            troubles += _refresh(session, database, universe, subject, force=force_refresh)
        if providers is None:
            rows = session.run(lambda c: combined_rows(c, symbol, datetime.now(UTC)))
        else:
            rows = session.run(lambda c: _of_some(c, asked))
    return Got(rows, troubles)


def _asked(
    found: Sequence[Subject], symbol: str, providers: Collection[str] | None
) -> Sequence[Subject]:
    names = [subject.provider for subject in found]
    if not found:
        raise UnknownInstrument(
            f"no provider is asked about {symbol!r}; give it `fundamentals:` in the universe file "
            "and run `minuteledger migrate`"
        )
    if providers is None:
        return found
    if unknown := sorted(set(providers) - set(names)):
        raise UnknownInstrument(
            f"{', '.join(unknown)} is not asked about {symbol}; these are: {', '.join(names)}"
        )
    return [subject for subject in found if subject.provider in providers]


def _refresh(
    session: LedgerSession,
    database: Database,
    universe: Universe,
    subject: Subject,
    *,
    force: bool,
) -> list[str]:
    try:
        with open_asked(universe, subject.provider, database) as client:
            done = refresh(session, client, [subject], force=force)
    except ProviderError as error:
        return [str(error)]
    return list(failures(done))


def _of_some(connection: psycopg.Connection, asked: Sequence[Subject]) -> Sequence[Row]:
    """Combine what some providers say, read it, and leave the ledger as it was."""
    instrument = asked[0].instrument_id
    now = datetime.now(UTC)
    now = max(now, newest_moment(connection, [instrument]) or now)
    everything = known(connection, [instrument], now)[instrument]
    names = {subject.provider for subject in asked}
    statements = everything.statements.items()
    some = Known({kind: one for kind, one in statements if one.provider in names})
    rates, strategy = stored_rates(connection), strategies(connection).at(now)
    found = combine(registry(), some.said(registry(), now), now, rates=rates, strategy=strategy)
    rows: Sequence[Row] = ()
    with connection.transaction():
        write_combined(connection, registry(), {instrument: found}, now)
        rows = combined_rows(connection, asked[0].instrument, now)
        raise psycopg.Rollback
    return rows
