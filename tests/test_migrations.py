"""Migrations: from nothing to this program's schema, whole or not at all, and nobody else's file."""

import shutil
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import OperationalError

from bot.errors import SchemaError
from storage import schema
from storage.database import MIGRATIONS, Database

HALF = '''
"""Does half of its work, then fails."""

import sqlalchemy as sa
from alembic import op

revision = "9998"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("marks", sa.Column("half", sa.String(), nullable=True))
    op.execute("INSERT INTO marks (name, value) VALUES ('half', 'half')")
    op.execute("INSERT INTO nowhere VALUES (1)")
'''


async def migrate(path: Path, migrations: Path = MIGRATIONS) -> None:
    database = Database(path, migrations=migrations)
    try:
        await database.migrate()
    finally:
        await database.close()


def sql(path: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute(statement).fetchall()
        connection.commit()
        return rows
    finally:
        connection.close()


def dump(path: Path) -> list[tuple[object, ...]]:
    return sql(path, "SELECT type, name, sql FROM sqlite_master ORDER BY name")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "100% data" / "bot.sqlite3"


@pytest.fixture(autouse=True)
def folder(path: Path) -> Path:
    path.parent.mkdir()
    return path.parent


async def refusal(path: Path) -> str:
    with pytest.raises(SchemaError) as refused:
        await migrate(path)
    assert refused.value.exit_code == 4
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    return str(refused.value)


async def test_a_fresh_file_gets_every_table_and_is_migrated_only_once(path: Path) -> None:
    await migrate(path)
    first = dump(path)
    sql(path, "INSERT INTO marks VALUES ('kept', 'yes')")

    await migrate(path)

    assert dump(path) == first
    assert sql(path, "SELECT value FROM marks") == [("yes",)]
    names = {name for kind, name, _ in first if kind == "table"}
    assert names == {*schema.metadata.tables, "alembic_version"}


async def test_the_file_is_kept_as_a_journal_and_written_through(path: Path) -> None:
    database = Database(path)
    await database.migrate()
    async with database.write() as connection:
        pragmas = [
            await connection.scalar(sa.text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    await database.close()

    assert pragmas == ["wal", 2, 1, 5000]


async def test_readers_cannot_write(path: Path) -> None:
    database = Database(path)
    await database.migrate()
    with pytest.raises(OperationalError, match="readonly"):
        async with database.read() as connection:
            await connection.execute(sa.insert(schema.marks).values(name="a", value="b"))
    await database.close()


async def test_the_migrated_file_is_what_the_queries_think_it_is(path: Path) -> None:
    await migrate(path)
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)))
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), schema.metadata)
        found = sa.inspect(connection)
        for table in schema.metadata.tables.values():
            checks = {check["name"]: check["sqltext"] for check in found.get_check_constraints(table.name)}
            assert checks == {
                str(check.name): str(check.sqltext)
                for check in table.constraints
                if isinstance(check, sa.CheckConstraint)
            }, table.name
            uniques = {key["name"]: key["column_names"] for key in found.get_unique_constraints(table.name)}
            assert uniques == {
                key.name: [column.name for column in key.columns]
                for key in table.constraints
                if isinstance(key, sa.UniqueConstraint)
            }, table.name
            indexes = {index["name"]: index["column_names"] for index in found.get_indexes(table.name)}
            assert indexes == {
                index.name: [column.name for column in index.columns] for index in table.indexes
            }, table.name
            keys = {
                (*key["constrained_columns"], key["referred_table"])
                for key in found.get_foreign_keys(table.name)
            }
            assert keys == {(key.parent.name, key.column.table.name) for key in table.foreign_keys}, (
                table.name
            )
            assert found.get_pk_constraint(table.name)["constrained_columns"] == [
                column.name for column in table.primary_key
            ]
    engine.dispose()
    assert differences == []


async def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    await migrate(path)
    sql(path, "UPDATE alembic_version SET version_num = '9999'")
    before = dump(path)

    assert "newer version (schema 9999)" in await refusal(path)

    assert dump(path) == before


async def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.write_bytes(b"this is a text file, and not even a short one" * 100)

    assert "not a database" in await refusal(path)

    assert path.read_bytes().startswith(b"this is a text file")


@pytest.mark.parametrize("table", ["notes", "jobs", "ledger"])
async def test_a_database_of_another_program_is_left_alone(path: Path, table: str) -> None:
    sql(path, f"CREATE TABLE {table} (id INTEGER)")
    before = dump(path)

    assert "another program" in await refusal(path)

    assert dump(path) == before


@pytest.mark.parametrize(
    "damage",
    ["DROP TABLE outages", "ALTER TABLE marks DROP COLUMN value", "ALTER TABLE marks RENAME TO mark"],
)
async def test_a_database_that_lacks_something_is_called_broken(path: Path, damage: str) -> None:
    await migrate(path)
    sql(path, damage)

    assert "is not whole" in await refusal(path)


async def test_a_folder_in_the_files_place_is_said(path: Path) -> None:
    path.mkdir()

    assert "unable to open" in await refusal(path)


async def test_a_migration_that_fails_half_way_leaves_nothing_behind(path: Path, tmp_path: Path) -> None:
    await migrate(path)
    before = dump(path)
    newer = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, newer, ignore=shutil.ignore_patterns("__pycache__"))
    (newer / "versions" / "9998_half.py").write_text(HALF, "utf-8")

    with pytest.raises(SchemaError, match="nowhere"):
        await migrate(path, newer)

    assert dump(path) == before
    assert sql(path, "SELECT * FROM marks") == []
    assert sql(path, "SELECT version_num FROM alembic_version") == [("0002",)]
    await migrate(path)  # and the version that wrote it still works


async def test_a_first_migration_that_fails_half_way_leaves_an_empty_file(path: Path, tmp_path: Path) -> None:
    newer = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, newer, ignore=shutil.ignore_patterns("__pycache__"))
    (newer / "versions" / "9998_half.py").write_text(HALF, "utf-8")

    with pytest.raises(SchemaError, match="nowhere"):
        await migrate(path, newer)

    assert dump(path) == []
