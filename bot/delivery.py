"""A job as messages in Discord: its card, the video that answers it, and the failure told."""

import contextlib
import datetime as dt
import logging
from collections.abc import Awaitable, Callable, Collection, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import discord

from bot import cards, fallover_messages, media, messages, text
from bot.catalogue import Catalogue
from bot.discord_errors import TooLarge, discord_errors
from bot.errors import ChannelClosed, DiscordTrouble
from bot.forecast import Forecast
from bot.history import History, NothingThere
from bot.models import Clock, Draft, Job, Stage
from bot.pacing import CARD, DELIVERY, EDIT
from bot.shrink import ClipShrinker
from bot.turnstile import Turnstile

log = logging.getLogger(__name__)

MOST_DESCRIPTION = 1024  # https://discord.com/developers/docs/resources/message#attachment-object

# https://discord.com/developers/docs/topics/opcodes-and-status-codes
_UNKNOWN_MESSAGE = 10008
_THREAD_IS_ARCHIVED = 50083
_HTTP_BAD_REQUEST = 400


class Delivery:
    """Posts by the bot's token, by ids alone: interaction tokens die after 15 minutes, jobs do not."""

    def __init__(
        self,
        client: discord.Client,
        catalogue: Catalogue,
        *,
        shrinker: ClipShrinker,
        forecast: Forecast,
        aborting: Collection[str],
        turnstile: Turnstile,
        clock: Clock,
    ) -> None:
        """`aborting` are the gateways that end tasks which are being rendered."""
        self._client = client
        self._catalogue = catalogue
        self._shrinker = shrinker
        self._forecast = forecast
        self._aborting = aborting
        self._turnstile = turnstile
        self._clock = clock
        self._history = History(client, turnstile=turnstile)

    async def post_card(self, job: Job, *, again: bool = False) -> int:
        """Post the job's card and return the message's id.

        Raises:
            ChannelClosed: it cannot be posted.
            DiscordTrouble: it may work later; `again` then finds out whether it did.
        """
        if again:
            earlier = await self._look(job, self._history.card)
            if earlier is not None:
                return earlier
        pictures = {name: picture.path for name, picture in cards.pictures(job).items()}
        if not all(path.exists() for path in pictures.values()):
            raise ChannelClosed("the picture is no longer there")
        # A nonce whose message was deleted just now would be refused, so a new card has a new one.
        nonce = f"{job.job_id}:card:{(job.card_message_id or 0) % 1_000_000}"
        view = self._card(job)
        await self._turnstile.enter(CARD)
        with discord_errors(), _files(pictures) as files:
            message = await self._channel(job).send(view=view, nonce=nonce, **files)
        return message.id

    async def turn_to_edit(self) -> None:
        """Wait until nothing more important has to be sent."""
        await self._turnstile.enter(EDIT)

    async def edit_card(self, job: Job) -> None:
        """Show the job's state on its card; whoever edits has had its turn.

        Raises:
            ChannelClosed: the card is gone.
            DiscordTrouble: it may work later.
        """
        if job.card_message_id is None:
            return
        card = self._channel(job).get_partial_message(job.card_message_id)
        try:
            with discord_errors():
                await card.edit(view=self._card(job))
        except ChannelClosed as error:
            if getattr(error.__cause__, "code", None) == _THREAD_IS_ARCHIVED:
                await self._open_thread(job)
                await self._turnstile.enter(EDIT)
                with discord_errors():
                    await card.edit(view=self._card(job))
                return
            if job.picture is None or getattr(error.__cause__, "status", None) != _HTTP_BAD_REQUEST:
                raise
            # The card names its picture as a file attached to it. Should Discord not find it there, the
            # picture's own link does: whichever holds, the card must not stay behind.
            log.warning("the card is edited by the picture's link: %s", error)
            links = await self.picture_links(job)
            if links is None:
                raise
            await self._turnstile.enter(EDIT)
            with discord_errors():
                await card.edit(view=self._card(job, links=links))

    async def picture_links(self, job: Job) -> list[str] | None:
        """Return fresh links to the pictures on the card (links are signed and expire), in their order.

        Returns None where the card was deleted.

        Raises:
            ChannelClosed, DiscordTrouble: the card cannot be read.
        """
        if job.card_message_id is None:
            return None
        await self._turnstile.enter(CARD)
        with discord_errors():
            try:
                message = await self._channel(job).fetch_message(job.card_message_id)
            except discord.NotFound as error:
                if error.code == _UNKNOWN_MESSAGE:
                    return None  # but the channel is still there
                raise
        links = list(_picture_links(message))
        if len(links) != len(cards.pictures(job)):
            raise DiscordTrouble("the card does not show the job's pictures")
        return links

    async def deliver(self, job: Job, *, again: bool = False) -> int:
        """Post the clip as an answer to the card; return the message's id.

        Where the file does not fit, a smaller copy is posted, or the gateway's link.

        Raises:
            ChannelClosed: the channel does not take it.
            DiscordTrouble: it may work later; `again` then finds out whether it did.
        """
        if again and (earlier := await self._look(job, self._history.answer)) is not None:
            return earlier
        head = messages.delivered(job)
        is_kept = job.clip is not None and job.clip.exists()
        permissions = self._permissions(job)
        if job.clip is not None and is_kept and (permissions is None or permissions.attach_files):
            clip, size, limit = job.clip, job.clip.stat().st_size, await self._size_limit(job)
            if size <= limit:
                with contextlib.suppress(TooLarge):
                    return await self._answer(job, head, clip=clip)
                limit = min(limit, discord.utils.DEFAULT_FILE_SIZE_LIMIT_BYTES, size - 1)
            try:
                smaller = await self._shrinker.shrink_clip(clip, limit_bytes=limit)
                told = f"{head}\n{messages.shrunk(size)}"
                with contextlib.suppress(TooLarge):
                    return await self._answer(job, told, clip=smaller)
            except media.ShrinkFailed as error:
                log.warning("the clip cannot be made smaller: %s", error)
        until = (job.fetched_at or self._clock()) + dt.timedelta(
            hours=self._catalogue.models[job.request.model].link_hours
        )
        lines = [head, messages.linked(job, until), messages.kept(job) if is_kept else ""]
        return await self._answer(job, "\n".join(filter(None, lines)))

    async def tell(self, job: Job, *, again: bool = False, offer: Draft | None = None) -> None:
        """Tell the member how the job ended, or that it is overdue, as an answer to its card.

        `offer` is what another model would do at a higher price, with the buttons that say yes or no to it.

        Raises:
            ChannelClosed: the channel does not take it.
            DiscordTrouble: it may work later; `again` then finds out whether it did.
        """
        if again and await self._look(job, self._history.answer) is not None:
            return
        if offer is None:
            await self._answer(job, messages.told(job))
        else:
            told = f"{messages.told(job)}\n{fallover_messages.offer(offer, job)}"
            await self._answer(job, told, view=cards.quote_buttons(offer.draft_id))

    async def write_directly(self, job: Job) -> None:
        """Tell the member alone what the channel did not take, unless an earlier try has.

        Raises:
            ChannelClosed: they take no direct messages.
            DiscordTrouble: it may work later.
        """
        if job.user_id is None:
            raise ChannelClosed("the member is forgotten")
        content = (
            f"{messages.delivered(job)}\n{messages.kept_only(job)}"
            if job.stage is Stage.DELIVERING
            else messages.told(job)
        )
        await self._turnstile.enter(DELIVERY)
        with discord_errors():
            channel = await self._client.create_dm(discord.Object(job.user_id))
        with contextlib.suppress(NothingThere):
            if await self._history.answer(job, channel) is not None:
                return
        nonce = f"{job.job_id}:dm:{job.stage}"
        await self._turnstile.enter(DELIVERY)
        with discord_errors():
            await channel.send(content, allowed_mentions=discord.AllowedMentions.none(), nonce=nonce)

    async def _answer(
        self, job: Job, content: str, *, clip: Path | None = None, view: discord.ui.View | None = None
    ) -> int:
        """Post a new message (an edit would notify nobody) that mentions only the requester.

        Its nonce is made of the job and of what it means: a stage is told of once.
        """
        mentions = discord.AllowedMentions(
            everyone=False,
            roles=False,
            users=[discord.Object(job.user_id)] if job.user_id is not None else False,
            replied_user=False,
        )
        description = text.one_line(job.request.prompt, MOST_DESCRIPTION)
        await self._turnstile.enter(DELIVERY)
        clips = {f"{job.job_id}.mp4": clip} if clip is not None else {}
        with discord_errors(), _files(clips, description) as files:
            message = await self._channel(job).send(
                content,
                allowed_mentions=mentions,
                nonce=f"{job.job_id}:{job.stage}",
                **({} if view is None else {"view": view}),
                **_replying_to(job),
                **files,
            )
        return message.id

    async def _look(
        self, job: Job, find: Callable[[Job, discord.abc.Messageable], Awaitable[int | None]]
    ) -> int | None:
        """Look in the channel for what an earlier try has posted.

        Raises:
            ChannelClosed: the bot may not look there, so it must not post again either.
            DiscordTrouble: it may work later.
        """
        try:
            return await find(job, self._channel(job))
        except NothingThere:
            permissions = self._permissions(job)
            if permissions is None:
                raise DiscordTrouble("nobody knows whether the bot may read this channel") from None
            if not permissions.read_message_history:
                raise ChannelClosed("the bot may not read here what it has posted already") from None
            return None

    def _permissions(self, job: Job) -> discord.Permissions | None:
        """Return what the bot may do in the job's channel.

        None where that is not known: right after a start, and in threads that are archived.
        """
        guild = self._client.get_guild(job.server_id)
        channel = guild.get_channel_or_thread(job.channel_id) if guild is not None else None
        if guild is None or channel is None or (isinstance(channel, discord.Thread) and not channel.parent):
            return None
        return channel.permissions_for(guild.me)

    async def _open_thread(self, job: Job) -> None:
        """Take a thread out of the archive; one that is locked stays there."""
        await self._turnstile.enter(EDIT)
        with discord_errors():
            await self._client.http.edit_channel(
                job.channel_id, reason="a job's card changes", archived=False
            )

    def _card(self, job: Job, *, links: Sequence[str] = ()) -> discord.ui.LayoutView:
        model = self._catalogue.models[job.request.model]
        aborts = job.gateway in self._aborting
        view = cards.card(job, model, self._forecast.of(job), aborts=aborts, links=links)
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
            with discord_errors():
                guild = await self._client.fetch_guild(job.server_id, with_counts=False)
        return guild.filesize_limit


@contextlib.contextmanager
def _files(paths: Mapping[str, Path], description: str | None = None) -> Generator[dict[str, Any]]:
    """Open the files to send by their names, if there are any, and close them however the sending ends."""
    with contextlib.ExitStack() as stack:
        files = [
            discord.File(stack.enter_context(path.open("rb")), filename=name, description=description)
            for name, path in paths.items()
        ]
        yield {"files": files} if files else {}


def _replying_to(job: Job) -> dict[str, Any]:
    if job.card_message_id is None:
        return {}
    reference = discord.MessageReference(
        message_id=job.card_message_id,
        channel_id=job.channel_id,
        guild_id=job.server_id,
        fail_if_not_exists=False,
    )
    return {"reference": reference}


def _picture_links(message: discord.Message) -> Iterator[str]:
    """Find the card's pictures.

    Discord lists files that components show in the components alone, not as attachments:
    https://github.com/discord/discord-api-docs/issues/8277
    """
    for component in discord.ui.LayoutView.from_message(message).walk_children():
        if isinstance(component, discord.ui.Thumbnail):
            yield component.media.url
