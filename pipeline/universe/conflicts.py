"""What is wrong between parts of the universe file, each of which may be right by itself.

The file is looked at as written, right or wrong, so that conflicts are told together with the
problems of single values.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, get_args

from pipeline.providers.capabilities import Capabilities
from pipeline.providers.table import CAPABILITIES
from pipeline.universe.files import contradictions
from pipeline.universe.parts import AssetClass
from pipeline.universe.sessions import unknown_session
from pipeline.universe.tree import KeyPath, dotted
from pipeline.universe.values import instant
from pipeline.universe.wording import either, nearest

_CLASSES = get_args(AssetClass)
_OF_BARS = ("start", "bars_per_request", "lag", "refresh", "settle")
"""Options of a provider that are about bars."""


class _Row(NamedTuple):
    """A listing as written, right or wrong."""

    path: KeyPath
    provider: str
    key: str
    options: Mapping[str, Any]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _rows(raw: Mapping[str, Any]) -> Iterator[_Row]:
    for key, instrument in _mapping(raw.get("instruments")).items():
        for provider, listing in _mapping(_mapping(instrument).get("listings")).items():
            options = {"symbol": listing} if isinstance(listing, str) else _mapping(listing)
            path = ("instruments", key, "listings", provider)
            yield _Row(path, provider, options.get("key") or key, options)


def conflicts(written: object) -> Iterator[tuple[KeyPath, str]]:
    """Find what is wrong between listings, and between a listing and its provider.

    Args:
        written: The whole file, right or wrong.

    Yields:
        The place of a key, and what is wrong with it and what to do.
    """
    raw = _mapping(written)
    providers = _mapping(raw.get("providers"))
    for name, config in providers.items():
        yield from _misplaced(name, _mapping(config))
    yield from _unknown_names(raw)
    yield from _of_fundamentals(raw)
    taken: dict[tuple[str, str, str], KeyPath] = {}
    for row in _rows(raw):
        if row.provider not in providers:
            yield row.path, _unknown_provider(row.provider, providers)
        elif not _serves_bars(providers, row.provider):
            yield row.path, "serves no bars; name it under fundamentals instead, or remove it"
        for what, value in (("key", row.key), ("symbol", row.options.get("symbol"))):
            first = taken.setdefault((row.provider, what, str(value)), row.path)
            if first is not row.path and isinstance(value, str):
                text = f"has the {what} {value!r}, which {dotted(first)} has already"
                yield row.path, f"{text}; give it another {what}, or remove one of them"
        default = _mapping(providers.get(row.provider)).get("start") or raw.get("start")
        start, end = _moment(row.options.get("start") or default), _moment(row.options.get("end"))
        if start and end and end <= start:
            text = f"is not after the listing's start, {start:%Y-%m-%d %H:%M} UTC"
            yield (*row.path, "end"), f"{text}; use a later end, or an earlier start"


def _unknown_names(raw: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Find names of sessions and providers that there are not."""
    declared, providers = _mapping(raw.get("sessions")), _mapping(raw.get("providers"))
    for path, session in _sessions(raw):
        if problem := unknown_session(session, declared):
            yield path, problem
    for path, name in _selected(raw):
        if name not in providers:
            text = f"is {name!r}, which is no provider here{nearest(name, providers)}"
            yield path, f"{text}; add it under providers, or correct it"
        elif not _serves_bars(providers, name):
            yield path, f"is {name!r}, which serves no bars; remove it"


def _unknown_provider(name: str, providers: Mapping[str, Any]) -> str:
    hint = nearest(name, providers)
    return f"is no provider here{hint}; add it under providers, or correct it"


def _of_fundamentals(raw: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Find providers that are asked about what they know nothing of."""
    providers = _mapping(raw.get("providers"))
    for key, instrument in _mapping(raw.get("instruments")).items():
        asset_class = _mapping(instrument).get("class")
        for name in _mapping(_mapping(instrument).get("fundamentals")):
            path = ("instruments", key, "fundamentals", name)
            row = _row_of(name, _mapping(providers.get(name)))
            if name not in providers:
                yield path, _unknown_provider(name, providers)
            elif row is None or not row.documents:
                known = [client for client, row in CAPABILITIES.items() if row.documents]
                yield path, f"serves no fundamentals; use {either(known)}"
            elif asset_class in _CLASSES and asset_class not in row.asset_classes:
                served = either(row.asset_classes)
                yield path, f"serves no fundamentals of {asset_class}, only of {served}; remove it"


def _row_of(name: str, config: Mapping[str, Any]) -> Capabilities | None:
    """Return a provider's row in the capability table; None for an exchange without one."""
    client, exchange = _text(config.get("client")), _text(config.get("exchange"))
    return CAPABILITIES.get(exchange or (client if client != "ccxt" else None) or name)


def _serves_bars(providers: Mapping[str, Any], name: str) -> bool:
    row = _row_of(name, _mapping(providers.get(name)))
    return row is None or row.bars


def _selected(raw: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield the names of providers that rules of selection give."""
    rules = raw.get("selection")
    for number, rule in enumerate(rules if isinstance(rules, list | tuple) else ()):
        names = _mapping(rule).get("providers")
        for name in names if isinstance(names, list | tuple) else [names]:
            if isinstance(name, str):
                yield ("selection", number, "providers"), name


def _sessions(raw: Mapping[str, Any]) -> Iterator[tuple[KeyPath, object]]:
    """Yield the names of sessions that instruments and listings give."""
    for key, instrument in _mapping(raw.get("instruments")).items():
        yield ("instruments", key, "session"), _mapping(instrument).get("session")
    for row in _rows(raw):
        yield (*row.path, "session"), row.options.get("session")


def _misplaced(name: str, config: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Find options that the provider's client knows nothing of."""
    client, exchange, feed = (
        _text(config.get(option)) for option in ("client", "exchange", "feed")
    )
    row = _row_of(name, config)
    served_by = row.client if row else "ccxt"
    if exchange and served_by != "ccxt":
        yield ("providers", name, "exchange"), f"is for ccxt, not for {served_by}; remove it"
    elif client == "ccxt" != served_by:
        yield ("providers", name, "client"), f"must be {served_by} for this name; correct either"
    yield from _of_files(name, config, served_by)
    for option in () if row is None or row.bars else _OF_BARS:
        if config.get(option) is not None:
            yield ("providers", name, option), "is about bars, which it does not serve; remove it"
    address = _text(config.get("base_url"))
    if address is not None and address.startswith("tcp:") is not (row is not None and row.tcp):
        fix = "tcp://host:port" if row is not None and row.tcp else "http://host:port/path"
        yield ("providers", name, "base_url"), f"is not how {served_by} is reached; write {fix}"
    feeds = row.feeds if row else ()
    if feed is not None and feed not in feeds:
        fix = f"use {either(feeds)}" if feeds else "it has but one; remove it"
        yield ("providers", name, "feed"), f"is {feed!r}, which it does not have; {fix}"


def _of_files(
    name: str, config: Mapping[str, Any], served_by: str
) -> Iterator[tuple[KeyPath, str]]:
    """Find what is wrong with the files of a provider, or with a provider that should have some."""
    path, files = ("providers", name), config.get("files")
    if files and served_by != "files":
        yield (*path, "files"), f"is for the client files, not for {served_by}; remove either"
    elif served_by == "files":
        if not files:
            yield path, "says nothing of its files; write `files:` with path, columns and stamp"
        for option in ("base_url", "limits", "bars_per_request"):
            if config.get(option) is not None:
                yield (*path, option), "means nothing to files; remove it"
        for option, text in contradictions(_mapping(files)):
            yield (*path, "files", option), text


def _moment(value: object) -> datetime | None:
    try:
        return instant(value)
    except ValueError:
        return None
