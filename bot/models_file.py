"""The catalogue as TOML: the shipped file, the operator's MODELS_FILE over it, and who is `like` whom."""

import dataclasses
import functools
import re
import tomllib
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

from bot.errors import SettingsError

Table: TypeAlias = dict[str, Any]
Tables: TypeAlias = dict[str, Table]

_SHIPPED = "catalogue.toml"
_LINE = re.compile(r"\(at line ([0-9]+),")
_HEADER = re.compile(r"\s*(\[[A-Za-z][^\]]*\])")
_KEY = re.compile(r"\s*([^\s\[=#][^=#]*?)\s*=")
_EXAMPLES = {"gateways": "[gateways.studio]", "models": "[models.'apixo/sora-2']"}
_NOTHING: Mapping[str, Tables] = {"gateways": {}, "models": {}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One table, whole but unchecked; `where` begins the line that finds fault with it.

    `is_shipped` says that the shipped file has a table of that name, whatever the operator changed in it.
    """

    name: str
    table: Table
    where: str
    is_shipped: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entries:
    """All tables, in the order of the shipped file; the operator's own come last."""

    gateways: list[Entry]
    models: list[Entry]


def read_entries(operators_file: Path | None) -> Entries:
    """Read the shipped file and merge the operator's over it.

    Raises:
        SettingsError: one line with the file, the table and the key that is wrong.
    """
    shipped = _sections(resources.files("bot").joinpath(_SHIPPED).read_text("utf-8"), _SHIPPED)
    source = f"MODELS_FILE {operators_file}"
    own = _sections(_read(operators_file, source), source) if operators_file is not None else _NOTHING
    return Entries(
        gateways=_entries("gateways", shipped, own, source), models=_entries("models", shipped, own, source)
    )


def _entries(
    section: str, shipped: Mapping[str, Tables], own: Mapping[str, Tables], source: str
) -> list[Entry]:
    # Inherited before the merge: what an operator changes in a model changes no other one.
    whole = {name: _inherit(shipped[section], name, _of(_SHIPPED, section)) for name in shipped[section]}
    tables = merged(whole, own[section])
    return [
        Entry(
            name=name,
            table=_inherit(tables, name, _of(source, section)),
            where=_where(source if name in own[section] else _SHIPPED, section, name),
            is_shipped=name in shipped[section],
        )
        for name in tables
    ]


def _read(path: Path, source: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{source}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{source}: is not UTF-8 text") from error


def _sections(toml: str, source: str) -> dict[str, Tables]:
    """Return the tables of a file by section and name."""
    try:
        whole = tomllib.loads(f"{toml}\n")  # or an error of the last line would name none
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{source}: {_place(toml, str(error))}is not TOML: {error}") from error
    if unknown := whole.keys() - _NOTHING.keys():
        raise SettingsError(
            f"{source}: {min(unknown)}: is unknown; there are [gateways.…] and [models.…] tables only"
        )
    return {section: _tables(whole.get(section, {}), source, section) for section in _NOTHING}


def _place(toml: str, error: str) -> str:
    """Return the table and the key of the line that an error of TOML names, as far as they can be told."""
    line = _LINE.search(error)
    if line is None:
        return ""
    above = toml.split("\n")[: int(line[1])]
    header = next(filter(None, map(_HEADER.match, reversed(above))), None)
    key = _KEY.match(above[-1])
    return "".join(f"{found[1]} " for found in (header, key) if found is not None)


def _tables(tables: object, source: str, section: str) -> Tables:
    if not _is_table(tables):
        raise SettingsError(f"{source}: {section}: must be tables like {_EXAMPLES[section]}")
    for name, table in tables.items():
        if not _is_table(table):
            raise SettingsError(f"{_where(source, section, name)} must be a table")
    return tables


def _is_table(value: object) -> TypeGuard[Table]:
    return isinstance(value, dict)


def _of(source: str, section: str) -> Callable[[str], str]:
    return functools.partial(_where, source, section)


def _where(source: str, section: str, name: str) -> str:
    return f'{source}: [{section}."{name}"]'


def merged(below: Table, above: Table) -> Table:
    """Merge tables key by key; a `price` is replaced whole, since half a price list is a wrong one."""
    both = dict(below)
    for key, value in above.items():
        old = both.get(key)
        both[key] = merged(old, value) if _is_table(old) and _is_table(value) and key != "price" else value
    return both


def _inherit(
    tables: Mapping[str, Table], name: str, where: Callable[[str], str], heirs: tuple[str, ...] = ()
) -> Table:
    """Resolve `like`: another entry's table with this one merged over it, but for where it is rendered."""
    table = dict(tables[name])
    other = table.pop("like", None)
    if other is None:
        return table
    if not isinstance(other, str) or other not in tables:
        raise SettingsError(f"{where(name)} like: there is no entry {other!r}")
    if other in {*heirs, name}:
        raise SettingsError(f"{where(name)} like: {other!r} is itself like this one")
    inherited = _inherit(tables, other, where, (*heirs, name))
    inherited.pop("gateway", None)
    return merged(inherited, table)
