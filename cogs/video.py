"""`/video`: order clips, and look after one's jobs."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot import messages, text
from bot.client import SoraBot, answer
from bot.jobs import JobService
from bot.models import Job, Quality, Shape
from cogs.buttons import is_staff, jobs_page, models_page
from cogs.ordering import order, upload

MOST_CHOICES = 25
MOST_CHOICE_NAME = 100
MOST_DESCRIPTION = 1024


def _choices(values: type[StrEnum]) -> list[app_commands.Choice[str]]:
    return [app_commands.Choice(name=value, value=value) for value in values]


class VideoCog(commands.GroupCog, group_name="video", group_description="Make videos and look after them."):
    """Translates commands; everything they mean happens in JobService."""

    def __init__(self, bot: SoraBot, jobs: JobService) -> None:
        self._bot = bot
        self._jobs = jobs

    @app_commands.command()
    @app_commands.describe(
        prompt="What the video shows, or what happens to the picture",
        image="A picture to bring to life",
        model="What renders it",
        seconds="How long the clip is",
        shape="Which way it lies; a picture is cropped to it",
        quality="The resolution",
        prompt_file="A text file, for prompts longer than Discord takes",
        keep_watermark="Keep the model's own watermark",
    )
    @app_commands.choices(shape=_choices(Shape), quality=_choices(Quality))
    async def create(  # noqa: PLR0917 - discord.py reads the options and their order from the parameters
        self,
        interaction: discord.Interaction[SoraBot],
        prompt: str | None = None,
        image: discord.Attachment | None = None,
        model: str | None = None,
        seconds: int | None = None,
        shape: str | None = None,
        quality: str | None = None,
        prompt_file: discord.Attachment | None = None,
        keep_watermark: bool | None = None,
    ) -> None:
        """Order a video from a prompt, or from a picture and a prompt."""
        await order(
            interaction,
            self._jobs,
            prompt=prompt,
            picture=upload(self._bot, image) if image else None,
            model=model,
            seconds=seconds,
            shape=Shape(shape) if shape else None,
            quality=Quality(quality) if quality else None,
            prompt_file=upload(self._bot, prompt_file) if prompt_file else None,
            keep_watermark=keep_watermark,
        )

    @create.autocomplete("model")
    async def _models(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        del interaction
        named = [(messages.model_choice(model), model.model_id) for model in self._jobs.orderable()]
        return _matching(typed, named)

    @create.autocomplete("seconds")
    async def _seconds(
        self, interaction: discord.Interaction[SoraBot], typed: int | str
    ) -> list[app_commands.Choice[int]]:
        lengths = self._jobs.lengths(getattr(interaction.namespace, "model", None))
        return [
            app_commands.Choice(name=f"{seconds} seconds", value=seconds)
            for seconds in lengths
            if str(seconds).startswith(str(typed))
        ][:MOST_CHOICES]

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
        found = await self._jobs.get(job, **_asker(interaction), staff=is_staff(interaction))
        size, limit = _clip_bytes(found), interaction.filesize_limit
        clips = [_clip_file(found, found.clip)] if found.clip and size and size <= limit else []
        await answer(interaction, messages.job_page(found, clip_bytes=size, limit=limit), attachments=clips)

    @app_commands.command()
    @app_commands.describe(job="The id of one of your open jobs")
    async def cancel(self, interaction: discord.Interaction[SoraBot], job: str) -> None:
        """Stop one of my jobs that was not submitted yet."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        cancelled = await self._jobs.cancel(job, **_asker(interaction), staff=is_staff(interaction))
        await answer(interaction, messages.cancelled(cancelled, by=interaction.user.id))

    @show.autocomplete("job")
    async def _my_jobs(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        jobs, _ = await self._jobs.of_member(**_asker(interaction), per_page=MOST_CHOICES)
        return _matching(typed, [(messages.menu_line(job), job.job_id) for job in jobs])

    @cancel.autocomplete("job")
    async def _my_open_jobs(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        jobs = await self._jobs.open_of_member(**_asker(interaction))
        return _matching(typed, [(messages.menu_line(job), job.job_id) for job in jobs])

    @app_commands.command()
    async def models(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Show what can be ordered here, and what it costs."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.edit_original_response(view=models_page(interaction, 0))


def _asker(interaction: discord.Interaction[Any]) -> dict[str, int]:
    return {"server_id": interaction.guild_id or 0, "user_id": interaction.user.id}


def _matching(typed: str, named: Iterable[tuple[str, str]]) -> list[app_commands.Choice[str]]:
    return [
        app_commands.Choice(name=name, value=value)
        for name, value in named
        if typed.lower() in name.lower() and len(value) <= MOST_CHOICE_NAME
    ][:MOST_CHOICES]


def _clip_bytes(job: Job) -> int | None:
    return job.clip.stat().st_size if job.clip is not None and job.clip.exists() else None


def _clip_file(job: Job, clip: Path) -> discord.File:
    described = text.one_line(job.request.prompt, MOST_DESCRIPTION)
    return discord.File(clip, filename=f"{job.job_id}.mp4", description=described)
