"""Keeps every card as true as Discord's edit limits allow: the newest state wins, stages go first."""

import asyncio
import dataclasses
import logging
from typing import Protocol

from bot import logs, pacing
from bot.acts import EDIT_GRACE_SECONDS, Acts
from bot.errors import ChannelClosed, DiscordTrouble, StorageTrouble
from bot.forecast import Forecast
from bot.models import Clock, Failure, Job, Sleep, Stage
from bot.outlook import NOTHING_KNOWN, Outlook
from bot.waiting import news_or
from storage.jobs import JobStore

log = logging.getLogger(__name__)

_TICK_SECONDS = 1 / pacing.EDITS_PER_SECOND
_LOOK_SECONDS = 5.0  # how soon a bar that has grown is noticed
_FORETOLD = frozenset({Stage.QUEUED, Stage.RENDERING})


class CardEditor(Protocol):
    """Whoever can edit a card."""

    async def turn_to_edit(self) -> None:
        """Wait until nothing more important has to be sent."""
        ...

    async def edit_card(self, job: Job) -> None:
        """Show the job's state on its card; may raise ChannelClosed or DiscordTrouble."""
        ...


@dataclasses.dataclass(frozen=True)
class _Face:
    """What of a card changes with its job; two equal faces need no edit."""

    stage: Stage
    waiting_for: str
    refunded_micros: int
    failure: Failure | None


@dataclasses.dataclass
class _Card:
    """One job's card: what it should show, what it shows since when, and how Discord took the last edit."""

    job: Job
    face: _Face
    outlook: Outlook
    shown: _Face | None
    shown_outlook: Outlook | None
    since: float
    is_at_work: bool = False
    is_inherited: bool = False  # an earlier run showed how far the task is, and only a look can tell anew
    is_closed: bool = False  # gone or forbidden: only a new stage is worth another try
    troubles: int = 0  # the last edits failed: the next one waits like mere progress, and longer each time

    @property
    def differs(self) -> bool:
        """Whether the card is wrong, not merely behind with its outlook."""
        return self.shown != self.face

    @property
    def needs_edit(self) -> bool:
        """Whether an edit would change anything."""
        return self.differs or (not self.is_closed and self.shown_outlook != self.outlook)

    @property
    def pause_seconds(self) -> float:
        """How long it is left as it is after an edit."""
        return pacing.growing_pause(self.troubles, first_seconds=pacing.CARD_EDIT_SECONDS)


class CardDesk:
    """Remembers each job's newest state and what its card shows, and edits where they differ.

    What time alone changes is looked at every few seconds, so that a thousand cards cost little.
    """

    def __init__(
        self,
        editor: CardEditor,
        store: JobStore,
        forecast: Forecast,
        *,
        acts: Acts,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._editor = editor
        self._store = store
        self._forecast = forecast
        self._acts = acts
        self._clock = clock
        self._sleep = sleep
        self._cards: dict[str, _Card] = {}
        self._wishes: dict[str, pacing.CardWish] = {}  # of the cards that need an edit, with none under way
        self._card_edited: dict[str, float] = {}
        self._channel_edited: dict[int, float] = {}
        self._looked_at = float("-inf")
        self._news = asyncio.Event()

    def show(self, job: Job, *, as_posted: bool = False) -> None:
        """Take a job's newest state; `as_posted` says that its card was made from it just now."""
        if job.card_message_id is None:
            return
        card = self._cards.get(job.job_id)
        if card is None:
            if not as_posted and not job.stage.is_open and job.card_stage is job.stage:
                return  # over, and its card says so
            # An earlier run may have shown the right stage: then there is no hurry.
            shown = _face(job) if job.card_stage is job.stage else None
            card = _Card(job, _face(job), NOTHING_KNOWN, shown, None, self._now())
            card.is_inherited = shown is not None and job.stage is Stage.RENDERING
            self._cards[job.job_id] = card
        card.job = job
        self._weigh(card)
        if as_posted:
            card.shown, card.shown_outlook = card.face, card.outlook
            card.since = self._card_edited[job.job_id] = self._now()
            card.is_closed, card.troubles = False, 0
            self._weigh(card)
        self._news.set()

    async def run(self) -> None:
        """Edit cards until cancelled."""
        while True:
            self._look()
            if self._next() is None:
                await self._rest()
                continue
            await self._editor.turn_to_edit()
            wish = self._next()  # chosen only now: there may be newer news
            if wish is not None:
                card = self._cards[wish.job_id]
                card.is_at_work = True
                self._weigh(card)
                self._channel_edited[wish.channel_id] = self._card_edited[wish.job_id] = self._now()
                self._acts.begin(self._edit(card), grace_seconds=EDIT_GRACE_SECONDS)
                await self._sleep(_TICK_SECONDS)

    @property
    def is_quiet(self) -> bool:
        """Whether every card shows its job's stage."""
        return not any(card.differs or card.is_at_work for card in self._cards.values())

    async def _rest(self) -> None:
        """Wait for news, for a bar to grow, or for the turn of a card that has to wait."""
        self._news.clear()
        moments = [self._turn_of(wish) for wish in self._wishes.values()]
        if any(card.job.stage in _FORETOLD for card in self._cards.values()):
            moments.append(self._looked_at + _LOOK_SECONDS)
        pause = None
        if moments:
            # Never longer than a card may have to wait: the clock may have been set back.
            pause = self._sleep(min(max(min(moments) - self._now(), _TICK_SECONDS), pacing.CARD_EDIT_SECONDS))
        await news_or(self._news, pause)

    def _turn_of(self, wish: pacing.CardWish) -> float:
        channel_edited = self._channel_edited.get(wish.channel_id, float("-inf"))
        card_edited = self._card_edited.get(wish.job_id, float("-inf"))
        own_turn = float("-inf") if wish.stage_changed else card_edited + wish.pause_seconds
        return max(channel_edited + pacing.CHANNEL_EDIT_SECONDS, own_turn)

    def _next(self) -> pacing.CardWish | None:
        return pacing.next_card(
            self._wishes.values(),
            now=self._now(),
            card_edited=self._card_edited,
            channel_edited=self._channel_edited,
        )

    def _look(self) -> None:
        """Take what time has changed, every few seconds."""
        now = self._now()
        if 0 <= now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        for card in self._cards.values():
            if card.job.stage in _FORETOLD:
                self._weigh(card)

    def _weigh(self, card: _Card) -> None:
        """Work out what the card should show, and whether that is worth an edit."""
        job = card.job
        card.face, card.outlook = _face(job), self._forecast.of(job)
        card.is_inherited &= job.stage is Stage.RENDERING and not self._forecast.is_heard_of(job)
        if card.is_at_work or card.is_inherited or not card.needs_edit:
            self._wishes.pop(job.job_id, None)
            return
        self._wishes[job.job_id] = pacing.CardWish(
            job_id=job.job_id,
            channel_id=job.channel_id,
            stage_changed=card.differs and not card.troubles,
            since=card.since,
            pause_seconds=card.pause_seconds,
        )

    async def _edit(self, card: _Card) -> None:
        job, face, outlook, differs = card.job, card.face, card.outlook, card.differs
        try:
            logs.about(job_id=job.job_id)
            card.troubles += 1  # unless it turns out well
            card.is_closed = not await self._could_edit(job)
            card.troubles = 0
            card.shown, card.shown_outlook, card.since = face, outlook, self._now()
            if differs:
                await self._store.card_shows(job.job_id, job.stage)
        except (DiscordTrouble, StorageTrouble) as error:
            log.warning("the card could not be edited: %s", error)
        except Exception:
            log.exception("the card could not be edited")
        finally:
            card.is_at_work = False
            self._weigh(card)
            self._news.set()
        if not card.job.stage.is_open and not card.differs:
            self._forget(card.job)

    async def _could_edit(self, job: Job) -> bool:
        try:
            await self._editor.edit_card(job)
        except ChannelClosed as error:
            log.info("the card cannot be edited: %s", error)
            return False
        return True

    def _forget(self, job: Job) -> None:
        del self._cards[job.job_id]
        self._wishes.pop(job.job_id, None)
        self._card_edited.pop(job.job_id, None)
        if not any(other.job.channel_id == job.channel_id for other in self._cards.values()):
            self._channel_edited = {
                channel: edited_at
                for channel, edited_at in self._channel_edited.items()
                if self._now() - edited_at < pacing.CHANNEL_EDIT_SECONDS
            }

    def _now(self) -> float:
        return self._clock().timestamp()


def _face(job: Job) -> _Face:
    return _Face(job.stage, job.waiting_for, job.corrected_micros, job.failure)
