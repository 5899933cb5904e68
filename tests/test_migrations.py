"""Migrations: from nothing to this program's schema, whole or not at all, and nobody else's file."""

import asyncio
import datetime as dt
import io
import shutil
import sqlite3
import threading
from pathlib import Path

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

from bot.errors import DiskUnusable, SchemaError
from storage import schema
from storage.database import MIGRATIONS, Database
from storage.proof import prove_ledger
from storage.upgrade import known_schemas

HALF = '''
"""Does half of its work, then fails."""

import sqlalchemy as sa
from alembic import op

revision = "9998"
down_revision = "0004"


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


def test_each_migration_is_known_by_the_name_of_its_file() -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert known_schemas() == {script.revision for script in scripts.walk_revisions()}
    assert scripts.get_current_head() == max(known_schemas())


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


# What the first version wrote


FIRST = """
    INSERT INTO members VALUES (1, 100, 11), (2, 100, 12), (3, 101, NULL);
    INSERT INTO marks VALUES ('swept', 'today');
    INSERT INTO outages VALUES ('key', 'apixo', 'no_balance', 'empty', '2026-10-01T00:00:00.000000Z');
    INSERT INTO jobs (
        job_id, origin, account, server_id, channel_id, member_id, mode, model, gateway, prompt, seconds,
        shape, stage, failure, task_id, clip_name, quote_micros, estimate, created_at
    )
    SELECT column1, 'interaction:' || column1, 'real', column2, 200, column3, 'text-to-video',
           'apixo/sora-2-pro', 'apixo', 'a fox', 4, 'landscape', column4, column5, column1, column1, column6,
           0, column7
    FROM (VALUES
        ('held', 100, 1, 'rendering', NULL, 300000, '2026-10-31T23:59:59.999999Z'),
        ('paid', 100, 1, 'done', NULL, 400000, '2026-10-05T08:00:00.000000Z'),
        ('failed', 100, 2, 'failed', 'timed_out', 500000, '2026-11-01T00:00:00.000000Z'),
        ('refunded', 101, 3, 'done', NULL, 700000, '2026-11-02T00:00:00.000000Z')
    );
    INSERT INTO stage_history (job_id, stage, at) SELECT job_id, stage, created_at FROM jobs;
    INSERT INTO ledger (
        entry_id, job_id, server_id, member_id, account, kind, amount_micros, model, reason, ordered_at,
        created_at
    )
    SELECT column1, job_id, server_id, member_id, account, column3, column4, model, 'reason', created_at,
           '2026-11-03T00:00:00.000000Z'
    FROM (VALUES
        (1, 'held', 'hold', 300000), (2, 'paid', 'hold', 400000), (5, 'paid', 'settle', 400000),
        (6, 'failed', 'hold', 500000), (7, 'failed', 'release', 500000),
        (8, 'failed', 'possible_charge', 500000), (9, 'refunded', 'hold', 700000),
        (10, 'refunded', 'settle', 700000), (11, 'refunded', 'correction', 608333)
    ) JOIN jobs ON job_id = column2;
    INSERT INTO ledger (
        entry_id, server_id, member_id, account, kind, amount_micros, reason, ordered_at, created_at
    ) VALUES (20, 100, 2, 'real', 'grant', 900000, 'a gift', '2026-11-04T00:00:00.000000Z', 'then');
    INSERT INTO limits VALUES (1, 5000000, 2, '2026-10-01T00:00:00.000000Z');
    INSERT INTO limits VALUES (3, 0, 3, '2026-10-02T00:00:00.000000Z');
"""


def written(path: Path, version: str, rows: str) -> Path:
    """Make a file as an older version left it."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, version)
    engine.dispose()
    connection = sqlite3.connect(path)
    connection.executescript(rows)
    connection.close()
    return path


@pytest.fixture
def first(path: Path) -> Path:
    """A file of the first version, with a row of every kind."""
    return written(path, "0001", FIRST)


async def test_what_the_first_version_wrote_is_kept_and_counted(first: Path) -> None:
    ledger = "SELECT entry_id, job_id, server_id, member_id, account, kind, amount_micros, model, reason, \
        ordered_at, created_at FROM ledger ORDER BY entry_id"
    kept = [ledger, "SELECT * FROM stage_history", "SELECT * FROM outages", "SELECT * FROM marks"]
    before = [sql(first, query) for query in kept]
    assert len(before[0]) == 10

    await migrate(first)

    assert [sql(first, query) for query in kept] == before
    out = io.StringIO()
    assert prove_ledger(first, out), out.getvalue()
    october, november = (
        int(dt.datetime(2026, month, 1, tzinfo=dt.UTC).timestamp()) // 900 for month in (10, 11)
    )
    sums = "SELECT subject, sum(spent_micros), sum(held_micros), sum(granted_micros), sum(possible_micros), \
        sum(jobs) FROM totals WHERE scope = '{scope}' AND quarter {when} GROUP BY subject ORDER BY subject"
    assert sql(first, sums.format(scope="member", when=f"BETWEEN {october} AND {november - 1}")) == [
        ("1", 400000, 300000, 0, 0, 2)
    ]
    assert sql(first, sums.format(scope="member", when=f">= {november}")) == [
        ("2", 0, 0, 900000, 500000, 0),
        ("3", 91667, 0, 0, 0, 1),
    ]
    assert sql(first, sums.format(scope="operator", when=">= 0")) == [("", 491667, 300000, 0, 500000, 3)]
    assert sql(first, "SELECT DISTINCT channel_id, gateway, budget FROM ledger WHERE job_id IS NOT NULL") == [
        (200, "apixo", "member")
    ]


async def test_limits_of_the_first_version_are_kept_with_who_set_them(first: Path) -> None:
    await migrate(first)

    assert sql(first, "SELECT * FROM limits ORDER BY subject_id") == [
        (100, "member", 1, "month", 5_000_000),
        (101, "member", 3, "month", 0),
    ]
    acts = "SELECT server_id, actor_id, about_id, what, at FROM acts WHERE act = 'quota set' ORDER BY at"
    assert sql(first, acts) == [
        (100, 2, 1, "monthly limit of $5.00", "2026-10-01T00:00:00.000000Z"),
        (101, 3, 3, "monthly limit of $0.00", "2026-10-02T00:00:00.000000Z"),
    ]
    assert sql(first, "SELECT act, about_id, what, reason FROM acts JOIN ledger USING (act_id, reason)") == [
        ("correction", 3, "$0.608333", "reason"),
        ("grant", 2, "$0.90", "a gift"),
    ]


SECOND = """
    INSERT INTO members (member_id, server_id, discord_id) VALUES (1, 100, 11);
    INSERT INTO jobs (
        job_id, origin, account, server_id, channel_id, member_id, mode, model, gateway, prompt, seconds,
        shape, stage, failure, task_id, quote_micros, estimate, created_at
    )
    SELECT column1, 'interaction:' || column1, 'real', 100, 200, 1, 'text-to-video', 'apixo/sora-2', 'apixo',
           'a fox', 10, 'landscape', column2, column3, column4, 500000, 0, '2026-11-01T00:00:00.000000Z'
    FROM (VALUES
        ('lost', 'uncertain', 'uncertain', NULL), ('silent', 'uncertain', 'uncertain', 'task_1'),
        ('done', 'done', NULL, 'task_2'), ('failed', 'failed', 'timed_out', 'task_3')
    );
    INSERT INTO stage_history (job_id, stage, at) VALUES
        ('lost', 'submitting', '2026-11-01T00:01:00.000000Z'),
        ('lost', 'uncertain', '2026-11-01T00:02:00.000000Z'),
        ('silent', 'uncertain', '2026-11-02T00:01:00.000000Z'),
        ('done', 'fetching', '2026-11-01T00:05:00.000000Z'),
        ('done', 'done', '2026-11-01T00:06:00.000000Z');
    INSERT INTO ledger (
        job_id, server_id, member_id, account, kind, amount_micros, budget, price_version, reason, ordered_at,
        created_at
    )
    SELECT job_id, server_id, member_id, account, 'hold', quote_micros, 'member', '', 'ordered', created_at,
           created_at
    FROM jobs WHERE stage = 'uncertain';
"""


async def test_what_the_second_version_left_in_doubt_is_told_apart(path: Path) -> None:
    await migrate(written(path, "0002", SECOND))

    jobs = sql(path, "SELECT job_id, failure, uncertain_at, rendered_at FROM jobs ORDER BY rowid")
    assert jobs == [
        ("lost", "submit_lost", "2026-11-01T00:02:00.000000Z", None),
        ("silent", "no_verdict", "2026-11-02T00:01:00.000000Z", None),
        ("done", None, None, "2026-11-01T00:05:00.000000Z"),
        ("failed", "timed_out", None, None),
    ]
    assert sql(path, "SELECT sum(held_micros) FROM totals WHERE scope = 'operator'") == [(1_000_000,)]


async def test_the_ledgers_rules_hold_after_the_move(first: Path) -> None:
    await migrate(first)

    for statement in (
        "UPDATE ledger SET reason = ''",
        "DELETE FROM ledger",
        "UPDATE acts SET reason = ''",
        "INSERT OR REPLACE INTO ledger SELECT * FROM ledger WHERE entry_id = 1",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            sql(first, statement)


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

    with pytest.raises(DiskUnusable, match="cannot be used now: unable to open") as refused:
        await migrate(path)

    assert refused.value.exit_code == 6

    # aiosqlite lets go of a thread that opened nothing, without waiting; it must not outlive the loop.
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, 5)


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
    assert sql(path, "SELECT version_num FROM alembic_version") == [("0004",)]
    await migrate(path)  # and the version that wrote it still works


async def test_a_first_migration_that_fails_half_way_leaves_an_empty_file(path: Path, tmp_path: Path) -> None:
    newer = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, newer, ignore=shutil.ignore_patterns("__pycache__"))
    (newer / "versions" / "9998_half.py").write_text(HALF, "utf-8")

    with pytest.raises(SchemaError, match="nowhere"):
        await migrate(path, newer)

    assert dump(path) == []
