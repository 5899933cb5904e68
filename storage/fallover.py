"""A job whose model failed, and the one that another model goes on with: both in one transaction."""

import dataclasses
import datetime as dt

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import Draft, DraftStage, Failure, Job, NewJob
from bot.quotas import Layer, Policy
from storage.database import Database, Store, reads, writes
from storage.orders import OrderStore
from storage.schema import drafts
from storage.weighing import refusing, weigh


class _KeyIsFull(Exception):
    """The next gateway's key has no room; the transaction is taken back."""


class FallOverStore(Store):
    """Ends jobs in favour of others. A kill leaves what was, or all of it: never two that may be sent.

    The first job keeps its row and its entries, since the ledger says of each gateway what it took.
    """

    def __init__(self, database: Database, orders: OrderStore) -> None:
        super().__init__(database)
        self._orders = orders

    async def fall_over(
        self, job: Job, failure: Failure, new: NewJob, policy: Policy, *, now: dt.datetime
    ) -> Job | None:
        """End a job, and store the one that goes on for it at the same price or a lower one.

        Of the limits only that of the next gateway's key is asked: all the others have room for what the
        first job held. None where it refuses; then nothing is changed. Done before, it gives the same job.
        """
        try:
            return await self._fall_over(job, failure, new, policy, now=now)
        except _KeyIsFull:
            return None

    @writes
    async def _fall_over(
        self,
        connection: AsyncConnection,
        job: Job,
        failure: Failure,
        new: NewJob,
        policy: Policy,
        *,
        now: dt.datetime,
    ) -> Job | None:
        store = self._orders.jobs
        if await store.end(connection, job.job_id, failure, fell_to=new.job_id, now=now) is None:
            return await store.of_origin(connection, new.origin)
        # In the period of the order, in which the next job counts, too.
        weighed = await weigh(connection, new, job.member_id, policy, now=job.created_at)
        of_key = [standing for standing in weighed.standings if standing.limit.layer is Layer.KEY]
        if await refusing(connection, of_key, new) is not None:
            raise _KeyIsFull
        charged = dataclasses.replace(weighed, charge=job.charge, standings=of_key, purse=None, note="")
        return await self._orders.insert(
            connection, new, job.member_id, charged, now=now, ordered_at=job.created_at
        )

    @writes
    async def offer(
        self, connection: AsyncConnection, job: Job, failure: Failure, new: NewJob, *, now: dt.datetime
    ) -> None:
        """End a job, and keep what another model would do at a higher price, until its member says yes."""
        if await self._orders.jobs.end(connection, job.job_id, failure, now=now) is not None:
            await self._orders.keep(connection, new, job.member_id, DraftStage.QUOTED, now)

    @reads
    async def offered(self, connection: AsyncConnection, origin: str) -> Draft | None:
        """Return the offer of an origin, while it can be taken."""
        found = await self._orders.select(connection, drafts.c.origin == origin)
        return next((draft for draft in found if draft.stage is DraftStage.QUOTED), None)
