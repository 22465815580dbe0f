"""`minuteledger snapshots export` and `import`: documents as files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from pipeline.commands.output import JsonOption, print_json, print_table, say, warn
from pipeline.commands.selecting import check_asked

_SHOWN = 20

Place = Annotated[
    str, typer.Argument(help="A folder, or a URL that fsspec knows, such as s3://bucket/snapshots.")
]


def export_files(
    folder: Place,
    *,
    provider: Annotated[str | None, typer.Option(help="Only of this provider.")] = None,
    instrument: Annotated[str | None, typer.Option(help="Only about this instrument.")] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Write each document to a file: INSTRUMENT/DOCUMENT/{provider}_{YYYYMMDD_HHMMSS}.json.

    The time is when it was fetched, in UTC; a second one of that second has its microseconds, too.
    A file is whole or not there, and one that is there and right is not written again. Exit code 1
    when the payload of a document was pruned and is gone for good.
    """
    from pipeline.commands.ledger import connect
    from pipeline.folders import Folder
    from pipeline.settings import load_settings
    from pipeline.snapshots.exporting import export_snapshots

    with connect(load_settings()) as connection, _progress(quiet=as_json) as show:
        check_asked(connection, provider, instrument)
        target = Folder(folder)
        target.forget_abandoned()
        done = export_snapshots(connection, target, provider, instrument, show)
    counts = Counter(one.outcome for one in done)
    if as_json:
        print_json([asdict(one) for one in done])
    else:
        say(f"{counts['written']} files written, {counts['kept']} were there as they should be.")
    if counts["gone"]:
        warn(f"{counts['gone']} documents are not in it: their payloads were pruned for good.")
        raise typer.Exit(1)


def import_files(
    folder: Place,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would happen; nothing is written.")
    ] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Take over all files that `snapshots export` wrote to a folder, and what lies below it.

    Documents keep the time when they were fetched. What was combined is worked out anew from the
    earliest of them on. Importing again changes nothing. Exit code 1 when a file is refused: it is
    damaged, or about another symbol; nothing of it is taken over.
    """
    from pipeline.commands.ledger import connect
    from pipeline.folders import Folder
    from pipeline.settings import load_settings
    from pipeline.snapshots.importing import import_snapshots
    from pipeline.store.database import Database
    from pipeline.store.session import LedgerSession

    settings = load_settings()
    connect(settings).close()
    with (
        LedgerSession(Database.from_settings(settings)) as session,
        _progress(quiet=as_json) as show,
    ):
        done = import_snapshots(session, Folder(folder), show=show, dry_run=dry_run)
    refused = [str(one.detail) for one in done if one.outcome == "refused"]
    if as_json:
        print_json([asdict(one) for one in done])
    else:
        counts = Counter(one.outcome for one in done)
        print_table([{"files": number, "outcome": name} for name, number in counts.most_common()])
        for reason in refused[:_SHOWN]:
            warn(reason)
        if len(refused) > _SHOWN:
            warn(f"... and {len(refused) - _SHOWN} more; --json lists all")
        if not done:
            say("There are no files that end in .json.")
    if refused:
        raise typer.Exit(1)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that shows how many files of how many are done."""
    from pipeline.commands.progress import Stage, shown

    if quiet:
        yield lambda _done, _total: None
        return
    with shown("files") as show:
        yield lambda done, total: show([Stage("files", "snapshots", done, total, done == total)])
