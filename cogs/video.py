"""`/video`: order clips, and look after one's jobs."""

from pathlib import Path
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot import messages, text
from bot.client import SoraBot, answer
from bot.jobs import JobService
from bot.menu import Menu
from bot.models import Job
from cogs.buttons import is_staff, jobs_page, models_page
from cogs.video_orders import MOST_CHOICES, OrderCommands, matching

MOST_DESCRIPTION = 1024


class VideoCog(
    OrderCommands,
    commands.GroupCog,
    group_name="video",
    group_description="Make videos and look after them.",
):
    """Translates commands; everything they mean happens in JobService."""

    def __init__(self, jobs: JobService, menu: Menu) -> None:
        self.jobs = jobs
        self.menu = menu

    @app_commands.command(name="list")
    async def list_jobs(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Show my jobs, newest first."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.edit_original_response(view=await jobs_page(interaction, 0))

    @app_commands.command()
    @app_commands.describe(job="The id of one of your jobs")
    async def show(self, interaction: discord.Interaction[SoraBot], job: str) -> None:
        """Show one of my jobs, with its clip."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        found = await self.jobs.get(job, **_asker(interaction), staff=is_staff(interaction))
        size, limit = _clip_bytes(found), interaction.filesize_limit
        clips = [_clip_file(found, found.clip)] if found.clip and size and size <= limit else []
        await answer(interaction, messages.job_page(found, clip_bytes=size, limit=limit), attachments=clips)

    @app_commands.command()
    @app_commands.describe(job="The id of one of your open jobs")
    async def cancel(self, interaction: discord.Interaction[SoraBot], job: str) -> None:
        """Stop one of my jobs, before it is submitted or where its gateway still can."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        cancelled = await self.jobs.cancel(job, **_asker(interaction), staff=is_staff(interaction))
        await answer(interaction, messages.cancelled(cancelled, by=interaction.user.id))

    @show.autocomplete("job")
    async def _my_jobs(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        jobs, _ = await self.jobs.of_member(**_asker(interaction), per_page=MOST_CHOICES)
        return matching(typed, [(messages.menu_line(job), job.job_id) for job in jobs])

    @cancel.autocomplete("job")
    async def _my_open_jobs(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        jobs = await self.jobs.open_of_member(**_asker(interaction))
        return matching(typed, [(messages.menu_line(job), job.job_id) for job in jobs])

    @app_commands.command()
    async def models(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Show what can be ordered here, and what it costs."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.edit_original_response(view=models_page(interaction, 0))


def _asker(interaction: discord.Interaction[Any]) -> dict[str, int]:
    return {"server_id": interaction.guild_id or 0, "user_id": interaction.user.id}


def _clip_bytes(job: Job) -> int | None:
    return job.clip.stat().st_size if job.clip is not None and job.clip.exists() else None


def _clip_file(job: Job, clip: Path) -> discord.File:
    described = text.one_line(job.request.prompt, MOST_DESCRIPTION)
    return discord.File(clip, filename=f"{job.job_id}.mp4", description=described)
