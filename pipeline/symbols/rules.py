"""What a name means by its spelling alone, where no market list has it.

What belongs here: how vendors write symbols. A rule looks at the whole name: that a name begins or
ends like a coin says nothing (OPEN, ETHE, GBTC), unless both parts are known codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pipeline.symbols.codes import COINS, FIAT, QUOTES, STABLE, common_codes, is_fx
from pipeline.symbols.normal import pair_key, stock_key
from pipeline.symbols.verdict import Candidate, Certainty, by_certainty

_LONGEST_TICKER: Final = 5
_CODE: Final = "[A-Z0-9]{2,}"
_INDEX: Final = re.compile(r"\^[A-Z0-9.]+")
_FUTURE: Final = re.compile(r"[A-Z0-9]+=F")
_YAHOO_FX: Final = re.compile(r"([A-Z]{3})([A-Z]{3})?=X")
_BITFINEX: Final = re.compile(r"t([A-Z0-9]{3})([A-Z0-9]{3})|t?([A-Z0-9]+):([A-Z0-9]+)")
_KRAKEN: Final = re.compile(r"([A-Z0-9]{3,5})([XZ][A-Z]{3})")
_CONTRACT: Final = re.compile(rf"({_CODE})[/-]({_CODE}):([A-Z0-9]+(?:-\d{{6}})?)")
_DERIVED: Final = re.compile(rf"({_CODE})(?:[-_/]({_CODE}))?[-_](?:(\d{{6}})|PERP|PERPETUAL|SWAP)")
_PAIR: Final = re.compile(r"([A-Z0-9$]+)[/_.:\s-]([A-Z0-9]+)")
_SHARE: Final = re.compile(r"([A-Z]{1,5})[/.\s_-]([A-Z]|PR[A-Z]|P[A-Z]|WS|WT|W|U|UN|R|RT|RI|CL)")
_ABROAD: Final = re.compile(r"([A-Z0-9-]{1,12})\.([A-Z]{1,3})")
_YAHOO_COIN: Final = re.compile(r"([A-Z]{2,})\d{4,5}-(USD|EUR|BTC)")
_TICKER: Final = re.compile(rf"[A-Z]{{1,{_LONGEST_TICKER}}}")
_CODE_ALONE: Final = re.compile(r"[A-Z0-9]{2,20}")
_OTHERS: Final = {"XBT": "BTC", "XDG": "DOGE", "BCHSV": "BSV"}
"""Codes that are in use beyond the exchange that made them up."""
_YAHOO_SHARES: Final = {"WT": "WS", "UN": "U", "RI": "RT"}


def by_rules(name: str) -> Sequence[Candidate]:
    """Return what a name may mean by its spelling, the surest first; none is ever certain."""
    text = name.strip()
    for rule in (_marked, _of_exchange, _contract, _separated):
        if found := list(rule(text)):
            return by_certainty(found)
    return by_certainty(list(_plain(text.upper())))


def _by_rule(
    key: str | None, asset_class: str, because: str, certainty: Certainty = "likely"
) -> Candidate:
    return Candidate(key, asset_class, "rule", certainty, because)


def _marked(text: str) -> Iterator[Candidate]:
    """Yahoo's marks: `^VIX`, `ES=F`, `EURUSD=X`, `JPY=X`."""
    name = text.upper()
    if _INDEX.fullmatch(name):
        yield _by_rule(stock_key(name), "index", "^ marks an index")
    elif _FUTURE.fullmatch(name):
        yield _by_rule(stock_key(name), "future", "=F marks a continuous future")
    elif found := _YAHOO_FX.fullmatch(name):
        base, quote = (found[1], found[2]) if found[2] else ("USD", found[1])
        yield _by_rule(pair_key(base, quote), "fx", "=X marks foreign exchange")


def _of_exchange(text: str) -> Iterator[Candidate]:
    """Bitfinex's `tBTCUSD`, `tBTCF0:USTF0` and Kraken's `XXBTZUSD`, by ccxt's tables of codes."""
    if found := _BITFINEX.fullmatch(text):
        codes = common_codes("bitfinex")
        own = [part for part in found.groups() if part]
        base, quote = (codes.get(part, codes.get(f"{part}F0", part)) for part in own)
        base, quote = base.removesuffix("F0"), quote.removesuffix("F0")
        swap = all(part.endswith("F0") for part in own)
        if quote in QUOTES:
            key = pair_key(base, quote, quote if swap else "")
            yield _by_rule(key, _class(base, quote, swap=swap), "Bitfinex writes markets so")
    elif found := _KRAKEN.fullmatch(text.upper()):
        codes = common_codes("kraken")
        base, quote = (codes.get(part, part) for part in found.groups())
        if quote != found[2] and (base != found[1] or base in STABLE):
            yield _by_rule(pair_key(base, quote), _class(base, quote), "Kraken writes markets so")


def _contract(text: str) -> Iterator[Candidate]:
    """Ccxt's `BTC/USDT:USDT-241227`; `BTC-USDT-SWAP`, `BTCUSD_PERP`, `BTCUSDT_241227`."""
    name = text.upper()
    if found := _CONTRACT.fullmatch(name):
        base, quote, contract = _common(found[1]), _common(found[2]), found[3]
        kind = "crypto_future" if "-" in contract else "crypto_swap"
        yield _by_rule(pair_key(base, quote, contract), kind, "ccxt writes contracts so")
    elif found := _DERIVED.fullmatch(name):
        day = f"-{found[3]}" if found[3] else ""
        pairs = [(_common(found[1]), _common(found[2]))] if found[2] else _split(found[1])
        for base, quote in pairs:
            if quote in QUOTES:
                yield _derived(base, quote, day)


def _derived(base: str, quote: str, day: str) -> Candidate:
    """A contract that does not say what it is settled in: the quote, or the coin if that is USD."""
    settle = base if quote == "USD" else quote
    kind = "crypto_future" if day else "crypto_swap"
    certainty: Certainty = "possible" if quote == "USD" else "likely"
    because = f"a contract in {quote}, settled in {settle} as is the habit"
    return _by_rule(pair_key(base, quote, settle + day), kind, because, certainty)


def _separated(text: str) -> Iterator[Candidate]:
    """`BTC-USD`, `EUR/USD`, `UNI7083-USD`; `BRK-B`, `BF.B`, `BAC-PL`; `VOD.L`."""
    name = text.upper()
    if (found := _YAHOO_COIN.fullmatch(name)) and found[1] not in FIAT:
        because = "Yahoo numbers coins that share a code"
        yield _by_rule(pair_key(found[1], found[2]), "crypto_spot", because)
    elif (found := _PAIR.fullmatch(name)) and _common(found[2]) in QUOTES:
        base, quote = _common(found[1]), _common(found[2])
        because = f"{quote} is what markets are quoted in"
        yield _by_rule(pair_key(base, quote), _class(base, quote), because)
    elif found := _SHARE.fullmatch(name):
        yield _by_rule(_share(found[1], found[2]), "equity", "a ticker and its class of shares")
        if "/" in name and found[2] in COINS:
            because = f"{found[2]} may be a coin"
            yield _by_rule(pair_key(found[1], found[2]), "crypto_spot", because, "possible")
    elif _ABROAD.fullmatch(name):
        yield _by_rule(stock_key(name), "equity", "Yahoo writes exchanges after a dot", "possible")
    elif (found := _PAIR.fullmatch(name)) and "/" in name:
        base, quote = _common(found[1]), _common(found[2])
        because = "a slash stands between base and quote"
        yield _by_rule(pair_key(base, quote), "crypto_spot", because, "possible")


def _share(ticker: str, suffix: str) -> str:
    """Return the key of a class of shares; Yahoo writes `-PL` for `.PRL`, and `-WT` for `.WS`."""
    if re.fullmatch("P[A-Z]", suffix):
        suffix = f"PR{suffix[1]}"
    return f"{ticker}.{_YAHOO_SHARES.get(suffix, suffix)}"


def _plain(name: str) -> Iterator[Candidate]:
    """A name of letters and digits alone: a ticker, a coin, or a pair written together."""
    pairs = _split(name)
    if _TICKER.fullmatch(name):
        because = "looks like a ticker of a stock"
        rivals = pairs or name in COINS or name in STABLE
        yield _by_rule(stock_key(name), "equity", because, "possible" if rivals else "likely")
    for base, quote in pairs:
        # What is as short as a ticker is as likely one that happens to end so.
        sure = len(name) > _LONGEST_TICKER and len(pairs) == 1
        because = f"{base} and {quote} written together"
        yield _by_rule(
            pair_key(base, quote), _class(base, quote), because, "likely" if sure else "possible"
        )
    if name in COINS | STABLE or (not pairs and not _TICKER.fullmatch(name) and _is_code(name)):
        because = "the code of a coin; a market needs a quote, as in BTC-USD"
        yield _by_rule(None, "crypto_spot", because, "possible")


def _is_code(name: str) -> bool:
    return bool(_CODE_ALONE.fullmatch(name)) and not name.isdigit()


def _split(name: str) -> Sequence[tuple[str, str]]:
    """Return base and quote of a pair written together: those with a known base, if there are.

    DOTUSD ends in TUSD, too, but nobody knows a DO.
    """
    if not _CODE_ALONE.fullmatch(name):
        return []
    ends = [end for end in (*sorted(QUOTES), *_OTHERS) if name.endswith(end) and name != end]
    pairs = [(_common(name.removesuffix(end)), _common(end)) for end in ends]
    return [pair for pair in pairs if _known(pair[0])] or pairs


def _known(code: str) -> bool:
    return code in COINS or code in STABLE or code in FIAT


def _common(code: str) -> str:
    return _OTHERS.get(code, code)


def _class(base: str, quote: str, *, swap: bool = False) -> str:
    if swap:
        return "crypto_swap"
    return "fx" if is_fx(base, quote) else "crypto_spot"
