"""`/video-admin quota`: the limits of members, roles, channels and the server."""

import discord
from discord import app_commands

from bot import limit_messages
from bot.client import SoraBot, answer
from bot.limits import Whose
from bot.quotas import Measure
from bot.spending import SpendingService
from cogs.money_pages import MoneyCog, limits_page
from cogs.ordering import home_channel, person

LimitedChannel = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.ForumChannel
Reason = app_commands.Range[str, 1, 300]

_PERIODS = [
    app_commands.Choice(name="dollars a day", value=Measure.DAY.value),
    app_commands.Choice(name="dollars a week", value=Measure.WEEK.value),
    app_commands.Choice(name="dollars a month", value=Measure.MONTH.value),
    app_commands.Choice(name="dollars per job", value=Measure.JOB.value),
    app_commands.Choice(name="jobs at once", value=Measure.AT_ONCE.value),
    app_commands.Choice(name="jobs a day", value=Measure.JOBS_A_DAY.value),
]


class LimitCommands(MoneyCog):
    """Translates what staff do with limits; a part of `/video-admin`."""

    quota = app_commands.Group(name="quota", description="Limits.")

    spending: SpendingService

    @quota.command(name="set")
    @app_commands.describe(
        amount="Dollars like 12.50, or a number of jobs",
        member="Whose limit it is",
        role="For each member with it",
        channel="For all in it together",
        period="What it counts: dollars a month",
        reason="For the audit log",
    )
    @app_commands.choices(period=_PERIODS)
    async def set_quota(  # noqa: PLR0917 - discord.py reads the options and their order from the parameters
        self,
        interaction: discord.Interaction[SoraBot],
        amount: str,
        member: discord.User | None = None,
        role: discord.Role | None = None,
        channel: LimitedChannel | None = None,
        period: str = Measure.MONTH.value,
        reason: Reason = "",
    ) -> None:
        """Set a limit of a member, a role, a channel, or the server."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        whose = _whose(member, role, channel)
        limit = await self.limits.set_limit(
            interaction.guild_id or 0,
            whose,
            Measure(period),
            amount,
            reason=reason,
            by=interaction.user.id,
        )
        await answer(interaction, limit_messages.limit_set(limit, whose.user_id))

    @quota.command(name="clear")
    @app_commands.describe(
        member="Whose limit it is",
        role="The role that has it",
        channel="The channel that has it",
        period="What it counts: dollars a month",
        reason="For the audit log",
    )
    @app_commands.choices(period=_PERIODS)
    async def clear_quota(  # noqa: PLR0917 - as above
        self,
        interaction: discord.Interaction[SoraBot],
        member: discord.User | None = None,
        role: discord.Role | None = None,
        channel: LimitedChannel | None = None,
        period: str = Measure.MONTH.value,
        reason: Reason = "",
    ) -> None:
        """Take a limit of a member, a role, a channel, or the server away."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        whose = _whose(member, role, channel)
        limit, had_one = await self.limits.clear_limit(
            interaction.guild_id or 0, whose, Measure(period), reason=reason, by=interaction.user.id
        )
        default = self.limits.default_micros
        await answer(
            interaction, limit_messages.limit_cleared(limit, whose.user_id, default, had_one=had_one)
        )

    @quota.command(name="show")
    @app_commands.describe(member="Only theirs", role="Only its", channel="Only its")
    async def show_quota(
        self,
        interaction: discord.Interaction[SoraBot],
        member: discord.User | None = None,
        role: discord.Role | None = None,
        channel: LimitedChannel | None = None,
    ) -> None:
        """Show what limits are set, and where a member stands."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        server_id = interaction.guild_id or 0
        whose = _whose(member, role, channel)
        if whose == Whose():
            await interaction.edit_original_response(view=await limits_page(self, server_id, 0))
            return
        found = await self.limits.of_one(server_id, whose)
        told = limit_messages.of_one(found, whose.limit(Measure.MONTH), whose.user_id)
        if member is not None:
            who = person(member)
            standings = await self.spending.standings(
                server_id=server_id,
                home_channel_id=home_channel(interaction.channel),
                user_id=member.id,
                role_ids=who["role_ids"],
            )
            own = [standing for standing in standings if standing.limit.layer.is_own]
            told = f"{told}\n{limit_messages.standings(member.id, own)}"
        await answer(interaction, told)


def _whose(member: discord.User | None, role: discord.Role | None, channel: LimitedChannel | None) -> Whose:
    return Whose(
        user_id=member.id if member is not None else None,
        role_id=role.id if role is not None else None,
        channel_id=channel.id if channel is not None else None,
    )
