"""What the universe says of files, and how everything that is wrong with it is told."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from _pytest.mark import ParameterSet

from pipeline.universe import UniverseError, load_universe

UNIVERSE = """\
start: 2020-01-01
providers:
  history: {{client: files, files: {files}}}
instruments: {{}}
"""
GOOD = {
    "path": "/data/{symbol}.csv",
    "columns": "[time, open, high, low, close]",
    "zone": "UTC",
    "stamp": "start",
}


def written(**options: str | None) -> str:
    """Return a universe with good files, but for some options; None leaves one out."""
    merged = {name: value for name, value in (GOOD | options).items() if value is not None}
    quoted = merged | {"path": f"'{merged['path']}'"} if "path" in merged else merged
    return UNIVERSE.format(files="{" + ", ".join(f"{k}: {v}" for k, v in quoted.items()) + "}")


def complaints(file: Path, text: str) -> list[str]:
    file.write_text(text)
    with pytest.raises(UniverseError) as caught:
        load_universe(file)
    return [line.removeprefix(f"{file}:") for line in str(caught.value).splitlines()]


def cases(text: str) -> list[ParameterSet]:
    blocks = (block.splitlines() for block in dedent(text).strip().split("\n\n"))
    return [
        pytest.param(*wrong.split(": ", 1), " ".join(map(str.strip, told)), id=wrong)
        for wrong, *told in blocks
    ]


WRONG = """
path: data/{symbol}.csv
    path: is 'data/{symbol}.csv', which means another folder to each process; begin with /, ~/
    or a URL

path: s3://me:hunter2@bucket/{symbol}.csv
    path: must not carry a user, password or query; remove it, the storage's own variables and
    files hold credentials (see docs/files.md)

path: /data/{ticker}.csv
    path: has the placeholder {ticker}; use {symbol}, {year}, {month}, {day}, or * for anything

path: /data/{symbol.csv
    path: has a brace without its pair; write placeholders as {symbol}

path: /data/all.csv
    path: does not say which symbol a file is of; write {symbol} in it, or name the column that
    holds it

path: /data/{symbol}/{month}.csv
    path: has {month} without {year}; a period needs both

columns: [time, open, high, low]
    columns: lacks close; say which column holds it

columns: [time, open, high, low, close, close]
    columns: has close twice; name each column once, others _

columns: [time, open, high, low, close, vol]
    columns: has 'vol', which is no column of a bar; use time, date, open, high, low, close,
    volume, vwap, trades, symbol, or _

columns: [time, open, high, low, close, symbol]
    columns: has symbol, which the path has already; keep one of them

columns: [time, open, high, low, [close]]
    columns: has ['close'], which is no column of a bar; use time, date, open, high, low, close,
    volume, vwap, trades, symbol, or _

columns: {time: t, open: o, high: h, low: l, close: }
    columns: gives no name for close; write what the header row calls it

columns: time
    columns: must be a list or a mapping; write [time, open, high, low, close, volume] for files
    without a header row, {time: Date, open: Open, ...} for those with one

zone: Amerika/New_York
    zone: is 'Amerika/New_York', which is no IANA time zone; write America/New_York,
    Europe/London or UTC

zone: Europe
    zone: is 'Europe', which is no IANA time zone; write America/New_York, Europe/London or UTC

stamp: middle
    stamp: is the text 'middle'; use start or end

time: ms_of_day
    time: is ms_of_day, and no file name says which day; write {day} in the path

time: seconds
    time: is 'seconds'; use iso, epoch, epoch_s, epoch_ms, epoch_us, epoch_ns, ms_of_day, or a
    pattern such as '%Y%m%d %H%M%S'

time: '%Y-%m-%d %H:%M %z'
    time: has %z or %Z; stamps with an offset are read as iso

delimiter: ab
    delimiter: is 'ab'; use one character, or tab or space

delimiter: '.'
    delimiter: is the same character as decimal or thousands; correct one of them

encoding: utf-9
    encoding: is 'utf-9', which is no encoding; write utf-8 or latin-1

covers: period
    covers: is period, and the path has none; write {year} and so on, or covers: rows

price_scale: 0
    price_scale: must be more than 0, not the text '0'; write a positive number

price: 1
    price: is not an option here (did you mean price_scale?); use path, member, format, columns,
    header, skip_lines,
    delimiter, decimal, thousands, encoding, time, zone, stamp, price_scale or covers
"""


@pytest.mark.parametrize(("option", "value", "told"), cases(WRONG))
def test_an_option_of_files_that_cannot_be_is_told_with_the_fix(
    option: str, value: str, told: str, tmp_path: Path
) -> None:
    found = complaints(tmp_path / "universe.yaml", written(**{option: value}))
    assert found == [f"3: providers.history.files.{told}"]


@pytest.mark.parametrize("option", ["path", "columns", "stamp", "zone"])
def test_nothing_that_changes_what_a_bar_says_is_guessed(option: str, tmp_path: Path) -> None:
    found = complaints(tmp_path / "universe.yaml", written(**{option: None}))
    assert len(found) == 1
    assert found[0].startswith(f"3: providers.history.files.{option}: is missing")


def test_epochs_need_no_zone(tmp_path: Path) -> None:
    file = tmp_path / "universe.yaml"
    file.write_text(written(zone=None, time="epoch"))
    assert load_universe(file).client("history") == "files"


def test_a_mapping_needs_a_header_row(tmp_path: Path) -> None:
    columns = "{time: t, open: o, high: h, low: l, close: c}"
    found = complaints(tmp_path / "universe.yaml", written(columns=columns, header="no"))
    told = "must be yes where columns go by name; list the columns in order instead"
    assert found == [f"3: providers.history.files.header: {told}"]


@pytest.mark.parametrize(
    ("provider", "told"),
    [
        ("{client: files}", ": says nothing of its files; write `files:` with path, columns"),
        (written().split("history: ")[1].splitlines()[0][:-1] + ", limits: {requests: 1, "
         "seconds: 1}}", ".limits: means nothing to files; remove it"),
    ],
)  # fmt: skip
def test_a_provider_has_files_exactly_when_it_is_one_of_files(
    provider: str, told: str, tmp_path: Path
) -> None:
    text = f"start: 2020-01-01\nproviders:\n  history: {provider}\ninstruments: {{}}\n"
    found = complaints(tmp_path / "universe.yaml", text)
    assert found[0].startswith(f"3: providers.history{told}")


def test_files_of_an_exchange_are_told(tmp_path: Path) -> None:
    text = written().replace("client: files", "exchange: kraken")
    found = complaints(tmp_path / "universe.yaml", text)
    assert found == [
        "3: providers.history.files: is for the client files, not for ccxt; remove either"
    ]
