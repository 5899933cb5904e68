"""A job as messages in Discord: its card, the video that answers it, and the failure told."""

import contextlib
import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import discord

from bot import cards, media, messages, text
from bot.catalogue import Catalogue
from bot.errors import ChannelClosed, DiscordTrouble
from bot.models import Clock, Job
from bot.shrink import ClipShrinker
from bot.turnstile import Turnstile

log = logging.getLogger(__name__)

# Who goes first at the turnstile that keeps the bot under Discord's 50 requests a second.
DELIVERY, CARD, EDIT = range(3)

MOST_DESCRIPTION = 1024  # https://discord.com/developers/docs/resources/message#attachment-object
_TOO_LARGE = (
    40005  # "Request entity too large", https://discord.com/developers/docs/topics/opcodes-and-status-codes
)
_HTTP_TOO_LARGE = 413
_SERVER_ERROR = 500


class TooLarge(ChannelClosed):
    """Discord took no file of this size."""


class Delivery:
    """Posts by the bot's token, by ids alone: interaction tokens die after 15 minutes, jobs do not."""

    def __init__(
        self,
        client: discord.Client,
        catalogue: Catalogue,
        *,
        shrinker: ClipShrinker,
        turnstile: Turnstile,
        clock: Clock,
    ) -> None:
        self._client = client
        self._catalogue = catalogue
        self._shrinker = shrinker
        self._turnstile = turnstile
        self._clock = clock

    async def post_card(self, job: Job) -> int:
        """Post the job's card and return the message's id.

        Raises:
            ChannelClosed, DiscordTrouble: nothing is known to be posted.
        """
        await self._turnstile.enter(CARD)
        view = self._card(job)
        with _discord_errors():
            if job.picture is None:
                message = await self._channel(job).send(view=view, nonce=f"{job.job_id}:card")
            else:
                file = discord.File(job.picture.path, filename=cards.picture_name(job))
                message = await self._channel(job).send(view=view, file=file, nonce=f"{job.job_id}:card")
        return message.id

    async def edit_card(self, job: Job) -> None:
        """Show the job's state on its card.

        Raises:
            ChannelClosed: the card is gone.
            DiscordTrouble: it may work later.
        """
        if job.card_message_id is None:
            return
        await self._turnstile.enter(EDIT)
        with _discord_errors():
            await self._channel(job).get_partial_message(job.card_message_id).edit(view=self._card(job))

    async def picture_link(self, job: Job) -> str | None:
        """Return a fresh link to the picture on the card (links are signed and expire), or None where
        the card is gone.

        Raises:
            ChannelClosed, DiscordTrouble: the card cannot be read.
        """
        if job.card_message_id is None:
            return None
        await self._turnstile.enter(CARD)
        with _discord_errors():
            try:
                message = await self._channel(job).fetch_message(job.card_message_id)
            except discord.NotFound as error:
                if error.code == 10008:  # noqa: PLR2004 - "Unknown message": the channel is still there
                    return None
                raise
        return next(iter(_picture_links(message)), None)

    async def deliver(self, job: Job) -> tuple[int | None, str]:
        """Post the clip as an answer to the card; where the channel is closed, by direct message.

        Returns the message's id, or None where the clip can only wait in /video show, and a note
        for the job's history.

        Raises:
            DiscordTrouble: it may work later.
        """
        try:
            return await self._post_clip(job, self._channel(job), await self._size_limit(job)), "posted"
        except ChannelClosed as error:
            log.warning("job %s: channel closed to its clip: %s", job.job_id, error)
        try:
            await self._send_direct(job, f"{messages.delivered(job)}\n{messages.kept_only(job)}")
        except ChannelClosed:
            return None, "channel and direct messages closed; kept for /video show"
        return None, "channel closed; told by direct message"

    async def tell(self, job: Job) -> None:
        """Tell the member how the job ended, as an answer to its card.

        Raises:
            DiscordTrouble: it may work later.
        """
        try:
            await self._answer(job, self._channel(job), messages.told(job), nonce=f"{job.job_id}:{job.stage}")
        except ChannelClosed:
            with contextlib.suppress(ChannelClosed):
                await self._send_direct(job, messages.told(job))

    async def _post_clip(self, job: Job, channel: discord.abc.Messageable, limit: int) -> int:
        """Climb down the ladder: the file itself, a smaller copy, the gateway's link."""
        head = messages.delivered(job)
        nonce = f"{job.job_id}:clip"
        if job.clip is not None and job.clip.exists():
            clip, size = job.clip, job.clip.stat().st_size
            if size <= limit:
                with contextlib.suppress(TooLarge):
                    return await self._answer(job, channel, head, file=_clip_file(job, clip), nonce=nonce)
                limit = min(limit, discord.utils.DEFAULT_FILE_SIZE_LIMIT_BYTES, size - 1)
            try:
                fitted = await self._shrinker.shrink_clip(clip, limit_bytes=limit)
                told = f"{head}\n{messages.shrunk(size)}"
                with contextlib.suppress(TooLarge):
                    return await self._answer(job, channel, told, file=_clip_file(job, fitted), nonce=nonce)
            except media.ShrinkFailed as error:
                log.warning("job %s: the clip cannot be made smaller: %s", job.job_id, error)
        until = (job.fetched_at or self._clock()) + dt.timedelta(
            hours=self._catalogue.models[job.request.model].link_hours
        )
        link = next(iter(job.result_urls), "")
        return await self._answer(job, channel, f"{head}\n{messages.linked(link, until)}", nonce=nonce)

    async def _answer(
        self,
        job: Job,
        channel: discord.abc.Messageable,
        content: str,
        *,
        nonce: str,
        file: discord.File | None = None,
    ) -> int:
        """Post a new message (an edit would notify nobody) that mentions only the requester."""
        await self._turnstile.enter(DELIVERY)
        everyone_concerned = [discord.Object(job.user_id)] if job.user_id is not None else False
        reference = (
            discord.MessageReference(
                message_id=job.card_message_id,
                channel_id=job.channel_id,
                guild_id=job.server_id,
                fail_if_not_exists=False,
            )
            if job.card_message_id is not None
            else None
        )
        mentions = discord.AllowedMentions(
            everyone=False, roles=False, users=everyone_concerned, replied_user=False
        )
        extras = {"reference": reference} if reference is not None else {}
        files = {"file": file} if file is not None else {}
        with _discord_errors():
            message = await channel.send(content, allowed_mentions=mentions, nonce=nonce, **extras, **files)
        return message.id

    async def _send_direct(self, job: Job, content: str) -> None:
        """Write to the member alone.

        Raises:
            ChannelClosed: they take no direct messages.
        """
        if job.user_id is None:
            raise ChannelClosed("the member is forgotten")
        await self._turnstile.enter(DELIVERY)
        with _discord_errors():
            user = await self._client.fetch_user(job.user_id)
            await user.send(content, allowed_mentions=discord.AllowedMentions.none())

    def _card(self, job: Job) -> discord.ui.LayoutView:
        view = cards.card(job, self._catalogue.models[job.request.model], self._clock())
        # Presses reach the dynamic items that client.py registers; discord.py need not keep the view.
        view.stop()
        return view

    def _channel(self, job: Job) -> discord.PartialMessageable:
        return self._client.get_partial_messageable(job.channel_id, guild_id=job.server_id)

    async def _size_limit(self, job: Job) -> int:
        """Return what the server takes; right after a start it may not be known yet."""
        guild = self._client.get_guild(job.server_id)
        if guild is None:
            await self._turnstile.enter(DELIVERY)
            with _discord_errors():
                guild = await self._client.fetch_guild(job.server_id, with_counts=False)
        return guild.filesize_limit


def _clip_file(job: Job, path: Path) -> discord.File:
    return discord.File(
        path, filename=f"{job.job_id}.mp4", description=text.one_line(job.request.prompt, MOST_DESCRIPTION)
    )


def _picture_links(message: discord.Message) -> Iterator[str]:
    """Find the card's picture: files shown by components are listed in the gallery, not always as
    attachments (https://discord.com/developers/docs/components/reference#unfurled-media-item)."""
    for attachment in message.attachments:
        yield attachment.url
    for component in discord.ui.LayoutView.from_message(message).walk_children():
        if isinstance(component, discord.ui.MediaGallery):
            for item in component.items:
                yield item.media.url


@contextlib.contextmanager
def _discord_errors() -> Iterator[None]:
    """Translate the library's errors into ours, once."""
    try:
        yield
    except (discord.Forbidden, discord.NotFound) as error:
        raise ChannelClosed(str(error)) from error
    except (discord.DiscordServerError, discord.RateLimited) as error:
        raise DiscordTrouble(str(error)) from error
    except discord.HTTPException as error:
        if error.status == _HTTP_TOO_LARGE or error.code == _TOO_LARGE:
            raise TooLarge(str(error)) from error
        if error.status >= _SERVER_ERROR or error.status == 429:  # noqa: PLR2004 - too many requests
            raise DiscordTrouble(str(error)) from error
        raise ChannelClosed(str(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise DiscordTrouble(f"{type(error).__name__}: {error}") from error
