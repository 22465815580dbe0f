"""The universe file: what it means, and how everything that is wrong with it is told at once."""

import json
import re
import string
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from _pytest.mark import ParameterSet
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.settling import Settling
from pipeline.universe import (
    ListingSpec,
    Universe,
    UniverseError,
    json_schema,
    load_universe,
    values,
)

ROOT = Path(__file__).parents[2]
FIRST, LAST = (datetime(year, 1, 2) for year in (2009, 2026))  # noqa: DTZ001  zones follow
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


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "universe.yaml"


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


# What a good file means


def test_listings_come_sorted_with_every_default_filled_in(file: Path) -> None:
    universe = load(file, SMALL)
    bitfinex = (
        ListingSpec(
            provider="bitfinex",
            key="BTC-USD",
            instrument="BTC-USD",
            asset_class="crypto_spot",
            symbol="tBTCUSD",
            start=utc(2020, 1, 1),
        ),
        ListingSpec(
            provider="bitfinex",
            key="ETH-USD",
            instrument="ETH-USD",
            asset_class="crypto_spot",
            symbol="ETH/USD",
            start=utc(2022, 3, 4, 3, 6),
            end=utc(2023, 1, 1),
        ),
    )
    coinbase = ListingSpec(
        provider="coinbase",
        key="BTC-USD",
        instrument="BTC-USD",
        asset_class="crypto_spot",
        symbol="BTC-USD",
        start=utc(2021, 6, 15),
        session="24x7",
    )
    assert universe.listings() == (*bitfinex, coinbase)
    assert universe.listings("bitfinex") == bitfinex
    assert universe.listings("nobody") == ()


def test_the_first_month_is_that_of_the_earliest_start_of_a_provider(file: Path) -> None:
    universe = load(file, SMALL)
    assert universe.first_month("bitfinex") == date(2020, 1, 1)
    assert universe.first_month("coinbase") == date(2021, 6, 1)
    with pytest.raises(KeyError):
        universe.first_month("kraken")


def test_a_provider_needs_no_listings(file: Path) -> None:
    universe = load(file, with_provider("{start: 2021-05-06}"))
    assert universe.listings() == ()
    assert universe.first_month("bitfinex") == date(2021, 5, 1)


def test_the_exchange_is_named_like_the_provider_unless_it_says_otherwise(file: Path) -> None:
    text = (
        "start: 2020-01-01\nproviders: {kraken: , futures: {exchange: krakenfutures}}\ninstruments:"
    )
    universe = load(file, text)
    assert universe.source("kraken") == "kraken"
    assert universe.source("futures") == "krakenfutures"


def test_a_provider_takes_an_address_limits_and_a_page_size(file: Path) -> None:
    limits = "limits: {requests: 12, seconds: 0.5}, bars_per_request: 9, settle: [90m, 2w]"
    options = f"{{base_url: 'http://127.0.0.1:8765/binance/', {limits}}}"
    provider = load(file, with_provider(options)).providers["bitfinex"]
    assert provider.base_url == "http://127.0.0.1:8765/binance"
    assert provider.limits is not None
    assert (provider.limits.requests, provider.limits.seconds) == (12, 0.5)
    assert provider.bars_per_request == 9
    assert provider.settling == Settling((timedelta(minutes=90), timedelta(weeks=2)))


def test_two_listings_at_one_provider_take_keys_of_their_own(file: Path) -> None:
    text = """\
        start: 2020-01-01
        providers: {bitfinex: {}}
        instruments:
          BTC-USD: {class: crypto_spot, listings: {bitfinex: BTC/USD}}
          BTC-OLD: {class: crypto_spot, listings: {bitfinex: {symbol: tBTCOLD, key: ^BTC=X.1}}}
    """
    assert [spec.key for spec in load(file, text).listings()] == ["BTC-USD", "^BTC=X.1"]


def test_the_fingerprint_follows_providers_and_first_months_and_nothing_else(file: Path) -> None:
    before = load(file, SMALL).fingerprint()
    later = SMALL + "      X: {class: etf, listings: {bitfinex: {symbol: x, start: 2023-01-01}}}\n"
    assert load(file, later).fingerprint() == before
    assert load(file, SMALL.replace("2020-01-01", "2020-01-31")).fingerprint() == before
    assert load(file, later.replace("start: 2023-01", "start: 2019-12")).fingerprint() != before
    assert load(file, SMALL.replace("bitfinex", "bitstamp")).fingerprint() != before
    assert re.fullmatch("[0-9a-f]{16}", before)


def test_a_universe_does_not_change(file: Path) -> None:
    universe = load(file, SMALL)
    with pytest.raises(ValidationError):
        universe.start = utc(2021)  # type: ignore[misc]  # the type says so too


# YAML's surprises


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


@given(
    moment=st.datetimes(FIRST, LAST),
    hours=st.integers(-12, 12),
    sign=st.sampled_from(["T", " "]),
)
def test_a_moment_in_any_zone_is_the_same_minute_in_utc(
    moment: datetime, hours: int, sign: str
) -> None:
    local = moment.replace(second=0, microsecond=0, tzinfo=timezone(timedelta(hours=hours)))
    written = local.isoformat(sign, "minutes")
    assert values.instant(written) == local
    assert values.instant(written).tzinfo is UTC


def test_a_byte_order_mark_is_no_part_of_the_file(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + dedent(SMALL).encode())
    assert len(load_universe(file).listings()) == 3


# What is wrong with the file as a whole


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


# What is wrong with one value


OPTIONS = """
hello
    : must be a mapping, not the text 'hello'; write its keys indented below it

{client: ccx}
    .client: is the text 'ccx' (did you mean ccxt?); use ccxt, alpaca, alpha_vantage, files
    or yahoo

{limit: 3}
    .limit: is not an option here (did you mean limits?); use client, exchange, feed, base_url,
    start, limits, budget, bars_per_request, lag, settle
    or files

{limits: 3}
    .limits: must be a mapping, not the text '3'; write its keys indented below it

{limits: {requests: 3}}
    .limits.seconds: is missing; write `seconds: 60`

{budget: {requests: 3}}
    .budget.seconds: is missing; write `seconds: 60`

{budget: {requests: 3, seconds: 1, per: 2}}
    .budget.per: is not an option here; use requests or seconds

{client: [ccxt]}
    .client: must be text, not a list; write one value after the colon

{exchange: {name: kraken}}
    .exchange: must be text, not a mapping; write one value after the colon

{limits: {requests: few, seconds: 1}}
    .limits.requests: must be a whole number, not the text 'few'; write digits only

{limits: {requests: 1, seconds: [1]}}
    .limits.seconds: must be a number, not a list; write digits only

{limits: {requests: 1, seconds: .inf}}
    .limits.seconds: must be a number, not the text '.inf'; write digits only

{limits: {requests: 1, seconds: inf}}
    .limits.seconds: must be a number, not the text 'inf'; write digits only

{limits: {requests: 1, seconds: 1, per: 2}}
    .limits.per: is not an option here; use requests or seconds

{bars_per_request: 0}
    .bars_per_request: must be more than 0, not the text '0'; write a positive number

{settle: 1h}
    .settle: must be a list, not the text '1h'; write it in brackets

{settle: []}
    .settle: names no delay; name at least one, as in [1h, 1d, 7d]

{settle: [1h, soon]}
    .settle.1: is the text 'soon', which is no delay; write 90m, 1h, 7d or 2w

{settle: [1h, [1d]]}
    .settle.1: is a list, which is no delay; write 90m, 1h, 7d or 2w

{settle: [1d, 24h]}
    .settle: has delays that do not rise; write the shortest first, each once

{settle: [999999999999d]}
    .settle.0: is '999999999999d', beyond the calendar; write 90m, 1h, 7d or 2w

{api_key: hunter2}
    .api_key: does not belong here; keys and passwords come from the environment (see
    .env.example)

{base_url: 'ftp://host'}
    .base_url: is not a web address; write http://host:port/path or https://...

{base_url: 'http://'}
    .base_url: is not a web address; write http://host:port/path or https://...

{base_url: 'http://host:http'}
    .base_url: is not a web address; write http://host:port/path or https://...

{base_url: 'http://me:hunter2@host'}
    .base_url: must not carry a user, password or query; remove it, keys come from the
    environment (see .env.example)

{base_url: 'http://host/?apikey=hunter2'}
    .base_url: must not carry a user, password or query; remove it, keys come from the
    environment (see .env.example)

{feed: sip}
    .feed: is 'sip', which it does not have; it has but one; remove it

{exchange: Kraken}
    .exchange: is 'Kraken', not usable as a provider's name; use lower-case letters,
    digits and _, a letter first
"""


@pytest.mark.parametrize(("options", "told"), cases(OPTIONS))
def test_an_option_of_a_provider_that_cannot_be_is_told_with_the_fix(
    options: str, told: str, file: Path
) -> None:
    assert "hunter2" not in told
    expected = f"universe.yaml:3: providers.bitfinex{told}"
    assert complaints(file, with_provider(options)) == [expected]


LISTINGS = """
~
    : names no symbol; write it after the colon, as in bitfinex: BTC/USD

'  '
    .symbol: is blank; write the value after the colon

[BTC]
    : must be a mapping, not a list; write its keys indented below it

{}
    .symbol: is missing; write `symbol: BTC/USD`

{symbol: }
    .symbol: must be text, not empty; write one value after the colon

{symbol: {a: b}}
    .symbol: must be text, not a mapping; write one value after the colon

{symbol: x, strat: 2021-01-01}
    .strat: is not an option here (did you mean start?); use symbol, key, start, end, session or
    role

{symbol: x, key: a/b}
    .key: is 'a/b', not usable as a key; use letters, digits and . _ : ^ = - (not first),
    as in BTC-USD or BRK.B

{symbol: x, start: 1969-12-31}
    .start: is 1969-12-31, before any minute bars; use 1970-01-01 or later

{symbol: x, start: 2999-01-01}
    .start: is 2999-01-01 00:00 UTC, in the future; use a time that has been

{symbol: x, start: '2021-01-01T00:00:30'}
    .start: is 00:00:30, inside a minute; use a whole minute

{symbol: x, start: 2021-01-01, end: 2021-01-01}
    .end: is not after the listing's start, 2021-01-01 00:00 UTC; use a later end, or an
    earlier start

{symbol: x, end: 2019-01-01}
    .end: is not after the listing's start, 2020-01-01 00:00 UTC; use a later end, or an
    earlier start
"""


@pytest.mark.parametrize(("listing", "told"), cases(LISTINGS))
def test_a_listing_that_cannot_be_is_told_with_the_fix(listing: str, told: str, file: Path) -> None:
    expected = f"universe.yaml:7: instruments.BTC-USD.listings.bitfinex{told}"
    assert complaints(file, with_listing(listing)) == [expected]


SESSIONS = """
{zone: America, hours: [Mon-Fri 09:30 - 16:00]}
    .zone: is 'America', which is no IANA time zone; write America/New_York, Europe/London or UTC

{zone: Amerika/New_York, hours: [Mon-Fri 09:30 - 16:00]}
    .zone: is 'Amerika/New_York', which is no IANA time zone; write America/New_York,
    Europe/London or UTC

{zone: UTC, hours: [Mon-Fri 09:30 - 16:00], closed: [Monday]}
    .closed.0: must be a day, not the text 'Monday'; write 2024-12-24

{exchange: XNYS, extended: ['04:00']}
    .extended: has too few values; write `extended: [04:00, 20:00]`
"""


@pytest.mark.parametrize(("session", "told"), cases(SESSIONS))
def test_a_session_that_cannot_be_is_told_with_the_fix(session: str, told: str, file: Path) -> None:
    text = f"sessions:\n  mine: {session}\n" + with_listing("x")
    assert complaints(file, text) == [f"universe.yaml:2: sessions.mine{told}"]


@pytest.mark.parametrize(
    "written", ["2020", "1577836800", "2020-1-1", "20200101", "2020-W01", "soon", "2020-01-01T24"]
)
def test_what_is_not_a_date_is_refused_where_it_could_be_taken_for_one(
    written: str, file: Path
) -> None:
    (told,) = complaints(file, with_provider(f"{{start: {written}}}"))
    assert told == (
        f"universe.yaml:3: providers.bitfinex.start: is '{written}', which is not a date or time; "
        "write 2020-01-31 or 2020-01-31T09:30Z (without a zone, UTC is meant)"
    )


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("2020-02-30", "is '2020-02-30': day is out of range for month; write 2020-01-31"),
        ("0001-01-01T00:00+14:00", "is 0001-01-01 00:00:00+14:00, beyond the calendar; write"),
        ("[2020]", "must be a date or time; write 2020-01-31"),
    ],
)
def test_a_date_that_no_calendar_has_is_refused(written: str, why: str, file: Path) -> None:
    (told,) = complaints(file, with_provider(f"{{start: {written}}}"))
    assert told.startswith(f"universe.yaml:3: providers.bitfinex.start: {why}")


@pytest.mark.parametrize("key", ["a,b", "a[b", "a]b", "a|b", "a/b", "a b", "-a", "a...b", "ä"])
def test_a_key_that_is_unsafe_as_a_partition_key_is_refused(key: str, file: Path) -> None:
    text = with_listing("x").replace("  BTC-USD:", f"  '{key}':")
    (told,) = complaints(file, text)
    assert told.startswith("universe.yaml:4: instruments.")
    assert f"is {key!r}, not usable as a key; use letters, digits and" in told


@pytest.mark.parametrize("name", ["Kraken", "1inch", "gate.io", "my-own", "_x", "a b"])
def test_a_provider_name_that_is_unsafe_is_refused(name: str, file: Path) -> None:
    (told,) = complaints(file, with_provider("").replace("bitfinex", name))
    assert told.startswith("universe.yaml:3: providers.")
    assert f"is {name!r}, not usable as a provider's name; use lower-case letters" in told


def test_a_class_that_does_not_exist_is_told_with_those_that_do(file: Path) -> None:
    (told,) = complaints(file, with_listing("x").replace("crypto_spot", "crypto_spt"))
    assert told == (
        "universe.yaml:5: instruments.BTC-USD.class: is the text 'crypto_spt' (did you mean "
        "crypto_spot?); use crypto_spot, crypto_swap, crypto_future, equity, etf, fx or index"
    )


def test_a_key_with_a_dot_is_quoted_in_the_place_it_names(file: Path) -> None:
    (told,) = complaints(file, with_listing("").replace("BTC-USD", "BRK.B"))
    assert told.startswith('universe.yaml:7: instruments."BRK.B".listings.bitfinex: ')


# What is wrong between listings


def test_a_listing_at_an_unknown_provider_is_told_with_the_nearest(file: Path) -> None:
    text = with_listing("x").replace("      bitfinex", "      bitfinx")
    (told,) = complaints(file, text)
    assert told == (
        "universe.yaml:7: instruments.BTC-USD.listings.bitfinx: is no provider here "
        "(did you mean bitfinex?); add it under providers, or correct it"
    )


def test_one_key_or_one_symbol_for_two_listings_of_a_provider_is_an_error(file: Path) -> None:
    text = (
        SMALL
        + """\
      OTHER:
        class: crypto_spot
        listings:
          bitfinex: {symbol: tBTCUSD, key: ETH-USD}
          coinbase: ETH/USD
    """
    )
    key, symbol = complaints(file, text)
    assert key == (
        "universe.yaml:18: instruments.OTHER.listings.bitfinex: has the key 'ETH-USD', which "
        "instruments.ETH-USD.listings.bitfinex has already; "
        "give it another key, or remove one of them"
    )
    assert symbol == (
        "universe.yaml:18: instruments.OTHER.listings.bitfinex: has the symbol 'tBTCUSD', which "
        "instruments.BTC-USD.listings.bitfinex has already; "
        "give it another symbol, or remove one of them"
    )


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file(file: Path) -> None:
    text = """\
        start: 2999-01-01
        providers:
          Bitfinex: {}
          kraken: {strat: 2020-01-01}
          kraken: {}
        instruments:
          BTC:
            class: coin
            listings:
              binance: NO
              kraken: {symbol: NO, start: 2021-01-01, end: 2020-01-01}
          ETH:
            listings:
              kraken: NO
    """
    places = [problem.split(": ")[:2] for problem in complaints(file, text)]
    assert places == [
        ["universe.yaml:1", "start"],
        ["universe.yaml:3", "providers.Bitfinex"],
        ["universe.yaml:4", "providers.kraken.strat"],
        ["universe.yaml:5", "providers.kraken"],
        ["universe.yaml:8", "instruments.BTC.class"],
        ["universe.yaml:10", "instruments.BTC.listings.binance"],
        ["universe.yaml:11", "instruments.BTC.listings.kraken.end"],
        ["universe.yaml:12", "instruments.ETH.class"],
        ["universe.yaml:14", "instruments.ETH.listings.kraken"],
    ]


def test_a_universe_made_in_python_is_held_to_the_same_rules() -> None:
    listing = {"class": "etf", "listings": {"kraken": "x"}}
    with pytest.raises(ValidationError, match="is no provider here") as caught:
        Universe.model_validate(
            {"start": utc(2020), "providers": {}, "instruments": {"X": listing}}
        )
    assert caught.value.errors()[0]["loc"] == ("instruments", "X", "listings", "kraken")


# The schema and the example


def test_the_committed_schema_is_the_one_of_the_models() -> None:
    committed = json.loads((ROOT / "docs" / "universe.schema.json").read_text())
    assert committed == json_schema(), "run `make schema` and commit docs/universe.schema.json"


def test_the_schema_knows_both_forms_of_a_listing_and_describes_every_key() -> None:
    schema = json_schema()
    short, long = schema["$defs"]["ListingConfig"]["anyOf"]
    assert (short["type"], short["minLength"]) == ("string", 1)
    assert (long["type"], long["required"]) == ("object", ["symbol"])
    for model in (
        schema,
        long,
        *(schema["$defs"][f"{name}Config"] for name in ("Provider", "Instrument", "Limit")),
    ):
        assert model["additionalProperties"] is False
        for name, option in model["properties"].items():
            assert option["description"], name


def test_the_schema_refuses_the_names_that_the_models_refuse() -> None:
    schema = json_schema()
    for name, pattern in (("providers", values.PROVIDER), ("instruments", values.KEY)):
        names = schema["properties"][name]
        assert list(names["patternProperties"]) == [pattern]
        assert names["additionalProperties"] is False


def test_the_example_universe_is_a_good_one() -> None:
    example = ROOT / "universe.example.yaml"
    universe = load_universe(example)
    assert set(universe.providers) == {"bitfinex", "binance", "kraken", "coinbase"}
    assert all(universe.listings(provider) for provider in universe.providers)
    first = example.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=docs/universe.schema.json"
