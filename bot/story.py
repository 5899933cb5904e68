"""A job's whole story in one line of the log, and in the metrics, when it ends."""

import dataclasses
import logging
from collections.abc import Sequence
from itertools import pairwise

from bot import logs, money
from bot.metrics import Metrics
from bot.models import Job, Stage, Step
from storage.job_search import JobSearch

log = logging.getLogger(__name__)


@dataclasses.dataclass
class _Tally:
    """What of a job's way is written down nowhere: it counts from the last start of the bot."""

    looks: int = 0
    delay_seconds: float | None = None


class Stories:
    """Remembers what happened to each job, and tells it once the job has ended."""

    def __init__(self, search: JobSearch, metrics: Metrics) -> None:
        self._search = search
        self._metrics = metrics
        self._tallies: dict[str, _Tally] = {}

    def looked(self, job: Job) -> None:
        """A look was taken at the job's task."""
        self._tallies.setdefault(job.job_id, _Tally()).looks += 1

    def found(self, job: Job, delay_seconds: float) -> None:
        """A look found the job's clip, so long after the gateway says that it was ready."""
        self._tallies.setdefault(job.job_id, _Tally()).delay_seconds = delay_seconds
        self._metrics.found(job.gateway, delay_seconds)

    async def tell(self, job: Job) -> None:
        """Tell the story of a job that ended. A job is not held up where it cannot be told."""
        logs.about(job_id=job.job_id)
        tally = self._tallies.pop(job.job_id, _Tally())
        try:
            stayed = stage_seconds(await self._search.steps(job.job_id))
        except Exception:
            log.exception("the story of the job could not be read")
            return
        result = result_of(job)
        self._metrics.ended(job.request.model, result)
        for stage, seconds in stayed.items():
            self._metrics.stayed(stage, job.request.model, seconds)
        log.info(
            "job ended",
            extra={
                "result": result,
                "why": job.failure.detail if job.failure is not None else None,
                "model": job.request.model,
                "clip_seconds": job.request.seconds,
                "tries": job.submit_tries,
                "looks": tally.looks,
                "delay_seconds": tally.delay_seconds and round(tally.delay_seconds, 1),
                "cost": money.dollars(job.settled_micros),
                "total_seconds": round(sum(stayed.values()), 1),
                **{f"{stage}_seconds": round(seconds, 1) for stage, seconds in stayed.items()},
            },
        )


def result_of(job: Job) -> str:
    """Return how a job ended in one word: its stage, or the kind of its failure."""
    return job.failure.kind if job.stage is Stage.FAILED and job.failure is not None else job.stage


def stage_seconds(steps: Sequence[Step]) -> dict[Stage, float]:
    """Return how long a job was in each stage, all its times there together, in their order."""
    stayed: dict[Stage, float] = {}
    for step, following in pairwise(steps):
        seconds = max((following.at - step.at).total_seconds(), 0.0)  # the clock may have been set back
        stayed[step.stage] = stayed.get(step.stage, 0.0) + seconds
    return stayed
