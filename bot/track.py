"""Each model's track record: how its last jobs ended, and whether it is left alone for a while."""

import datetime as dt
from collections.abc import Collection

from bot import breaker
from bot.breaker import Breaker, Outcome, Record, Verdict
from bot.models import Clock, Job
from storage.track import TrackStore

MOST_OUTCOMES = 20
COUNTS_FOR = dt.timedelta(days=3)


class Track:
    """Answers from memory; what ended before is read once, and what ends is noted as it does."""

    def __init__(self, store: TrackStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._outcomes: dict[str, list[Outcome]] = {}
        self._since: dict[str, dt.datetime] = {}  # of models that were reopened
        self._trials: dict[str, str] = {}  # by model: the job that tries it while its breaker is half open

    async def load(self, models: Collection[str]) -> None:
        """Read how the last jobs of these models ended."""
        since = self._clock() - COUNTS_FOR
        self._outcomes = await self._store.recent(models, since=since, most=MOST_OUTCOMES)
        self._since = await self._store.forgotten()

    def record(self, model_id: str) -> Record:
        """Return how a model's last orders ended."""
        counted = [one for one in self._counting(model_id) if one.verdict is not Verdict.NEITHER]
        return Record(ended=len(counted), faults=sum(outcome.verdict is Verdict.FAULT for outcome in counted))

    def breaker(self, model_id: str) -> Breaker:
        """Return whether a model is left alone."""
        return breaker.of(self._counting(model_id))

    def failing(self) -> list[str]:
        """Return the models whose breaker is not closed."""
        return [model_id for model_id in self._outcomes if not self.breaker(model_id).is_closed]

    def may_try(self, model_id: str, job_id: str) -> bool:
        """Whether a job may be sent now; where the breaker is half open, that is the first to ask."""
        found = self.breaker(model_id)
        if found.is_closed:
            return True
        return not found.is_open(self._clock()) and self._trials.setdefault(model_id, job_id) == job_id

    def let_go(self, job: Job) -> None:
        """A job that might have tried its model was not sent."""
        if self._trials.get(job.request.model) == job.job_id:
            del self._trials[job.request.model]

    def saw(self, job: Job) -> None:
        """Note what a job's stage says of its model. Of a job that is seen again only that counts."""
        kind, detail = (job.failure.kind, job.failure.detail) if job.failure is not None else (None, "")
        verdict = breaker.verdict(job.stage, kind, detail)
        if verdict is None:
            return
        self.let_go(job)
        if job.submitted_at is None:
            return  # it never came to the gateway, which another was asked in place of
        at = job.uncertain_at if verdict is Verdict.FAULT else job.fetched_at
        seen = Outcome(job_id=job.job_id, verdict=verdict, at=at or job.finished_at or self._clock())
        known = self._outcomes.setdefault(job.request.model, [])
        others = [outcome for outcome in known if outcome.job_id != job.job_id]
        known[:] = sorted([*others, seen], key=lambda outcome: outcome.at)[-MOST_OUTCOMES:]

    async def forget(self, model_id: str) -> None:
        """Let only what ends from now on count: somebody says that the model works again."""
        now = self._clock()
        await self._store.forget(model_id, now=now)
        self._since[model_id] = now
        self._trials.pop(model_id, None)

    def _counting(self, model_id: str) -> list[Outcome]:
        """Return what counts now; of a time that is still to come nothing does: the clock was set back."""
        now, reopened = self._clock(), self._since.get(model_id)
        recent = [one for one in self._outcomes.get(model_id, ()) if now - COUNTS_FOR <= one.at <= now]
        if reopened is None or reopened > now:
            return recent
        return [one for one in recent if one.at > reopened]
