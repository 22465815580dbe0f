"""From stamps as a file writes them to numbers.

What belongs here: units of epochs, text, and stamps that are none. Not here: which moment a local
stamp means (`files_local_time`).
"""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.universe.files import FilesConfig

US_PER_MINUTE: Final = 60_000_000
US_PER_DAY: Final = 86_400_000_000
_DAY_MS: Final = 86_400_000
_US_PER_SECOND: Final = 1_000_000
NOT_A_TIME: Final = np.iinfo(np.int64).min
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
    midnight = (day - date(1970, 1, 1)).days * US_PER_DAY
    return midnight + numbers * 1000


def _epochs(written: pa.Array, unit: str) -> Stamps:
    """Return epochs as microseconds; `epoch` finds the unit of each by its size."""
    numbers = _numbers(written)
    micros = np.full(len(numbers), NOT_A_TIME, dtype=np.int64)
    for name, per_second in _UNITS.items():
        if unit not in {"epoch", name}:
            continue
        fits = (numbers >= _EARLIEST_S * per_second) & (numbers < _LATEST_S * per_second)
        micros[fits] = (
            numbers[fits] // (per_second // _US_PER_SECOND)
            if per_second >= _US_PER_SECOND
            else numbers[fits] * (_US_PER_SECOND // per_second)
        )
    lost = pa.array(micros == NOT_A_TIME)
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
