"""Uncertain jobs: the ways out of that stage, each taken once and with its act; reminders of the others."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import text, uncertain_messages
from bot.errors import UserError
from bot.models import FailureKind, Job, Stage
from storage import audit, ledger, members, notes
from storage.database import Database, Store, reads, writes
from storage.jobs import JobStore
from storage.schema import EntryKind, jobs, servers

_IS_UNCERTAIN = jobs.c.stage == Stage.UNCERTAIN
# Of a job that waited when a backup was made, nobody knows when it was sent since, if it was.
_SUBMITTED_AT = sa.func.coalesce(jobs.c.submitted_at, jobs.c.created_at)


class UncertainStore(Store):
    """Moves jobs out of `uncertain`; as in `JobStore`, None says that somebody else was faster."""

    def __init__(self, database: Database, store: JobStore) -> None:
        super().__init__(database)
        self._jobs = store

    @reads
    async def listed(
        self, connection: AsyncConnection, server_id: int | None, *, limit: int, typed: str = ""
    ) -> list[Job]:
        """Return the uncertain jobs of a server, or with None of all, the one that is so longest first.

        Of what is typed, only those whose id or prompt has it; of other scripts than Latin as it is written.
        """
        where = [_are_uncertain(server_id)]
        if typed:
            columns = (jobs.c.job_id, jobs.c.prompt)
            where.append(sa.or_(*(column.icontains(typed, autoescape=True) for column in columns)))
        return await self._jobs.select(
            connection, sa.and_(*where), jobs.c.uncertain_at, jobs.c.job_id, limit=limit
        )

    @reads
    async def count(self, connection: AsyncConnection, server_id: int | None) -> int:
        """Count the uncertain jobs of a server, or with None of all."""
        found = await connection.execute(sa.select(sa.func.count()).where(_are_uncertain(server_id)))
        return found.scalar_one()

    @writes
    async def found_again(
        self,
        connection: AsyncConnection,
        job_id: str,
        task_id: str,
        *,
        act: str,
        by: int | None,
        reason: str,
        now: dt.datetime,
    ) -> Job | None:
        """The gateway has the job as this task: it is watched again. `by` is None where the bot found it.

        Raises:
            UserError: the task is another job's.
        """
        job = await self._jobs.of_id(connection, job_id)
        if job is None:
            return None
        if other := await self._jobs.of_task(connection, job, task_id):
            raise UserError(uncertain_messages.task_taken(task_id, other))
        moved = await self._jobs.change(
            connection,
            job_id,
            {Stage.UNCERTAIN},
            Stage.RENDERING,
            now,
            history=f"{act}: task {task_id}",
            task_id=task_id,
            submitted_at=_SUBMITTED_AT,
            told_stage=Stage.RENDERING,  # its member knows that it takes long
            failure=None,
            failure_detail=None,
            failure_code=None,
        )
        if moved is not None:
            await audit.record(
                connection,
                server_id=moved.server_id,
                by=by,
                act=act,
                what=f"job {job_id} is task {task_id}",
                reason=reason,
                about_id=moved.member_id,
                now=now,
            )
        return moved

    @writes
    async def release(
        self,
        connection: AsyncConnection,
        job_id: str,
        *,
        act: str,
        by: int,
        reason: str,
        now: dt.datetime,
    ) -> Job | None:
        """End an uncertain job without a clip, and give the held money back.

        Nobody knows whether the gateway took its own: it is booked as a possible charge, for the operator.
        """
        job = await self._jobs.change(
            connection,
            job_id,
            {Stage.UNCERTAIN},
            Stage.FAILED,
            now,
            history=act,
            failure=FailureKind.RELEASED,
            failure_detail="",
            failure_code="",
            submitted_at=_SUBMITTED_AT,
            finished_at=now,
        )
        if job is None:
            return None
        actor = await members.row(connection, job.server_id, by)
        why = text.nameless(reason) or "released by staff"
        for kind, micros in (
            (EntryKind.RELEASE, job.held_micros),
            (EntryKind.POSSIBLE_CHARGE, job.quote.micros),
        ):
            await ledger.book(connection, job, kind, micros, reason=why, actor_id=actor, now=now)
        await audit.record(
            connection,
            server_id=job.server_id,
            by=by,
            act=act,
            what=f"job {job_id}",
            reason=reason,
            about_id=job.member_id,
            now=now,
        )
        return await self._jobs.of_id(connection, job_id)

    @writes
    async def remind(self, connection: AsyncConnection, *, since: dt.datetime, now: dt.datetime) -> bool:
        """Note for staff each job that has been uncertain since then, once; return whether there is any.

        Where a server has no staff channel it is noted for the operator.
        """
        waiting = sa.and_(_IS_UNCERTAIN, jobs.c.uncertain_at <= since, jobs.c.reminded_at.is_(None))
        found = await self._jobs.select(connection, waiting, jobs.c.uncertain_at, jobs.c.job_id)
        for job in found:
            has_channel = await connection.scalar(
                sa.select(servers.c.staff_channel_id.is_not(None)).where(servers.c.server_id == job.server_id)
            )
            await notes.note(
                connection,
                job.server_id if has_channel else notes.FOR_OPERATOR,
                uncertain_messages.reminder(job, to_operator=not has_channel),
                now=now,
            )
            await connection.execute(
                sa.update(jobs).where(jobs.c.job_id == job.job_id).values(reminded_at=now)
            )
        return bool(found)


def _are_uncertain(server_id: int | None) -> sa.ColumnElement[bool]:
    here = sa.true() if server_id is None else sa.literal_column("+jobs.server_id") == server_id
    return sa.and_(_IS_UNCERTAIN, here)
