"""The heat map of coverage as a picture in Dagster's pages.

Drawn by hand, for the reasons given in `assets.pictures`: in colours that are readable on light and
on dark pages, and equal neighbours as one stroke, so that ten years of sixty listings take some
kilobytes of Dagster's event log.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from xml.sax.saxutils import escape

from assets.pictures import image
from pipeline.heat_map import COMPLETE, FAILED, LEGEND, NOTHING, UNAVAILABLE, HeatMap
from pipeline.store.database import Database
from pipeline.store.session import LedgerSession

LISTINGS, COLUMNS = 60, 120
"""The most listings and columns of a picture."""
_CELL, _LINE, _MARGIN, _HEADER, _FOOTER = 6, 12, 130, 16, 34
_NAME, _YEAR, _LEGEND = 20, 24, 600  # characters; widths
_ANSWERED = "#2468d8"
_COLOURS = {
    COMPLETE: (_ANSWERED, 1.0),
    FAILED: ("#d9480f", 1.0),
    UNAVAILABLE: ("#8d8d8d", 0.7),
    **{str(tenth): (_ANSWERED, 0.25 + tenth * 0.06) for tenth in range(10)},
}


def of_provider(database: Database, provider: str) -> str:
    """Draw what the ledger says of a provider's worst listings as a Markdown image.

    Raises:
        psycopg.OperationalError, DatabaseError: The database stayed away too long.
    """
    with LedgerSession(database) as session:
        return heat_map(session.run(lambda c: HeatMap.read(c, LISTINGS, provider)))


def heat_map(whole: HeatMap) -> str:
    """Draw a map of at most `LISTINGS` lines as a Markdown image; empty if it has no column.

    Raises:
        ValueError: The map has more lines.
    """
    if len(whole.lines) > LISTINGS:
        raise ValueError(f"{len(whole.lines)} listings are too many to draw; take {LISTINGS}")
    if not whole.columns:
        return ""
    shown = whole.fitted(COLUMNS)
    width = _MARGIN + max(len(shown.columns) * _CELL + _YEAR, _LEGEND)
    bottom = _HEADER + len(shown.lines) * _LINE
    parts = [*_years(shown), *_names(shown), *_cells(shown), *_legend(shown, bottom)]
    return image(_title(whole), width, bottom + _FOOTER, parts)


def _title(whole: HeatMap) -> str:
    total = whole.total
    share = 10_000 * total.answered // total.expected / 100  # 100 only when it is
    more = f"; {_listings(whole.left_out)} with fewer open minutes left out"
    return (
        f"Coverage of {_listings(len(whole.lines))}, {whole.span()}: {share:.2f} % of the expected "
        f"minutes answered{more if whole.left_out else ''}"
    )


def _listings(number: int) -> str:
    return "1 listing" if number == 1 else f"{number} listings"


def _years(shown: HeatMap) -> list[str]:
    years = shown.years()
    # The first year may be shown in so small a part that its label would touch the next.
    if years.keys() & range(1, 1 + _YEAR // _CELL):
        del years[0]
    return [
        f'<text x="{_MARGIN + place * _CELL}" y="11">'
        f"{year if shown.months == 1 else f'{year % 100:02}'}</text>"
        for place, year in years.items()
    ]


def _names(shown: HeatMap) -> list[str]:
    return [
        f'<text x="{_MARGIN - 6}" y="{_HEADER + number * _LINE + 9}" text-anchor="end">'
        f"{escape(_shortened(line.listing))}</text>"
        for number, line in enumerate(shown.lines)
    ]


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}\u2026"


def _cells(shown: HeatMap) -> list[str]:
    """Draw one path for all cells of a colour."""
    strokes: dict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(shown.lines):
        y = _HEADER + number * _LINE + _LINE // 2
        place = 0
        for symbol, run in groupby(shown.symbols(line)):
            length = len(list(run))
            strokes[symbol].append(f"M{_MARGIN + place * _CELL},{y}h{length * _CELL}")
            place += length
    strokes.pop(NOTHING, None)
    return [_path(symbol, "".join(parts)) for symbol, parts in sorted(strokes.items())]


def _path(symbol: str, strokes: str) -> str:
    colour, opacity = _COLOURS[symbol]
    return (
        f'<path stroke="{colour}" stroke-opacity="{opacity:.2f}" stroke-width="{_LINE - 2}" '
        f'd="{strokes}"/>'
    )


def _legend(shown: HeatMap, bottom: int) -> list[str]:
    parts, x, y = [], _MARGIN, bottom + 14
    for symbol, meaning in LEGEND.items():
        parts.append(_path(symbol, f"M{x},{y - 3}h10"))
        parts.append(f'<text x="{x + 14}" y="{y}">{escape(meaning)}</text>')
        x += 24 + 5 * len(meaning)
    note = "a column is a quarter; " if shown.months > 1 else ""
    if shown.left_out:
        note += f"{_listings(shown.left_out)} with fewer open minutes left out"
    return [*parts, f'<text x="{_MARGIN}" y="{y + 14}">{note.removesuffix("; ")}</text>']
