"""`minuteledger snapshots`: documents of fundamentals, kept, pruned, and put back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.archiving import export_files, import_files
from pipeline.commands.output import CommandError, JsonOption, print_json, print_table, say
from pipeline.commands.rereading import accept, held, reparse
from pipeline.commands.selecting import check_asked

if TYPE_CHECKING:
    from pipeline.store.retention import Payload

app = typer.Typer(
    help="Keep the documents that fundamentals are read in: prune, restore, export, import, read "
    "them again, and accept values that are held back.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("export")(export_files)
app.command("import")(import_files)
app.command()(reparse)
app.command()(held)
app.command()(accept)

_SHOWN = 20


@app.command()
def prune(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would go; nothing is written.")
    ] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Take out the payloads of documents that newer good ones have replaced.

    The newest good document of each kind stays, with its backups, the last of each month, and all
    that today's combined fundamentals lead to (see `snapshots:` in the universe). Values and
    history are never touched. What was taken out can be restored for a while; what is older than
    that goes for good.
    """
    from pipeline.commands.ledger import connect
    from pipeline.settings import load_settings
    from pipeline.store import retention
    from pipeline.universe import load_universe

    settings = load_settings()
    keeping = load_universe(settings.universe_path).snapshots
    with connect(settings) as connection:
        if dry_run:
            done = retention.Pruning(retention.prunable(connection, keeping), 0, 0)
        else:
            done = retention.prune(connection, keeping, datetime.now(UTC))
    if as_json:
        print_json(asdict(done))
        return
    _tell(done.pruned)
    size = sum(one.bytes for one in done.pruned) / (1 << 20)
    say(f"{len(done.pruned)} payloads {'would go' if dry_run else 'pruned'}: {size:.1f} MiB.")
    if done.restored:
        say(f"{done.restored} are led to again, and were put back.")
    if done.gone:
        say(f"{done.gone} of earlier prunings went for good.")
    if done.pruned and not dry_run:
        say(f"`minuteledger snapshots restore --all` puts them back within {keeping.restorable}.")


@app.command()
def pruned(*, as_json: Annotated[bool, JsonOption] = False) -> None:
    """List the pruned payloads that can still be restored: when they went, and by which rule.

    A table shows the newest 20; --json prints all.
    """
    from pipeline.commands.ledger import connect
    from pipeline.settings import load_settings
    from pipeline.store import retention

    with connect(load_settings()) as connection:
        found = retention.pruned(connection)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    newest = sorted(found, key=lambda one: str(one.pruned_at), reverse=True)
    print_table([asdict(one) for one in newest[:_SHOWN]])
    say(f"{len(found)} pruned payloads can be restored.")


@app.command()
def restore(
    *,
    snapshot: Annotated[int | None, typer.Option(help="Only of this snapshot, by number.")] = None,
    instrument: Annotated[str | None, typer.Option(help="Only about this instrument.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only of this provider.")] = None,
    pruned_at: Annotated[
        str | None, typer.Option(help="Only of the pruning of this second, as `pruned` shows it.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that can be restored.")] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Put pruned payloads back: all, or those that fit all that is said.

    The next pruning takes them out again, unless `snapshots:` in the universe says otherwise.
    Exit code 1 when there is nothing to restore.
    """
    from pipeline.commands.ledger import connect
    from pipeline.settings import load_settings
    from pipeline.store import retention

    when = _second(pruned_at)
    chosen = (snapshot, instrument, provider, when)
    if everything == any(one is not None for one in chosen):
        raise typer.BadParameter("say what to restore, or --all", param_hint="restore")
    with connect(load_settings()) as connection:
        check_asked(connection, provider, instrument)
        found = retention.pruned(
            connection,
            snapshot=snapshot,
            instrument=instrument,
            provider=provider,
            pruned_at=when,
        )
        retention.restore(connection, [one.snapshot for one in found], datetime.now(UTC))
    if as_json:
        print_json([asdict(one) for one in found])
    if not found:
        raise CommandError(
            "nothing like this was pruned lately; `minuteledger snapshots pruned` lists what can "
            "be restored"
        )
    if not as_json:
        _tell(found)
        say(f"{len(found)} payloads restored.")


def _second(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time; write 2026-03-02T12:00:00Z", param_hint="--pruned-at"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _tell(payloads: Sequence[Payload]) -> None:
    """Print how many payloads of each kind there are."""
    kinds: dict[tuple[str, str], list[Payload]] = {}
    for one in payloads:
        kinds.setdefault((one.provider, one.document), []).append(one)
    print_table(
        [
            {
                "provider": provider,
                "document": document,
                "payloads": len(some),
                "instruments": len({one.instrument for one in some}),
                "from": min(one.fetched_at for one in some),
                "to": max(one.fetched_at for one in some),
            }
            for (provider, document), some in sorted(kinds.items())
        ]
    )
