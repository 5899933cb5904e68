"""`/video-admin`: for those who may manage the server; Discord's Integrations page can say otherwise."""

import discord
from discord import app_commands
from discord.ext import commands

from bot import messages
from bot.availability import Availability, outage_name
from bot.client import SoraBot, answer
from bot.errors import UserError
from bot.spending import SpendingService

MOST_CHOICES = 25


@app_commands.default_permissions(manage_guild=True)
class AdminCog(
    commands.GroupCog, group_name="video-admin", group_description="Look after the team's videos."
):
    """Translates the acts of staff, and of the operator."""

    quota = app_commands.Group(name="quota", description="Members' monthly limits.")

    def __init__(self, spending: SpendingService, availability: Availability) -> None:
        self._spending = spending
        self._availability = availability

    @quota.command(name="set")
    @app_commands.describe(amount="Dollars a month, like 12.50", member="Whose limit it is")
    async def set_quota(
        self, interaction: discord.Interaction[SoraBot], amount: str, member: discord.User
    ) -> None:
        """Give a member a monthly limit of their own."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        micros = await self._spending.set_limit(
            interaction.guild_id or 0, member.id, amount, by=interaction.user.id
        )
        await answer(interaction, messages.limit_set(member.id, micros))

    @quota.command(name="clear")
    @app_commands.describe(member="Whose limit it is")
    async def clear_quota(self, interaction: discord.Interaction[SoraBot], member: discord.User) -> None:
        """Take a member's own limit away; the default one counts again."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        had_one = await self._spending.clear_limit(interaction.guild_id or 0, member.id)
        await answer(
            interaction, messages.limit_cleared(member.id, self._spending.default_micros, had_one=had_one)
        )

    @app_commands.command()
    @app_commands.describe(what="The model or key that is out")
    async def reopen(self, interaction: discord.Interaction[SoraBot], what: str) -> None:
        """Let a model or key that is out take orders again; for the bot's operator only."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        if not await interaction.client.is_owner(interaction.user):
            raise UserError(
                "Only the bot's operator may do this: the owner of its Discord application, or a member of "
                "the team that owns it."
            )
        await answer(interaction, messages.reopened(await self._availability.reopen_named(what)))

    @reopen.autocomplete("what")
    async def _out(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        if not await interaction.client.is_owner(interaction.user):
            return []
        return [
            app_commands.Choice(name=messages.outage_line(outage), value=outage_name(outage))
            for outage in self._availability.outages()
            if typed.lower() in outage_name(outage)
        ][:MOST_CHOICES]
