"""`/video-admin uncertain`: what staff and the operator do about jobs that nobody knows the end of."""

import discord
from discord import app_commands
from discord.ext import commands

from bot import cards, messages, uncertain_messages
from bot.client import SoraBot, answer
from bot.uncertain import UncertainService
from cogs.admin_server import Reason

MOST_CHOICES = 25
MOST_LISTED = 4
_JOB, _WHY = "The job; the menu has those that are unclear", "For the audit log"


class UncertainCommands(commands.Cog):
    """Translates the ways out of uncertainty; a part of `/video-admin`."""

    uncertain_jobs: UncertainService

    uncertain = app_commands.Group(name="uncertain", description="Jobs nobody knows the end of.")

    @uncertain.command(name="list")
    async def list_uncertain(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Show them, the oldest first."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        reach = await _reach(interaction)
        found = await self.uncertain_jobs.listed(reach, limit=MOST_LISTED)
        lines = [uncertain_messages.line(job) for job in found]
        if (count := await self.uncertain_jobs.count(reach)) > MOST_LISTED:
            lines.insert(0, uncertain_messages.more(MOST_LISTED, count))
        shown = "\n\n".join(lines) or uncertain_messages.NONE
        await interaction.edit_original_response(view=cards.page(cards.paged([shown])[0]))

    @uncertain.command()
    @app_commands.describe(job=_JOB, task="Its id at the gateway", reason=_WHY)
    async def ran(
        self, interaction: discord.Interaction[SoraBot], job: str, task: str, reason: Reason | None = None
    ) -> None:
        """It ran: name the gateway's task; operator only."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.client.check_operator(interaction.user)
        found = await self.uncertain_jobs.ran(
            job, task, server_id=None, by=interaction.user.id, reason=reason or ""
        )
        await answer(interaction, uncertain_messages.goes_on(found))

    @uncertain.command()
    @app_commands.describe(job=_JOB, reason=_WHY)
    async def look(
        self, interaction: discord.Interaction[SoraBot], job: str, reason: Reason | None = None
    ) -> None:
        """Ask the gateway once more how it ended."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        found = await self.uncertain_jobs.look(
            job, server_id=await _reach(interaction), by=interaction.user.id, reason=reason or ""
        )
        await answer(interaction, uncertain_messages.goes_on(found))

    @uncertain.command()
    @app_commands.describe(job=_JOB, reason=_WHY)
    async def release(
        self, interaction: discord.Interaction[SoraBot], job: str, reason: Reason | None = None
    ) -> None:
        """It did not run: give the money back."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        released = await self.uncertain_jobs.release(
            job, server_id=await _reach(interaction), by=interaction.user.id, reason=reason or ""
        )
        await answer(interaction, uncertain_messages.released(released))

    @ran.autocomplete("job")
    @look.autocomplete("job")
    @release.autocomplete("job")
    async def _unclear(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        found = await self.uncertain_jobs.listed(await _reach(interaction), limit=MOST_CHOICES, typed=typed)
        return [app_commands.Choice(name=messages.menu_line(job), value=job.job_id) for job in found]


async def _reach(interaction: discord.Interaction[SoraBot]) -> int | None:
    """Return the server whose jobs somebody may act on; None is every server, for the operator."""
    return None if await interaction.client.is_owner(interaction.user) else interaction.guild_id or 0
