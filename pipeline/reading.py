"""The ledger for analysts: bars, gaps and coverage as pandas DataFrames, or as Arrow tables.

    from pipeline.reading import connect

    with connect() as ledger:
        hours = ledger.bars("BTC-USD", "1h", provider="bitfinex", limit=1000)

What belongs here: what a caller may ask for, and the form of the answer. The statements are in
`pipeline.store.views`; a login that has the role `analyst` and no other right can do all of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import pyarrow as pa

from pipeline.settings import load_settings
from pipeline.store.arrow import ArrowReader
from pipeline.store.catalog import Catalog
from pipeline.store.database import Database
from pipeline.store.series import (
    AmbiguousListing,
    ReadingError,
    UnknownListing,
    UnknownTimeframe,
)
from pipeline.store.views import MarketReader

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AmbiguousListing",
    "Ledger",
    "ReadingError",
    "UnknownListing",
    "UnknownTimeframe",
    "connect",
    "get_fundamentals",
]

Form = TypeVar("Form")


def connect(url: str | None = None) -> Ledger[pd.DataFrame]:
    """Open a ledger for reading.

    Args:
        url: A `postgresql://` URL of it; None: the one of the settings (`MINUTELEDGER_HOME`,
            `MINUTELEDGER_DATABASE_URL`, `.env`), whose embedded server is started if it is down.

    Returns:
        The ledger; close it, or use it in a `with` statement.

    Raises:
        SettingsError: The URL, or a setting, cannot be used.
        DatabaseError, ServerError: There is no ledger yet, or its server cannot be started.
    """
    settings = load_settings() if url is None else load_settings(database_url=url)
    return Ledger(ArrowReader(Database.existing(settings)), to_pandas)


class Ledger(Generic[Form]):
    """A ledger to read from; use it in one thread at a time.

    Times are UTC. A range is half-open, `[since, before)`; its bounds are aware datetimes, and None
    is no bound. All methods raise, besides what they say:

    - ValueError: A time is naive, `since` is after `before`, or a limit is not positive.
    - psycopg.OperationalError: The server cannot be reached; asking again may help.
    - psycopg.ProgrammingError: It refuses, for want of a right or because it is of another release.
    """

    def __init__(self, arrow: ArrowReader, form: Callable[[pa.Table], Form]) -> None:
        self._arrow = arrow
        self._catalog, self._reader = Catalog(arrow), MarketReader(arrow)
        self._form = form

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def arrow(self) -> Ledger[Any]:
        """The same ledger, on the same connection, that answers with `pyarrow.Table`."""
        return Ledger(self._arrow, lambda table: table)

    def bars(
        self,
        listing: str,
        timeframe: str = "1m",
        *,
        provider: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        limit: int | None = None,
    ) -> Form:
        """Return the bars of a listing that begin in `[since, before)`, in order of time.

        Args:
            listing: Name of the listing, such as `BTC-USD`.
            timeframe: `1m`, or one that is built: `5m`, `1h`, `1d` ...
            provider: The provider; needed when several have the listing. `consolidated`: the one
                series of the instrument of that name, from all its listings.
            since: The first moment.
            before: The first moment that is not wanted any more.
            limit: Most bars: the oldest from `since` on, or without `since` the newest.

        Returns:
            Rows of `market.bars_1m`, `market.bars_1h` ..., without provider, listing and symbol; or
            of `market.consolidated_1m` ..., with the provider whose bar it is.

        Raises:
            UnknownListing, AmbiguousListing, UnknownTimeframe: There are none, or several; the
                message names what there is.
        """
        _check(since, before)
        if limit is not None and limit < 1:
            raise ValueError(f"limit is {limit}; give a positive number of bars, or None for all")
        with self._arrow.snapshot():
            series = self._catalog.series(provider, listing, timeframe)
            tables = list(self._reader.bars(series, since, before, limit))
        return self._form(pa.concat_tables([series.schema.empty_table(), *tables]))

    def gaps(
        self,
        listing: str | None = None,
        *,
        provider: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> Form:
        """Return the gaps that touch `[since, before)`: which minutes have no bar, and why.

        Args:
            listing: Name of the listing; None: all.
            provider: The provider; None: all.
            since: The first moment.
            before: The first moment that is not wanted any more.

        Returns:
            Rows of `market.gaps`, by provider, listing and time.

        Raises:
            UnknownListing: There is no such listing; the message names what there is.
        """
        self._check_names(provider, listing, since, before)
        return self._form(self._reader.gaps(provider, listing, since, before))

    def coverage(
        self,
        listing: str | None = None,
        *,
        provider: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> Form:
        """Return what became of the expected minutes in each month that touches `[since, before)`.

        Args:
            listing: Name of the listing; None: all.
            provider: The provider; None: all.
            since: The first moment.
            before: The first moment that is not wanted any more.

        Returns:
            Rows of `market.coverage`, by provider, listing and month; numbers of minutes.

        Raises:
            UnknownListing: There is no such listing; the message names what there is.
        """
        self._check_names(provider, listing, since, before)
        return self._form(self._reader.coverage(provider, listing, since, before))

    def fundamentals(self, instrument: str | None = None, *, at: datetime | None = None) -> Form:
        """Return combined fundamentals as they were known at a moment.

        Args:
            instrument: Name of the instrument; None: all.
            at: The moment; None: now.

        Returns:
            Rows of `market.fundamentals_fields`, by instrument and field; none where nothing is
            known. What the others say is JSON in `candidates`.
        """
        _check(at, None)
        return self._form(self._reader.fundamentals(instrument, at))

    def close(self) -> None:
        """Close the connection."""
        self._arrow.close()

    def _check_names(
        self,
        provider: str | None,
        listing: str | None,
        since: datetime | None,
        before: datetime | None,
    ) -> None:
        _check(since, before)
        if listing is not None or provider is not None:
            self._catalog.known(provider, listing)


def get_fundamentals(
    symbol: str,
    providers: Collection[str] | None = None,
    force_refresh: bool = False,  # noqa: FBT001, FBT002  the call that people know
    *,
    url: str | None = None,
) -> pd.DataFrame:
    """Return the fundamentals of an instrument, after asking for the documents that are due.

    A document is due when its time to live is over, or when a date of earnings has passed since it
    was answered. What cannot be refreshed is served as it is, and marked `stale` in time; why is
    told as a warning. To read without asking anybody, use `Ledger.fundamentals`.

    Args:
        symbol: The instrument's key, such as `AAPL`.
        providers: Combine only what these say, and ask no others; None for all.
        force_refresh: Whether to ask for all documents, due or not.
        url: As for `connect`; the login must own the ledger, because what comes is stored.

    Returns:
        A row for each field, with the columns of `market.fundamentals_fields`.

    Raises:
        UnknownInstrument: The universe asks nobody about it, or not these providers.
        SettingsError, UniverseError, DatabaseError: As for `connect`, and the universe file.
    """
    import pandas as pd

    from pipeline.snapshots.getting import get_fundamentals as get
    from pipeline.universe import load_universe

    settings = load_settings() if url is None else load_settings(database_url=url)
    universe = load_universe(settings.universe_path)
    database = Database.existing(settings)
    got = get(database, universe, symbol, providers, force_refresh=force_refresh)
    for trouble in got.troubles:
        warnings.warn(trouble, stacklevel=2)
    return pd.DataFrame(got.rows)


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as a DataFrame.

    Times are `datetime64[us, UTC]`, dates `datetime64`, and whole numbers pandas' nullable ones;
    what is missing is NaN, NaT or NA, and never zero.
    """
    import pandas as pd

    whole = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}
    frame: pd.DataFrame = table.to_pandas(
        types_mapper=whole.get, date_as_object=False, split_blocks=True
    )
    return frame


def _check(since: datetime | None, before: datetime | None) -> None:
    for name, moment in (("since", since), ("before", before)):
        if moment is None:
            continue
        if not isinstance(moment, datetime):
            raise ValueError(  # noqa: TRY004 - one class for all that is wrong with a time
                f"{name} is {moment!r}, which is no datetime; {_AWARE}"
            )
        if moment.tzinfo is None:
            raise ValueError(f"{name} is {moment!r}, which says no time zone; {_AWARE}")
    if since is not None and before is not None and since > before:
        raise ValueError(f"since {since.isoformat()} is after before {before.isoformat()}")


_AWARE = "give an aware one, as in datetime(2024, 1, 31, tzinfo=UTC)"
