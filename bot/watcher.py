"""Watches a task until the gateway has said its last word. No signal is never a verdict."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import logging
from collections import Counter
from collections.abc import Generator, Mapping
from typing import Protocol

from bot import pacing, timing
from bot.catalogue import Catalogue, Model
from bot.gate import Gate
from bot.gateways.base import (
    Checked,
    Failed,
    Finished,
    Gateway,
    Lost,
    Missing,
    NoAnswer,
    Running,
)
from bot.lane import CALLED, CHECK, Lane
from bot.models import Account, Clock, Failure, FailureKind, Job, Sleep
from bot.timing import TimeTable
from bot.waiting import sleep_until

log = logging.getLogger(__name__)

_ENDS = (Finished, Failed)
_MOST_SILENCE_SECONDS = 60.0
_LEAST_SILENT_LOOKS = 30  # half an hour: the machine itself may have slept for the rest of the day


class Delays(Protocol):
    """Whoever counts looks, and how late the ends of tasks are found; see `bot/story.py`."""

    def looked(self, job: Job) -> None:
        """A look was taken at the job's task."""
        ...

    def found(self, job: Job, delay_seconds: float) -> None:
        """A look found the job's clip, so long after it was ready."""
        ...


@dataclasses.dataclass
class _Watch:
    """What was seen of a task in this run: while the bot was away, nobody could hear."""

    job: Job
    submitted_at: dt.datetime
    heard_at: dt.datetime  # when the gateway answered last
    looked_at: dt.datetime | None = None
    running_at: dt.datetime | None = None  # when the task was seen running last
    seen: Checked = dataclasses.field(default_factory=Running)
    row: int = 0  # looks in a row that showed the same kind of thing
    is_called: bool = False
    was_called: bool = False
    pause: asyncio.Task[None] | None = None  # the wait for the regular look

    def take(self, seen: Checked, now: dt.datetime) -> None:
        """Remember what a look showed."""
        self.row = self.row + 1 if type(seen) is type(self.seen) else 1
        self.seen, self.looked_at = seen, now
        self.submitted_at = min(self.submitted_at, now)  # the clock may have been set back
        if not isinstance(seen, NoAnswer):
            self.heard_at = now
        if isinstance(seen, Running):
            self.running_at = now


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
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._catalogue = catalogue
        self._gateways = gateways
        self._lanes = lanes
        self._gate = gate
        self._times = times
        self._delays = delays
        self._clock = clock
        self._sleep = sleep
        self._watches: dict[str, _Watch] = {}
        self._watched: Counter[str] = Counter()  # by model
        self._missed = _MissedCallbacks()

    def look_now(self, job_id: str) -> None:
        """Look at the job's task at once, if it is watched: its callback came, or a forged one."""
        self._missed.came(job_id)
        watch = self._watches.get(job_id)
        if watch is None:
            return
        watch.is_called = watch.was_called = True
        if watch.pause is not None:
            watch.pause.cancel()

    async def last_word(self, job: Job) -> Finished | Failed | Lost | None:
        """Look at the job's task until it ended, or until there is no hope of hearing of its end.

        Returns None when it has taken so long that the member should hear of it before it goes on. What a
        finished task tells of how long it took is believed, or else seen; or it is None.
        """
        model = self._catalogue.models[job.request.model]
        submitted_at, now = job.submitted_at or job.created_at, self._clock()
        gateway = self._gateways.get(job.gateway)
        if gateway is None:
            return await self._without_key(job, submitted_at)
        with self._watching(_Watch(job, submitted_at=min(submitted_at, now), heard_at=now)) as watch:
            # Its callback may have come while the answer to the order was awaited.
            watch.is_called = watch.was_called = job.named_task_id is not None
            verdict = await self._look_on(watch, model, gateway)
            return self._timed(watch, verdict) if isinstance(verdict, Finished) else verdict

    async def links(self, job: Job) -> tuple[str, ...]:
        """Ask once more where the clip of a finished task is; empty where there is no telling."""
        seen = await self.look(job, job.task_id or "")
        return seen.urls if isinstance(seen, Finished) else ()

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
    def _watching(self, watch: _Watch) -> Generator[_Watch]:
        job = watch.job
        self._watches[job.job_id] = watch
        self._watched[job.request.model] += 1
        try:
            yield watch
            if job.hook_token is not None and not watch.was_called and isinstance(watch.seen, _ENDS):
                self._missed.found(job.job_id, job.gateway, self._clock())
        finally:
            del self._watches[job.job_id]
            self._watched[job.request.model] -= 1

    async def _look_on(
        self, watch: _Watch, model: Model, gateway: Gateway
    ) -> Finished | Failed | Lost | None:
        job, lane = watch.job, self._lanes[model.model_id]
        tell_at = pacing.tell_at(job)
        while tell_at is None or self._clock() < tell_at:
            due_at = self._due_at(watch, watch.looked_at)
            if isinstance(watch.seen, NoAnswer) and watch.looked_at is not None:
                pause = pacing.growing_pause(watch.row, most_seconds=_MOST_SILENCE_SECONDS)
                due_at = max(due_at, watch.looked_at + dt.timedelta(seconds=pause))
            await self._turn(watch, lane, due_at)
            watch.is_called = False
            seen = await gateway.check(model, job.task_id or "")
            self._delays.looked(job)
            now = self._clock()
            silent_since = watch.heard_at
            watch.take(seen, now)
            if isinstance(seen, NoAnswer):
                log.log(logging.INFO if watch.row == 1 else logging.DEBUG, "no answer: %s", seen.detail)
                await self._draw_from(seen, job, lane)
                if watch.row >= _LEAST_SILENT_LOOKS and now - silent_since >= pacing.LONGEST_WAIT:
                    return Lost(detail=f"the gateway gives no answer for 24 hours: {seen.detail}")
                continue
            lane.answered()
            verdict = _verdict(seen, watch.row, is_overdue=now - watch.submitted_at >= pacing.LONGEST_WAIT)
            if verdict is not None:
                return verdict
        return None

    def _due_at(self, watch: _Watch, looked_at: dt.datetime | None) -> dt.datetime:
        job, model = watch.job, watch.job.request.model
        gap = pacing.gap_seconds(
            watched=self._watched[model],
            spacing_seconds=self._lanes[model].spacing_seconds,
            has_callback=job.hook_token is not None,
            is_doubted=self._missed.lately(job.gateway, self._clock()),
        )
        return pacing.look_at(self._times.of(model, job.request.seconds), watch.submitted_at, looked_at, gap)

    async def _turn(self, watch: _Watch, lane: Lane, due_at: dt.datetime) -> None:
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

    def _timed(self, watch: _Watch, seen: Finished) -> Finished:
        """Say how long the task took: what the gateway tells, if that fits; else what was seen of it.

        It was not seen where nobody looked when a look was due, as while the bot was away.
        """
        job, took = watch.job, seen.took_seconds
        found_at, running_at = watch.looked_at or self._clock(), watch.running_at or watch.submitted_at
        passed = (found_at - watch.submitted_at).total_seconds()
        running = (running_at - watch.submitted_at).total_seconds()
        if took is not None and timing.is_believed(took, running_seconds=running, found_seconds=passed):
            self._delays.found(job, passed - took)
        else:
            late = found_at - self._due_at(watch, watch.running_at)
            took = passed if late.total_seconds() <= pacing.TIMELY_SECONDS else None
        if took is not None:
            self._times.add(job.request.model, job.request.seconds, took)
        return dataclasses.replace(seen, took_seconds=took)

    async def _without_key(self, job: Job, submitted_at: dt.datetime) -> Failed | Lost | None:
        """Wait for an operator who may have mistyped the key and will start the bot again with it."""
        if self._catalogue.models[job.request.model].account is Account.SANDBOX:
            detail = "the sandbox is closed since a gateway's key is set"
            return Failed(failure=Failure(kind=FailureKind.GATEWAY_DOWN, detail=detail, charged=False))
        log.error("%s has no key any more", job.gateway)
        end = submitted_at + pacing.LONGEST_WAIT
        moment = min(end, pacing.tell_at(job) or end)
        await sleep_until(moment, clock=self._clock, sleep=self._sleep)
        return None if moment < end else Lost(detail=f"{job.gateway} has no key any more")

    async def _draw_from(self, silence: NoAnswer, job: Job, lane: Lane) -> None:
        """Slow down where the gateway asks for it, and stop a key that it refuses."""
        if silence.limited:
            lane.slow_down(silence.after_seconds)
        if silence.failure is not None:
            await self._gate.refused(job, silence.failure)


class _MissedCallbacks:
    """Tasks that were found over though nobody called, by gateway: then looks come more often for a while."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, dt.datetime]] = {}  # by job, in order: its call may be on its way
        self._missed_at: dict[str, dt.datetime] = {}

    def found(self, job_id: str, gateway: str, now: dt.datetime) -> None:
        """A look found the end of a job that nobody had called for."""
        self._found[job_id] = (gateway, now)

    def came(self, job_id: str) -> None:
        """The job's callback came."""
        self._found.pop(job_id, None)

    def lately(self, gateway: str, now: dt.datetime) -> bool:
        """Whether a callback of the gateway was missed in the last minutes."""
        while self._found:
            job_id, (its_gateway, found_at) = next(iter(self._found.items()))
            if now - found_at < pacing.CALLBACK_GRACE:
                break
            del self._found[job_id]
            self._missed_at[its_gateway] = now
        missed_at = self._missed_at.get(gateway)
        return missed_at is not None and now - missed_at < pacing.CALLBACKS_DOUBTED


def _verdict(
    seen: Running | Missing | Finished | Failed, row: int, *, is_overdue: bool
) -> Finished | Failed | Lost | None:
    """Return what the last answers end the watch with, or None where the next may say more."""
    match seen:
        case Running():
            return Lost(detail="the task has no end after 24 hours") if is_overdue else None
        case Missing(detail=detail):
            is_hopeless = row >= pacing.MOST_MISSING_LOOKS
            return Lost(detail=f"the gateway does not know the task: {detail}") if is_hopeless else None
        case Finished(urls=()):
            failure = Failure(kind=FailureKind.NO_OUTPUT)
            return Failed(failure=failure) if row >= pacing.MOST_EMPTY_LOOKS else None
        case Finished() | Failed():
            return seen
