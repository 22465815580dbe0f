"""The heat map of coverage, in the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import groupby

from rich.console import Console
from rich.text import Text

from pipeline.heat_map import COMPLETE, FAILED, LEGEND, UNAVAILABLE, HeatMap

_PERCENT = len("  100.00 %")
_WIDE = 10_000  # into a pipe or a file the whole width goes

# The symbols hide in cells of one colour; they are there for whoever copies, or sees no colours.
_STYLES = {
    COMPLETE: "#1f5fc4 on #1f5fc4",
    FAILED: "bold white on #c92a2a",
    UNAVAILABLE: "white on #6b7075",
    "9": "white on #3f7fe0",
    "8": "white on #3f7fe0",
    "7": "black on #6f9fe8",
    "6": "black on #6f9fe8",
    "5": "black on #6f9fe8",
    "4": "black on #a5c3f0",
    "3": "black on #a5c3f0",
    "2": "black on #a5c3f0",
    "1": "black on #d5e2f7",
    "0": "black on #d5e2f7",
}


def print_heat_map(heat_map: HeatMap) -> None:
    """Print listings by months, in colours on a terminal."""
    console = Console(highlight=False, soft_wrap=True)
    for line in draw(heat_map, shutil.get_terminal_size((_WIDE, 0)).columns):
        console.print(line)
    if heat_map.left_out:
        console.print(
            f"... and {heat_map.left_out:,} listings with fewer open minutes; "
            "--provider and --listing choose, --months lists"
        )


def draw(heat_map: HeatMap, width: int) -> Iterator[Text]:
    """Yield the lines of a map that is at most `width` characters wide where it can be."""
    names = [f"{line.provider} {line.listing}"[: width // 3] for line in heat_map.lines]
    margin = max(map(len, names), default=0) + 1
    shown = heat_map.fitted(max(width - margin - _PERCENT, 1))
    yield Text(" " * margin + _header(shown))
    for line, name in zip(shown.lines, names, strict=True):
        total = line.total
        text = Text(name.ljust(margin))
        for symbol, run in groupby(shown.symbols(line)):
            text.append("".join(run), _STYLES.get(symbol, ""))
        share = 10_000 * total.answered // total.expected / 100  # 100 only when it is
        yield text.append(f"{share:8.2f} %")
    yield Text()
    yield _legend("a quarter" if shown.months > 1 else "a month")


def _header(shown: HeatMap) -> str:
    """Write each year over its first column, shortened where columns are quarters."""
    header = ""
    for place, year in shown.years().items():
        # Only the first year can be shown in so small a part that its label does not fit.
        header = header.ljust(place) if len(header) <= place else " " * place
        header += f"{year} " if shown.months == 1 else f"'{year % 100:02} "
    return header


def _legend(column: str) -> Text:
    text = Text(f"Each column is {column}: ")
    for number, (symbol, meaning) in enumerate(LEGEND.items()):
        text.append(", " if number else "").append(symbol, _STYLES[symbol]).append(f" {meaning}")
    return text
