"""Orders: the one transaction that checks every limit and holds the money, and orders that wait for a yes."""

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import Draft, DraftStage, Job, NewJob, Purse, Quote
from bot.quotas import Policy, Standing
from storage import alerts, members, waiting
from storage.database import Database, Store, reads, writes_first
from storage.draft_rows import draft_of, order_json
from storage.jobs import JobStore
from storage.schema import drafts
from storage.schema import members as people
from storage.weighing import Weighed, left_after, refusing, weigh

DRAFT_LASTS = dt.timedelta(hours=24)

_IS_KNOWN = sa.text(
    "SELECT EXISTS (SELECT 1 FROM jobs WHERE origin = :origin) "
    "OR EXISTS (SELECT 1 FROM drafts WHERE origin = :origin)"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refusal:
    """An order that a limit refuses; `draft` is kept where its member may ask staff for more.

    `note` says why the channel's purse does not pay, where it has one.
    """

    standing: Standing
    quote: Quote
    draft: Draft | None
    note: str = ""


class OrderStore(Store):
    """Turns orders into jobs, or keeps them until somebody says yes."""

    def __init__(self, database: Database, jobs: JobStore) -> None:
        super().__init__(database)
        self.jobs = jobs

    @writes_first
    async def place(
        self, connection: AsyncConnection, new: NewJob, policy: Policy, *, now: dt.datetime
    ) -> Job | Draft | Refusal:
        """Check the limits, hold the money and store the job, all in one transaction.

        An origin that was stored before gives what it made, a draft also when it is over: it is never ordered
        again. Where the price is above what the server wants confirmed, a draft is kept instead; where a
        limit refuses, nothing is held.

        Raises:
            UserError: too many orders wait already.
        """
        if await connection.scalar(_IS_KNOWN, {"origin": new.origin}):
            return await self._known(connection, new.origin, policy, now)
        member = await members.row(connection, new.server_id, new.user_id)
        weighed = await weigh(connection, new, member, policy, now=now)
        settings = weighed.settings
        refused = await refusing(connection, weighed.standings, new)
        if refused is not None:
            draft = None
            if refused.limit.layer.is_own and settings.staff_channel_id is not None:
                draft = await self.keep(connection, new, member, DraftStage.REFUSED, now)
            return Refusal(standing=refused, quote=new.quote, draft=draft, note=weighed.note)
        await waiting.check(connection, new, member)
        if new.quote.micros > settings.confirm_above_micros:
            return await self.keep(connection, new, member, DraftStage.QUOTED, now)
        return await self.insert(connection, new, member, weighed, now=now)

    @reads
    async def first_that_fits(
        self, connection: AsyncConnection, candidates: Sequence[NewJob], policy: Policy, *, now: dt.datetime
    ) -> int:
        """Return the number of the first of a member's orders that no limit refuses; 0 where all are.

        Whatever is chosen has to pass `place` all the same.
        """
        member = await members.find(connection, candidates[0].server_id, candidates[0].user_id)
        for number, new in enumerate(candidates):
            weighed = await weigh(connection, new, member, policy, now=now)
            if await refusing(connection, weighed.standings, new) is None:
                return number
        return 0

    @writes_first
    async def quote(self, connection: AsyncConnection, new: NewJob, *, now: dt.datetime) -> Job | Draft:
        """Keep an order until its member confirms it, whatever it costs; limits are asked then."""
        job = await self.jobs.of_origin(connection, new.origin)
        if job is not None:
            return job
        for draft in await self.select(connection, drafts.c.origin == new.origin):
            return draft
        member = await members.row(connection, new.server_id, new.user_id)
        return await self.keep(connection, new, member, DraftStage.QUOTED, now)

    @writes_first
    async def exchange(
        self, connection: AsyncConnection, draft_id: str, new: NewJob, *, now: dt.datetime
    ) -> Draft:
        """Quote another order in the place of one. A draft that is over comes back as it is."""
        draft = await self.require(connection, draft_id)
        if draft.stage is not DraftStage.QUOTED:
            return draft
        if now >= draft.expires_at:
            return await self.change(connection, draft_id, stage=DraftStage.EXPIRED)
        return await self._keep_instead(connection, draft, new, now)

    @writes_first
    async def confirm(
        self,
        connection: AsyncConnection,
        draft_id: str,
        *,
        quote: Quote,
        new_id: str,
        role_ids: frozenset[int],
        top_role_id: int | None,
        policy: Policy,
        now: dt.datetime,
    ) -> Job | Draft | Refusal:
        """Make a quoted draft a job; the caller has made sure of who asks, and says which roles they have.

        `quote` is what it costs now: where the price has changed, another draft comes back that is called
        `new_id`. A draft that is over comes back as it is, one that became a job as its job. One that a limit
        refuses may be confirmed again later.

        Raises:
            UserError: too many orders wait already; it may be confirmed again later.
        """
        draft = await self.require(connection, draft_id)
        if draft.job_id is not None and (job := await self.jobs.of_origin(connection, draft.new.origin)):
            return job
        if draft.stage not in {DraftStage.QUOTED, DraftStage.REFUSED}:
            return draft
        if now >= draft.expires_at:
            return await self.change(connection, draft_id, stage=DraftStage.EXPIRED)
        if quote.micros != draft.new.quote.micros:
            anew = dataclasses.replace(draft.new, job_id=new_id, quote=quote)
            return await self._keep_instead(connection, draft, anew, now)
        new = dataclasses.replace(draft.new, role_ids=role_ids, top_role_id=top_role_id, quote=quote)
        weighed = await weigh(connection, new, draft.member_id, policy, now=now)
        refused = await refusing(connection, weighed.standings, new)
        if refused is not None:
            return await self._refuse(connection, draft, refused, weighed)
        await waiting.check(connection, new, draft.member_id)
        job = await self.insert(connection, new, draft.member_id, weighed, now=now)
        await self.change(connection, draft_id, stage=DraftStage.ORDERED, job_id=job.job_id)
        return job

    @writes_first
    async def drop(self, connection: AsyncConnection, draft_id: str) -> Draft:
        """Let go of a draft whose member does not want it; one that is over stays as it is."""
        draft = await self.require(connection, draft_id)
        if draft.stage not in {DraftStage.QUOTED, DraftStage.REFUSED}:
            return draft
        return await self.change(connection, draft_id, stage=DraftStage.DROPPED)

    @reads
    async def draft(self, connection: AsyncConnection, draft_id: str) -> Draft | None:
        """Return a draft of any server."""
        return next(iter(await self.select(connection, drafts.c.draft_id == draft_id)), None)

    @reads
    async def left(
        self,
        connection: AsyncConnection,
        job: Job,
        *,
        role_ids: frozenset[int],
        policy: Policy,
        now: dt.datetime,
    ) -> Standing | Purse | None:
        """Return the budget that a job was charged to as it stands now, if one says what is left."""
        return await left_after(connection, job, role_ids, policy, now=now)

    # What transactions here and in `storage/approvals.py` are made of

    async def insert(
        self,
        connection: AsyncConnection,
        new: NewJob,
        member_id: int,
        weighed: Weighed,
        *,
        now: dt.datetime,
        ordered_at: dt.datetime | None = None,
    ) -> Job:
        """Store the job and hold its money; nothing refused it. For `ordered_at` see `JobStore.insert`."""
        noted = dataclasses.replace(new, note=" ".join(filter(None, [new.note, weighed.note])))
        job = await self.jobs.insert(
            connection, noted, member_id, weighed.charge, now=now, ordered_at=ordered_at
        )
        await alerts.note(
            connection,
            new,
            member_id=member_id,
            standings=weighed.standings,
            purse=weighed.purse,
            now=now,
        )
        return job

    async def require(self, connection: AsyncConnection, draft_id: str) -> Draft:
        """Return a draft that is known to exist."""
        (draft,) = await self.select(connection, drafts.c.draft_id == draft_id)
        return draft

    async def select(self, connection: AsyncConnection, where: sa.ColumnElement[bool]) -> list[Draft]:
        """Return drafts, oldest first."""
        deciders = people.alias()
        rows = await connection.execute(
            sa.select(drafts, people.c.discord_id, deciders.c.discord_id.label("decider"))
            .join(people, people.c.member_id == drafts.c.member_id)
            .outerjoin(deciders, deciders.c.member_id == drafts.c.decided_by)
            .where(where)
            .order_by(drafts.c.created_at, drafts.c.draft_id)
        )
        return [draft_of(row, self.jobs.pictures) for row in rows]

    async def change(self, connection: AsyncConnection, draft_id: str, **values: Any) -> Draft:
        """Change columns of a draft; return it as it is then."""
        await connection.execute(sa.update(drafts).where(drafts.c.draft_id == draft_id).values(**values))
        return await self.require(connection, draft_id)

    async def quote_anew(self, connection: AsyncConnection, draft: Draft, quote: Quote) -> Draft:
        """Keep the price as it is now."""
        new = dataclasses.replace(draft.new, quote=quote)
        return await self.change(connection, draft.draft_id, order_json=order_json(new))

    async def _known(
        self, connection: AsyncConnection, origin: str, policy: Policy, now: dt.datetime
    ) -> Job | Draft | Refusal:
        """Return what an order has become; one that was refused and has room by now is quoted."""
        job = await self.jobs.of_origin(connection, origin)
        if job is not None:
            return job
        (draft,) = await self.select(connection, drafts.c.origin == origin)
        if draft.stage is not DraftStage.REFUSED:
            return draft
        weighed = await weigh(connection, draft.new, draft.member_id, policy, now=now)
        refused = await refusing(connection, weighed.standings, draft.new)
        if refused is None:
            return await self.change(connection, draft.draft_id, stage=DraftStage.QUOTED)
        return await self._refuse(connection, draft, refused, weighed)

    async def _refuse(
        self, connection: AsyncConnection, draft: Draft, refused: Standing, weighed: Weighed
    ) -> Refusal:
        """Refuse a draft; where an approval would help, its member may ask for one."""
        kept = None
        if refused.limit.layer.is_own and weighed.settings.staff_channel_id is not None:
            kept = await self.change(connection, draft.draft_id, stage=DraftStage.REFUSED)
        return Refusal(standing=refused, quote=draft.new.quote, draft=kept, note=weighed.note)

    async def _keep_instead(
        self, connection: AsyncConnection, draft: Draft, new: NewJob, now: dt.datetime
    ) -> Draft:
        """Drop a quote for another of the same origin, which is a draft of its own.

        So no press below the old price, however late it arrives, confirms the new one.
        """
        became = f"became:{new.job_id}"
        await self.change(connection, draft.draft_id, stage=DraftStage.DROPPED, origin=became)
        return await self.keep(connection, new, draft.member_id, DraftStage.QUOTED, now)

    async def keep(
        self, connection: AsyncConnection, new: NewJob, member_id: int, stage: DraftStage, now: dt.datetime
    ) -> Draft:
        """Keep an order until somebody says yes to it."""
        await connection.execute(
            sa.insert(drafts).values(
                draft_id=new.job_id,
                origin=new.origin,
                server_id=new.server_id,
                channel_id=new.channel_id,
                member_id=member_id,
                order_json=order_json(new),
                picture_name=new.picture and new.picture.path.name,
                end_name=new.end_picture and new.end_picture.path.name,
                stage=stage,
                created_at=now,
                expires_at=now + DRAFT_LASTS,
            )
        )
        return await self.require(connection, new.job_id)
