"""`/video-admin`: for those who may manage the server; Discord's Integrations page can say otherwise."""

import discord
from discord import app_commands
from discord.ext import commands

from bot import messages
from bot.availability import Availability, outage_name
from bot.client import SoraBot, answer
from bot.limits import LimitAdmin
from bot.oversight import Oversight
from cogs.admin_jobs import OversightCommands
from cogs.admin_limits import LimitCommands

MOST_CHOICES = 25


@app_commands.default_permissions(manage_guild=True)
class AdminCog(
    LimitCommands,
    OversightCommands,
    commands.GroupCog,
    group_name="video-admin",
    group_description="Look after the team's videos.",
):
    """Translates the acts of staff, and of the operator."""

    def __init__(self, *, availability: Availability, limits: LimitAdmin, oversight: Oversight) -> None:
        self._availability = availability
        self.limits = limits
        self.oversight = oversight

    @app_commands.command()
    @app_commands.describe(what="The model or key that is out")
    async def reopen(self, interaction: discord.Interaction[SoraBot], what: str) -> None:
        """Let a model or key that is out take orders again; for the bot's operator only."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.client.check_operator(interaction.user)
        await answer(interaction, messages.reopened(await self._availability.reopen_named(what)))

    @reopen.autocomplete("what")
    async def _out(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        if not await interaction.client.is_owner(interaction.user):
            return []
        return [
            app_commands.Choice(name=messages.outage_line(outage), value=outage_name(outage))
            for outage in self._availability.outages()
            if typed.lower() in outage_name(outage)
        ][:MOST_CHOICES]
