"""Has gateways end tasks that are being rendered, where they really do."""

from collections.abc import Mapping
from typing import Protocol

from bot import messages
from bot.catalogue import Catalogue
from bot.errors import UserError
from bot.gateways.base import Failed, Gateway, Missing, Running
from bot.lane import CALLED, Lane
from bot.models import Clock, Job, Stage
from storage.jobs import JobStore
from storage.stops import StopStore


class Driver(Protocol):
    """Whoever takes jobs through their stages."""

    def drop(self, job: Job) -> None:
        """Let go of a job that was cancelled just now."""
        ...


class Stopper:
    """Asks for a task's end once at a time; that it is asked for is written down before."""

    def __init__(
        self,
        *,
        store: StopStore,
        jobs: JobStore,
        catalogue: Catalogue,
        gateways: Mapping[str, Gateway],
        lanes: Mapping[str, Lane],
        driver: Driver,
        clock: Clock,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._catalogue = catalogue
        self._gateways = gateways
        self._lanes = lanes
        self._driver = driver
        self._clock = clock
        self._asked: set[str] = set()

    async def stop(self, job: Job, *, user_id: int) -> Job:
        """Have a job's task ended, for somebody who may; its money goes back. Return the cancelled job.

        Where the bot is killed in between, the next look finds the task ended, and the job is cancelled.

        Raises:
            UserError: why it goes on, or that it is over.
        """
        gateway = self._gateways.get(job.gateway)
        aborts = gateway is not None and gateway.aborts
        if gateway is None or not aborts or job.stage is not Stage.RENDERING or job.job_id in self._asked:
            raise UserError(messages.cannot_stop(job, aborts=aborts))
        self._asked.add(job.job_id)
        try:
            return await self._stop(job, gateway, user_id)
        finally:
            self._asked.discard(job.job_id)

    async def _stop(self, job: Job, gateway: Gateway, user_id: int) -> Job:
        lane = self._lanes[job.request.model]
        await lane.turn(CALLED)  # first: a clip that comes meanwhile must not be deleted
        if await self._store.begin(job, user_id=user_id, now=self._clock()):
            if not await self._ends(job, gateway, lane):
                raise UserError(messages.goes_on(job))
            stopped = await self._store.stopped(job.job_id, now=self._clock())
            if stopped is not None:
                self._driver.drop(stopped)
                return stopped
        now_is = await self._jobs.get(job.job_id) or job
        if now_is.stage is not Stage.CANCELLED:  # its own look may have found the end first
            raise UserError(messages.cannot_stop(now_is, aborts=True))
        return now_is

    async def _ends(self, job: Job, gateway: Gateway, lane: Lane) -> bool:
        """Ask the gateway to end a job's task; return whether it has ended."""
        model, task_id = self._catalogue.models[job.request.model], job.task_id or ""
        if await gateway.abort(model, task_id):
            return True
        # It did not say that it did, which is no word on whether it has.
        await lane.turn(CALLED)
        seen = await gateway.check(model, task_id)
        if isinstance(seen, Running):
            await self._store.go_on(job.job_id)
        return isinstance(seen, Failed | Missing)
