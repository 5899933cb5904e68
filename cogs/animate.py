"""Right-click a message with a picture -> Apps -> "Animate image": a form, then the same job."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import discord
from discord import app_commands, ui
from discord.ext import commands

from bot import messages
from bot.catalogue import Model
from bot.client import SoraBot
from bot.errors import BadOrder
from bot.jobs import JobService
from bot.models import Mode
from bot.picture_room import check_upload_size
from cogs.ordering import first_picture, order, upload

FORM_SECONDS = 15 * 60  # as long as an interaction's token lives
MOST_PROMPT = 4000  # of Discord's text inputs

Submit: TypeAlias = Callable[[discord.Interaction[SoraBot], str, str], Awaitable[None]]


class AnimateCog(commands.Cog):
    """Translates the menu entry and its form."""

    def __init__(self, bot: SoraBot, jobs: JobService) -> None:
        self._bot = bot
        self._jobs = jobs
        self._menu = app_commands.ContextMenu(name="Animate image", callback=self.animate)

    async def cog_load(self) -> None:
        """Add the menu entry, which no cog collects by itself."""
        self._bot.tree.add_command(self._menu)

    async def animate(self, interaction: discord.Interaction[SoraBot], message: discord.Message) -> None:
        """Ask what the first picture of a message shall do.

        The picture is taken from this interaction: the message fetched again would come without it.
        """
        self._bot.check_place(interaction.guild_id, interaction.channel, interaction.app_permissions)
        forwarded = [file for snapshot in message.message_snapshots for file in snapshot.attachments]
        picture, note = first_picture(message.attachments or forwarded)
        if picture is None:
            raise BadOrder("This message has no picture attached.")
        check_upload_size(picture.size)
        offers = [_option(*offer) for offer in self._jobs.offers(Mode.IMAGE)]
        if not offers:
            raise BadOrder("No model that takes pictures can be ordered now; `/video models` says why.")
        kept = upload(self._bot, picture)
        opener = interaction.guild_id, interaction.user.id

        async def submit(submitted: discord.Interaction[SoraBot], prompt: str, offer: str) -> None:
            if (
                submitted.guild_id,
                submitted.user.id,
            ) != opener:  # its id alone brings a form back to this one
                raise BadOrder("Somebody else opened this form. Open one of your own; nothing was charged.")
            self._bot.acting.check(*opener)
            if offer not in {option.value for option in offers}:
                raise BadOrder("This form offers no such model. Open it again; nothing was charged.")
            model, _, seconds = offer.rpartition("|")
            wishes = {"prompt": prompt, "model": model, "seconds": int(seconds)}
            await order(submitted, self._jobs, picture=kept, note=note, **wishes)

        await interaction.response.send_modal(AnimateForm(interaction.id, offers, submit))


class AnimateForm(ui.Modal, title="Animate image"):
    """Asks for the prompt and for one offer; its id is unique, or two open forms would mix."""

    def __init__(self, key: int, offers: list[discord.SelectOption], submit: Submit) -> None:
        super().__init__(timeout=FORM_SECONDS, custom_id=f"animate:{key}")
        self._submit = submit
        self._prompt: ui.TextInput[Any] = ui.TextInput(
            style=discord.TextStyle.paragraph, max_length=MOST_PROMPT, custom_id="prompt"
        )
        self._offer: ui.Select[Any] = ui.Select(options=offers, custom_id="offer")
        self.add_item(ui.Label(text="What happens in the picture?", component=self._prompt))
        self.add_item(ui.Label(text="Model, length and price", component=self._offer))

    async def on_submit(self, interaction: discord.Interaction[Any], /) -> None:
        """Order what was chosen."""
        await self._submit(interaction, self._prompt.value, next(iter(self._offer.values), ""))

    async def on_error(self, interaction: discord.Interaction[Any], error: Exception, /) -> None:
        """Show the error as any other."""
        await interaction.client.show_error(interaction, error)


def _option(model: Model, seconds: int) -> discord.SelectOption:
    request = next(order for order in model.orders(Mode.IMAGE) if order.seconds == seconds)
    return discord.SelectOption(label=messages.offer(model, request), value=f"{model.model_id}|{seconds}")
