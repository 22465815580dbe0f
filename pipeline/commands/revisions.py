"""`minuteledger revisions`: what providers changed their minds about, and accepting it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from pipeline.commands.output import JsonOption, print_json, print_table, say

_SHOWN = 20

app = typer.Typer(rich_markup_mode=None, invoke_without_command=True)


@app.callback()
def revisions(
    context: typer.Context,
    *,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    listing: Annotated[str | None, typer.Option(help="Only listings of this key.")] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Show bars that came back different, and deliveries refused for contradicting too many.

    Of a bar that came back different, the new values are stored and the old ones kept. A delivery
    that contradicts a tenth of the stored bars is refused whole: nothing of it is stored, unless
    you accept it. A table shows the newest 20 revisions; --json prints all.
    """
    if context.invoked_subcommand is not None:
        return
    from pipeline.commands.ledger import connect
    from pipeline.settings import load_settings
    from pipeline.store import revisions as store

    limit = None if as_json else _SHOWN
    with connect(load_settings()) as connection:
        changed = [asdict(one) for one in store.revisions(connection, provider, listing, limit)]
        refused = [asdict(one) for one in store.refused_deliveries(connection, provider, listing)]
    if as_json:
        print_json({"revisions": changed, "refused_deliveries": refused})
        return
    if not changed and not refused:
        say("No stored bar has ever come back different.")
    print_table(changed, title="Bars that came back different (the newest)")
    if refused:
        say()
        print_table(refused, title="Refused deliveries")
        say("`minuteledger revisions accept ID` stores one of them.")


@app.command()
def accept(
    number: Annotated[int, typer.Argument(metavar="ID", help="Number of the refused delivery.")],
) -> None:
    """Store a refused delivery exactly as it came, in place of the bars that it contradicts.

    The old bars are kept as revisions, and bars above the new ones are built. Accepting it again
    changes nothing.
    """
    from pipeline.commands.ledger import connect
    from pipeline.following import follow
    from pipeline.settings import load_settings
    from pipeline.store.database import Database
    from pipeline.store.refusals import accept as accept_delivery
    from pipeline.store.refusals import listing_of
    from pipeline.store.session import LedgerSession

    settings = load_settings()
    with connect(settings) as connection:
        merged = accept_delivery(connection, number, datetime.now(UTC))
        listing_id = listing_of(connection, number)
    database = Database.from_settings(settings)
    with LedgerSession(database) as session:
        follow(database, session, [listing_id])
    say(f"Delivery {number} is accepted: {merged.inserted} bars are new, {merged.revised} revised.")
