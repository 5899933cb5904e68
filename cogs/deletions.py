"""Notices when a role or channel is deleted, and finds out what was deleted while the bot was away."""

from collections.abc import Awaitable, Callable

import aiohttp
import discord
from discord.ext import commands

from bot.deletions import Deletions

# https://discord.com/developers/docs/topics/opcodes-and-status-codes
_UNKNOWN = frozenset({10003, 10011})  # a channel, a role


class DeletionCog(commands.Cog):
    """Translates Discord's events."""

    def __init__(self, deletions: Deletions) -> None:
        self._deletions = deletions

    @commands.Cog.listener()
    async def on_guild_role_delete(self, role: discord.Role) -> None:
        """Take away what hung on the role."""
        await self._deletions.gone(role.guild.id, roles={role.id: role.name})

    @commands.Cog.listener()
    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        """Take away what hung on the channel."""
        await self._deletions.gone(channel.guild.id, channels={channel.id: channel.name})

    @commands.Cog.listener()
    async def on_guild_available(self, guild: discord.Guild) -> None:
        """Look for what was deleted while the bot was away."""
        await self._look(guild)

    @commands.Cog.listener()
    async def on_guild_join(self, guild: discord.Guild) -> None:
        """Look for what was deleted while the bot was no member."""
        await self._look(guild)

    async def _look(self, guild: discord.Guild) -> None:
        """Ask Discord for each thing that is named in settings and not in what it sent of the server."""
        if guild.unavailable:
            return
        named = await self._deletions.named(guild.id)
        roles = [one for one in sorted(named.role_ids) if guild.get_role(one) is None]
        channels = [one for one in sorted(named.channel_ids) if guild.get_channel_or_thread(one) is None]
        if not roles and not channels:
            return
        await self._deletions.gone(
            guild.id,
            roles={one: None for one in roles if await _is_gone(guild.fetch_role, one)},
            channels={one: None for one in channels if await _is_gone(guild.fetch_channel, one)},
        )


async def _is_gone(fetch: Callable[[int], Awaitable[object]], subject_id: int) -> bool:
    """Whether Discord says that there is no such thing; without an answer it is looked for another time."""
    try:
        await fetch(subject_id)
    except discord.NotFound as error:
        return error.code in _UNKNOWN
    except (discord.HTTPException, aiohttp.ClientError, OSError):
        return False
    return False
