"""Buttons that outlive restarts: the custom id carries all there is to know, and nothing is trusted."""

import re
from typing import TYPE_CHECKING, Any, Self

import discord
from discord import ui

from bot import messages
from bot.client import answer

if TYPE_CHECKING:
    from bot.client import SoraBot

JOBS_PER_PAGE = 5


def is_staff(interaction: discord.Interaction[Any]) -> bool:
    """Whether Discord says that the person may manage the server."""
    return interaction.permissions.manage_guild


class CancelButton(ui.DynamicItem[ui.Button[Any]], template=r"job:cancel:(?P<job_id>[a-z0-9]{1,20})"):
    """Stops a job that waits; its member and staff may press it."""

    def __init__(self, job_id: str) -> None:
        super().__init__(ui.Button(label="Cancel", custom_id=f"job:cancel:{job_id}"))
        self.job_id = job_id

    @classmethod
    async def from_custom_id(
        cls,
        interaction: discord.Interaction[Any],  # noqa: ARG003 - discord.py's signature
        item: ui.Item[Any],  # noqa: ARG003
        match: re.Match[str],
    ) -> Self:
        """Rebuild the button a press came from."""
        return cls(match["job_id"])

    async def callback(self, interaction: discord.Interaction["SoraBot"]) -> None:
        """Cancel."""
        try:
            await interaction.response.defer(ephemeral=True, thinking=True)
            job = await interaction.client.jobs.cancel(
                self.job_id,
                server_id=interaction.guild_id or 0,
                user_id=interaction.user.id,
                staff=is_staff(interaction),
            )
            await answer(interaction, messages.cancelled(job))
        except Exception as error:  # noqa: BLE001 - discord.py would only log it and leave the person waiting
            await interaction.client.show_error(interaction, error)


class PageButton(ui.DynamicItem[ui.Button[Any]], template=r"jobs:page:(?P<page>\d{1,4})"):
    """Turns to another page of the presser's own jobs."""

    def __init__(self, page: int, *, label: str = "Page") -> None:
        super().__init__(ui.Button(label=label, custom_id=f"jobs:page:{page}"))
        self.page = page

    @classmethod
    async def from_custom_id(
        cls,
        interaction: discord.Interaction[Any],  # noqa: ARG003 - discord.py's signature
        item: ui.Item[Any],  # noqa: ARG003
        match: re.Match[str],
    ) -> Self:
        """Rebuild the button a press came from."""
        return cls(int(match["page"]))

    async def callback(self, interaction: discord.Interaction["SoraBot"]) -> None:
        """Show the page."""
        try:
            await interaction.response.defer()
            content, view = await jobs_page(interaction, self.page)
            await interaction.edit_original_response(content=content, view=view)
        except Exception as error:  # noqa: BLE001 - discord.py would only log it and leave the person waiting
            await interaction.client.show_error(interaction, error)


async def jobs_page(interaction: discord.Interaction["SoraBot"], page: int) -> tuple[str, ui.View | None]:
    """Return a page of the person's jobs and the buttons to its neighbours."""
    jobs, more = await interaction.client.jobs.of_member(
        interaction.guild_id or 0, interaction.user.id, page=page, per_page=JOBS_PER_PAGE
    )
    if not jobs:
        return "You have no jobs here yet. `/video create` orders one.", None
    view = ui.View(timeout=None)
    if page > 0:
        view.add_item(PageButton(page - 1, label="Newer"))
    if more:
        view.add_item(PageButton(page + 1, label="Older"))
    view.stop()  # presses reach the dynamic items by their ids; nothing needs to be remembered
    return "\n".join(map(messages.job_line, jobs)), view if view.children else None


BUTTONS = (CancelButton, PageButton)
