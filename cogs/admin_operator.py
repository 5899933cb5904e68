"""`/video-admin reopen` and `reconcile`: for the bot's operator only."""

import discord
from discord import app_commands
from discord.ext import commands

from bot import messages
from bot.availability import Availability, outage_name
from bot.client import SoraBot, answer
from bot.reconcile import Reconciler
from cogs.admin_server import Reason

MOST_CHOICES = 25


class OperatorCommands(commands.Cog):
    """Translates what the operator does about gateways; a part of `/video-admin`."""

    availability: Availability
    reconciler: Reconciler

    @app_commands.command()
    @app_commands.describe(what="The model or key that is out", reason="For the audit log")
    async def reopen(
        self, interaction: discord.Interaction[SoraBot], what: str, reason: Reason | None = None
    ) -> None:
        """Let a model or key that is out take orders again; operator only."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.client.check_operator(interaction.user)
        outage = await self.availability.reopen_named(
            what, server_id=interaction.guild_id or 0, reason=reason or "", by=interaction.user.id
        )
        await answer(interaction, messages.reopened(outage))

    @reopen.autocomplete("what")
    async def _out(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        if not await interaction.client.is_owner(interaction.user):
            return []
        return [
            app_commands.Choice(name=messages.outage_line(outage), value=outage_name(outage))
            for outage in self.availability.outages()
            if typed.lower() in outage_name(outage)
        ][:MOST_CHOICES]

    @app_commands.command()
    async def reconcile(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Compare the gateways' balances with the ledger; operator only."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.client.check_operator(interaction.user)
        told = await self.reconciler.report(server_id=interaction.guild_id or 0, by=interaction.user.id)
        await answer(interaction, told)
