"""Ticks of sensors by hand, at times that a test says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from pipeline.clock import Clock
from pipeline.definitions import build_defs
from resources.downloads import DownloadsResource
from resources.ledger import LedgerResource
from tests.dagster.conftest import Location
from tests.making import at

NOON = at("2024-03-05 12:00")


class Ticks:
    """Ticks of one sensor at times that the test says; its cursor is kept as the daemon does."""

    def __init__(self, location: Location, sensor: str, now: datetime = NOON) -> None:
        self.location = location
        self.cursor: str | None = None
        self.now = now
        self._sensor = sensor

    def defs(self) -> dg.Definitions:
        downloads = DownloadsResource(attempts=1, first_wait_seconds=0.01)
        return build_defs(resources={"downloads": downloads})

    def tick(self, later: timedelta = timedelta(0)) -> list[dg.RunRequest]:
        """Tick after some time, and return what is launched."""
        result = self._tick(later)
        return list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []

    def said(self, later: timedelta = timedelta(0)) -> str:
        """Tick after some time, and return why nothing is launched."""
        result = self._tick(later)
        reason = result if isinstance(result, dg.SkipReason) else result.skip_reason
        assert isinstance(reason, dg.SkipReason)
        return reason.skip_message or ""

    def _tick(self, later: timedelta) -> Any:
        self.now += later
        context = dg.build_sensor_context(instance=self.location.instance, cursor=self.cursor)
        sensor: Any = self.defs().get_sensor_def(self._sensor)
        with self._clock():
            result = sensor(context, ledger=LedgerResource())
        self.cursor = getattr(result, "cursor", None) or self.cursor
        return result

    @contextmanager
    def _clock(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MINUTELEDGER_CLOCK", str(Clock.standing(self.now)))
            yield

    def run(self, request: dg.RunRequest) -> Any:
        """Run what was launched in process."""
        defs = self.defs()
        job = (
            defs.resolve_job_def(request.job_name)
            if request.job_name
            else defs.resolve_implicit_global_asset_job_def()
        )
        with self._clock():
            return job.execute_in_process(
                instance=self.location.instance,
                asset_selection=request.asset_selection,
                tags=dict(request.tags),
                run_config=request.run_config,
                raise_on_error=False,
            )

    def begin(self, request: dg.RunRequest) -> None:
        """Let what was launched be under way."""
        create_run_for_test(
            self.location.instance,
            status=dg.DagsterRunStatus.STARTED,
            tags=dict(request.tags),
            job_name=request.job_name or "whichever",
            asset_selection=frozenset(request.asset_selection or ()),
        )
