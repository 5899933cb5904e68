"""Jobs of which nobody knows what became of them: how they end, never by a second order; who is reminded."""

import datetime as dt
import logging
from collections.abc import Callable
from typing import Protocol

from bot import pacing, uncertain_messages
from bot.errors import UserError
from bot.gateways.base import Checked, Missing, NoAnswer, Running
from bot.models import Clock, Job, Sleep, Stage
from bot.uncertain_messages import LOOK, RAN, RELEASE
from storage.jobs import JobStore
from storage.uncertain import UncertainStore

log = logging.getLogger(__name__)

REMIND_AFTER = dt.timedelta(hours=24)
_EVERY_SECONDS = 600.0
_MOST_TASK_ID = 500


class Looks(Protocol):
    """Whoever can look at a task, in its turn."""

    async def look(self, job: Job, task_id: str) -> Checked:
        """Look once at a task that may be the job's."""
        ...


class Driver(Protocol):
    """Whoever takes jobs through their stages."""

    def go_on(self, job: Job) -> None:
        """Drive a job that was moved out of `uncertain` just now."""
        ...


class UncertainService:
    """Ends the uncertainty of jobs: by what the gateway says of a task, or because staff give up.

    People act on jobs of one server; `server_id` None is the operator, who acts on any.
    """

    def __init__(
        self,
        *,
        store: UncertainStore,
        jobs: JobStore,
        looks: Looks,
        driver: Driver,
        tell: Callable[[], None],
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._looks = looks
        self._driver = driver
        self._tell = tell
        self._clock = clock
        self._sleep = sleep
        self._looking: set[tuple[str, str]] = set()

    async def named(self, job: Job, task_id: str) -> None:
        """The job's own callback came and named a task. Believed only once the gateway confirms it.

        A job whose task is known is looked at by that, whatever the callback names. Never raises for what
        the callback says; what is asked about already is not asked again.
        """
        task_id = job.task_id or task_id
        if job.stage is not Stage.UNCERTAIN or (job.job_id, task_id) in self._looking:
            return
        self._looking.add((job.job_id, task_id))
        try:
            act = RAN if job.task_id is None else LOOK
            await self._confirm(job, task_id, act=act, by=None, reason="its callback came")
        except UserError as error:
            log.warning("the callback changes nothing: %s", error, extra={"job_id": job.job_id})
        finally:
            self._looking.discard((job.job_id, task_id))

    async def ran(self, job_id: str, task_id: str, *, server_id: int | None, by: int, reason: str) -> Job:
        """The operator found the job's task in the gateway's list.

        Raises:
            UserError: why nothing was changed.
        """
        job = await self._get(job_id, server_id)
        if job.task_id is not None:
            raise UserError(uncertain_messages.task_known(job))
        return await self._confirm(job, task_id.strip().strip("`"), act=RAN, by=by, reason=reason)

    async def look(self, job_id: str, *, server_id: int | None, by: int, reason: str) -> Job:
        """Ask the gateway once more what became of a task it named.

        Raises:
            UserError: why nothing was changed.
        """
        job = await self._get(job_id, server_id)
        if job.task_id is None:
            raise UserError(uncertain_messages.task_unknown(job))
        return await self._confirm(job, job.task_id, act=LOOK, by=by, reason=reason)

    async def release(self, job_id: str, *, server_id: int | None, by: int, reason: str) -> Job:
        """Give a job up: its member pays nothing, and the operator may have paid.

        Raises:
            UserError: why nothing was changed.
        """
        job = await self._get(job_id, server_id)
        released = await self._store.release(job.job_id, act=RELEASE, by=by, reason=reason, now=self._clock())
        if released is None:
            raise UserError(uncertain_messages.not_uncertain(await self._jobs.get(job.job_id) or job))
        self._driver.go_on(released)
        return released

    async def listed(self, server_id: int | None, *, limit: int, typed: str = "") -> list[Job]:
        """Return the uncertain jobs that have in their id or prompt what is typed, the oldest first."""
        # What was chosen from a menu is typed as its whole line, which begins with the id.
        return await self._store.listed(server_id, limit=limit, typed=typed.partition(" · ")[0].strip())

    async def count(self, server_id: int | None) -> int:
        """Count the jobs that are uncertain."""
        return await self._store.count(server_id)

    async def run(self) -> None:
        """Remind of jobs that stay uncertain for a day, each once, until cancelled."""
        while True:
            try:
                now = self._clock()
                if await self._store.remind(since=now - REMIND_AFTER, now=now):
                    self._tell()
            except Exception:
                log.exception("nobody could be reminded of uncertain jobs")  # no reason to end the bot
            await self._sleep(_EVERY_SECONDS)

    async def _get(self, job_id: str, server_id: int | None) -> Job:
        job = await self._jobs.get(job_id.strip().strip("`").lower())
        if job is None or server_id not in {None, job.server_id}:
            raise UserError(uncertain_messages.no_job(job_id))
        if job.stage is not Stage.UNCERTAIN:
            raise UserError(uncertain_messages.not_uncertain(job))
        return job

    async def _confirm(self, job: Job, task_id: str, *, act: str, by: int | None, reason: str) -> Job:
        """Ask the gateway for the task, once; where it has it, let the job go on with it."""
        if not task_id or not task_id.isprintable() or len(task_id) > _MOST_TASK_ID:
            raise UserError(uncertain_messages.BAD_TASK)
        seen = await self._looks.look(job, task_id)
        is_overdue = self._clock() - (job.submitted_at or job.created_at) >= pacing.LONGEST_WAIT
        match seen:
            case Missing(detail=detail):
                raise UserError(uncertain_messages.not_found(task_id, detail))
            case NoAnswer(detail=detail):
                raise UserError(uncertain_messages.no_answer(detail))
            case Running() if is_overdue and job.task_id is not None:
                raise UserError(uncertain_messages.still_rendering(job))
            case _:
                pass
        found = await self._store.found_again(
            job.job_id, task_id, act=act, by=by, reason=reason, now=self._clock()
        )
        if found is None:
            raise UserError(uncertain_messages.not_uncertain(await self._jobs.get(job.job_id) or job))
        log.info("the job is found again", extra={"job_id": job.job_id, "task_id": task_id})
        self._driver.go_on(found)
        return found
