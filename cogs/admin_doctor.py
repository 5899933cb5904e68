"""`/video-admin doctor`: what is wrong in the server, and for the operator with the machine."""

import contextlib

import discord
from discord import app_commands
from discord.ext import commands

from bot import cards, doctor_messages
from bot.client import SoraBot, lacking
from bot.doctor import Doctor
from bot.errors import StorageTrouble
from bot.findings import Finding
from storage.checkup import UsedChannels

MOST_PAGES = 4


class DoctorCommands(commands.Cog):
    """Translates what staff and the operator ask about the bot's health; a part of `/video-admin`."""

    asked_doctor: Doctor

    @app_commands.command()
    async def doctor(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Look for what is wrong, and say what to do."""
        beside_discord = self.asked_doctor.of_clock(interaction.created_at, whose="Discord")
        await interaction.response.defer(ephemeral=True, thinking=True)
        server_id = interaction.guild_id or 0
        found = await self.asked_doctor.of_server(server_id)
        if interaction.guild is not None:
            with contextlib.suppress(StorageTrouble):  # which is among what was found of the jobs
                found += _permissions(interaction.guild, await self.asked_doctor.used_channels(server_id))
        if await interaction.client.is_owner(interaction.user):
            found += [beside_discord, *await self.asked_doctor.of_machine()]
        # Jobs of this server are among those of all; what is found twice is told once.
        first, *more = cards.paged(doctor_messages.page_parts(dict.fromkeys(found)))
        await interaction.edit_original_response(view=cards.page(first))
        for shown in more[: MOST_PAGES - 1]:
            await interaction.followup.send(view=cards.page(shown), ephemeral=True)


def _permissions(server: discord.Guild, used: UsedChannels) -> list[Finding]:
    """Compare what the bot may do with what it needs, wherever it works."""
    uses = {(channel_id, False): "it has a purse" for channel_id in used.with_purse}
    uses |= {
        (channel_id, in_thread): "orders in its threads" if in_thread else "orders"
        for channel_id, in_thread in used.of_jobs
    }
    if used.of_staff is not None:
        uses[used.of_staff, False] = "the staff channel"
    found: list[Finding] = []
    count = 0
    for (channel_id, in_thread), use in sorted(uses.items()):
        channel = server.get_channel(channel_id)
        if channel is None:
            continue  # deleted: nothing is ordered there any more, and staff were told what went with it
        count += 1
        titles = lacking(channel.permissions_for(server.me), in_thread=in_thread)
        if titles:
            found.append(doctor_messages.channel_lacks(channel_id, titles, use=use))
    if used.of_staff is None or server.get_channel(used.of_staff) is None:
        found.append(doctor_messages.NO_STAFF_CHANNEL)
    return found or [doctor_messages.channels_fine(count)]
