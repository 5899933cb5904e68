"""`/video-admin`: for those who may manage the server; Discord's Integrations page can say otherwise."""

import discord
from discord import app_commands
from discord.ext import commands

from bot import messages
from bot.client import SoraBot, answer
from bot.spending import SpendingService


@app_commands.default_permissions(manage_guild=True)
class AdminCog(
    commands.GroupCog, group_name="video-admin", group_description="Look after the team's videos."
):
    """Translates the acts of staff."""

    quota = app_commands.Group(name="quota", description="Members' monthly limits.")

    def __init__(self, spending: SpendingService) -> None:
        self._spending = spending

    @quota.command(name="set")
    @app_commands.describe(amount="Dollars a month, like 12.50", member="Whose limit it is")
    async def set_quota(
        self, interaction: discord.Interaction[SoraBot], amount: str, member: discord.User
    ) -> None:
        """Give a member a monthly limit of their own."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        micros = await self._spending.set_limit(
            interaction.guild_id or 0, member.id, amount, by=interaction.user.id
        )
        await answer(interaction, messages.limit_set(member.id, micros))

    @quota.command(name="clear")
    @app_commands.describe(member="Whose limit it is")
    async def clear_quota(self, interaction: discord.Interaction[SoraBot], member: discord.User) -> None:
        """Take a member's own limit away; the default one counts again."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        had_one = await self._spending.clear_limit(interaction.guild_id or 0, member.id)
        await answer(
            interaction, messages.limit_cleared(member.id, self._spending.default_micros, had_one=had_one)
        )
