"""The capability table, the addresses, and what counts as an answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import ccxt
import pytest

from pipeline.providers.capabilities import RateLimit
from pipeline.providers.ccxt_errors import translate
from pipeline.providers.ccxt_session import open_exchange, raw_candles
from pipeline.providers.errors import MalformedAnswer
from pipeline.providers.limiter import Unlimited
from pipeline.providers.table import CAPABILITIES, capabilities_for
from pipeline.providers.watch import Exchanged, Watch

BASE = "http://127.0.0.1:9/mirror"


def _opened(name: str, types: tuple[str, ...] = ("spot",)) -> Any:
    capabilities = capabilities_for(name)
    watch = Watch(name, capabilities, Unlimited(), translate)
    return open_exchange(name, watch, base_url=BASE + "/", timeout_seconds=1.0, types=types)


def _served() -> list[str]:
    clients = {name: getattr(ccxt, name)() for name in ccxt.exchanges}
    return [
        name
        for name, client in clients.items()
        if client.has.get("fetchOHLCV") is True and "1m" in client.timeframes
    ]


def test_pages_of_the_table_are_no_longer_than_ccxt_knows_them_to_be() -> None:
    for name, row in CAPABILITIES.items():
        assert row.client != "ccxt" or row.bars_per_request <= capabilities_of(name), name


def capabilities_of(name: str) -> int:
    page: int = getattr(ccxt, name)().features["spot"]["fetchOHLCV"]["limit"]
    return page


def test_every_exchange_that_ccxt_knows_has_careful_capabilities() -> None:
    for name in _served():
        row = capabilities_for(name)
        if row.client != "ccxt":
            continue  # one of ours goes by the same name
        assert 1 <= row.bars_per_request <= 10_000
        assert row.request_weight <= row.limit.requests
        if name not in CAPABILITIES:
            assert row.limit.requests / row.limit.seconds <= 10
            assert not row.ends_window


def test_the_universe_overrides_limit_and_page() -> None:
    row = capabilities_for("binance", RateLimit(10, 1.0), 500)
    assert (row.limit, row.bars_per_request) == (RateLimit(10, 1.0), 500)
    assert row.list_weight == 10  # a market list must fit into the limit
    assert row.refusal_pause == timedelta(seconds=60)


@pytest.mark.parametrize("wrong", [RateLimit(0, 1.0), RateLimit(1, 0.0)])
def test_a_limit_that_allows_nothing_is_refused(wrong: RateLimit) -> None:
    with pytest.raises(ValueError, match="allows nothing"):
        capabilities_for("binance", wrong)


def test_every_address_of_every_exchange_is_moved() -> None:
    for name in _served():
        exchange = _opened(name)
        found = list(_addresses(exchange.urls["api"]))
        assert found, name
        assert all(url.startswith(BASE + "/") or url == BASE for url in found), name
        assert not any("{" in url for url in found), name


def _addresses(part: Any) -> list[str]:
    if isinstance(part, dict):
        return [url for inner in part.values() for url in _addresses(inner)]
    return [part] if isinstance(part, str) else []


def test_paths_are_kept_when_addresses_are_moved() -> None:
    assert _opened("binance").urls["api"]["public"] == BASE + "/api/v3"
    assert _opened("okx").urls["api"]["rest"] == BASE


@pytest.mark.parametrize(
    ("name", "types", "expected"),
    [
        ("binance", ("spot",), ["spot"]),
        ("binance", ("swap",), ["linear", "inverse"]),
        ("okx", ("spot", "future"), ["spot", "future"]),
        ("gate", ("spot",), ["spot"]),
        ("htx", ("spot",), {"spot": True, "linear": False, "inverse": False}),
    ],
)
def test_only_lists_that_hold_wanted_markets_are_asked_for(
    name: str, types: tuple[str, ...], expected: object
) -> None:
    assert _opened(name, types).options["fetchMarkets"]["types"] == expected


def test_a_list_must_be_the_exchanges_own() -> None:
    kraken, rows = _opened("kraken"), [[1, "2"]]
    empty: list[Any] = []
    answer = {"error": [], "result": {"XXBTZUSD": rows, "ETH": empty, "last": 5}}
    assert raw_candles(kraken, Exchanged(answers=[answer], rows=rows), []) is rows
    assert raw_candles(kraken, Exchanged(answers=[answer], rows=empty), []) is empty
    joined = Exchanged(answers=[answer], rows=[*rows])
    assert raw_candles(kraken, joined, []) == rows
    for made_up in ([], [[1, "2"]]):
        with pytest.raises(MalformedAnswer):
            raw_candles(kraken, Exchanged(answers=[answer], rows=made_up), [])
    with pytest.raises(MalformedAnswer):
        raw_candles(kraken, Exchanged(answers=[{}]), [])


def test_columns_of_which_ccxt_makes_rows_count_if_they_are_there() -> None:
    deribit = _opened("deribit")
    empty = Exchanged(answers=[{"result": {"ticks": [], "open": []}}], rows=[])
    assert raw_candles(deribit, empty, []) == []
    with pytest.raises(MalformedAnswer):
        raw_candles(deribit, Exchanged(answers=[{"result": {}}], rows=[]), [])
    made = Exchanged(answers=[{"result": {"ticks": [1]}}], rows=[[1, 2, 3, 4, 5, 6]])
    assert len(raw_candles(deribit, made, [])) == 1
