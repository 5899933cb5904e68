"""What the doctor reads: jobs that are open, channels that are used, and whether the file is whole."""

import contextlib
import dataclasses
import datetime as dt
import sqlite3
import time
from collections.abc import Generator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import SchemaError
from bot.models import Job, Stage
from storage.database import Database, Store, read_only, reads
from storage.jobs import JobStore
from storage.schema import jobs, purses, servers
from storage.upgrade import known_schemas

_OPEN = tuple(stage for stage in Stage if stage.is_open)
_STEPS = 100_000  # of SQLite's machine between two looks at the time


@dataclasses.dataclass(frozen=True, kw_only=True)
class UsedChannels:
    """Where the bot works in a server. Of each channel of jobs: whether they were ordered in its threads."""

    of_jobs: frozenset[tuple[int, bool]]
    with_purse: frozenset[int]
    of_staff: int | None


class CheckupStore(Store):
    """Reads what may be wrong with jobs and channels."""

    def __init__(self, database: Database, store: JobStore) -> None:
        super().__init__(database)
        self._jobs = store

    @reads
    async def open_jobs(self, connection: AsyncConnection, server_id: int | None) -> list[Job]:
        """Return the open jobs of a server, or with None of all, the oldest first."""
        where = jobs.c.stage.in_(_OPEN)
        if server_id is not None:
            where = sa.and_(jobs.c.server_id == server_id, where)
        return await self._jobs.select(connection, where, jobs.c.created_at, jobs.c.job_id)

    @reads
    async def channels(
        self, connection: AsyncConnection, server_id: int, *, since: dt.datetime, now: dt.datetime
    ) -> UsedChannels:
        """Return the channels of a server's jobs since then, those with a purse, and that of its staff."""
        home = sa.func.coalesce(jobs.c.home_channel_id, jobs.c.channel_id)
        of_jobs = await connection.execute(
            sa.select(home, home != jobs.c.channel_id)
            .where(jobs.c.server_id == server_id, jobs.c.created_at >= since)
            .distinct()
        )
        lasts = sa.or_(purses.c.ends_at.is_(None), purses.c.ends_at > now)
        with_purse = await connection.scalars(
            sa.select(purses.c.channel_id).where(
                purses.c.server_id == server_id, purses.c.closed_at.is_(None), lasts
            )
        )
        of_staff = await connection.scalar(
            sa.select(servers.c.staff_channel_id).where(servers.c.server_id == server_id)
        )
        return UsedChannels(
            of_jobs=frozenset((channel_id, bool(in_thread)) for channel_id, in_thread in of_jobs),
            with_purse=frozenset(with_purse),
            of_staff=of_staff,
        )


@contextlib.contextmanager
def read_within(path: Path, seconds: float | None) -> Generator[sqlite3.Connection]:
    """Open the file to be read, for so long at most.

    Raises:
        TimeoutError: it took longer.
        SettingsError, SchemaError: see `read_only`.
    """
    with read_only(path) as connection:
        if seconds is not None:
            ends_at = time.monotonic() + seconds
            connection.set_progress_handler(lambda: time.monotonic() > ends_at, _STEPS)
        try:
            yield connection
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise TimeoutError from error
            raise


def damage(path: Path, *, seconds: float | None) -> str:
    """Read the file from end to end; return what SQLite says is damaged, nothing where it is whole.

    Raises:
        TimeoutError: it took longer than so many seconds.
        SettingsError, SchemaError: there is no database, or it cannot be read at all.
    """
    with read_within(path, seconds) as connection:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        return "" if verdict == "ok" else verdict


def schema_of(path: Path) -> str:
    """Return the schema of the file.

    Raises:
        SettingsError, SchemaError: there is no database, or it cannot be read at all.
    """
    with read_only(path) as connection:
        (schema,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return schema


def check_schema(path: Path) -> None:
    """Refuse a file that this program does not read as it is.

    Raises:
        SettingsError, SchemaError: there is none, or it is older or newer.
    """
    if (schema := schema_of(path)) != max(known_schemas()):
        raise SchemaError(
            f"{path} has schema {schema}, not this program's. Run the bot once to update it, or install the "
            "version that wrote it."
        )


def sqlite_version() -> str:
    """Return the version of SQLite itself."""
    return sqlite3.sqlite_version
