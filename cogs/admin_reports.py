"""`/video-admin report`: what a period cost, as a table, a chart and a file."""

import asyncio
import io
from collections.abc import Sequence

import discord
from discord import app_commands
from discord.ext import commands

from bot import report_messages
from bot.client import SoraBot, answer
from bot.periods import THIS_MONTH
from bot.reports import ReportService
from storage.reports import By

MOST_CHOICES = 25
NAMES_SECONDS = 5.0


class ReportCommands(commands.Cog):
    """Translates what staff ask about money that was spent; a part of `/video-admin`."""

    reports: ReportService

    @app_commands.command()
    @app_commands.describe(period="Or like 2026-10 or 2026-10-17", by="What to add up by: member")
    @app_commands.choices(by=[app_commands.Choice(name=by, value=by) for by in By])
    async def report(
        self, interaction: discord.Interaction[SoraBot], period: str = THIS_MONTH, by: str = By.MEMBER.value
    ) -> None:
        """Show what was spent, with a chart and a file."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        report = await self.reports.of_period(
            interaction.guild_id or 0, period, By(by), most_bytes=interaction.filesize_limit
        )
        names = await _names(interaction.guild, report.by, report.listed)
        files: list[discord.File] = []
        if report.rows:
            files.append(discord.File(io.BytesIO(await self.reports.chart(report, names)), "chart.png"))
            if report.file is not None:
                files.append(discord.File(io.BytesIO(report.file), report.file_name))
        await answer(interaction, report.told(names), attachments=files)

    @report.autocomplete("period")
    async def _periods(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        return [
            app_commands.Choice(name=name, value=value)
            for name, value in await self.reports.offered(interaction.guild_id or 0)
            if typed.lower() in name.lower() or typed in value
        ][:MOST_CHOICES]


async def _names(guild: discord.Guild | None, by: By, subjects: Sequence[str | None]) -> list[str]:
    """Name what was added up by, as Discord calls it now."""
    found: dict[str, str] = {}
    ids = [subject for subject in subjects if subject is not None]
    match by:
        case By.MODEL:
            found = {model: model for model in ids}
        case By.MEMBER:
            found = await _member_names(guild, ids)
        case By.CHANNEL if guild is not None:
            channels = ((one, guild.get_channel_or_thread(int(one))) for one in ids)
            found = {one: f"#{channel.name}" for one, channel in channels if channel is not None}
        case By.ROLE if guild is not None:
            roles = ((one, guild.get_role(int(one))) for one in ids)
            found = {one: f"@{role.name}" for one, role in roles if role is not None}
        case _:
            pass
    return [found.get(subject or "", report_messages.nobody(by, subject)) for subject in subjects]


async def _member_names(guild: discord.Guild | None, ids: Sequence[str]) -> dict[str, str]:
    """Ask Discord for names: the bot keeps no members. Who has left has none."""
    if guild is None or not ids:
        return {}
    try:
        async with asyncio.timeout(NAMES_SECONDS):
            members = await guild.query_members(user_ids=[int(one) for one in ids], cache=False)
    except TimeoutError:
        return {}
    return {str(member.id): member.display_name for member in members}
