"""What a backfill is expected to take, told before it, and held against what it took."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.commands.output import print_table, say
from pipeline.commands.plan import duration, megabytes, plans_for, show

if TYPE_CHECKING:
    import psycopg

    from pipeline.orchestration.backfills import Taken
    from pipeline.plan import Plan
    from pipeline.store.cells import Cell
    from pipeline.universe import Universe


@dataclass(frozen=True, slots=True)
class Forecast:
    """Plans, and what the ledger held before they were carried out.

    Attributes:
        plans: One plan a provider.
        bars: Stored bars by provider.
        bytes: What all of them took on disk.
    """

    plans: Sequence[Plan] = ()
    bars: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0

    @classmethod
    def of(
        cls,
        connection: psycopg.Connection,
        universe: Universe,
        cells: Mapping[str, Collection[Cell]],
    ) -> Forecast:
        """Plan the download of some cells of each provider, before it begins."""
        from pipeline.store.sizes import bars_by_provider, bars_bytes

        plans = plans_for(connection, universe, cells)
        return cls(plans, bars_by_provider(connection), bars_bytes(connection))

    def tell(self) -> None:
        """Print the plans, if there are any."""
        if self.plans:
            show(self.plans)

    def compare(self, connection: psycopg.Connection, taken: Mapping[str, Taken]) -> None:
        """Print what was planned and what it took, once it has ended."""
        from pipeline.store.sizes import bars_by_provider, bars_bytes

        bars, disk = bars_by_provider(connection), bars_bytes(connection) - self.bytes
        rows = []
        for plan in self.plans:
            took = taken[plan.provider]
            rows.append(
                {
                    "provider": plan.provider,
                    "requests planned": plan.requests,
                    "requests": took.requests,
                    "time planned": duration(plan.seconds),
                    "time": duration(took.seconds),
                    "bars planned": plan.bars,
                    "bars": bars.get(plan.provider, 0) - self.bars.get(plan.provider, 0),
                }
            )
        print_table(rows, title="Planned, and what it took")
        planned = sum(plan.disk_bytes for plan in self.plans)
        say(f"On disk: planned {megabytes(planned)}, it took {megabytes(disk)}.")
