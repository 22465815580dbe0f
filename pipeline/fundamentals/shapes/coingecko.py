"""CoinGecko's document of a coin, which is known by its id (`ethereum`), never by its ticker."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.fundamentals.records import Record
from pipeline.fundamentals.shapes.common import flat, mapping, read_json, shown
from pipeline.fundamentals.values import UnusableDocument


def records(document: str, payload: str, symbol: str) -> Sequence[Record]:  # noqa: ARG001  one kind
    """Take a document apart.

    Raises:
        UnusableDocument: It is not one, an error, or not about the coin.
    """
    body = mapping(read_json(payload), "it")
    if trouble := body.get("error") or body.get("status"):
        raise UnusableDocument(f"is an error: {shown(trouble)}")
    if body.get("id") != symbol.strip().lower():
        raise UnusableDocument(f"is about {shown(body.get('id'))}, not about {symbol}")
    return [Record("*", dict(flat(body)))]
