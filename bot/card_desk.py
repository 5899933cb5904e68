"""Keeps every card as true as Discord's edit limits allow: the newest state wins, stages go first."""

import asyncio
import dataclasses
import logging
from typing import Any, Protocol

from bot import pacing
from bot.acts import EDIT_GRACE_SECONDS, Acts
from bot.catalogue import Catalogue
from bot.errors import ChannelClosed, DiscordTrouble
from bot.models import Clock, Job, Sleep, Stage
from storage.jobs import JobStore

log = logging.getLogger(__name__)

_TICK_SECONDS = 1 / pacing.EDITS_PER_SECOND
_LOOK_SECONDS = 5.0  # how soon a bar that has grown is noticed
_UNKNOWN = -1  # cells of a bar that an earlier run drew


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
    """What of a card changes; two equal faces need no edit."""

    stage: Stage
    waiting_for: str
    refunded_micros: int
    cells: int


@dataclasses.dataclass
class _Card:
    """One job's card: what it should show, what it shows since when, and how Discord took the last edit."""

    job: Job
    shown: _Face | None
    since: float
    edited_at: float = float("-inf")
    is_at_work: bool = False
    is_closed: bool = False  # gone or forbidden: only a new stage is worth another try
    is_troubled: bool = False  # the last edit failed: the next one waits like mere progress


class CardDesk:
    """Remembers each job's newest state and what its card shows, and edits where they differ."""

    def __init__(
        self,
        editor: CardEditor,
        store: JobStore,
        catalogue: Catalogue,
        *,
        acts: Acts,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._editor = editor
        self._store = store
        self._catalogue = catalogue
        self._acts = acts
        self._clock = clock
        self._sleep = sleep
        self._cards: dict[str, _Card] = {}
        self._channel_edited: dict[int, float] = {}
        self._news = asyncio.Event()

    def show(self, job: Job, *, as_posted: bool = False) -> None:
        """Take a job's newest state; `as_posted` says that its card was made from it just now."""
        if job.card_message_id is None:
            return
        card = self._cards.get(job.job_id)
        if card is None:
            if not as_posted and not job.stage.is_open and job.card_stage is job.stage:
                return  # over, and its card says so
            card = self._cards[job.job_id] = _Card(job, _shown_by_earlier_run(job), self._now())
        card.job = job
        if as_posted:
            card.shown = self._face(job)
            card.since = card.edited_at = self._now()
            card.is_closed = card.is_troubled = False
        self._news.set()

    async def run(self) -> None:
        """Edit cards until cancelled."""
        while True:
            if self._next() is None:
                await self._rest()
                continue
            await self._editor.turn_to_edit()
            wish = self._next()  # chosen only now: there may be newer news
            if wish is not None:
                card = self._cards[wish.job_id]
                card.is_at_work = True
                self._channel_edited[wish.channel_id] = card.edited_at = self._now()
                self._acts.begin(self._edit(card), grace_seconds=EDIT_GRACE_SECONDS)
                await self._sleep(_TICK_SECONDS)

    @property
    def is_quiet(self) -> bool:
        """Whether every card shows its job's stage."""
        return not self._is_behind() and not any(card.is_at_work for card in self._cards.values())

    async def _rest(self) -> None:
        """Wait for news, for a bar to grow, or for the turn of a card that has to wait."""
        self._news.clear()
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._news.wait())]
        moments = [self._turn_of(card) for card in self._idle_cards()]
        if any(card.job.stage is Stage.RENDERING for card in self._cards.values()):
            moments.append(self._now() + _LOOK_SECONDS)
        if moments:
            # Never longer than a card may have to wait: the clock may have been set back.
            seconds = min(max(min(moments) - self._now(), _TICK_SECONDS), pacing.CARD_EDIT_SECONDS)
            waits.append(asyncio.ensure_future(self._sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _idle_cards(self) -> list[_Card]:
        """Return the cards that need an edit and have none under way."""
        return [card for card in self._cards.values() if not card.is_at_work and self._needs_edit(card)]

    def _turn_of(self, card: _Card) -> float:
        channel_edited = self._channel_edited.get(card.job.channel_id, float("-inf"))
        own_turn = float("-inf") if self._is_urgent(card) else card.edited_at + pacing.CARD_EDIT_SECONDS
        return max(channel_edited + pacing.CHANNEL_EDIT_SECONDS, own_turn)

    def _next(self) -> pacing.CardWish | None:
        wishes = [
            pacing.CardWish(
                job_id=card.job.job_id,
                channel_id=card.job.channel_id,
                stage_changed=self._is_urgent(card),
                since=card.since,
            )
            for card in self._idle_cards()
        ]
        return pacing.next_card(
            wishes,
            now=self._now(),
            card_edited={wish.job_id: self._cards[wish.job_id].edited_at for wish in wishes},
            channel_edited=self._channel_edited,
        )

    async def _edit(self, card: _Card) -> None:
        job, face, differs = card.job, self._face(card.job), self._differs(card)
        try:
            card.is_troubled = True  # unless it turns out well
            card.is_closed = not await self._could_edit(job)
            card.is_troubled = False
            card.shown, card.since = face, self._now()
            if differs:
                await self._store.card_shows(job.job_id, job.stage)
        except DiscordTrouble as error:
            log.warning("job %s: its card could not be edited: %s", job.job_id, error)
        except Exception:
            log.exception("job %s: its card could not be edited", job.job_id)
        finally:
            card.is_at_work = False
            self._news.set()
        if not card.job.stage.is_open and card.shown == self._face(card.job):
            self._forget(card.job)

    async def _could_edit(self, job: Job) -> bool:
        try:
            await self._editor.edit_card(job)
        except ChannelClosed as error:
            log.info("job %s: its card cannot be edited: %s", job.job_id, error)
            return False
        return True

    def _forget(self, job: Job) -> None:
        del self._cards[job.job_id]
        if not any(other.job.channel_id == job.channel_id for other in self._cards.values()):
            self._channel_edited = {
                channel: edited_at
                for channel, edited_at in self._channel_edited.items()
                if self._now() - edited_at < pacing.CHANNEL_EDIT_SECONDS
            }

    def _needs_edit(self, card: _Card) -> bool:
        return self._differs(card) or (not card.is_closed and card.shown != self._face(card.job))

    def _differs(self, card: _Card) -> bool:
        """Whether the card is wrong, not merely behind with its bar."""
        shown, job = card.shown, card.job
        return shown is None or shown != dataclasses.replace(self._face(job), cells=shown.cells)

    def _is_urgent(self, card: _Card) -> bool:
        return self._differs(card) and not card.is_troubled

    def _is_behind(self) -> bool:
        return any(self._differs(card) for card in self._cards.values())

    def _face(self, job: Job) -> _Face:
        cells = 0
        if job.stage is Stage.RENDERING and job.submitted_at is not None:
            timing = self._catalogue.models[job.request.model].timing
            cells = pacing.bar_cells(timing, job.submitted_at, self._clock())
        return _Face(job.stage, job.waiting_for, job.corrected_micros, cells)

    def _now(self) -> float:
        return self._clock().timestamp()


def _shown_by_earlier_run(job: Job) -> _Face | None:
    """Return what the card shows since before this run: the right stage needs no hurry."""
    is_true = job.card_stage is job.stage
    return _Face(job.stage, job.waiting_for, job.corrected_micros, _UNKNOWN) if is_true else None
