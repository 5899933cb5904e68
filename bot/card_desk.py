"""Keeps every card as true as Discord's edit limits allow: the newest state wins, stages go first."""

import asyncio
import dataclasses
import logging
from typing import Protocol

from bot import pacing
from bot.catalogue import Catalogue
from bot.errors import ChannelClosed, DiscordTrouble
from bot.models import Clock, Job, Sleep, Stage
from storage.jobs import JobStore

log = logging.getLogger(__name__)

_TICK_SECONDS = 1 / pacing.EDITS_PER_SECOND
_IDLE_SECONDS = 1.0


class CardEditor(Protocol):
    """Whoever can edit a card."""

    async def edit_card(self, job: Job) -> None: ...


@dataclasses.dataclass(frozen=True)
class _Face:
    """What of a card changes; two equal faces need no edit."""

    stage: Stage
    waiting_for: str
    cells: int


class CardDesk:
    """Remembers each job's newest state and what its card shows, and edits where they differ."""

    def __init__(
        self, editor: CardEditor, store: JobStore, catalogue: Catalogue, *, clock: Clock, sleep: Sleep
    ) -> None:
        self._editor = editor
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._sleep = sleep
        self._jobs: dict[str, Job] = {}
        self._shown: dict[str, _Face] = {}
        self._since: dict[str, float] = {}
        self._card_edited: dict[str, float] = {}
        self._channel_edited: dict[int, float] = {}
        self._at_work: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()

    def show(self, job: Job, *, as_posted: bool = False) -> None:
        """Take a job's newest state; `as_posted` says that its card was made from it just now."""
        if job.card_message_id is None:
            return
        self._jobs[job.job_id] = job
        self._since.setdefault(job.job_id, self._now())
        if as_posted:
            self._shown[job.job_id] = self._face(job)
            self._card_edited[job.job_id] = self._now()
        self._news.set()

    async def run(self) -> None:
        """Edit cards until cancelled."""
        try:
            while True:
                wish = self._next()
                if wish is not None:
                    task = asyncio.create_task(self._edit(wish), name=f"card {wish.job_id}")
                    self._at_work[wish.job_id] = task
                    await self._sleep(_TICK_SECONDS)
                elif self._jobs:
                    await self._sleep(_IDLE_SECONDS if not self._behind() else _TICK_SECONDS)
                else:
                    self._news.clear()
                    await self._news.wait()
        finally:
            for task in self._at_work.values():
                task.cancel()

    @property
    def is_quiet(self) -> bool:
        """Whether every card shows its job's stage."""
        return not self._at_work and not self._behind()

    def _next(self) -> pacing.CardWish | None:
        now = self._now()
        wishes = [
            pacing.CardWish(
                job_id=job.job_id,
                channel_id=job.channel_id,
                stage_changed=self._stage_differs(job),
                since=self._since[job.job_id],
            )
            for job in self._jobs.values()
            if job.job_id not in self._at_work and self._shown.get(job.job_id) != self._face(job)
        ]
        return pacing.next_card(
            wishes, now=now, card_edited=self._card_edited, channel_edited=self._channel_edited
        )

    async def _edit(self, wish: pacing.CardWish) -> None:
        job = self._jobs[wish.job_id]
        face = self._face(job)
        stage_changed = self._stage_differs(job)
        self._channel_edited[job.channel_id] = self._card_edited[job.job_id] = self._now()
        try:
            await self._editor.edit_card(job)
            if stage_changed:
                await self._store.card_shows(job.job_id, job.stage)
        except ChannelClosed as error:
            log.info("job %s: its card cannot be edited: %s", job.job_id, error)
            await self._store.card_shows(job.job_id, job.stage)
        except DiscordTrouble as error:
            log.warning("job %s: its card could not be edited: %s", job.job_id, error)
            return
        finally:
            self._at_work.pop(job.job_id, None)
        self._shown[job.job_id] = face
        self._since[job.job_id] = self._now()
        if not job.stage.is_open and self._jobs.get(job.job_id) is job:
            self._forget(job)

    def _forget(self, job: Job) -> None:
        for table in (self._jobs, self._shown, self._since, self._card_edited):
            table.pop(job.job_id, None)
        if not any(other.channel_id == job.channel_id for other in self._jobs.values()):
            self._channel_edited.pop(job.channel_id, None)

    def _stage_differs(self, job: Job) -> bool:
        shown = self._shown.get(job.job_id)
        return shown is None or shown.stage is not job.stage or shown.waiting_for != job.waiting_for

    def _behind(self) -> bool:
        return any(self._stage_differs(job) for job in self._jobs.values())

    def _face(self, job: Job) -> _Face:
        cells = 0
        if job.stage is Stage.RENDERING and job.submitted_at is not None:
            timing = self._catalogue.models[job.request.model].timing
            cells = pacing.bar_cells(timing, job.submitted_at, self._clock())
        return _Face(job.stage, job.waiting_for, cells)

    def _now(self) -> float:
        return self._clock().timestamp()
