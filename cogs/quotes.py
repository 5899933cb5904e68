"""The buttons below a price: Confirm orders what was quoted, Cancel lets go of it."""

import re
from typing import TYPE_CHECKING, Any, Self

import discord
from discord import ui

from bot import cards, messages, quote_messages
from bot.models import Draft
from cogs.buttons import showing_errors
from cogs.ordering import acknowledged, person, quote

if TYPE_CHECKING:
    from bot.client import SoraBot


class ConfirmButton(ui.DynamicItem[ui.Button[Any]], template=r"quote:confirm:(?P<draft_id>[a-z0-9]{1,20})"):
    """Orders what was quoted; its member alone may press it."""

    def __init__(self, draft_id: str) -> None:
        super().__init__(ui.Button(label="Confirm", custom_id=cards.confirm_id(draft_id)))
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
        """Order, or quote anew."""
        await showing_errors(interaction, self._confirm(interaction))

    async def _confirm(self, interaction: discord.Interaction["SoraBot"]) -> None:
        await interaction.response.defer()
        bot = interaction.client
        bot.check_place(interaction.guild_id, interaction.channel, interaction.app_permissions)
        ordered = await bot.quotes.confirm(
            self.draft_id, server_id=interaction.guild_id or 0, **person(interaction.user)
        )
        if isinstance(ordered, Draft):
            changed = quote(ordered, bot.quotes, has_changed=True)
            await interaction.edit_original_response(**changed)
            return
        # The quote of a mention is for everybody to see, and what is left for its member alone.
        is_private = interaction.message is not None and interaction.message.flags.ephemeral
        told = await acknowledged(ordered, interaction) if is_private else messages.acknowledged(ordered)
        await interaction.edit_original_response(content=told, view=None)


class DropButton(ui.DynamicItem[ui.Button[Any]], template=r"quote:cancel:(?P<draft_id>[a-z0-9]{1,20})"):
    """Lets go of a quote; its member alone may press it."""

    def __init__(self, draft_id: str) -> None:
        super().__init__(ui.Button(label="Cancel", custom_id=cards.drop_id(draft_id)))
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
        """Let go of it."""
        await showing_errors(interaction, self._drop(interaction))

    async def _drop(self, interaction: discord.Interaction["SoraBot"]) -> None:
        await interaction.response.defer()
        await interaction.client.quotes.drop(
            self.draft_id, server_id=interaction.guild_id or 0, user_id=interaction.user.id
        )
        await interaction.edit_original_response(content=quote_messages.DROPPED, view=None)


QUOTE_BUTTONS = (ConfirmButton, DropButton)
