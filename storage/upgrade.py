"""Brings a database to this program's schema, and refuses files that are none of ours."""

from pathlib import Path

import alembic.command
import alembic.config
import alembic.script
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext

from bot.errors import SchemaError
from storage import schema

MIGRATIONS = Path(__file__).parent / "migrations"


def known_schemas(migrations: Path = MIGRATIONS) -> frozenset[str]:
    """Return every schema that this program can bring to its own."""
    return _known(_config(migrations))


def upgrade(connection: sa.Connection, migrations: Path) -> None:
    """Apply the migrations that are missing.

    Raises:
        SchemaError: whose sentence goes on from the file's name.
    """
    config = _config(migrations)
    config.attributes["connection"] = connection
    known = _known(config)
    heads = set(MigrationContext.configure(connection).get_current_heads())
    if newer := heads - known:
        raise SchemaError(
            f"was written by a newer version (schema {min(newer)}). Install that version, or restore a "
            "backup made before the upgrade."
        )
    if not heads and sa.inspect(connection).get_table_names():
        raise SchemaError("is the database of another program. Move it away, or name another DATA_DIR.")
    alembic.command.upgrade(config, "head")
    _check(connection)


def _check(connection: sa.Connection) -> None:
    """Refuse a file whose tables somebody changed by hand, before a job stumbles over it."""
    found = sa.inspect(connection)
    names = set(found.get_table_names())
    for table in schema.metadata.sorted_tables:
        whole = table.name in names and {column["name"] for column in found.get_columns(table.name)} >= set(
            table.columns.keys()
        )
        if not whole:
            raise SchemaError(f"is broken: the table {table.name} is not whole. Restore a backup.")


def _config(migrations: Path) -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    return config


def _known(config: alembic.config.Config) -> frozenset[str]:
    scripts = alembic.script.ScriptDirectory.from_config(config)
    return frozenset(script.revision for script in scripts.walk_revisions())
