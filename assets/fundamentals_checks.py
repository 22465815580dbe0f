"""Asset checks of fundamentals: whether what is said can be used, is complete, and agrees.

Each looks at all instruments as they are now, and not only at those of a run: what is wrong stays
wrong until it is right.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
import psycopg

from assets.metadata import Metadata
from pipeline.fundamentals.completeness import completeness
from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.wording import said_by, spread_worded
from pipeline.store.comparisons import Doubt, disagreements, doubts, known_fields, refusals

USABLE, NOT_HELD = "values_are_usable", "no_value_is_held"
COMPLETE, AGREE = "complete", "providers_agree"
ENOUGH = 80.0
"""The score from which on an instrument counts as complete."""
_SHOWN = 20
_WARN, _ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
_LOOK_UP = "market.fundamentals_snapshots has the document, at the place that is named. "
_WHAT_TO_DO = {
    USABLE: _LOOK_UP + "If the vendor has changed how it writes the field, say since when in "
    "pipeline/fundamentals/fields.yaml and run `minuteledger snapshots reparse`; if it is wrong, "
    "other providers fill in.",
    NOT_HELD: _LOOK_UP + "The value before counts until another provider confirms the new one. If "
    "the vendor has changed the unit, say since when in pipeline/fundamentals/fields.yaml and run "
    "`minuteledger snapshots reparse`; if the value is right, `minuteledger snapshots accept`.",
    COMPLETE: "Ask another provider about the instrument (fundamentals: in the universe file), or "
    "look at the documents of those that are asked.",
    AGREE: "Compare the places and the period ends in market.fundamentals_fields; if providers "
    "mean different things, they are different fields of pipeline/fundamentals/fields.yaml.",
}


def specs_of_provider(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Return the definitions of the checks of a provider's asset."""
    return [
        dg.AssetCheckSpec(
            USABLE,
            asset=key,
            description="No value in the newest documents was refused, or is out of its bounds.",
        ),
        dg.AssetCheckSpec(
            NOT_HELD,
            asset=key,
            description="No field has suddenly changed its scale, as by a change of unit.",
        ),
    ]


def specs_of_combined(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Return the definitions of the checks of what is combined."""
    return [
        dg.AssetCheckSpec(
            COMPLETE,
            asset=key,
            description=f"Each instrument has {ENOUGH:g} % of the fields expected of its class.",
        ),
        dg.AssetCheckSpec(
            AGREE,
            asset=key,
            description="Providers agree about each field, within the field's tolerance.",
        ),
    ]


def of_provider(connection: psycopg.Connection, key: dg.AssetKey) -> list[dg.AssetCheckResult]:
    """Judge what a provider says now of all instruments."""
    provider = key.path[0]
    unusable = [*refusals(connection, provider), *doubts(connection, provider, "out of bounds")]
    held = doubts(connection, provider, "held")
    return [
        _result(key, USABLE, [_doubt(one) for one in unusable], "{} values cannot be used"),
        _result(key, NOT_HELD, [_doubt(one) for one in held], "{} values are held"),
    ]


def of_combined(connection: psycopg.Connection, key: dg.AssetKey) -> list[dg.AssetCheckResult]:
    """Judge what is known now of all instruments."""
    return [_complete(connection, key), _agree(connection, key)]


def _complete(connection: psycopg.Connection, key: dg.AssetKey) -> dg.AssetCheckResult:
    rows = [
        (instrument, found)
        for instrument, asset_class, known in known_fields(connection)
        if (found := completeness(registry(), asset_class, known)) is not None
    ]
    poor = sorted((found.score, name, found) for name, found in rows if found.score < ENOUGH)
    wrong = [
        {"instrument": name, "score": round(score, 1), "missing": list(found.missing)}
        for score, name, found in poor
    ]
    metadata: Metadata = {"instruments": dg.MetadataValue.int(len(rows))}
    if rows:
        scores = [found.score for _, found in rows]
        metadata["lowest_score"] = dg.MetadataValue.float(round(min(scores), 1))
        metadata["mean_score"] = dg.MetadataValue.float(round(sum(scores) / len(scores), 1))
    said = f"{{}} of {len(rows)} instruments lack too much"
    return _result(key, COMPLETE, wrong, said, metadata)


def _agree(connection: psycopg.Connection, key: dg.AssetKey) -> dg.AssetCheckResult:
    found = disagreements(connection)
    wrong: list[dict[str, object]] = [
        {
            "instrument": one.instrument,
            "field": one.field,
            "said": said_by(one.kind, one.candidates),
            "won": one.provider,
            "spread": spread_worded(one.kind, one.spread),
        }
        for one in found
    ]
    return _result(key, AGREE, wrong, "providers disagree about {} fields")


def _doubt(one: Doubt) -> dict[str, object]:
    return {
        "instrument": one.instrument,
        "field": one.field,
        "said": one.said,
        "why": one.why,
        "where": f"snapshot {one.snapshot}, {one.found_at}",
    }


def _result(
    key: dg.AssetKey,
    name: str,
    wrong: Sequence[dict[str, object]],
    said: str,
    metadata: Metadata | None = None,
) -> dg.AssetCheckResult:
    shown = {**(metadata or {}), "count": dg.MetadataValue.int(len(wrong))}
    if wrong:
        shown["wrong"] = dg.MetadataValue.json(list(wrong[:_SHOWN]))
        shown["what_to_do"] = dg.MetadataValue.text(_WHAT_TO_DO[name])
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=not wrong,
        severity=_ERROR if name == NOT_HELD else _WARN,
        description=said.format(len(wrong)) if wrong else None,
        metadata=shown,
    )
