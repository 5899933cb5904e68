"""Messages that belong to no job: to a server's staff, to a member alone, to the bot's operator."""

import logging
from pathlib import Path
from typing import Any

import discord

from bot.client import SoraBot
from bot.discord_errors import discord_errors
from bot.errors import ChannelClosed, DiscordTrouble
from bot.pacing import DELIVERY
from bot.turnstile import Turnstile

log = logging.getLogger(__name__)

_MOST_MESSAGES = 200

# https://discord.com/developers/docs/topics/opcodes-and-status-codes: Unknown Member, Unknown User
_NO_SUCH_PERSON = {10007, 10013}


class Notices:
    """Posts by the bot's token, by ids alone."""

    def __init__(self, client: SoraBot, *, turnstile: Turnstile) -> None:
        self._client = client
        self._turnstile = turnstile

    async def post(
        self,
        server_id: int,
        channel_id: int,
        *,
        nonce: str,
        picture: tuple[Path, str] | None = None,
        **message: Any,
    ) -> int:
        """Post a message (`content`, `view`...) to a channel; return its id.

        `nonce` has at most 25 characters: Discord takes the same one again within minutes as one message.
        `picture` is a file to attach, and the name it is to have.

        Raises:
            ChannelClosed: it cannot be posted there.
            DiscordTrouble: it may work later.
        """
        channel = self._client.get_partial_messageable(channel_id, guild_id=server_id)
        await self._turnstile.enter(DELIVERY)
        if picture is not None:
            path, name = picture
            message["file"] = discord.File(path, filename=name)
        with discord_errors():
            sent = await channel.send(nonce=nonce, **message)
        return sent.id

    async def find(self, server_id: int, channel_id: int, *, custom_id: str) -> int | None:
        """Return the bot's own message with a button of this id, if one was posted; nonces last minutes.

        Raises:
            ChannelClosed: the bot may not look there.
            DiscordTrouble: it may work later.
        """
        channel = self._client.get_partial_messageable(channel_id, guild_id=server_id)
        await self._turnstile.enter(DELIVERY)
        with discord_errors():
            async for message in channel.history(limit=_MOST_MESSAGES):
                if message.author == self._client.user and _has_button(message, custom_id):
                    return message.id
        return None

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

    async def call(self, server_id: int, channel_id: int, user_id: int, content: str, *, nonce: str) -> None:
        """Post something in a channel that pings one person.

        Raises:
            ChannelClosed: it cannot be posted there.
            DiscordTrouble: it may work later.
        """
        one = discord.AllowedMentions(everyone=False, roles=False, users=[discord.Object(user_id)])
        told = f"<@{user_id}>, {content}"
        await self.post(server_id, channel_id, nonce=nonce, content=told, allowed_mentions=one)

    async def roles_of(self, server_id: int, user_id: int) -> tuple[frozenset[int], int | None] | None:
        """Return the roles that a person has in a server with the highest, None where they are no member.

        Everyone's role is among them, but never the highest.

        Raises:
            ChannelClosed: the bot is no longer there itself.
            DiscordTrouble: it may work later.
        """
        await self._turnstile.enter(DELIVERY)
        with discord_errors():
            try:
                member = await self._client.http.get_member(server_id, user_id)
            except discord.NotFound as error:
                if error.code in _NO_SUCH_PERSON:
                    return None
                raise
        role_ids = frozenset(map(int, member["roles"]))
        server = self._client.get_guild(server_id)
        known: list[discord.Role] = list(server.roles) if server is not None else []
        top = max((role for role in known if role.id in role_ids), default=None)
        return role_ids | {server_id}, top.id if top is not None else None  # everyone's has the server's id

    async def write_directly(self, user_id: int, content: str, **more: Any) -> None:
        """Write to a person alone; `more` may have a `nonce` as for `post`.

        Raises:
            ChannelClosed: they take no direct messages.
            DiscordTrouble: it may work later.
        """
        await self._turnstile.enter(DELIVERY)
        with discord_errors():
            channel = await self._client.create_dm(discord.Object(user_id))
        await self._turnstile.enter(DELIVERY)
        with discord_errors():
            await channel.send(content, allowed_mentions=discord.AllowedMentions.none(), **more)

    def server_name(self, server_id: int) -> str:
        """Return what a server is called; nothing where the bot is not in it."""
        server = self._client.get_guild(server_id)
        return server.name if server is not None else ""

    async def tell_operator(self, content: str) -> bool:
        """Write to everybody who owns the bot; return whether anybody was reached. The log tells the others.

        Raises:
            ChannelClosed, DiscordTrouble: nobody knows who owns the bot now; it may work later.
        """
        with discord_errors():
            user_ids = await self._client.operator_ids()
        was_told = False
        for user_id in user_ids:
            try:
                await self.write_directly(user_id, content)
                was_told = True
            except (ChannelClosed, DiscordTrouble) as error:
                log.warning("the operator %d could not be told: %s (%s)", user_id, content, error)
        return was_told


def _has_button(message: discord.Message, custom_id: str) -> bool:
    parts = discord.ui.LayoutView.from_message(message).walk_children()
    return any(getattr(part, "custom_id", None) == custom_id for part in parts)
