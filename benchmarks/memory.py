"""Peak memory of a download: ten times the range must not take more."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.setting import (
    binance_venue,
    first_days,
    fresh_database,
    months,
    open_client,
    put_in_ledger,
)
from pipeline.download import Downloader
from venue import VenueProcess

SHORT, LONG = 3, 30
_FIRST = datetime(2021, 1, 1, tzinfo=UTC)


def run() -> Iterator[Figure]:
    """Measure each range in a process of its own, and yield the figures."""
    peaks = {count: _peak_of_a_process(count) for count in (SHORT, LONG)}
    for count, peak in peaks.items():
        yield Figure(f"peak memory, {count} months", f"{peak:,.0f} MiB")
    ratio = peaks[LONG] / peaks[SHORT]
    yield Figure("peak memory, ten times the range", f"{ratio:.2f}x", "<= 1.20x", ratio <= 1.2)


def _peak_of_a_process(count: int) -> float:
    with binance_venue() as venue:
        command = [sys.executable, "-m", "benchmarks.memory", str(count), venue.url]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak: float = json.loads(done.stdout)
    return peak


def _download(count: int, venue_url: str) -> None:
    """Download `count` months and print this process's peak memory in MiB."""
    venue = VenueProcess()
    venue.url = venue_url
    wanted = months(_FIRST, count)
    with fresh_database() as database:
        listing = put_in_ledger(database, wanted)
        with Downloader(database, open_client(database, venue)) as downloader:
            for month in first_days(wanted):
                listing = downloader.download(listing, month).listing
    sys.stdout.write(str(peak()))


def peak() -> float:
    """Return this program's peak memory in MiB.

    `ru_maxrss` would not do: it remembers what the process was before it became this program.
    """
    return _mebibytes("VmHWM")


def resident() -> float:
    """Return the memory that this program has now, in MiB."""
    return _mebibytes("VmRSS")


def _mebibytes(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kibibytes) / 1024


if __name__ == "__main__":
    _download(int(sys.argv[1]), sys.argv[2])
