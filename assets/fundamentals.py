"""`P/fundamentals` and `fundamentals/combined`: what providers say of companies and coins.

What belongs here: the factories, and turning what became of documents into Dagster's events. The
combination is worked out wherever a document is stored; that is also when it is told.
"""

# No `from __future__ import annotations`: Dagster reads the asset's annotations as they are.

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

import dagster as dg
import psycopg
from pydantic import Field

from assets import fundamentals_checks as checks
from assets import fundamentals_metadata as shown
from assets.checks import logged
from assets.columns import with_link
from assets.events import Problem, finish, log_made
from assets.metadata import Metadata
from pipeline.fundamentals.completeness import completeness
from pipeline.fundamentals.registry import registry
from pipeline.providers.errors import ProviderError
from pipeline.snapshots.history import recombine
from pipeline.snapshots.refreshing import NOT_ASKED, Refreshed, failures
from pipeline.store.comparisons import known_fields
from pipeline.store.consolidated_series import instruments_by_key
from pipeline.store.database import Database
from pipeline.store.document_states import DocumentState, document_states
from pipeline.store.fundamentals import combined_rows
from pipeline.store.session import LedgerSession
from pipeline.universe import Universe
from resources.downloads import DownloadsResource
from resources.ledger import LedgerResource
from resources.partitions import subject_partitions

FUNDAMENTALS = "fundamentals"
INSTRUMENTS_PER_RUN = 60
_BAD = ("failed", "unusable")
_COMBINED = dg.AssetKey([FUNDAMENTALS, "combined"])
_DESCRIPTION = (
    "What {provider} says of companies and coins, one partition an instrument: its documents as "
    "they came, and the values in them.\n\n"
    "Materializing asks for the documents whose time to live is over, so it costs nothing for what "
    "is fresh; `force: true` asks for all. A partition fails when a document was not properly "
    "answered. That the provider has none is an answer. What is combined of all providers "
    "(`fundamentals/combined`) is worked out in the same step."
)
_ABOUT_COMBINED = (
    "One value of each field of an instrument, and all that speaks for and against it: who says "
    "what, by which rule one of them won, how old that is and how far the others lie apart.\n\n"
    "Worked out whenever a document of any provider is stored, and told in the runs of "
    "`P/fundamentals`. Materialized by hand it is combined anew, and nobody is asked."
)


class RefreshConfig(dg.Config):
    """Options of a refresh."""

    force: bool = Field(
        default=False, description="Ask for all documents, also for those that are fresh."
    )


def fundamentals(provider: str, universe: Universe) -> dg.AssetsDefinition:
    """Make the asset of what a provider says."""
    key = dg.AssetKey([provider, FUNDAMENTALS])

    @dg.multi_asset(
        name=f"{provider}__{FUNDAMENTALS}",
        specs=[
            dg.AssetSpec(
                key,
                group_name=provider,
                kinds={"postgres", universe.client(provider)},
                owners=["team:market-data"],
                description=with_link(
                    _DESCRIPTION.format(provider=provider), universe.documentation(provider)
                ),
                metadata=shown.of_values(provider),
            )
        ],
        check_specs=checks.specs_of_provider(key),
        partitions_def=subject_partitions(provider),
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=INSTRUMENTS_PER_RUN),
        pool=provider,
    )
    def step(
        context: dg.AssetExecutionContext,
        config: RefreshConfig,
        ledger: LedgerResource,
        downloads: DownloadsResource,
    ) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]  # Dagster knows it bare only
        database, instruments = ledger.database(), list(context.partition_keys)
        try:
            refreshed = downloads.refresh(
                database, universe, provider, instruments, force=config.force
            )
        except ProviderError as error:
            raise dg.Failure(str(error), allow_retries=error.retryable) from error
        for text in failures(refreshed):
            context.log.warning("%s", text)
        with LedgerSession(database) as session:
            states = session.run(lambda c: document_states(c, provider, instruments))
            judged = session.run(lambda c: checks.of_provider(c, key))
            heard = {one.subject.instrument for one in refreshed if one.outcome in {"new", "same"}}
        done: dict[str, list[Refreshed]] = {name: [] for name in instruments}
        done |= _by_instrument(refreshed)
        problems = _problems(provider, states, done)
        bad = {problem.partition for problem in problems}
        made = {
            name: shown.of_documents(provider, states[name], done[name])
            for name in instruments
            if name not in bad
        }
        totals = shown.of_refresh(instruments, bad, refreshed)
        yield from finish(
            context,
            {key: made},
            totals,
            problems,
            judged,
            tell_what_follows=partial(_log_combined, context, database, sorted(heard)),
        )

    return step


def combined(universe: Universe) -> dg.AssetsDefinition:
    """Make the asset of what all providers' words make together."""
    upstream = [
        dg.AssetDep(
            dg.AssetKey([provider, FUNDAMENTALS]), partition_mapping=dg.AllPartitionMapping()
        )
        for provider in universe.fundamentals_providers
    ]

    @dg.multi_asset(
        name=f"{FUNDAMENTALS}__combined",
        specs=[
            dg.AssetSpec(
                _COMBINED,
                deps=upstream,
                group_name=FUNDAMENTALS,
                kinds={"postgres"},
                owners=["team:market-data"],
                description=_ABOUT_COMBINED,
                metadata=shown.of_fields(),
            )
        ],
        check_specs=checks.specs_of_combined(_COMBINED),
        partitions_def=subject_partitions(),
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=INSTRUMENTS_PER_RUN),
    )
    def step(
        context: dg.AssetExecutionContext, ledger: LedgerResource
    ) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]  # Dagster knows it bare only
        names = list(context.partition_keys)
        with LedgerSession(ledger.database()) as session:
            numbers = session.run(lambda c: instruments_by_key(c, names))
            now = ledger.now()
            changed = session.run(lambda c: recombine(c, registry(), list(numbers.values()), now))
            made = _comparisons(session, sorted(numbers), now)
            judged = session.run(lambda c: checks.of_combined(c, _COMBINED))
        problems = [
            Problem(name, _no_instrument(name), retryable=False)
            for name in names
            if name not in numbers
        ]
        totals: Metadata = {"changed_instruments": dg.MetadataValue.int(changed)}
        yield from finish(context, {_COMBINED: made}, totals, problems, judged)

    return step


def _log_combined(
    context: dg.AssetExecutionContext, database: Database, instruments: Sequence[str]
) -> None:
    """Log what a provider's run made of instruments, and how all of them are now."""
    if not instruments:
        return
    with LedgerSession(database) as session:
        made = _comparisons(session, instruments, database.clock.now())
        judged = session.run(lambda connection: checks.of_combined(connection, _COMBINED))
    log_made(context, {_COMBINED: made}, {})
    for check in judged:
        context.log_event(logged(check))


def _comparisons(
    session: LedgerSession, instruments: Sequence[str], now: datetime
) -> dict[str, Metadata]:
    def read(connection: psycopg.Connection) -> dict[str, Metadata]:
        complete = {
            name: completeness(registry(), asset_class, known)
            for name, asset_class, known in known_fields(connection, instruments)
        }
        return {
            name: shown.of_comparison(combined_rows(connection, name, now), complete.get(name))
            for name in instruments
        }

    return session.run(read)


def _by_instrument(refreshed: Sequence[Refreshed]) -> dict[str, list[Refreshed]]:
    found: dict[str, list[Refreshed]] = {}
    for one in refreshed:
        found.setdefault(one.subject.instrument, []).append(one)
    return found


def _problems(
    provider: str,
    states: Mapping[str, Sequence[DocumentState]],
    done: Mapping[str, Sequence[Refreshed]],
) -> list[Problem]:
    found = []
    for name, documents in states.items():
        bad = [one for one in done[name] if one.outcome in _BAD]
        if not documents:
            found.append(Problem(name, _no_subject(provider, name), retryable=False))
        elif bad:
            why = "; ".join(_reasons(bad))
            retryable = any(one.outcome == "failed" for one in bad)
            found.append(Problem(name, why, retryable=retryable))
    return found


def _reasons(bad: Sequence[Refreshed]) -> Iterator[str]:
    """Yield why documents are lacking, each reason once."""
    why: dict[str, list[str]] = {}
    for one in bad:
        why.setdefault((one.detail or "").removeprefix(NOT_ASKED), []).append(one.document)
    for detail, documents in why.items():
        yield f"{', '.join(documents)}: {detail}"


def _no_subject(provider: str, instrument: str) -> str:
    return (
        f"{provider} is not asked about {instrument}; name it in the universe file, under "
        f"instruments.{instrument}.fundamentals, or leave this partition alone"
    )


def _no_instrument(name: str) -> str:
    return (
        f"the ledger has no instrument {name}; add it to the universe file, or leave its "
        "partitions alone"
    )
