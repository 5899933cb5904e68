"""The buttons of asking for more: Ask under a refusal, Approve and Deny under a request."""

import re
from typing import TYPE_CHECKING, Any, Self

import discord
from discord import ui

from bot import approval_card, approval_messages
from bot.client import answer
from cogs.buttons import is_staff, showing_errors
from cogs.ordering import person

if TYPE_CHECKING:
    from bot.client import SoraBot


class AskButton(ui.DynamicItem[ui.Button[Any]], template=r"draft:ask:(?P<draft_id>[a-z0-9]{1,20})"):
    """Asks staff for what a limit refused; its member may press it."""

    def __init__(self, draft_id: str) -> None:
        super().__init__(ui.Button(label="Ask", custom_id=approval_card.ask_id(draft_id)))
        self.draft_id = draft_id

    @classmethod
    async def from_custom_id(
        cls,
        interaction: discord.Interaction[Any],  # noqa: ARG003 - discord.py's signature
        item: ui.Item[Any],  # noqa: ARG003
        match: re.Match[str],
    ) -> Self:
        """Rebuild the button a press came from."""
        return cls(match["draft_id"])

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Ask."""
        await showing_errors(interaction, self._ask(interaction))

    async def _ask(self, interaction: discord.Interaction["SoraBot"]) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        who = person(interaction.user)
        draft = await interaction.client.approvals.ask(
            self.draft_id,
            server_id=interaction.guild_id or 0,
            user_id=who["user_id"],
            role_ids=who["role_ids"],
        )
        await answer(interaction, approval_messages.asked(draft))


class DecideButton(
    ui.DynamicItem[ui.Button[Any]], template=r"draft:(?P<act>approve|deny):(?P<draft_id>[a-z0-9]{1,20})"
):
    """Approves or denies a request; staff and the approver role may press it."""

    def __init__(self, act: str, draft_id: str) -> None:
        of = approval_card.approve_id if act == "approve" else approval_card.deny_id
        super().__init__(ui.Button(label=act.capitalize(), custom_id=of(draft_id)))
        self.act = act
        self.draft_id = draft_id

    @classmethod
    async def from_custom_id(
        cls,
        interaction: discord.Interaction[Any],  # noqa: ARG003 - discord.py's signature
        item: ui.Item[Any],  # noqa: ARG003
        match: re.Match[str],
    ) -> Self:
        """Rebuild the button a press came from."""
        return cls(match["act"], match["draft_id"])

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Decide."""
        await showing_errors(interaction, self._decide(interaction))

    async def _decide(self, interaction: discord.Interaction["SoraBot"]) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        approvals = interaction.client.approvals
        who = person(interaction.user)
        by: dict[str, Any] = {
            "server_id": interaction.guild_id or 0,
            "user_id": who["user_id"],
            "role_ids": who["role_ids"],
            "staff": is_staff(interaction),
        }
        if self.act == "approve":
            told = approval_messages.approved(await approvals.approve(self.draft_id, **by))
        else:
            told = approval_messages.denied(await approvals.deny(self.draft_id, **by))
        await answer(interaction, told)


APPROVAL_BUTTONS = (AskButton, DecideButton)
