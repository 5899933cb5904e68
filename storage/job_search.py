"""Jobs as staff look for them: a server's, by stage, member and model, and one job's history."""

import dataclasses

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import Job, Stage, Step
from storage import members
from storage.database import Database, Store, reads
from storage.jobs import NEWEST_FIRST, JobStore
from storage.schema import jobs, stage_history


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which jobs to show; None stands for all."""

    stage: Stage | None = None
    user_id: int | None = None
    model: str | None = None


class JobSearch(Store):
    """Reads the jobs of one server."""

    def __init__(self, database: Database, store: JobStore) -> None:
        super().__init__(database)
        self._store = store

    @reads
    async def of_server(
        self,
        connection: AsyncConnection,
        server_id: int,
        wanted: JobFilter,
        *,
        offset: int = 0,
        limit: int = 25,
    ) -> list[Job]:
        """Return a server's jobs that fit, newest first."""
        where = [jobs.c.server_id == server_id]
        if wanted.stage is not None:
            where.append(jobs.c.stage == wanted.stage)
        if wanted.user_id is not None:
            # A member is of one server: the plus keeps SQLite from looking through all jobs of it.
            member = await members.find(connection, server_id, wanted.user_id)
            where = [sa.literal_column("+jobs.server_id") == server_id, jobs.c.member_id == (member or -1)]
            if wanted.stage is not None:
                where.append(sa.literal_column("+jobs.stage") == wanted.stage)
        if wanted.model is not None:
            where.append(jobs.c.model == wanted.model)
        return await self._store.select(
            connection, sa.and_(*where), *NEWEST_FIRST, offset=offset, limit=limit
        )

    @reads
    async def job(
        self, connection: AsyncConnection, server_id: int, job_id: str
    ) -> tuple[Job, list[Step]] | None:
        """Return a job of the server with the stages it went through, oldest first."""
        where = sa.and_(jobs.c.server_id == server_id, jobs.c.job_id == job_id)
        found = await self._store.select(connection, where)
        return (found[0], await self._steps(connection, job_id)) if found else None

    @reads
    async def steps(self, connection: AsyncConnection, job_id: str) -> list[Step]:
        """Return the stages that a job of any server went through, oldest first."""
        return await self._steps(connection, job_id)

    async def _steps(self, connection: AsyncConnection, job_id: str) -> list[Step]:
        rows = await connection.execute(
            sa.select(stage_history)
            .where(stage_history.c.job_id == job_id)
            .order_by(stage_history.c.entry_id)
        )
        return [Step(stage=Stage(row.stage), note=row.note, at=row.at) for row in rows]
