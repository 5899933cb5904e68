"""`/video-admin quota`: the limits of members."""

import discord
from discord import app_commands
from discord.ext import commands

from bot import money_messages
from bot.client import SoraBot, answer
from bot.limits import LimitAdmin


class LimitCommands(commands.Cog):
    """Translates what staff do with limits; a part of `/video-admin`."""

    quota = app_commands.Group(name="quota", description="Limits.")

    limits: LimitAdmin

    @quota.command(name="set")
    @app_commands.describe(amount="Dollars a month, like 12.50", member="Whose limit it is")
    async def set_quota(
        self, interaction: discord.Interaction[SoraBot], amount: str, member: discord.User
    ) -> None:
        """Give a member a monthly limit of their own."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        micros = await self.limits.set_limit(
            interaction.guild_id or 0, member.id, amount, by=interaction.user.id
        )
        await answer(interaction, money_messages.limit_set(member.id, micros))

    @quota.command(name="clear")
    @app_commands.describe(member="Whose limit it is")
    async def clear_quota(self, interaction: discord.Interaction[SoraBot], member: discord.User) -> None:
        """Take a member's own limit away; the default one counts again."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        had_one = await self.limits.clear_limit(interaction.guild_id or 0, member.id, by=interaction.user.id)
        await answer(
            interaction,
            money_messages.limit_cleared(member.id, self.limits.default_micros, had_one=had_one),
        )
