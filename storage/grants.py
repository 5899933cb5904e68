"""Grants and refunds: what staff give members on top of their limits, and back from a job."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import text
from bot.errors import UserError
from bot.fund_messages import no_job, not_refundable
from bot.models import Account, Job
from bot.money import dollars
from storage import audit, ledger, members
from storage.database import Database, Store, reads, writes
from storage.jobs import NEWEST_FIRST, JobStore
from storage.schema import EntryKind, jobs
from storage.schema import ledger as entries


class GrantStore(Store):
    """Writes an act of staff and its entry of the ledger in one transaction."""

    def __init__(self, database: Database, jobs: JobStore) -> None:
        super().__init__(database)
        self._jobs = jobs

    @writes
    async def grant(
        self,
        connection: AsyncConnection,
        *,
        server_id: int,
        user_id: int,
        account: Account,
        amount_micros: int,
        reason: str,
        by: int,
        now: dt.datetime,
    ) -> None:
        """Give a member money on top of their limits, in every period that `now` lies in."""
        member = await members.row(connection, server_id, user_id)
        act_id = await audit.record(
            connection,
            server_id=server_id,
            by=by,
            act="grant",
            what=dollars(amount_micros),
            reason=reason,
            about_id=member,
            now=now,
        )
        await ledger.grant(
            connection,
            server_id=server_id,
            member_id=member,
            account=account,
            amount_micros=amount_micros,
            reason=text.nameless(reason),
            actor_id=await members.row(connection, server_id, by),
            act_id=act_id,
            now=now,
        )

    @reads
    async def refundable(self, connection: AsyncConnection, server_id: int, *, limit: int) -> list[Job]:
        """Return a server's jobs that cost something and were not refunded, newest first."""

        def is_booked(kind: EntryKind) -> sa.ColumnElement[bool]:
            same = sa.and_(entries.c.job_id == jobs.c.job_id, entries.c.kind == kind)
            return sa.exists().where(same, entries.c.amount_micros > 0)

        where = sa.and_(
            jobs.c.server_id == server_id, is_booked(EntryKind.SETTLE), ~is_booked(EntryKind.CORRECTION)
        )
        return await self._jobs.select(connection, where, *NEWEST_FIRST, limit=limit)

    @writes
    async def refund(
        self,
        connection: AsyncConnection,
        *,
        server_id: int,
        job_id: str,
        reason: str,
        by: int,
        now: dt.datetime,
    ) -> Job:
        """Give back all that a job cost, in the period in which it was ordered, and let its card say so.

        Raises:
            UserError: there is no such job in this server, it cost nothing, or it was refunded before.
        """
        job = await self._jobs.of_id(connection, job_id)
        if job is None or job.server_id != server_id:
            raise UserError(no_job(job_id))
        if job.corrected_micros or not job.settled_micros:
            raise UserError(not_refundable(job))
        act_id = await audit.record(
            connection,
            server_id=server_id,
            by=by,
            act="refund",
            what=f"{dollars(job.settled_micros)} of job {job.job_id}",
            reason=reason,
            about_id=job.member_id,
            now=now,
        )
        await ledger.book(
            connection,
            job,
            EntryKind.CORRECTION,
            job.settled_micros,
            reason=text.nameless(reason),
            actor_id=await members.row(connection, server_id, by),
            act_id=act_id,
            now=now,
        )
        return await self._jobs.outdate_card(connection, job.job_id)
