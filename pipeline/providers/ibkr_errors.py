"""What errors of Interactive Brokers' gateway mean for the caller, in one place.

The gateway tells everything as a code and a sentence, to which it sometimes adds the cause.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ib_async.wrapper import RequestError

from pipeline.providers.errors import (
    MalformedAnswer,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    RequestTimedOut,
    UnknownSymbol,
    Unsupported,
    shortened,
)
from pipeline.providers.ibkr_session import OF_CONNECTION, SilentError, UnreachableError

NO_FUNDAMENTALS: Final = 430
UNKNOWN_CONTRACT: Final = 200

_SUBSCRIBE: Final = (
    "subscribe to fundamentals in the account's market data settings; a paper account has what the"
    " live one shares with it"
)
_START: Final = (
    "start IB Gateway or Trader Workstation there, log in, and allow connections of this machine"
    " in its API settings, or correct base_url (IB Gateway: port 4001, paper 4002; Trader"
    " Workstation: 7496, paper 7497)"
)
_LESS_OFTEN: Final = "if that goes on, lower limits in the universe"
_LOOK: Final = "look whether the gateway is logged in"

_BY_CODE: Final[Mapping[int, tuple[type[ProviderError], str]]] = {
    **dict.fromkeys((*OF_CONNECTION, 320, 322, 366, 10182), (ProviderUnavailable, _LOOK)),
    **dict.fromkeys((100, 420), (RateLimited, _LESS_OFTEN)),
    **dict.fromkeys((354, 10089, 10090, 10186, 10189, 10358), (RequestRefused, _SUBSCRIBE)),
    UNKNOWN_CONTRACT: (UnknownSymbol, "correct the symbol in the universe"),
    326: (ProviderUnavailable, "the next connection will have another number"),
    503: (Unsupported, "update the gateway"),
    10197: (RequestRefused, "end the other session of this account"),
}
_BY_WORDS: Final[Sequence[tuple[str, type[ProviderError], str]]] = (
    (r"pacing violation", RateLimited, _LESS_OFTEN),
    (r"read-only", RequestRefused, "untick Read-Only API in the gateway's API settings"),
    (r"not allowed|not subscribed|permission", RequestRefused, _SUBSCRIBE),
    (r"failed to fetch", ProviderUnavailable, ""),
)
_NOT_AVAILABLE: Final = re.compile(r"not available\W*", re.IGNORECASE)


def says_none(error: RequestError) -> bool:
    """Return whether an error is the answer that there are no fundamentals.

    The code alone does not say so: an account without the subscription is answered with it too, as
    is a report that could not be fetched, and the cause is added to the sentence.
    """
    if error.code != NO_FUNDAMENTALS:
        return False
    found = _NOT_AVAILABLE.search(error.message)
    return found is not None and found.end() == len(error.message)


def translate(provider: str, error: Exception) -> ProviderError:
    """Return what an exception means for the caller."""
    kind: type[ProviderError] = MalformedAnswer
    what, fix = f"the answer has an odd shape ({type(error).__name__})", ""
    match error:
        case ProviderError():
            return error
        case RequestError():
            kind, what, fix = _refusal(error)
        case UnreachableError():
            kind, what, fix = ProviderUnavailable, shortened(str(error)), _START
        case SilentError():
            kind, fix = RateLimited, _LESS_OFTEN
            what = "the gateway is there and does not answer this, as when it is asked too often"
        case TimeoutError():
            kind, what = RequestTimedOut, "the gateway does not answer any more"
        case ConnectionError():
            kind, what = ProviderUnavailable, "the connection to the gateway was lost"
    return kind(provider, what, fix=fix)


def _refusal(error: RequestError) -> tuple[type[ProviderError], str, str]:
    what = f"error {error.code}, {shortened(error.message)}"
    kind, fix = _BY_CODE.get(error.code, (None, ""))
    if kind is not None:
        return kind, what, fix
    for words, by_words, fix_by_words in _BY_WORDS:
        if re.search(words, error.message, re.IGNORECASE):
            return by_words, what, fix_by_words
    return RequestRefused, what, "look the code up in the gateway's documentation"
