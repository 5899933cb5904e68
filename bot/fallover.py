"""What becomes of a job whose model failed: it is over, or another model goes on with it, once."""

import logging

from bot import breaker, fallover_messages
from bot.catalogue import Catalogue, Model
from bot.choosing import Chooser
from bot.gateways import verdicts
from bot.ids import new_id
from bot.models import Budget, Clock, Draft, Failure, FailureKind, Job, NewJob, Stage, VideoRequest
from bot.quotas import Policy
from storage.fallover import FallOverStore
from storage.jobs import JobStore

log = logging.getLogger(__name__)

# Of these nothing is to be tried again: the wish was refused, or nobody knows what became of it.
_NEVER = frozenset(
    {
        FailureKind.PROMPT_REFUSED,
        FailureKind.PICTURE_REFUSED,
        FailureKind.VIDEO_REFUSED,
        FailureKind.NO_CARD,
        FailureKind.SUBMIT_LOST,
        FailureKind.NO_VERDICT,
        FailureKind.RELEASED,
    }
)
# By these a task that was accepted ended through its gateway's fault: the breaker's, and what it leaves to
# outages.
_FAULTS = (
    (breaker.FAULTS - _NEVER) | verdicts.KEY_TROUBLE | {FailureKind.RATE_LIMITED, FailureKind.MODEL_GONE}
)


class FallOver:
    """Ends jobs, and finds the model that goes on where `auto` chose the one that failed."""

    def __init__(
        self,
        *,
        jobs: JobStore,
        store: FallOverStore,
        chooser: Chooser,
        catalogue: Catalogue,
        policy: Policy,
        clock: Clock,
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._chooser = chooser
        self._models = catalogue.models
        self._policy = policy
        self._clock = clock

    async def end(self, job: Job, failure: Failure) -> Job | None:
        """End a job that failed; return the one that goes on in its stead, if there is one.

        Where the next model costs more its member is asked first: `offered` then gives the draft.
        """
        new = await self._next(job, failure)
        now = self._clock()
        if new is not None and new.quote.micros > job.quote.micros:
            await self._store.offer(job, failure, new, now=now)
            return None
        if new is not None and (successor := await self._go_on(job, failure, new)) is not None:
            return successor
        await self._jobs.fail(job.job_id, failure, now=now)
        return None

    async def instead_of_waiting(self, job: Job, obstacle: Failure) -> Job | None:
        """End a job that would have to wait for its gateway, where another model goes on at no higher price.

        Otherwise nothing is changed, and it waits.
        """
        new = await self._next(job, obstacle, most_micros=job.quote.micros)
        return await self._go_on(job, obstacle, new) if new is not None else None

    async def offered(self, job: Job) -> Draft | None:
        """Return what was offered to the member of a job that failed, while they may still confirm it."""
        if job.stage is not Stage.FAILED or not job.is_auto:
            return None
        return await self._store.offered(_origin(job))

    async def _go_on(self, job: Job, failure: Failure, new: NewJob) -> Job | None:
        successor = await self._store.fall_over(job, failure, new, self._policy, now=self._clock())
        if successor is not None:
            told = {"to": successor.request.model, "as_job": successor.job_id, "why": failure.detail}
            log.info("another model goes on with the job", extra=told)
        return successor

    async def _next(self, job: Job, failure: Failure, *, most_micros: int | None = None) -> NewJob | None:
        """Return the order that would go on for a job, if it may and there is a model for it."""
        if not may_fall_over(job, failure):
            return None
        avoided = job.gateway if failure.kind in verdicts.KEY_TROUBLE else None

        def fits(model: Model, request: VideoRequest) -> bool:
            is_dear = most_micros is not None and model.quote(request).micros > most_micros
            is_alike = model.account is job.account and model.gateway != avoided
            kept = [picture for picture in (job.picture, job.end_picture) if picture is not None]
            return is_alike and not is_dear and all(model.takes(picture, request) for picture in kept)

        try:
            found = await self._chooser.next_for(job, fits=fits)
        except Exception:
            log.exception("no other model could be looked for")  # the job then ends as any other
            return None
        if found is None:
            return None
        return NewJob(
            job_id=new_id(),
            origin=_origin(job),
            account=job.account,
            server_id=job.server_id,
            channel_id=job.channel_id,
            home_channel_id=job.home_channel_id,
            user_id=job.user_id or 0,
            top_role_id=job.role_id,
            request=found.request,
            gateway=self._models[found.request.model].gateway,
            picture=job.picture,
            end_picture=job.end_picture,
            note=fallover_messages.took_over(job, failure, found.request.model),
            is_auto=True,
            fell_from=job.request.model,
            quote=found.quote,
        )


def may_fall_over(job: Job, failure: Failure) -> bool:
    """Whether another model may go on: once, and only where the gateway surely took and keeps no money.

    Before the gateway accepted anything, that is any refusal but one of the prompt or the picture; afterwards
    only an end that was the gateway's fault and is known to be free. What staff approved was one price. Of a
    job that was uncertain there may be more than the task that was found.
    """
    if not job.is_auto or job.fell_from is not None or job.charge.budget is Budget.APPROVAL:
        return False
    if job.uncertain_at is not None:
        return False
    if job.task_id is None:
        return failure.kind not in _NEVER
    is_free = failure.charged is False or not job.quote.micros
    return failure.kind in _FAULTS and is_free


def _origin(job: Job) -> str:
    """Name the act that makes the next job: it ends as the first one's, by which Discord dates the order."""
    return f"fallover:{job.job_id}:{job.origin.rpartition(':')[2]}"
