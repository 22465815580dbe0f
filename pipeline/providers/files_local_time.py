"""From local stamps to moments, over the two changes of clocks a year.

What belongs here: what was shown twice, and what never. Nothing is guessed: a stamp that can mean
two moments is decided by the order of the file, or refused. Not here: how stamps are written
(`files_stamps`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.providers.files_stamps import NOT_A_TIME, US_PER_DAY, BadStamp, Stamps


@dataclass(slots=True)
class _Order:
    """The order of the plain stamps of one symbol so far: those that mean one moment."""

    last: int | None = None
    rising: bool = True
    falling: bool = True

    def add(self, stamps: Stamps) -> None:
        if len(stamps) == 0:
            return
        before = [] if self.last is None else [self.last]
        steps = np.diff(np.concatenate([np.array(before, dtype=np.int64), stamps]))
        self.rising &= not (steps < 0).any()
        self.falling &= not (steps > 0).any()
        self.last = int(stamps[-1])


@dataclass(slots=True)
class LocalTime:
    """Brings the local stamps of one file to UTC, batch after batch.

    When clocks are set back, an hour of stamps comes twice. Rows of such hours are set aside until
    the file has ended; then its order tells the first hour from the second.

    Attributes:
        zone: The zone's IANA name.
        ends: Whether the stamps name the ends of bars.
    """

    zone: str
    ends: bool
    _orders: dict[str, _Order] = field(default_factory=dict)
    _aside: list[tuple[pa.RecordBatch, Stamps]] = field(default_factory=list)

    def to_utc(self, batch: pa.RecordBatch, local: Stamps) -> tuple[pa.RecordBatch, Stamps]:
        """Return the rows that mean one moment, with their stamps in UTC; keep the others.

        Raises:
            BadStamp: A stamp names a time that was skipped when clocks were set forward.
        """
        found = _localize(local, self.zone)
        plain = found != NOT_A_TIME
        unsure = np.flatnonzero(~plain)
        if len(unsure):
            later = _localize(local[unsure], self.zone, second=True, forward=True)
            skipped = _wall(later, self.zone) != local[unsure]
            self._check_skipped(local, unsure[skipped], later[skipped])
            found[unsure[skipped]] = later[skipped]
            plain[unsure[skipped]] = True
        self._note_order(batch, local, plain)
        if plain.all():
            return batch, found
        self._aside.append((batch.filter(pa.array(~plain)), local[~plain]))
        return batch.filter(pa.array(plain)), found[plain]

    def rest(self) -> Iterator[tuple[pa.RecordBatch, Stamps]]:
        """Yield the rows that were set aside, with their stamps in UTC.

        Raises:
            BadStamp: The order of the file does not tell which of two moments a stamp means.
        """
        if not self._aside:
            return
        rows = pa.Table.from_batches([batch for batch, _ in self._aside]).combine_chunks()
        local = np.concatenate([stamps for _, stamps in self._aside])
        second = np.zeros(len(local), dtype=bool)
        symbols = np.array(_symbols(rows, len(local)))
        days = local // US_PER_DAY
        for symbol in dict.fromkeys(symbols.tolist()):
            for day in np.unique(days[symbols == symbol]):
                places = np.flatnonzero((symbols == symbol) & (days == day))
                second[places] = self._decide(symbol, local[places], rows["line"].take(places))
        found = _localize(local, self.zone, second=second)
        yield rows.to_batches()[0], found

    def _check_skipped(self, local: Stamps, rows: np.ndarray, later: Stamps) -> None:
        """Refuse stamps that no clock in the zone ever showed.

        The end of the last minute before a skipped hour may be written as that hour's beginning.
        """
        begins = _wall(later - 1, self.zone) + 1
        wrong = rows[(local[rows] != begins) | (not self.ends)]
        if len(wrong):
            raise BadStamp(
                int(wrong[0]),
                f"{_text(local[wrong[0]])} was skipped in {self.zone}, where clocks were set "
                "forward",
                "correct `zone:`; such stamps are in another one (UTC?)",
            )

    def _note_order(self, batch: pa.RecordBatch, local: Stamps, plain: np.ndarray) -> None:
        if "symbol" not in batch.schema.names:
            self._orders.setdefault("", _Order()).add(local[plain])
            return
        series = pd.Series(local[plain])
        names = np.array(_symbols(batch, len(local)))[plain]
        for symbol, stamps in series.groupby(names, sort=False):
            self._orders.setdefault(str(symbol), _Order()).add(stamps.to_numpy())

    def _decide(self, symbol: str, local: Stamps, lines: pa.ChunkedArray) -> np.ndarray:
        """Return which stamps of a repeated hour, in the order of the file, are of its second."""
        order = self._orders.get(symbol, _Order())
        if order.rising != order.falling:
            steps = np.diff(local)
            back = np.flatnonzero(steps < 0 if order.rising else steps > 0)
            if len(back) == 1:
                after = np.arange(len(local)) > back[0]
                second: np.ndarray = after if order.rising else ~after
                return second
        first, last = lines[0].as_py(), lines[-1].as_py()
        raise BadStamp(
            None,
            f"lines {first} to {last}: {_text(local[0])} came twice in {self.zone}, where clocks "
            "were set back, and the order of the rows does not tell which time is meant",
            "get the file with stamps in UTC or with an offset, or with both hours in order",
        )


def _text(local: np.int64) -> str:
    return str(local.view("M8[us]").astype("M8[s]")).replace("T", " ")


def _symbols(rows: pa.RecordBatch | pa.Table, number: int) -> Sequence[str]:
    if "symbol" not in rows.schema.names:
        return [""] * number
    names: Sequence[str] = rows.column("symbol").to_pylist()
    return names


def _localize(
    local: Stamps, zone: str, *, second: np.ndarray | bool | None = None, forward: bool = False
) -> Stamps:
    """Return local stamps in UTC; `NOT_A_TIME` for those that came twice or never.

    Args:
        local: The stamps.
        zone: The zone's IANA name.
        second: Which of those that came twice are the later ones.
        forward: Whether those that never came mean the moment at which the clocks were set.
    """
    summer: object = "NaT"
    if second is not None:
        summer = ~np.broadcast_to(np.asarray(second, dtype=bool), local.shape)
    index = pd.DatetimeIndex(local.view("M8[us]")).tz_localize(
        ZoneInfo(zone),
        ambiguous=summer,  # type: ignore[arg-type]  # an array is what pandas documents
        nonexistent="shift_forward" if forward else "NaT",
    )
    found: Stamps = index.tz_convert("UTC").tz_localize(None).to_numpy(dtype="M8[us]").view("i8")
    return found.copy()


def _wall(utc: Stamps, zone: str) -> Stamps:
    """Return what clocks in the zone showed."""
    index = pd.DatetimeIndex(utc.view("M8[us]"), tz="UTC").tz_convert(ZoneInfo(zone))
    shown: Stamps = index.tz_localize(None).to_numpy(dtype="M8[us]").view("i8")
    return shown
