"""Which minutes files are evidence for, and which of them should be there and are not.

What belongs here: the rule, for files with a period in their names and for others. Not here: what
is in a file (`files_unpacking`), or where it is (`files_finding`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import Final

from pipeline.intervals import MINUTE, Interval, common, floor_minute
from pipeline.providers.errors import BrokenFile, MissingFile
from pipeline.providers.files_finding import NO_PERIOD, Finder, Source
from pipeline.providers.files_unpacking import Unpacked
from pipeline.providers.protocol import Holdings, Hole

_BEGINNING: Final = datetime(1, 1, 2, tzinfo=UTC)
_END: Final = datetime(9999, 12, 31, tzinfo=UTC)


class Evidence:
    """Says what the files of a symbol answer for; those that may be about the time are read.

    Args:
        provider: The provider's name in the universe, for errors.
        finder: Knows where a missing file should be.
        read: Returns a file as it was read, or raises `BrokenFile`.
    """

    def __init__(self, provider: str, finder: Finder, read: Callable[[Source], Unpacked]) -> None:
        self._provider = provider
        self._finder = finder
        self._read = read

    def by_rows(self, key: str, sources: Sequence[Source], during: Interval) -> Holdings:
        """Return what files answer for together that have no periods: from first row to last.

        Args:
            key: The symbol, as `Unpacked.held` knows it.
            sources: The files.
            during: The time that is asked about.
        """
        try:
            read = [self._read(one) for one in sources]
        except BrokenFile as error:
            return Holdings(holes=[Hole(during, error)])
        held = [one.held[key] for one in read if key in one.held]
        if not held:
            return Holdings(beyond=[during])
        span = Interval(
            floor_minute(min(one.first for one in held)),
            floor_minute(max(one.last for one in held)) + MINUTE,
        )
        return Holdings(common([span], during), beyond=common(_around(span), during))

    def by_period(self, symbol: str, sources: Sequence[Source], during: Interval) -> Holdings:
        """Return what files answer for that have periods in their names: for these.

        One that was written before its period ended answers up to its last row. The rest of its
        period is a hole, or lies beyond what is held if it is the last.
        """
        periods = {
            period: list(together)
            for period, together in groupby(sources, key=lambda one: one.period or NO_PERIOD)
        }
        last = max(periods)
        pieces: list[Interval] = []
        holes = [
            Hole(lack, self._missing(symbol, lack))
            for before, after in pairwise(periods)
            for lack in common([Interval(before.end, after.start)], during)
        ]
        span = Interval(min(periods).start, last.end)
        for period in filter(during.intersection, periods):
            try:
                answered = self._answered(period, periods[period])
            except BrokenFile as error:
                holes += [Hole(one, error) for one in common([period], during)]
                continue
            pieces += common([answered], during)
            unwritten = Interval(answered.end, period.end)
            if period == last:
                span = Interval(span.start, answered.end)
            elif unwritten.minutes:
                lack = self._unwritten(periods[period][0], unwritten)
                holes += [Hole(one, lack) for one in common([unwritten], during)]
        return Holdings(pieces, holes, common(_around(span), during))

    def _answered(self, period: Interval, sources: Sequence[Source]) -> Interval:
        """Return what of a period its files answer: all of it, if they were written after it.

        Raises:
            BrokenFile: One of them cannot be used.
        """
        read = [self._read(one) for one in sources]
        written = [one.modified for one in sources if one.modified]
        if not written or max(written) >= period.end:
            return period
        ends = [floor_minute(one.last) + MINUTE for one in read if one.last]
        return Interval(period.start, max([period.start, *ends]))

    def _missing(self, symbol: str, lack: Interval) -> MissingFile:
        names = dict.fromkeys(
            self._finder.pattern(symbol, when) for when in (lack.start, lack.end - MINUTE)
        )
        return MissingFile(
            self._provider,
            f"no file holds {lack}, though others hold what is before and after: looked for "
            + " to ".join(names),
            "put what is missing there and run `minuteledger import`",
        )

    def _unwritten(self, source: Source, lack: Interval) -> MissingFile:
        return MissingFile(
            self._provider,
            f"{source} was written before its period ended, and holds nothing of {lack}",
            "get the file again",
        )


def _around(span: Interval) -> list[Interval]:
    """Return all the time before and after a span."""
    return [Interval(_BEGINNING, span.start), Interval(span.end, _END)]
