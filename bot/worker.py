"""The stages: takes every job from its card to its clip, one durable step at a time."""

import asyncio
import datetime as dt
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Protocol

from bot import pacing
from bot.availability import Availability
from bot.card_desk import CardDesk
from bot.catalogue import Model
from bot.errors import ChannelClosed, DiscordTrouble
from bot.gateways import verdicts
from bot.gateways.base import (
    Accepted,
    Failed,
    Finished,
    Gateway,
    Lost,
    Missing,
    NoAnswer,
    NotAccepted,
    Refused,
    Running,
    data_url,
)
from bot.gateways.download import ClipFetcher, FetchError
from bot.models import Clock, Failure, FailureKind, Job, OutageScope, Sleep, Stage
from bot.slots import Slots
from bot.turnstile import Turnstile
from storage.jobs import JobStore

log = logging.getLogger(__name__)

SUBMIT, CHECK = range(2)  # who goes first at a gateway's turnstile

SUBMIT_GRACE_SECONDS = 30.0
POST_GRACE_SECONDS = 8.0
OUTAGE_LOOK_SECONDS = 60.0


class Channels(Protocol):
    """What the worker needs of Discord. All of it may raise ChannelClosed or DiscordTrouble."""

    async def post_card(self, job: Job) -> int: ...
    async def picture_link(self, job: Job) -> str | None: ...
    async def deliver(self, job: Job) -> tuple[int | None, str]: ...
    async def tell(self, job: Job) -> None: ...


class JobWorker:
    """One task a job. A stage is written before the act it announces and after the act has its
    result, so that whatever kills the process, the job goes on from what is written."""

    def __init__(  # noqa: PLR0913 - the worker is where everything meets
        self,
        *,
        store: JobStore,
        availability: Availability,
        gateways: Mapping[str, Gateway],
        fetcher: ClipFetcher,
        channels: Channels,
        desk: CardDesk,
        clips: Path,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._store = store
        self._availability = availability
        self._gateways = gateways
        self._fetcher = fetcher
        self._channels = channels
        self._desk = desk
        self._clips = clips
        self._clock = clock
        self._sleep = sleep
        self._arrivals: asyncio.Queue[Job] = asyncio.Queue()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._unbreakable: dict[str, float] = {}  # job ids at a step that a stop waits for, so many seconds
        self._stopping = False
        self._troubles: Counter[str] = Counter()  # failures in a row of a job's present step
        models = availability.catalogue.models.values()
        self._slots = {model.model_id: Slots(model.limits.concurrent_tasks) for model in models}
        self._turnstiles = {
            model.model_id: Turnstile(
                pacing.seconds_between_requests(model.limits.requests_per_minute),
                clock=clock,
                sleep=sleep,
                name=model.model_id,
            )
            for model in models
        }
        self._limited: defaultdict[str, int] = defaultdict(int)  # 429s in a row of a model

    # Life

    def add(self, job: Job) -> None:
        """Take a job that was stored just now. Returns at once."""
        self._arrivals.put_nowait(job)

    def drop(self, job: Job) -> None:
        """Stop driving a job that was cancelled just now, and show it."""
        task = self._tasks.get(job.job_id)
        if task is not None and job.job_id not in self._unbreakable:
            task.cancel()
        self._desk.show(job)

    async def run(self) -> None:
        """Resume what earlier runs left, then take jobs as they come, until stopped."""
        for job in await self._store.unfinished():
            if job.stage in {Stage.RENDERING, Stage.UNCERTAIN}:
                self._slots[job.request.model].keep(job)
            self._drive_in_background(job)
        prober = asyncio.create_task(self._probe_stopped_keys(), name="key prober")
        try:
            while True:
                self._drive_in_background(await self._arrivals.get())
        finally:
            prober.cancel()

    async def stop(self) -> None:
        """Take no more steps. A paid request in flight is waited for, a message being posted briefly."""
        self._stopping = True
        for job_id, task in self._tasks.items():
            if job_id not in self._unbreakable:
                task.cancel()
        for grace in (POST_GRACE_SECONDS, SUBMIT_GRACE_SECONDS - POST_GRACE_SECONDS):
            waited_for = [self._tasks[job_id] for job_id in self._unbreakable if job_id in self._tasks]
            if waited_for:
                await asyncio.wait(waited_for, timeout=grace)
            for job_id, most in list(self._unbreakable.items()):
                if most <= POST_GRACE_SECONDS and job_id in self._tasks:
                    self._tasks[job_id].cancel()
        left = list(self._tasks.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for turnstile in self._turnstiles.values():
            await turnstile.close()

    @property
    def busy_jobs(self) -> int:
        """How many jobs still have something to do."""
        return len(self._tasks) + self._arrivals.qsize()

    # The way of a job

    def _drive_in_background(self, job: Job) -> None:
        if job.job_id in self._tasks:
            return
        task = asyncio.create_task(self._drive(job), name=f"job {job.job_id}")
        self._tasks[job.job_id] = task
        task.add_done_callback(lambda _: self._finished(job))

    def _finished(self, job: Job) -> None:
        del self._tasks[job.job_id]
        self._unbreakable.pop(job.job_id, None)
        self._troubles.pop(job.job_id, None)
        self._slots[job.request.model].give_back(job.job_id)

    async def _drive(self, job: Job) -> None:
        """Take steps until none is left; an unexpected error is logged and the step taken again."""
        following: Job | None = job
        while following is not None and not self._stopping:
            job = following
            self._desk.show(job)
            try:
                following = await self._step(job)
            except DiscordTrouble as error:
                log.warning("job %s: Discord: %s", job.job_id, error)
                await self._pause(job)
                following = await self._store.get(job.job_id)
            except Exception:
                log.exception("job %s: step %s failed unexpectedly", job.job_id, job.stage)
                await self._pause(job)
                following = await self._store.get(job.job_id)
            else:
                if following is not None and following.stage is not job.stage:
                    self._troubles.pop(job.job_id, None)
                    log.info("job %s: %s -> %s", job.job_id, job.stage, following.stage)

    async def _step(self, job: Job) -> Job | None:
        """Take the next step of a job; None where nothing is left to do."""
        match job.stage:
            case Stage.QUEUED if job.card_message_id is None:
                return await self._post_card(job)
            case Stage.QUEUED:
                return await self._submit(job)
            case Stage.SUBMITTING:
                # Only a restart finds a job here: the request may have been sent, or not.
                return await self._moved(
                    job,
                    self._store.lose_sight(
                        job.job_id, "the bot stopped while it was ordering", now=self._clock()
                    ),
                )
            case Stage.RENDERING:
                return await self._watch(job)
            case Stage.FETCHING:
                self._slots[job.request.model].give_back(job.job_id)
                return await self._fetch(job)
            case Stage.DELIVERING:
                return await self._deliver(job)
            case Stage.FAILED | Stage.UNCERTAIN if job.told_stage is not job.stage:
                return await self._tell(job)
            case Stage.UNCERTAIN:
                return await self._keep_slot_a_while(job)
            case _:
                return None

    async def _post_card(self, job: Job) -> Job | None:
        self._unbreakable[job.job_id] = POST_GRACE_SECONDS
        try:
            message_id = await self._channels.post_card(job)
            posted = await self._store.card_posted(job.job_id, message_id, showing=job.stage)
        except ChannelClosed as error:
            return await self._fail(job, Failure(kind=FailureKind.NO_CARD, detail=str(error)[:200]))
        finally:
            self._unbreakable.pop(job.job_id, None)
        self._desk.show(posted, as_posted=True)
        return posted

    async def _submit(self, job: Job) -> Job | None:
        """Wait for the key, a slot, a fresh picture and the request limit; then order, exactly once."""
        model = self._availability.catalogue.models[job.request.model]
        hindered = await self._hindered(job, model)
        if hindered is not None:
            return hindered
        slots = self._slots[model.model_id]
        await slots.take(job)
        try:
            picture = await self._picture(job, model)
        except ChannelClosed as error:
            return await self._fail(job, Failure(kind=FailureKind.NO_CARD, detail=str(error)[:200]))
        if picture is None and job.picture is not None:
            return await self._post_card(job)  # somebody deleted the card, and with it the picture
        await self._turnstiles[model.model_id].enter(SUBMIT)
        if self._availability.why_not(model) is not None:
            slots.give_back(job.job_id)
            return job
        self._unbreakable[job.job_id] = SUBMIT_GRACE_SECONDS
        try:
            return await self._order(job, model, picture)
        finally:
            self._unbreakable.pop(job.job_id, None)

    async def _order(self, job: Job, model: Model, picture: str | None) -> Job | None:
        """Write that the request goes out, send it, and write what became of it."""
        submitting = await self._store.start_submit(job.job_id, now=self._clock())
        if submitting is None:
            return await self._store.get(job.job_id)  # cancelled while it waited
        self._desk.show(submitting)
        outcome = await self._gateways[job.gateway].submit(model, job.request, picture)
        now = self._clock()
        match outcome:
            case Accepted(task_id=task_id):
                self._limited.pop(model.model_id, None)
                moved = await self._moved(job, self._store.submit_accepted(job.job_id, task_id, now=now))
                await self._availability.works(model)
                return moved
            case Lost(detail=detail):
                return await self._moved(job, self._store.lose_sight(job.job_id, detail, now=now))
            case Refused(failure=failure):
                return await self._fail(submitting, failure)
            case NotAccepted() as refusal:
                return await self._try_again(submitting, model, refusal)

    async def _try_again(self, job: Job, model: Model, refusal: NotAccepted) -> Job | None:
        failure = refusal.failure
        too_often = refusal.counts and job.submit_tries >= pacing.MOST_SUBMIT_TRIES
        if too_often or self._clock() - job.created_at >= pacing.LONGEST_WAIT:
            return await self._fail(job, failure)
        self._troubles[job.job_id] += 1
        tries = self._troubles[job.job_id]
        pause = refusal.after_seconds
        if failure.kind is FailureKind.RATE_LIMITED:
            pause = self._slow_down(model, refusal.after_seconds)
        reason = (
            "The gateway is busy; the bot tries again."
            if failure.kind is FailureKind.RATE_LIMITED
            else "The gateway is out of order; the bot tries again."
        )
        waiting = await self._moved(
            job,
            self._store.submit_not_accepted(job.job_id, reason, counts=refusal.counts, now=self._clock()),
        )
        self._slots[model.model_id].give_back(job.job_id)
        if waiting is not None:
            self._desk.show(waiting)
        self._unbreakable.pop(job.job_id, None)
        log.info("job %s: not accepted (%s), trying again", job.job_id, failure.detail)
        await self._sleep(pause if pause is not None else pacing.growing_pause(tries))
        self._troubles[job.job_id] = tries
        return waiting

    async def _watch(self, job: Job) -> Job | None:
        """Look at the task until the gateway says its last word. No signal is never a verdict."""
        model = self._availability.catalogue.models[job.request.model]
        gateway = self._gateways.get(job.gateway)
        submitted_at = job.submitted_at or job.created_at
        looked_at: dt.datetime | None = None
        missing = empty = silent = 0
        while True:
            await self._sleep_until(pacing.look_at(model.timing, submitted_at, looked_at))
            if silent:
                await self._sleep(pacing.growing_pause(silent, most_seconds=60.0))
            if self._clock() - submitted_at >= pacing.LONGEST_WAIT:
                return await self._lose(job, "the task has no end after 24 hours")
            if gateway is None:
                return await self._lose(job, f"{job.gateway} has no key any more")
            await self._turnstiles[model.model_id].enter(CHECK)
            checked = await gateway.check(model, job.task_id or "")
            looked_at = self._clock()
            silent = silent + 1 if isinstance(checked, NoAnswer) else 0
            missing = missing + 1 if isinstance(checked, Missing) else 0
            match checked:
                case Running():
                    self._limited.pop(model.model_id, None)
                case Finished(urls=()):
                    empty += 1
                    if empty >= pacing.MOST_EMPTY_LOOKS:
                        return await self._fail(job, Failure(kind=FailureKind.NO_OUTPUT))
                case Finished(urls=urls):
                    return await self._moved(job, self._store.rendered(job.job_id, urls, now=looked_at))
                case Failed(failure=failure):
                    return await self._fail(job, failure)
                case Missing(detail=detail):
                    if missing >= pacing.MOST_MISSING_LOOKS:
                        return await self._lose(job, f"the gateway does not know the task: {detail}")
                case NoAnswer(limited=True, after_seconds=after):
                    self._slow_down(model, after)
                case NoAnswer(failure=failure) if failure is not None:
                    await self._availability.stop_key(job.gateway, failure)
                case NoAnswer(detail=detail):
                    log.info("job %s: no answer: %s", job.job_id, detail)

    async def _fetch(self, job: Job) -> Job | None:
        """Download the clip; the money settles with the commit that records it."""
        model = self._availability.catalogue.models[job.request.model]
        deadline = (job.submitted_at or job.created_at) + dt.timedelta(hours=model.link_hours)
        clip = self._clips / f"{job.job_id}.mp4"
        tries = bad = 0
        while True:
            try:
                await self._fetcher.fetch(job.result_urls, clip)
            except FetchError as error:
                tries += 1
                bad += error.lasting
                if bad >= pacing.MOST_BAD_FILES or self._clock() >= deadline:
                    return await self._fail(job, Failure(kind=FailureKind.BAD_FILE, detail=str(error)))
                await self._sleep(pacing.growing_pause(tries))
            else:
                return await self._moved(job, self._store.fetched(job.job_id, clip, now=self._clock()))

    async def _deliver(self, job: Job) -> Job | None:
        self._unbreakable[job.job_id] = POST_GRACE_SECONDS
        try:
            message_id, note = await self._channels.deliver(job)
            return await self._moved(
                job, self._store.delivered(job.job_id, message_id, note=note, now=self._clock())
            )
        finally:
            self._unbreakable.pop(job.job_id, None)

    async def _tell(self, job: Job) -> Job | None:
        self._unbreakable[job.job_id] = POST_GRACE_SECONDS
        try:
            await self._channels.tell(job)
            await self._store.told(job.job_id, job.stage)
        finally:
            self._unbreakable.pop(job.job_id, None)
        return await self._store.get(job.job_id)

    # What hinders a job

    async def _hindered(self, job: Job, model: Model) -> Job | None:
        """Return the job if it may not be submitted now, after waiting a little; None if it may."""
        out = self._availability.model_outage(model.model_id)
        if out is not None:
            return await self._fail(job, Failure(kind=FailureKind.MODEL_GONE, detail=out.detail))
        if job.gateway not in self._gateways:
            return await self._fail(job, Failure(kind=FailureKind.NO_ACCESS, detail="the key was removed"))
        stopped = self._availability.key_outage(job.gateway)
        if stopped is None:
            return None
        if not self._gateways[job.gateway].can_probe and self._availability.claim_probe(job.gateway):
            return None  # this order is the question whether the key works again
        if self._clock() - job.created_at >= pacing.LONGEST_WAIT:
            return await self._fail(job, Failure(kind=stopped.failure, detail=stopped.detail))
        reason = f"{job.gateway} refuses the bot's key; the operator has to act. The bot waits up to a day."
        waiting = job if job.waiting_for == reason else await self._store.wait(job.job_id, reason)
        self._desk.show(waiting)
        await self._sleep(OUTAGE_LOOK_SECONDS)
        return await self._store.get(job.job_id)

    async def _probe_stopped_keys(self) -> None:
        """Ask the gateways that refused the key, every 15 minutes, whether it works again."""
        while True:
            for gateway in self._gateways.values():
                stopped = self._availability.key_outage(gateway.name)
                if stopped and gateway.can_probe and self._availability.claim_probe(gateway.name):
                    if await gateway.probe():
                        log.info("%s: the key works again", gateway.name)
                        await self._availability.reopen(OutageScope.KEY, gateway.name)
            await self._sleep(OUTAGE_LOOK_SECONDS)

    async def _picture(self, job: Job, model: Model) -> str | None:
        """Return the picture as the gateway wants it; None where there is none, or its card is gone."""
        if job.picture is None:
            return None
        if model.modes[job.request.mode].picture == "data-url":
            return await data_url(job.picture)
        return await self._channels.picture_link(job)

    async def _keep_slot_a_while(self, job: Job) -> Job | None:
        """The gateway may be rendering it: its place stays taken for half an hour, not for ever."""
        await self._sleep_until((job.submitted_at or job.created_at) + pacing.UNCERTAIN_KEEPS_SLOT)
        return None

    # Small steps they share

    async def _fail(self, job: Job, failure: Failure) -> Job | None:
        """End a job, and draw what its failure says of the key and the model."""
        failed = await self._moved(job, self._store.fail(job.job_id, failure, now=self._clock()))
        if failure.kind in verdicts.KEY_TROUBLE and job.gateway in self._gateways:
            await self._availability.stop_key(job.gateway, failure)
        if failure.kind is FailureKind.MODEL_GONE:
            await self._availability.take_out(job.request.model, failure)
        return failed

    async def _lose(self, job: Job, detail: str) -> Job | None:
        return await self._moved(job, self._store.lose_sight(job.job_id, detail, now=self._clock()))

    async def _moved(self, job: Job, move: Awaitable[Job | None]) -> Job | None:
        """Return the job after a move, or as it is where somebody else moved it first."""
        moved = await move
        return moved if moved is not None else await self._store.get(job.job_id)

    async def _pause(self, job: Job) -> None:
        self._troubles[job.job_id] += 1
        await self._sleep(pacing.growing_pause(self._troubles[job.job_id]))

    def _slow_down(self, model: Model, after_seconds: float | None) -> float:
        """Stop a model's requests for as long as the gateway asks, or for a growing while."""
        self._limited[model.model_id] += 1
        seconds = after_seconds
        if seconds is None:
            seconds = pacing.growing_pause(self._limited[model.model_id], most_seconds=60.0)
        self._turnstiles[model.model_id].stop_for(seconds)
        return seconds

    async def _sleep_until(self, moment: dt.datetime) -> None:
        seconds = (moment - self._clock()).total_seconds()
        if seconds > 0:
            await self._sleep(seconds)
