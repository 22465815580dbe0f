"""Where the embedded servers of a test are."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.store.database import Database
from tests.folders import new_folder
from tests.store.series import Desk
from tests.store.servers import kill_everything


@pytest.fixture
def home() -> Iterator[Path]:
    """A short folder that only its owner may enter; every server below it is ended."""
    folder = new_folder()
    yield folder
    for record in folder.rglob("PG_VERSION"):
        if record.parent.parent.name != "base":
            kill_everything(record.parent)
    shutil.rmtree(folder)


@pytest.fixture
def desk(database: Database, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """An instrument with three listings; a parameter names its session and method."""
    made = Desk(database, *getattr(request, "param", ()))
    yield made
    made.session.close()
