"""What docs/adding-a-provider.md says works as it stands: its blocks are put where it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from pipeline.intervals import Interval
from pipeline.providers import options, table
from pipeline.providers.capabilities import Capabilities
from pipeline.providers.errors import (
    MalformedAnswer,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestTimedOut,
    UnknownSymbol,
)
from pipeline.providers.limiter import Unlimited
from pipeline.providers.protocol import BarProvider
from pipeline.store.database import Database
from pipeline.store.queries import false_sums
from venue import VenueProcess

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "adding-a-provider.md"
START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)


def blocks(language: str) -> list[str]:
    """Return the document's blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


@dataclass
class Copy:
    """A copy of the packages with the document's module and row, and a ledger of its own."""

    folder: Path
    database: Database

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run one of the document's commands with the copy."""
        program, *arguments = command.split()
        assert program == "minuteledger"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MINUTELEDGER_")}
        return subprocess.run(
            [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments],
            cwd=self.folder,
            env=kept
            | {
                "PYTHONPATH": str(self.folder),
                "MINUTELEDGER_HOME": str(self.folder / "home"),
                "MINUTELEDGER_UNIVERSE": str(self.folder / "universe.yaml"),
                "MINUTELEDGER_DATABASE_URL": self.database.url(),
            },
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def vendor() -> Iterator[VenueProcess]:
    """The document's vendor: it speaks as this exchange of the venue does."""
    market = {"listed_at": "2023-06-01T00:00:00Z", "price": 60000, "quiet": 0.1}
    section = {"requests_per_second": 0, "markets": {"BTC-USD": market}}
    with VenueProcess({"exchanges": {"coinbase": section}}) as process:
        yield process


@pytest.fixture
def copy(tmp_path: Path, database: Database, vendor: VenueProcess) -> Copy:
    compiled = shutil.ignore_patterns("__pycache__")  # others may be writing there
    for package in ("pipeline", "assets", "resources", "sensors"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=compiled)
    client, row = blocks("python")
    providers = tmp_path / "pipeline" / "providers"
    (providers / "sundial_client.py").write_text(client)
    rows = providers / "table.py"
    head = "CAPABILITIES: Final[Mapping[str, Capabilities]] = {\n"
    assert head in rows.read_text()
    rows.write_text(rows.read_text().replace(head, head + row))
    (universe,) = blocks("yaml")
    assert "sundial: {}" in universe
    (tmp_path / "universe.yaml").write_text(
        universe.replace("sundial: {}", f"sundial: {{base_url: '{vendor.url}/coinbase'}}")
    )
    return Copy(tmp_path, database)


def test_a_provider_that_is_added_as_the_document_says_downloads_a_month(
    copy: Copy, vendor: VenueProcess
) -> None:
    (commands,) = blocks("sh")
    for command in commands.splitlines():
        done = copy.run(command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    start, end = (int(bound.timestamp()) * 1000 for bound in (START, END))
    truth = vendor.truth("coinbase", "BTC-USD", start, end)
    with copy.database.connect() as connection:
        assert false_sums(connection) == []
        stored = connection.execute(
            "SELECT ts, open, high, low, close, volume FROM market.bars_1m"
            " WHERE provider = 'sundial' AND listing = 'BTC-USD' ORDER BY ts"
        ).fetchall()
        (row,) = connection.execute(
            "SELECT expected, bars, empty, failed, unavailable, pending FROM market.coverage"
            " WHERE provider = 'sundial'"
        ).fetchall()
    expected, *parts = row
    assert expected == 31 * 1440 == sum(parts)
    assert parts == [len(stored), expected - len(stored), 0, 0, 0]
    assert [(int(ts.timestamp() * 1000), *values) for ts, *values in stored] == list(
        zip(
            *(truth[name] for name in ("ts", "open", "high", "low", "close", "volume")), strict=True
        )
    )


@pytest.fixture
def client(
    tmp_path: Path, vendor: VenueProcess, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BarProvider]:
    """The document's client at the vendor, in this process."""
    module, row = blocks("python")
    monkeypatch.setattr(table, "CAPABILITIES", {**table.CAPABILITIES, **named_in(row)})
    monkeypatch.setattr(options, "CAPABILITIES", table.CAPABILITIES)
    written = tmp_path / "sundial_client.py"
    written.write_text(module)
    spec = spec_from_file_location("sundial_client", written)
    assert spec is not None
    assert spec.loader is not None
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    configured = options.ProviderOptions(
        source="sundial", base_url=f"{vendor.url}/coinbase", timeout_seconds=5
    )
    provider: BarProvider = loaded.open_client("sundial", configured, Unlimited())
    yield provider
    provider.close()
    vendor.clear_faults()


def named_in(row: str) -> dict[str, Capabilities]:
    """Return the document's row."""
    found: dict[str, Capabilities] = eval(f"{{{row}}}", vars(table))
    return found


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("rate_limit", RateLimited),
        ("server_error", ProviderUnavailable),
        ("disconnect", ProviderUnavailable),
        ("timeout", RequestTimedOut),
        ("truncated", MalformedAnswer),
        ("truncated_json", MalformedAnswer),
        ("not_json", MalformedAnswer),
        ("empty_object", MalformedAnswer),
    ],
)
def test_the_client_of_the_document_takes_no_fault_for_an_answer(
    kind: str, error: type[ProviderError], client: BarProvider, vendor: VenueProcess
) -> None:
    vendor.post_fault(kind, times=1)
    hour = Interval(START, START + timedelta(hours=1))
    with pytest.raises(error):
        client.fetch_bars("BTC-USD", "crypto_spot", hour)
    assert len(client.fetch_bars("BTC-USD", "crypto_spot", hour)) > 40


def test_the_client_of_the_document_knows_what_there_is_not(client: BarProvider) -> None:
    with pytest.raises(UnknownSymbol):
        client.find_market("NOPE-USD", "crypto_spot")
    assert client.find_market("BTC-USD", "crypto_spot").key == "BTC-USD"
