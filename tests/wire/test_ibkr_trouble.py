"""What goes wrong at a gateway of Interactive Brokers, and what becomes of it."""

from __future__ import annotations

import gc
import logging
import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest

from pipeline.fundamentals.shapes.ibkr import records
from pipeline.fundamentals.values import UnusableDocument
from pipeline.providers.errors import (
    MalformedAnswer,
    Paused,
    PermanentError,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    RequestTimedOut,
    TransientError,
    UnknownSymbol,
    Unsupported,
)
from pipeline.store.database import Database
from pipeline.store.limits import LedgerLimiter
from tests.wire.ibkr import REPORT, IbkrOpener, made, steps
from tests.wire.test_ibkr import wait_until_alone
from tests.wire.test_limits import pauses
from venue import VenueProcess

NONE = "We are sorry, but fundamentals data for the security specified is not available."


class Complaints(logging.Handler):
    """Keeps what asyncio complains of: what nobody awaited, and errors that nobody looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_left_behind() -> Iterator[None]:
    complaints = Complaints()
    logging.getLogger("asyncio").addHandler(complaints)
    yield
    gc.collect()
    logging.getLogger("asyncio").removeHandler(complaints)
    assert complaints.messages == []


@pytest.mark.parametrize(
    ("code", "text", "error", "words"),
    [
        (100, "Max rate of messages per second has been exceeded", RateLimited, "error 100"),
        (162, "Historical Market Data Service error: pacing violation", RateLimited, "pacing"),
        (420, "Invalid Real-time Query: pacing violation", RateLimited, "lower limits"),
        (200, "No security definition has been found", UnknownSymbol, "correct the symbol"),
        (430, NONE + "Not allowed", RequestRefused, "subscribe to fundamentals"),
        (430, NONE + "failed to fetch", ProviderUnavailable, "failed to fetch"),
        (430, NONE + "Missing reportType", RequestRefused, "Missing reportType"),
        (430, "Keine Daten.", RequestRefused, "error 430, Keine Daten."),
        (10358, "Fundamentals data is not allowed.", RequestRefused, "subscribe to"),
        (354, "Requested market data is not subscribed.", RequestRefused, "subscribe to"),
        (10089, "Requires additional subscription", RequestRefused, "subscribe to"),
        (10197, "No market data during competing live session", RequestRefused, "other session"),
        (321, "Error validating request: the API is in Read-Only mode", RequestRefused, "untick"),
        (321, "Error validating request: cause", RequestRefused, "error 321"),
        (322, "Error processing request", ProviderUnavailable, "error 322"),
        (502, "Couldn't connect to TWS", ProviderUnavailable, "logged in"),
        (504, "Not connected", ProviderUnavailable, "error 504"),
        (1100, "Connectivity between IB and TWS has been lost", ProviderUnavailable, "been lost"),
        (2110, "Connectivity between TWS and server is broken", ProviderUnavailable, "broken"),
        (99999, "A sentence of next year", RequestRefused, "look the code up"),
    ],
)
@pytest.mark.parametrize("step", ["details", "report"])
def test_each_error_of_the_gateway_is_told_apart(  # noqa: PLR0917
    step: str,
    code: int,
    text: str,
    error: type[ProviderError],
    words: str,
    ibkr: IbkrOpener,
    gateway: VenueProcess,
) -> None:
    if (step, code) == ("details", 200):
        words = "write its own ticker"
    client = ibkr()
    gateway.post_fault("gateway_error", step=step, code=code, text=text, times=1)
    with pytest.raises(error, match=words) as caught:
        client.fetch_document("MADE", REPORT)
    assert type(caught.value) is error
    assert client.fetch_document("MADE", REPORT) == made("MADE")


@pytest.mark.parametrize("text", [NONE, NONE.rstrip("."), NONE + " "])
def test_only_the_bare_sentence_says_that_there_is_no_report(
    text: str, ibkr: IbkrOpener, gateway: VenueProcess
) -> None:
    gateway.post_fault("gateway_error", step="report", code=430, text=text, times=1)
    assert ibkr().fetch_document("MADE", REPORT) is None


def test_what_the_gateway_tells_of_its_farms_is_no_error(
    ibkr: IbkrOpener, gateway: VenueProcess
) -> None:
    client = ibkr(timeout_seconds=2)
    gateway.post_fault("gateway_error", step="report", code=2103, text="farm is broken", times=1)
    with pytest.raises(RateLimited):  # the answer, which never came, was waited for
        client.fetch_document("MADE", REPORT)


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("silence", RateLimited, "the gateway is there and does not answer this"),
        ("frozen", RequestTimedOut, "the gateway does not answer any more"),
        ("garbled", RequestTimedOut, "the gateway does not answer any more"),
        ("disconnect", ProviderUnavailable, "the connection to the gateway was lost"),
        ("truncated", ProviderUnavailable, "the connection to the gateway was lost"),
    ],
)
@pytest.mark.parametrize("step", ["details", "report"])
def test_an_answer_that_does_not_come_is_an_error_and_the_next_one_comes(  # noqa: PLR0917
    step: str,
    kind: str,
    error: type[ProviderError],
    words: str,
    ibkr: IbkrOpener,
    gateway: VenueProcess,
) -> None:
    client = ibkr(timeout_seconds=2)
    gateway.post_fault(kind, step=step, times=1)
    with pytest.raises(error, match=words):
        client.fetch_document("MADE", REPORT)
    assert client.fetch_document("MADE", REPORT) == made("MADE")
    assert steps(gateway).count("login") == 2


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("silence", r"it takes connections, but lets nobody in\); start IB Gateway"),
        ("disconnect", r"the other side hung up\); start IB Gateway"),
        ("garbled", "lets nobody in"),
    ],
)
def test_a_gateway_that_lets_nobody_in_is_told_with_what_to_do(
    kind: str, words: str, ibkr: IbkrOpener, gateway: VenueProcess
) -> None:
    client = ibkr(timeout_seconds=2)
    gateway.post_fault(kind, step="login", times=1)
    where = gateway.gateway()["address"].removeprefix("tcp://")
    with pytest.raises(ProviderUnavailable, match=f"no gateway at {where} .*{words}"):
        client.fetch_document("MADE", REPORT)
    assert client.fetch_document("MADE", REPORT) == made("MADE")
    client.close()
    wait_until_alone(gateway)


def test_a_number_that_another_client_has_is_left_for_another(
    ibkr: IbkrOpener, gateway: VenueProcess
) -> None:
    client = ibkr()
    gateway.post_fault(
        "gateway_error", step="login", code=326, text="client id is already in use", times=1
    )
    with pytest.raises(ProviderUnavailable, match="another number"):
        client.fetch_document("MADE", REPORT)
    assert client.fetch_document("MADE", REPORT) == made("MADE")


def test_where_nothing_listens_the_message_says_what_to_start_and_where(ibkr: IbkrOpener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    words = rf"no gateway at 127\.0\.0\.1:{port} \(nothing listens there\); start IB Gateway"
    with pytest.raises(ProviderUnavailable, match=words):
        ibkr(base_url=f"tcp://127.0.0.1:{port}").fetch_document("MADE", REPORT)
    with pytest.raises(ProviderUnavailable, match=r"no gateway at nowhere\.invalid:4002"):
        ibkr(base_url="tcp://nowhere.invalid:4002").fetch_document("MADE", REPORT)


def test_a_gateway_that_is_too_old_is_told(ibkr: IbkrOpener, gateway: VenueProcess) -> None:
    gateway.post_fault("too_old", step="login", times=1)
    with pytest.raises(Unsupported, match="update the gateway"):
        ibkr().fetch_document("MADE", REPORT)


def test_details_of_another_stock_are_no_answer(ibkr: IbkrOpener, gateway: VenueProcess) -> None:
    client = ibkr()
    for symbol in ("MADE", "MADE@11"):
        gateway.post_fault("another_subject", step="details", times=1)
        with pytest.raises(MalformedAnswer, match=f"asked about {symbol}, and answered about AMD"):
            client.fetch_document(symbol, REPORT)
    assert "report" not in steps(gateway)
    assert client.fetch_document("MADE", REPORT) == made("MADE")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("empty_body", "is empty"),
        ("not_json", "is a 'html'"),
        ("another_subject", "is about 'AMD'"),
    ],
)
def test_a_report_that_cannot_be_used_is_given_as_it_came_and_not_believed(
    kind: str, words: str, ibkr: IbkrOpener, gateway: VenueProcess
) -> None:
    gateway.post_fault(kind, step="report", times=1)
    client = ibkr()
    report = client.fetch_document("MADE@11", REPORT)
    assert report is not None
    with pytest.raises(UnusableDocument, match=words):
        records(REPORT, report, "MADE@11")
    assert records(REPORT, client.fetch_document("MADE@11", REPORT) or "", "MADE@11")


def test_silence_pauses_everybody_for_ten_minutes(
    ibkr: IbkrOpener, gateway: VenueProcess, database: Database
) -> None:
    with LedgerLimiter(database, "provider") as limiter:
        client = ibkr(limiter=limiter, timeout_seconds=2)
        gateway.post_fault("silence", step="report", times=1)
        with pytest.raises(RateLimited):
            client.fetch_document("MADE", REPORT)
        assert pauses(database) == [(600.0, False)]
        with pytest.raises(Paused) as caught:
            client.fetch_document("MADE", REPORT)
    assert timedelta(minutes=9) < (caught.value.retry_after or timedelta()) <= timedelta(minutes=10)
    assert steps(gateway).count("report") == 1


def test_what_may_pass_is_asked_again_and_what_may_not_waits_for_a_person() -> None:
    for passing in (ProviderUnavailable, RateLimited, RequestTimedOut, MalformedAnswer):
        assert issubclass(passing, TransientError)
    for lasting in (RequestRefused, UnknownSymbol, Unsupported):
        assert issubclass(lasting, PermanentError)
