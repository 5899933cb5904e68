"""Backups: a consistent copy of the database beside a running bot, checked before it counts as one."""

import contextlib
import dataclasses
import datetime as dt
import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Generator
from pathlib import Path
from typing import TextIO

from bot.errors import DiskUnusable, FolderInUse, SchemaError, SettingsError
from bot.troubles import Trouble
from storage.database import read_only
from storage.folder import DataFolder
from storage.sqlite_errors import trouble_of
from storage.upgrade import known_schemas

_LAST = "last-backup"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contents:
    """What a database holds, once it was found whole."""

    schema: str
    jobs: int
    size_bytes: int

    def __str__(self) -> str:
        return f"{self.size_bytes / 1e6:,.1f} MB, schema {self.schema}, {self.jobs:,} jobs"


def write_backup(folder: DataFolder, target: Path, out: TextIO, *, now: dt.datetime) -> None:
    """Copy the database to `target`, which appears whole or not at all; say so in one line.

    The copy is one moment of the database, whatever the bot writes meanwhile, and one plain file. It is
    taken in one step: readers hold up no writer in WAL mode, while a copy in small steps would begin anew
    with each commit of another process (https://www.sqlite.org/backup.html).

    Raises:
        SettingsError: there is no database yet, or `target` is a file of the bot's own.
        SchemaError: the database is damaged, or is none of ours.
        FolderInUse: another backup to the same file is under way.
        DiskUnusable: `target` cannot be written.
    """
    began_at = time.monotonic()
    _refuse_own(folder, target)
    with read_only(folder.database) as source, _appearing(target) as part:
        copy(source, part)
        contents = check(part, called=folder.database)
        shutil.copymode(folder.database, part)
    _remember(folder, now)
    out.write(f"backup {target}: {contents}, {time.monotonic() - began_at:.1f} s\n")


def last_backup(folder: DataFolder) -> dt.datetime | None:
    """Return when a backup was last written, None where that is not known."""
    try:
        return dt.datetime.fromisoformat((folder.path / _LAST).read_text("ascii").strip())
    except (OSError, ValueError):
        return None


def copy(source: sqlite3.Connection, target: Path) -> None:
    """Copy a database into a file, as one file without a journal beside it.

    Raises:
        DiskUnusable: the file cannot be written.
        sqlite3.Error: the database cannot be read.
    """
    source.execute("PRAGMA schema_version").fetchone()  # so that what fails from here on is the writing
    try:
        with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as connection:
            source.backup(connection)
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        trouble = trouble_of(error)
        if trouble is None or trouble.trouble is Trouble.CORRUPT:
            raise
        raise DiskUnusable(f"{target} cannot be written: {error}.") from error


def check(path: Path, *, called: Path) -> Contents:
    """Read a database from end to end; `called` is what people know it by.

    Raises:
        SchemaError: it is damaged, none of ours, or newer than this program.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if verdict != "ok" or connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
                raise SchemaError(
                    f"{called} is damaged: {verdict if verdict != 'ok' else 'rows are missing'}."
                )
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if not {"alembic_version", "jobs", "ledger"} <= tables:
                raise SchemaError(f"{called} is no database of this bot.")
            (schema,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            (jobs,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
    except sqlite3.DatabaseError as error:
        raise SchemaError(f"{called} cannot be read: {error}.") from error
    if schema not in known_schemas():
        raise SchemaError(f"{called} was written by a newer version (schema {schema}). Install that version.")
    return Contents(schema=schema, jobs=jobs, size_bytes=path.stat().st_size)


def sync(path: Path) -> None:
    """See to it that a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_own(folder: DataFolder, target: Path) -> None:
    own = folder.database
    is_beside = target.absolute().parent.resolve() == own.parent.resolve()
    if (is_beside and target.name.startswith(own.name)) or (
        target.exists() and own.exists() and target.samefile(own)
    ):
        raise SettingsError(f"{target} is the bot's own database; name another file.")


@contextlib.contextmanager
def _appearing(target: Path) -> Generator[Path]:
    """Give an empty file beside `target` that takes its place at once when it is written."""
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FolderInUse(f"{part} is being written by another backup.") from error
            try:
                lock.truncate(0)  # what a backup that was killed has left
                yield part
                sync(part)
                part.replace(target)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        sync(target.absolute().parent)
    except OSError as error:
        raise DiskUnusable(f"{target} cannot be written: {error.strerror}.") from error


def _remember(folder: DataFolder, now: dt.datetime) -> None:
    """Keep when it was; a backup that cannot be noted is one all the same."""
    with contextlib.suppress(OSError):
        draft = folder.path / f"{_LAST}.part"
        draft.write_text(f"{now.isoformat()}\n", "ascii")
        draft.replace(folder.path / _LAST)
