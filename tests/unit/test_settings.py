"""Settings: what the environment and `.env` say, and how it is said that they are wrong."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from pipeline.settings import Settings, SettingsError, load_settings, vendor_keys

ROOT = Path(__file__).parents[2]
VARIABLES = (
    "MINUTELEDGER_HOME",
    "MINUTELEDGER_DATABASE_URL",
    "MINUTELEDGER_UNIVERSE",
    "MINUTELEDGER_BROKER_URL",
    "MINUTELEDGER_ALERT_URL",
    "MINUTELEDGER_ALERT_FORMAT",
    "MINUTELEDGER_ALERT_STALE_AFTER",
    "MINUTELEDGER_ALERT_REMIND_EVERY",
    "APCA_API_KEY_ID",
    "APCA_API_SECRET_KEY",
    "ALPHAVANTAGE_API_KEY",
    "FMP_API_KEY",
    "COINGECKO_DEMO_API_KEY",
)
SECRET = "hunter2"
URL = f"postgresql://ledger:{SECRET}@db.example:6543/market"


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)


def complaint() -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    return str(caught.value)


def test_without_any_setting_everything_lives_under_the_home_folder(tmp_path: Path) -> None:
    settings = load_settings()
    home = tmp_path / "user" / ".minuteledger"
    assert settings.home == home
    assert settings.database_url is None
    assert settings.universe_path == home / "universe.yaml"
    assert settings.dagster_home == home / "dagster"
    assert settings.postgres_dir == home / "postgres"
    assert settings.logs == home / "logs"
    assert not home.exists(), "reading settings writes nothing"


def test_the_environment_sets_home_database_and_universe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINUTELEDGER_HOME", "state")
    monkeypatch.setenv("MINUTELEDGER_DATABASE_URL", URL)
    monkeypatch.setenv("MINUTELEDGER_UNIVERSE", "~/mine.yaml")
    settings = load_settings()
    assert settings.home == tmp_path / "state"
    assert settings.universe_path == tmp_path / "user" / "mine.yaml"
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == URL


def test_the_home_of_the_user_is_not_taken_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("UNIVERSE", "/elsewhere")
    settings = load_settings()
    assert settings.home == Path("/somewhere/.minuteledger")
    assert settings.universe is None


def test_the_env_file_is_read_and_the_environment_wins_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(f"MINUTELEDGER_HOME=/from/file\nFMP_API_KEY={SECRET}\nOTHER=1\n")
    settings = load_settings()
    assert settings.home == Path("/from/file")
    assert vendor_keys(["FMP_API_KEY", "APCA_API_KEY_ID"]) == {"FMP_API_KEY": SecretStr(SECRET)}
    monkeypatch.setenv("MINUTELEDGER_HOME", "/from/environment")
    assert load_settings().home == Path("/from/environment")


def test_a_caller_wins_over_both_and_can_insist_on_the_embedded_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(f"MINUTELEDGER_DATABASE_URL={URL}\n")
    monkeypatch.setenv("MINUTELEDGER_HOME", "/from/environment")
    settings = load_settings(home=tmp_path / "demo", database_url=None)
    assert settings.home == tmp_path / "demo"
    assert settings.database_url is None


def test_the_example_env_file_lists_every_variable_and_sets_none(tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text()
    assert {line.partition("=")[0] for line in text.splitlines() if "=" in line[:40]} >= set(
        VARIABLES
    )
    (tmp_path / ".env").write_text(text)
    assert load_settings() == Settings(home=tmp_path / "user" / ".minuteledger")


def test_settings_do_not_change() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.home = Path("/other")  # type: ignore[misc]  # the type says so too


def test_no_secret_is_in_a_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES[VARIABLES.index("APCA_API_KEY_ID") :]:
        monkeypatch.setenv(variable, SECRET)
    monkeypatch.setenv("MINUTELEDGER_ALERT_URL", f"https://hooks.example/{SECRET}")
    monkeypatch.setenv("MINUTELEDGER_BROKER_URL", f"redis://:{SECRET}@redis:6379/0")
    monkeypatch.setenv("MINUTELEDGER_DATABASE_URL", URL)
    settings = load_settings()
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.model_dump())
    assert settings.database_label == "postgresql://ledger@db.example:6543/market"


def test_the_embedded_database_has_a_label_too(tmp_path: Path) -> None:
    where = tmp_path / "user" / ".minuteledger" / "postgres"
    assert load_settings().database_label == f"embedded PostgreSQL in {where}"


@pytest.mark.parametrize(
    ("url", "what", "fix"),
    [
        (f"mysql://u:{SECRET}@h/d", "must start with postgresql://", "postgresql://user"),
        (f"postgres://u:{SECRET}@h/d", "must start with postgresql://", "postgresql://user"),
        (f"postgresql://u:{SECRET}/x@h/d", "has no valid host and port", "percent-encode"),
        (f"postgresql://u:{SECRET}@h:port/d", "has no valid host and port", "percent-encode"),
        (f"postgresql://u:{SECRET}@[h/d", "has no valid host and port", "percent-encode"),
        (f"postgresql://u:{SECRET}@/d", "names no host", "host:5432"),
        (f"postgresql://u:{SECRET}@h", "names no database", "/market"),
    ],
)
def test_a_database_url_that_cannot_work_is_refused_without_showing_it(
    url: str, what: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINUTELEDGER_DATABASE_URL", url)
    message = complaint()
    assert message.startswith(f"MINUTELEDGER_DATABASE_URL: {what}")
    assert fix in message
    assert "\n" not in message


def test_a_socket_folder_stands_for_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINUTELEDGER_DATABASE_URL", "postgresql:///market?host=/run/postgresql")
    assert load_settings().database_label == "postgresql:///market"


@given(password=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=6))
def test_no_password_however_written_reaches_an_error_or_a_repr(password: str) -> None:
    # Between letters that no message of ours holds by chance.
    unlikely = f"ZQ{password}QZ"
    shown: object
    try:
        shown = load_settings(database_url=f"postgresql://u:{unlikely}@h/d")
    except SettingsError as error:
        shown = str(error)
    assert unlikely not in repr(shown)


def test_every_problem_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MINUTELEDGER_HOME", "file")
    monkeypatch.setenv("MINUTELEDGER_UNIVERSE", "  ")
    home, universe = complaint().splitlines()
    assert home == (
        f"MINUTELEDGER_HOME: is {tmp_path / 'file'}, which is not a folder; "
        "name a folder, or remove that file"
    )
    assert universe == "MINUTELEDGER_UNIVERSE: is blank; set it to a path, or remove it"


def test_an_empty_home_of_the_user_is_not_the_root_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")
    assert complaint() == (
        "MINUTELEDGER_HOME: needs your home folder, but HOME is empty; set it to an absolute path"
    )


def test_a_user_without_a_home_is_told_to_set_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINUTELEDGER_HOME", "~no-such-user/x")
    assert complaint() == (
        "MINUTELEDGER_HOME: needs a home folder, and there is none; set it to an absolute path"
    )


def test_an_env_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"FMP_API_KEY=\xff\xfe\n")
    assert complaint() == (".env: cannot be read (it is not UTF-8 text); correct it, or remove it")


@pytest.mark.parametrize(
    "url",
    [
        f"hooks.example/{SECRET}",
        f"ftp://h/{SECRET}",
        f"https:///{SECRET}",
        f"http://[h/{SECRET}",
        f"https://h:port/{SECRET}",
        f"https://h:0/{SECRET}",
        f"https://h/{SECRET} x",
    ],
)
def test_an_address_of_alerts_that_cannot_work_is_refused_without_showing_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINUTELEDGER_ALERT_URL", url)
    assert complaint() == ("MINUTELEDGER_ALERT_URL: is not a web address; write https://host/path")


@pytest.mark.parametrize("url", [f"amqp://:{SECRET}@host", f"{SECRET}:6379", "redis://host:0"])
def test_an_address_of_no_redis_is_refused_without_showing_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINUTELEDGER_BROKER_URL", url)
    assert complaint().startswith("MINUTELEDGER_BROKER_URL: is not the address of a Redis; write")


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("STALE_AFTER", "soon", "is 'soon', which is no delay; write 90m, 1h, 7d or 2w"),
        ("REMIND_EVERY", "9999w", "is '9999w', which is longer than a year"),
        ("FORMAT", "xml", "Input should be 'json' or 'slack'"),
    ],
)
def test_what_alerts_cannot_mean_is_told(
    name: str, value: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"MINUTELEDGER_ALERT_{name}", value)
    assert complaint().startswith(f"MINUTELEDGER_ALERT_{name}: {what}")


def test_all_settings_reach_the_processes_that_are_started(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MINUTELEDGER_ALERT_URL", f"https://hooks.example/{SECRET}")
    monkeypatch.setenv("MINUTELEDGER_ALERT_FORMAT", "slack")
    monkeypatch.setenv("MINUTELEDGER_ALERT_STALE_AFTER", "2h")
    monkeypatch.setenv("MINUTELEDGER_DATABASE_URL", URL)
    monkeypatch.setenv("MINUTELEDGER_DEEP_CHECK_PERCENT", "2.5")
    monkeypatch.setenv("MINUTELEDGER_CLOCK", "1790000000 1709640000 60")
    settings = load_settings()
    for name, value in settings.environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".env").write_text("MINUTELEDGER_UNIVERSE=/other\nMINUTELEDGER_KEEP_RUNS_DAYS=1\n")
    assert load_settings() == load_settings(universe=settings.universe_path)
    assert load_settings().model_dump() == settings.model_dump() | {
        "universe": settings.universe_path
    }
    assert settings.alert_stale_after == timedelta(hours=2)
    assert settings.alert_remind_every == timedelta(days=1)
