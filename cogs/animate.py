"""Right-click a message with a picture -> Apps -> "Animate image": a form, then the same job."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import discord
from discord import app_commands, ui
from discord.ext import commands

from bot import cards, choice_messages, offers
from bot.catalogue import Model
from bot.choosing import Chooser
from bot.client import SoraBot
from bot.errors import BadOrder
from bot.jobs import JobService
from bot.models import AUTO, Mode
from bot.picture_room import check_upload_size
from bot.wishes import SOUND_WORDS
from cogs.ordering import first_picture, order, upload

FORM_SECONDS = 15 * 60  # as long as an interaction's token lives
MOST_PROMPT = 4000  # of Discord's text inputs
MOST_SEED = 20
MOST_INPUTS = 5  # of a form: the prompt, the offer, and what else there is to choose

Submit: TypeAlias = Callable[[discord.Interaction[SoraBot], dict[str, Any]], Awaitable[None]]


class AnimateCog(commands.Cog):
    """Translates the menu entry and its form."""

    def __init__(self, bot: SoraBot, jobs: JobService, chooser: Chooser) -> None:
        self._bot = bot
        self._jobs = jobs
        self._chooser = chooser
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
        options, models = await self._offers(interaction.guild_id or 0)
        if not models:
            raise BadOrder("No model that takes pictures can be ordered now; `/video models` says why.")
        kept = upload(self._bot, picture)
        opener = interaction.guild_id, interaction.user.id

        async def submit(submitted: discord.Interaction[SoraBot], filled: dict[str, Any]) -> None:
            # The form's id alone brings it here, whoever sends it.
            if (submitted.guild_id, submitted.user.id) != opener:
                raise BadOrder("Somebody else opened this form. Open one of your own; nothing was charged.")
            self._bot.acting.check(*opener)
            if filled["offer"] not in {option.value for option in options}:
                raise BadOrder("This form offers no such model. Open it again; nothing was charged.")
            wishes = self._wishes(**filled)
            await order(submitted, self._jobs, picture=kept, note=note, **wishes)

        await interaction.response.send_modal(AnimateForm(interaction.id, options, models, submit))

    async def _offers(self, server_id: int) -> tuple[list[discord.SelectOption], list[Model]]:
        """Return what the form offers, `auto` first and then the best, and the models that are among it."""
        policy, choices = await self._chooser.in_mode(server_id, Mode.IMAGE)
        named = offers.spread(choices, cards.MOST_OPTIONS - 1)
        options = [
            cards.choice_option(one, value=f"{one.offer.request.model}|{one.offer.request.seconds}")
            for one in named
        ]
        auto = discord.SelectOption(
            label=f"{AUTO}: {choice_messages.AUTO_TAKES[policy]}",
            value=f"{AUTO}|",
            description="Of those that can do it, at its usual length.",
        )
        return [auto, *options], self._chooser.models(named)

    def _wishes(self, *, offer: str, end_frame: Any = None, seed: str = "", **filled: Any) -> dict[str, Any]:
        """Read what was filled in; what was left empty was not asked for."""
        model, _, seconds = offer.rpartition("|")
        if seed and not seed.strip().removeprefix("-").isdecimal():
            raise BadOrder("A seed is a whole number. Nothing was charged.")
        return {
            **{name: value or None for name, value in filled.items()},
            "model": model,
            "seconds": int(seconds) if seconds else None,
            "seed": int(seed) if seed else None,
            "end_picture": upload(self._bot, end_frame) if end_frame is not None else None,
        }


class AnimateForm(ui.Modal, title="Animate image"):
    """Asks for the prompt, for one offer, and for what else a model on offer lets one choose.

    The form opens before a model is chosen, and Discord lets no input hang on another: what the chosen one
    has not is refused, as with `/video create`, which has all there is to choose. Its id is unique, or two
    open forms would mix.
    """

    def __init__(
        self, key: int, options: list[discord.SelectOption], models: Sequence[Model], submit: Submit
    ) -> None:
        super().__init__(timeout=FORM_SECONDS, custom_id=f"animate:{key}")
        self._submit = submit
        prompt = ui.TextInput[Any](
            style=discord.TextStyle.paragraph, max_length=MOST_PROMPT, custom_id="prompt"
        )
        self._inputs: dict[str, ui.TextInput[Any] | ui.Select[Any] | ui.FileUpload[Any]] = {
            "prompt": prompt,
            "offer": ui.Select(options=options, custom_id="offer"),
        }
        self.add_item(ui.Label(text="What happens in the picture?", component=prompt))
        self.add_item(ui.Label(text="Model, length and price, best first", component=self._inputs["offer"]))
        for name in ("sound", "negative_prompt", "end_frame", "style", "seed"):
            having = [model for model in models if model.has_option(name)]
            if having and len(self._inputs) < MOST_INPUTS:
                self._add(name, having, is_of_all=len(having) == len(models))

    def _add(self, name: str, having: Sequence[Model], *, is_of_all: bool) -> None:
        """Ask for something that need not be chosen."""
        match name:
            case "sound":
                label, one = "Sound", _select(name, list(SOUND_WORDS))
            case "negative_prompt":
                most = max(
                    model.options.negative_prompt.most for model in having if model.options.negative_prompt
                )
                label = "What it must not show"
                one = ui.TextInput[Any](custom_id=name, required=False, max_length=min(most, MOST_PROMPT))
            case "end_frame":
                label, one = (
                    "A picture to end with",
                    ui.FileUpload[Any](custom_id=name, required=False, max_values=1),
                )
            case "style":
                styles = [model.options.style.words for model in having if model.options.style]
                label, one = (
                    "Style",
                    _select(name, list(dict.fromkeys(word for words in styles for word in words))),
                )
            case _:
                label, one = "Seed", ui.TextInput[Any](custom_id=name, required=False, max_length=MOST_SEED)
        self._inputs[name] = one
        only = None if is_of_all else choice_messages.only_with([model.model_id for model in having])
        self.add_item(ui.Label(text=label, description=only, component=one))

    async def on_submit(self, interaction: discord.Interaction[Any], /) -> None:
        """Order what was chosen."""
        await self._submit(interaction, {name: _filled(one) for name, one in self._inputs.items()})

    async def on_error(self, interaction: discord.Interaction[Any], error: Exception, /) -> None:
        """Show the error as any other."""
        await interaction.client.show_error(interaction, error)


def _select(name: str, words: Sequence[str]) -> ui.Select[Any]:
    options = [discord.SelectOption(label=word, value=word) for word in words[: cards.MOST_OPTIONS]]
    return ui.Select(custom_id=name, options=options, required=False)


def _filled(one: ui.TextInput[Any] | ui.Select[Any] | ui.FileUpload[Any]) -> Any:
    if isinstance(one, ui.TextInput):
        return one.value
    return next(iter(one.values), "" if isinstance(one, ui.Select) else None)
