"""Settings from the environment and `.env`: where state lives, which database, vendors' keys.

Which instruments to collect is not a setting but the universe file (`pipeline.universe`).
Nothing here touches the disk beyond reading `.env`, and no secret ever reaches a repr or an error.
"""

import os
import re
from collections.abc import Collection, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pipeline.clock import SYSTEM, Clock

PREFIX = "MINUTELEDGER_"
_LONGEST_DELAY = timedelta(days=366)
_URL_EXAMPLE = "postgresql://user:password@host:5432/market"


class SettingsError(ValueError):
    """The environment or `.env` cannot be used. One line a problem: the variable, what, the fix."""


def _absolute(value: object) -> Path:
    text = str(value).strip()
    if not text:
        raise ValueError("is blank; set it to a path, or remove it")
    if text.startswith("~") and os.environ.get("HOME", "set") == "":
        raise ValueError("needs your home folder, but HOME is empty; set it to an absolute path")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ValueError(
            "needs a home folder, and there is none; set it to an absolute path"
        ) from None


def _folder(path: Path) -> Path:
    if path.exists() and not path.is_dir():
        raise ValueError(f"is {path}, which is not a folder; name a folder, or remove that file")
    return path


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it is what checks it
    except ValueError:
        # The parser's own words are dropped: they quote the URL, and the password with it.
        raise ValueError(
            "has no valid host and port; percent-encode special characters in the password "
            f"(%40 for @, %2F for /), as in {_URL_EXAMPLE}"
        ) from None
    return parts


def _database_url(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value().strip()
    if not url.startswith("postgresql://"):
        raise ValueError(f"must start with postgresql://, as in {_URL_EXAMPLE}")
    parts = _split(url)
    if not parts.hostname and "host=" not in parts.query:
        raise ValueError(f"names no host; write {_URL_EXAMPLE}")
    if not parts.path.strip("/"):
        raise ValueError(f"names no database; end it with one, as in {_URL_EXAMPLE}")
    return SecretStr(url)


def _address(what: str, schemes: Collection[str], example: str) -> AfterValidator:
    def check(secret: SecretStr) -> SecretStr:
        url = secret.get_secret_value().strip()
        try:
            parts = urlsplit(url)
            usable = parts.scheme in schemes and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable or any(letter.isspace() for letter in url):
            # It is not repeated: whoever has it can write there.
            raise ValueError(f"is not {what}; write {example}")
        return SecretStr(url)

    return AfterValidator(check)


_WebAddress = Annotated[
    SecretStr, _address("a web address", {"http", "https"}, "https://host/path")
]
_RedisAddress = Annotated[
    SecretStr, _address("the address of a Redis", {"redis", "rediss"}, "redis://host:6379/0")
]


def _delay(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    text = str(value).strip()
    if not re.fullmatch(r"[1-9]\d{0,5}[mhdw]", text, re.ASCII):
        raise ValueError(f"is {text!r}, which is no delay; write 90m, 1h, 7d or 2w")
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    delay = timedelta(**{units[text[-1]]: int(text[:-1])})
    if delay > _LONGEST_DELAY:
        raise ValueError(f"is {text!r}, which is longer than a year; write 90m, 1h, 7d or 2w")
    return delay


Delay = Annotated[timedelta, BeforeValidator(_delay)]


def _clock(value: object) -> Clock:
    return value if isinstance(value, Clock) else Clock.parse(str(value))


AbsolutePath = Annotated[Path, BeforeValidator(_absolute)]


class Settings(BaseSettings):
    """What the environment says, checked. Immutable; every path is absolute.

    `MINUTELEDGER_HOME` fills the field `home`, and so on. The environment wins over `.env` in the
    current folder, and a variable that is set but empty counts as not set. The vendors' keys are
    read by `vendor_keys`.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
        use_attribute_docstrings=True,
    )

    home: Annotated[AbsolutePath, AfterValidator(_folder)] = Path("~/.minuteledger")
    """Folder of everything that is kept: the embedded database, Dagster's files, logs."""
    database_url: Annotated[SecretStr, AfterValidator(_database_url)] | None = None
    """A PostgreSQL (15 or newer) of your own, as in postgresql://user:password@host:5432/market; if
    not set, an embedded server in the home folder."""
    universe: AbsolutePath | None = None
    """The universe file; if not set, universe.yaml in the home folder."""
    broker_url: _RedisAddress | None = None
    """A Redis, as in redis://host:6379/0, through which runs go to workers on other machines
    (`minuteledger worker`); if not set, they run on this one."""
    deep_check_percent: Annotated[float, Field(ge=0, le=100)] = 1.0
    """How much of what a provider's limit admits in a day a nightly deep check may use, in percent;
    0: none."""
    deep_check_requests: Annotated[int, Field(ge=0)] = 100
    """The most requests that a nightly deep check may send to one provider."""
    keep_run_details_days: Annotated[int, Field(ge=1)] = 14
    """For how many days it is kept how runs went that succeeded: steps, lines of logs."""
    keep_runs_days: Annotated[int, Field(ge=1)] = 90
    """For how many days runs are kept whose every outcome a newer run has replaced."""
    alert_url: _WebAddress | None = None
    """Where alerts are sent, a secret; if not set, only the log and the ledger have them."""
    alert_format: Literal["json", "slack"] = "json"
    """The form of what is sent: ours, or the one that Slack and what is like it read."""
    alert_stale_after: Delay = timedelta(hours=1)
    """How long a minute may be overdue, once it should have been asked for, before that is told."""
    alert_remind_every: Delay = timedelta(days=1)
    """How often is told again what still stands."""

    sensors: Literal["running", "stopped"] = "running"
    """Whether the sensors that ask providers begin by running, or stopped; the UI turns each."""
    sensor_seconds: Annotated[int, Field(ge=1)] | None = None
    """How often these tick, in seconds, instead of each as is good for it."""

    clock: Annotated[Clock, NoDecode, BeforeValidator(_clock)] = SYSTEM
    """For rehearsals: `REAL SHOWN SPEED`, seconds since 1970 and a factor. It is taken to be SHOWN
    when it is REAL, and time goes on so many times as fast."""

    @property
    def universe_path(self) -> Path:
        """The universe file: as set, or `universe.yaml` under `home`."""
        return self.universe or self.home / "universe.yaml"

    @property
    def dagster_home(self) -> Path:
        """What Dagster calls DAGSTER_HOME: its instance file and run storage."""
        return self.home / "dagster"

    @property
    def postgres_dir(self) -> Path:
        """Data folder of the embedded PostgreSQL (unused when `database_url` is set)."""
        return self.home / "postgres"

    @property
    def logs(self) -> Path:
        """Where the processes that we start write their logs."""
        return self.home / "logs"

    @property
    def environment(self) -> dict[str, str]:
        """Every setting as a process that is started has it, whatever `.env` there is; secrets."""
        fields = dict(self) | {"universe": self.universe_path}
        said = {name: _written(value) for name, value in fields.items() if value is not None}
        return {f"{PREFIX}{name.upper()}": text for name, text in said.items()}

    @property
    def database_label(self) -> str:
        """The database in words that are safe to show: no password, no query."""
        if self.database_url is None:
            return f"embedded PostgreSQL in {self.postgres_dir}"
        parts = urlsplit(self.database_url.get_secret_value())
        user = f"{parts.username}@" if parts.username else ""
        port = f":{parts.port}" if parts.port else ""
        return f"postgresql://{user}{parts.hostname or ''}{port}{parts.path}"


def _written(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, timedelta):
        return f"{value // timedelta(minutes=1)}m"
    return str(value)


def _problem(error: Any) -> str:  # noqa: ANN401  a pydantic ErrorDetails, or what stands for one
    name = str(error["loc"][0]) if error["loc"] else "settings"
    variable = PREFIX + name.upper() if name in Settings.model_fields else name
    cause = error.get("ctx", {}).get("error")
    what = str(cause) if cause else f"{error['msg']}; correct it, or remove it"
    return f"{variable}: {what}"


def load_settings(**overrides: object) -> Settings:
    """Read the environment and `.env`; `overrides` (by field name) win over both.

    Raises SettingsError with every problem at once; none shows a secret.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks what they are
    except ValidationError as error:
        problems = [_problem(detail) for detail in error.errors(include_input=False)]
        raise SettingsError("\n".join(problems)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(error) from None


def vendor_keys(names: Iterable[str]) -> dict[str, SecretStr]:
    """Read vendors' keys, by the vendors' own names; those that are not set are left out.

    The environment wins over `.env` in the current folder; set but empty counts as not set.

    Raises SettingsError when `.env` cannot be read.
    """
    try:
        written = dotenv_values(".env", encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(error) from None
    found = {name: os.environ.get(name) or written.get(name) for name in names}
    return {name: SecretStr(value) for name, value in found.items() if value}


def _unreadable(error: OSError | UnicodeDecodeError) -> SettingsError:
    why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
    return SettingsError(f".env: cannot be read ({why}); correct it, or remove it")
