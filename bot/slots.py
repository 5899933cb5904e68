"""The gateway's places for tasks at once, given to waiting jobs fairly."""

import asyncio
from collections import Counter

from bot import pacing
from bot.models import Job


class Slots:
    """The places of one key for one model.

    Of the waiting jobs, one of the member with the fewest running starts first, then the oldest.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._held: dict[str, Job] = {}
        self._waiting: dict[str, tuple[Job, asyncio.Future[None]]] = {}

    def keep(self, job: Job) -> None:
        """Count a job that the gateway has already, as after a restart."""
        self._held[job.job_id] = job

    async def take(self, job: Job) -> None:
        """Wait for a place; a job that holds one keeps it."""
        if job.job_id in self._held:
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting[job.job_id] = (job, turn)
        self._give()
        try:
            await turn
        except asyncio.CancelledError:
            self.give_back(job.job_id)
            raise
        finally:
            self._waiting.pop(job.job_id, None)

    def give_back(self, job_id: str) -> None:
        """Free the job's place, if it has one."""
        if self._held.pop(job_id, None) is not None:
            self._give()

    @property
    def held(self) -> list[Job]:
        """The jobs that have a place, as they were when they took or kept it."""
        return list(self._held.values())

    @property
    def waiting(self) -> list[Job]:
        """The jobs that wait for a place."""
        return [job for job, turn in self._waiting.values() if not turn.done()]

    def _give(self) -> None:
        while len(self._held) < self.places:
            candidates = [pacing.Waiting.of(job) for job in self.waiting]
            if not candidates:
                return
            chosen = pacing.fairest(candidates, Counter(job.member_id for job in self._held.values()))
            job, turn = self._waiting[chosen.job_id]
            self._held[chosen.job_id] = job
            turn.set_result(None)
