"""Private lists of limits and purses for staff, and the button that turns their pages."""

import discord
from discord import ui
from discord.ext import commands

from bot import cards, limit_messages, staff_messages
from bot.client import SoraBot
from bot.errors import UserError
from bot.funds import FundAdmin
from bot.limits import LimitAdmin
from cogs.buttons import PressButton, acts_as_staff

PURSES_PER_PAGE = 15


class MoneyCog(commands.Cog):
    """The services that parts of `/video-admin` about money share."""

    limits: LimitAdmin
    funds: FundAdmin


class MoneyPageButton(PressButton, template=r"staff:(?P<of>limits|purses):(?P<page>\d{1,4})"):
    """Turns a list for staff to another page."""

    async def press(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Show the page."""
        await interaction.response.defer()
        if not acts_as_staff(interaction):
            raise UserError(staff_messages.STAFF_ONLY)
        cog = next(cog for cog in interaction.client.cogs.values() if isinstance(cog, MoneyCog))
        show = limits_page if self.said["of"] == "limits" else purses_page
        await interaction.edit_original_response(
            view=await show(cog, interaction.guild_id or 0, int(self.said["page"]))
        )


async def limits_page(cog: MoneyCog, server_id: int, page: int) -> ui.LayoutView:
    """Build a page of all limits of a server."""
    found = await cog.limits.of_server(server_id)
    pages = cards.paged(limit_messages.listed(found, cog.limits.default_micros))
    page = min(page, len(pages) - 1)
    return _page("limits", pages[page], page, more=page + 1 < len(pages))


async def purses_page(cog: MoneyCog, server_id: int, page: int) -> ui.LayoutView:
    """Build a page of all purses of a server."""
    shown, more = await cog.funds.purses(server_id, page=page, per_page=PURSES_PER_PAGE)
    return _page("purses", shown, page, more=more)


def _page(of: str, shown: str, page: int, *, more: bool) -> ui.LayoutView:
    turns = [(page - 1, "Back")] * (page > 0) + [(page + 1, "More")] * more
    return cards.page(shown, *(MoneyPageButton(f"staff:{of}:{to}", label=label) for to, label in turns))


MONEY_BUTTONS = (MoneyPageButton,)
