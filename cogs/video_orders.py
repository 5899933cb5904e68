"""`/video create` and `quote`: the same options, and what is offered while somebody fills them in."""

from collections.abc import Iterable
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot import choice_messages, messages
from bot.catalogue import Model
from bot.client import SoraBot
from bot.jobs import JobService
from bot.menu import Menu
from bot.models import AUTO, Mode
from bot.wishes import SOUND_WORDS
from cogs.ordering import order, upload

MOST_CHOICES = 25
MOST_CHOICE_CHARACTERS = 100

_OPTIONS = {
    "prompt": "What the video shows, or what happens to the picture",
    "image": "A picture to bring to life",
    "model": "What renders it; auto lets the bot choose",
    "seconds": "How long the clip is",
    "shape": "Which way it lies; a picture is cropped to it",
    "quality": "The resolution",
    "sound": "With sound or without",
    "negative_prompt": "What the clip must not show",
    "style": "Its look",
    "seed": "A number; the same one makes the same clip again",
    "end_image": "A picture that the clip ends with",
    "prompt_file": "A text file, for prompts longer than Discord takes",
    "keep_watermark": "Keep the model's own watermark",
}


def _mode(chosen: app_commands.Namespace) -> Mode | None:
    """Return the mode, where it is known: while somebody types, Discord may not tell of a file yet."""
    return None if chosen.image is None else Mode.IMAGE


class OrderCommands(commands.Cog):
    """Translates orders; a part of `/video`."""

    jobs: JobService
    menu: Menu

    async def _ordered(  # noqa: PLR0917 - discord.py reads the options and their order from the parameters
        self,
        interaction: discord.Interaction[SoraBot],
        prompt: str | None = None,
        image: discord.Attachment | None = None,
        model: str | None = None,
        seconds: int | None = None,
        shape: str | None = None,
        quality: str | None = None,
        sound: str | None = None,
        negative_prompt: str | None = None,
        style: str | None = None,
        seed: int | None = None,
        end_image: discord.Attachment | None = None,
        prompt_file: discord.Attachment | None = None,
        keep_watermark: bool | None = None,
    ) -> None:
        bot, command = interaction.client, interaction.command
        await order(
            interaction,
            self.jobs,
            only_quotes=command is not None and command.name == "quote",
            prompt=prompt,
            picture=upload(bot, image) if image else None,
            model=model,
            seconds=seconds,
            shape=shape,
            quality=quality,
            sound=sound,
            negative_prompt=negative_prompt,
            style=style,
            seed=seed,
            end_picture=upload(bot, end_image) if end_image else None,
            prompt_file=upload(bot, prompt_file) if prompt_file else None,
            keep_watermark=keep_watermark,
        )

    async def _models(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        models = self.menu.orderable(_mode(interaction.namespace))
        named = [(messages.model_choice(model), model.model_id) for model in models]
        return matching(typed, [(choice_messages.AUTO_OPTION, AUTO), *named] if named else [])

    async def _seconds(
        self, interaction: discord.Interaction[SoraBot], typed: int | str
    ) -> list[app_commands.Choice[Any]]:
        chosen = interaction.namespace
        return [
            app_commands.Choice(name=f"{seconds} seconds", value=seconds)
            for seconds in self.menu.lengths(chosen.model, _mode(chosen))
            if str(seconds).startswith(str(typed))
        ][:MOST_CHOICES]

    async def _shapes(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        chosen = interaction.namespace
        return matching(typed, [(one, one) for one in self.menu.shapes(chosen.model, _mode(chosen))])

    async def _qualities(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        chosen = interaction.namespace
        return matching(typed, [(one, one) for one in self.menu.qualities(chosen.model, _mode(chosen))])

    async def _sounds(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        having = self._having("sound", interaction)
        return matching(typed, [(word, word) for word in SOUND_WORDS] if having else [])

    async def _negative_prompts(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        """Offer what was typed where the model takes it, since Discord shows that nothing fits otherwise."""
        having = self._having("negative_prompt", interaction)
        return matching(typed, [(typed, typed)] if having and typed.strip() else [])

    async def _styles(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        styles = [model.options.style for model in self._having("style", interaction)]
        words = dict.fromkeys(word for style in styles if style is not None for word in style.words)
        return matching(typed, [(word, word) for word in words])

    async def _seeds(
        self, interaction: discord.Interaction[SoraBot], typed: int | str
    ) -> list[app_commands.Choice[Any]]:
        for model in self._having("seed", interaction):
            seed = model.options.seed
            if seed is not None and not str(typed).strip():
                return [app_commands.Choice(name=f"{seed.least} to {seed.most}", value=seed.least)]
            if seed is not None and str(typed).isdecimal() and seed.least <= int(typed) <= seed.most:
                return [app_commands.Choice(name=str(int(typed)), value=int(typed))]
        return []

    def _having(self, option: str, interaction: discord.Interaction[SoraBot]) -> list[Model]:
        chosen = interaction.namespace
        return self.menu.having(option, chosen.model, _mode(chosen))

    # discord.py empties the dictionaries that it is given, so each command is given its own.
    create = app_commands.command(
        name="create", description="Order a video from a prompt, or from a picture and a prompt."
    )(_ordered)
    quote = app_commands.command(
        name="quote", description="See what models would do it for, side by side, before you order."
    )(_ordered)
    for command in (create, quote):
        app_commands.describe(**_OPTIONS)(command)
        app_commands.autocomplete(
            model=_models,
            seconds=_seconds,
            shape=_shapes,
            quality=_qualities,
            sound=_sounds,
            negative_prompt=_negative_prompts,
            style=_styles,
            seed=_seeds,
        )(command)
    del command


def matching(typed: str, named: Iterable[tuple[str, str]]) -> list[app_commands.Choice[str]]:
    """Return the named values whose names have in them what was typed, as many as Discord takes."""
    return [
        app_commands.Choice(name=name, value=value)
        for name, value in named
        if typed.lower() in name.lower() and max(len(name), len(value)) <= MOST_CHOICE_CHARACTERS
    ][:MOST_CHOICES]
