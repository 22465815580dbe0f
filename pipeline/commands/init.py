"""`minuteledger init`: a home folder, and a universe file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.output import CommandError, say

if TYPE_CHECKING:
    from pipeline.settings import Settings

_PRIVATE = 0o700
_EXAMPLE = Path(__file__).parents[2] / "universe.example.yaml"


def init() -> None:
    """Make the home folder and a universe file to start from. Never overwrites anything."""
    from pipeline.settings import load_settings
    from pipeline.universe import load_universe

    settings = load_settings()
    try:
        settings.home.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
        written = _write_universe(settings)
    except OSError as error:
        raise CommandError(
            f"cannot write {error.filename}: {error.strerror}; set MINUTELEDGER_HOME and "
            "MINUTELEDGER_UNIVERSE to places that you may write to"
        ) from None
    say(f"Home:     {settings.home}")
    say(f"Database: {settings.database_label}")
    say(f"Universe: {settings.universe_path} ({'written' if written else 'was there, is kept'})")
    listings = load_universe(settings.universe_path).listings()
    providers = ", ".join(sorted({spec.provider for spec in listings}))
    say(f"          {len(listings)} listings, from {providers or 'nobody'}")
    say()
    say("Next: say in the universe file what to collect, then `minuteledger up`.")
    say("Keys of vendors that want one go into .env in the folder that you start it from;")
    say(".env.example lists them all. `minuteledger doctor` tells what is missing.")


def _write_universe(settings: Settings) -> bool:
    """Write the example where there is no universe file yet; return whether that was so."""
    path = settings.universe_path
    path.parent.mkdir(parents=True, exist_ok=True)
    # The schema is named by its place in the repository, which the copy is not next to.
    schema = _EXAMPLE.parent / "docs" / "universe.schema.json"
    text = _EXAMPLE.read_text(encoding="utf-8").replace("docs/universe.schema.json", str(schema))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True
