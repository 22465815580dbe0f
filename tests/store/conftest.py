"""A server that tests may stop."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.store.database import Database
from pipeline.store.migrate import migrate
from pipeline.store.server import EmbeddedServer


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedServer]:
    """A server that no other test uses, with a migrated ledger."""
    folder = Path(tempfile.mkdtemp(prefix="ml-"))
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "pg", settings={"fsync": "off"})
    try:
        server.start()
        migrate(Database(server))
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)
