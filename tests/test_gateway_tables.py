"""Gateways as data: which open with which key, and what is refused before anything is sent."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.catalogue import Catalogue
from bot.catalogue_tables import load_catalogue
from bot.config import Settings
from bot.errors import SettingsError
from bot.gateways import build
from bot.gateways.http import GatewayHttp
from bot.quotas import Layer, Limit, Measure

HOME = """
[gateways.studio]
kind = "videos"
base_url = "http://gpu-box:30010/v1"
dialect = "sglang"
"""
TABLE = '[gateways."studio"]'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, and an environment without keys."""
    for name in ("APIXO_API_KEY", "PIXAZO_API_KEY", "APIXO_BASE_URL", "TRUSTED_HOSTS", "DISCORD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
async def http() -> AsyncIterator[GatewayHttp]:
    async with GatewayHttp() as opened:
        yield opened


def load(text: str) -> Catalogue:
    path = Path("models.toml")
    path.write_text(text, "utf-8")
    return load_catalogue(path)


def opened(text: str, http: GatewayHttp) -> list[str]:
    """The names of the gateways that cost money and are open."""
    return list(build.real_gateways(Settings.read(), load(text), http))


def refusal(text: str) -> str:
    catalogue = load(text)
    with pytest.raises(SettingsError) as refused:
        build.key_of(Settings.read(), catalogue.gateways["studio"])
    assert refused.value.exit_code == 2
    return str(refused.value)


async def test_the_shipped_gateways_open_with_their_keys_alone(
    http: GatewayHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert opened("", http) == []
    monkeypatch.setenv("PIXAZO_API_KEY", "key-1")
    assert opened("", http) == ["pixazo"]
    monkeypatch.setenv("APIXO_API_KEY", "key-2")
    assert opened("", http) == ["apixo", "pixazo"]


async def test_a_gateway_without_a_key_variable_needs_none(http: GatewayHttp) -> None:
    assert opened(HOME, http) == ["studio"]
    assert opened(HOME + 'key_env = ""', http) == ["studio"]


@pytest.mark.parametrize("place", ["environment", ".env"])
async def test_a_key_is_read_from_the_environment_or_from_dot_env(
    http: GatewayHttp, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "environment":
        monkeypatch.setenv("STUDIO_KEY", " key-3\n")
    else:
        Path(".env").write_text("STUDIO_KEY=key-3\n", "utf-8")
    catalogue = load(HOME + 'key_env = "STUDIO_KEY"')

    assert build.key_of(Settings.read(), catalogue.gateways["studio"]) == "key-3"
    assert list(build.real_gateways(Settings.read(), catalogue, http)) == ["studio"]


async def test_several_gateways_of_one_kind_and_several_keys_of_one_gateway_open_side_by_side(
    http: GatewayHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APIXO_API_KEY", "key-1")
    monkeypatch.setenv("APIXO_TEAM_KEY", "key-2")
    text = """
    [gateways.apixo-team]
    like = "apixo"
    key_env = "APIXO_TEAM_KEY"
    limits = "day 20"
    [models."apixo-team/wan"]
    like = "apixo/wan-2-6-video"
    """
    catalogue = load(text)
    settings = Settings.read()

    assert opened(text, http) == ["apixo", "apixo-team"]
    keys = {name: build.key_of(settings, catalogue.gateways[name]) for name in ("apixo", "apixo-team")}
    assert keys == {"apixo": "key-1", "apixo-team": "key-2"}
    assert catalogue.models["apixo-team/wan"].gateway == "apixo-team"
    assert list(build.key_limits(catalogue)) == [
        Limit(layer=Layer.KEY, measure=Measure.DAY, amount=20_000_000, subject="apixo-team")
    ]


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("STUDIO_KEY", None, "STUDIO_KEY is not set in the environment or in .env"),
        ("STUDIO_KEY", "  ", "STUDIO_KEY is not set in the environment or in .env"),
        ("STUDIO_KEY", "a key", "STUDIO_KEY is no key"),
        ("APIXO_API_KEY", None, "APIXO_API_KEY is not set"),
        ("DISCORD_TOKEN", "token", "DISCORD_TOKEN is a setting of its own; name another variable"),
        ("data_dir", "data", "data_dir is a setting of its own; name another variable"),
    ],
)
def test_a_key_that_is_none_ends_the_start_in_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None, why: str
) -> None:
    if value is not None:
        monkeypatch.setenv(variable, value)

    line = refusal(f'{HOME}key_env = "{variable}"')

    assert line.startswith(f"MODELS_FILE models.toml: {TABLE} key_env: {why}")
    assert "\n" not in line


def test_a_shipped_gateway_with_a_variable_of_the_operators_own_needs_it() -> None:
    catalogue = load('[gateways.apixo]\nkey_env = "OUR_KEY"')

    with pytest.raises(
        SettingsError, match=r'^MODELS_FILE models\.toml: \[gateways\."apixo"\] key_env: OUR_KEY is not'
    ):
        build.key_of(Settings.read(), catalogue.gateways["apixo"])


@pytest.mark.parametrize(
    ("address", "is_fine"),
    [
        ("https://videos.example.com/v1", True),
        ("http://gpu-box:30010/v1", True),
        ("http://gpu-box.lan/v1", True),
        ("http://127.0.0.1:8000/v1", True),
        ("http://192.168.1.5:8000/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://videos.example.com/v1", False),
        ("http://8.8.8.8/v1", False),
        ("http://trusted.example.com:8000/v1", True),
        ("http://trusted.example.com:8001/v1", False),
    ],
)
def test_a_key_goes_out_of_the_house_encrypted_only(
    monkeypatch: pytest.MonkeyPatch, *, address: str, is_fine: bool
) -> None:
    monkeypatch.setenv("STUDIO_KEY", "key-3")
    monkeypatch.setenv("TRUSTED_HOSTS", "trusted.example.com:8000")
    text = HOME.replace("http://gpu-box:30010/v1", address) + 'key_env = "STUDIO_KEY"'

    if is_fine:
        assert build.key_of(Settings.read(), load(text).gateways["studio"]) == "key-3"
    else:
        assert refusal(text).startswith(f"MODELS_FILE models.toml: {TABLE} base_url: must be https")


def test_where_no_key_is_sent_plain_http_will_do() -> None:
    text = HOME.replace("http://gpu-box:30010/v1", "http://videos.example.com/v1")

    assert build.key_of(Settings.read(), load(text).gateways["studio"]) == ""


def test_wrong_limits_of_a_gateway_end_the_start_in_one_line() -> None:
    with pytest.raises(SettingsError, match=r'^MODELS_FILE models\.toml: \[gateways\."studio"\] limits: '):
        list(build.key_limits(load(HOME + 'limits = "often"')))
