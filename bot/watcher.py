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
from bot.models import Clock, Failure, FailureKind, Job, Sleep

log = logging.getLogger(__name__)

_MOST_SILENCE_SECONDS = 60.0


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
        gateway = self._gateways.get(job.gateway)
        if gateway is None:
            return Lost(detail=f"{job.gateway} has no key any more")
        lane = self._lanes[model.model_id]
        submitted_at = job.submitted_at or job.created_at
        looked_at: dt.datetime | None = None
        seen: Checked = Running()
        row = 0  # looks in a row that showed the same kind of thing
        while looked_at is None or looked_at - submitted_at < pacing.LONGEST_WAIT:
            await self._sleep_until(pacing.look_at(model.timing, submitted_at, looked_at))
            if isinstance(seen, NoAnswer):
                await self._sleep(pacing.growing_pause(row, most_seconds=_MOST_SILENCE_SECONDS))
            await lane.turn(CHECK)
            before, seen = seen, await gateway.check(model, job.task_id or "")
            looked_at = self._clock()
            row = row + 1 if type(seen) is type(before) else 1
            match seen:
                case Running():
                    lane.answered()
                case NoAnswer():
                    log.info("job %s: no answer: %s", job.job_id, seen.detail)
                    await self._draw_from(seen, job, lane)
                case Missing(detail=detail) if row >= pacing.MOST_MISSING_LOOKS:
                    return Lost(detail=f"the gateway does not know the task: {detail}")
                case Finished(urls=()) if row >= pacing.MOST_EMPTY_LOOKS:
                    return Failed(failure=Failure(kind=FailureKind.NO_OUTPUT))
                case Missing() | Finished(urls=()):
                    pass  # perhaps it says more next time
                case Finished() | Failed():
                    return seen
        return Lost(detail="the task has no end after 24 hours")

    async def _draw_from(self, silence: NoAnswer, job: Job, lane: Lane) -> None:
        """Slow down where the gateway asks for it, and stop a key that it refuses."""
        if silence.limited:
            lane.slow_down(silence.after_seconds)
        if silence.failure is not None:
            await self._gate.refused(job, silence.failure)

    async def _sleep_until(self, moment: dt.datetime) -> None:
        seconds = (moment - self._clock()).total_seconds()
        if seconds > 0:
            await self._sleep(seconds)
