"""Dagster's GraphQL API, as far as we use it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from pipeline.orchestration import graphql
from pipeline.orchestration.errors import OrchestrationError

AssetKey = tuple[str, ...]

HEARTBEAT_SECONDS = 90.0
"""A daemon that has shown no sign of life for so long is not there."""
_TIMEOUT = 120.0
_PAGE = 500
_AT_WORK = ["STARTING", "STARTED"]
_UNDER_WAY = [*_AT_WORK, "CANCELING"]
_ENDED = {"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"}


@dataclass(frozen=True, slots=True)
class Location:
    """A code location: our definitions, as Dagster has loaded them."""

    name: str
    loading: bool
    error: str | None
    repository: str | None

    def sensor(self, name: str) -> dict[str, str | None]:
        """Return what GraphQL knows one of its sensors by."""
        return {
            "repositoryName": self.repository,
            "repositoryLocationName": self.name,
            "sensorName": name,
        }


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset that can be materialized; `listings` names its dynamic partitions, if any."""

    key: AssetKey
    listings: str | None


@dataclass(frozen=True, slots=True)
class Backfill:
    """The state of a backfill."""

    status: str
    error: str | None

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status in _ENDED


class DagsterApi:
    """One running webserver.

    Args:
        url: Where it is.
        timeout: How many seconds an answer may take.

    Raises (every method):
        OrchestrationError: It cannot be reached, or says no.
    """

    def __init__(self, url: str, timeout: float = _TIMEOUT) -> None:
        self.url = url
        self._timeout = timeout
        self._http = requests.Session()
        # Whatever proxy is configured is not for a server of our own machine.
        self._http.trust_env = False

    def answers(self) -> bool:
        """Return whether the webserver is there."""
        try:
            return bool(self._http.get(f"{self.url}/server_info", timeout=min(5, self._timeout)).ok)
        except requests.RequestException:
            return False

    def locations(self) -> list[Location]:
        """Return the code locations of the workspace."""
        workspace = _good(self._ask(graphql.LOCATIONS)["workspaceOrError"])
        return [_location(entry) for entry in workspace["locationEntries"]]

    def reload(self, location: str) -> None:
        """Load a code location's definitions anew."""
        answer = _good(self._ask(graphql.RELOAD, name=location)["reloadRepositoryLocation"])
        _good(answer.get("locationOrLoadError") or {})

    def heartbeats(self) -> dict[str, float]:
        """Return the last sign of life of each daemon that is required; 0 for none yet."""
        health = self._ask(graphql.DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
        return {
            each["daemonType"]: each["lastHeartbeatTime"] or 0.0
            for each in health
            if each["required"]
        }

    def silent_daemons(self) -> list[str]:
        """Return the required daemons that have shown no sign of life for a minute and a half."""
        late = time.time() - HEARTBEAT_SECONDS
        return [name.lower() for name, at in self.heartbeats().items() if at < late]

    def assets(self) -> list[Asset]:
        """Return all assets that can be materialized."""
        nodes = self._ask(graphql.ASSETS)["assetNodes"]
        return [_asset(node) for node in nodes if node["isMaterializable"]]

    def partition_keys(self, asset: Asset) -> set[str]:
        """Return the keys of both dimensions, listings and months, of an asset."""
        node = _good(self._ask(graphql.DIMENSIONS, key={"path": asset.key})["assetNodeOrError"])
        return {key for each in node["partitionKeysByDimension"] for key in each["partitionKeys"]}

    def tick(self, sensor: str, location: Location) -> str:
        """Evaluate a sensor now, instead of at its next tick, and return why it launched nothing.

        What it does to the instance is done; runs that it asks for are not launched.
        """
        selector = location.sensor(sensor)
        result = _good(self._ask(graphql.TICK, selector=selector)["sensorDryRun"])[
            "evaluationResult"
        ]
        if error := result["error"]:
            message = (error["cause"] or error)["message"].strip()
            raise OrchestrationError(f"sensor {sensor} failed: {message}")
        return str(result["skipReason"] or "")

    def materialized(self, key: AssetKey, partitions: Sequence[str]) -> dict[str, float]:
        """Return when (seconds since 1970) each partition was last materialized, if ever."""
        found: dict[str, float] = {}
        for start in range(0, len(partitions), _PAGE):
            page = list(partitions[start : start + _PAGE])
            answer = self._ask(graphql.LATEST, key={"path": key}, partitions=page)
            events = _good(answer["assetNodeOrError"])["latestMaterializationByPartition"]
            found |= {e["partition"]: float(e["timestamp"]) / 1000 for e in events if e}
        return found

    def total(self, key: AssetKey, partitions: Sequence[str], label: str, since: float) -> int:
        """Return the sum of a whole number in the metadata of partitions' latest materializations.

        Args:
            key: The asset.
            partitions: The partitions.
            label: The metadata's name; a materialization without it counts for nothing.
            since: Leave out what was materialized before, in seconds since 1970.
        """
        total = 0
        for start in range(0, len(partitions), _PAGE):
            page = list(partitions[start : start + _PAGE])
            answer = self._ask(graphql.METADATA, key={"path": key}, partitions=page)
            events = _good(answer["assetNodeOrError"])["latestMaterializationByPartition"]
            total += sum(
                entry["intValue"]
                for event in events
                if event and float(event["timestamp"]) / 1000 >= since
                for entry in event["metadataEntries"]
                if entry["label"] == label
            )
        return total

    def launch(
        self,
        keys: Iterable[AssetKey],
        partitions: Sequence[str],
        title: str,
        tags: Mapping[str, str],
    ) -> str:
        """Launch a backfill of some assets' partitions and return its id."""
        params = {
            "assetSelection": [{"path": key} for key in keys],
            "partitionNames": list(partitions),
            "title": title,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        launched = _good(self._ask(graphql.LAUNCH, params=params)["launchPartitionBackfill"])
        return str(launched["backfillId"])

    def backfill(self, backfill: str) -> Backfill:
        """Return the state of a backfill."""
        found = _good(self._ask(graphql.BACKFILL, id=backfill)["partitionBackfillOrError"])
        error = found["error"]
        return Backfill(found["status"], error["message"].strip() if error else None)

    def open_backfills(self) -> list[str]:
        """Return the ids of backfills that are not finished."""
        found = _good(self._ask(graphql.OPEN)["partitionBackfillsOrError"])
        return [each["id"] for each in found["results"]]

    def cancel(self, backfill: str) -> None:
        """Ask for a backfill's end."""
        self._ask(graphql.CANCEL, id=backfill)

    def runs_under_way(self, backfill: str | None = None) -> list[str]:
        """Return the ids of runs that have a process, or had one when it was last heard of."""
        tags = [{"key": "dagster/backfill", "value": backfill}] if backfill else []
        return self._runs({"statuses": _UNDER_WAY, "tags": tags})

    def terminate_runs(self) -> None:
        """Ask all runs that are at work to end, and have not been asked yet."""
        if runs := self._runs({"statuses": _AT_WORK}):
            self._ask(graphql.TERMINATE, ids=runs)

    def reasons(self, backfill: str) -> list[str]:
        """Return, without repetition, why runs of a backfill failed."""
        tag = [{"key": "dagster/backfill", "value": backfill}]
        failed = self._runs({"tags": tag, "statuses": ["FAILURE"]})
        return list(dict.fromkeys(reason for run in failed for reason in self._reasons(run)))

    def _reasons(self, run: str) -> list[str]:
        found: list[str] = []
        general: list[str] = []
        cursor: str | None = None
        while True:
            events = _good(self._ask(graphql.FAILURE, id=run, cursor=cursor)["runOrError"])
            page = events["eventConnection"]
            found += [text for event in page["events"] for text in _step_failure(event)]
            general += [
                e["message"] for e in page["events"] if e["__typename"] == "RunFailureEvent"
            ]
            cursor = page["cursor"]
            if not page["hasMore"]:
                return found or general

    def _runs(self, criteria: Mapping[str, object]) -> list[str]:
        found = _good(self._ask(graphql.RUNS, filter=criteria)["runsOrError"])
        return [run["runId"] for run in found["results"]]

    def _ask(self, query: str, **variables: object) -> dict[str, Any]:
        try:
            response = self._http.post(
                f"{self.url}/graphql",
                json={"query": query, "variables": variables},
                timeout=self._timeout,
            )
            document = response.json()
        except requests.RequestException as error:
            raise OrchestrationError(
                f"Dagster does not answer at {self.url} ({type(error).__name__}); see the "
                "webserver's log, or start it with `minuteledger up`"
            ) from error
        if not document.get("data"):
            errors = "; ".join(error["message"] for error in document.get("errors", []))
            raise OrchestrationError(f"Dagster refused: {errors or response.status_code}")
        data: dict[str, Any] = document["data"]
        return data


def _good(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer, or raise OrchestrationError if it is one of Dagster's typed errors."""
    kind = str(answer.get("__typename", ""))
    if kind.endswith(("Error", "NotFound", "NotSupported")):
        raise OrchestrationError(f"Dagster refused: {str(answer.get('message') or kind).strip()}")
    return answer


def _location(entry: dict[str, Any]) -> Location:
    loaded = entry["locationOrLoadError"] or {}
    failed = loaded.get("__typename") == "PythonError"
    repositories = loaded.get("repositories") or [{"name": None}]
    return Location(
        name=entry["name"],
        loading=entry["loadStatus"] == "LOADING",
        error=loaded["message"].strip() if failed else None,
        repository=repositories[0]["name"],
    )


def _asset(node: dict[str, Any]) -> Asset:
    dimensions = (node["partitionDefinition"] or {"dimensionTypes": []})["dimensionTypes"]
    dynamic = [each for each in dimensions if each["dynamicPartitionsDefinitionName"]]
    of_listings = dynamic[0] if dynamic and len(dimensions) > 1 else None
    return Asset(
        key=tuple(node["assetKey"]["path"]),
        listings=of_listings["dynamicPartitionsDefinitionName"] if of_listings else None,
    )


def _step_failure(event: dict[str, Any]) -> list[str]:
    if event["__typename"] != "ExecutionStepFailureEvent":
        return []
    described = (event["failureMetadata"] or {}).get("description")
    error = event["error"] or {}
    cause = (error.get("cause") or {}).get("message")
    return [str(described or cause or error.get("message") or "it does not say why").strip()]
