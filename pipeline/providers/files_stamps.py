"""From stamps as a file writes them to the starts of minutes in UTC.

What belongs here: units of epochs, text, local time and its two changes a year, bar ends. Nothing
is guessed: a stamp that can mean two moments is decided by the order of the file, or refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.universe.files import FilesConfig

US_PER_MINUTE: Final = 60_000_000
_DAY_MS: Final = 86_400_000
_DAY_US: Final = _DAY_MS * 1000
_US_PER_SECOND: Final = 1_000_000
_HOUR: Final = 3_600 * _US_PER_SECOND
_NOT_A_TIME: Final = np.iinfo(np.int64).min
# An epoch between 1990 and 2100 is in one unit only: these spans of seconds do not meet when they
# are multiplied.
_EARLIEST_S: Final = 631_152_000
_LATEST_S: Final = 4_102_444_800
_UNITS: Final = {"epoch_s": 1, "epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}
_OFFSET: Final = r"(?:[Zz]|[+-]\d\d:?\d\d)$"

Stamps = np.ndarray[tuple[int], np.dtype[np.int64]]
"""Microseconds since 1970."""


class BadStamp(ValueError):
    """A stamp cannot be read, or does not say when.

    Args:
        row: Its place in the batch, from 0; None where the file as a whole is meant.
        what: What is wrong.
        fix: What to do.
    """

    def __init__(self, row: int | None, what: str, fix: str) -> None:
        super().__init__(what)
        self.row = row
        self.what = what
        self.fix = fix


def read_stamps(
    batch: pa.RecordBatch, config: FilesConfig, day: date | None
) -> tuple[Stamps, bool]:
    """Return the stamps of a batch as they are written, and whether they are in UTC.

    Args:
        batch: Has `time`, and `date` where the files have it apart.
        config: How stamps are written.
        day: The day in the file's name, if it has one.

    Raises:
        BadStamp: One is missing or is not written like that.
    """
    written = batch["time"]
    _refuse_first(pc.is_null(written), written, "is missing", "correct the row, or leave it out")
    if pa.types.is_timestamp(written.type):
        micros = written.cast(pa.timestamp("us", written.type.tz), safe=False)
        return _numbers(micros), written.type.tz is not None
    if config.time == "ms_of_day":
        return _of_day(written, day), False
    if config.time.startswith("epoch"):
        return _epochs(written, config.time), True
    if "date" in batch.schema.names:
        joined = (batch["date"].cast(pa.string()), written.cast(pa.string()))
        written = pc.binary_join_element_wise(*joined, " ")
        _refuse_first(pc.is_null(written), written, "has no date", "correct the row")
    written = written.cast(pa.string())
    return _iso(written) if config.time == "iso" else (_pattern(written, config.time), False)


def _of_day(written: pa.Array, day: date | None) -> Stamps:
    if day is None:
        raise BadStamp(None, "its name says no day", "write {day} in the path")
    numbers = _numbers(written)
    outside = pa.array((numbers < 0) | (numbers > _DAY_MS))
    _refuse_first(outside, written, "is no millisecond of a day", "correct `time:`")
    midnight = (day - date(1970, 1, 1)).days * _DAY_US
    return midnight + numbers * 1000


def _epochs(written: pa.Array, unit: str) -> Stamps:
    """Return epochs as microseconds; `epoch` finds the unit of each by its size."""
    numbers = _numbers(written)
    micros = np.full(len(numbers), _NOT_A_TIME, dtype=np.int64)
    for name, per_second in _UNITS.items():
        if unit not in {"epoch", name}:
            continue
        fits = (numbers >= _EARLIEST_S * per_second) & (numbers < _LATEST_S * per_second)
        micros[fits] = (
            numbers[fits] // (per_second // _US_PER_SECOND)
            if per_second >= _US_PER_SECOND
            else numbers[fits] * (_US_PER_SECOND // per_second)
        )
    lost = pa.array(micros == _NOT_A_TIME)
    what = "is between 1990 and 2100 in no unit" if unit == "epoch" else f"is no {unit}"
    _refuse_first(lost, written, what, "correct `time:`; `epoch` finds the unit by itself")
    return micros


def _iso(written: pa.Array) -> tuple[Stamps, bool]:
    """Return ISO 8601 stamps, and whether they have an offset: all of a batch, or none."""
    with_offset = pc.match_substring_regex(written, _OFFSET)
    some = bool(len(written)) and bool(with_offset[0].as_py())
    mixed = pc.invert(with_offset) if some else with_offset
    fix = "correct the file: all of its stamps have to have an offset, or none"
    _refuse_first(mixed, written, f"has {'no' if some else 'an'} offset, others differ", fix)
    try:
        return _numbers(written.cast(pa.timestamp("us", "UTC" if some else None))), some
    except pa.ArrowInvalid:
        row = next(n for n, one in enumerate(written) if not _is_iso(one, some=some))
    text = f"{written[row].as_py()!r} is no ISO 8601 stamp"
    raise BadStamp(row, text, "correct the row, or declare `time:` as a pattern or an epoch")


def _is_iso(text: pa.Scalar, *, some: bool) -> bool:
    try:
        text.cast(pa.timestamp("us", "UTC" if some else None))
    except pa.ArrowInvalid:
        return False
    return True


def _pattern(written: pa.Array, pattern: str) -> Stamps:
    moments = pc.strptime(written, pattern, "us", error_is_null=True)
    _refuse_first(
        pc.is_null(moments), written, f"does not look like {pattern}", "correct `time:` or the row"
    )
    return _numbers(moments)


def _numbers(values: pa.Array) -> Stamps:
    numbers: Stamps = values.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return numbers


def _refuse_first(bad: pa.Array, written: pa.Array, what: str, fix: str) -> None:
    """Refuse the first of the stamps that are bad."""
    row = pc.index(bad, pa.scalar(value=True)).as_py()
    if row >= 0:
        raise BadStamp(row, f"the stamp {written[row].as_py()!r} {what}", fix)


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
        plain = found != _NOT_A_TIME
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
        days = local // _DAY_US
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
    """Return local stamps in UTC; `_NOT_A_TIME` for those that came twice or never.

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
