"""`/video-admin purse`, `grant` and `refund`: what staff do with money."""

import discord
from discord import app_commands

from bot import fund_messages, messages
from bot.client import SoraBot, answer
from cogs.admin_limits import LimitedChannel, Reason
from cogs.money_pages import MoneyCog, purses_page
from cogs.ordering import home_channel

MOST_CHOICES = 25


class FundCommands(MoneyCog):
    """Translates what staff do with purses, grants and refunds; a part of `/video-admin`."""

    purse = app_commands.Group(name="purse", description="Budgets of channels.")

    @purse.command(name="open")
    @app_commands.describe(
        amount="Dollars, like 50",
        channel="Whose it is: this channel",
        until="Its last day, like 2026-12-12 or 12 Dec",
        reason="For the audit log",
    )
    async def open_purse(
        self,
        interaction: discord.Interaction[SoraBot],
        amount: str,
        channel: LimitedChannel | None = None,
        until: str | None = None,
        reason: Reason = "",
    ) -> None:
        """Give a channel a budget that jobs there are charged to."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        channel_id = _channel(interaction, channel)
        micros, ends_at = await self.funds.open_purse(
            interaction.guild_id or 0,
            channel_id,
            amount,
            until=until,
            reason=reason,
            by=interaction.user.id,
        )
        await answer(interaction, fund_messages.purse_opened(micros, channel_id, ends_at))

    @purse.command(name="close")
    @app_commands.describe(channel="Whose it is: this channel", reason="For the audit log")
    async def close_purse(
        self,
        interaction: discord.Interaction[SoraBot],
        channel: LimitedChannel | None = None,
        reason: Reason = "",
    ) -> None:
        """Close a channel's budget; running jobs go on."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        channel_id = _channel(interaction, channel)
        await self.funds.close_purse(
            interaction.guild_id or 0, channel_id, reason=reason, by=interaction.user.id
        )
        await answer(interaction, fund_messages.purse_closed(channel_id))

    @purse.command(name="show")
    async def show_purses(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Show this server's purses, also those that are over."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.edit_original_response(view=await purses_page(self, interaction.guild_id or 0, 0))

    @app_commands.command()
    @app_commands.describe(member="Who may spend more", amount="Dollars, like 5", reason="For the audit log")
    async def grant(
        self,
        interaction: discord.Interaction[SoraBot],
        member: discord.User,
        amount: str,
        reason: Reason,
    ) -> None:
        """Let a member spend more this month, above their limit."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        micros, month = await self.funds.grant(
            interaction.guild_id or 0, member.id, amount, reason=reason, by=interaction.user.id
        )
        await answer(interaction, fund_messages.granted(member.id, micros, month))

    @app_commands.command()
    @app_commands.describe(job="Its id, as its card names it", reason="For the audit log")
    async def refund(self, interaction: discord.Interaction[SoraBot], job: str, reason: Reason) -> None:
        """Give back all that a job cost, once."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        refunded = await self.funds.refund(
            interaction.guild_id or 0, job, reason=reason, by=interaction.user.id
        )
        await answer(interaction, fund_messages.refunded(refunded))

    @refund.autocomplete("job")
    async def _refundable(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        found = await self.funds.refundable(interaction.guild_id or 0, limit=MOST_CHOICES)
        named = [(messages.menu_line(job), job.job_id) for job in found]
        return [
            app_commands.Choice(name=name, value=job_id)
            for name, job_id in named
            if typed.lower() in name.lower()
        ]


def _channel(interaction: discord.Interaction[SoraBot], channel: LimitedChannel | None) -> int:
    return channel.id if channel is not None else home_channel(interaction.channel)
