"""Coverage at a glance: listings by months, one symbol a cell.

What belongs here: what the map says. How it looks is the business of the terminal
(`commands.heat_map`) and of the pictures in Dagster's pages (`assets.heat_map`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import psycopg

from pipeline.store.coverage import CoverageRow, coverage_of_worst

COMPLETE, FAILED, UNAVAILABLE, NOTHING = "#", "x", "-", " "
LEGEND: Mapping[str, str] = {
    COMPLETE: "all minutes answered",
    "9": "90 % of them, and so on",
    "0": "less than 10 %",
    FAILED: "some failed",
    UNAVAILABLE: "the rest is no longer served",
}
"""What the symbols mean; a blank says that no minute is expected."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of some minutes; those not told apart are pending."""

    expected: int = 0
    answered: int = 0
    failed: int = 0
    unavailable: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.expected + other.expected,
            self.answered + other.answered,
            self.failed + other.failed,
            self.unavailable + other.unavailable,
        )

    @property
    def open(self) -> int:
        """Minutes that failed or were not asked for yet."""
        return self.expected - self.answered - self.unavailable

    @property
    def symbol(self) -> str:
        """One character of `LEGEND`: complete only if no minute at all is missing."""
        if not self.expected:
            return NOTHING
        if self.answered == self.expected:
            return COMPLETE
        if self.failed:
            return FAILED
        if not self.open:
            return UNAVAILABLE
        return str(10 * self.answered // self.expected)


@dataclass(frozen=True, slots=True)
class Line:
    """One listing; `cells` are by column."""

    provider: str
    listing: str
    cells: Mapping[int, Counts]

    @property
    def total(self) -> Counts:
        """The sum of all cells."""
        return sum(self.cells.values(), Counts())


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Listings by equal spans of months.

    Attributes:
        lines: The listings, those with the most open minutes first.
        left_out: How many listings more there are, with fewer open minutes.
        columns: Numbers of the columns shown: spans of `months` months, counted from year 0.
        months: How many months a column has; 12 is divisible by it.
    """

    lines: Sequence[Line]
    left_out: int
    columns: range
    months: int = 1

    @classmethod
    def of(cls, rows: Iterable[CoverageRow], listings: int | None = None) -> HeatMap:
        """Return the map of some coverage, by months.

        Args:
            rows: Rows of `market.coverage` in any order, all that there are of each listing.
            listings: How many listings there are, if not only those of the rows.
        """
        cells: dict[tuple[str, str], dict[int, Counts]] = defaultdict(dict)
        for row in rows:
            cells[row.provider, row.listing][row.month.year * 12 + row.month.month - 1] = Counts(
                row.expected, row.bars + row.empty, row.failed, row.unavailable
            )
        lines = [Line(*names, by_column) for names, by_column in cells.items()]
        lines.sort(key=lambda line: (-line.total.open, line.provider, line.listing))
        seen = [column for line in lines for column in line.cells]
        columns = range(min(seen), max(seen) + 1) if seen else range(0)
        return cls(lines, listings - len(lines) if listings else 0, columns)

    @classmethod
    def read(
        cls,
        connection: psycopg.Connection,
        number: int,
        provider: str | None = None,
        listing: str | None = None,
    ) -> HeatMap:
        """Return the map, by months, of the `number` worst listings of those that are named."""
        return cls.of(*coverage_of_worst(connection, number, provider, listing))

    def fitted(self, width: int) -> HeatMap:
        """Return a map of at most `width` columns: the newest quarters if need be."""
        if len(self.columns) <= width:
            return self
        quarters = self._by(3)
        return replace(quarters, columns=quarters.columns[-width:])

    def symbols(self, line: Line) -> str:
        """Return the symbols of a line, one a column."""
        return "".join(line.cells.get(column, Counts()).symbol for column in self.columns)

    def years(self) -> dict[int, int]:
        """Return the years by the position of their first column that is shown."""
        a_year = 12 // self.months
        return {
            place: column // a_year
            for place, column in enumerate(self.columns)
            if place == 0 or column % a_year == 0
        }

    @property
    def total(self) -> Counts:
        """The sum of all cells of all lines."""
        return sum((line.total for line in self.lines), Counts())

    def span(self) -> str:
        """Return the first and the last month in words."""
        first, last = self.columns.start * self.months, self.columns.stop * self.months - 1
        return " to ".join(f"{month // 12}-{month % 12 + 1:02}" for month in (first, last))

    def _by(self, months: int) -> HeatMap:
        columns = range(self.columns.start // months, (self.columns.stop - 1) // months + 1)
        lines = [_merged(line, months) for line in self.lines]
        return HeatMap(lines, self.left_out, columns, months)


def _merged(line: Line, months: int) -> Line:
    cells: dict[int, Counts] = defaultdict(Counts)
    for column, counts in line.cells.items():
        cells[column // months] += counts
    return replace(line, cells=cells)
