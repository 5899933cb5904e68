"""Watches a task until the gateway has said its last word. No signal is never a verdict."""

import datetime as dt
import logging
from collections.abc import Mapping

from bot import pacing
from bot.catalogue import Catalogue
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
from bot.lane import CHECK, Lane
from bot.models import Account, Clock, Failure, FailureKind, Job, Sleep
from bot.waiting import sleep_until

log = logging.getLogger(__name__)

_MOST_SILENCE_SECONDS = 60.0
_LEAST_SILENT_LOOKS = 30  # half an hour: the machine itself may have slept for the rest of the day


class Watcher:
    """Looks at tasks, each when it is due and when its lane lets a request through."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        gateways: Mapping[str, Gateway],
        lanes: Mapping[str, Lane],
        gate: Gate,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._catalogue = catalogue
        self._gateways = gateways
        self._lanes = lanes
        self._gate = gate
        self._clock = clock
        self._sleep = sleep

    async def last_word(self, job: Job) -> Finished | Failed | Lost:
        """Look at the job's task until it ended, or until there is no hope of hearing of its end."""
        model = self._catalogue.models[job.request.model]
        submitted_at = job.submitted_at or job.created_at
        gateway = self._gateways.get(job.gateway)
        if gateway is None:
            return await self._without_key(job, submitted_at)
        lane = self._lanes[model.model_id]
        looked_at: dt.datetime | None = None
        heard_at = self._clock()  # of this run: while the bot was away, nobody could hear
        seen: Checked = Running()
        row = 0  # looks in a row that showed the same kind of thing
        while True:
            due_at = pacing.look_at(model.timing, submitted_at, looked_at)
            await sleep_until(due_at, clock=self._clock, sleep=self._sleep)
            if isinstance(seen, NoAnswer):
                await self._sleep(pacing.growing_pause(row, most_seconds=_MOST_SILENCE_SECONDS))
            await lane.turn(CHECK)
            before, seen = seen, await gateway.check(model, job.task_id or "")
            looked_at = self._clock()
            row = row + 1 if type(seen) is type(before) else 1
            if isinstance(seen, NoAnswer):
                log.info("job %s: no answer: %s", job.job_id, seen.detail)
                await self._draw_from(seen, job, lane)
                if row >= _LEAST_SILENT_LOOKS and looked_at - heard_at >= pacing.LONGEST_WAIT:
                    return Lost(detail=f"the gateway gives no answer for 24 hours: {seen.detail}")
                continue
            heard_at = looked_at
            if isinstance(seen, Running):
                lane.answered()
            verdict = _verdict(seen, row, is_overdue=looked_at - submitted_at >= pacing.LONGEST_WAIT)
            if verdict is not None:
                return verdict

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
        await lane.turn(CHECK)
        seen = await gateway.check(model, task_id)
        if isinstance(seen, NoAnswer):
            await self._draw_from(seen, job, lane)
        return seen

    async def _without_key(self, job: Job, submitted_at: dt.datetime) -> Failed | Lost:
        """Wait for an operator who may have mistyped the key and will start the bot again with it."""
        if self._catalogue.models[job.request.model].account is Account.SANDBOX:
            detail = "the sandbox is closed since a gateway's key is set"
            return Failed(failure=Failure(kind=FailureKind.GATEWAY_DOWN, detail=detail, charged=False))
        log.error("job %s is at %s, which has no key any more", job.job_id, job.gateway)
        await sleep_until(submitted_at + pacing.LONGEST_WAIT, clock=self._clock, sleep=self._sleep)
        return Lost(detail=f"{job.gateway} has no key any more")

    async def _draw_from(self, silence: NoAnswer, job: Job, lane: Lane) -> None:
        """Slow down where the gateway asks for it, and stop a key that it refuses."""
        if silence.limited:
            lane.slow_down(silence.after_seconds)
        if silence.failure is not None:
            await self._gate.refused(job, silence.failure)


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
