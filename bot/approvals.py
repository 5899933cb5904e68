"""Asking for more: a refused order goes to staff, and becomes a job when one of them approves it."""

import asyncio
import dataclasses
import logging
from typing import Any, Protocol

from bot import approval_card, approval_messages
from bot.access import Access
from bot.availability import Availability
from bot.errors import ChannelClosed, DiscordTrouble, NotAllowed, UserError
from bot.jobs import Driver
from bot.models import Clock, Draft, DraftStage, Job, Sleep
from bot.quotas import Policy
from storage.approvals import ApprovalStore
from storage.orders import OrderStore, Refusal
from storage.servers import ServerStore

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0


class Board(Protocol):
    """Whoever posts to channels and people, and knows who is in a server; see `bot/notices.py`."""

    async def post(self, server_id: int, channel_id: int, *, nonce: str, **message: Any) -> int:
        """Post a message; return its id."""
        ...

    async def find(self, server_id: int, channel_id: int, *, custom_id: str) -> int | None:
        """Return the bot's own message with a button of this id."""
        ...

    async def edit(self, server_id: int, channel_id: int, message_id: int, **message: Any) -> None:
        """Change a message of the bot."""
        ...

    async def call(self, server_id: int, channel_id: int, user_id: int, content: str, *, nonce: str) -> None:
        """Post something that pings one person."""
        ...

    async def write_directly(self, user_id: int, content: str) -> None:
        """Write to a person alone."""
        ...

    async def roles_of(self, server_id: int, user_id: int) -> frozenset[int] | None:
        """Return a member's roles, None where they are no member."""
        ...


class ApprovalService:
    """Requests for more than a limit leaves: asked by members, decided by staff, kept true by `run`.

    The draft's row is the truth. Its message in the staff channel follows it, also after a restart.
    """

    def __init__(
        self,
        *,
        store: ApprovalStore,
        orders: OrderStore,
        servers: ServerStore,
        access: Access,
        availability: Availability,
        board: Board,
        policy: Policy,
        driver: Driver,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._store = store
        self._orders = orders
        self._servers = servers
        self._access = access
        self._availability = availability
        self._board = board
        self._policy = policy
        self._driver = driver
        self._clock = clock
        self._sleep = sleep
        self._showing = asyncio.Lock()

    async def ask(self, draft_id: str, *, server_id: int, user_id: int, role_ids: frozenset[int]) -> Draft:
        """Put a refused order before staff, for its member.

        Raises:
            UserError: it is somebody else's, was asked before, is over, or cannot be asked here and now.
        """
        draft = await self._draft(draft_id, server_id)
        if draft.new.user_id != user_id:
            raise UserError(approval_messages.NOT_YOURS)
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
        try:
            await self._show(draft_id, again=False)
        except ChannelClosed as error:
            raise UserError(approval_messages.NOT_POSTED) from error
        except DiscordTrouble as error:
            log.warning("request %s is posted later: %s", draft_id, error)
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
        roles = await self._roles_now(draft)
        if roles is None:
            await self._store.leave(draft_id)
            await self._follow(draft_id)
            raise UserError(approval_messages.LEFT)
        try:
            await self._access.check(dataclasses.replace(draft.new, role_ids=roles))
        except NotAllowed as error:
            raise UserError(approval_messages.not_allowed(str(error))) from error
        quote = self._availability.quote_again(draft.new)
        outcome = await self._store.approve(
            draft_id, by=user_id, quote=quote, policy=self._policy, now=self._clock()
        )
        if isinstance(outcome, Refusal):
            raise UserError(approval_messages.cap_holds(outcome.standing, outcome.quote))
        if isinstance(outcome, Job):
            self._driver.add(outcome)
        await self._follow(draft_id)
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
        await self._follow(draft_id)
        if not is_decided:
            raise UserError(approval_messages.stands(draft))
        return draft

    async def run(self) -> None:
        """Keep requests true for ever: end old ones, and post and change what Discord did not take."""
        while True:
            try:
                await self._store.expire(now=self._clock())
                for draft in await self._store.unshown():
                    await self._follow(draft.draft_id)
            except Exception:
                log.exception("requests could not be looked after")  # no reason to end the bot
            await self._sleep(LOOK_SECONDS)

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

    async def _roles_now(self, draft: Draft) -> frozenset[int] | None:
        """Return which roles who asked has by now, None where they left."""
        if not draft.new.user_id:
            return None  # they were forgotten
        try:
            return await self._board.roles_of(draft.new.server_id, draft.new.user_id)
        except (ChannelClosed, DiscordTrouble) as error:
            raise UserError(approval_messages.TRY_AGAIN) from error

    # The message in the staff channel

    async def _follow(self, draft_id: str) -> None:
        """Show a request as it is; what Discord does not take now is tried again by `run`."""
        try:
            await self._show(draft_id, again=True)
        except ChannelClosed as error:
            log.warning("request %s cannot be posted: %s", draft_id, error)
            await self._tell(await self._orders.draft(draft_id))
        except DiscordTrouble as error:
            log.warning("request %s is shown later: %s", draft_id, error)

    async def _show(self, draft_id: str, *, again: bool) -> None:
        """Post a request, or let its message say what became of it and tell who asked.

        `again` says that an earlier try may have posted it.

        Raises:
            ChannelClosed: the staff channel does not take it; the request is given back.
            DiscordTrouble: it may work later.
        """
        async with self._showing:
            draft = await self._orders.draft(draft_id)
            if draft is None or draft.staff_channel_id is None or draft.shown_stage is draft.stage:
                return
            is_open = draft.stage is DraftStage.ASKED
            message_id = draft.staff_message_id
            try:
                if message_id is None and again:
                    message_id = await self._posted(draft, draft.staff_channel_id)
                if message_id is not None:
                    view = approval_card.request(draft)
                    place = (draft.new.server_id, draft.staff_channel_id, message_id)
                    await self._board.edit(*place, view=view)
                elif is_open:
                    message_id = await self._post(draft, draft.staff_channel_id)
            except ChannelClosed:
                if is_open:
                    await self._store.give_back(draft_id)
                    raise
                log.warning("request %s: its message is gone", draft_id)
            if not is_open:
                await self._tell(draft)
            await self._store.shown(draft, message_id)

    async def _posted(self, draft: Draft, channel_id: int) -> int | None:
        """Return the message that an earlier try may have posted."""
        try:
            return await self._board.find(
                draft.new.server_id,
                channel_id,
                custom_id=approval_card.approve_id(draft.draft_id),
            )
        except ChannelClosed:
            return None  # it may not look there, but perhaps post

    async def _post(self, draft: Draft, channel_id: int) -> int:
        name = approval_card.picture_name(draft)
        picture = draft.new.picture
        return await self._board.post(
            draft.new.server_id,
            channel_id,
            nonce=f"{draft.draft_id}:{int(draft.expires_at.timestamp())}",  # each asking is a message
            view=approval_card.request(draft),
            picture=(picture.path, name) if picture is not None and name is not None else None,
        )

    async def _tell(self, draft: Draft | None) -> None:
        """Tell who asked: alone, or where they take no direct messages in the channel."""
        told = approval_messages.told(draft) if draft is not None else None
        if draft is None or told is None or not draft.new.user_id:
            return
        private, public = told
        try:
            try:
                await self._board.write_directly(draft.new.user_id, private)
            except ChannelClosed:
                nonce = f"{draft.draft_id}:{draft.stage}"
                new = draft.new
                await self._board.call(new.server_id, new.channel_id, new.user_id, public, nonce=nonce)
        except (ChannelClosed, DiscordTrouble) as error:
            log.warning("request %s: its member could not be told: %s", draft.draft_id, error)
