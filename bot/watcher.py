"""Watches a task until the gateway has said its last word. No signal is never a verdict."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Protocol, TypeAlias

from bot import pacing
from bot.catalogue import Catalogue, Model
from bot.gate import Gate
from bot.gateways.base import Checked, Failed, Finished, Gateway, Lost, NoAnswer, Running
from bot.lane import CALLED, CHECK, Lane
from bot.models import Account, Clock, Failure, FailureKind, Job, Sleep
from bot.timing import TimeTable
from bot.waiting import sleep_until
from bot.watch import MissedCallbacks, Watch

log = logging.getLogger(__name__)

_LATE_AGAIN_SECONDS = 60.0


class Delays(Protocol):
    """Whoever counts looks, and how late the ends of tasks are found; see `bot/story.py`."""

    def looked(self, job: Job) -> None:
        """A look was taken at the job's task."""
        ...

    def found(self, job: Job, delay_seconds: float) -> None:
        """A look found the job's clip, so long after it was ready."""
        ...


class Bars(Protocol):
    """Whoever shows how far tasks are; see `bot/forecast.py`."""

    def told(self, job: Job, share: float | None) -> None:
        """The gateway says how much of a job's task is done, from 0 to 1, or only that it is under way."""
        ...


WhenLate: TypeAlias = Callable[[], Awaitable[bool]]


class Watcher:
    """Looks at tasks, each when it is due and when its lane lets a request through."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        gateways: Mapping[str, Gateway],
        lanes: Mapping[str, Lane],
        gate: Gate,
        times: TimeTable,
        delays: Delays,
        bars: Bars,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._catalogue = catalogue
        self._gateways = gateways
        self._lanes = lanes
        self._gate = gate
        self._times = times
        self._delays = delays
        self._bars = bars
        self._clock = clock
        self._sleep = sleep
        self._watches: dict[str, Watch] = {}
        self._watched: Counter[str] = Counter()  # by model
        self._missed = MissedCallbacks()

    def look_now(self, job_id: str) -> None:
        """Look at the job's task at once, if it is watched: its callback came, or a forged one."""
        self._missed.came(job_id)
        watch = self._watches.get(job_id)
        if watch is None:
            return
        watch.is_called = watch.was_called = True
        if watch.pause is not None:
            watch.pause.cancel()

    async def last_word(self, job: Job, *, when_late: WhenLate) -> Finished | Failed | Lost:
        """Look at the job's task until it ended, or until there is no hope of hearing of its end.

        Where it takes so long that the member should hear of it, `when_late` is called after looks until it
        returns True. Of a finished task `took_seconds` is how long it took, as far as that is known.
        """
        model = self._catalogue.models[job.request.model]
        gateway = self._gateways.get(job.gateway)
        if gateway is None:
            return await self._without_key(job, when_late)
        with self._watching(Watch.begun(job, self._clock())) as watch:
            verdict = await self._look_on(watch, model, gateway, when_late)
            return self._timed(watch, verdict) if isinstance(verdict, Finished) else verdict

    async def look(self, job: Job, task_id: str) -> Checked:
        """Look once, in its turn, at a task that may be the job's."""
        model, gateway = self._catalogue.models[job.request.model], self._gateways.get(job.gateway)
        if gateway is None:
            return NoAnswer(detail=f"{job.gateway} has no key any more")
        lane = self._lanes[model.model_id]
        await lane.turn(CALLED)
        seen = await gateway.check(model, task_id)
        if isinstance(seen, NoAnswer):
            await self._draw_from(seen, job, lane)
        return seen

    @contextlib.contextmanager
    def _watching(self, watch: Watch) -> Generator[Watch]:
        job = watch.job
        self._watches[job.job_id] = watch
        self._watched[job.request.model] += 1
        try:
            yield watch
        finally:
            del self._watches[job.job_id]
            self._watched[job.request.model] -= 1
            if watch.is_over_uncalled:
                self._missed.found(job.job_id, job.gateway, self._clock())

    async def _look_on(
        self, watch: Watch, model: Model, gateway: Gateway, when_late: WhenLate
    ) -> Finished | Failed | Lost:
        job, lane = watch.job, self._lanes[model.model_id]
        tell_at = pacing.tell_at(job)
        while True:
            await self._turn(watch, lane, watch.put_off(self._due_at(watch, watch.looked_at)))
            watch.is_called = False
            seen = await gateway.check(model, job.task_id or "")
            self._delays.looked(job)
            verdict = watch.take(seen, self._clock())
            if isinstance(seen, NoAnswer):
                log.log(logging.INFO if watch.row == 1 else logging.DEBUG, "no answer: %s", seen.detail)
                await self._draw_from(seen, job, lane)
            else:
                lane.answered()
            if verdict is not None:
                return verdict
            if isinstance(seen, Running):
                self._bars.told(job, seen.progress)
            if tell_at is not None and self._clock() >= tell_at and await when_late():
                tell_at = None

    def _due_at(self, watch: Watch, looked_at: dt.datetime | None) -> dt.datetime:
        job, model = watch.job, watch.job.request.model
        gap = pacing.gap_seconds(
            watched=self._watched[model],
            has_callback=job.hook_token is not None,
            is_doubted=self._missed.lately(job.gateway, self._clock()),
        )
        return pacing.look_at(self._times.of(model, job.request.seconds), watch.submitted_at, looked_at, gap)

    async def _turn(self, watch: Watch, lane: Lane, due_at: dt.datetime) -> None:
        """Wait until the task is due and the lane is free; a callback goes before all other looks."""
        if not watch.is_called:
            since = watch.looked_at or watch.submitted_at
            watch.pause = asyncio.create_task(self._regular_turn(lane, due_at, since=since))
            try:
                await asyncio.wait([watch.pause])
                if not watch.pause.cancelled():
                    watch.pause.result()
                    return
            finally:
                watch.pause.cancel()
                watch.pause = None
        await lane.turn(CALLED)

    async def _regular_turn(self, lane: Lane, due_at: dt.datetime, *, since: dt.datetime) -> None:
        await sleep_until(due_at, clock=self._clock, sleep=self._sleep)
        await lane.turn(CHECK, since=since)

    def _timed(self, watch: Watch, seen: Finished) -> Finished:
        """Say how long the task took: what the gateway tells, if that fits; else what was seen of it.

        It was not seen where nobody looked when a look was due, as while the bot was away.
        """
        job, took, passed = watch.job, seen.took_seconds, watch.passed_seconds
        if took is not None and watch.believes(took):
            self._delays.found(job, passed - took)
        else:
            due = self._due_at(watch, watch.running_at) - watch.submitted_at
            took = passed if passed - due.total_seconds() <= pacing.TIMELY_SECONDS else None
        if took is not None:
            self._times.add(job.request.model, job.request.seconds, took)
        return dataclasses.replace(seen, took_seconds=took)

    async def _without_key(self, job: Job, when_late: WhenLate) -> Failed | Lost:
        """Wait for an operator who may have mistyped the key and will start the bot again with it."""
        if self._catalogue.models[job.request.model].account is Account.SANDBOX:
            detail = "the sandbox is closed since a gateway's key is set"
            return Failed(failure=Failure(kind=FailureKind.GATEWAY_DOWN, detail=detail, charged=False))
        log.error("%s has no key any more", job.gateway)
        end, tell_at = (job.submitted_at or job.created_at) + pacing.LONGEST_WAIT, pacing.tell_at(job)
        if tell_at is not None and self._clock() < end:
            await sleep_until(tell_at, clock=self._clock, sleep=self._sleep)
            while not await when_late():
                await self._sleep(_LATE_AGAIN_SECONDS)
        await sleep_until(end, clock=self._clock, sleep=self._sleep)
        return Lost(detail=f"{job.gateway} has no key any more")

    async def _draw_from(self, silence: NoAnswer, job: Job, lane: Lane) -> None:
        """Slow down where the gateway asks for it, and stop a key that it refuses."""
        if silence.limited:
            lane.slow_down(silence.after_seconds)
        if silence.failure is not None:
            await self._gate.refused(job, silence.failure)
