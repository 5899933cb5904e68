"""The staff channel's messages: posts what was asked for, and keeps it as true as the draft's row."""

import asyncio
import dataclasses
import hashlib
import logging
from typing import Any, Protocol

from bot import approval_card, approval_messages
from bot.errors import ChannelClosed, DiscordTrouble, StorageTrouble
from bot.models import Clock, Draft, DraftStage, Sleep
from storage.approvals import ApprovalStore
from storage.orders import OrderStore
from storage.servers import ServerStore

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0


class Board(Protocol):
    """Whoever posts to channels and people; see `bot/notices.py`."""

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

    async def write_directly(self, user_id: int, content: str, *, nonce: str) -> None:
        """Write to a person alone."""
        ...


class RequestDesk:
    """Shows requests to staff, and tells who asked what became of theirs."""

    def __init__(
        self,
        *,
        store: ApprovalStore,
        orders: OrderStore,
        servers: ServerStore,
        board: Board,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._store = store
        self._servers = servers
        self._orders = orders
        self._board = board
        self._clock = clock
        self._sleep = sleep
        self._showing = asyncio.Lock()

    async def run(self) -> None:
        """Keep requests true for ever: end old ones, and post and change what Discord did not take."""
        while True:
            try:
                await self._store.expire(now=self._clock())
                for draft in await self._store.astray():
                    await self._move(draft)
                for draft in await self._store.unshown():
                    await self.follow(draft.draft_id)
            except StorageTrouble as error:
                log.warning("requests wait: %s", error.detail)
            except Exception:
                log.exception("requests could not be looked after")  # no reason to end the bot
            await self._sleep(LOOK_SECONDS)

    async def post(self, draft_id: str, *, is_first: bool) -> None:
        """Let staff see a request whose member waits for an answer; again, if its message is gone.

        Raises:
            ChannelClosed: the staff channel does not take it; the request is given back.
            DiscordTrouble: it may work later, and `run` tries.
        """
        async with self._showing:
            draft = await self._orders.draft(draft_id)
            if draft is None or draft.stage is not DraftStage.ASKED or draft.staff_channel_id is None:
                return
            try:
                await self._show_open(draft, draft.staff_channel_id, may_be_posted=not is_first)
            except ChannelClosed:
                await self._store.give_back(draft_id)
                given_back = dataclasses.replace(draft, stage=DraftStage.REFUSED)
                await self._store.shown(given_back, None)  # the answer tells its member
                raise

    async def follow(self, draft_id: str) -> None:
        """Show a request as it is, and tell who asked how it ended.

        What Discord does not take now is tried again by `run`.
        """
        try:
            async with self._showing:
                await self._follow(draft_id)
        except DiscordTrouble as error:
            log.warning("request %s is shown later: %s", draft_id, error)

    async def _follow(self, draft_id: str) -> None:
        draft = await self._orders.draft(draft_id)
        if draft is None or draft.staff_channel_id is None or draft.shown_stage is draft.stage:
            return
        if draft.stage is DraftStage.ASKED:
            try:
                await self._show_open(draft, draft.staff_channel_id, may_be_posted=True)
            except ChannelClosed as error:
                log.warning("request %s cannot be posted: %s", draft_id, error)
                await self._store.give_back(draft_id)
                await self._follow(draft_id)
        else:
            await self._show_end(draft, draft.staff_channel_id)

    async def _move(self, draft: Draft) -> None:
        """Take an open request out of a channel that is no longer the staff channel."""
        settings = await self._servers.settings(draft.new.server_id)
        if settings.staff_channel_id is None:
            await self._store.give_back(draft.draft_id)  # `follow` says so
            return
        if draft.staff_message_id is not None and draft.staff_channel_id is not None:
            view = approval_card.moved(draft, settings.staff_channel_id)
            place = (draft.new.server_id, draft.staff_channel_id, draft.staff_message_id)
            try:
                await self._board.edit(*place, view=view, attachments=[])
            except (ChannelClosed, DiscordTrouble) as error:
                log.warning("request %s stays in its old channel, too: %s", draft.draft_id, error)
        await self._store.move(draft.draft_id, settings.staff_channel_id)

    async def _show_open(self, draft: Draft, channel_id: int, *, may_be_posted: bool) -> None:
        """Let the request's message be true, and post it where there is none."""
        message_id = draft.staff_message_id
        if message_id is None and may_be_posted:
            message_id = await self._posted(draft, channel_id)
        if message_id is None or not await self._edit(draft, channel_id, message_id):
            message_id = await self._post(draft, channel_id)
        await self._store.shown(draft, message_id)

    async def _show_end(self, draft: Draft, channel_id: int) -> None:
        """Let the message say how it ended, and tell who asked."""
        message_id = draft.staff_message_id or await self._posted(draft, channel_id)
        if message_id is not None:
            await self._edit(draft, channel_id, message_id)
        await self._tell(draft)
        await self._store.shown(draft, message_id)

    async def _edit(self, draft: Draft, channel_id: int, message_id: int) -> bool:
        """Change the request's message; return whether it is still there."""
        try:
            view = approval_card.request(draft)
            await self._board.edit(draft.new.server_id, channel_id, message_id, view=view)
        except ChannelClosed as error:
            log.warning("request %s: its message is gone: %s", draft.draft_id, error)
            return False
        return True

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
        # Each asking is a message, and so is each that stands in for one that is gone.
        message = f"{draft.draft_id} {draft.expires_at} {channel_id} {draft.staff_message_id}"
        return await self._board.post(
            draft.new.server_id,
            channel_id,
            nonce=hashlib.sha256(message.encode()).hexdigest()[:25],
            view=approval_card.request(draft),
            picture=(picture.path, name) if picture is not None and name is not None else None,
        )

    async def _tell(self, draft: Draft) -> None:
        """Tell who asked: alone, or where they take no direct messages in the channel.

        Tried again within minutes, Discord takes it as one message.

        Raises:
            DiscordTrouble: it may work later.
        """
        told = approval_messages.told(draft)
        new = draft.new
        if told is None or not new.user_id:
            return
        private, public = told
        nonce = f"{draft.draft_id}:{draft.stage}"
        try:
            try:
                await self._board.write_directly(new.user_id, private, nonce=nonce)
            except ChannelClosed:
                await self._board.call(new.server_id, new.channel_id, new.user_id, public, nonce=nonce)
        except ChannelClosed as error:
            log.warning("request %s: its member could not be told: %s", draft.draft_id, error)
