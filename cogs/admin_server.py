"""`/video-admin` timezone, staff-channel, approver, confirm-above, settings, pause and resume."""

from typing import TypeAlias

import discord
from discord import app_commands
from discord.ext import commands

from bot import server_messages
from bot.access import Access
from bot.availability import Availability
from bot.client import SoraBot, answer, lacking
from bot.errors import BadOrder
from bot.models import PauseScope
from bot.pauses import Pauses
from bot.servers import ServerAdmin

Reason: TypeAlias = app_commands.Range[str, 1, 200]

_MOST_CHOICES = 25
_MOST_CHOICE_NAME = 100
_WHY = "Why, for the audit log"


class ServerCommands(commands.Cog):
    """Translates what staff set for their server and what they pause; a part of `/video-admin`."""

    servers: ServerAdmin
    pauses: Pauses
    access_rules: Access
    availability: Availability

    @app_commands.command()
    @app_commands.describe(zone="A name like Europe/Berlin", reason=_WHY)
    async def timezone(
        self, interaction: discord.Interaction[SoraBot], zone: str, reason: Reason | None = None
    ) -> None:
        """Choose where days, weeks and months turn."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        name, month = await self.servers.set_zone(
            interaction.guild_id or 0, zone, reason=reason or "", by=interaction.user.id
        )
        await answer(interaction, server_messages.zone_set(name, month))

    @timezone.autocomplete("zone")
    async def _zones(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        del interaction
        names = self.servers.zones(typed)[:_MOST_CHOICES]
        return [app_commands.Choice(name=name, value=name) for name in names]

    @app_commands.command(name="staff-channel")
    @app_commands.describe(channel="The channel; none clears it", reason=_WHY)
    async def staff_channel(
        self,
        interaction: discord.Interaction[SoraBot],
        channel: discord.TextChannel | None = None,
        reason: Reason | None = None,
    ) -> None:
        """Choose where requests and alerts go."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        if channel is not None and (missing := lacking(channel.permissions_for(channel.guild.me))):
            raise BadOrder(server_messages.cannot_post(channel.id, missing))
        await self.servers.set_staff_channel(
            interaction.guild_id or 0,
            channel and channel.id,
            reason=reason or "",
            by=interaction.user.id,
        )
        everybody = channel is not None and channel.permissions_for(channel.guild.default_role)
        told = server_messages.staff_channel_set(
            channel and channel.id, everybody_reads=bool(everybody and everybody.view_channel)
        )
        await answer(interaction, told)

    @app_commands.command()
    @app_commands.describe(role="The role; none clears it", reason=_WHY)
    async def approver(
        self,
        interaction: discord.Interaction[SoraBot],
        role: discord.Role | None = None,
        reason: Reason | None = None,
    ) -> None:
        """Choose a role that may approve requests."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await self.servers.set_approver(
            interaction.guild_id or 0, role and role.id, reason=reason or "", by=interaction.user.id
        )
        await answer(interaction, server_messages.approver_set(role and role.id))

    @app_commands.command(name="confirm-above")
    @app_commands.describe(amount="Dollars a job, like 2.50; none is the default", reason=_WHY)
    async def confirm_above(
        self,
        interaction: discord.Interaction[SoraBot],
        amount: str | None = None,
        reason: Reason | None = None,
    ) -> None:
        """Choose above which price a job is confirmed first."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        micros = await self.servers.set_confirm_above(
            interaction.guild_id or 0, amount, reason=reason or "", by=interaction.user.id
        )
        await answer(interaction, server_messages.confirm_above_set(micros, is_default=amount is None))

    @app_commands.command()
    async def settings(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Show what is set for this server."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        server_id = interaction.guild_id or 0
        found = await self.servers.settings(server_id)
        told = server_messages.settings(
            found,
            self.servers.zone(found),
            self.pauses.of_server(server_id),
            len(await self.access_rules.rules(server_id)),
        )
        await answer(interaction, told)

    @app_commands.command()
    @app_commands.describe(
        reason="Why, for those who are refused",
        gateway="Everywhere; operator only",
        model="Everywhere; operator only",
    )
    async def pause(
        self,
        interaction: discord.Interaction[SoraBot],
        reason: Reason,
        gateway: str | None = None,
        model: str | None = None,
    ) -> None:
        """Take no orders for a while; jobs go on."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        scope, subject = await _what(interaction, gateway, model)
        if scope is not PauseScope.SERVER:
            self.availability.check_known(scope, subject)
        pause = await self.pauses.pause(
            scope, subject, reason, server_id=interaction.guild_id or 0, by=interaction.user.id
        )
        await answer(interaction, server_messages.paused(pause))

    @app_commands.command()
    @app_commands.describe(gateway="Operator only", model="Operator only", reason=_WHY)
    async def resume(
        self,
        interaction: discord.Interaction[SoraBot],
        gateway: str | None = None,
        model: str | None = None,
        reason: Reason | None = None,
    ) -> None:
        """Take orders again."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        scope, subject = await _what(interaction, gateway, model)
        pause = await self.pauses.resume(
            scope,
            subject,
            reason or "",
            server_id=interaction.guild_id or 0,
            by=interaction.user.id,
        )
        await answer(interaction, server_messages.resumed(pause))

    @pause.autocomplete("gateway")
    async def _gateways(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        return await _offered(interaction, typed, {name: name for name in self.availability.gateways})

    @pause.autocomplete("model")
    async def _models(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        listed = [model.model_id for model in self.availability.listed()]
        return await _offered(interaction, typed, {name: name for name in listed})

    @resume.autocomplete("gateway")
    async def _paused_gateways(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        return await _offered(interaction, typed, self._paused(PauseScope.GATEWAY))

    @resume.autocomplete("model")
    async def _paused_models(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        return await _offered(interaction, typed, self._paused(PauseScope.MODEL))

    def _paused(self, scope: PauseScope) -> dict[str, str]:
        return {pause.subject: server_messages.pause_choice(pause) for pause in self.pauses.everywhere(scope)}


async def _what(
    interaction: discord.Interaction[SoraBot], gateway: str | None, model: str | None
) -> tuple[PauseScope, str]:
    """Return what a person named; what is beyond this server only the operator may name.

    Raises:
        UserError: they may not, or named too much.
    """
    if gateway is None and model is None:
        return PauseScope.SERVER, str(interaction.guild_id)
    await interaction.client.check_operator(interaction.user)
    if gateway is not None and model is not None:
        raise BadOrder(server_messages.NOT_BOTH)
    return (
        (PauseScope.GATEWAY, gateway.strip())
        if gateway is not None
        else (PauseScope.MODEL, (model or "").strip())
    )


async def _offered(
    interaction: discord.Interaction[SoraBot], typed: str, named: dict[str, str]
) -> list[app_commands.Choice[str]]:
    """Offer names to the operator; nobody else is told what there is."""
    if not await interaction.client.is_owner(interaction.user):
        return []
    return [
        app_commands.Choice(name=shown, value=name)
        for name, shown in named.items()
        if typed.lower() in name.lower() and len(name) <= _MOST_CHOICE_NAME
    ][:_MOST_CHOICES]
