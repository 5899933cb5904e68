"""The catalogue as TOML: the shipped file, the operator's MODELS_FILE over it, and who is `like` whom."""

import dataclasses
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

from bot.errors import SettingsError

Table: TypeAlias = dict[str, Any]

_SHIPPED = "catalogue.toml"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One model's table, whole but unchecked; `where` begins the line that finds fault with it."""

    name: str
    table: Table
    where: str


def read_entries(operators_file: Path | None) -> list[Entry]:
    """Read all models, in the order of the shipped file; the operator's own come last.

    Raises:
        SettingsError: one line with the file, the table and the key that is wrong.
    """
    shipped = _tables(resources.files("bot").joinpath(_SHIPPED).read_text("utf-8"), _SHIPPED)
    # Inherited before the merge: what an operator changes in a model changes no other one.
    merged = {name: _inherit(shipped, name, _SHIPPED) for name in shipped}
    if operators_file is None:
        return [Entry(name=name, table=table, where=_where(_SHIPPED, name)) for name, table in merged.items()]
    source = f"MODELS_FILE {operators_file}"
    own = _tables(_read(operators_file, source), source)
    merged = _merge(merged, own)
    return [
        Entry(
            name=name,
            table=_inherit(merged, name, source),
            where=_where(source if name in own else _SHIPPED, name),
        )
        for name in merged
    ]


def _read(path: Path, source: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{source}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{source}: is not UTF-8 text") from error


def _tables(toml: str, source: str) -> dict[str, Table]:
    """Return the models' tables of a file by name."""
    try:
        whole = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{source}: is not TOML: {error}") from error
    if unknown := whole.keys() - {"models"}:
        raise SettingsError(f"{source}: {min(unknown)}: is unknown; there are [models.…] tables only")
    models = whole.get("models", {})
    if not _is_table(models):
        raise SettingsError(f"{source}: models: must be tables like [models.'apixo/sora-2']")
    for name, table in models.items():
        if not _is_table(table):
            raise SettingsError(f"{_where(source, name)} must be a table")
    return models


def _is_table(value: object) -> TypeGuard[Table]:
    return isinstance(value, dict)


def _where(source: str, name: str) -> str:
    return f'{source}: [models."{name}"]'


def _merge(below: Table, above: Table) -> Table:
    """Merge tables key by key; a `price` is replaced whole, since half a price list is a wrong one."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if _is_table(old) and _is_table(value) and key != "price" else value
    return merged


def _inherit(tables: Mapping[str, Table], name: str, source: str, heirs: tuple[str, ...] = ()) -> Table:
    """Resolve `like`: another entry's table with this one merged over it."""
    table = dict(tables[name])
    other = table.pop("like", None)
    if other is None:
        return table
    if not isinstance(other, str) or other not in tables:
        raise SettingsError(f"{_where(source, name)} like: there is no model {other!r}")
    if other in {*heirs, name}:
        raise SettingsError(f"{_where(source, name)} like: {other!r} is itself like this one")
    return _merge(_inherit(tables, other, source, (*heirs, name)), table)
