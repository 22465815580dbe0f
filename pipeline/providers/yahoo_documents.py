"""Yahoo's documents about companies: what is asked for, and whether an answer is one.

What belongs here: the questions to `quoteSummary` and `fundamentals-timeseries`, and what tells a
document from a refusal, and from Yahoo's word that it has none. Not here: how they are asked
(`yahoo_session`), and what a document says (`pipeline.fundamentals`).
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from curl_cffi.requests import Response

from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.shapes.yahoo import modules, series
from pipeline.providers.errors import MalformedAnswer, RequestRefused
from pipeline.providers.vendor_client import decoded
from pipeline.providers.yahoo_errors import by_status, check_refusal, error_of

SUMMARY: Final = "https://query2.finance.yahoo.com/v10/finance/quoteSummary/"
SERIES: Final = "https://query2.finance.yahoo.com/ws/fundamentals-timeseries/v1/finance/timeseries/"
_CLIENT: Final = "yahoo"
_SINCE: Final = 946_684_800  # 2000; what there is begins some four years ago


def question(document: str, symbol: str, now: datetime) -> tuple[str, dict[str, str]]:
    """Return how to ask for a document: what its path begins with, and the parameters.

    Args:
        document: Its name.
        symbol: Yahoo's own symbol.
        now: The present, UTC.
    """
    names = registry().names(_CLIENT, document)
    if document == "quoteSummary":
        return SUMMARY, {"formatted": "false", "modules": ",".join(modules(names))}
    return SERIES, {
        "symbol": symbol,
        "type": ",".join(series(names)),
        "period1": str(_SINCE),
        "period2": str(int(now.timestamp())),
    }


def read(provider: str, response: Response) -> str | None:
    """Return the text of a document; None if Yahoo has none about that symbol.

    Raises:
        ProviderError: It is no answer.
    """
    check_refusal(provider, response)
    status = response.status_code
    text, document = decoded(response.content)
    name = next((one for one in ("quoteSummary", "timeseries") if one in (document or ())), None)
    body = document.get(name) if isinstance(document, dict) and name else None
    if isinstance(body, dict) and _has_none(status, body):
        return None
    error = error_of(document)
    if error or status != HTTPStatus.OK:
        what = error or f"status {status} without a reason"
        if status == HTTPStatus.NOT_FOUND:  # of another kind: nothing is said about the symbol
            raise RequestRefused(provider, what, "check base_url in the universe")
        raise by_status(provider, status, what)
    if not isinstance(body, dict) or not isinstance(body.get("result"), list):
        raise MalformedAnswer(provider, "the body is no whole document")
    return text


def _has_none(status: int, body: dict[str, Any]) -> bool:
    """Return whether Yahoo says that it knows nothing: by a 404, or by series that are empty."""
    result, error = body.get("result"), body.get("error")
    if status == HTTPStatus.NOT_FOUND:
        return result is None and isinstance(error, dict) and error.get("code") == "Not Found"
    if status != HTTPStatus.OK or error or not isinstance(result, list):
        return False
    return all(isinstance(one, dict) and one.keys() <= {"meta", "timestamp"} for one in result)
