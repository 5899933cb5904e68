"""The SQLite file: one writer, readers apart, migrations at start. All that is SQLite's own is here."""

import asyncio
import contextlib
import functools
import sqlite3
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import alembic.command
import alembic.config
import alembic.script
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from bot.errors import SchemaError, SettingsError
from storage import schema

READERS = 4
MIGRATIONS = Path(__file__).parent / "migrations"

P = ParamSpec("P")
S = TypeVar("S", bound="Store")
T = TypeVar("T")

_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 5000")


class Database:
    """Two engines on one file: a pool of one for writing, a small pool for reading.

    Several connections that write at once starve each other in SQLite's busy handler, so every
    write waits its turn for the one writer.
    """

    def __init__(self, path: Path, *, migrations: Path = MIGRATIONS) -> None:
        self.path = path
        self._migrations = migrations
        self._running: set[asyncio.Task[Any]] = set()
        self._writer = _engine(path, begin="BEGIN IMMEDIATE", size=1, pragmas=_PRAGMAS)
        self._readers = _engine(path, begin="BEGIN", size=READERS, pragmas=(*_PRAGMAS, "query_only = ON"))

    async def migrate(self) -> None:
        """Bring the file to this program's schema, all of the way or not at all.

        Raises:
            SchemaError: the file was written by a newer version, is no database of ours, or is broken.
        """
        try:
            async with self.write() as connection:
                await connection.run_sync(_upgrade, self._migrations)
        except SchemaError as error:
            raise SchemaError(f"{self.path} {error}") from error
        except (DBAPIError, sqlite3.DatabaseError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise SchemaError(
                f"{self.path} cannot be used: {reason}. Restore a backup, or move the file away."
            ) from error

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that already holds the write lock; it commits when the block ends."""
        async with self._writer.begin() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """Open a snapshot to read from; writing in it is an error."""
        async with self._readers.begin() as connection:
            yield connection

    async def close(self) -> None:
        """Close every connection, even while the caller is being cancelled."""
        await asyncio.shield(self._dispose())

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work to its end, though the caller may be cancelled meanwhile.

        A connection that is cancelled in the middle of a statement is thrown away, but SQLite keeps
        it, and the write lock with it, until its last cursor is collected.
        """
        task = asyncio.create_task(work, name=f"storage {work.__qualname__}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _dispose(self) -> None:
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._readers.dispose()
        await self._writer.dispose()


class Store:
    """What reads and writes some of the tables; its methods are `@reads` or `@writes`."""

    def __init__(self, database: Database) -> None:
        self.database = database


def reads(
    method: Callable[Concatenate[S, AsyncConnection, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Give a store's method a snapshot to read from."""
    return _in_transaction(method, Database.read)


def writes(
    method: Callable[Concatenate[S, AsyncConnection, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Make a store's method one transaction: all of it happens, or with an exception nothing."""
    return _in_transaction(method, Database.write)


@contextlib.contextmanager
def read_only(path: Path) -> Generator[sqlite3.Connection]:
    """Open the file to be read beside a running bot; nothing is made or changed.

    Raises:
        SettingsError: there is no database to read yet.
        SchemaError: the file is none of ours, or broken.
    """
    if not path.exists():
        raise SettingsError(f"DATA_DIR: there is no database at {path}; run the bot first.")
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise SchemaError(
            f"{path} cannot be read: {error}. Run the bot once to update it, or restore a backup."
        ) from error


def _in_transaction(
    method: Callable[Concatenate[S, AsyncConnection, P], Coroutine[Any, Any, T]],
    begin: Callable[[Database], contextlib.AbstractAsyncContextManager[AsyncConnection]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    async def transaction(store: S, *args: P.args, **kwargs: P.kwargs) -> T:
        async with begin(store.database) as connection:
            return await method(store, connection, *args, **kwargs)

    @functools.wraps(method)
    async def whole(store: S, *args: P.args, **kwargs: P.kwargs) -> T:
        return await store.database.finish(transaction(store, *args, **kwargs))

    return whole


def _engine(path: Path, *, begin: str, size: int, pragmas: tuple[str, ...]) -> AsyncEngine:
    engine = create_async_engine(
        sa.URL.create("sqlite+aiosqlite", database=str(path)),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
    )

    def prepare(dbapi: Any, _record: Any) -> None:
        # The driver's own transactions are off: it would begin DEFERRED, and only before a write.
        # https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#sqlite-transactions
        dbapi.isolation_level = None
        cursor = dbapi.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def start(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", prepare)
    event.listen(engine.sync_engine, "begin", start)
    return engine


def _upgrade(connection: sa.Connection, migrations: Path) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes["connection"] = connection
    scripts = alembic.script.ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
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
