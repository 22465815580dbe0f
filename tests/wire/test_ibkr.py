"""Reports from Interactive Brokers, by the real ib_async, from a gateway over TCP."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from pipeline.providers import ProviderOptions, open_fundamentals, open_provider
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.errors import RateLimited, UnknownSymbol, Unsupported
from pipeline.providers.ibkr_client import DEFAULT_ADDRESS
from pipeline.providers.limiter import Send, Unlimited
from pipeline.providers.protocol import FundamentalsProvider
from tests.wire.ibkr import (
    LONG,
    RECORDED,
    REPORT,
    IbkrOpener,
    asked,
    made,
    opening_at,
    running_gateway,
    steps,
)
from venue import VenueProcess


def test_a_recorded_report_comes_as_it_was_sent(ibkr: IbkrOpener, market_data: Path) -> None:
    assert ibkr().fetch_document("AMD", REPORT) == RECORDED.read_bytes().decode()


def test_a_long_report_in_any_letters_comes_as_it_was_sent(ibkr: IbkrOpener) -> None:
    assert ibkr().fetch_document("LONG", REPORT) == LONG


def test_that_there_is_no_report_is_an_answer(ibkr: IbkrOpener, gateway: VenueProcess) -> None:
    client = ibkr()
    assert client.fetch_document("NOTHING", REPORT) is None
    assert client.fetch_document("MADE", REPORT) == made("MADE")
    assert steps(gateway).count("login") == 1


@pytest.mark.parametrize(
    ("symbol", "key"),
    [
        ("BRK B", "BRK B"),
        ("made", "MADE"),
        ("MADE@ISLAND", "MADE"),
        ("TWIN@NYSE", "TWIN@NYSE"),
        ("TWIN@nasdaq", "TWIN@NASDAQ"),
        ("TWIN@22", "TWIN@NASDAQ"),
        ("SAP", "SAP"),
        ("SAP@IBIS", "SAP@IBIS"),
        ("7203@TSEJ", "7203@TSEJ"),
        ("7203@41", "7203@TSEJ"),
    ],
)
def test_a_symbol_means_exactly_one_stock(symbol: str, key: str, ibkr: IbkrOpener) -> None:
    assert ibkr().fetch_document(symbol, REPORT) == made(key)


@pytest.mark.parametrize(
    ("symbol", "words"),
    [
        ("NOPE", "it has no stock 'NOPE'"),
        ("BRK.B", "write its own ticker"),
        ("7203", "no stock '7203'"),  # trades in yen
        ("MADE@NYSE", "no stock 'MADE@NYSE'"),
        ("MADE@999", "no stock 'MADE@999'"),
        ("TWIN", r"'TWIN' does not name one of TWIN@21 \(NYSE, USD\), TWIN@22 \(NASDAQ, USD\)"),
        ("MADE@7", r"'MADE@7' does not name one of NOTHING@7 \(NASDAQ, USD\)"),
        ("@11", "'@11' is no symbol"),
        ("MADE@", "'MADE@' is no symbol"),
        ("MADE@NYSE@11", "is no symbol"),
    ],
)
def test_a_symbol_that_means_no_stock_or_several_is_unknown(
    symbol: str, words: str, ibkr: IbkrOpener, gateway: VenueProcess
) -> None:
    with pytest.raises(UnknownSymbol, match=words):
        ibkr().fetch_document(symbol, REPORT)
    assert "report" not in steps(gateway)


def test_the_first_report_about_a_stock_takes_two_requests_and_the_next_one(
    ibkr: IbkrOpener, gateway: VenueProcess
) -> None:
    client = ibkr()
    for requests in (2, 3):
        client.fetch_document("MADE", REPORT)
        assert client.requests_sent == requests
    assert asked(gateway)[1:] == [("details", "MADE"), ("report", "MADE"), ("report", "MADE")]


def test_nothing_is_asked_about_the_account(ibkr: IbkrOpener, gateway: VenueProcess) -> None:
    ibkr().fetch_document("MADE", REPORT)
    assert steps(gateway) == ["login", "details", "report"]


def test_threads_share_one_connection_and_each_has_its_own_answer(
    ibkr: IbkrOpener, gateway: VenueProcess
) -> None:
    client = ibkr()
    symbols = ["MADE", "BRK B", "TWIN@NYSE", "SAP@IBIS"] * 10
    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(lambda symbol: client.fetch_document(symbol, REPORT), symbols))
    assert reports == [made(symbol) for symbol in symbols]
    assert steps(gateway).count("login") == 1
    assert steps(gateway).count("details") == 4


def test_it_can_be_asked_where_a_loop_is_running(ibkr: IbkrOpener) -> None:
    client = ibkr()

    async def ask() -> str | None:
        return client.fetch_document("MADE", REPORT)

    assert asyncio.run(ask(), debug=True) == made("MADE")
    assert asyncio.run(ask()) == made("MADE")


def test_each_connection_has_a_number_of_its_own(ibkr: IbkrOpener, gateway: VenueProcess) -> None:
    clients = [ibkr() for _ in range(5)]
    for client in clients:
        assert client.fetch_document("MADE", REPORT) == made("MADE")
    assert len(set(gateway.gateway()["clients"])) == len(clients)


def test_a_closed_client_has_given_back_its_connection_and_its_thread(
    ibkr: IbkrOpener, gateway: VenueProcess
) -> None:
    before = threading.active_count()
    client = ibkr()
    client.close()
    for _ in range(2):
        client.fetch_document("MADE", REPORT)
        assert threading.active_count() == before + 1
        client.close()
        client.close()
        assert threading.active_count() == before
        wait_until_alone(gateway)


def wait_until_alone(gateway: VenueProcess) -> None:
    """Wait until neither side has a connection to the other."""
    port = int(gateway.gateway()["address"].rpartition(":")[2])
    deadline = time.monotonic() + 30
    while gateway.gateway()["clients"] or any(
        one.raddr and one.raddr.port == port for one in psutil.Process().net_connections("tcp")
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_that_ends_without_closing_says_nothing(gateway: VenueProcess) -> None:
    program = f"""
from pipeline.providers import ProviderOptions, open_fundamentals
from pipeline.providers.limiter import Unlimited
address = {gateway.gateway()["address"]!r}
options = ProviderOptions(source="ibkr", base_url=address, asset_classes=("equity",))
print(len(open_fundamentals("ibkr", options, Unlimited()).fetch_document("MADE", "{REPORT}")))
"""
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert int(ended.stdout) == len(made("MADE"))


def test_a_connection_that_ends_between_two_questions_is_made_anew(
    ibkr: IbkrOpener, gateway: VenueProcess
) -> None:
    client = ibkr()
    gateway.post_fault("hang_up", step="report", times=1)
    assert client.fetch_document("MADE", REPORT) == made("MADE")
    wait_until_alone(gateway)
    assert client.fetch_document("MADE", REPORT) == made("MADE")
    assert steps(gateway) == ["login", "details", "report", "login", "report"]


def test_a_question_that_is_given_up_leaves_nothing_for_the_next(
    ibkr: IbkrOpener, gateway: VenueProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = ibkr()
    client.fetch_document("MADE", REPORT)
    gateway.post_fault("silence", step="report", times=1)

    def interrupted(future: Future[object], timeout: float | None = None) -> object:
        """Do as a future does of which somebody has enough."""
        while not any(fault["hits"] for fault in gateway.faults()):
            time.sleep(0.01)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Future, "result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.fetch_document("MADE", REPORT)
    assert client.fetch_document("BRK B", REPORT) == made("BRK B")
    assert steps(gateway).count("login") == 2


class Counted(Unlimited):
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[RateLimit, int]] = []

    def acquire(self, limit: RateLimit, weight: int = 1, budget: RateLimit | None = None) -> Send:
        self.asked.append((limit, weight))
        return super().acquire(limit, weight, budget)


def test_each_request_counts_against_sixty_in_ten_minutes(ibkr: IbkrOpener) -> None:
    limiter = Counted()
    client = ibkr(limiter=limiter, limit=None)
    for _ in range(2):
        client.fetch_document("MADE", REPORT)
    assert limiter.asked == [(RateLimit(60, 600.0), 1)] * 3


def test_who_asks_too_often_is_left_without_an_answer_and_takes_it_for_a_refusal() -> None:
    with running_gateway(requests=2) as gateway, opening_at(gateway) as opened:
        client = opened(timeout_seconds=2)
        for _ in range(2):
            assert client.fetch_document("MADE", REPORT) == made("MADE")
        with pytest.raises(RateLimited, match="asked too often"):
            client.fetch_document("MADE", REPORT)


def test_it_serves_reports_about_stocks_and_nothing_else(ibkr: IbkrOpener) -> None:
    client = ibkr()
    assert isinstance(client, FundamentalsProvider)
    with pytest.raises(ValueError, match="no document 'RESC'; it has ReportSnapshot"):
        client.fetch_document("MADE", "RESC")
    with pytest.raises(Unsupported, match="has no reports about crypto_spot"):
        ibkr(asset_classes=("crypto_spot",))
    options = ProviderOptions(source="ibkr", asset_classes=("equity",))
    with pytest.raises(Unsupported, match="serves no bars"):
        open_provider("ibkr", options, Unlimited())
    with closing(open_fundamentals("ibkr", options, Unlimited())) as opened:
        assert opened.requests_sent == 0


@pytest.mark.parametrize("address", ["http://127.0.0.1:4002", "tcp://127.0.0.1", "tcp://:4002"])
def test_what_is_no_address_of_a_gateway_is_refused(address: str, ibkr: IbkrOpener) -> None:
    with pytest.raises(Unsupported, match=f"write it as in {DEFAULT_ADDRESS}"):
        ibkr(base_url=address)
