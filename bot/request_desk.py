"""The staff channel's messages: posts what was asked for, and keeps it as true as the draft's row."""

import asyncio
import logging
from typing import Any, Protocol

from bot import approval_card, approval_messages
from bot.errors import ChannelClosed, DiscordTrouble
from bot.models import Clock, Draft, DraftStage, Sleep
from storage.approvals import ApprovalStore
from storage.orders import OrderStore

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

    async def write_directly(self, user_id: int, content: str) -> None:
        """Write to a person alone."""
        ...


class RequestDesk:
    """Shows requests to staff, and tells who asked what became of theirs."""

    def __init__(
        self, *, store: ApprovalStore, orders: OrderStore, board: Board, clock: Clock, sleep: Sleep
    ) -> None:
        self._store = store
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
                for draft in await self._store.unshown():
                    await self.follow(draft.draft_id)
            except Exception:
                log.exception("requests could not be looked after")  # no reason to end the bot
            await self._sleep(LOOK_SECONDS)

    async def follow(self, draft_id: str) -> None:
        """Show a request as it is; what Discord does not take now is tried again by `run`."""
        try:
            await self.show(draft_id, again=True)
        except ChannelClosed as error:
            log.warning("request %s cannot be posted: %s", draft_id, error)
            await self._tell(await self._orders.draft(draft_id))
        except DiscordTrouble as error:
            log.warning("request %s is shown later: %s", draft_id, error)

    async def show(self, draft_id: str, *, again: bool) -> None:
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
