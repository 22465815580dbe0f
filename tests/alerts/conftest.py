"""A receiver of messages over real HTTP, and a ledger to keep alerts in."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest

from pipeline.settings import Settings, load_settings
from pipeline.store.database import Database

SECRET = "T0SECRET/B0SECRET/hunter2"


@dataclass
class Receiver:
    """Somebody who takes messages, or does not.

    Attributes:
        port: Where it listens.
        answers: What the next messages are answered with, and all later ones with the last: a
            status; "hang" for nothing at all; "drop" for a connection that is closed.
        received: The messages that came, also those that were not taken.
        paths: Where they came to.
        headers: What an answer has besides.
        echo: Whether an answer repeats the address, in its reason and body.
    """

    port: int
    answers: list[int | str] = field(default_factory=lambda: [200])
    received: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    echo: bool = False
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/services/{SECRET}"

    @property
    def settings(self) -> Settings:
        return load_settings(alert_url=self.url)

    def next_answer(self) -> int | str:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append(json.loads(body))
            receiver.paths.append(self.path)
            answer = receiver.next_answer()
            if answer == "hang":
                receiver.released.wait(10)
            if isinstance(answer, str):
                self.close_connection = True
                return
            told = f"you asked {self.path}" if receiver.echo else "told"
            self.send_response(answer, told)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Say nothing: what is looked through is what we leave behind."""

    return Handler


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    receiver = Receiver(server.server_port)
    server.RequestHandlerClass = _handler(receiver)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield receiver
    receiver.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect() as connection:
        connection.autocommit = True
        yield connection
