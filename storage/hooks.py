"""Callbacks of jobs: which job a token belongs to, and the task that its callback names."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import Job, Stage
from storage.database import Database, Store, reads, writes
from storage.jobs import JobStore
from storage.schema import jobs

_NAMELESS = (Stage.SUBMITTING, Stage.UNCERTAIN)  # jobs of which nobody may know the task


class HookStore(Store):
    """Reads jobs by their tokens. A token is a secret: it is asked for, and never told."""

    def __init__(self, database: Database, store: JobStore) -> None:
        super().__init__(database)
        self._store = store

    @reads
    async def open_tokens(self, connection: AsyncConnection) -> list[tuple[str, str]]:
        """Return gateway and token of every job whose callback may still come."""
        rows = await connection.execute(
            sa.select(jobs.c.gateway, jobs.c.hook_token)
            .where(jobs.c.stage.in_((*_NAMELESS, Stage.RENDERING)), jobs.c.hook_token.is_not(None))
            .order_by(jobs.c.created_at)
        )
        return [(gateway, token) for gateway, token in rows]

    @reads
    async def job_of(self, connection: AsyncConnection, gateway: str, token: str) -> Job | None:
        """Return the job that this gateway calls with this token."""
        whose = sa.and_(jobs.c.hook_token == token, jobs.c.gateway == gateway)
        return next(iter(await self._store.select(connection, whose, limit=1)), None)

    @writes
    async def name(self, connection: AsyncConnection, token: str, task_id: str) -> Job | None:
        """Keep which task a callback names, where nobody may know the job's; return the job as it is then."""
        await connection.execute(
            sa.update(jobs)
            .where(jobs.c.hook_token == token, jobs.c.stage.in_(_NAMELESS))
            .values(named_task_id=task_id)
        )
        return next(iter(await self._store.select(connection, jobs.c.hook_token == token)), None)

    @reads
    async def unconfirmed(self, connection: AsyncConnection) -> list[Job]:
        """Return the jobs of which nobody knows more than what their callbacks name."""
        named = sa.and_(jobs.c.stage.in_(_NAMELESS), jobs.c.named_task_id.is_not(None))
        return await self._store.select(connection, named, jobs.c.created_at)
