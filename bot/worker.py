"""The stages: takes every job from its card to its clip, one durable step at a time."""

import asyncio
import dataclasses
import datetime as dt
import itertools
import logging
from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any, Protocol

from bot import logs, pacing
from bot.acts import EDIT_GRACE_SECONDS, POST_GRACE_SECONDS, Acts
from bot.breaker import BOT_STOPPED
from bot.card_desk import CardDesk
from bot.catalogue import Catalogue
from bot.clip_room import ClipRoom
from bot.errors import ChannelClosed, DiscordTrouble, StorageTrouble
from bot.fallover import FallOver
from bot.gate import CardGone, Elsewhere, Gate
from bot.gateways.base import Failed, Finished, Lost
from bot.gateways.download import FetchError
from bot.health import Health
from bot.lane import Lane
from bot.models import Clock, Draft, Failure, FailureKind, Job, Sleep, Stage
from bot.slots import Slots
from bot.story import Stories
from bot.submitter import Submitter, TryLater
from bot.track import Track
from bot.waiting import news_until
from bot.watcher import Watcher
from storage.jobs import JobStore
from storage.stops import StopStore

log = logging.getLogger(__name__)

MOST_TRIES_TROUBLED = 10  # Discord fails: with growing pauses, some 20 minutes
MOST_TRIES_CLOSED = 4  # Discord refuses: half a minute in which somebody may give a permission back
LEAST_FETCHING = dt.timedelta(hours=1)


class Channels(Protocol):
    """What the worker needs of Discord. All of it may raise ChannelClosed or DiscordTrouble.

    `again` says that an earlier try may have posted the message: it is looked for first.
    """

    async def post_card(self, job: Job, *, again: bool) -> int:
        """Post the job's card; return the message's id."""
        ...

    async def deliver(self, job: Job, *, again: bool) -> int:
        """Post the clip; return the message's id."""
        ...

    async def tell(self, job: Job, *, again: bool, offer: Draft | None = None) -> None:
        """Say in the channel how the job ended, and what is offered in its stead."""
        ...

    async def write_directly(self, job: Job) -> None:
        """Say to the member alone what the channel did not take."""
        ...


class JobWorker:
    """One task a job, and only the row says where it stands.

    A stage is written before the act it announces and after the act has its result, so that whatever
    kills the process, the job goes on from what is written.
    """

    def __init__(
        self,
        *,
        store: JobStore,
        catalogue: Catalogue,
        lanes: Mapping[str, Lane],
        gate: Gate,
        fall_over: FallOver,
        submitter: Submitter,
        watcher: Watcher,
        stops: StopStore,
        clips: ClipRoom,
        channels: Channels,
        desk: CardDesk,
        acts: Acts,
        stories: Stories,
        track: Track,
        health: Health,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._store = store
        self._models = catalogue.models
        self._lanes = lanes
        self._gate = gate
        self._fall_over = fall_over
        self._submitter = submitter
        self._watcher = watcher
        self._stops = stops
        self._clips = clips
        self._channels = channels
        self._desk = desk
        self._acts = acts
        self._stories = stories
        self._track = track
        self._health = health
        self._clock = clock
        self._sleep = sleep
        self._arrivals: asyncio.Queue[Job] = asyncio.Queue()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._moved: dict[str, asyncio.Event] = {}  # of each task: somebody else moved its job on
        self._has_resumed = False

    # Life

    def add(self, job: Job) -> None:
        """Take a job that was stored just now. Returns at once."""
        self._arrivals.put_nowait(job)

    def drop(self, job: Job) -> None:
        """Stop driving a job that was cancelled just now, and show it."""
        if job.job_id in self._tasks:
            self._tasks[job.job_id].cancel()
        self._track.saw(job)
        self._desk.show(job)
        self._acts.begin(self._stories.tell(job), grace_seconds=EDIT_GRACE_SECONDS)

    def go_on(self, job: Job) -> None:
        """Drive a job that somebody moved out of `uncertain` just now; one that rests is woken."""
        if job.job_id in self._moved:
            self._moved[job.job_id].set()
        else:
            self._arrivals.put_nowait(job)

    async def run(self) -> None:
        """Resume what earlier runs left, then take jobs as they come, until cancelled."""
        unfinished = await self._unfinished()
        for job in unfinished:
            if job.stage in {Stage.SUBMITTING, Stage.RENDERING} or self._keeps_slot(job):
                self._slots(job).keep(job)
            if job.stage is Stage.RENDERING:  # where its model is on trial, it is the one that tries
                self._track.may_try(job.request.model, job.job_id)
        for job in unfinished:
            # Nobody but its task moves a rendering job: of a thousand, not one need be read again.
            self._start(job, attempt=2, known=job if job.stage is Stage.RENDERING else None)
        self._has_resumed = True
        while True:
            job = await self._arrivals.get()
            # What comes back out of `uncertain` may have been posted before, as may what is resumed.
            self._start(job, attempt=1 if job.stage is Stage.QUEUED else 2)

    async def stop(self) -> None:
        """Take no more steps; acts that are under way go on. `run` must have ended."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def busy_jobs(self) -> int:
        """How many jobs still have something to do; one at least, while nobody has looked yet."""
        return len(self._tasks) + self._arrivals.qsize() + (not self._has_resumed)

    async def _unfinished(self) -> list[Job]:
        """Return what earlier runs left, as soon as it can be read."""
        while True:
            try:
                return await self._store.unfinished()
            except StorageTrouble as error:
                self._health.notice(error.trouble, error.detail)
            await self._health.can_write()

    # The way of a job

    def _start(self, job: Job, *, attempt: int, known: Job | None = None) -> None:
        if job.job_id in self._tasks:
            return
        task = asyncio.create_task(self._drive(job.job_id, attempt, known), name=f"job {job.job_id}")
        self._tasks[job.job_id], self._moved[job.job_id] = task, asyncio.Event()
        task.add_done_callback(lambda _: self._ended(job))

    def _ended(self, job: Job) -> None:
        del self._tasks[job.job_id]
        self._slots(job).give_back(job.job_id)
        if self._moved.pop(job.job_id).is_set():
            self._arrivals.put_nowait(job)  # moved on in its task's last moment

    async def _drive(self, job_id: str, attempt: int, known: Job | None) -> None:
        """Take steps until none is left; one that fails is taken again after a growing pause.

        `attempt` counts the tries of a step. Each step of a resumed job begins with the second, since any
        of them may have been taken before: the database may be a backup that was restored. What the gateway
        does not take and what the disk does not are counted apart. `known` is the job where the row still
        says the same: the first step does not read it.
        """
        logs.about(job_id=job_id)
        first = attempt
        stage: Stage | None = None
        refusals = stalls = 0
        while True:
            try:
                await self._health.can_write()
                found, known = known, None
                stage = await self._advance(job_id, attempt, stage, found)
                if stage is None:
                    return
            except TryLater as error:
                log.warning("%s", error)
                refusals += 1
                attempt = first
                pause = error.after_seconds
                await self._sleep(pause if pause is not None else pacing.growing_pause(refusals))
            except (DiscordTrouble, ChannelClosed) as error:
                log.warning("attempt %d: %s", attempt, error)
                await self._sleep(pacing.growing_pause(attempt))
                attempt += 1
            except StorageTrouble as error:
                log.warning("the job waits: %s", error.detail)
                self._health.notice(error.trouble, error.detail)
                stalls += 1
                attempt = max(attempt, 2)  # what it did may be done, and only not be written down
                await self._sleep(pacing.growing_pause(stalls))
            except Exception:
                log.exception("attempt %d failed unexpectedly", attempt)
                await self._sleep(pacing.growing_pause(attempt))
                attempt += 1
            else:
                attempt, refusals, stalls = first, 0, 0

    async def _advance(
        self, job_id: str, attempt: int, before: Stage | None, known: Job | None
    ) -> Stage | None:
        """Take the next step; return the stage it was taken in, or None where there was none to take.

        `before` is the stage of the step before, if there was one. Who took the last step tells the story.
        """
        self._moved[job_id].clear()
        job = known or await self._store.get(job_id)
        if job is None:
            return None
        self._desk.show(job)
        if job.stage is not before:
            self._track.saw(job)
            level = logging.WARNING if job.stage is Stage.UNCERTAIN else logging.INFO
            why = job.failure.detail if job.failure is not None else None
            log.log(level, "the job is %s", job.stage, extra={"why": why})
        if await self._step(job, attempt):
            return job.stage
        if before is not None and not job.stage.is_open:
            await self._stories.tell(job)
        return None

    async def _step(self, job: Job, attempt: int) -> bool:
        """Take the next step of a job; return whether there may be another."""
        match job.stage:
            case Stage.QUEUED:
                await self._order(job, attempt)
            case Stage.SUBMITTING:
                # Only a restart finds a job here: the request may have been sent, or not.
                await self._lose(job, BOT_STOPPED)
            case Stage.RENDERING:
                self._slots(job).keep(job)  # one that was uncertain for long has none any more
                await self._watch(job, attempt)
            case Stage.FETCHING:
                self._slots(job).give_back(job.job_id)
                await self._fetch(job)
            case Stage.DELIVERING:
                await self._act(self._deliver(job, attempt))
            case Stage.FAILED | Stage.UNCERTAIN if job.told_stage is not job.stage:
                if not self._keeps_slot(job):
                    self._slots(job).give_back(job.job_id)
                await self._act(self._tell(job, attempt))
            case Stage.UNCERTAIN:
                # The gateway may be rendering it: its place stays taken for a while, not for ever.
                return await news_until(
                    self._moved[job.job_id], _kept_until(job), clock=self._clock, sleep=self._sleep
                )
            case _:
                return False
        return True

    async def _order(self, job: Job, attempt: int) -> None:
        """Post the card, wait at the gate, then submit."""
        try:
            if job.card_message_id is None:
                await self._act(self._post_card(job, attempt))
                return
            admitted = await self._gate.admit(job)
            if isinstance(admitted, CardGone):
                await self._act(self._post_card(job, attempt))
                return
        except (ChannelClosed, DiscordTrouble) as error:
            if isinstance(error, DiscordTrouble) and attempt < MOST_TRIES_TROUBLED:
                raise
            admitted = Failure(kind=FailureKind.NO_CARD, detail=str(error)[:200])
        match admitted:
            case Failure():
                await self._end(job, admitted)
            case Elsewhere(successor=successor):
                self.add(successor)
            case _:
                self._go_on_with(await self._submitter.submit(job, admitted))

    async def _post_card(self, job: Job, attempt: int) -> None:
        message_id = await self._channels.post_card(job, again=attempt > 1)
        now_posted = await self._store.card_posted(job.job_id, message_id, showing=job.stage)
        # It may have been cancelled meanwhile: what the card shows is what it was made from.
        self._desk.show(dataclasses.replace(job, card_message_id=message_id), as_posted=True)
        self._desk.show(now_posted)

    async def _watch(self, job: Job, attempt: int) -> None:
        attempts = itertools.count(attempt)

        def when_late() -> Awaitable[bool]:
            return self._acts.finish(self._tell_late(job, next(attempts)), grace_seconds=POST_GRACE_SECONDS)

        match await self._watcher.last_word(job, when_late=when_late):
            case Finished(urls=urls, clip=clip, cost_micros=cost, took_seconds=took):
                if clip is not None:
                    await self._clips.keep(job, clip)
                if cost is None:
                    cost = self._models[job.request.model].cost_micros(job.request, took)
                ready_at = (job.submitted_at or job.created_at) + dt.timedelta(seconds=took) if took else None
                await self._store.rendered(
                    job.job_id, urls, cost_micros=cost, ready_at=ready_at, now=self._clock()
                )
            case Failed() | Lost() if await self._stops.stopped(job.job_id, now=self._clock()):
                pass  # somebody had its gateway asked to end it
            case Failed(failure=failure):
                await self._fail(job, failure)
            case Lost(detail=detail):
                await self._lose(job, detail)

    async def _fetch(self, job: Job) -> None:
        """Download the clip; the money settles with the commit that records it."""
        link_hours = self._models[job.request.model].link_hours
        promised_until = (job.submitted_at or job.created_at) + dt.timedelta(hours=link_hours)
        hour_from_now = self._clock() + LEAST_FETCHING
        deadline = max(promised_until, hour_from_now)
        urls = job.result_urls
        tries = bad = 0
        while True:
            try:
                clip = await self._clips.fetch(job, urls)
            except FetchError as error:
                tries += 1
                bad += error.lasting
                # A clip that is not there within the hour was never made.
                until = hour_from_now if error.is_absent else deadline
                if bad >= pacing.MOST_BAD_FILES or self._clock() >= until:
                    kind = FailureKind.BAD_FILE if error.lasting else FailureKind.CLIP_LOST
                    if await self._stops.stopped(job.job_id, now=self._clock()) is None:
                        await self._fail(job, Failure(kind=kind, detail=str(error)))
                    return
                await self._sleep(pacing.growing_pause(tries))
                urls = await self._look_for_clip(job, urls)
            else:
                await self._store.fetched(job.job_id, clip, now=self._clock())
                return

    async def _look_for_clip(self, job: Job, urls: tuple[str, ...]) -> tuple[str, ...]:
        """Ask once more where a clip is: signed links end, servers move, and answers may hold it."""
        seen = await self._watcher.look(job, job.task_id or "")
        if not isinstance(seen, Finished):
            return urls
        if seen.clip is not None:
            await self._clips.keep(job, seen.clip)
            return ()
        return seen.urls or urls

    async def _deliver(self, job: Job, attempt: int) -> None:
        message_id: int | None = None
        try:
            message_id = await self._channels.deliver(job, again=attempt > 1)
            note = "posted"
        except (ChannelClosed, DiscordTrouble) as error:
            note = await self._write_directly(job, attempt, error)
        await self._store.delivered(job.job_id, message_id, note=note, now=self._clock())

    async def _tell(self, job: Job, attempt: int) -> None:
        try:
            await self._channels.tell(job, again=attempt > 1, offer=await self._fall_over.offered(job))
        except (ChannelClosed, DiscordTrouble) as error:
            await self._write_directly(job, attempt, error)
        await self._store.told(job.job_id, job.stage)

    async def _tell_late(self, job: Job, attempt: int) -> bool:
        """Say that the clip takes long; return whether that is done. In the end the card says so too."""
        try:
            await self._channels.tell(job, again=attempt > 1)
        except (ChannelClosed, DiscordTrouble) as error:
            log.warning("attempt %d: nobody could be told that it takes long: %s", attempt, error)
            if attempt < MOST_TRIES_CLOSED:
                return False
        await self._store.told(job.job_id, Stage.RENDERING)
        return True

    # Small steps they share

    async def _write_directly(self, job: Job, attempt: int, error: ChannelClosed | DiscordTrouble) -> str:
        """Write to the member alone, once the channel had its chances; return what became of it."""
        chances = MOST_TRIES_CLOSED if isinstance(error, ChannelClosed) else MOST_TRIES_TROUBLED
        if attempt < chances:
            raise error
        try:
            await self._channels.write_directly(job)
        except (ChannelClosed, DiscordTrouble) as also:
            is_early = self._clock() - job.created_at < pacing.LONGEST_WAIT
            if isinstance(also, DiscordTrouble) and is_early:
                raise  # Discord fails everywhere: then the channel is the first to have it again
            log.warning("direct messages are closed too: %s", also)
            return "channel and direct messages closed; kept for /video show"
        return "channel closed; told by direct message"

    async def _fail(self, job: Job, failure: Failure) -> None:
        """End a job as the gateway did, and draw what that says of the key and the model."""
        await self._end(job, failure)
        await self._gate.refused(job, failure)

    async def _end(self, job: Job, failure: Failure) -> None:
        """End a job that failed; where another model goes on with it, so does this worker."""
        self._go_on_with(await self._fall_over.end(job, failure))

    def _go_on_with(self, successor: Job | None) -> None:
        if successor is not None:
            self.add(successor)

    async def _lose(self, job: Job, detail: str) -> None:
        await self._store.lose_sight(job.job_id, detail, now=self._clock())

    async def _act(self, act: Coroutine[Any, Any, None]) -> None:
        """Post something; a stop waits for it a little."""
        await self._acts.finish(act, grace_seconds=POST_GRACE_SECONDS)

    def _keeps_slot(self, job: Job) -> bool:
        return job.stage is Stage.UNCERTAIN and self._clock() < _kept_until(job)

    def _slots(self, job: Job) -> Slots:
        return self._lanes[job.request.model].slots


def _kept_until(job: Job) -> dt.datetime:
    """Return until when an uncertain job keeps its place."""
    return (job.uncertain_at or job.created_at) + pacing.UNCERTAIN_KEEPS_SLOT
