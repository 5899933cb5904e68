"""Tasks that are ended while they render: who asked for it, and what then becomes of the job."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import Job, Stage
from storage import audit, members
from storage.database import Database, Store, writes
from storage.jobs import JobStore
from storage.schema import jobs

_RENDERS = jobs.c.stage == Stage.RENDERING


class StopStore(Store):
    """Writes down who wants a task ended before its gateway is asked, since a kill may come in between."""

    def __init__(self, database: Database, store: JobStore) -> None:
        super().__init__(database)
        self._jobs = store

    @writes
    async def begin(self, connection: AsyncConnection, job: Job, *, user_id: int, now: dt.datetime) -> bool:
        """Write down that a job's gateway is about to be asked to end its task; False where it has ended.

        Where that is not the job's member, it is an act of staff.
        """
        stopper = await members.row(connection, job.server_id, user_id)
        begun = await connection.execute(
            sa.update(jobs).where(jobs.c.job_id == job.job_id, _RENDERS).values(stopper_id=stopper)
        )
        if begun.rowcount:
            reason = "stopped by staff while it was rendered"
            await audit.record_stop(connection, job, by=user_id, reason=reason, now=now)
        return bool(begun.rowcount)

    @writes
    async def go_on(self, connection: AsyncConnection, job_id: str) -> None:
        """The gateway did not end the task, which is rendered on."""
        await connection.execute(sa.update(jobs).where(jobs.c.job_id == job_id).values(stopper_id=None))

    @writes
    async def stopped(self, connection: AsyncConnection, job_id: str, *, now: dt.datetime) -> Job | None:
        """Cancel a job whose task has ended, where somebody asked for that; its held money goes back.

        Only servers of the team's own end tasks, so nothing is booked for what was rendered until then. The
        last look may have seen a clip that nobody can fetch any more. None where nobody asked, or the job is
        over, or its clip is here.
        """
        asked = sa.select(jobs.c.stopper_id, jobs.c.member_id).where(jobs.c.job_id == job_id)
        row = (await connection.execute(asked)).one()
        if row.stopper_id is None:
            return None
        by = "by its member" if row.stopper_id == row.member_id else "by staff"
        stages = {Stage.RENDERING, Stage.FETCHING}
        return await self._jobs.call_off(connection, job_id, stages, by=by, actor_id=row.stopper_id, now=now)
