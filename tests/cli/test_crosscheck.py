"""`crosscheck` on a ledger that holds a month, and whose provider makes longer bars itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from pipeline.timeframes import USUAL
from tests.cli.conftest import Home
from venue import VenueProcess

OF_LISTING = """
listing_id = (SELECT id FROM ledger.listing WHERE provider = 'bitfinex' AND key = 'BTC-USD')
"""
WHERE = f"""
WHERE {OF_LISTING} AND ts = (
    SELECT min(ts) FROM ledger.bars_1m WHERE ts >= '2024-01-20 10:15+00' AND {OF_LISTING})
"""
OF_BTC = ("crosscheck", "BTC-USD", "--provider", "bitfinex", "--timeframe")


@pytest.fixture(scope="module")
def built(ledger: Home) -> Home:
    """The ledger with bars of all timeframes."""
    done = ledger.run("rebuild")
    assert done.returncode == 0, done.stderr
    return ledger


def versions(home: Home) -> list[Any]:
    """Return number, versions and contents of the rows of each table of bars."""
    query = """
    SELECT count(*), max(xmin::text::bigint), sum(hashtext(bars::text)::bigint)
    FROM ledger.bars_{} AS bars
    """
    with psycopg.connect(home.server.url("market")) as connection:
        return [
            connection.execute(query.format(name).encode()).fetchone() for name in ("1m", *USUAL)
        ]


@contextmanager
def one_minute_higher(home: Home) -> Iterator[None]:
    """Have a minute's high and volume in the ledger be what nobody has sent, for a while."""
    url = home.server.url("market")
    with psycopg.connect(url, autocommit=True) as connection:
        select = f"SELECT high, volume FROM ledger.bars_1m {WHERE}".encode()
        [(high, volume)] = connection.execute(select)
        change = f"UPDATE ledger.bars_1m SET high = %s, volume = %s {WHERE}".encode()
        connection.execute(change, [10 * high, volume + 100])
        home.run("rebuild", "BTC-USD", "--since", "2024-01-20", "--before", "2024-01-21")
        yield
        connection.execute(change, [high, volume])
        home.run("rebuild", "BTC-USD", "--since", "2024-01-20", "--before", "2024-01-21")


@pytest.mark.parametrize("timeframe", ["5m", "1d", "1w", "1mo"])
def test_what_was_built_of_minutes_is_what_the_provider_builds_itself(
    timeframe: str, built: Home
) -> None:
    before = versions(built)

    done = built.run(*OF_BTC, timeframe, "--since", "2024-01-01", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "requests" in done.stderr
    assert versions(built) == before


def test_one_changed_minute_is_told_as_exactly_the_bars_above_it(built: Home) -> None:
    starts = {
        "5m": "2024-01-20T10:15:00Z",
        "1d": "2024-01-20T00:00:00Z",
        "1w": "2024-01-15T00:00:00Z",
    }
    with one_minute_higher(built):
        found = {name: built.json(*OF_BTC, name, "--since", "2024-01-01") for name in starts}
        spoken = built.run(*OF_BTC, "1h")

    for name, start in starts.items():
        assert (found[name]["differ"], found[name]["only_ours"]) == (1, [])
        told = [(one["ts"], one["column"]) for one in found[name]["differences"]]
        assert told == [(start, "high"), (start, "volume")]
        assert found[name]["agree"] == found[name]["compared"] - 1 > 0
    assert spoken.returncode == 1
    assert "2024-01-20 10:00  high" in spoken.stdout
    assert built.run(*OF_BTC, "1h", "--since", "2024-01-01").returncode == 0


def test_without_a_range_it_is_the_latest_thirty_days_in_few_requests(built: Home) -> None:
    hours = built.json(*OF_BTC, "1h")
    minutes = built.json(*OF_BTC, "5m")

    assert (hours["since"], hours["before"]) == ("2024-01-02T00:00:00Z", "2024-02-01T00:00:00Z")
    assert hours["requests"] == minutes["requests"] == 2
    assert hours["compared"] == 30 * 24


def test_bars_that_are_not_complete_are_counted_and_not_compared(built: Home) -> None:
    weeks = built.json(*OF_BTC, "1w", "--since", "2024-01-01", "--before", "2024-02-20")

    assert (weeks["compared"], weeks["agree"], weeks["incomplete"]) == (4, 4, 4)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("BTC-USD", "--timeframe", "1h"), 2, "choose one"),
        (("BTC-USD", "--provider", "bitfinex", "--timeframe", "1m"), 2, "what is downloaded"),
        (("BTC-USD", "--provider", "bitfinex", "--timeframe", "7h"), 2, "no timeframe"),
        (("BTC-EUR", "--timeframe", "1h"), 1, "no listing BTC-EUR"),
        (("NOPE-USD", "--timeframe", "1h"), 1, "no complete bar of 1h"),
        (("ETH-USD", "--timeframe", "1h", "--before", "2024-01-05"), 1, "no complete bar of 1h"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_is_asked(
    built: Home, markets: VenueProcess, arguments: tuple[str, ...], code: int, said: str
) -> None:
    markets.clear_requests()

    done = built.run("crosscheck", *arguments)

    assert (done.returncode, done.stdout) == (code, "")
    assert said in " ".join(done.stderr.split())
    assert markets.requests()["total"] == 0
