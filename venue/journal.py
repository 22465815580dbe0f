"""What was asked and answered: counts, and the latest requests in detail."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One request. `time` is wall time in UTC milliseconds; `start`/`stop` the candle window.

    `document` tells a request for a document about a company or coin.
    """

    time: int
    exchange: str
    endpoint: str
    symbol: str | None
    start: int | None
    stop: int | None
    limit: int | None
    status: int
    rows: int
    faults: tuple[str, ...] = ()
    document: bool = False


class Journal:
    """Counts since the last reset, and a bounded list of entries."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str | None, bool]] = Counter()
        self._latest: deque[Entry] = deque(maxlen=_KEPT)

    def write(self, entry: Entry) -> None:
        """Count and keep a request."""
        self._counts[entry.exchange, entry.endpoint, entry.symbol, entry.document] += 1
        self._latest.append(entry)

    def clear(self) -> None:
        """Forget everything."""
        self._counts.clear()
        self._latest.clear()

    def report(self, since_ms: int = 0) -> dict[str, Any]:
        """Return counts, and the kept requests not older than `since_ms` (wall time, UTC)."""
        names = ("exchange", "endpoint", "symbol", "document")
        counts = [
            {**dict(zip(names, key, strict=True)), "count": count}
            for key, count in self._counts.items()
        ]
        recent = [asdict(entry) for entry in self._latest if entry.time >= since_ms]
        return {"total": self._counts.total(), "counts": counts, "requests": recent}
