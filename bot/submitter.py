"""The one place that spends money: sends the paid request, once, and writes down what became of it."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from bot import messages, pacing, timing
from bot.acts import ANSWER_GRACE_SECONDS, SUBMIT_GRACE_SECONDS, Acts
from bot.callbacks import Callbacks
from bot.card_desk import CardDesk
from bot.catalogue import Catalogue
from bot.clip_room import ClipRoom
from bot.errors import StorageTrouble
from bot.fallover import FallOver
from bot.gate import Gate, Ready
from bot.gateways.base import Accepted, Finished, Gateway, Lost, NotAccepted, Refused, Submitted
from bot.lane import Lane
from bot.models import Clock, Failure, FailureKind, Job, Sleep
from storage.jobs import JobStore

log = logging.getLogger(__name__)

T = TypeVar("T")

_MOST_PAUSE_WRITING = 30.0


class TryLater(Exception):
    """The gateway took nothing: ask again after so many seconds, or after a growing pause."""

    def __init__(self, why: str, after_seconds: float | None) -> None:
        super().__init__(why)
        self.after_seconds = after_seconds


class Submitter:
    """Orders what the gate let through."""

    def __init__(
        self,
        *,
        store: JobStore,
        catalogue: Catalogue,
        gateways: Mapping[str, Gateway],
        lanes: Mapping[str, Lane],
        gate: Gate,
        fall_over: FallOver,
        callbacks: Callbacks,
        clips: ClipRoom,
        desk: CardDesk,
        acts: Acts,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._gateways = gateways
        self._lanes = lanes
        self._gate = gate
        self._fall_over = fall_over
        self._callbacks = callbacks
        self._clips = clips
        self._desk = desk
        self._acts = acts
        self._clock = clock
        self._sleep = sleep

    async def submit(self, job: Job, ready: Ready) -> Job | None:
        """Order the clip; a stop waits for the answer.

        Where the gateway refuses and another model goes on, return the job that does.

        Raises:
            TryLater: the gateway provably took nothing, and may take it later.
        """
        return await self._acts.finish(self._order(job, ready), grace_seconds=SUBMIT_GRACE_SECONDS)

    async def _order(self, job: Job, ready: Ready) -> Job | None:
        """Write that the request goes out, send it, and write what became of it."""
        gateway = self._gateways[job.gateway]
        token = self._callbacks.new_token() if gateway.calls_back else None
        submitting = await self._store.start_submit(job.job_id, hook_token=token, now=self._clock())
        if submitting is None:
            return None  # cancelled while it waited
        self._desk.show(submitting)
        model = self._catalogue.models[job.request.model]
        address = self._callbacks.address(submitting)
        answer = await gateway.submit(model, job.request, ready.picture, address, end=ready.end)
        return await self._acts.finish(
            self._write_down(submitting, answer), grace_seconds=ANSWER_GRACE_SECONDS
        )

    async def _write_down(self, job: Job, answer: Submitted) -> Job | None:
        job_id, now = job.job_id, self._clock()
        match answer:
            case Accepted(task_id=task_id, finished=finished):
                log.info("the gateway took it", extra={"task_id": task_id})
                self._lanes[job.request.model].answered()
                await self._insist(lambda: self._store.submit_accepted(job_id, task_id, now=now))
                if finished is not None and (finished.urls or finished.clip is not None):
                    await self._insist(lambda: self._take(job, finished))
                await self._gate.accepted(job)
            case Lost(detail=detail):
                await self._insist(lambda: self._store.lose_sight(job_id, detail, now=now))
            case Refused(failure=failure):
                return await self._fail(job, failure)
            case NotAccepted():
                return await self._put_back(job, answer)
        return None

    async def _fail(self, job: Job, failure: Failure) -> Job | None:
        """End the job, or let another model go on; draw what the refusal says of key and model."""
        successor = await self._insist(lambda: self._fall_over.end(job, failure))
        await self._insist(lambda: self._gate.refused(job, failure))  # or nobody would take the successor on
        return successor

    async def _take(self, job: Job, finished: Finished) -> None:
        """Write down what came with the answer: the task has ended already."""
        if finished.clip is not None:
            await self._clips.keep(job, finished.clip)
        now, took, cost = self._clock(), finished.took_seconds, finished.cost_micros
        passed = (now - (job.submitted_at or job.created_at)).total_seconds()
        if cost is None and timing.is_believed(took, running_seconds=0.0, found_seconds=passed):
            cost = self._catalogue.models[job.request.model].cost_micros(job.request, took)
        await self._store.rendered(job.job_id, finished.urls, cost_micros=cost, now=now)

    async def _put_back(self, job: Job, answer: NotAccepted) -> Job | None:
        """Let the job wait and try again, or end it where it did so often or long enough."""
        failure, now = answer.failure, self._clock()
        too_often = answer.counts and job.submit_tries >= pacing.MOST_SUBMIT_TRIES
        if too_often or now - job.created_at >= pacing.LONGEST_WAIT:
            return await self._fail(job, failure)
        if now - job.created_at >= pacing.AUTO_PATIENCE:
            successor = await self._insist(lambda: self._fall_over.instead_of_waiting(job, failure))
            if successor is not None:
                return successor
        lane = self._lanes[job.request.model]
        pause, reason = answer.after_seconds, messages.WAITS_FOR_REPAIR
        if failure.kind is FailureKind.RATE_LIMITED:
            pause, reason = lane.slow_down(pause), messages.WAITS_FOR_CALM
        waiting = await self._insist(
            lambda: self._store.submit_not_accepted(job.job_id, reason, counts=answer.counts, now=now)
        )
        lane.slots.give_back(job.job_id)
        if waiting is not None:
            self._desk.show(waiting)
        raise TryLater(f"not accepted: {failure.detail}", pause)

    async def _insist(self, write: Callable[[], Awaitable[T]]) -> T:
        """Write however long the disk is in trouble: the answer is known nowhere else."""
        failures = 0
        while True:
            try:
                return await write()
            except StorageTrouble as error:
                log.warning("the answer to a paid request cannot be written down yet: %s", error.detail)
            except Exception:
                log.exception("the answer to a paid request could not be written down")
            failures += 1
            await self._sleep(
                pacing.growing_pause(failures, first_seconds=1.0, most_seconds=_MOST_PAUSE_WRITING)
            )
