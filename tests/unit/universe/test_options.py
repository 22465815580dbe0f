"""What the options of providers, listings and sessions may not be."""

from pathlib import Path

import pytest

from tests.unit.universe.texts import cases, complaints, with_listing, with_provider

OPTIONS = """
hello
    : must be a mapping, not the text 'hello'; write its keys indented below it

{client: ccx}
    .client: is the text 'ccx' (did you mean ccxt?); use ccxt, alpaca, alpha_vantage, coingecko,
    files, fmp, ibkr or yahoo

{limit: 3}
    .limit: is not an option here (did you mean limits?); use client, exchange, feed, base_url,
    start, limits, budget, bars_per_request, lag, refresh, settle
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
