"""`/quota`: what a member has left."""

import discord
from discord import app_commands
from discord.ext import commands

from bot import messages
from bot.client import SoraBot, answer
from bot.spending import SpendingService


class QuotaCog(commands.GroupCog, group_name="quota", group_description="What you may spend on videos."):
    """Translates questions about quotas."""

    def __init__(self, spending: SpendingService) -> None:
        self._spending = spending

    @app_commands.command()
    async def show(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Show what I spent, what running jobs hold, what is left and when the month turns."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        standing = await self._spending.standing(interaction.guild_id or 0, interaction.user.id)
        await answer(interaction, messages.quota(standing, sandbox=self._spending.is_sandbox))
