"""`status` and `bars` on a ledger that holds a month."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
import pytest

from pipeline.timeframes import USUAL
from tests.cli.conftest import JANUARY, UNKNOWN, Home
from venue import VenueProcess

ETH_MINUTES = JANUARY.minutes - (9 * 24 + 12) * 60


@contextmanager
def changed(home: Home, statement: str, back: str) -> Iterator[None]:
    """Change the ledger behind its back, for a while."""
    with psycopg.connect(home.server.url("market"), autocommit=True) as connection:
        connection.execute(statement)
        try:
            yield
        finally:
            connection.execute(back)


def test_status_accounts_for_every_minute(ledger: Home, markets: VenueProcess) -> None:
    rows = {(r["provider"], r["listing"]): r for r in ledger.json("status")["coverage"]}
    start, end = (int(moment.timestamp() * 1000) for moment in (JANUARY.start, JANUARY.end))
    truth = len(markets.truth("bitfinex", "BTC-USD", start, end)["ts"])

    assert set(rows) == {
        ("bitfinex", "BTC-USD"),
        ("bitfinex", "ETH-USD"),
        ("bitfinex", "NOPE-USD"),
        ("mirror", "BTC-USD"),
    }
    assert rows["bitfinex", "BTC-USD"]["expected"] == JANUARY.minutes
    assert rows["bitfinex", "BTC-USD"]["bars"] == truth
    assert rows["bitfinex", "BTC-USD"]["empty"] == JANUARY.minutes - truth
    assert rows["bitfinex", "ETH-USD"]["expected"] == ETH_MINUTES
    assert rows["bitfinex", "NOPE-USD"]["failed"] == JANUARY.minutes
    assert rows["mirror", "BTC-USD"]["expected"] == 24 * 60


def test_status_says_why_minutes_failed(ledger: Home) -> None:
    done = ledger.run("status", "--listing", "NOPE-USD")

    assert done.returncode == 0
    assert "UnknownSymbol" in done.stdout
    assert "BTC-USD" not in done.stdout


def test_status_lists_months(ledger: Home) -> None:
    rows = ledger.json("status", "--months", "--provider", "mirror")["coverage"]

    assert [(row["month"], row["percent"]) for row in rows] == [("2024-01-01", 100.0)]


def test_status_draws_a_map_with_the_worst_listing_first(ledger: Home) -> None:
    done = ledger.run("status", "--map", "--provider", "bitfinex")

    header, *lines = done.stdout.splitlines()
    assert header.strip() == "2024"
    assert [line.split()[:3] for line in lines[:3]] == [
        ["bitfinex", "NOPE-USD", "x"],
        ["bitfinex", "BTC-USD", "#"],
        ["bitfinex", "ETH-USD", "#"],
    ]
    assert ledger.run("status", "--map", "--json").returncode == 2


def test_a_plan_counts_what_is_left_to_do(ledger: Home) -> None:
    (plan,) = ledger.json("plan")

    assert (plan["provider"], plan["cells"], plan["unknown"]) == ("bitfinex", 1, 1)
    assert plan["minutes"] == JANUARY.minutes
    assert plan["requests"] == 5 + 3 + 1  # pages, to find the first trade, and the market list
    assert plan["seconds"] == plan["requests"] / 6000
    assert 0.7 < plan["bars"] / plan["minutes"] < 0.9  # what the others of the provider had
    done = ledger.run("plan", "--listing", "NOPE-USD")
    assert "first trades to be asked for: 1" in done.stdout
    assert "Nothing to do" in ledger.run("plan", "--provider", "mirror").stdout


@pytest.mark.parametrize(
    "arguments",
    [("--from", "2024-13"), ("--from", "2024-02", "--to", "2024-01"), ("--provider", "nobody")],
)
def test_a_plan_of_what_there_is_not_is_wrong_usage(
    ledger: Home, arguments: tuple[str, ...]
) -> None:
    assert ledger.run("plan", *arguments).returncode == 2


def test_a_plan_knows_when_the_ledger_lags_behind_the_universe(ledger: Home) -> None:
    before = ledger.universe.read_text()
    ledger.write_universe(before, UNKNOWN.replace("NOPE", "NEW"))
    try:
        done = ledger.run("plan")
    finally:
        ledger.write_universe(before)

    assert done.returncode == 1
    assert "bitfinex NEW-USD; run `minuteledger migrate`" in done.stderr


def test_status_of_a_name_that_is_not_there_fails(ledger: Home) -> None:
    assert ledger.run("status", "--provider", "nobody").returncode == 1


def test_the_check_passes_on_a_sound_ledger(ledger: Home) -> None:
    done = ledger.run("status", "--check")

    assert done.returncode == 0
    assert "add up" in done.stdout


def test_the_check_finds_a_bar_that_is_missing(ledger: Home) -> None:
    lost = "CREATE TABLE lost AS SELECT * FROM ledger.bars_1m WHERE ts = '2024-01-11 00:01Z'"
    with (
        changed(ledger, lost, "INSERT INTO ledger.bars_1m SELECT * FROM lost; DROP TABLE lost"),
        changed(ledger, "DELETE FROM ledger.bars_1m WHERE ts = '2024-01-11 00:01Z'", "SELECT 1"),
    ):
        done = ledger.run("status", "--check")

    assert done.returncode == 1
    assert "bitfinex BTC-USD 2024-01: coverage says" in done.stdout


def test_the_check_finds_a_bar_in_a_minute_that_was_never_answered(ledger: Home) -> None:
    bar = "'2024-01-20 00:00Z', 1, 1, 1, 1 FROM ledger.listing WHERE provider = 'mirror'"
    insert = f"INSERT INTO ledger.bars_1m (listing_id, ts, open, high, low, close) SELECT id, {bar}"
    delete = "DELETE FROM ledger.bars_1m WHERE ts = '2024-01-20 00:00Z' AND close = 1"

    with changed(ledger, insert, delete):
        done = ledger.run("status", "--check", "--json")

    assert done.returncode == 1
    assert any("never answered" in text for text in json.loads(done.stdout)["problems"])


def test_bars_are_those_of_the_half_open_interval(ledger: Home, markets: VenueProcess) -> None:
    bounds = ("--since", "2024-01-05T10:00Z", "--before", "2024-01-05T12:00Z")
    done = ledger.run("bars", "BTC-USD", "--provider", "bitfinex", *bounds, "--csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    start = int(datetime(2024, 1, 5, 10, tzinfo=UTC).timestamp() * 1000)
    truth = markets.truth("bitfinex", "BTC-USD", start, start + 7_200_000)

    assert done.returncode == 0
    moments = [datetime.fromisoformat(row["ts"]).timestamp() * 1000 for row in rows]
    assert moments == truth["ts"]
    assert [float(row["close"]) for row in rows] == truth["close"]
    assert all(row["vwap"] == "" for row in rows)


@pytest.mark.parametrize(
    ("bound", "first"),
    [
        (("--since", "2024-01-05"), True),
        (("--before", "2024-01-05"), False),
        (("--since", "2024-01-04", "--before", "2024-01-05"), True),
    ],
)
def test_a_limit_takes_from_the_side_that_is_bounded(
    ledger: Home,
    bound: tuple[str, ...],
    first: bool,  # noqa: FBT001
) -> None:
    command = ("bars", "BTC-USD", "--provider", "bitfinex", *bound)
    everything = [bar["ts"] for bar in ledger.json(*command)]

    taken = [bar["ts"] for bar in ledger.json(*command, "--limit", "7")]

    assert taken == (everything[:7] if first else everything[-7:])


def test_bars_without_bounds_are_the_newest(ledger: Home) -> None:
    lines = ledger.run("bars", "BTC-USD", "--provider", "mirror").stdout.splitlines()

    assert len(lines) == 21
    assert lines[-1].startswith("2024-01-01 23:")


def test_a_listing_at_two_providers_needs_one_of_them(ledger: Home) -> None:
    done = ledger.run("bars", "BTC-USD")

    assert done.returncode == 2
    assert "bitfinex, mirror" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("XRP-USD",), 1),
        (("BTC-USD", "--since", "yesterday"), 2),
        (("BTC-USD", "--limit", "0"), 2),
        (("BTC-USD", "--csv", "--json"), 2),
    ],
)
def test_bars_that_cannot_be_printed_are_told(
    ledger: Home, arguments: tuple[str, ...], code: int
) -> None:
    done = ledger.run("bars", *arguments)

    assert done.returncode == code
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_status_tells_how_the_providers_answered(ledger: Home) -> None:
    rows = {row["provider"]: row for row in ledger.json("status")["health"]}
    (one,) = ledger.json("status", "--provider", "mirror")["health"]

    assert set(rows) == {"bitfinex", "mirror"}
    assert one["provider"] == "mirror"
    for row in rows.values():
        assert row["requests"] > 0
        assert row["success_percent"] == 100
        assert row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
        assert (row["refusals"], row["bans"], row["clock_skew_seconds"]) == (0, 0, 0)
    assert "How the providers answered" in ledger.run("status").stdout


def test_status_tells_what_is_behind_and_not_what_has_ended(ledger: Home) -> None:
    assert ledger.json("status")["behind"] == []
    goes_on = "UPDATE ledger.listing SET ends_at = {} WHERE key = 'ETH-USD'"
    with changed(ledger, goes_on.format("NULL"), goes_on.format("'2024-02-01'")):
        assert "1 listings are behind, bitfinex ETH-USD most" in ledger.run("status").stdout


def test_an_export_writes_tells_and_goes_on(ledger: Home) -> None:
    chosen = ("--provider", "bitfinex", "--timeframe", "1m")
    first = ledger.run("export", "files", *chosen)
    (btc, eth) = ledger.json("export", "files", *chosen)

    assert first.returncode == 0, first.stderr
    assert "files done: export 2/2" in first.stdout
    assert (btc["listing"], btc["outcome"], btc["rows"]) == (
        "BTC-USD",
        "kept",
        len(ledger.json("bars", "BTC-USD", "--provider", "bitfinex")),
    )
    assert (ledger.path / "files" / eth["path"]).is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("files", "--provider", "nobody"), 2, "listings are at bitfinex, mirror"),
        (("files", "--listing", "BTCUSD"), 2, "BTC-USD"),
        (("files", "--timeframe", "7m"), 2, "15m"),
        (("files", "--since", "yesterday"), 2, "yesterday"),
        (("nowhere://here",), 1, "nowhere"),
        (("home/universe.yaml",), 1, "cannot"),
    ],
)
def test_an_export_that_cannot_be_is_told(
    ledger: Home, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = ledger.run("export", *arguments)

    assert done.returncode == code
    assert words in " ".join(done.stderr.replace("│", "").split())
    assert "Traceback" not in done.stderr


def test_bars_of_a_timeframe_that_is_not_built_are_wrong_usage(ledger: Home) -> None:
    done = ledger.run("bars", "ETH-USD", "--timeframe", "1M")

    assert done.returncode == 2
    assert "a month is 1mo" in " ".join(done.stderr.replace("│", "").split())
    assert ledger.run("bars", "ETH-USD", "--timeframe", "1h", "--csv").stdout.startswith(
        "ts,before,"
    )


def test_bars_are_rebuilt_by_hand_and_what_is_right_stays(ledger: Home) -> None:
    arguments = ("rebuild", "BTC-USD", "--provider", "bitfinex", "--since", "2024-01-10")
    assert sum(row["written"] for row in ledger.json(*arguments)) > 0
    again = ledger.json(*arguments)
    for name, extra in (("bitfinex", set()), ("consolidated", {"1m"})):
        told = {row["timeframe"] for row in again if row["provider"] == name}
        assert told == {*USUAL, *extra}
    assert not any(row["written"] or row["removed"] for row in again)


def test_a_rebuild_over_minutes_that_are_have_failed_warns(ledger: Home) -> None:
    done = ledger.run("rebuild", "NOPE-USD")
    assert done.returncode == 0
    assert "failed minutes touch this time; bars above them are not complete" in done.stderr


def test_a_rebuild_of_an_unknown_listing_is_told(ledger: Home) -> None:
    done = ledger.run("rebuild", "XRP-USD")
    assert done.returncode == 1
    assert "there is no such listing" in done.stderr
