"""A message that begins with the bot's own mention is an order with defaults."""

import re
from typing import Any

import aiohttp
import discord
from discord.ext import commands

from bot import approval_card
from bot.client import SoraBot
from bot.cooldown import Cooldown
from bot.errors import OverLimit, UserError
from bot.jobs import JobService
from bot.models import Draft
from bot.wishes import Order
from cogs.ordering import first_picture, home_channel, person, quote, upload

REFUSAL_SECONDS = 30
ASK_SECONDS = 15 * 60  # for a refusal with a button: to ask for money takes longer than to read
_BY_A_PERSON = {discord.MessageType.default, discord.MessageType.reply}


class MentionCog(commands.Cog):
    """Translates messages. Such messages carry their content without a privileged intent."""

    def __init__(self, bot: SoraBot, jobs: JobService, *, telling: Cooldown) -> None:
        """`telling` says how often one member may be told to slow down."""
        self._bot = bot
        self._jobs = jobs
        self._telling = telling

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """Order, or say shortly and in public why not."""
        prompt = self._prompt(message)
        if prompt is None or message.guild is None:
            return
        who = message.guild.id, message.author.id
        try:
            self._bot.acting.check(*who)
        except UserError as error:
            # Answers to a flood would be one themselves, and hold up what is posted for others.
            if self._telling.wait_for(*who) is None:
                await _reply(message, error.public_sentence, delete_after=REFUSAL_SECONDS)
            return
        try:
            here = message.channel.permissions_for(message.guild.me)
            self._bot.check_place(message.guild.id, message.channel, here)
            ordered = await self._jobs.order(self._order(message, message.guild.id, prompt))
        except Exception as error:  # noqa: BLE001 - nobody else would tell the person
            known = self._bot.explain(error, where=f"message {message.id}")
            more: dict[str, Any] = {"delete_after": REFUSAL_SECONDS}
            if isinstance(known, OverLimit) and known.draft_id is not None:
                more["view"] = approval_card.ask(known.draft_id, "more")  # no amounts in public
                more["delete_after"] = ASK_SECONDS
            await _reply(message, known.public_sentence, **more)
        else:
            if isinstance(ordered, Draft):
                await _reply(message, **await quote(ordered, self._bot.quotes))

    def _prompt(self, message: discord.Message) -> str | None:
        """Return what follows the bot's own mention, if a person's message begins with it."""
        if message.author.bot or message.webhook_id is not None or message.type not in _BY_A_PERSON:
            return None
        me = self._bot.user
        mention = re.match(rf"\s*<@!?{me.id}>", message.content) if me is not None else None
        return message.content[mention.end() :] if mention is not None else None

    def _order(self, message: discord.Message, server_id: int, prompt: str) -> Order:
        picture, note = first_picture(message.attachments)
        # A file that is no picture is refused by its bytes rather than left out in silence.
        picture = picture or next(iter(message.attachments), None)
        return Order(
            origin=f"message:{message.id}",
            server_id=server_id,
            channel_id=message.channel.id,
            home_channel_id=home_channel(message.channel),
            **person(message.author),
            prompt=prompt,
            picture=upload(self._bot, picture) if picture is not None else None,
            note=note,
        )


async def _reply(message: discord.Message, content: str, **more: Any) -> None:
    """Answer in public, pinging nobody but the person.

    Where the bot may not answer, it is a post of its own, and where it may not write either, nothing.
    """
    one = discord.AllowedMentions(everyone=False, roles=False, users=[message.author], replied_user=True)
    try:
        await message.reply(content, allowed_mentions=one, **more)
    except discord.HTTPException:
        try:
            post = f"{message.author.mention} {content}"
            await message.channel.send(post, allowed_mentions=one, **more)
        except (discord.HTTPException, aiohttp.ClientError, OSError):
            return
    except (aiohttp.ClientError, OSError):
        return  # it may have arrived; a second one would be worse than none
