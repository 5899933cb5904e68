"""Settings: the form of each, and errors that name the setting but never what was written there."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import HttpUrl, SecretStr

from bot.config import Settings
from bot.errors import SettingsError
from bot.quotas import Layer, Limit, Measure

NAMES = [name.upper() for name in Settings.model_fields]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, without `.env`, and an environment without settings."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> object:
    monkeypatch.setenv(name, value)
    return getattr(Settings.read(), name.lower())


def test_nothing_has_to_be_set_but_the_token_to_run() -> None:
    settings = Settings.read()

    assert (settings.discord_token, settings.apixo_api_key, settings.pixazo_api_key) == (None, None, None)
    assert (settings.apixo_base_url, settings.pixazo_base_url) == (None, None)
    assert (settings.apixo_route, settings.data_dir, settings.keep_days) == ("auto", Path("data"), 30)
    assert (settings.models_file, settings.default_model, settings.trusted_hosts) == (None, None, ())
    assert (settings.default_user_monthly_limit, settings.operator_monthly_limit) == (10_000_000, None)
    assert (settings.operator_limits, settings.apixo_limits, settings.pixazo_limits) == ({}, {}, {})
    assert (settings.reconcile_threshold, settings.low_balance) == (1_000_000, 5_000_000)
    assert (settings.timezone, settings.allowed_servers) == (ZoneInfo("UTC"), ())
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8080)
    assert (settings.log_level, settings.log_format, settings.secrets) == ("info", "text", ())


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_value_is_unset(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    default = getattr(Settings.read(), name.lower())

    assert read(monkeypatch, name, "") == default


@pytest.mark.parametrize(
    ("name", "value", "meaning"),
    [
        ("DISCORD_TOKEN", "abc.def", SecretStr("abc.def")),
        ("APIXO_API_KEY", " key\n", SecretStr("key")),
        ("PIXAZO_API_KEY", "  ", None),
        ("ALLOWED_SERVERS", "123, 456,", (123, 456)),
        ("APIXO_ROUTE", "official", "official"),
        ("DATA_DIR", "/srv/bot", Path("/srv/bot")),
        ("KEEP_DAYS", "1", 1),
        ("MODELS_FILE", "models.toml", Path("models.toml")),
        ("DEFAULT_MODEL", "apixo/sora-2", "apixo/sora-2"),
        ("DEFAULT_USER_MONTHLY_LIMIT", "0", 0),
        ("DEFAULT_USER_MONTHLY_LIMIT", "$12,50", 12_500_000),
        ("OPERATOR_MONTHLY_LIMIT", "250", 250_000_000),
        (
            "OPERATOR_LIMITS",
            "day 20, week 80, month 200, job 5, at once 10, jobs a day 100",
            {
                Measure.DAY: 20_000_000,
                Measure.WEEK: 80_000_000,
                Measure.MONTH: 200_000_000,
                Measure.JOB: 5_000_000,
                Measure.AT_ONCE: 10,
                Measure.JOBS_A_DAY: 100,
            },
        ),
        ("APIXO_LIMITS", " Job  $1.50 ,AT ONCE 0", {Measure.JOB: 1_500_000, Measure.AT_ONCE: 0}),
        ("PIXAZO_LIMITS", "month 0", {Measure.MONTH: 0}),
        ("TIMEZONE", "Europe/Berlin", ZoneInfo("Europe/Berlin")),
        ("RECONCILE_THRESHOLD", "0.25", 250_000),
        ("LOW_BALANCE", "$20", 20_000_000),
        (
            "TRUSTED_HOSTS",
            "GPU-box, files.example:8443,10.0.0.7:80, [::1]:99",
            ("gpu-box", "files.example:8443", "10.0.0.7:80", "[::1]:99"),
        ),
        ("HTTP_PORT", "0", 0),
        ("PUBLIC_URL", "https://bot.example", HttpUrl("https://bot.example/")),
        ("PUBLIC_URL", "https://Bot.Example:8443/video/bot/", HttpUrl("https://bot.example:8443/video/bot/")),
        ("LOG_LEVEL", "debug", "debug"),
        ("LOG_FORMAT", "json", "json"),
    ],
)
def test_a_setting_is_read_in_its_form(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, meaning: object
) -> None:
    assert read(monkeypatch, name, value) == meaning


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("DISCORD_TOKEN", "hunter2 hunter2", "no key"),
        ("APIXO_API_KEY", "hunter2\nX-Evil: 1", "no key"),
        ("PIXAZO_API_KEY", "hunter2é", "no key"),
        ("ALLOWED_SERVERS", "123,hunter2", "integer"),
        ("ALLOWED_SERVERS", "-1234567", "greater than 0"),
        ("APIXO_BASE_URL", "http://hunter2.example/api/v1", "https"),
        ("APIXO_BASE_URL", "hunter2", "URL"),
        ("PIXAZO_BASE_URL", "http://hunter2.example", "https"),
        ("APIXO_ROUTE", "hunter2", "'official'"),
        ("KEEP_DAYS", "0", "greater than or equal to 1"),
        ("KEEP_DAYS", "hunter2", "integer"),
        ("DEFAULT_USER_MONTHLY_LIMIT", "-1", "12.50"),
        ("DEFAULT_USER_MONTHLY_LIMIT", "hunter2", "12.50"),
        ("OPERATOR_MONTHLY_LIMIT", "1234.567", "12.50"),
        ("OPERATOR_MONTHLY_LIMIT", "99999999", "at most 1000000"),
        ("OPERATOR_LIMITS", "hunter2 20", "day 20, week 80"),
        ("OPERATOR_LIMITS", "day hunter2", "day 20, week 80"),
        ("OPERATOR_LIMITS", "day20", "day 20, week 80"),
        ("APIXO_LIMITS", "day 20, day 30", "names day twice"),
        ("APIXO_LIMITS", "at once 2.5", "day 20, week 80"),
        ("APIXO_LIMITS", "jobs a day -1", "less than nothing"),
        ("PIXAZO_LIMITS", "day -20", "day 20, week 80"),
        ("PIXAZO_LIMITS", "day 21,", "day 20, week 80"),
        ("RECONCILE_THRESHOLD", "hunter2", "12.50"),
        ("LOW_BALANCE", "-1", "12.50"),
        ("TIMEZONE", "hunter2", "Europe/Berlin"),
        ("TIMEZONE", "../hunter2", "Europe/Berlin"),
        ("TRUSTED_HOSTS", "files.example,http://hunter2.example", "host or host:port"),
        ("TRUSTED_HOSTS", "hunter2.example/path", "host or host:port"),
        ("TRUSTED_HOSTS", "user@hunter2.example", "host or host:port"),
        ("HTTP_PORT", "65536", "65535"),
        ("PUBLIC_URL", "http://hunter2.example", "must be https"),
        ("PUBLIC_URL", "https://me:hunter2@bot.example", "like https://bot.example.com"),
        ("PUBLIC_URL", "https://hunter2@bot.example", "like https://bot.example.com"),
        ("PUBLIC_URL", "https://bot.example/?hunter2", "like https://bot.example.com"),
        ("PUBLIC_URL", "https://bot.example/#hunter2", "like https://bot.example.com"),
        ("PUBLIC_URL", "https://bot.example/{hunter2}", "like https://bot.example.com"),
        ("PUBLIC_URL", "https://bot.example//hunter2", "like https://bot.example.com"),
        ("PUBLIC_URL", "hunter2", "URL"),
        ("LOG_LEVEL", "hunter2", "'debug'"),
        ("LOG_FORMAT", "hunter2", "'json'"),
    ],
)
def test_a_wrong_setting_is_named_with_how_to_mend_it_and_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        read(monkeypatch, name, value)

    line = str(refused.value)
    assert line.startswith(f"{name}: ")
    assert line.endswith(" Mend it in the environment or in .env.")
    assert why in line
    assert "hunter2" not in line
    assert len(value) < 5 or value not in line
    assert "\n" not in line
    assert refused.value.exit_code == 2
    assert refused.value.__cause__ is None  # nothing for a traceback to show


def test_the_operators_limits_hold_over_each_key_and_over_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATOR_MONTHLY_LIMIT", "200")
    monkeypatch.setenv("OPERATOR_LIMITS", "day 20")
    monkeypatch.setenv("PIXAZO_LIMITS", "at once 2")

    assert set(Settings.read().caps) == {
        Limit(layer=Layer.OPERATOR, measure=Measure.MONTH, amount=200_000_000),
        Limit(layer=Layer.OPERATOR, measure=Measure.DAY, amount=20_000_000),
        Limit(layer=Layer.KEY, subject="pixazo", measure=Measure.AT_ONCE, amount=2),
    }


def test_the_month_is_limited_in_one_setting_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATOR_MONTHLY_LIMIT", "200")
    monkeypatch.setenv("OPERATOR_LIMITS", "month 100")

    with pytest.raises(SettingsError, match="OPERATOR_MONTHLY_LIMIT and OPERATOR_LIMITS both name a month"):
        Settings.read()


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:1", "[::1]:8000"])
def test_a_gateway_on_this_machine_may_speak_plain_http(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    assert str(read(monkeypatch, "APIXO_BASE_URL", f"http://{host}/api/v1")) == f"http://{host}/api/v1"


def test_the_file_is_read_and_the_environment_goes_before_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("KEEP_DAYS=7\nAPIXO_API_KEY='from file'\nHTTP_PORT=\nUNKNOWN=1\n", "utf-8")
    with pytest.raises(SettingsError, match=r"^APIXO_API_KEY: "):
        Settings.read()
    monkeypatch.setenv("APIXO_API_KEY", "from-environment")

    settings = Settings.read()

    assert (settings.keep_days, settings.http_port) == (7, 8080)
    assert settings.secrets == ("from-environment",)


def test_a_file_that_is_no_text_is_said_in_one_line(folder: Path) -> None:
    (folder / ".env").write_bytes(b"KEEP_DAYS=\xff\n")

    with pytest.raises(SettingsError, match=r"^\.env is not UTF-8 text"):
        Settings.read()


def test_no_secret_is_seen_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISCORD_TOKEN", "APIXO_API_KEY", "PIXAZO_API_KEY"):
        monkeypatch.setenv(name, f"hunter2-{name}")

    settings = Settings.read()

    assert "hunter2" not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert settings.secrets == ("hunter2-DISCORD_TOKEN", "hunter2-APIXO_API_KEY", "hunter2-PIXAZO_API_KEY")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(Exception, match="frozen"):
        Settings.read().keep_days = 3
