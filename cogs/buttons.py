"""Buttons that outlive restarts: the custom id carries all there is to know, and nothing is trusted."""

import re
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Self

import discord
from discord import ui

from bot import cards, messages
from bot.client import answer

if TYPE_CHECKING:
    from bot.client import SoraBot

JOBS_PER_PAGE = 5


async def showing_errors(interaction: discord.Interaction["SoraBot"], act: Awaitable[None]) -> None:
    """Show what a press raises as any other error; discord.py would only log it and let it hang."""
    try:
        await act
    except Exception as error:  # noqa: BLE001 - the handler tells known from unknown
        await interaction.client.show_error(interaction, error)


def is_staff(interaction: discord.Interaction[Any]) -> bool:
    """Whether Discord says that the person may manage the server."""
    return interaction.permissions.manage_guild


class CancelButton(ui.DynamicItem[ui.Button[Any]], template=r"job:cancel:(?P<job_id>[a-z0-9]{1,20})"):
    """Stops a job that waits; its member and staff may press it."""

    def __init__(self, job_id: str) -> None:
        super().__init__(ui.Button(label="Cancel", custom_id=cards.cancel_id(job_id)))
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

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Cancel."""
        await showing_errors(interaction, self._cancel(interaction))

    async def _cancel(self, interaction: discord.Interaction["SoraBot"]) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        job = await interaction.client.jobs.cancel(
            self.job_id,
            server_id=interaction.guild_id or 0,
            user_id=interaction.user.id,
            staff=is_staff(interaction),
        )
        await answer(interaction, messages.cancelled(job, by=interaction.user.id))


class PageButton(ui.DynamicItem[ui.Button[Any]], template=r"(?P<of>jobs|models):page:(?P<page>\d{1,4})"):
    """Turns a private list to another page."""

    def __init__(self, of: str, page: int, *, label: str = "Page") -> None:
        super().__init__(ui.Button(label=label, custom_id=f"{of}:page:{page}"))
        self.of = of
        self.page = page

    @classmethod
    async def from_custom_id(
        cls,
        interaction: discord.Interaction[Any],  # noqa: ARG003 - discord.py's signature
        item: ui.Item[Any],  # noqa: ARG003
        match: re.Match[str],
    ) -> Self:
        """Rebuild the button a press came from."""
        return cls(match["of"], int(match["page"]))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Show the page."""
        await showing_errors(interaction, self._turn(interaction))

    async def _turn(self, interaction: discord.Interaction["SoraBot"]) -> None:
        await interaction.response.defer()
        view = models_page(interaction, self.page) if self.of == "models" else None
        await interaction.edit_original_response(view=view or await jobs_page(interaction, self.page))


async def jobs_page(interaction: discord.Interaction["SoraBot"], page: int) -> ui.LayoutView:
    """Build a page of the person's own jobs here."""
    jobs, more = await interaction.client.jobs.of_member(
        interaction.guild_id or 0, interaction.user.id, page=page, per_page=JOBS_PER_PAGE
    )
    shown = "\n".join(map(messages.job_line, jobs)) or messages.NO_JOBS
    return _page("jobs", shown, page, "Newer", "Older" if more else "")


def models_page(interaction: discord.Interaction["SoraBot"], page: int) -> ui.LayoutView:
    """Build a page of what can be ordered."""
    pages = cards.paged([messages.model_lines(*listed) for listed in interaction.client.jobs.listed()])
    page = min(page, len(pages) - 1)
    return _page("models", pages[page], page, "Back", "More" if page + 1 < len(pages) else "")


def _page(of: str, shown: str, page: int, back: str, onward: str) -> ui.LayoutView:
    buttons = [PageButton(of, page - 1, label=back)] if page > 0 else []
    if onward:
        buttons.append(PageButton(of, page + 1, label=onward))
    return cards.page(shown, *buttons)


BUTTONS = (CancelButton, PageButton)
