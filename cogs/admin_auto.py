"""`/video-admin auto`: by what the bot chooses a model in this server."""

import discord
from discord import app_commands
from discord.ext import commands

from bot import server_messages
from bot.availability import Availability
from bot.client import SoraBot, answer
from bot.models import AutoPolicy, PauseScope
from bot.servers import ServerAdmin
from cogs.admin_server import Reason

_MOST_CHOICES = 25
_MOST_CHOICE = 100
_POLICIES = [app_commands.Choice(name=policy.value, value=policy.value) for policy in AutoPolicy]


class AutoCommands(commands.Cog):
    """Translates what staff set for `auto`; a part of `/video-admin`."""

    servers: ServerAdmin
    availability: Availability

    @app_commands.command()
    @app_commands.describe(
        policy="By what; own is the order that you give",
        models="For own: models, the best first, with commas between",
        reason="Why, for the audit log",
    )
    @app_commands.choices(policy=_POLICIES)
    async def auto(
        self,
        interaction: discord.Interaction[SoraBot],
        policy: str,
        models: str | None = None,
        reason: Reason | None = None,
    ) -> None:
        """Choose by what `auto` takes a model."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        named = tuple(dict.fromkeys(_parts(models or "")))
        for name in named:
            self.availability.check_known(PauseScope.MODEL, name)
        chosen = AutoPolicy(policy)
        await self.servers.set_auto(
            interaction.guild_id or 0, chosen, named, reason=reason or "", by=interaction.user.id
        )
        await answer(interaction, server_messages.auto_set(chosen, named))

    @auto.autocomplete("models")
    async def _models(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        """Offer models to follow those that are typed already."""
        del interaction
        begun, _, last = typed.rpartition(",")
        before = _parts(begun)
        lists = [
            ", ".join([*before, model.model_id])
            for model in self.availability.listed()
            if model.model_id not in before and last.strip().lower() in model.model_id.lower()
        ]
        fitting = [one for one in lists if len(one) <= _MOST_CHOICE]
        return [app_commands.Choice(name=one, value=one) for one in fitting[:_MOST_CHOICES]]


def _parts(typed: str) -> list[str]:
    return [part.strip() for part in typed.split(",") if part.strip()]
