"""`/video-admin access`: who may order, and where, on top of Discord's own Integrations page."""

from typing import TypeAlias

import discord
from discord import app_commands
from discord.ext import commands

from bot import access_messages
from bot.access import Access
from bot.client import SoraBot, answer
from bot.errors import BadOrder
from bot.models import AccessRule, RuleScope
from cogs.admin_server import Reason

# Threads are left out: they count as their channel.
Channel: TypeAlias = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.ForumChannel

_OPTIONS = {
    "role": "A role",
    "member": "A person",
    "channel": "A channel",
    "reason": "Why, for the audit log",
}


class AccessCommands(commands.Cog):
    """Translates access rules; a part of `/video-admin`."""

    access = app_commands.Group(name="access", description="Who may order, and where.")

    access_rules: Access

    @access.command()
    @app_commands.describe(**_OPTIONS)
    async def allow(
        self,
        interaction: discord.Interaction[SoraBot],
        role: discord.Role | None = None,
        member: discord.User | None = None,
        channel: Channel | None = None,
        reason: Reason | None = None,
    ) -> None:
        """Let only these order, with others so allowed."""
        await self._set(interaction, role, member, channel, reason=reason, allows=True)

    @access.command()
    @app_commands.describe(**_OPTIONS)
    async def deny(
        self,
        interaction: discord.Interaction[SoraBot],
        role: discord.Role | None = None,
        member: discord.User | None = None,
        channel: Channel | None = None,
        reason: Reason | None = None,
    ) -> None:
        """Take no orders from these."""
        await self._set(interaction, role, member, channel, reason=reason, allows=False)

    @access.command()
    @app_commands.describe(**_OPTIONS)
    async def clear(
        self,
        interaction: discord.Interaction[SoraBot],
        role: discord.Role | None = None,
        member: discord.User | None = None,
        channel: Channel | None = None,
        reason: Reason | None = None,
    ) -> None:
        """Take a rule away."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        scope, subject_id = _subject(role, member, channel)
        had_one = await self.access_rules.clear(
            interaction.guild_id or 0, scope, subject_id, reason=reason or "", by=interaction.user.id
        )
        rule = AccessRule(scope=scope, subject_id=subject_id, allows=False)
        await answer(interaction, access_messages.access_cleared(rule, had_one=had_one))

    @access.command()
    async def show(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Show the rules and how they work together."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        rules = await self.access_rules.rules(interaction.guild_id or 0)
        await answer(interaction, access_messages.access(rules))

    async def _set(
        self,
        interaction: discord.Interaction[SoraBot],
        *named: discord.Role | discord.User | Channel | None,
        reason: str | None,
        allows: bool,
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        scope, subject_id = _subject(*named)
        rule = await self.access_rules.set(
            interaction.guild_id or 0,
            scope,
            subject_id,
            allows=allows,
            reason=reason or "",
            by=interaction.user.id,
        )
        await answer(interaction, access_messages.access_set(rule))


def _subject(*named: discord.abc.Snowflake | None) -> tuple[RuleScope, int]:
    """Return what was named of a role, a member and a channel, in this order.

    Raises:
        BadOrder: not exactly one was.
    """
    scopes = (RuleScope.ROLE, RuleScope.MEMBER, RuleScope.CHANNEL)
    found = [(scope, one.id) for scope, one in zip(scopes, named, strict=True) if one is not None]
    if len(found) != 1:
        raise BadOrder(access_messages.EXACTLY_ONE)
    return found[0]
