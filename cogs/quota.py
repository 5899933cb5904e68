"""`/quota`: what a member has left and why, what they spent before, and alerts about it."""

import io

import discord
from discord import app_commands
from discord.ext import commands

from bot import alert_messages, cards, money_messages, text
from bot.alerts import Alerts
from bot.client import SoraBot, answer
from bot.models import Purse
from bot.quotas import Measure, Standing
from bot.reports import ReportService, usual_measure
from bot.spending import SpendingService
from cogs.ordering import place

_PERIODS = [measure.value for measure in Measure if measure.is_budget]


class QuotaCog(commands.GroupCog, group_name="quota", group_description="What you may spend on videos."):
    """Translates questions about quotas."""

    def __init__(self, spending: SpendingService, alerts: Alerts, reports: ReportService) -> None:
        self._spending = spending
        self._alerts = alerts
        self._reports = reports

    @app_commands.command()
    async def show(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Show what I spent, what running jobs hold, what is left and when it turns."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        standings, purse = await self._stand(interaction)
        sandbox = self._spending.is_sandbox
        await answer(interaction, money_messages.quota(standings, purse, sandbox=sandbox))

    @app_commands.command()
    async def why(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Show every limit that counts for me in this channel, and which one binds."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        standings, purse = await self._stand(interaction)
        shown = money_messages.why(standings, purse, sandbox=self._spending.is_sandbox)
        view = cards.page(text.cut(shown, cards.MOST_PAGE))
        await interaction.edit_original_response(view=view)

    @app_commands.command()
    @app_commands.describe(tell="Whether I write to you alone")
    @app_commands.choices(tell=[app_commands.Choice(name=choice, value=choice) for choice in ("on", "off")])
    async def alerts(self, interaction: discord.Interaction[SoraBot], tell: str) -> None:
        """Be told when 50, 80 and 100 % of my own limits are used up."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        wants = tell == "on"
        await self._alerts.choose(interaction.guild_id or 0, interaction.user.id, wants=wants)
        await answer(interaction, alert_messages.CHOSEN[wants])

    @app_commands.command()
    @app_commands.describe(period="What to add up by: what my tightest limit counts")
    @app_commands.choices(period=[app_commands.Choice(name=one, value=one) for one in _PERIODS])
    async def history(self, interaction: discord.Interaction[SoraBot], period: str | None = None) -> None:
        """Show what I spent in each of the last six days, weeks or months."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        standings, _ = await self._stand(interaction)
        measure = Measure(period) if period is not None else usual_measure(standings)
        history = await self._reports.history(interaction.guild_id or 0, interaction.user.id, measure)
        files: list[discord.File] = []
        if history.has_jobs:
            files.append(discord.File(io.BytesIO(await self._reports.history_chart(history)), "chart.png"))
        await answer(interaction, history.told(), attachments=files)

    async def _stand(self, interaction: discord.Interaction[SoraBot]) -> tuple[list[Standing], Purse | None]:
        """Return where every limit stands that counts for the person here, and the channel's purse."""
        where = place(interaction)
        standings = await self._spending.standings(
            server_id=where["server_id"],
            home_channel_id=where["home_channel_id"],
            user_id=where["user_id"],
            role_ids=where["role_ids"],
            sees_all=await interaction.client.is_owner(interaction.user),
        )
        purse = await self._spending.purse(
            server_id=where["server_id"], home_channel_id=where["home_channel_id"]
        )
        return standings, purse
