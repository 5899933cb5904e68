"""The SQLite file: one writer, readers apart, migrations at start. All that is SQLite's own is here."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import alembic.script
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from bot.errors import SchemaError

READERS = 4
_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """Two engines on one file: a pool of one for writing, a small pool for reading.

    Several connections that write at once starve each other in SQLite's busy handler, so every
    write waits its turn for the one writer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = _engine(path, begin="BEGIN IMMEDIATE", size=1)
        self._readers = _engine(path, begin="BEGIN", size=READERS)

    async def migrate(self) -> None:
        """Bring the file to this program's schema.

        Raises:
            SchemaError: the file was written by a newer version, or is no database of ours.
        """
        try:
            async with self.write() as connection:
                await connection.run_sync(_upgrade)
        except (sa.exc.DBAPIError, sqlite3.DatabaseError) as error:
            raise SchemaError(
                f"{self.path} is broken: {getattr(error, 'orig', error)}. Restore a backup, or move the file away."
            ) from error

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that already holds the write lock; it commits when the block ends."""
        async with self._writer.begin() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """Open a snapshot to read from."""
        async with self._readers.begin() as connection:
            yield connection

    async def close(self) -> None:
        """Close every connection, even while the caller is being cancelled."""
        await asyncio.shield(self._dispose())

    async def _dispose(self) -> None:
        await self._readers.dispose()
        await self._writer.dispose()


def _engine(path: Path, *, begin: str, size: int) -> AsyncEngine:
    engine = create_async_engine(
        sa.URL.create("sqlite+aiosqlite", database=str(path)),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
    )

    @sa.event.listens_for(engine.sync_engine, "connect")
    def prepare(dbapi: Any, _record: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        # The driver's own transactions are off: it would begin DEFERRED, and only before a write.
        # https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#sqlite-transactions
        dbapi.isolation_level = None
        cursor = dbapi.cursor()
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "busy_timeout = 5000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def start(connection: sa.Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.exec_driver_sql(begin)

    return engine


def _upgrade(connection: sa.Connection) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {
        script.revision for script in alembic.script.ScriptDirectory.from_config(config).walk_revisions()
    }
    newer = set(MigrationContext.configure(connection).get_current_heads()) - known
    if newer:
        raise SchemaError(
            f"The database was written by a newer version (schema {min(newer)}). Install that version, "
            "or restore a backup made before the upgrade."
        )
    alembic.command.upgrade(config, "head")
