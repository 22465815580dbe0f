"""Which errors are news for the user, and in what words."""

from __future__ import annotations

_NOT_MIGRATED = {"UndefinedTable", "InvalidSchemaName", "UndefinedColumn"}
_REFUSALS = {"OperationalError", "InsufficientPrivilege"}


def explain(error: BaseException) -> str | None:
    """Return the message to print instead of a traceback; None for a defect of ours.

    Told by where the class comes from, so that no database driver has to be imported to say so.
    """
    for kind in type(error).__mro__:
        package = kind.__module__.partition(".")[0]
        if package == "pipeline":
            return str(error)
        if package == "psycopg" and kind.__name__ in _NOT_MIGRATED:
            return "the database is not of this release's form; run `minuteledger migrate`"
        if package == "psycopg" and kind.__name__ in _REFUSALS:
            return f"the database refused: {str(error).strip()}; `minuteledger doctor` looks closer"
        if package == "alembic" and kind.__name__ == "CommandError":
            return f"{error}; `minuteledger migrate` without --to goes to the newest revision"
    return None
