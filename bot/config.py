"""Settings: the only reader of the environment and of `.env`."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

import pydantic
from dotenv import dotenv_values
from pydantic import Field, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot import money
from bot.errors import SettingsError
from bot.quotas import Layer, Limit, Measure


def _split(value: Any) -> Any:
    """Read a comma-separated list."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _key(value: Any) -> Any:
    """Read a token or key: files and panels often end it with a line break, headers could not hold one."""
    if not isinstance(value, str):
        return value
    key = value.strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError("is no key: it holds characters that no key has; copy it anew")
    return key or None


def _dollars(value: Any) -> Any:
    """Read an amount of dollars into micro-dollars."""
    if not isinstance(value, str):
        return value
    try:
        return money.parse_dollars(value)
    except ValueError as error:
        raise ValueError("is no amount; write dollars like 12.50, at most 1000000") from error


def _limits(value: Any) -> Any:
    """Read limits that are written as text."""
    return read_limits(value) if isinstance(value, str) else value


def read_limits(value: str) -> dict[Measure, int]:
    """Read limits like "day 20, job 5, at once 10" into amounts by their measure.

    Raises:
        ValueError: what is wrong with them.
    """
    found: dict[Measure, int] = {}
    for part in value.split(","):
        name, _, amount = part.strip().rpartition(" ")
        try:
            measure = Measure(name.strip().lower())
            number = money.parse_dollars(amount) if measure.is_money else int(amount)
        except ValueError as error:
            raise ValueError(f"is no list of limits; write some of: {_EXAMPLE_LIMITS}") from error
        if measure in found or number < 0:
            raise ValueError(f"names {measure} twice, or less than nothing; write some of: {_EXAMPLE_LIMITS}")
        found[measure] = number
    return found


def _zone(value: Any) -> Any:
    """Read the name of a time zone."""
    if not isinstance(value, str):
        return value
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("is no time zone; write one like Europe/Berlin") from error


def _host(value: str) -> str:
    """Check one host or host:port, as the authority of a web address has it."""
    if not _HOST.fullmatch(value):
        raise ValueError("write host or host:port, without http:// and path")
    return value.lower()


_ENV_FILE = ".env"
_EXAMPLE_LIMITS = "day 20, week 80, month 200, job 5, at once 10, jobs a day 100"

_PATH = re.compile(r"(/[\w.~-]+)*/?", re.ASCII)
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+)(:\d{1,5})?", re.ASCII | re.IGNORECASE)

_Key = Annotated[SecretStr | None, pydantic.BeforeValidator(_key)]
_Micros = Annotated[int, pydantic.BeforeValidator(_dollars)]
_Limits = Annotated[Mapping[Measure, int], NoDecode, pydantic.BeforeValidator(_limits)]
_Zone = Annotated[ZoneInfo, pydantic.BeforeValidator(_zone)]
_ServerIds = Annotated[tuple[Annotated[int, Field(gt=0)], ...], NoDecode, pydantic.BeforeValidator(_split)]
_Hosts = Annotated[
    tuple[Annotated[str, pydantic.AfterValidator(_host)], ...], NoDecode, pydantic.BeforeValidator(_split)
]


class Settings(BaseSettings):
    """Everything an operator can set. An empty value counts as unset. Amounts become micro-dollars."""

    model_config = SettingsConfigDict(
        env_file=_ENV_FILE,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )

    discord_token: Annotated[_Key, Field(description="The bot's token; needed by run.")] = None
    allowed_servers: Annotated[
        _ServerIds,
        Field(description="Server ids that may order; empty: the one server the bot is in."),
    ] = ()

    apixo_api_key: Annotated[_Key, Field(description="APIXO's key.")] = None
    apixo_base_url: Annotated[
        HttpUrl | None, Field(description="APIXO's address, ending in /api/v1; empty: the catalogue's.")
    ] = None
    apixo_route: Annotated[
        Literal["auto", "value", "official"], Field(description="APIXO's routing of sora-2.")
    ] = "auto"
    pixazo_api_key: Annotated[_Key, Field(description="Pixazo's subscription key.")] = None
    pixazo_base_url: Annotated[
        HttpUrl | None, Field(description="Pixazo's address; empty: the catalogue's.")
    ] = None

    data_dir: Annotated[Path, Field(description="Database, pictures and clips.")] = Path("data")
    keep_days: Annotated[int, Field(ge=1, description="Days that finished clips stay on disk.")] = 30
    models_file: Annotated[Path | None, Field(description="TOML merged over the catalogue.")] = None
    default_model: Annotated[str | None, Field(description="Ordered when none is named.")] = None

    default_user_monthly_limit: Annotated[
        _Micros, Field(description="Dollars a month for members without a limit of their own.")
    ] = 10 * money.MICROS_PER_DOLLAR
    operator_monthly_limit: Annotated[
        _Micros | None, Field(description="Dollars a month over everything.")
    ] = None
    operator_limits: Annotated[
        _Limits, Field(description="More limits over everything, like: day 20, job 5, at once 10.")
    ] = {}
    apixo_limits: Annotated[_Limits, Field(description="Limits of APIXO's key, in the same words.")] = {}
    pixazo_limits: Annotated[_Limits, Field(description="Limits of Pixazo's key, in the same words.")] = {}
    timezone: Annotated[_Zone, Field(description="Where days, weeks and months turn.")] = ZoneInfo("UTC")
    reconcile_threshold: Annotated[
        _Micros, Field(description="Dollars by which a balance may leave the ledger before it is told.")
    ] = 1 * money.MICROS_PER_DOLLAR
    low_balance: Annotated[
        _Micros, Field(description="Dollars at a gateway below which the operator is told.")
    ] = 5 * money.MICROS_PER_DOLLAR

    trusted_hosts: Annotated[
        _Hosts, Field(description="host or host:port allowed on private addresses and plain http.")
    ] = ()
    http_host: Annotated[str, Field(description="Where /healthz, /readyz and /metrics listen.")] = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535, description="Its port; 0 takes a free one.")] = 8080
    public_url: Annotated[
        HttpUrl | None, Field(description="Where gateways reach /hooks/; empty: they are not asked to call.")
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="How much to log.")
    ] = "info"
    log_format: Annotated[Literal["text", "json"], Field(description="How a line looks.")] = "text"

    @pydantic.field_validator("apixo_base_url", "pixazo_base_url")
    @classmethod
    def _no_key_over_plain_http(cls, url: HttpUrl | None) -> HttpUrl | None:
        if url is not None and url.scheme != "https" and url.host not in {"127.0.0.1", "localhost", "[::1]"}:
            raise ValueError("must be https: a key is sent there")
        return url

    @pydantic.field_validator("public_url")
    @classmethod
    def _plain_https_address(cls, url: HttpUrl | None) -> HttpUrl | None:
        if url is None:
            return None
        if url.scheme != "https":
            raise ValueError("must be https: the addresses below it are secrets")
        named = (url.username, url.password, url.query, url.fragment)
        if any(part is not None for part in named) or not _PATH.fullmatch(url.path or "/"):
            raise ValueError("must be an address like https://bot.example.com or https://example.com/bot")
        return url

    @pydantic.model_validator(mode="after")
    def _one_limit_a_month(self) -> Self:
        if self.operator_monthly_limit is not None and Measure.MONTH in self.operator_limits:
            raise ValueError("OPERATOR_MONTHLY_LIMIT and OPERATOR_LIMITS both name a month; keep one")
        return self

    @property
    def caps(self) -> tuple[Limit, ...]:
        """The operator's limits over each key and over everything."""
        keys = {"apixo": self.apixo_limits, "pixazo": self.pixazo_limits}
        everything = dict(self.operator_limits)
        if self.operator_monthly_limit is not None:
            everything[Measure.MONTH] = self.operator_monthly_limit
        return tuple(
            Limit(layer=Layer.KEY, subject=gateway, measure=measure, amount=amount)
            for gateway, limits in keys.items()
            for measure, amount in limits.items()
        ) + tuple(
            Limit(layer=Layer.OPERATOR, measure=measure, amount=amount)
            for measure, amount in everything.items()
        )

    @classmethod
    def read(cls) -> Self:
        """Read the environment and `.env`.

        Raises:
            SettingsError: one line that names the setting and what is wrong with it, never its value.
        """
        try:
            return cls()
        except pydantic.ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = str(first["loc"][0]).upper() if first["loc"] else "settings"
            reason = first["msg"].removeprefix("Value error, ")
            raise SettingsError(f"{name}: {reason}. Mend it in the environment or in .env.") from None
        except UnicodeDecodeError as error:
            raise SettingsError(f".env is not UTF-8 text: {error}") from None

    @property
    def base_urls(self) -> Mapping[str, HttpUrl | None]:
        """Where gateways are, by their names, in the place of what the catalogue says."""
        return {"apixo": self.apixo_base_url, "pixazo": self.pixazo_base_url}

    def key(self, variable: str) -> SecretStr | None:
        """Return a gateway's key by the name of its variable; None where it is not set.

        Raises:
            ValueError: the variable is for something else, or what it holds is no key.
        """
        name = variable.lower()
        if name in {"apixo_api_key", "pixazo_api_key"}:
            return getattr(self, name)
        if name in type(self).model_fields:
            raise ValueError("is a setting of its own; name another variable")
        value = os.environ.get(variable) or dotenv_values(_ENV_FILE).get(variable)
        key = _key(value)
        return None if key is None else SecretStr(key)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret value among the settings, for redaction."""
        keys = (self.discord_token, self.apixo_api_key, self.pixazo_api_key)
        return tuple(key.get_secret_value() for key in keys if key is not None)
