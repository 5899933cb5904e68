"""Messages that belong to no job: to a server's staff, to a member alone, to the bot's operator."""

import logging
from typing import Any

import discord

from bot.client import SoraBot
from bot.discord_errors import discord_errors
from bot.errors import ChannelClosed, DiscordTrouble
from bot.pacing import DELIVERY
from bot.turnstile import Turnstile

log = logging.getLogger(__name__)


class Notices:
    """Posts by the bot's token, by ids alone."""

    def __init__(self, client: SoraBot, *, turnstile: Turnstile) -> None:
        self._client = client
        self._turnstile = turnstile

    async def post(self, server_id: int, channel_id: int, *, nonce: str, **message: Any) -> int:
        """Post a message (`content`, `view`, `file`...) to a channel; return its id.

        `nonce` has at most 25 characters: Discord takes the same one again within minutes as one message.

        Raises:
            ChannelClosed: it cannot be posted there.
            DiscordTrouble: it may work later.
        """
        channel = self._client.get_partial_messageable(channel_id, guild_id=server_id)
        await self._turnstile.enter(DELIVERY)
        with discord_errors():
            sent = await channel.send(nonce=nonce, **message)
        return sent.id

    async def edit(self, server_id: int, channel_id: int, message_id: int, **message: Any) -> None:
        """Change a message of the bot.

        Raises:
            ChannelClosed: it is gone.
            DiscordTrouble: it may work later.
        """
        channel = self._client.get_partial_messageable(channel_id, guild_id=server_id)
        await self._turnstile.enter(DELIVERY)
        with discord_errors():
            await channel.get_partial_message(message_id).edit(**message)

    async def write_directly(self, user_id: int, content: str) -> None:
        """Write to a person alone.

        Raises:
            ChannelClosed: they take no direct messages.
            DiscordTrouble: it may work later.
        """
        await self._turnstile.enter(DELIVERY)
        with discord_errors():
            channel = await self._client.create_dm(discord.Object(user_id))
        await self._turnstile.enter(DELIVERY)
        with discord_errors():
            await channel.send(content, allowed_mentions=discord.AllowedMentions.none())

    async def tell_operator(self, content: str) -> None:
        """Write to everybody who owns the bot; who cannot be reached is told by the log."""
        for user_id in await self._client.operator_ids():
            try:
                await self.write_directly(user_id, content)
            except (ChannelClosed, DiscordTrouble) as error:
                log.warning("the operator %d could not be told: %s (%s)", user_id, content, error)
