"""`minuteledger alerts`: what is wrong, as far as anybody should be told."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.output import JsonOption, print_json, say, warn

if TYPE_CHECKING:
    from pipeline.alerts.model import Alert
    from pipeline.settings import Settings
    from pipeline.store.alert_watch import Watch


def alerts(
    *,
    every: Annotated[bool, typer.Option("--all", help="Also those of the last 90 days.")] = False,
    test: Annotated[
        bool, typer.Option("--test", help="Send a test message, and say what came back.")
    ] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Show the alerts that stand, the worst first, each with what to do.

    They are found by Dagster's sensor `alerts`, once a minute, and told where
    MINUTELEDGER_ALERT_URL says. --test sends a message there that tells of no alert; exit code 1
    when it is not taken.
    """
    from pipeline.commands.ledger import connect
    from pipeline.settings import load_settings
    from pipeline.store import alerts as store
    from pipeline.store.alert_watch import watch

    settings = load_settings()
    if test:
        _test(settings, as_json=as_json)
        return
    with connect(settings) as connection:
        found = store.alerts(connection, past=every)
        state = watch(connection)
    if as_json:
        print_json({"alerts": [asdict(one) for one in found], "watch": asdict(state)})
        return
    for one in found:
        _show(one)
    if not found:
        say("No alert has ever stood." if every else "No alert stands.")
    _show_watch(state, settings)


def _show(one: Alert) -> None:
    ended = f", resolved {one.resolved_at:%Y-%m-%d %H:%M}" if one.resolved_at else ""
    say(f"[{one.severity}] {one.title}")
    say(f"  {one.key}, {one.count:,}; since {one.since:%Y-%m-%d %H:%M}{ended} UTC")
    for line in one.text.splitlines():
        say(f"  {line}")
    say()


def _show_watch(state: Watch, settings: Settings) -> None:
    if state.looked_at is None:
        say("Nobody has looked yet: the sensor `alerts` of Dagster does, while it runs.")
    else:
        say(f"Last looked at {state.looked_at:%Y-%m-%d %H:%M} UTC.")
    if settings.alert_url is None:
        say("MINUTELEDGER_ALERT_URL is not set: alerts are told here and in the log only.")
    if state.failing_since is not None:
        warn(
            f"No message could be delivered since {state.failing_since:%Y-%m-%d %H:%M} UTC, "
            f"{state.attempts} times: {state.error}. --test tries now."
        )


def _test(settings: Settings, *, as_json: bool) -> None:
    from pipeline.alerts.telling import send_test

    answer, document = send_test(settings, datetime.now(UTC))
    if as_json:
        print_json({"delivered": answer.delivered, "answer": answer.words, "sent": document})
    elif answer.delivered:
        say(f"The test message was taken: {answer.words}.")
    else:
        warn(f"The test message was not taken: {answer.words}.")
    if not answer.delivered:
        raise typer.Exit(1)
