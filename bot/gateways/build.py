"""Builds the client of every gateway that can be asked: what the catalogue says, with the operator's key."""

import ipaddress
from collections.abc import Iterator, Mapping

from yarl import URL

from bot import logs
from bot.catalogue import Catalogue
from bot.catalogue_tables import load_catalogue
from bot.config import Settings, read_limits
from bot.dialects import DIALECTS
from bot.entries import GatewaySpec
from bot.errors import SettingsError
from bot.gateways.apixo import ApixoGateway
from bot.gateways.base import Gateway
from bot.gateways.http import GatewayHttp
from bot.gateways.pixazo import PixazoGateway
from bot.gateways.videos import VideosGateway
from bot.models import AUTO
from bot.quotas import Layer, Limit

_AT_HOME = (".local", ".lan", ".internal", ".home.arpa")


def read_catalogue(settings: Settings) -> Catalogue:
    """Read the catalogue, and make sure that the default model is in it.

    Raises:
        SettingsError: one line that says what is wrong where.
    """
    catalogue = load_catalogue(settings.models_file)
    if settings.default_model not in {None, AUTO, *catalogue.models}:
        raise SettingsError(
            f"DEFAULT_MODEL: there is no {settings.default_model!r}; there are {', '.join(catalogue.models)}."
        )
    return catalogue


def real_gateways(settings: Settings, catalogue: Catalogue, http: GatewayHttp) -> dict[str, Gateway]:
    """Build the gateways that cost money and have a key, or need none.

    Raises:
        SettingsError: one line with the file, the table and the key that is wrong.
    """
    return {
        spec.name: client(spec, http, base_url=address(settings, spec), key=key, route=settings.apixo_route)
        for spec in catalogue.gateways.values()
        if not spec.play and (key := key_of(settings, spec)) is not None
    }


def play_gateways(
    settings: Settings, catalogue: Catalogue, http: GatewayHttp, sandbox: Mapping[str, str], sandbox_key: str
) -> dict[str, Gateway]:
    """Build the gateways that cost play money; `sandbox` has the addresses of those that it serves.

    Raises:
        SettingsError: one line with the file, the table and the key that is wrong.
    """
    found: dict[str, Gateway] = {}
    for spec in catalogue.gateways.values():
        if spec.name in sandbox:
            found[spec.name] = client(spec, http, base_url=sandbox[spec.name], key=sandbox_key)
        elif spec.play and (key := key_of(settings, spec)) is not None:
            found[spec.name] = client(spec, http, base_url=address(settings, spec), key=key)
    return found


def client(spec: GatewaySpec, http: GatewayHttp, *, base_url: str, key: str, route: str = "auto") -> Gateway:
    """Build the client of one gateway. `route` is the operator's choice for APIXO's `provider`."""
    charged = False if spec.failures_are_free else None
    match spec.kind:
        case "apixo":
            # The public list is that of the catalogue's address, and says nothing of another one.
            is_there = spec.models_url is not None and base_url == str(spec.base_url)
            return ApixoGateway(
                http,
                name=spec.name,
                base_url=base_url,
                key=key,
                route=route,
                charged=charged,
                models_url=str(spec.models_url) if is_there else "",
            )
        case "pixazo":
            return PixazoGateway(http, name=spec.name, base_url=base_url, key=key, charged=charged)
        case "videos":
            dialect = DIALECTS[spec.dialect or ""]
            return VideosGateway(
                http, name=spec.name, base_url=base_url, key=key, dialect=dialect, charged=charged
            )


def address(settings: Settings, spec: GatewaySpec) -> str:
    """Return where a gateway is: by its setting, or else by the catalogue."""
    return str(settings.base_urls.get(spec.name) or spec.base_url)


def key_of(settings: Settings, spec: GatewaySpec) -> str | None:
    """Return a gateway's key, which is empty where it needs none; None where a shipped one has none.

    From here on no log shows it.

    Raises:
        SettingsError: the key of one of the operator's own is not set, or must not be sent there.
    """
    if not spec.key_env:
        return ""
    try:
        key = settings.key(spec.key_env)
    except ValueError as error:
        raise SettingsError(f"{spec.where} key_env: {spec.key_env} {error}") from error
    if key is None:
        if spec.is_shipped and spec.key_env.lower() in type(settings).model_fields:
            return None
        raise SettingsError(f"{spec.where} key_env: {spec.key_env} is not set in the environment or in .env")
    logs.hide([key.get_secret_value()])
    if not _may_carry_a_key(URL(address(settings, spec)), settings.trusted_hosts):
        raise SettingsError(
            f"{spec.where} base_url: must be https, since a key is sent there; "
            "or name its host in TRUSTED_HOSTS"
        )
    return key.get_secret_value()


def key_limits(catalogue: Catalogue) -> Iterator[Limit]:
    """Give the operator's limits over each key, as far as the catalogue names them.

    Raises:
        SettingsError: one line with the file, the table and the key that is wrong.
    """
    for spec in catalogue.gateways.values():
        try:
            limits = read_limits(spec.limits) if spec.limits else {}
        except ValueError as error:
            raise SettingsError(f"{spec.where} limits: {error}") from error
        for measure, amount in limits.items():
            yield Limit(layer=Layer.KEY, subject=spec.name, measure=measure, amount=amount)


def trusted_hosts(catalogue: Catalogue) -> Iterator[str]:
    """Give the hosts of the operator's own gateways: their clips may lie on private addresses."""
    for spec in catalogue.gateways.values():
        if not spec.is_shipped and spec.base_url is not None:
            url = URL(str(spec.base_url))
            yield f"{url.host}:{url.port}".lower()


def _may_carry_a_key(url: URL, trusted: tuple[str, ...]) -> bool:
    """Whether a key may go there: encrypted, or not out of the house."""
    host = (url.host or "").lower()
    if url.scheme == "https" or {host, f"{host}:{url.port}"} & set(trusted):
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith(_AT_HOME)
