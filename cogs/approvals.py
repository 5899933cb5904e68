"""The buttons of asking for more: Ask under a refusal, Approve and Deny under a request."""

from typing import TYPE_CHECKING, Any

import discord

from bot import approval_messages
from bot.client import answer
from cogs.buttons import PressButton, is_staff
from cogs.ordering import person

if TYPE_CHECKING:
    from bot.client import SoraBot


class AskButton(PressButton, template=r"draft:ask:(?P<draft_id>[a-z0-9]{1,20})"):
    """Asks staff for what a limit refused; its member may press it."""

    async def press(self, interaction: discord.Interaction["SoraBot"]) -> None:
        """Ask."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        interaction.client.check_server(interaction.guild_id)
        who = person(interaction.user)
        draft = await interaction.client.approvals.ask(
            self.said["draft_id"],
            server_id=interaction.guild_id or 0,
            user_id=who["user_id"],
            role_ids=who["role_ids"],
        )
        await answer(interaction, approval_messages.asked(draft))


class DecideButton(PressButton, template=r"draft:(?P<act>approve|deny):(?P<draft_id>[a-z0-9]{1,20})"):
    """Approves or denies a request; staff and the approver role may press it."""

    async def press(self, interaction: discord.Interaction["SoraBot"]) -> None:
        """Decide."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        interaction.client.check_server(interaction.guild_id)
        approvals = interaction.client.approvals
        who = person(interaction.user)
        by: dict[str, Any] = {
            "server_id": interaction.guild_id or 0,
            "user_id": who["user_id"],
            "role_ids": who["role_ids"],
            "staff": is_staff(interaction),
        }
        if self.said["act"] == "approve":
            told = approval_messages.approved(await approvals.approve(self.said["draft_id"], **by))
        else:
            told = approval_messages.denied(await approvals.deny(self.said["draft_id"], **by))
        await answer(interaction, told)


APPROVAL_BUTTONS = (AskButton, DecideButton)
