"""The universe file as text: YAML's surprises, and files that are none."""

import string
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.universe import UniverseError, load_universe
from tests.unit.universe.texts import SMALL, complaints, load, with_listing


@pytest.mark.parametrize(
    "word", ["NO", "ON", "1e3", "007", "1_000", "12:30", "2020-01-01", "NULL", "0x1F"]
)
def test_a_symbol_stays_the_text_that_was_written(word: str, file: Path) -> None:
    (spec,) = load(file, with_listing(word)).listings()
    assert spec.symbol == word


@pytest.mark.parametrize("word", ["NO", "ON", "1e3", "007", "12:30", "2020-01-01", "Null"])
def test_a_key_stays_the_text_that_was_written(word: str, file: Path) -> None:
    (spec,) = load(file, with_listing("BTC").replace("BTC-USD", word)).listings()
    assert (spec.key, spec.instrument) == (word, word)


@given(symbol=st.text(string.printable.strip(), min_size=1).map(str.strip).filter(bool))
def test_any_symbol_survives_the_file(
    symbol: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    listing = {"BTC": {"class": "index", "listings": {"p": symbol}}}
    data = {"start": "2020-01-01", "providers": {"p": {}}, "instruments": listing}
    file.write_text(yaml.safe_dump(data))
    assert load_universe(file).listings()[0].symbol == symbol


def test_a_byte_order_mark_is_no_part_of_the_file(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + dedent(SMALL).encode())
    assert len(load_universe(file).listings()) == 3


def test_a_missing_file_points_to_init(file: Path) -> None:
    with pytest.raises(UniverseError) as caught:
        load_universe(file)
    expected = f"{file}: there is no such file; `minuteledger init` writes one to start from"
    assert str(caught.value) == expected


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(UniverseError, match=r"cannot be read \(Is a directory\); correct MINUTE"):
        load_universe(tmp_path)


def test_a_file_that_is_not_text_is_refused(file: Path) -> None:
    file.write_bytes(b"start: \xff")
    with pytest.raises(UniverseError, match="it is not UTF-8 text; save it as UTF-8"):
        load_universe(file)


TAB = r"2: found character '\t' that cannot start any token; indent with spaces, never tabs"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1: the file is empty; `minuteledger init` writes one to start from"),
        ("# nothing\n", "1: the file is empty; `minuteledger init` writes one to start from"),
        ("- a\n", "1: must be a mapping, not a list; write its keys indented below it"),
        ("hello", "1: must be a mapping, not the text 'hello'; write its keys indented below it"),
        ("a:\n\tb: 1", TAB),
        ("a: 1\nb: c: 2", "2: mapping values are not allowed here; correct the YAML around it"),
        ("a: 'b", "1: found unexpected end of stream; correct the YAML around it"),
        ("a: \x07", " it holds characters that YAML does not allow; correct the YAML around it"),
        ("a: 1\n---\nb: 2", "2: but found another document; correct the YAML around it"),
    ],
)
def test_what_is_not_a_mapping_in_yaml_is_refused_with_its_line(
    text: str, problem: str, file: Path
) -> None:
    assert complaints(file, text) == [f"universe.yaml:{problem}"]


def test_missing_parts_are_told_with_what_to_write(file: Path) -> None:
    assert complaints(file, "{}") == [
        "universe.yaml:1: instruments: is missing; write `instruments: {}`",
        "universe.yaml:1: providers: is missing; write `providers: {bitfinex: {}}`",
        "universe.yaml:1: start: is missing; write `start: 2020-01-01`",
    ]


def test_a_key_written_twice_is_an_error_where_yaml_would_keep_the_last(file: Path) -> None:
    text = with_listing("BTC").replace("    class:", "    class: etf\n    class:")
    (told,) = complaints(file, text)
    assert told == (
        "universe.yaml:6: instruments.BTC-USD.class: "
        "is written twice (first on line 5); keep one of them"
    )


def test_a_tag_a_key_that_is_no_text_and_endless_nesting_are_errors(file: Path) -> None:
    text = SMALL + "    ? [a]\n    : 1\n    deep: &again {a: *again}\n    tag: !env HOME\n"
    told = complaints(file, text)
    assert told[0] == "universe.yaml:15: has a key that is not text; write a name"
    assert "universe.yaml:18: tag: has the tag !env; write the plain value" in told
    assert any("is nested too deep; see universe.example.yaml" in problem for problem in told)


@pytest.mark.parametrize("opening", ["[", "- ", "? ", "{a: "])
def test_an_abyss_is_an_error_and_no_crash(file: Path, opening: str) -> None:
    assert complaints(file, "deep:\n  " + opening * 100_000) == [
        "universe.yaml:2: it is nested too deep; see universe.example.yaml"
    ]
