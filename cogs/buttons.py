"""Buttons that outlive restarts: the custom id carries all there is to know, and nothing is trusted."""

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Self

import discord
from discord import ui

from bot import cards, messages
from bot.client import answer

if TYPE_CHECKING:
    from bot.client import SoraBot

JOBS_PER_PAGE = 5

# As long as Discord lets an app go on with what a command began
# (https://docs.discord.com/developers/interactions/receiving-and-responding, "Interaction Token").
GOES_ON = dt.timedelta(minutes=15)


def is_staff(interaction: discord.Interaction[Any]) -> bool:
    """Whether Discord says that the person may manage the server."""
    return interaction.permissions.manage_guild


def acts_as_staff(interaction: discord.Interaction[Any]) -> bool:
    """Whether staff press, or whoever used the command just now that the pressed message answers in private.

    Discord's Integrations page may let others use `/video-admin`, and says so of commands alone. Only answers
    of that command carry buttons of staff, and discord.py drops presses of what a message does not show.
    """
    message = interaction.message
    if is_staff(interaction) or message is None:
        return is_staff(interaction)
    begun = message.interaction_metadata
    return (
        message.flags.ephemeral
        and begun is not None
        and begun.type is discord.InteractionType.application_command
        and begun.user.id == interaction.user.id
        and interaction.created_at - message.created_at < GOES_ON
    )


class LastingItem(ui.DynamicItem[Any], template=r"(?!)"):
    """What outlives restarts: each kind has a template for its custom ids, and something to do.

    `said` is what the template finds in the custom id; everything about it is checked at the press.
    """

    def __init__(self, custom_id: str) -> None:
        super().__init__(self.built(custom_id))
        found = self.template.fullmatch(custom_id)
        self.said = found.groupdict() if found is not None else {}

    @classmethod
    async def from_custom_id(
        cls,
        interaction: discord.Interaction[Any],  # noqa: ARG003 - discord.py's signature
        item: ui.Item[Any],  # noqa: ARG003
        match: re.Match[str],
    ) -> Self:
        """Rebuild what a press came from."""
        return cls(match.string)

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Do it, and show errors as any other; discord.py would only log them and let the press hang."""
        try:
            interaction.client.acting.check(interaction.guild_id, interaction.user.id)
            await self.press(interaction)
        except Exception as error:  # noqa: BLE001 - the handler tells known from unknown
            await interaction.client.show_error(interaction, error)

    @staticmethod
    def built(custom_id: str) -> ui.Item[Any]:
        """Build what is shown."""
        raise NotImplementedError

    async def press(self, interaction: discord.Interaction["SoraBot"]) -> None:
        """Acknowledge, and do what it is for."""
        raise NotImplementedError


class PressButton(LastingItem, template=r"(?!)"):
    """A button that outlives restarts."""

    def __init__(self, custom_id: str, *, label: str = "Press") -> None:
        super().__init__(custom_id)
        self.item.label = label

    @staticmethod
    def built(custom_id: str) -> ui.Button[Any]:
        """Build the button."""
        return ui.Button(custom_id=custom_id)


class CancelButton(PressButton, template=r"job:cancel:(?P<job_id>[a-z0-9]{1,20})"):
    """Stops a job that waits, or whose gateway ends what it renders.

    Its member, staff and who opened it with `/video-admin jobs` may press it.
    """

    async def press(self, interaction: discord.Interaction["SoraBot"]) -> None:
        """Cancel."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        job = await interaction.client.jobs.cancel(
            self.said["job_id"],
            server_id=interaction.guild_id or 0,
            user_id=interaction.user.id,
            staff=acts_as_staff(interaction),
        )
        await answer(interaction, messages.cancelled(job, by=interaction.user.id))


class PageButton(PressButton, template=r"(?P<of>jobs|models):page:(?P<page>\d{1,4})"):
    """Turns a private list to another page."""

    async def press(self, interaction: discord.Interaction["SoraBot"]) -> None:
        """Show the page."""
        await interaction.response.defer()
        page = int(self.said["page"])
        view = models_page(interaction, page) if self.said["of"] == "models" else None
        await interaction.edit_original_response(view=view or await jobs_page(interaction, page))


async def jobs_page(interaction: discord.Interaction["SoraBot"], page: int) -> ui.LayoutView:
    """Build a page of the person's own jobs here."""
    jobs, more = await interaction.client.jobs.of_member(
        interaction.guild_id or 0, interaction.user.id, page=page, per_page=JOBS_PER_PAGE
    )
    shown = "\n".join(map(messages.job_line, jobs)) or messages.NO_JOBS
    return _page("jobs", shown, page, "Newer", "Older" if more else "")


def models_page(interaction: discord.Interaction["SoraBot"], page: int) -> ui.LayoutView:
    """Build a page of what can be ordered."""
    pages = cards.paged([messages.model_lines(*listed) for listed in interaction.client.menu.listed()])
    page = min(page, len(pages) - 1)
    return _page("models", pages[page], page, "Back", "More" if page + 1 < len(pages) else "")


def _page(of: str, shown: str, page: int, back: str, onward: str) -> ui.LayoutView:
    turns = [(page - 1, back)] * (page > 0) + [(page + 1, onward)] * bool(onward)
    return cards.page(shown, *(PageButton(f"{of}:page:{to}", label=label) for to, label in turns))


BUTTONS = (CancelButton, PageButton)
