"""`gaps` on a ledger that holds a month."""

from __future__ import annotations

import pytest

from tests.cli.conftest import JANUARY, Home

DAY = ("--since", "2024-01-05", "--before", "2024-01-06")


def test_gaps_say_why_minutes_have_no_bar(ledger: Home) -> None:
    found = {(row["provider"], row["listing"], row["reason"]) for row in ledger.json("gaps")}

    assert ("bitfinex", "ETH-USD", "not_listed") in found
    assert ("bitfinex", "NOPE-USD", "failed") in found
    assert not {row for row in found if row[0] == "mirror"}


def test_a_failed_gap_names_the_error_and_when_it_is_due(ledger: Home) -> None:
    (gap,) = ledger.json("gaps", "--reason", "failed")

    assert gap["minutes"] == JANUARY.minutes
    assert gap["error"] == "UnknownSymbol"
    assert gap["next_attempt_at"] is None


def test_quiet_minutes_are_listed_for_one_listing_and_add_up(ledger: Home) -> None:
    names = ("--provider", "bitfinex", "--listing", "BTC-USD")
    rows = ledger.json("gaps", "--quiet", *names, "--since", "2024-01-01", "--before", "2024-02-01")
    (status,) = ledger.json("status", *names)["coverage"]

    assert {row["reason"] for row in rows} == {"no_trade"}
    assert sum(row["minutes"] for row in rows) == status["empty"]


def test_without_gaps_it_says_so(ledger: Home) -> None:
    done = ledger.run("gaps", "--provider", "mirror", *DAY)

    assert done.returncode == 0
    assert "No minute there" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--listing", "XRP-USD"), 1, "no listing here is called XRP-USD"),
        (("--quiet", *DAY), 1, "--quiet lists one listing"),
        (("--reason", "boredom"), 2, "choose one of outage, halt"),
        (("--since", "yesterday"), 2, "--since"),
    ],
)
def test_what_cannot_be_listed_is_told(
    ledger: Home, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = ledger.run("gaps", *arguments)

    assert done.returncode == code
    assert said in done.stderr
