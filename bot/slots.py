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
        self._places = places
        self._held: dict[str, int] = {}
        self._waiting: dict[str, tuple[pacing.Waiting, asyncio.Future[None]]] = {}

    def keep(self, job: Job) -> None:
        """Count a job that the gateway has already, as after a restart."""
        self._held[job.job_id] = job.member_id

    async def take(self, job: Job) -> None:
        """Wait for a place; a job that holds one keeps it."""
        if job.job_id in self._held:
            return
        turn = asyncio.get_running_loop().create_future()
        waiting = pacing.Waiting(job_id=job.job_id, member_id=job.member_id, created_at=job.created_at)
        self._waiting[job.job_id] = (waiting, turn)
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

    def _give(self) -> None:
        while len(self._held) < self._places:
            candidates = [one for one, turn in self._waiting.values() if not turn.done()]
            if not candidates:
                return
            chosen = pacing.fairest(candidates, Counter(self._held.values()))
            self._held[chosen.job_id] = chosen.member_id
            self._waiting[chosen.job_id][1].set_result(None)
