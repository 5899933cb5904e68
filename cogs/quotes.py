"""What stands below a price: Confirm orders what was quoted, Cancel lets go, the menu quotes another."""

from typing import TYPE_CHECKING, Any

import discord
from discord import ui

from bot import messages, quote_messages
from bot.models import Draft
from cogs.buttons import LastingItem, PressButton
from cogs.ordering import acknowledged, person, quote

if TYPE_CHECKING:
    from bot.client import SoraBot


class ConfirmButton(PressButton, template=r"quote:confirm:(?P<draft_id>[a-z0-9]{1,20})"):
    """Orders what was quoted; its member alone may press it."""

    async def press(self, interaction: discord.Interaction["SoraBot"]) -> None:
        """Order, or quote anew."""
        await interaction.response.defer()
        bot = interaction.client
        bot.check_place(interaction.guild_id, interaction.channel, interaction.app_permissions)
        ordered = await bot.quotes.confirm(
            self.said["draft_id"], server_id=interaction.guild_id or 0, **person(interaction.user)
        )
        if isinstance(ordered, Draft):
            changed = await quote(ordered, bot.quotes, has_changed=True)
            await interaction.edit_original_response(**changed)
            return
        # The quote of a mention is for everybody to see, and what is left for its member alone.
        is_private = interaction.message is not None and interaction.message.flags.ephemeral
        told = await acknowledged(ordered, interaction) if is_private else messages.acknowledged(ordered)
        await interaction.edit_original_response(content=told, view=None)


class DropButton(PressButton, template=r"quote:cancel:(?P<draft_id>[a-z0-9]{1,20})"):
    """Lets go of a quote; its member alone may press it."""

    async def press(self, interaction: discord.Interaction["SoraBot"]) -> None:
        """Let go of it."""
        await interaction.response.defer()
        await interaction.client.quotes.drop(
            self.said["draft_id"], server_id=interaction.guild_id or 0, user_id=interaction.user.id
        )
        await interaction.edit_original_response(content=quote_messages.DROPPED, view=None)


class TakeMenu(LastingItem, template=r"quote:take:(?P<draft_id>[a-z0-9]{1,20})"):
    """Quotes another model in the place of what was quoted; its member alone may choose."""

    @staticmethod
    def built(custom_id: str) -> ui.Select[Any]:
        """Build the menu; what it offers, the message knows."""
        return ui.Select(custom_id=custom_id)

    async def press(self, interaction: discord.Interaction["SoraBot"]) -> None:
        """Show the other price, to be confirmed."""
        await interaction.response.defer()
        quotes = interaction.client.quotes
        quoted = await quotes.take(
            self.said["draft_id"],
            next(iter(self.item.values), ""),
            server_id=interaction.guild_id or 0,
            user_id=interaction.user.id,
        )
        await interaction.edit_original_response(**await quote(quoted, quotes))


QUOTE_BUTTONS = (ConfirmButton, DropButton, TakeMenu)
