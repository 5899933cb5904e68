"""`/video-admin jobs` and `audit`: what happens in the server, and who decided what."""

import zlib

import discord
from discord import app_commands, ui
from discord.ext import commands

from bot import cards, messages, staff_messages, text
from bot.client import SoraBot
from bot.errors import UserError
from bot.models import Stage
from bot.oversight import Oversight
from cogs.buttons import CancelButton, PressButton, acts_as_staff
from storage.job_search import JobFilter

JOBS_PER_PAGE = 5
ACTS_PER_PAGE = 8
MOST_CHOICES = 25


class OversightCommands(commands.Cog):
    """Translates what staff ask about jobs and acts; a part of `/video-admin`."""

    oversight: Oversight

    @app_commands.command()
    @app_commands.describe(
        stage="Only jobs in this stage",
        member="Only theirs",
        model="Only of this model",
        job="Open one by its id",
    )
    @app_commands.choices(stage=[app_commands.Choice(name=stage, value=stage) for stage in Stage])
    async def jobs(
        self,
        interaction: discord.Interaction[SoraBot],
        stage: str | None = None,
        member: discord.User | None = None,
        model: str | None = None,
        job: str | None = None,
    ) -> None:
        """Look through this server's jobs, or open one."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        if job is not None:
            view = await _job_view(self.oversight, interaction.guild_id or 0, job)
        else:
            if model is not None and model not in _models(interaction):
                raise UserError(staff_messages.NO_SUCH_MODEL.format(model=text.code(model, 80)))
            wanted = JobFilter(
                stage=Stage(stage) if stage else None, user_id=member.id if member else None, model=model
            )
            view = await _jobs_view(self.oversight, interaction.guild_id or 0, wanted, 0)
        await interaction.edit_original_response(view=view)

    @jobs.autocomplete("model")
    async def _model_choices(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        return [
            app_commands.Choice(name=model, value=model)
            for model in _models(interaction)
            if typed.lower() in model.lower()
        ][:MOST_CHOICES]

    @jobs.autocomplete("job")
    async def _job_choices(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        newest, _ = await self.oversight.jobs(interaction.guild_id or 0, JobFilter(), per_page=MOST_CHOICES)
        named = [(messages.menu_line(job), job.job_id) for job in newest]
        return [
            app_commands.Choice(name=name, value=job_id)
            for name, job_id in named
            if typed.lower() in name.lower()
        ]

    @app_commands.command()
    @app_commands.describe(member="Only what they did, or what is about them")
    async def audit(
        self, interaction: discord.Interaction[SoraBot], member: discord.User | None = None
    ) -> None:
        """Show what staff did here, newest first."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        view = await _acts_view(self.oversight, interaction.guild_id or 0, member.id if member else None, 0)
        await interaction.edit_original_response(view=view)


class StaffPageButton(
    PressButton,
    template=r"staff:(?P<of>jobs|acts):(?P<page>\d{1,4}):(?P<stage>[a-z]*):(?P<user>[1-8]?\d{0,18}):(?P<model>[0-9a-f]*)",
):
    """Turns a list for staff to another page. A model is named by a checksum: ids of models may be long."""

    async def press(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Show the page."""
        await interaction.response.defer()
        if not acts_as_staff(interaction):
            raise UserError(staff_messages.STAFF_ONLY)
        oversight = next(
            cog.oversight for cog in interaction.client.cogs.values() if isinstance(cog, OversightCommands)
        )
        server_id, page = interaction.guild_id or 0, int(self.said["page"])
        user_id = int(self.said["user"]) if self.said["user"] else None
        if self.said["of"] == "acts":
            view = await _acts_view(oversight, server_id, user_id, page)
        else:
            key = self.said["model"]
            model = next((model for model in _models(interaction) if _key(model) == key), None)
            if key and model is None:
                raise UserError(staff_messages.MODEL_LEFT)
            stage = next((stage for stage in Stage if stage == self.said["stage"]), None)
            wanted = JobFilter(stage=stage, user_id=user_id, model=model)
            view = await _jobs_view(oversight, server_id, wanted, page)
        await interaction.edit_original_response(view=view)


async def _jobs_view(oversight: Oversight, server_id: int, wanted: JobFilter, page: int) -> ui.LayoutView:
    found, more = await oversight.jobs(server_id, wanted, page=page, per_page=JOBS_PER_PAGE)
    shown = "\n".join(map(staff_messages.job_line, found)) or staff_messages.NO_JOBS
    return cards.page(shown, *_turns("jobs", page, wanted, more=more))


async def _job_view(oversight: Oversight, server_id: int, job_id: str) -> ui.LayoutView:
    job, history = await oversight.job(server_id, job_id)
    shown = text.cut(staff_messages.job_page(job, history), cards.MOST_PAGE)
    return cards.page(
        shown,
        *([CancelButton(cards.cancel_id(job.job_id), label="Cancel")] if job.stage is Stage.QUEUED else []),
    )


async def _acts_view(oversight: Oversight, server_id: int, user_id: int | None, page: int) -> ui.LayoutView:
    found, more = await oversight.acts(server_id, user_id=user_id, page=page, per_page=ACTS_PER_PAGE)
    shown = "\n".join(map(staff_messages.act_line, found)) or staff_messages.NO_ACTS
    return cards.page(shown, *_turns("acts", page, JobFilter(user_id=user_id), more=more))


def _turns(of: str, page: int, wanted: JobFilter, *, more: bool) -> list[StaffPageButton]:
    """Build the buttons that turn a list."""
    key = _key(wanted.model) if wanted.model else ""
    turns = [(page - 1, "Newer")] * (page > 0) + [(page + 1, "Older")] * more
    return [
        StaffPageButton(f"staff:{of}:{to}:{wanted.stage or ''}:{wanted.user_id or ''}:{key}", label=label)
        for to, label in turns
    ]


def _models(interaction: discord.Interaction[SoraBot]) -> list[str]:
    """Return the models that jobs may be of, out of memory."""
    return [model.model_id for model, *_ in interaction.client.menu.listed()]


def _key(model_id: str) -> str:
    return f"{zlib.crc32(model_id.encode()):08x}"


OVERSIGHT_BUTTONS = (StaffPageButton,)
