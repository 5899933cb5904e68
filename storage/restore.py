"""Puts a backup back: checked, beside nobody, at once, and so that nothing in it is paid or posted again."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import os
import shutil
import sqlite3
from pathlib import Path
from typing import TextIO

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.breaker import RESTORED
from bot.errors import DiskUnusable, SchemaError, SettingsError
from bot.models import DraftStage, FailureKind, Stage
from storage.backup import check, copy, sync
from storage.database import Database, Store, writes
from storage.folder import DataFolder
from storage.schema import drafts, jobs, stage_history

_MOST_NAMED = 20
_BESIDE = ("-wal", "-shm")  # what SQLite keeps beside a database, and would take for the copy's own


@dataclasses.dataclass(frozen=True, kw_only=True)
class Restored:
    """What was changed in a backup before it took its place."""

    written_until: dt.datetime | None
    uncertain: list[str]
    expired: int


def restore(folder: DataFolder, source: Path, out: TextIO, *, now: dt.datetime) -> None:
    """Replace the bot's database by a backup, which itself stays as it is, and say what that means.

    Whatever fails or kills it, the folder has the database it had, or the restored one: they change places at
    once, and nothing happens to the old one before.

    Raises:
        FolderInUse: the bot runs.
        SettingsError: there is no such file, or it is the bot's own database.
        SchemaError: the file is damaged, none of ours, or newer than this program.
        DiskUnusable: the data folder cannot be written.
    """
    if not source.is_file():
        raise SettingsError(f"there is no file {source}.")
    if folder.database.exists() and source.samefile(folder.database):
        raise SettingsError(f"{source} is the bot's own database; name a backup.")
    with folder:
        draft = folder.database.with_name(f"{folder.database.name}.restoring")
        try:
            _clear(draft)
            _copy(source, draft)
            contents = check(draft, called=source)
            restored = asyncio.run(_prepare(draft, now=now))
            check(draft, called=source)
            sync(draft)
            kept = _keep(folder.database, now)
            for ending in _BESIDE:
                _beside(folder.database, ending).unlink(missing_ok=True)
            draft.replace(folder.database)
            sync(folder.path)
        except OSError as error:
            raise DiskUnusable(f"{folder.path} cannot be written: {error.strerror}.") from error
        finally:
            with contextlib.suppress(OSError):
                _clear(draft)
    out.write(f"restored {source}: {contents}\n")
    out.writelines(f"{line}\n" for line in _told(restored, kept))


class RestoreStore(Store):
    """Changes a restored database before anybody goes on from it."""

    @writes
    async def make_safe(self, connection: AsyncConnection, *, now: dt.datetime) -> Restored:
        """See to it that nothing is ordered again which may have been ordered after the backup was made.

        The gateways have no idempotency keys: a job that waited then, and was sent since, would be sent and
        paid a second time. Such jobs become uncertain, as any whose submit was lost. Orders that waited for
        a yes are over, since the yes may have come. Of the others nothing is repeated by itself: a task that
        is known is only looked at, and before anything is posted the channel is looked through. Should such
        a task have failed, another model may have gone on with its job already, and none does again: it is
        marked as one of which there may be more.
        """
        written_until = await connection.scalar(sa.select(sa.func.max(stage_history.c.at)))
        doubtful = jobs.c.stage.in_((Stage.QUEUED, Stage.SUBMITTING))
        found = await connection.scalars(sa.select(jobs.c.job_id).where(doubtful).order_by(jobs.c.created_at))
        uncertain = list(found)
        await connection.execute(
            sa.update(jobs)
            .where(doubtful)
            .values(
                stage=Stage.UNCERTAIN,
                waiting_for="",
                failure=FailureKind.SUBMIT_LOST,
                failure_detail=RESTORED,
                uncertain_at=now,
                reminded_at=None,
            )
        )
        if uncertain:
            rows = [
                {"job_id": job_id, "stage": Stage.UNCERTAIN, "note": RESTORED, "at": now}
                for job_id in uncertain
            ]
            await connection.execute(sa.insert(stage_history), rows)
        await connection.execute(
            sa.update(jobs)
            .where(jobs.c.stage.in_((Stage.RENDERING, Stage.FETCHING)), jobs.c.is_auto == 1)
            .values(uncertain_at=now)
        )
        waiting = [stage for stage in DraftStage if stage.is_open]
        expired = await connection.execute(
            sa.update(drafts).where(drafts.c.stage.in_(waiting)).values(stage=DraftStage.EXPIRED)
        )
        return Restored(written_until=written_until, uncertain=uncertain, expired=expired.rowcount)


def _copy(source: Path, draft: Path) -> None:
    try:
        uri = f"{source.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            copy(connection, draft)
        shutil.copymode(source, draft)  # a backup has the mode of the database it was made of
    except sqlite3.Error as error:
        raise SchemaError(f"{source} cannot be read: {error}. Name another backup.") from error


async def _prepare(path: Path, *, now: dt.datetime) -> Restored:
    database = Database(path)
    try:
        await database.migrate()
        return await RestoreStore(database).make_safe(now=now)
    finally:
        await database.close()  # moves everything into the one file


def _keep(database: Path, now: dt.datetime) -> Path | None:
    """Give what was there a second name, under which it stays; None where there was nothing."""
    if not database.exists():
        return None
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # its journal is written into it
    kept = database.with_name(f"{database.name}.before-restore-{now:%Y%m%d-%H%M%S}")
    # What is too damaged for that is kept with its journal, and the two can still be opened together.
    for ending in ("", "-wal"):
        if _beside(database, ending).exists():
            _link(_beside(database, ending), _beside(kept, ending))
    return kept


def _link(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except OSError:  # not every file system has second names
        shutil.copy2(file, name)


def _beside(database: Path, ending: str) -> Path:
    return database.with_name(f"{database.name}{ending}")


def _clear(draft: Path) -> None:
    for ending in ("", "-journal", *_BESIDE):
        _beside(draft, ending).unlink(missing_ok=True)


def _told(restored: Restored, kept: Path | None) -> list[str]:
    """Say what the operator should know and do next."""
    lines: list[str] = []
    if restored.written_until is not None:
        lines.append(
            f"It was written until {restored.written_until:%Y-%m-%d %H:%M} UTC. What was ordered later "
            "is not in it: no clip of it is delivered any more, and its money is in no report."
        )
    if kept is not None:
        lines.append(f"The database that was here is kept as {kept.name}.")
    if restored.uncertain:
        count = len(restored.uncertain)
        names = ", ".join(restored.uncertain[:_MOST_NAMED]) + (", ..." if count > _MOST_NAMED else "")
        lines.append(
            f"Jobs that waited then, and may have been ordered since, are uncertain now and are not ordered "
            f"again ({count}): {names}. Look for their tasks in the gateway's list, then end them with "
            "/video-admin uncertain."
        )
    if restored.expired:
        lines.append(f"Quotes and requests that were open are over ({restored.expired}).")
    lines.append("Start the bot, then run /video-admin reconcile to see what the gateways took meanwhile.")
    return lines
