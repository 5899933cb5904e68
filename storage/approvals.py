"""Requests for more than a limit leaves: asked, posted, decided, each in one transaction."""

import dataclasses
import datetime as dt

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import approval_messages, messages, quotas
from bot.errors import UserError
from bot.models import Budget, Charge, Draft, DraftStage, Job, Quote
from bot.quotas import Policy
from storage import audit, ledger, members
from storage.database import Database, Store, reads, writes
from storage.orders import DRAFT_LASTS, OrderStore, Refusal
from storage.schema import EntryKind, drafts
from storage.schema import servers as servers_table
from storage.weighing import refusing, weigh


class ApprovalStore(Store):
    """Takes refused drafts to staff, and approved ones to the ledger."""

    def __init__(self, database: Database, orders: OrderStore) -> None:
        super().__init__(database)
        self._orders = orders

    @writes
    async def ask(
        self,
        connection: AsyncConnection,
        draft_id: str,
        *,
        quote: Quote,
        role_ids: frozenset[int],
        policy: Policy,
        now: dt.datetime,
    ) -> Draft:
        """Put a refused draft before staff; the caller has made sure of who asks.

        `quote` is what it costs now. A draft comes back as it is where it is not refused any longer, where
        there is no staff channel, and where there is room for it now.

        Raises:
            UserError: the member has as many requests open as one may have.
        """
        draft = await self._orders.require(connection, draft_id)
        if draft.stage is not DraftStage.REFUSED:
            return draft
        if now >= draft.expires_at:
            return await self._orders.change(connection, draft_id, stage=DraftStage.EXPIRED)
        new = dataclasses.replace(draft.new, role_ids=role_ids, quote=quote)
        weighed = await weigh(connection, new, draft.member_id, policy, now=now)
        if weighed.settings.staff_channel_id is None:
            return draft
        own = [standing for standing in weighed.standings if standing.limit.layer.is_own]
        refused = quotas.refusing(own, quote.micros)
        if refused is None:
            return draft
        open_ones = sa.select(sa.func.count()).where(
            drafts.c.stage == DraftStage.ASKED,
            drafts.c.expires_at > now,
            drafts.c.member_id == draft.member_id,
        )
        if (await connection.execute(open_ones)).scalar_one() >= approval_messages.MOST_ASKED:
            raise UserError(approval_messages.TOO_MANY)
        await self._orders.quote_anew(connection, draft, quote)
        return await self._orders.change(
            connection,
            draft_id,
            stage=DraftStage.ASKED,
            why=approval_messages.why(refused),
            expires_at=now + DRAFT_LASTS,
            staff_channel_id=weighed.settings.staff_channel_id,
            staff_message_id=None,
            shown_stage=None,
        )

    @writes
    async def approve(
        self,
        connection: AsyncConnection,
        draft_id: str,
        *,
        by: int,
        quote: Quote,
        role_ids: frozenset[int],
        top_role_id: int | None,
        policy: Policy,
        now: dt.datetime,
    ) -> Job | Draft | Refusal:
        """Grant the price of a request and order it: the act, the grant, the hold and the job are one.

        The roles are those that its member has now.
        The limits of the member, their roles and the line are lifted, no other. The draft comes back where it
        was decided before, is over, has another price than staff have seen, or was not shown yet.
        """
        draft = await self._orders.require(connection, draft_id)
        if draft.stage is not DraftStage.ASKED or draft.shown_stage is not DraftStage.ASKED:
            return draft
        if now >= draft.expires_at:
            return await self._orders.change(connection, draft_id, stage=DraftStage.EXPIRED)
        if quote.micros != draft.new.quote.micros:
            await self._orders.quote_anew(connection, draft, quote)
            changed = approval_messages.price_changed(draft.new.quote, quote)
            return await self._orders.change(
                connection, draft_id, why=f"{draft.why}\n{changed}", shown_stage=None
            )
        new = dataclasses.replace(draft.new, role_ids=role_ids, top_role_id=top_role_id, quote=quote)
        weighed = await weigh(connection, new, draft.member_id, policy, now=now)
        held = [standing for standing in weighed.standings if not standing.limit.layer.is_own]
        if (refused := await refusing(connection, held, new)) is not None:
            return Refusal(standing=refused, quote=quote, draft=None)
        charge = Charge(budget=Budget.APPROVAL)
        weighed = dataclasses.replace(weighed, charge=charge, standings=held, purse=None, note="")
        job = await self._orders.insert(connection, new, draft.member_id, weighed, now=now)
        act = await self._record(connection, draft, "approve", by=by, now=now)
        decider = await members.row(connection, new.server_id, by)
        await ledger.book(
            connection,
            job,
            EntryKind.GRANT,
            quote.micros,
            reason="approved",
            actor_id=decider,
            act_id=act,
            now=now,
        )
        await self._orders.change(
            connection, draft_id, stage=DraftStage.ORDERED, decided_by=decider, job_id=job.job_id
        )
        return job

    @writes
    async def deny(
        self, connection: AsyncConnection, draft_id: str, *, by: int, now: dt.datetime
    ) -> tuple[Draft, bool]:
        """Say no to a request; return it, and whether that decided it."""
        draft = await self._orders.require(connection, draft_id)
        if draft.stage is not DraftStage.ASKED:
            return draft, False
        if now >= draft.expires_at:
            return await self._orders.change(connection, draft_id, stage=DraftStage.EXPIRED), False
        await self._record(connection, draft, "deny", by=by, now=now)
        decider = await members.row(connection, draft.new.server_id, by)
        denied = await self._orders.change(connection, draft_id, stage=DraftStage.DENIED, decided_by=decider)
        return denied, True

    async def leave(self, draft_id: str) -> None:
        """Let go of a request whose member is no longer in the server."""
        await self._change_asked(draft_id, stage=DraftStage.DROPPED)

    async def give_back(self, draft_id: str) -> None:
        """Take a request back that staff cannot see; its member may ask again."""
        await self._change_asked(draft_id, stage=DraftStage.REFUSED, shown_stage=None)

    async def move(self, draft_id: str, staff_channel_id: int) -> None:
        """Let a request be posted in another staff channel."""
        await self._change_asked(
            draft_id, staff_channel_id=staff_channel_id, staff_message_id=None, shown_stage=None
        )

    @writes
    async def forget(self, connection: AsyncConnection, *, before: dt.datetime) -> None:
        """Delete drafts that were over before a moment and became no job, with their prompts."""
        over = [stage for stage in DraftStage if not stage.is_open]
        await connection.execute(
            sa.delete(drafts).where(
                drafts.c.stage.in_(over), drafts.c.expires_at < before, drafts.c.job_id.is_(None)
            )
        )

    @writes
    async def expire(self, connection: AsyncConnection, *, now: dt.datetime) -> None:
        """End every draft that waited for a day."""
        waiting = [stage for stage in DraftStage if stage.is_open]
        await connection.execute(
            sa.update(drafts)
            .where(drafts.c.stage.in_(waiting), drafts.c.expires_at <= now)
            .values(stage=DraftStage.EXPIRED)
        )

    # What the staff channel shows

    @reads
    async def unshown(self, connection: AsyncConnection) -> list[Draft]:
        """Return the requests whose message in the staff channel is missing or out of date."""
        return await self._orders.select(
            connection,
            sa.and_(
                drafts.c.staff_channel_id.is_not(None),
                drafts.c.shown_stage.is_distinct_from(drafts.c.stage),  # as the index drafts_unshown has it
            ),
        )

    @reads
    async def astray(self, connection: AsyncConnection) -> list[Draft]:
        """Return the requests that are in another channel than the staff channel as it is set now."""
        set_now = sa.select(servers_table.c.staff_channel_id).where(
            servers_table.c.server_id == drafts.c.server_id
        )
        return await self._orders.select(
            connection,
            sa.and_(
                drafts.c.stage == DraftStage.ASKED,
                drafts.c.staff_channel_id.is_distinct_from(set_now.scalar_subquery()),
            ),
        )

    @writes
    async def shown(self, connection: AsyncConnection, draft: Draft, message_id: int | None) -> None:
        """Remember which message shows the request as it was in `draft`, unless it was asked anew since.

        One that was given back is in no channel any longer.
        """
        same = sa.update(drafts).where(
            drafts.c.draft_id == draft.draft_id,
            drafts.c.expires_at == draft.expires_at,
            drafts.c.staff_channel_id == draft.staff_channel_id,
        )
        if draft.stage is DraftStage.REFUSED:
            given_back = same.where(drafts.c.stage == DraftStage.REFUSED)
            await connection.execute(given_back.values(staff_channel_id=None, staff_message_id=None))
        else:
            await connection.execute(same.values(staff_message_id=message_id, shown_stage=draft.stage))

    # How it is done

    @writes
    async def _change_asked(self, connection: AsyncConnection, draft_id: str, **values: object) -> None:
        await connection.execute(
            sa.update(drafts)
            .where(drafts.c.draft_id == draft_id, drafts.c.stage == DraftStage.ASKED)
            .values(**values)
        )

    async def _record(
        self, connection: AsyncConnection, draft: Draft, act: str, *, by: int, now: dt.datetime
    ) -> str:
        return await audit.record(
            connection,
            server_id=draft.new.server_id,
            by=by,
            act=act,
            what=f"request {draft.draft_id}: {messages.price(draft.new.quote)}, "
            f"{messages.settings_line(draft.new.request)}",
            reason=draft.why,
            about_id=draft.member_id,
            now=now,
        )
