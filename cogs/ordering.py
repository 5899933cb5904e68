"""What every way of ordering shares: files by their links, and the acknowledged order."""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import discord

from bot import cards, messages, quote_messages, receipts
from bot.client import SoraBot, answer
from bot.errors import BadOrder
from bot.jobs import JobService
from bot.models import Draft, Job
from bot.quotes import QuoteService
from bot.wishes import Order


@dataclasses.dataclass(frozen=True)
class LinkedUpload:
    """An attached file by its signed link, so that a form can stay open without a Discord object."""

    filename: str
    size: int
    url: str
    fetch: Callable[[str], Awaitable[bytes]]

    async def read(self) -> bytes:
        """Download the file.

        Raises:
            BadOrder: Discord does not hand it out.
        """
        try:
            return await self.fetch(self.url)
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            raise BadOrder(
                "Discord did not hand out the attached file. Attach it again; nothing was charged."
            ) from error


def upload(bot: SoraBot, attachment: discord.Attachment) -> LinkedUpload:
    """Keep what is needed to read an attached file later."""
    return LinkedUpload(attachment.filename, attachment.size, attachment.url, bot.http.get_from_cdn)


def first_picture(attachments: Sequence[discord.Attachment]) -> tuple[discord.Attachment | None, str]:
    """Return the first picture by what Discord says of the files, and a note where there are more.

    A file of which Discord says nothing may be one: its bytes decide when it is read.
    """
    pictures = [one for one in attachments if (one.content_type or "image/").startswith("image/")]
    note = f"The first of {len(pictures)} pictures was taken." if len(pictures) > 1 else ""
    return (pictures[0] if pictures else None), note


async def order(
    interaction: discord.Interaction[SoraBot], jobs: JobService, *, only_quotes: bool = False, **wishes: Any
) -> None:
    """Acknowledge in private, order or quote, and name the job once it is stored."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    interaction.client.check_place(interaction.guild_id, interaction.channel, interaction.app_permissions)
    wish = Order(origin=f"interaction:{interaction.id}", **place(interaction), **wishes)
    ordered = await jobs.order(wish, only_quotes=only_quotes)
    if isinstance(ordered, Draft):
        await answer(interaction, **await quote(ordered, interaction.client.quotes))
    else:
        await answer(interaction, await acknowledged(ordered, interaction))


async def acknowledged(job: Job, interaction: discord.Interaction[SoraBot]) -> str:
    """Name the job in private, and what is left to spend."""
    left = await interaction.client.quotes.left(job, person(interaction.user)["role_ids"])
    return messages.acknowledged(job, receipts.left(left) if left is not None else "")


async def quote(draft: Draft, quotes: QuoteService, *, has_changed: bool = False) -> dict[str, Any]:
    """Return the content, the menu and the buttons of a message that asks for a yes to a price."""
    ways, choices = await quotes.beside(draft)
    return {
        "content": quote_messages.quote(draft, ways, choices, has_changed=has_changed),
        "view": cards.quote_buttons(draft.draft_id, choices, draft.new.request),
    }


def place(interaction: discord.Interaction[SoraBot]) -> dict[str, Any]:
    """Say where a person acts, and who they are to the limits there."""
    return {
        "server_id": interaction.guild_id or 0,
        "channel_id": interaction.channel_id or 0,
        "home_channel_id": home_channel(interaction.channel),
        **person(interaction.user),
    }


def home_channel(channel: object) -> int:
    """Return the id of the channel whose limits and purse count: of a thread its parent."""
    if isinstance(channel, discord.Thread):
        return channel.parent_id
    return getattr(channel, "id", 0)


def person(user: discord.User | discord.Member) -> dict[str, Any]:
    """Say who orders, with all their roles and the highest one (everyone's is no role to count in)."""
    roles = user.roles if isinstance(user, discord.Member) else []
    top = max((role for role in roles if not role.is_default()), default=None)
    return {
        "user_id": user.id,
        "role_ids": frozenset(role.id for role in roles),
        "top_role_id": top.id if top is not None else None,
    }
