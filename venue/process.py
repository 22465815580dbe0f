"""The venue in a process of its own, for tests, the demo and benchmarks."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode, urlsplit

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from venue.dialects.base import Json

_ROOT = Path(__file__).resolve().parents[1]
_STOP_SECONDS = 5.0


class VenueError(RuntimeError):
    """The venue did not start, or its control API refused a request; the message says why."""


class VenueProcess:
    """Starts `python -m venue` on a free port, waits until it listens, and stops it at the end.

    `config` is a path, or a document in the shape of the YAML (see `venue.config`) with absolute
    paths of files, or None for the built-in default. The process ends with ours even if ours is
    killed.
    """

    def __init__(self, config: Path | Mapping[str, Any] | None = None, port: int = 0) -> None:
        self._config = config
        self._port = port
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start, and return once it listens; VenueError if it does not."""
        with tempfile.TemporaryDirectory() as folder:
            options = ["--port", str(self._port), "--parent-pid", str(os.getpid())]
            if self._config is not None:
                options += ["--config", str(self._file(Path(folder)))]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "venue", *options],
                cwd=_ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            line = self._process.stdout.readline() if self._process.stdout else ""
        if "http://" not in line:
            self.stop()
            raise VenueError("the venue did not start: see its error output above")
        self.url = line.split()[-1]

    def stop(self) -> None:
        """End the process; harmless if it has ended."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._process = None

    def post_fault(self, kind: str, **options: object) -> dict[str, Any]:
        """Switch a fault on; options as in `venue.faults.Fault` (`from_ms`, `to_ms`)."""
        result: dict[str, Any] = self.control("POST", "faults", {"kind": kind, **options})
        return result

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults, with what they have hit."""
        result: list[dict[str, Any]] = self.control("GET", "faults")
        return result

    def clear_faults(self) -> None:
        """Switch all faults off."""
        self.control("DELETE", "faults")

    def requests(self, since_ms: int = 0) -> dict[str, Any]:
        """Return `total`, `counts` and the latest `requests` (wall time, UTC milliseconds)."""
        result: dict[str, Any] = self.control("GET", f"requests?since={since_ms}")
        return result

    def clear_requests(self) -> None:
        """Forget all requests."""
        self.control("DELETE", "requests")

    def clock(self) -> dict[str, Any]:
        """Return `now` (UTC milliseconds) and `speed`."""
        result: dict[str, Any] = self.control("GET", "clock")
        return result

    def set_clock(self, **options: object) -> dict[str, Any]:
        """Set `now` (milliseconds or ISO 8601), `speed`, or move by `offset_seconds`."""
        result: dict[str, Any] = self.control("POST", "clock", options)
        return result

    def truth(self, exchange: str, symbol: str, start: int, end: int) -> dict[str, list[Any]]:
        """Return the columns that a perfect download of [start, end) holds (UTC milliseconds)."""
        query = urlencode({"exchange": exchange, "symbol": symbol, "start": start, "end": end})
        result: dict[str, list[Any]] = self.control("GET", f"truth?{query}")
        return result

    def gateway(self) -> dict[str, Any]:
        """Return the gateway's `address`, `tcp://host:port`, and its `clients`, by number."""
        result: dict[str, Any] = self.control("GET", "gateway")
        return result

    def control(self, method: str, path: str, document: object = None) -> Json:
        """Call `/_venue/<path>` and decode its JSON; VenueError with the reason if refused."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        try:
            body = None if document is None else orjson.dumps(document)
            connection.request(method, f"/_venue/{path}", body)
            response = connection.getresponse()
            result = orjson.loads(response.read())
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise VenueError(result["error"])
        return result

    def _file(self, folder: Path) -> Path:
        if isinstance(self._config, Path):
            return self._config.resolve()
        path = folder / "venue.yaml"
        path.write_bytes(orjson.dumps(self._config, default=str))  # JSON is YAML
        return path
