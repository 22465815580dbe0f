"""Whatever stands where another thing is wanted, the universe file is told about in words."""

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from pipeline.universe import UniverseError, load_universe

WHOLE = """\
    start: 2020-01-01
    providers:
      kraken:
        client: ccxt
        exchange: kraken
        base_url: http://host
        start: 2021-01-01
        limits: {requests: 1, seconds: 1}
        budget: {requests: 1, seconds: 1}
        bars_per_request: 9
        lag: 1m
        settle: [1h, 1d]
      alpaca: {feed: sip}
      listed:
        client: files
        files:
          path: /a/{symbol}
          member: "*"
          format: csv
          columns: [time, open, high, low, close, _]
          header: no
          skip_lines: 1
          delimiter: ;
          decimal: .
          thousands: "'"
          encoding: utf-8
          time: iso
          zone: UTC
          stamp: start
          price_scale: 10
          covers: rows
      named:
        client: files
        files:
          path: /b/{symbol}/{year}
          columns: {time: t, open: o, high: h, low: l, close: c}
          header: yes
          zone: UTC
          stamp: end
    sessions:
      floor: {zone: America/New_York, hours: [Mon-Fri 09:30 - 16:00], closed: [2024-12-24]}
      long: {exchange: XNYS, extended: [04:00, 20:00]}
    selection: [{class: [etf], region: US, providers: [alpaca, listed]}]
    instruments:
      SPY:
        class: etf
        name: Spider
        session: long
        region: US
        listings:
          alpaca: {symbol: SPY, key: spy, start: 2021-01-01, end: 2022-01-01, session: floor}
          listed: {symbol: SPY, role: standby}
"""
Place = tuple[str | int, ...]


def parsed() -> Any:
    return yaml.load(dedent(WHOLE), Loader=yaml.BaseLoader)


def places(value: object, path: Place = ()) -> Iterator[Place]:
    """Every place below the file as a whole."""
    below = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
    for part, inner in below:
        yield (*path, part)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, part))


def with_other(path: Place, other: object) -> object:
    """The file with something else at a place."""
    whole = around = parsed()
    for part in path[:-1]:
        around = around[part]
    around[path[-1]] = other
    return whole


def test_the_whole_file_is_good(tmp_path: Path) -> None:
    file = tmp_path / "universe.yaml"
    file.write_text(dedent(WHOLE))
    assert len(load_universe(file).listings()) == 2


@pytest.mark.parametrize("other", [None, [["x"]], {"a": ["b"]}], ids=["nothing", "list", "mapping"])
def test_a_value_of_another_shape_is_told_in_words_at_a_place_of_the_file(
    other: object, tmp_path: Path
) -> None:
    file = tmp_path / "universe.yaml"
    told = 0
    for path in places(parsed()):
        file.write_text(yaml.safe_dump(with_other(path, other)))
        try:
            load_universe(file)
        except UniverseError as error:
            told += 1
            for problem in error.problems:
                assert problem.line, path
                assert "; " in problem.text, path
                assert "input should" not in problem.text, path
                assert not any("[" in str(part) for part in problem.path), path
    assert told > 30
