"""The SQLite file: one writer, readers apart, migrations at start. All that is SQLite's own is here."""

import asyncio
import contextlib
import functools
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from bot.errors import DiskUnusable, SchemaError, SettingsError, StorageTrouble
from bot.troubles import Trouble
from storage import schema
from storage.sqlite_errors import trouble_of
from storage.turns import BEHIND, FIRST, Turns
from storage.upgrade import MIGRATIONS, upgrade

READERS = 4

P = ParamSpec("P")
S = TypeVar("S", bound="Store")
T = TypeVar("T")

_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")
_PROBE = "probe"
_PROBE_LETTERS = 64 * 1024  # more than fits into what a full disk may still have


class Database:
    """Two engines on one file: a pool of one for writing, a small pool for reading.

    Several connections that write at once starve each other in SQLite's busy handler, so every
    write waits its turn for the one writer.
    """

    def __init__(
        self,
        path: Path,
        *,
        migrations: Path = MIGRATIONS,
        on_trouble: Callable[[Trouble, str], None] | None = None,
        on_write: Callable[[float], None] | None = None,
        patience_seconds: float = 5.0,
    ) -> None:
        """`on_trouble` is told whatever goes wrong with the disk or the file, and what SQLite said.
        `on_write` is told how many seconds a write took.

        `patience_seconds` is how long a write waits for another process.
        """
        self.path = path
        self._migrations = migrations
        self._on_trouble = on_trouble
        self._on_write = on_write
        self._damage = ""
        self._running: set[asyncio.Task[Any]] = set()
        self._turns = Turns()
        pragmas = (*_PRAGMAS, f"busy_timeout = {round(patience_seconds * 1000)}")
        self._writer = _engine(path, begin="BEGIN IMMEDIATE", size=1, pragmas=pragmas)
        self._readers = _engine(path, begin="BEGIN", size=READERS, pragmas=(*pragmas, "query_only = ON"))

    async def migrate(self) -> None:
        """Bring the file to this program's schema, all of the way or not at all.

        Raises:
            SchemaError: the file was written by a newer version, is no database of ours, or is broken.
            DiskUnusable: the disk is full, read-only or failing, or another process holds the file.
        """
        try:
            async with self._writer.begin() as connection:
                await connection.run_sync(upgrade, self._migrations)
        except SchemaError as error:
            raise SchemaError(f"{self.path} {error}") from error
        except (DBAPIError, sqlite3.DatabaseError) as error:
            trouble = trouble_of(error)
            if trouble is not None and trouble.trouble is not Trouble.CORRUPT:
                raise DiskUnusable(f"{self.path} cannot be used now: {trouble.detail}.") from error
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise SchemaError(
                f"{self.path} cannot be used: {reason}. Restore a backup, or move the file away."
            ) from error

    @contextlib.asynccontextmanager
    async def write(self, rank: int = BEHIND) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that already holds the write lock; it commits when the block ends.

        Raises:
            StorageTrouble: it cannot be written now, and nothing of it was. A file that was found damaged
                is not written any more.
        """
        if self._damage:
            raise StorageTrouble(Trouble.CORRUPT, self._damage)
        with self._watched():
            async with self._turns.turn(rank), self._writer.begin() as connection:
                began_at = time.monotonic()
                yield connection
        if self._on_write is not None:
            self._on_write(time.monotonic() - began_at)

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """Open a snapshot to read from; writing in it is an error.

        Raises:
            StorageTrouble: it cannot be read now.
        """
        with self._watched(is_reading=True):
            async with self._readers.begin() as connection:
                yield connection

    async def probe(self, *, reconnect: bool) -> None:
        """Write something of some size, and take it back; with `reconnect` on a file that is opened anew.

        Raises:
            StorageTrouble: it cannot be written.
        """
        await self.finish(self._probe(reconnect=reconnect))

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

    async def _probe(self, *, reconnect: bool) -> None:
        if reconnect:
            async with self._writer.connect() as connection:
                await connection.invalidate()
        values = {"name": _PROBE, "value": "x" * _PROBE_LETTERS}
        async with self.write() as connection:
            await connection.execute(sa.insert(schema.marks).prefix_with("OR REPLACE").values(values))
        async with self.write() as connection:
            await connection.execute(sa.delete(schema.marks).where(schema.marks.c.name == _PROBE))

    @contextlib.contextmanager
    def _watched(self, *, is_reading: bool = False) -> Generator[None]:
        try:
            yield
        except (DBAPIError, sqlite3.Error, PoolTimeout) as error:
            trouble = trouble_of(error)
            if trouble is None or (is_reading and trouble.trouble is Trouble.READ_ONLY):
                raise  # a reader that writes is a mistake of ours, and nothing is wrong with the disk
            if trouble.trouble is Trouble.CORRUPT:
                self._damage = trouble.detail
            if self._on_trouble is not None:
                self._on_trouble(trouble.trouble, trouble.detail)
            # Not from the error itself, which quotes the statement and what people wrote.
            raise trouble from (error.orig if isinstance(error, DBAPIError) else error)

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


def writes_first(
    method: Callable[Concatenate[S, AsyncConnection, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Make a method that a person waits for one transaction, which goes before others that wait."""
    return _in_transaction(method, lambda database: database.write(FIRST))


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
