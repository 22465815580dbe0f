"""Taking a provider's market list: asking for it, and keeping it in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.asking import Asking, Patience
from pipeline.market_lists import Change
from pipeline.opening import open_listed
from pipeline.providers.protocol import Market
from pipeline.providers.table import CAPABILITIES
from pipeline.store.database import Database
from pipeline.store.markets import keep_list
from pipeline.store.session import LedgerSession
from pipeline.universe import Universe


@dataclass(frozen=True, slots=True)
class TakenList:
    """A market list that was taken.

    Attributes:
        markets: All that it has.
        changes: What is new since the one before.
        requests: HTTP requests sent.
    """

    markets: Sequence[Market]
    changes: Sequence[Change]
    requests: int


def has_list(universe: Universe, provider: str) -> bool:
    """Whether a provider of the universe has a market list, by the capability table."""
    row = CAPABILITIES.get(universe.source(provider))
    return row is None or row.has_list


def take_list(
    universe: Universe,
    provider: str,
    database: Database,
    *,
    patience: Patience | None = None,
    accept_short: bool = False,
) -> TakenList:
    """Ask a provider for its whole market list, of all asset classes, and keep it.

    Args:
        universe: The universe.
        provider: The provider's name in it.
        database: The ledger.
        patience: How often to ask.
        accept_short: Believe the list however short it is.

    Raises:
        ProviderError: It could not be had, or there is no such client.
        SuspiciousList: It cannot be whole; nothing is changed.
        DatabaseError: The ledger cannot be reached.
    """
    with open_listed(universe, provider, database, everything=True) as client:
        asking = Asking(client, patience or Patience())
        try:
            markets = asking.insist(client.markets)
        finally:
            asking.close()
        requests = client.requests_sent
    now = datetime.now(UTC)
    with LedgerSession(database) as session:
        found = session.run(
            lambda c: keep_list(c, provider, markets, now, accept_short=accept_short)
        )
    return TakenList(markets, found, requests)
