"""Reads a channel back: what the bot may have posted there before is looked for before it is posted again."""

import datetime as dt
from collections.abc import Callable

import discord

from bot import cards, messages
from bot.discord_errors import discord_errors
from bot.models import Clock, Job, Stage
from bot.pacing import DELIVERY
from bot.turnstile import Turnstile

_PAGE = 100  # https://discord.com/developers/docs/resources/message#get-channel-messages
_CLOCKS_DIFFER = dt.timedelta(hours=1)  # at most, beyond what is known of them


class NothingThere(Exception):
    """The channel shows no message at all, which is what Discord says to whom may not read it, too."""


class History:
    """Finds the messages of a job again. Nonces would do only for the minutes Discord remembers them."""

    def __init__(self, client: discord.Client, *, turnstile: Turnstile, clock: Clock) -> None:
        self._client = client
        self._turnstile = turnstile
        self._clock = clock

    async def card(self, job: Job, channel: discord.abc.Messageable) -> int | None:
        """Return the id of the job's card: the newest, where it was posted more than once.

        Raises:
            NothingThere: no message can be seen.
            ChannelClosed: the bot may not look there.
            DiscordTrouble: it may work later.
        """
        return await self._find(job, channel, lambda message: _is_card(message, job))

    async def answer(self, job: Job, channel: discord.abc.Messageable) -> int | None:
        """Return the id of the message that tells of the job's stage; raises as `card` does."""
        return await self._find(job, channel, lambda message: messages.tells(message.content, job))

    async def _find(
        self, job: Job, channel: discord.abc.Messageable, is_it: Callable[[discord.Message], bool]
    ) -> int | None:
        """Look through all messages since there was something to post of the stage, newest first.

        In the usual case that is one request.
        """
        until = no_earlier_than(
            _began_at(job),
            self._clock(),
            created_at=job.created_at,
            sign=job.card_message_id or _ordered_with(job),
        )
        before = None
        while True:
            await self._turnstile.enter(DELIVERY)
            with discord_errors():
                page = [message async for message in channel.history(limit=_PAGE, before=before)]
            for message in page:
                if message.author == self._client.user and is_it(message):
                    return message.id
            if not page and before is None:
                raise NothingThere
            if len(page) < _PAGE or page[-1].id <= until:
                return None
            before = page[-1]


def no_earlier_than(moment: dt.datetime, now: dt.datetime, *, created_at: dt.datetime, sign: int) -> int:
    """Return a snowflake that is older than everything posted after a moment, in spite of a wrong clock.

    `moment`, `now` and `created_at` (of the job) are by our clock. `sign` is the id of the job's card or of
    what it was ordered with, by Discord's clock; 0 where there is none. A clock that was set back since
    wrote down moments that are still to come, and one that is ahead shows a card older than its job.
    """
    ahead = max(created_at - discord.utils.snowflake_time(sign), dt.timedelta()) if sign else dt.timedelta()
    if moment > now:
        moment = created_at
    return max(sign, discord.utils.time_snowflake(moment - ahead - _CLOCKS_DIFFER))


def _began_at(job: Job) -> dt.datetime:
    """Return since when there may be something posted of the job's stage.

    A restored backup fetches a clip once more that was posted long ago, so for an ending it is not the
    moment written down with it but the submit, which comes before any.
    """
    since = {
        Stage.RENDERING: job.submitted_at,
        Stage.UNCERTAIN: job.uncertain_at,
        Stage.DELIVERING: job.submitted_at,
        Stage.FAILED: job.submitted_at or job.finished_at,
    }
    return since.get(job.stage) or job.created_at


def _ordered_with(job: Job) -> int:
    """Return the id of the interaction or message that ordered the job; 0 where it was something else."""
    number = job.origin.rpartition(":")[2]
    return int(number) if number.isdecimal() else 0


def _is_card(message: discord.Message, job: Job) -> bool:
    """Whether a message is the job's card: by its button, or by the line that names the job on every card."""
    line = f"-# {messages.named(job)}"
    for part in discord.ui.LayoutView.from_message(message).walk_children():
        if getattr(part, "custom_id", None) == cards.cancel_id(job.job_id):
            return True
        if isinstance(part, discord.ui.TextDisplay) and line in part.content.splitlines():
            return True
    return False
