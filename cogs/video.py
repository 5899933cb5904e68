"""`/video`, "Animate image" and orders by mention."""

import dataclasses
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands, ui
from discord.ext import commands

from bot import cards, messages, text
from bot.availability import Availability
from bot.client import SoraBot, answer
from bot.errors import BadOrder, UserError
from bot.jobs import JobService, Order
from bot.models import Job, Mode, Quality, Shape
from cogs.buttons import is_staff, jobs_page

if TYPE_CHECKING:
    from bot.models import Upload

REFUSAL_SECONDS = 30
MODAL_SECONDS = 15 * 60  # as long as an interaction's token lives
MOST_CHOICES = 25


class VideoCog(commands.GroupCog, group_name="video", group_description="Make videos and look after them."):
    """Translates orders; everything they mean happens in JobService."""

    def __init__(self, bot: SoraBot, jobs: JobService, availability: Availability) -> None:
        self._bot = bot
        self._jobs = jobs
        self._availability = availability
        self._animate = app_commands.ContextMenu(name="Animate image", callback=self.animate)

    async def cog_load(self) -> None:
        """Add the context menu, which no cog collects by itself."""
        self._bot.tree.add_command(self._animate)

    @app_commands.command()
    @app_commands.describe(
        prompt="What the video shows, or what happens to the picture",
        image="A picture to bring to life",
        model="What renders it",
        seconds="How long the clip is",
        shape="Which way it lies; a picture is cropped to it",
        quality="The resolution",
        prompt_file="A text file, for prompts longer than Discord takes",
        keep_watermark="Keep the model's own watermark",
    )
    async def create(  # noqa: PLR0913 - one parameter for each of the command's options
        self,
        interaction: discord.Interaction[SoraBot],
        prompt: str | None = None,
        image: discord.Attachment | None = None,
        model: str | None = None,
        seconds: int | None = None,
        shape: Shape | None = None,
        quality: Quality | None = None,
        prompt_file: discord.Attachment | None = None,
        keep_watermark: bool | None = None,
    ) -> None:
        """Order a video from a prompt, or from a picture and a prompt."""
        await self._order(
            interaction,
            prompt=prompt,
            picture=image,
            model=model,
            seconds=seconds,
            shape=shape,
            quality=quality,
            prompt_file=prompt_file,
            keep_watermark=keep_watermark,
        )

    @create.autocomplete("model")
    async def _models(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        del interaction
        offered = self._availability.orderable()
        found = [model for model in offered if typed.lower() in f"{model.model_id} {model.title}".lower()]
        return [
            app_commands.Choice(name=f"{model.model_id} ({model.status})", value=model.model_id)
            for model in found[:MOST_CHOICES]
        ]

    @create.autocomplete("seconds")
    async def _seconds(
        self, interaction: discord.Interaction[SoraBot], typed: int | str
    ) -> list[app_commands.Choice[int]]:
        named = getattr(interaction.namespace, "model", None)
        models = [model for model in self._availability.orderable() if named in {None, "", model.model_id}]
        if not named:
            models = models[:1]
        lengths = sorted({seconds for model in models for seconds in model.seconds})
        return [
            app_commands.Choice(name=f"{seconds} seconds", value=seconds)
            for seconds in lengths
            if str(seconds).startswith(str(typed or ""))
        ][:MOST_CHOICES]

    @app_commands.command(name="list")
    async def list_jobs(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Show my jobs, newest first."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        content, view = await jobs_page(interaction, 0)
        await answer(interaction, content, view=view)

    @app_commands.command()
    @app_commands.describe(job="The id of one of your jobs")
    async def show(self, interaction: discord.Interaction[SoraBot], job: str) -> None:
        """Show one of my jobs, with its clip."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        found = await self._jobs.get(job, **_asker(interaction), staff=is_staff(interaction))
        await answer(interaction, **_shown(found, interaction.filesize_limit))

    @app_commands.command()
    @app_commands.describe(job="The id of one of your open jobs")
    async def cancel(self, interaction: discord.Interaction[SoraBot], job: str) -> None:
        """Stop one of my jobs that was not submitted yet."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        cancelled = await self._jobs.cancel(job, **_asker(interaction), staff=is_staff(interaction))
        await answer(interaction, messages.cancelled(cancelled))

    @cancel.autocomplete("job")
    async def _open_jobs(
        self, interaction: discord.Interaction[SoraBot], typed: str
    ) -> list[app_commands.Choice[str]]:
        jobs = await self._jobs.open_of_member(**_asker(interaction))
        named = [(messages.menu_line(job), job.job_id) for job in jobs]
        return [
            app_commands.Choice(name=name, value=job_id)
            for name, job_id in named
            if typed.lower() in name.lower()
        ]

    @app_commands.command()
    async def models(self, interaction: discord.Interaction[SoraBot]) -> None:
        """Show what can be ordered here, and what it costs."""
        lines = [
            messages.model_lines(model, self._availability.why_not(model))
            for model in self._availability.listed()
        ]
        await interaction.response.send_message(view=cards.page(lines), ephemeral=True)

    async def animate(self, interaction: discord.Interaction[SoraBot], message: discord.Message) -> None:
        """Turn the picture of a message into a video."""
        picture, note = _picture_of(message.attachments)
        if picture is None:
            raise BadOrder("This message has no picture attached.")
        offers = self._jobs.offers(Mode.IMAGE)
        if not offers:
            raise UserError("No model that takes pictures can be ordered now; `/video models` says why.")
        upload = LinkedUpload(picture.filename, picture.size, picture.url, self._bot.http.get_from_cdn)
        form = AnimateForm(interaction.id, [_option(*offer) for offer in offers])

        async def submit(submitted: discord.Interaction[SoraBot], prompt: str, offer: str) -> None:
            model, _, seconds = offer.rpartition("|")
            await self._order(
                submitted, prompt=prompt, picture=upload, model=model, seconds=int(seconds), note=note
            )

        form.submit = submit
        await interaction.response.send_modal(form)

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """Take a message that begins with the bot's own mention as an order with defaults."""
        prompt = self._ordered_by_mention(message)
        if prompt is None or message.guild is None:
            return
        picture, note = _picture_of(message.attachments)
        order = Order(
            origin=f"message:{message.id}",
            server_id=message.guild.id,
            channel_id=message.channel.id,
            user_id=message.author.id,
            prompt=prompt,
            picture=picture,
            note=note,
        )
        try:
            self._bot.check_place(
                message.guild.id, message.channel, message.channel.permissions_for(message.guild.me)
            )
            await self._jobs.order(order)
        except UserError as error:
            await _refuse(message, error)

    def _ordered_by_mention(self, message: discord.Message) -> str | None:
        """Return the prompt, if a person's message begins with the bot's own mention."""
        if message.author.bot or message.webhook_id is not None or self._bot.user is None:
            return None
        if message.type not in {discord.MessageType.default, discord.MessageType.reply}:
            return None
        mention = re.match(rf"\s*<@!?{self._bot.user.id}>", message.content)
        return message.content[mention.end() :].strip() if mention else None

    async def _order(
        self, interaction: discord.Interaction[SoraBot], *, picture: "Upload | None", **wishes: Any
    ) -> None:
        """Acknowledge, order, and name the job."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        self._bot.check_place(interaction.guild_id, interaction.channel, interaction.app_permissions)
        job = await self._jobs.order(
            Order(
                origin=f"interaction:{interaction.id}",
                channel_id=interaction.channel_id or 0,
                picture=picture,
                **_asker(interaction),
                **wishes,
            )
        )
        await answer(interaction, messages.acknowledged(job))


@dataclasses.dataclass(frozen=True)
class LinkedUpload:
    """A file by its signed link, for the time a form is open: a form keeps no Discord object."""

    filename: str
    size: int
    url: str
    fetch: Callable[[str], Awaitable[bytes]]

    async def read(self) -> bytes:
        """Download the file.

        Raises:
            BadOrder: Discord no longer has it.
        """
        try:
            return await self.fetch(self.url)
        except discord.HTTPException as error:
            raise BadOrder("The picture is no longer there. Post it again.") from error


class AnimateForm(ui.Modal, title="Animate image"):
    """Asks for the prompt and for one offer."""

    submit: Callable[[discord.Interaction[SoraBot], str, str], Awaitable[None]]

    def __init__(self, key: int, options: list[discord.SelectOption]) -> None:
        super().__init__(timeout=MODAL_SECONDS, custom_id=f"animate:{key}")
        self.prompt: ui.TextInput[Any] = ui.TextInput(
            style=discord.TextStyle.paragraph, max_length=4000, custom_id="prompt"
        )
        self.offer: ui.Select[Any] = ui.Select(options=options, custom_id="offer")
        self.add_item(ui.Label(text="What happens in the picture?", component=self.prompt))
        self.add_item(ui.Label(text="Model, length and price", component=self.offer))

    async def on_submit(self, interaction: discord.Interaction[Any], /) -> None:
        """Order what was chosen."""
        await self.submit(interaction, self.prompt.value, self.offer.values[0])

    async def on_error(self, interaction: discord.Interaction[Any], error: Exception, /) -> None:
        """Show the error as any other."""
        await interaction.client.show_error(interaction, error)


def _asker(interaction: discord.Interaction[Any]) -> dict[str, int]:
    return {"server_id": interaction.guild_id or 0, "user_id": interaction.user.id}


def _option(model: Any, seconds: int) -> discord.SelectOption:
    request = next(order for order in model.orders(Mode.IMAGE) if order.seconds == seconds)
    return discord.SelectOption(label=messages.offer(model, request), value=f"{model.model_id}|{seconds}")


def _picture_of(attachments: list[discord.Attachment]) -> tuple[discord.Attachment | None, str]:
    """Return the picture to animate (what it really is, its bytes decide later) and a note on the rest."""
    pictures = [one for one in attachments if (one.content_type or "").startswith("image/")] or attachments
    note = f"The first of {len(pictures)} pictures was taken." if len(pictures) > 1 else ""
    return (pictures[0] if pictures else None), note


def _shown(job: Job, limit_bytes: int) -> dict[str, Any]:
    """Return what /video show answers: the job in words, and its clip where it fits."""
    content = messages.job_page(job)
    if job.clip is None or not job.clip.exists():
        return {"content": content}
    size = job.clip.stat().st_size
    if size > limit_bytes:
        return {"content": f"{content}\n{messages.too_large_here(size, job.result_urls)}"}
    name = f"{job.job_id}.mp4"
    return {
        "content": content,
        "attachments": [
            discord.File(job.clip, filename=name, description=text.one_line(job.request.prompt, 1024))
        ],
    }


async def _refuse(message: discord.Message, error: UserError) -> None:
    """Say it in front of everybody, shortly, without amounts, and take it away again."""
    try:
        await message.reply(
            error.public_sentence,
            delete_after=REFUSAL_SECONDS,
            allowed_mentions=discord.AllowedMentions(
                everyone=False, roles=False, users=False, replied_user=True
            ),
        )
    except discord.HTTPException:
        return  # the bot may not write here; there is nowhere to say so
