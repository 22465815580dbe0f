"""`P/deep_check`: how often a provider changes what is settled, measured.

What belongs here: the factory, and what Dagster's pages show of a check. What is drawn and compared
is `pipeline.deep_check`'s business.
"""

# No `from __future__ import annotations`: Dagster reads the asset's annotations as they are.

from datetime import UTC, date, datetime

import dagster as dg
from pydantic import Field

from assets.columns import of_view
from pipeline.deep_check import Findings
from pipeline.providers.errors import ProviderError
from pipeline.settings import Settings
from pipeline.store.pauses import pause_of
from pipeline.store.samples import ErrorRate, error_rates
from pipeline.universe import Universe
from resources.downloads import DownloadsResource
from resources.ledger import LedgerResource

SETTLED_STAYS = "settled_minutes_stay"
_SHOWN = 20
_DESCRIPTION = (
    "How often {provider} changes what is settled, measured.\n\n"
    "Materializing draws settled minutes of any age at random, asks for them again and compares "
    "each with what is stored. Another value is stored as a revision, the old one beside it; a bar "
    "that does not come any more stays, and is told; an answer that contradicts too much is "
    "refused whole. It is asked nothing while it wants peace, and at most half of a day's budget "
    "is touched."
)
_QUERIES = """
SELECT * FROM market.error_rates WHERE provider = '{provider}';
SELECT * FROM market.deep_checks WHERE provider = '{provider}' ORDER BY at DESC;
SELECT * FROM market.revisions WHERE provider = '{provider}' ORDER BY revision DESC;
"""


class DeepCheckConfig(dg.Config):
    """Options of a check."""

    requests: int | None = Field(
        default=None, gt=0, description="Most requests; by default what the settings allow a day."
    )
    day: str | None = Field(
        default=None,
        description="The day (2026-01-31) whose sample is drawn, to repeat it; by default today.",
    )


def deep_check(provider: str, universe: Universe, settings: Settings) -> dg.AssetsDefinition:
    """Make the asset of a provider's deep checks."""
    key = dg.AssetKey([provider, "deep_check"])

    @dg.asset(
        key=key,
        group_name=provider,
        kinds={"postgres", universe.client(provider)},
        owners=["team:market-data"],
        description=_DESCRIPTION.format(provider=provider),
        metadata=of_view("deep_checks", _QUERIES.format(provider=provider)),
        check_specs=[
            dg.AssetCheckSpec(
                SETTLED_STAYS,
                asset=key,
                description="No settled bar has vanished, and no answer about settled minutes was "
                "refused whole.",
            )
        ],
        pool=provider,
    )
    def asset(
        context: dg.AssetExecutionContext,
        config: DeepCheckConfig,
        ledger: LedgerResource,
        downloads: DownloadsResource,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows it bare only
        database = ledger.database()
        with database.connect() as connection:
            pause = pause_of(connection, provider)
        if pause is not None:
            context.log.info("nothing was asked: %s", pause)
            findings = Findings()
        else:
            day = date.fromisoformat(config.day) if config.day else datetime.now(UTC).date()
            try:
                findings = downloads.deep_check(
                    database, universe, provider, settings, day=day, requests=config.requests
                )
            except ProviderError as error:
                raise dg.Failure(str(error), allow_retries=error.retryable) from error
        with database.connect() as connection:
            rates = error_rates(connection, provider)
        return dg.MaterializeResult(
            metadata=_metadata(findings) | _rate(rates[0] if rates else None),
            check_results=[_stays(key, findings)],
        )

    return asset


def _metadata(findings: Findings) -> dict[str, dg.MetadataValue]:
    counts = {
        "ranges": findings.ranges,
        "unanswered_ranges": len(findings.unanswered),
        "minutes_compared": findings.minutes,
        "minutes_differing": sum(one.differing for one in findings.differences.values()),
        "minutes_appeared": sum(one.appeared for one in findings.differences.values()),
        "minutes_vanished": sum(one.vanished for one in findings.differences.values()),
        "refused_answers": findings.refused,
        "requests": findings.requests,
    }
    found: dict[str, dg.MetadataValue] = {
        name: dg.MetadataValue.int(count) for name, count in counts.items()
    }
    if findings.differences:
        found["differences"] = dg.MetadataValue.md(_table(findings))
    if findings.unanswered:
        shown = dict(list(findings.unanswered.items())[:_SHOWN])
        found["unanswered"] = dg.MetadataValue.json(shown)
    return found


def _rate(rate: ErrorRate | None) -> dict[str, dg.MetadataValue]:
    """Return the rate over the last checks, for a million minutes: small numbers plot badly."""
    if rate is None:
        return {}
    of_a_million = {
        "errors_per_million": rate.error_rate,
        "errors_per_million_at_least": rate.at_least,
        "errors_per_million_at_most": rate.at_most,
    }
    return {name: dg.MetadataValue.float(each * 1e6) for name, each in of_a_million.items()}


def _table(findings: Findings) -> str:
    worst = sorted(
        findings.differences.items(),
        key=lambda item: -(item[1].differing + item[1].appeared + item[1].vanished),
    )
    lines = [
        f"| {name} | {one.differing} | {one.appeared} | {one.vanished} |"
        for name, one in worst[:_SHOWN]
    ]
    return "\n".join(["| range | differ | appeared | vanished |", "|---|---|---|---|", *lines])


def _stays(key: dg.AssetKey, findings: Findings) -> dg.AssetCheckResult:
    vanished = sum(one.vanished for one in findings.differences.values())
    wrong = [
        *([f"{vanished} settled bars did not come any more"] if vanished else []),
        *([f"{findings.refused} answers were refused whole"] if findings.refused else []),
    ]
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=SETTLED_STAYS,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(wrong) or None,
        metadata={
            "minutes_vanished": dg.MetadataValue.int(vanished),
            "refused_answers": dg.MetadataValue.int(findings.refused),
        },
    )
