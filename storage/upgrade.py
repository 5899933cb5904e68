"""Brings a database to this program's schema, and refuses files that are none of ours."""

from pathlib import Path

import sqlalchemy as sa

from bot.errors import SchemaError
from storage import schema

MIGRATIONS = Path(__file__).parent / "migrations"


def known_schemas(migrations: Path = MIGRATIONS) -> frozenset[str]:
    """Return every schema that this program can bring to its own: a migration's file begins with its."""
    return frozenset(file.name.partition("_")[0] for file in (migrations / "versions").glob("*.py"))


def upgrade(connection: sa.Connection, migrations: Path) -> None:
    """Apply the migrations that are missing.

    Raises:
        SchemaError: whose sentence goes on from the file's name.
    """
    known, names = known_schemas(migrations), set(sa.inspect(connection).get_table_names())
    heads: set[str] = set()
    if "alembic_version" in names:
        heads = set(connection.scalars(sa.text("SELECT version_num FROM alembic_version")))
    if newer := heads - known:
        raise SchemaError(
            f"was written by a newer version (schema {min(newer)}). Install that version, or restore a "
            "backup made before the upgrade."
        )
    if not heads and names:
        raise SchemaError("is the database of another program. Move it away, or name another DATA_DIR.")
    if heads != {max(known)}:
        _migrate(connection, migrations)
    _check(connection)


def _migrate(connection: sa.Connection, migrations: Path) -> None:
    # Loading Alembic is a fifth of what a start takes, and most starts find nothing to do for it.
    import alembic.command  # noqa: PLC0415
    import alembic.config  # noqa: PLC0415

    config = alembic.config.Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")


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
