"""A ccxt exchange that is watched: each request is counted and limited, each answer is kept.

What belongs here: what must happen inside ccxt. Its `fetch_ohlcv` sorts candles, drops some in
silence, fills others in (Bitopro), and makes an empty list of bodies that are cut, are not JSON, or
lack the expected key. An answer of no candles is a fact that the ledger keeps, so it must come from
the exchange and not from ccxt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter

from pipeline.providers.errors import MalformedAnswer, Unsupported
from pipeline.providers.watch import Exchanged, Watch

if TYPE_CHECKING:
    from pipeline.providers.ccxt_rows import Row
    from pipeline.providers.headers import Headers

    class _Exchange:
        """The part of ccxt's untyped `Exchange` that is overridden here."""

        def fetch(self, *args: object, **kwargs: object) -> object:
            raise NotImplementedError

        def on_rest_response(
            self, code: int, reason: str, url: str, method: str, headers: Headers, *args: object
        ) -> str:
            raise NotImplementedError

        def parse_json(self, http_response: str) -> object:
            raise NotImplementedError

        def parse_ohlcvs(self, ohlcvs: object, *args: object) -> list[Any]:
            raise NotImplementedError
else:
    _Exchange = object

_DEPTH: Final = 4

_BUILDS_ROWS: Final = frozenset({"btcturk", "coinbaseinternational", "deribit", "mexc"})
"""Exchanges that send columns, of which ccxt makes rows: no list of rows is in their answers."""

_TYPE_NAMES: Final[Mapping[str, frozenset[str]]] = {
    "spot": frozenset({"spot"}),
    "swap": frozenset({"swap", "linear", "inverse", "contract"}),
    "future": frozenset({"future", "linear", "inverse", "contract"}),
}
"""The words in ccxt's `options.fetchMarkets.types` for the lists that hold a type of market."""


class Watched(_Exchange):
    """Put before a ccxt exchange class in a class's bases, it shows a `Watch` what goes on."""

    watch: Watch

    def fetch(self, *args: object, **kwargs: object) -> object:
        """Send one HTTP request (ccxt's one way out), in its turn."""
        return self.watch.send(lambda: super(Watched, self).fetch(*args, **kwargs))

    def on_rest_response(
        self, code: int, reason: str, url: str, method: str, headers: Headers, *args: object
    ) -> str:
        """Take an answer, in its turn; ccxt calls this once the body is there."""
        self.watch.received(headers)
        self.watch.decode_alone()
        body: str = super().on_rest_response(code, reason, url, method, headers, *args)
        return body

    def parse_json(self, http_response: str) -> object:
        """Decode a body and keep the result."""
        decoded = super().parse_json(http_response)
        self.watch.current.answers.append(decoded)
        return decoded

    def parse_ohlcvs(self, ohlcvs: object, *args: object) -> list[Any]:
        """Keep the raw candles; ccxt gets none to sort, drop or fill."""
        if isinstance(ohlcvs, list):
            self.watch.current.rows = ohlcvs
            return []
        # Columns (BtcTurk) are for ccxt's own class to read; without since and limit it drops none.
        return super().parse_ohlcvs(ohlcvs, *args[:2])


def open_exchange(
    exchange: str,
    watch: Watch,
    *,
    base_url: str | None,
    timeout_seconds: float,
    types: Iterable[str],
) -> Any:  # noqa: ANN401 - ccxt is untyped
    """Return a watched ccxt client without keys. Nothing is sent yet.

    Args:
        exchange: ccxt's id of the exchange.
        watch: What it reports to.
        base_url: Replaces scheme and host of every address; paths are kept.
        timeout_seconds: How long an answer may take to begin.
        types: Types of market to list, of `spot`, `swap`, `future`.

    Raises:
        Unsupported: ccxt has no such exchange, or cannot ask it for 1-minute bars.
    """
    import ccxt

    if exchange not in ccxt.exchanges:
        raise Unsupported(
            watch.provider, f"ccxt has no exchange {exchange!r}", "see ccxt.exchanges"
        )
    kind: Any = type(f"Watched_{exchange}", (Watched, getattr(ccxt, exchange)), {"watch": watch})
    client = kind({"enableRateLimit": False, "timeout": timeout_seconds * 1000})
    if client.has.get("fetchOHLCV") is not True or "1m" not in (client.timeframes or {}):
        raise Unsupported(watch.provider, f"{exchange} serves no 1-minute bars", "drop it")
    client.has["fetchCurrencies"] = False
    client.enableLastHttpResponse = client.enableLastJsonResponse = False
    _list_only(client, set(types))
    if base_url is not None:
        client.urls["api"] = _moved(client.urls["api"], base_url.rstrip("/"))
    for scheme in ("http://", "https://"):
        client.session.mount(scheme, HTTPAdapter(pool_maxsize=watch.capabilities.concurrency + 1))
    return client


def raw_candles(client: Any, exchanged: Exchanged, returned: list[Any]) -> list[Row]:  # noqa: ANN401
    """Return the candles of an answer, once it is sure that the exchange itself sent them.

    Args:
        client: The watched client.
        exchanged: What went over the wire for this call.
        returned: What ccxt's method returned.

    Raises:
        MalformedAnswer: The list of candles is not part of the answer.
    """
    rows = returned if exchanged.rows is None else exchanged.rows
    if set(map(type, rows)) <= {list, dict}:
        parts = [part for answer in exchanged.answers for part in _lists(answer, _DEPTH)]
        if any(part is rows for part in parts):
            return rows
        if client.id in _BUILDS_ROWS and (rows or [] in parts):
            return rows
        if rows and any(cell is rows[0] for part in parts for cell in part):
            return rows
    raise MalformedAnswer(client.watch.provider, "the answer holds no list of candles")


def _lists(document: object, depth: int) -> Iterable[list[Any]]:
    """Yield the lists in a decoded answer that may hold candles: none that lies inside another."""
    if isinstance(document, list):
        yield document
    if depth and isinstance(document, dict | list):
        parts = document.values() if isinstance(document, dict) else document[:_DEPTH]
        for part in parts:
            if isinstance(part, dict | list):
                yield from _lists(part, depth - 1)


def _list_only(client: Any, types: set[str]) -> None:  # noqa: ANN401
    """Keep ccxt from asking for lists of markets that nobody needs (Binance has three of them)."""
    wanted = frozenset().union(*(_TYPE_NAMES[name] for name in types))
    options = client.options.get("fetchMarkets")
    listed = options.get("types") if isinstance(options, dict) else None
    if isinstance(listed, list):
        options["types"] = [name for name in listed if name in wanted]
    elif isinstance(listed, dict):
        options["types"] = {n: v if n in wanted else False for n, v in listed.items()}


def _moved(address: Any, base_url: str) -> Any:  # noqa: ANN401 - text, or a mapping of such
    if isinstance(address, dict):
        return {name: _moved(part, base_url) for name, part in address.items()}
    return base_url + urlsplit(address).path if isinstance(address, str) else address
