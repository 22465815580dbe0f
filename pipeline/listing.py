"""A listing as the ledger knows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.intervals import Interval, floor_minute

FIRST_TRADE_RECHECK = timedelta(days=7)
"""How long "the first trade could not be found" is believed."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One instrument at one provider: the unit of download.

    Attributes:
        id: The ledger's number for it.
        provider: Name of the provider in the universe.
        key: Name among its provider's listings; also its Dagster partition key.
        symbol: The provider's symbol.
        asset_class: `crypto_spot`, `crypto_swap` ...
        starts_at: First minute wanted, UTC.
        ends_at: First minute no longer wanted, UTC; None while there is no end.
        first_trade: First minute the provider has, UTC; None while it is not known.
        first_trade_checked_at: When the provider was last asked for that; None for never.
        in_universe: Whether the universe file still names it.
        standby: None: everything is wanted of it; else its turn among its instrument's standbys.
    """

    id: int
    provider: str
    key: str
    symbol: str
    asset_class: str
    starts_at: datetime
    ends_at: datetime | None
    first_trade: datetime | None
    first_trade_checked_at: datetime | None
    in_universe: bool
    standby: int | None = None

    def first_trade_due(self, now: datetime) -> bool:
        """Return whether it is time to ask the provider for the first trade."""
        if self.first_trade is not None:
            return False
        checked = self.first_trade_checked_at
        return checked is None or now - checked >= FIRST_TRADE_RECHECK

    def ended(self, now: datetime) -> bool:
        """Return whether nothing that is still to come is wanted of it."""
        return self.ends_at is not None and self.ends_at <= now

    def wanted(self, month: Interval, now: datetime, lag: timedelta) -> Interval | None:
        """Return the minutes of `month` to have by now: in the listing's life, and final.

        A minute is final once it has ended and the provider's lag has passed: `ts + 1 minute + lag
        <= now`. That is a matter of the clock and never of which bar came last.
        """
        start = max(self.starts_at, self.first_trade or self.starts_at)
        end = floor_minute(now - lag)
        if self.ends_at is not None:
            end = min(end, self.ends_at)
        return month.intersection(Interval(start, end)) if start < end else None
