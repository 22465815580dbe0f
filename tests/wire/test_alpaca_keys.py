"""No key of Alpaca's is in anything that is left behind."""

from __future__ import annotations

import io
import logging
import traceback

import orjson
import pytest

from pipeline.providers.alpaca_client import AlpacaProvider
from pipeline.providers.errors import (
    ProviderError,
)
from pipeline.providers.limiter import Unlimited
from pipeline.providers.options import ProviderOptions
from tests.wire.stocks import (
    HOUR,
    KEY,
    SECRET,
    AlpacaOpener,
    keys,
)
from venue import VenueProcess


def everything_about(error: BaseException) -> str:
    """Return all that an error and those it came from show, and what their attributes hold."""
    seen: list[BaseException] = []
    text: list[str] = []

    def visit(one: BaseException | None) -> None:
        if one is None or any(one is other for other in seen):
            return
        seen.append(one)
        text.extend([repr(one), str(one), *traceback.format_exception(one)])
        text.extend(map(repr, vars(one).values()))
        for value in vars(one).values():
            response = getattr(value, "response", None)
            text.append(repr(getattr(getattr(response, "request", None), "headers", "")))
            text.append(repr(getattr(getattr(value, "request", None), "headers", "")))
        visit(one.__cause__)
        visit(one.__context__)

    visit(error)
    return "\n".join(text)


@pytest.mark.parametrize(
    "kind",
    [
        *("server_error", "disconnect", "timeout", "truncated", "truncated_json", "not_json"),
        *("not_paid", "rate_limit", "empty_object", None),
    ],
)
def test_no_key_is_in_any_error_its_chain_or_the_logs(
    kind: str | None,
    alpaca: AlpacaOpener,
    stock_venue: VenueProcess,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = kind is None
    given = keys(KEY + "X", SECRET + "X") if wrong else keys()
    provider = alpaca(listed=False, timeout_seconds=0.3, keys=given)
    texts = [repr(provider), str(vars(provider))]
    for _ in range(2):
        if kind:
            stock_venue.post_fault(kind, times=1)
        for ask in (provider.markets, lambda: provider._ask(["AAPL"], HOUR)):
            try:
                ask()
            except ProviderError as error:
                texts.append(everything_about(error))
    assert len(texts) > 2
    told = "\n".join([*texts, caplog.text])
    assert "alpaca" in told
    assert KEY not in told
    assert SECRET not in told


def test_a_body_that_repeats_the_key_does_not_spread_it(alpaca: AlpacaOpener) -> None:
    from alpaca.common.exceptions import APIError
    from requests import HTTPError, Response

    from pipeline.providers.alpaca_errors import translate

    response = Response()
    response.status_code = 401
    response.raw = io.BytesIO(orjson.dumps({"message": f"key {KEY} is not known"}))
    refused = APIError("", HTTPError(response=response))  # type: ignore[no-untyped-call]
    error = translate("alpaca", refused, (KEY, SECRET))
    assert KEY not in str(error)
    assert "key (a key) is not known" in str(error)


def test_keys_of_a_paper_account_are_taken_to_its_host_first() -> None:
    hosts = {}
    for key in ("PKPAPER", "AKLIVE"):
        options = ProviderOptions(source="alpaca", keys=keys(key), asset_classes=("equity",))
        provider = AlpacaProvider("alpaca", options, limiter=Unlimited())
        hosts[key] = [str(host._base_url.value) for host in provider._hosts]  # type: ignore[attr-defined]
        provider.close()
    paper, live = "https://paper-api.alpaca.markets", "https://api.alpaca.markets"
    assert hosts == {"PKPAPER": [paper, live], "AKLIVE": [live, paper]}
