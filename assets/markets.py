"""`P/markets`: each provider's current market list, and what is new in it.

What belongs here: the factory, and what Dagster's pages show of a list.
"""

# No `from __future__ import annotations`: Dagster reads the asset's annotations as they are.

from collections import Counter
from collections.abc import Sequence

import dagster as dg
from pydantic import Field

from assets.columns import of_view, with_link
from pipeline.market_lists import Change, SuspiciousList
from pipeline.providers.errors import ProviderError
from pipeline.store.database import Database
from pipeline.store.markets import listing_states, market_index
from pipeline.store.session import LedgerSession
from pipeline.symbols.listings import ListingState
from pipeline.taking import TakenList
from pipeline.universe import Universe
from resources.downloads import DownloadsResource
from resources.ledger import LedgerResource

STILL_LISTED = "listings_are_listed"
_SHOWN = 20
_KINDS = ("new", "returned", "vanished", "renamed", "replaced")
_DESCRIPTION = (
    "The market list of {provider}: all that it has now, and all that it ever had.\n\n"
    "Materializing asks for the list and compares it with the one before. A list that failed, or "
    "that has less than half of the markets of the one before, is refused whole: no market counts "
    "as vanished because of it."
)
_QUERIES = """
SELECT * FROM market.markets WHERE provider = '{provider}' AND vanished_at IS NULL;
SELECT * FROM market.market_changes WHERE provider = '{provider}' ORDER BY at DESC;
"""


class ListConfig(dg.Config):
    """Options of a list."""

    accept_short: bool = Field(
        default=False,
        description="Believe the list however short it is: what it lacks has vanished.",
    )


def markets(provider: str, universe: Universe) -> dg.AssetsDefinition:
    """Make the asset of a provider's market list."""
    key = dg.AssetKey([provider, "markets"])

    @dg.asset(
        key=key,
        group_name=provider,
        kinds={"postgres", universe.client(provider)},
        owners=["team:market-data"],
        description=with_link(
            _DESCRIPTION.format(provider=provider), universe.documentation(provider)
        ),
        metadata=of_view("markets", _QUERIES.format(provider=provider)),
        check_specs=[
            dg.AssetCheckSpec(
                STILL_LISTED,
                asset=key,
                description="Each listing of the universe is in the provider's list, trades, and "
                "has not given its symbol to another market.",
            )
        ],
        pool=provider,
    )
    def asset(
        context: dg.AssetExecutionContext,
        config: ListConfig,
        ledger: LedgerResource,
        downloads: DownloadsResource,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows it bare only
        database = ledger.database()
        try:
            taken = downloads.take_list(
                database, universe, provider, accept_short=config.accept_short
            )
        except ProviderError as error:
            raise dg.Failure(str(error), allow_retries=error.retryable) from error
        except SuspiciousList as error:
            raise dg.Failure(
                f"{provider}: {error}; nothing is changed. If it is right, materialize again with "
                "accept_short: true",
                allow_retries=False,
            ) from error
        for change in taken.changes:
            context.log.info("%s %s: %s", change.kind, change.market.symbol, change.evidence or "-")
        check = _still_listed(key, _states(database, universe, provider))
        return dg.MaterializeResult(metadata=_metadata(taken), check_results=[check])

    return asset


def _states(database: Database, universe: Universe, provider: str) -> Sequence[ListingState]:
    with LedgerSession(database) as session:
        index = session.run(lambda c: market_index(c, [provider]))
        return session.run(lambda c: listing_states(c, universe, provider, index))


def _metadata(taken: TakenList) -> dict[str, dg.MetadataValue]:
    classes = Counter(market.asset_class for market in taken.markets)
    kinds: Counter[str] = Counter(change.kind for change in taken.changes)
    found: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.MetadataValue.int(len(taken.markets)),
        "requests": dg.MetadataValue.int(taken.requests),
        "inactive": dg.MetadataValue.int(sum(one.active is False for one in taken.markets)),
        **{name: dg.MetadataValue.int(count) for name, count in sorted(classes.items())},
        **{kind: dg.MetadataValue.int(kinds[kind]) for kind in _KINDS},
    }
    if taken.changes:
        found["changes"] = dg.MetadataValue.md(_change_table(taken.changes))
    return found


def _change_table(changes: Sequence[Change]) -> str:
    """Return the changes as Markdown, those first that concern what was there before."""
    ordered = sorted(changes, key=lambda change: change.kind == "new")
    lines = [
        f"| {change.kind} | {change.market.symbol} | {change.old_symbol or ''} "
        f"| {change.market.asset_class} | {change.market.key} | {change.evidence} |"
        for change in ordered[:_SHOWN]
    ]
    more = [f"\nand {len(changes) - _SHOWN} more in `market.market_changes`"]
    return "\n".join(
        [
            "| change | symbol | was | class | instrument | evidence |",
            "|---|---|---|---|---|---|",
            *lines,
            *(more if len(changes) > _SHOWN else []),
        ]
    )


def _still_listed(key: dg.AssetKey, states: Sequence[ListingState]) -> dg.AssetCheckResult:
    wrong = [state for state in states if not state.fine]
    metadata: dict[str, dg.MetadataValue] = {"listings": dg.MetadataValue.int(len(states))}
    if wrong:
        metadata["wrong"] = dg.MetadataValue.json(
            [
                {"listing": one.listing, "symbol": one.symbol, "state": one.state, "why": one.text}
                for one in wrong[:_SHOWN]
            ]
        )
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=STILL_LISTED,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(wrong)} of {len(states)} listings need a look" if wrong else None,
        metadata=metadata,
    )
