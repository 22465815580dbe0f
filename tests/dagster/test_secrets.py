"""Runs of vendors that want keys, whatever they answer, leave no key behind."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import psycopg
import pytest
from psycopg import sql

from pipeline.providers import ProviderOptions
from pipeline.store.cells import Cell
from tests.dagster.conftest import Location
from venue import VenueProcess

MARK: Final = "MARKED"
"""In every key, and as it is in whatever encoding a key might be written down."""
KEYS: Final = {
    "APCA_API_KEY_ID": f"PK{MARK}FAKEKEY00001",
    "APCA_API_SECRET_KEY": f"fake{MARK}secret/0123456789+abcdef",
    "ALPHAVANTAGE_API_KEY": f"{MARK}/42+X",
}
FAULTS: Final[dict[int, dict[str, Any]]] = {
    2: {"kind": "server_error"},
    3: {"kind": "timeout"},
    4: {"kind": "truncated"},
    5: {"kind": "truncated_json"},
    6: {"kind": "not_json"},
    7: {"kind": "disconnect"},
    8: {"kind": "not_paid"},
}
"""By the month of 2024 that they hit."""
ECHOES: Final = {
    "alpaca": ("401", "500", "cut"),
    "alpha_vantage": ("500", "cut", "Note", "Information", "Error%20Message"),
}
"""The ways in which a vendor repeats what it was sent."""


def echoing(client: str, how: str) -> str:
    """Return the name of the provider whose vendor repeats what it was sent in that way."""
    return f"{client}_{how.lower().replace('%20', '_')}"


class Echo(BaseHTTPRequestHandler):
    """A vendor that repeats the keys that it was sent; the path begins with the way."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        how = self.path.split("/")[1]
        query = urlsplit(self.path).query
        keys = [self.headers.get(name, "") for name in ("APCA-API-KEY-ID", "APCA-API-SECRET-KEY")]
        told = f"{keys} {parse_qs(query).get('apikey', '')} {query.rpartition('&')[2]}"
        name = how.replace("%20", " ") if how[0].isupper() else "message"
        body = f'{{"{name}": "you sent {told}"}}'
        if how == "cut":
            body = body[:-1]
        self.send_response(int(how) if how.isdigit() else 200, told)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing: what is looked through is what we leave behind."""


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def markets() -> Iterator[VenueProcess]:
    stock = {"listed_at": "2024-01-02T14:30:00Z", "price": 100, "quiet": 0.9, "quiet_extended": 1}
    section = {"requests_per_second": 0, "markets": {"SHOWN": stock}}
    accounts = {
        "alpaca": [KEYS["APCA_API_KEY_ID"], KEYS["APCA_API_SECRET_KEY"]],
        "alpha_vantage": [KEYS["ALPHAVANTAGE_API_KEY"]],
    }
    exchanges = {name: {**section, "account": {"keys": keys}} for name, keys in accounts.items()}
    with VenueProcess({"exchanges": exchanges}) as process:
        yield process


@pytest.fixture
def universe_file(
    tmp_path: Path, venue: VenueProcess, echo: str, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A universe of one stock at the venue and at vendors that repeat what they are sent."""
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    hosts = {client: (client, f"{venue.url}/{client}") for client in ECHOES} | {
        echoing(client, how): (client, f"{echo}/{how}")
        for client, ways in ECHOES.items()
        for how in ways
    }
    lines = ["start: 2024-01-01", "providers:"]
    lines += [
        f"  {name}: {{client: {client}, base_url: '{url}',"
        " limits: {requests: 6000, seconds: 1}, budget: {requests: 6000, seconds: 60}}"
        for name, (client, url) in hosts.items()
    ]
    lines += ["instruments:", "  SHOWN:", "    class: equity", "    listings:"]
    lines += [f"      {name}: {{symbol: SHOWN, end: 2024-10-01}}" for name in hosts]
    file = tmp_path / "universe.yaml"
    file.write_text("\n".join(lines))
    return file


def tables_with(url: str, text: str) -> list[str]:
    """Return the tables of a database that hold a text, also compressed."""
    found = []
    with psycopg.connect(url.replace("+psycopg2", "")) as connection:
        names = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert len(names) > 10
        for name in names:
            table = sql.Identifier(*name)
            rows = sql.SQL("SELECT count(*) FROM {} t WHERE t::text ILIKE %s").format(table)
            holds = connection.execute(rows, [f"%{text}%"]).fetchone() != (0,)
            if holds or any(text in one for one in packed(connection, name)):
                found.append(".".join(name))
    return found


def packed(connection: psycopg.Connection, name: tuple[str, str]) -> Iterator[str]:
    """Yield what the binary columns of a table hold."""
    columns = connection.execute(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s AND data_type = 'bytea'",
        name,
    ).fetchall()
    for (column,) in columns:
        query = sql.SQL("SELECT {} FROM {}").format(sql.Identifier(column), sql.Identifier(*name))
        for (value,) in connection.execute(query):
            content = bytes(value or b"")
            with suppress(zlib.error):
                content = zlib.decompress(content)
            yield content.decode(errors="replace")


def files_with(folder: Path, text: str) -> list[str]:
    """Return the files that hold a text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if text.encode().lower() in path.read_bytes().lower()]


@dataclass
class Remains:
    """Runs, and all that they leave behind."""

    location: Location
    dagster_url: str
    home: Path
    log: pytest.LogCaptureFixture
    streams: pytest.CaptureFixture[str]

    def run(self, provider: str, first: int, last: int | None = None) -> None:
        """Run the assets of a provider for months of 2024, which may fail."""
        self.location.run(
            Cell("SHOWN", date(2024, first, 1)),
            Cell("SHOWN", date(2024, last, 1)) if last else None,
            assets=[dg.AssetKey([provider, name]) for name in ("bars_1m", "gaps")],
        )

    def searched(self, *texts: str) -> list[dict[str, object]]:
        """Return for each text where it was left."""
        output = "".join(self.streams.readouterr()).lower()
        logged = f"{self.log.text} {[record.args for record in self.log.records]}".lower()
        return [
            {
                "ledger": tables_with(self.location.database.url(), text),
                "dagster": tables_with(self.dagster_url, text),
                "files": files_with(self.home, text),
                "output": [line for line in output.splitlines() if text.lower() in line],
                "log": [line for line in logged.splitlines() if text.lower() in line],
            }
            for text in texts
        ]


@pytest.fixture
def remains(
    location: Location,
    dagster_database: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> Remains:
    # As somebody logs who looks for a fault in the HTTP libraries.
    caplog.set_level(logging.DEBUG)
    return Remains(location, dagster_database, tmp_path, caplog, capfd)


def test_no_key_is_left_behind_by_runs_whatever_the_vendors_answer(
    remains: Remains, venue: VenueProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = partial(ProviderOptions, timeout_seconds=2.0)
    monkeypatch.setattr("pipeline.opening.ProviderOptions", impatient)
    for provider in ECHOES:
        remains.run(provider, 1)  # learns the first trade
    for number, fault in FAULTS.items():
        day = int(datetime(2024, number, 13, tzinfo=UTC).timestamp() * 1000)
        venue.post_fault(**fault | {"from": day, "to": day + 86_400_000})
    for provider, ways in ECHOES.items():
        remains.run(provider, 2, 4)
        remains.run(provider, 5, 8)
        for how in ways:
            remains.run(echoing(provider, how), 2)
    venue.clear_faults()
    venue.post_fault("rate_limit", exchange="alpha_vantage", retry_after=86_400)
    remains.run("alpha_vantage", 2)
    for name, key in KEYS.items():
        monkeypatch.setenv(name, f"{key}WRONG")
    for provider in ECHOES:
        remains.run(provider, 9)

    seen, secret = remains.searched("shown", MARK)
    # What may be seen is found everywhere, so what must not be would be found, too.
    assert all(seen.values()), seen
    assert not any(secret.values()), secret
    errors = remains.location.stored("SELECT array_agg(DISTINCT error) FROM ledger.fetch_failure")
    assert set(errors) >= {
        *("AuthenticationFailed", "MalformedAnswer", "ProviderUnavailable", "RateLimited"),
        *("RequestTimedOut", "Unsupported"),
    }
