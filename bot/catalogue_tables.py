"""Makes the catalogue of its tables: the shipped ones, and the operator's over them."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from bot import models_file, text
from bot.catalogue import Catalogue, Model
from bot.dialects import DIALECTS
from bot.entries import GatewaySpec, ModeSpec, Table
from bot.errors import SettingsError
from bot.models import AUTO, Account
from bot.models_file import Entry


def load_catalogue(operators_file: Path | None = None) -> Catalogue:
    """Read the shipped catalogue and merge the operator's file over it.

    Raises:
        SettingsError: one line with the file, the table and the key that is wrong.
    """
    return _shipped() if operators_file is None else _read(operators_file)


@functools.cache
def _shipped() -> Catalogue:
    return _read(None)


def _read(operators_file: Path | None) -> Catalogue:
    entries = models_file.read_entries(operators_file)
    _check_names(entries.gateways)
    _check_names(entries.models)
    gateways = {entry.name: _gateway(entry) for entry in entries.gateways}
    return Catalogue({entry.name: _model(entry, gateways) for entry in entries.models}, gateways)


def _check_names(entries: Iterable[Entry]) -> None:
    """Refuse names that only their capitals tell apart: people would order from the wrong one."""
    known: dict[str, str] = {}
    for entry in entries:
        other = known.setdefault(entry.name.casefold(), entry.name)
        if other != entry.name:
            raise SettingsError(f"{entry.where} is named like {other!r}, but for capitals")


def _gateway(entry: Entry) -> GatewaySpec:
    spec = _built(GatewaySpec, entry, {"where": entry.where, "is_shipped": entry.is_shipped}, id_key="name")
    if (spec.kind == "videos") != (spec.dialect is not None):
        is_missing = f"is missing; kind videos has one of {text.either(tuple(DIALECTS))}"
        needless = f"belongs to kind videos, not to {spec.kind}"
        raise SettingsError(f"{entry.where} dialect: {needless if spec.dialect else is_missing}")
    if spec.dialect is not None and spec.dialect not in DIALECTS:
        raise SettingsError(
            f"{entry.where} dialect: {spec.dialect!r} is unknown; there are {text.either(tuple(DIALECTS))}"
        )
    if spec.models_url is not None and spec.kind != "apixo":
        raise SettingsError(f"{entry.where} models_url: belongs to kind apixo, not to {spec.kind}")
    if spec.base_url is None and not spec.play:
        raise SettingsError(f"{entry.where} base_url: is missing; say where the gateway is")
    return spec


def _model(entry: Entry, gateways: Mapping[str, GatewaySpec]) -> Model:
    if entry.name == AUTO:
        raise SettingsError(f"{entry.where} has a name that means the bot's own choice; take another")
    name = entry.table.get("gateway", entry.name.partition("/")[0])
    spec = gateways.get(name) if isinstance(name, str) else None
    if spec is None:
        raise SettingsError(
            f"{entry.where} gateway: there is no gateway {name!r}; there are {text.either(tuple(gateways))}"
        )
    table: dict[str, Any] = dict(entry.table)
    if spec.dialect is not None:
        spoken = DIALECTS[spec.dialect].request.model_dump(exclude_defaults=True)
        table["request"] = models_file.merged(spoken, table.get("request", {}))
    account = Account.SANDBOX if spec.play else Account.REAL
    model = _built(
        Model,
        dataclasses.replace(entry, table=table),
        {"gateway": name, "account": account},
        id_key="model_id",
    )
    if spec.dialect is None and model.asking.picture is not None and model.asking.picture.send == "file":
        raise SettingsError(f"{entry.where} request.picture.send: {spec.kind} takes no files")
    for mode, mode_spec in model.modes.items():
        if (mode_spec.path is None) != (spec.kind != "pixazo"):
            wrong = "is missing; Pixazo has one for each mode" if spec.kind == "pixazo" else "take it out"
            raise SettingsError(f"{entry.where} modes.{mode}.path: {wrong}")
        if spec.dialect is not None and (wrong := _unsaid(model, mode_spec, spec.dialect)):
            raise SettingsError(f"{entry.where} modes.{mode}.{wrong}")
    return model


def _unsaid(model: Model, mode: ModeSpec, dialect: str) -> str:
    """Say which key of a mode holds sizes that the dialect has no words for; empty where there is none."""
    if model.asking.size is None:
        has_pixels = any(row.pixels is not None for row in mode.sizes or ())
        return (
            f"sizes: {dialect} has no field for pixels; take `ratio` and `resolution`" if has_pixels else ""
        )
    for key in ("ratio", "resolution"):
        if getattr(mode, key) is not None:
            return f"{key}: {dialect} takes pixels; give `sizes` with `pixels` in each row"
    for number, row in enumerate(mode.sizes or ()):
        if row.pixels is None and not row.send:
            return f"sizes.{number}.pixels: is missing; {dialect} takes pixels"
    return ""


_UNKNOWN = "extra_forbidden"
_REASONS = {
    "missing": "is missing",
    _UNKNOWN: "is unknown",
    "tuple_type": "must be a list in [ ]",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}
_Built = TypeVar("_Built", bound=Table)


def _built(kind: type[_Built], entry: Entry, known: Mapping[str, Any], *, id_key: str) -> _Built:
    """Check a table. What is `known` of it is not for the file to say, but for a model's gateway."""
    for key in (id_key, *(known.keys() - {"gateway"})):
        if key in entry.table:
            raise SettingsError(f"{entry.where} {key}: is not for a file to say; take it out")
    try:
        return kind.model_validate({id_key: entry.name, **entry.table, **known})
    except pydantic.ValidationError as error:
        errors = error.errors(include_url=False)
        # A key that is misspelt is missing too, and the unknown one says where.
        first = next((one for one in errors if one["type"] == _UNKNOWN), errors[0])
        reason = _REASONS.get(first["type"], first["msg"].removeprefix("Value error, "))
        key = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{entry.where} {key}: {reason}" if key else f"{entry.where} {reason}") from error
