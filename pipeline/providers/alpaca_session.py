"""alpaca-py's clients, watched: each request is counted, limited, and in time.

What belongs here: what must happen inside alpaca-py. It repeats requests by itself, waits for ever,
and its errors carry the request with the keys; its own paging goes on as long as a token comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from pipeline.providers.alpaca_errors import translate
from pipeline.providers.watch import Watch

if TYPE_CHECKING:
    import requests

    class _Client:
        """The part of alpaca-py's `RESTClient` that is overridden here."""

        _session: requests.Session
        _retry: int

        def _one_request(self, method: str, url: str, opts: dict[str, Any], retry: int) -> object:
            raise NotImplementedError

        def get(self, path: str, data: dict[str, Any] | None = None) -> object:
            raise NotImplementedError
else:
    _Client = object

PAPER_KEYS: Final = "PK"
"""How the id of a key begins that belongs to a paper account; other accounts have other hosts."""


class Watched(_Client):
    """Put before an alpaca-py client class in a class's bases, it shows a `Watch` what goes on."""

    watch: Watch
    timeout_seconds: float
    secrets: tuple[str, ...]

    def close(self) -> None:
        """Give back connections."""
        self._session.close()

    def _one_request(self, method: str, url: str, opts: dict[str, Any], retry: int) -> object:
        """Send one HTTP request (the SDK's one way out), in its turn."""
        opts = {**opts, "timeout": self.timeout_seconds}

        def request() -> object:
            try:
                return super(Watched, self)._one_request(method, url, opts, retry)
            except Exception as error:  # noqa: BLE001 - translated, and raised below
                failure = translate(self.watch.provider, error, self.secrets)
            # Not inside the handler: the error that led to it holds the keys, and would be kept.
            raise failure

        return self.watch.send(request)


def open_clients(
    watch: Watch, keys: Sequence[str], *, base_url: str | None, timeout_seconds: float
) -> tuple[Watched, Sequence[Watched]]:
    """Return the client of the data host, and those of the trading hosts that may know the keys.

    The first trading host is that of the account that the key belongs to by its looks; there is but
    one when `base_url` names it.

    Args:
        watch: What they report to.
        keys: The key's id and its secret.
        base_url: Replaces scheme and host of both; paths are kept.
        timeout_seconds: How long an answer may take to begin.
    """
    from alpaca.data.historical.stock import StockHistoricalDataClient
    from alpaca.trading.client import TradingClient

    def opened(kind: type, **options: object) -> Watched:
        named = {"watch": watch, "timeout_seconds": timeout_seconds, "secrets": tuple(keys)}
        watched: Any = type(f"Watched{kind.__name__}", (Watched, kind), named)
        client: Watched = watched(*keys, raw_data=True, url_override=base_url, **options)
        client._retry = 0  # noqa: SLF001 - no argument says so: ours decide
        client._session.hooks["response"].append(_received(watch))  # noqa: SLF001
        return client

    paper = keys[0].startswith(PAPER_KEYS)
    hosts = [paper] if base_url else [paper, not paper]
    return opened(StockHistoricalDataClient), [opened(TradingClient, paper=one) for one in hosts]


def _received(watch: Watch) -> Callable[..., None]:
    def hook(response: requests.Response, *_args: object, **_kwargs: object) -> None:
        _ = response.content  # it comes now: others may read theirs meanwhile
        watch.received(response.headers)
        watch.decode_alone()

    return hook
