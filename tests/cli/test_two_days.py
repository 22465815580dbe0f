"""Two days in half an hour: a new month, a night in which clocks change, a half day; 50 listings.

`make rehearsal` runs it, and prints what the sensors did. The venue's clock goes as fast as ours,
and so do its limits.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

from pipeline.intervals import MINUTE
from tests.cli.conftest import Home
from tests.making import at, milliseconds
from tests.served import Served, launcher
from venue import VenueProcess

pytestmark = pytest.mark.rehearsal

SPEED = 100
BEGAN, ENDED = at("2020-10-31 23:00"), at("2020-11-02 23:00")
"""Clocks were set back in New York on November 1st, at six o'clock of UTC."""
MONDAY = date(2020, 11, 2)
CLOSES = [milliseconds(at("2020-10-30 20:00")), milliseconds(at("2020-11-02 21:00"))]
"""When New York closes on whole days."""
REFRESH = timedelta(hours=1)
AT_ONCE = 10_000
"""Milliseconds of ours."""
QUIET = (0.0, 0.05, 0.3, 0.9)
COINS = {"binance": 8, "bitfinex": 14, "coinbase": 12, "kraken": 6}
TO_THE_END = ("binance", "bitfinex", "coinbase", "alpaca", "yahoo")
"""Who is asked for minutes up to one, and no further: Kraken sends all that is newer, too."""
STOCKS = {"alpaca": 6, "yahoo": 4}
SESSION = {
    # On this Monday the venue's Alpaca closes at 13:00, and so do these hours.
    "sessions": {
        "short_monday": {
            "zone": "America/New_York",
            "hours": ["Mon 09:30 - 13:00", "Tue-Fri 09:30 - 16:00"],
        }
    }
}
KEYS = {"APCA_API_KEY_ID": "PKREHEARSAL", "APCA_API_SECRET_KEY": "rehearsal"}
"""Of no account."""


def coin(number: int) -> str:
    """Return the base of a made-up pair."""
    return f"C{number:02d}"


def listed(number: int) -> dict[str, Any]:
    """Return a market of the venue."""
    return {
        "listed_at": "2020-01-06T08:00:00Z",
        "price": 10.0 + number,
        "quiet": QUIET[number % len(QUIET)],
    }


def venue_document() -> dict[str, Any]:
    exchanges: dict[str, Any] = {
        name: {
            "requests_per_second": 0,
            "markets": {f"{coin(number)}-{quote(name)}": listed(number) for number in range(count)},
        }
        for name, count in COINS.items()
    }
    exchanges |= {
        name: {
            "requests_per_second": 0,
            "markets": {stock(name, number): listed(number) for number in range(count)},
        }
        for name, count in STOCKS.items()
    }
    exchanges["alpaca"]["half_days"] = [MONDAY]
    exchanges["yahoo"]["half_days"] = []
    return {"exchanges": exchanges}


def quote(exchange: str) -> str:
    return "USDT" if exchange == "binance" else "USD"


def stock(provider: str, number: int) -> str:
    return f"{provider[0].upper()}{'ABCDEFGH'[number]}"


def universe(url: str) -> dict[str, Any]:
    """Return 50 listings of six providers."""
    instruments: dict[str, Any] = {}
    for name, count in COINS.items():
        for number in range(count):
            key = f"{coin(number)}-{quote(name)}"
            listings = instruments.setdefault(key, {"class": "crypto_spot", "listings": {}})
            listings["listings"][name] = key.replace("-", "/")
    for name, count in STOCKS.items():
        for number in range(count):
            symbol = stock(name, number)
            instruments[symbol] = {"class": "equity", "listings": {name: symbol}}
            if name == "alpaca":
                instruments[symbol]["session"] = "short_monday"
    hurried = {"requests": 1000, "seconds": 1}
    providers: dict[str, Any] = {
        name: {"base_url": f"{url}/{name}", "refresh": "1h", "limits": hurried}
        for name in (*COINS, *STOCKS)
    }
    for name in COINS:
        providers[name]["lag"] = "2m"
    return {"start": "2020-10-30", "providers": providers, "instruments": instruments} | SESSION


@dataclass
class Watch:
    """Looks how far behind listings are, again and again; moments and times are the rehearsal's."""

    served: Served
    fresh_at: datetime | None = None
    """When all listings were fresh for the first time."""
    waited: dict[str, timedelta] = field(default_factory=lambda: defaultdict(timedelta))
    """By listing, the longest that a minute has waited since then, once it could be had."""

    def look(self) -> list[timedelta]:
        """Look once; return how long each listing's oldest missing minute has waited."""
        rows = self.served.rows(_BEHIND)
        if self.fresh_at is None and all(fresh for _, _, fresh in rows):
            self.fresh_at = self.served.clock.now()
        if self.fresh_at is not None:
            for name, waits, _ in rows:
                self.waited[name] = max(self.waited[name], waits)
        return [waits for _, waits, _ in rows]


_BEHIND = """
SELECT provider || ' ' || listing,
       coalesce(ledger.now() - lag - interval '1 minute' - stale_since, interval '0'), fresh
FROM market.freshness JOIN ledger.provider ON name = provider
"""


@pytest.fixture
def market() -> Iterator[VenueProcess]:
    with VenueProcess(venue_document()) as process:
        yield process


def test_two_days_in_half_an_hour(home: Home, market: VenueProcess) -> None:
    home.settings |= KEYS
    home.write_universe(json.dumps(universe(market.url)))
    served = Served(home, BEGAN, SPEED)
    market.set_clock(now=milliseconds(served.clock.now()), speed=SPEED)
    served.start()
    watch = Watch(served)
    while served.clock.now() < ENDED:
        watch.look()
        time.sleep(2)
    served.wait(lambda: max(watch.look()) <= REFRESH)
    last = watch.look()
    launched = [run for run in served.runs() if run["endTime"]]
    assert served.started.interrupt() == 0

    tell(served, watch, last, launched, market)
    assert max(last) <= REFRESH
    assert max(watch.waited.values()) <= 2 * REFRESH
    check_runs(launched, market)
    check_counts(served)
    for provider, listing in served.rows(_LISTINGS):
        check_bars(served, market, provider, listing)
    check_questions(served, market)


def check_runs(launched: list[dict[str, Any]], market: VenueProcess) -> None:
    """All were sensors', succeeded and sent something, and none ran beside its like."""
    assert {run["status"] for run in launched} == {"SUCCESS"}
    assert None not in {launcher(run) for run in launched}
    asked: dict[str, list[float]] = defaultdict(list)
    for entry in market.requests()["requests"]:
        asked[entry["exchange"]].append(entry["time"] / 1000)
    turns: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for run in launched:
        name = launcher(run)
        if name in {"refresh", "heal"}:
            provider = run[f"minuteledger/{name}"]
            turns[name, provider].append(run)
            sent = [at for at in asked[provider] if run["startTime"] <= at <= run["endTime"]]
            assert sent, f"{name} of {provider} at {shown(run)} asked nothing"
    for runs in turns.values():
        in_order = sorted(runs, key=lambda run: float(run["startTime"]))
        assert all(one["endTime"] <= two["startTime"] for one, two in pairwise(in_order))
    shows = Counter(
        (
            name,
            run[f"minuteledger/{name}"],
            run["dagster/asset_partition_range_start"],
            run["startTime"] // 60,
        )
        for run in launched
        if (name := launcher(run)) in {"backfill", "show"}
    )
    assert set(shows.values()) == {1}


def shown(run: dict[str, Any]) -> str:
    return datetime.fromtimestamp(run["startTime"], UTC).isoformat()


def check_counts(served: Served) -> None:
    """Every minute is accounted for, and stocks had their day, short or whole."""
    assert served.home.run("status", "--check").returncode == 0
    expected = dict(
        served.rows("""
        SELECT provider, max(expected) FROM market.coverage
        WHERE month = '2020-11-01' AND provider IN ('alpaca', 'yahoo') GROUP BY provider
    """)
    )
    assert expected == {"alpaca": 210, "yahoo": 390}
    left = served.rows("""
        SELECT sum(failed), sum(pending) <= 60 * count(*) FROM market.coverage GROUP BY month
    """)
    assert set(left) == {(0, True)}


_LISTINGS = "SELECT provider, listing FROM market.freshness ORDER BY 1, 2"
_BARS = """
SELECT extract(epoch FROM b.ts)::bigint * 1000, b.open, b.high, b.low, b.close, b.volume
FROM ledger.bars_1m b JOIN ledger.listing l ON l.id = b.listing_id
WHERE l.provider = %s AND l.key = %s ORDER BY 1
"""
_ANSWERED = """
SELECT extract(epoch FROM lower(part))::bigint * 1000,
       extract(epoch FROM upper(part))::bigint * 1000
FROM ledger.listing l JOIN ledger.coverage c ON c.listing_id = l.id, unnest(c.answered) AS part
WHERE l.provider = %s AND l.key = %s ORDER BY 1
"""


def check_bars(served: Served, market: VenueProcess, provider: str, listing: str) -> None:
    """What is stored is what its market did in the minutes that count as answered, and no more."""
    answered = served.rows(_ANSWERED, provider, listing)
    columns = market.truth(provider, listing, answered[0][0], answered[-1][1])
    names = ("ts", "open", "high", "low", "close", "volume")
    true = np.array([[float(value) for value in columns[name]] for name in names]).T
    true = true[[any(start <= row[0] < end for start, end in answered) for row in true]]
    stored = np.array(served.rows(_BARS, provider, listing), dtype=float)
    rounding = 1e-9
    if provider == "yahoo":
        # It sends 32-bit numbers, no volume outside of regular hours, and the last price at the
        # close of the market.
        rounding = 1e-6
        true, stored = (rows[~np.isin(rows[:, 0], CLOSES)] for rows in (true, stored))
        true[:, -1] = np.where(stored[:, -1] == 0, 0, true[:, -1])
    np.testing.assert_allclose(stored, true, rtol=rounding, err_msg=f"{provider} {listing}")


def check_questions(served: Served, market: VenueProcess) -> None:
    """Each minute was asked for when it was new, and at the checks after an hour and after a day.

    Once more it may lie between others that are due, and come with them for nothing.
    """
    times = asked_times(served, market)
    most = {name: max(n for key, n in times.items() if key[0] == name) for name in TO_THE_END}
    assert max(most.values()) <= 4, most


def asked_times(served: Served, market: VenueProcess) -> Counter[tuple[str, str, int]]:
    """Return how often each minute of each listing was asked for, once it was over.

    What is asked within seconds counts once: a silent edge of an answer is asked for again by
    itself, and a repair may have begun beside a refresh.
    """
    found: Counter[tuple[str, str, int]] = Counter()
    last: dict[tuple[str, str, int], int] = {}
    for entry in sorted(market.requests()["requests"], key=lambda entry: entry["time"]):
        if entry["symbol"] and entry["start"] and entry["start"] >= milliseconds(BEGAN):
            sent = milliseconds(served.clock.at(entry["time"] / 1000))
            minutes = range(entry["start"] // 60_000, min(entry["stop"], sent) // 60_000)
            for symbol, minute in product(entry["symbol"].split(","), minutes):
                key = (entry["exchange"], symbol, minute)
                found[key] += entry["time"] - last.get(key, 0) > AT_ONCE
                last[key] = entry["time"]
    return found


def asked_at_once(market: VenueProcess) -> int:
    """Return how many questions were asked again, word for word, within seconds."""
    last: dict[tuple[object, ...], int] = {}
    again = 0
    for entry in sorted(market.requests()["requests"], key=lambda entry: entry["time"]):
        if entry["symbol"] and entry["start"]:
            question = tuple(entry[name] for name in ("exchange", "symbol", "start", "stop"))
            again += entry["time"] - last.get(question, 0) <= AT_ONCE
            last[question] = entry["time"]
    return again


def tell(
    served: Served,
    watch: Watch,
    last: Iterable[timedelta],
    launched: list[dict[str, Any]],
    market: VenueProcess,
) -> None:
    """Print the figures."""
    counts = Counter(str(launcher(run)) for run in launched)
    seconds = Counter[str]()
    for run in launched:
        seconds[str(launcher(run))] += run["endTime"] - run["startTime"]
    waited = sorted(wait / MINUTE for wait in watch.waited.values())
    times = Counter(asked_times(served, market).values())
    requests = Counter(entry["exchange"] for entry in market.requests()["requests"])
    (sums,) = served.rows("""
        SELECT sum(expected), sum(bars), sum(empty), sum(failed), sum(unavailable), sum(pending)
        FROM market.coverage
    """)
    print()
    print(f"{BEGAN:%Y-%m-%d %H:%M} to {served.clock.now():%Y-%m-%d %H:%M}, {SPEED} times as fast")
    print(f"all fresh for the first time at {watch.fresh_at:%Y-%m-%d %H:%M}")
    print(f"longest wait of a minute since then: {waited[-1]:.0f} minutes at the worst listing,")
    print(f"{waited[len(waited) // 2]:.0f} at the median one; at the end {max(last) / MINUTE:.0f}")
    for name, count in counts.most_common():
        print(f"runs of {name}: {count}, {seconds[name] / count:.1f} s each")
    print(f"requests: {dict(requests)}, of which asked twice at once: {asked_at_once(market)}")
    print(f"minutes by how often they were asked for: {dict(sorted(times.items()))}")
    print("expected, bars, empty, failed, unavailable, pending:", *sums)
