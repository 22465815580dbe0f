"""Universe files as tests write them, and what is told about them."""

from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest
from _pytest.mark import ParameterSet

from pipeline.universe import Universe, UniverseError, load_universe

SMALL = """\
    start: 2020-01-01
    providers:
      bitfinex: {}
      coinbase: {start: 2021-06-15}
    instruments:
      BTC-USD:
        class: crypto_spot
        listings:
          coinbase: BTC-USD
          bitfinex: tBTCUSD
      ETH-USD:
        class: crypto_spot
        listings:
          bitfinex: {symbol: ETH/USD, start: 2022-03-04T05:06+02:00, end: 2023-01-01}
"""


def utc(year: int, month: int = 1, day: int = 1, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def cases(text: str) -> list[ParameterSet]:
    """Blocks of what is written (first line) and what is told about it (the other lines)."""
    blocks = (block.splitlines() for block in dedent(text).strip().split("\n\n"))
    return [
        pytest.param(written, " ".join(map(str.strip, told)), id=written)
        for written, *told in blocks
    ]


def load(file: Path, text: str) -> Universe:
    file.write_text(dedent(text), encoding="utf-8")
    return load_universe(file)


def complaints(file: Path, text: str) -> list[str]:
    """The problems as told, without the folder in front."""
    with pytest.raises(UniverseError) as caught:
        load(file, text)
    hidden = caught.value.__suppress_context__ or caught.value.__context__ is None
    assert hidden, "a traceback would show pydantic's copy of the values"
    return [line.removeprefix(f"{file.parent}/") for line in str(caught.value).splitlines()]


def with_listing(listing: str) -> str:
    return f"""\
start: 2020-01-01
providers: {{bitfinex: }}
instruments:
  BTC-USD:
    class: crypto_spot
    listings:
      bitfinex: {listing}
"""


def with_provider(options: str) -> str:
    return f"start: 2020-01-01\nproviders:\n  bitfinex: {options}\ninstruments: {{}}\n"
