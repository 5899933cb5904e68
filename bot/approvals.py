"""Asking for more: a refused order goes to staff, and becomes a job when one of them approves it."""

import dataclasses
import logging
from typing import Protocol

from bot import approval_messages
from bot.access import Access
from bot.availability import Availability
from bot.errors import ChannelClosed, DiscordTrouble, NotAllowed, UserError
from bot.health import Health
from bot.jobs import Driver
from bot.models import Clock, Draft, DraftStage, Job
from bot.quotas import Policy
from bot.request_desk import RequestDesk
from storage.approvals import ApprovalStore
from storage.orders import OrderStore, Refusal
from storage.servers import ServerStore

log = logging.getLogger(__name__)


class Members(Protocol):
    """Whoever knows who is in a server; see `bot/notices.py`."""

    async def roles_of(self, server_id: int, user_id: int) -> tuple[frozenset[int], int | None] | None:
        """Return a member's roles with the highest, None where they are no member."""
        ...


class ApprovalService:
    """Requests for more than a limit leaves: asked by members, decided by staff.

    The draft's row is the truth. Its message in the staff channel follows it; see `bot/request_desk.py`.
    """

    def __init__(
        self,
        *,
        store: ApprovalStore,
        orders: OrderStore,
        servers: ServerStore,
        access: Access,
        availability: Availability,
        desk: RequestDesk,
        members: Members,
        policy: Policy,
        driver: Driver,
        health: Health,
        clock: Clock,
    ) -> None:
        self._store = store
        self._orders = orders
        self._servers = servers
        self._access = access
        self._availability = availability
        self._desk = desk
        self._members = members
        self._policy = policy
        self._driver = driver
        self._health = health
        self._clock = clock

    async def ask(self, draft_id: str, *, server_id: int, user_id: int, role_ids: frozenset[int]) -> Draft:
        """Put a refused order before staff, for its member; asked again, post it anew if it is gone.

        Raises:
            UserError: it is somebody else's, was asked before, is over, or cannot be asked here and now.
        """
        draft = await self._draft(draft_id, server_id)
        if draft.new.user_id != user_id:
            raise UserError(approval_messages.NOT_YOURS)
        if draft.stage is DraftStage.ASKED:
            await self._post(draft_id, is_first=False)
        if draft.stage is not DraftStage.REFUSED:
            raise UserError(approval_messages.stands(draft))
        if (await self._servers.settings(server_id)).staff_channel_id is None:
            raise UserError(approval_messages.NO_STAFF_CHANNEL)
        await self._access.check(dataclasses.replace(draft.new, role_ids=role_ids))
        asked = await self._store.ask(
            draft_id,
            quote=self._availability.quote_again(draft.new),
            role_ids=role_ids,
            policy=self._policy,
            now=self._clock(),
        )
        if asked.stage is DraftStage.REFUSED:
            raise UserError(approval_messages.ROOM_NOW)
        if asked.stage is not DraftStage.ASKED:
            raise UserError(approval_messages.stands(asked))
        await self._post(draft_id, is_first=True)
        return asked

    async def approve(
        self, draft_id: str, *, server_id: int, user_id: int, role_ids: frozenset[int], staff: bool
    ) -> Job:
        """Order what was asked for, on a grant of its price.

        Raises:
            UserError: they may not decide on it, it is decided or over, its price has changed, it cannot be
                ordered now, or a limit that no approval lifts refuses it. Nothing is charged.
        """
        draft = await self._to_decide(draft_id, server_id, role_ids, staff=staff)
        if draft.new.user_id == user_id and not staff:
            raise UserError(approval_messages.NOT_YOUR_OWN)
        self._health.check()
        found = await self._roles_now(draft)
        if found is None:
            await self._store.leave(draft_id)
            await self._desk.follow(draft_id)
            raise UserError(approval_messages.LEFT)
        roles, top_role_id = found
        try:
            await self._access.check(dataclasses.replace(draft.new, role_ids=roles))
        except NotAllowed as error:
            raise UserError(approval_messages.not_allowed(str(error))) from error
        quote = self._availability.quote_again(draft.new)
        outcome = await self._store.approve(
            draft_id,
            by=user_id,
            quote=quote,
            role_ids=roles,
            top_role_id=top_role_id,
            policy=self._policy,
            now=self._clock(),
        )
        if isinstance(outcome, Refusal):
            raise UserError(approval_messages.cap_holds(outcome.standing, outcome.quote))
        if isinstance(outcome, Job):
            self._driver.add(outcome)
        await self._desk.follow(draft_id)
        if isinstance(outcome, Draft):
            is_open = outcome.stage is DraftStage.ASKED
            say = approval_messages.look_again if is_open else approval_messages.stands
            raise UserError(say(outcome))
        return outcome

    async def deny(
        self, draft_id: str, *, server_id: int, user_id: int, role_ids: frozenset[int], staff: bool
    ) -> Draft:
        """Say no to a request; who asked is told.

        Raises:
            UserError: they may not decide on it, or it is decided or over.
        """
        await self._to_decide(draft_id, server_id, role_ids, staff=staff)
        draft, is_decided = await self._store.deny(draft_id, by=user_id, now=self._clock())
        await self._desk.follow(draft_id)
        if not is_decided:
            raise UserError(approval_messages.stands(draft))
        return draft

    async def _post(self, draft_id: str, *, is_first: bool) -> None:
        """Let staff see a request; what Discord does not take now is posted later."""
        try:
            await self._desk.post(draft_id, is_first=is_first)
        except ChannelClosed as error:
            raise UserError(approval_messages.NOT_POSTED) from error
        except DiscordTrouble as error:
            log.warning("request %s is posted later: %s", draft_id, error)

    async def _draft(self, draft_id: str, server_id: int) -> Draft:
        draft = await self._orders.draft(draft_id)
        if draft is None or draft.new.server_id != server_id:
            raise UserError(approval_messages.NO_SUCH_REQUEST)
        return draft

    async def _to_decide(
        self, draft_id: str, server_id: int, role_ids: frozenset[int], *, staff: bool
    ) -> Draft:
        """Return a request that waits for a decision, for those who may make it."""
        draft = await self._draft(draft_id, server_id)
        approver_role = (await self._servers.settings(server_id)).approver_role_id
        if not staff and approver_role not in role_ids:
            raise UserError(approval_messages.may_not_decide(approver_role))
        if draft.stage is not DraftStage.ASKED:
            raise UserError(approval_messages.stands(draft))
        return draft

    async def _roles_now(self, draft: Draft) -> tuple[frozenset[int], int | None] | None:
        """Return which roles who asked has by now, with the highest, None where they left."""
        if not draft.new.user_id:
            return None  # they were forgotten
        try:
            return await self._members.roles_of(draft.new.server_id, draft.new.user_id)
        except (ChannelClosed, DiscordTrouble) as error:
            raise UserError(approval_messages.TRY_AGAIN) from error
