"""Reads a channel back: what the bot may have posted there before is looked for before it is posted again."""

from collections.abc import Callable

import discord

from bot import cards, messages
from bot.discord_errors import discord_errors
from bot.models import Job
from bot.pacing import DELIVERY
from bot.turnstile import Turnstile

_PAGE = 100  # https://discord.com/developers/docs/resources/message#get-channel-messages


class NothingThere(Exception):
    """The channel shows no message at all, which is what Discord says to whom may not read it, too."""


class History:
    """Finds the messages of a job again. Nonces would do only for the minutes Discord remembers them."""

    def __init__(self, client: discord.Client, *, turnstile: Turnstile) -> None:
        self._client = client
        self._turnstile = turnstile

    async def card(self, job: Job, channel: discord.abc.Messageable) -> int | None:
        """Return the id of the job's card: the newest, where it was posted more than once.

        Raises:
            NothingThere: no message can be seen.
            ChannelClosed: the bot may not look there.
            DiscordTrouble: it may work later.
        """
        return await self._find(job, channel, lambda message: _is_card(message, job))

    async def answer(self, job: Job, channel: discord.abc.Messageable) -> int | None:
        """Return the id of the message that tells of the job's stage; raises as `card` does."""
        return await self._find(job, channel, lambda message: messages.tells(message.content, job))

    async def _find(
        self, job: Job, channel: discord.abc.Messageable, is_it: Callable[[discord.Message], bool]
    ) -> int | None:
        """Look through all messages since the job was ordered, newest first; most often that is one request.

        It goes back so far because the database may be a backup that was put back: then the job's messages
        are older than what its row says of its last steps.
        """
        # Ids tell the time by Discord's clock; ours may be wrong.
        until = job.card_message_id or _ordered_with(job)
        before = None
        while True:
            await self._turnstile.enter(DELIVERY)
            with discord_errors():
                page = [message async for message in channel.history(limit=_PAGE, before=before)]
            for message in page:
                if message.author == self._client.user and is_it(message):
                    return message.id
            if not page and before is None:
                raise NothingThere
            if len(page) < _PAGE or page[-1].id <= until:
                return None
            before = page[-1]


def _ordered_with(job: Job) -> int:
    """Return the id of the interaction or the message that ordered the job."""
    return int(job.origin.rpartition(":")[2])


def _is_card(message: discord.Message, job: Job) -> bool:
    """Whether a message is the job's card: by its button, or by the line that names the job on every card."""
    line = f"-# {messages.named(job)}"
    for part in discord.ui.LayoutView.from_message(message).walk_children():
        if getattr(part, "custom_id", None) == cards.cancel_id(job.job_id):
            return True
        if isinstance(part, discord.ui.TextDisplay) and line in part.content.splitlines():
            return True
    return False
