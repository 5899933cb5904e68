"""What looks have shown of one task, and what that says; and which callbacks were missed."""

import asyncio
import dataclasses
import datetime as dt

from bot import pacing, timing
from bot.gateways.base import Checked, Failed, Finished, Lost, Missing, NoAnswer, Running
from bot.models import Failure, FailureKind, Job

_ENDS = (Finished, Failed)
_MOST_SILENCE_SECONDS = 60.0
# Half an hour, once a minute: the machine may have slept for the rest of the day, or its clock be wrong.
_LEAST_LOOKS = 30


@dataclasses.dataclass
class Watch:
    """What was seen of a task in this run: while the bot was away, nobody could hear."""

    job: Job
    submitted_at: dt.datetime
    heard_at: dt.datetime  # when the gateway answered last
    is_called: bool  # a callback wants a look
    was_called: bool
    looked_at: dt.datetime | None = None
    running_at: dt.datetime | None = None  # when the task was seen running last
    seen: Checked = dataclasses.field(default_factory=Running)
    row: int = 0  # looks in a row that showed the same kind of thing
    overdue_row: int = 0  # looks in a row that showed it running a day after its submit
    pause: asyncio.Task[None] | None = None  # the wait for the regular look

    @classmethod
    def begun(cls, job: Job, now: dt.datetime) -> "Watch":
        """Begin to watch a job; its callback may have come while the answer to the order was awaited."""
        was_called = job.named_task_id is not None
        submitted_at = min(job.submitted_at or job.created_at, now)  # the clock may have been set back
        return cls(job, submitted_at, heard_at=now, is_called=was_called, was_called=was_called)

    def take(self, seen: Checked, now: dt.datetime) -> Finished | Failed | Lost | None:
        """Remember what a look showed; return what ends the watch, or None where the next may say more."""
        silent_since = self.heard_at
        self.row = self.row + 1 if type(seen) is type(self.seen) else 1
        self.seen, self.looked_at = seen, now
        self.submitted_at = min(self.submitted_at, now)
        if not isinstance(seen, NoAnswer):
            self.heard_at = now
        is_overdue = isinstance(seen, Running) and now - self.submitted_at >= pacing.LONGEST_WAIT
        self.overdue_row = self.overdue_row + 1 if is_overdue else 0
        if isinstance(seen, Running):
            self.running_at = now
        return _verdict(
            seen,
            self.row,
            is_overdue=self.overdue_row >= _LEAST_LOOKS,
            is_silent=now - silent_since >= pacing.LONGEST_WAIT,
        )

    def put_off(self, due_at: dt.datetime) -> dt.datetime:
        """Put off a look: as the gateway asks; where it does not answer, each time longer."""
        match self.seen:
            case Running(after_seconds=asked) if asked is not None:
                pause = min(asked, pacing.MOST_ASKED_GAP_SECONDS)
            case NoAnswer():
                pause = pacing.growing_pause(self.row, most_seconds=_MOST_SILENCE_SECONDS)
            case _:
                return due_at
        looked_at = self.looked_at or self.submitted_at
        return max(due_at, looked_at + dt.timedelta(seconds=pause))

    @property
    def is_over_uncalled(self) -> bool:
        """Whether a look found the end though a callback should have told of it."""
        return self.job.hook_token is not None and not self.was_called and isinstance(self.seen, _ENDS)

    @property
    def passed_seconds(self) -> float:
        """How long after its submit the task was looked at last."""
        return ((self.looked_at or self.submitted_at) - self.submitted_at).total_seconds()

    def believes(self, took_seconds: float | None) -> bool:
        """Whether a gateway's word on how long the task took fits what was seen of it."""
        running_at = self.running_at or self.submitted_at
        return timing.is_believed(
            took_seconds,
            running_seconds=(running_at - self.submitted_at).total_seconds(),
            found_seconds=self.passed_seconds,
        )


def _verdict(
    seen: Checked, row: int, *, is_overdue: bool, is_silent: bool
) -> Finished | Failed | Lost | None:
    match seen:
        case Running():
            return Lost(detail="the task has no end after 24 hours") if is_overdue else None
        case NoAnswer(detail=detail):
            is_hopeless = is_silent and row >= _LEAST_LOOKS
            return Lost(detail=f"the gateway gives no answer for 24 hours: {detail}") if is_hopeless else None
        case Missing(detail=detail):
            is_hopeless = row >= pacing.MOST_MISSING_LOOKS
            return Lost(detail=f"the gateway does not know the task: {detail}") if is_hopeless else None
        case Finished(urls=(), clip=None):
            failure = Failure(kind=FailureKind.NO_OUTPUT)
            return Failed(failure=failure) if row >= pacing.MOST_EMPTY_LOOKS else None
        case Finished() | Failed():
            return seen


class MissedCallbacks:
    """Tasks that were found over though nobody called, by gateway: looks are not rare then for a while."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, dt.datetime]] = {}  # by job, in order: its call may be on its way
        self._missed_at: dict[str, dt.datetime] = {}

    def found(self, job_id: str, gateway: str, now: dt.datetime) -> None:
        """A look found the end of a job that nobody had called for."""
        self._found[job_id] = (gateway, now)

    def came(self, job_id: str) -> None:
        """The job's callback came."""
        self._found.pop(job_id, None)

    def lately(self, gateway: str, now: dt.datetime) -> bool:
        """Whether a callback of the gateway was missed in the last minutes."""
        while self._found:
            job_id, (its_gateway, found_at) = next(iter(self._found.items()))
            if now - found_at < pacing.CALLBACK_GRACE:
                break
            del self._found[job_id]
            self._missed_at[its_gateway] = now
        missed_at = self._missed_at.get(gateway)
        return missed_at is not None and now - missed_at < pacing.CALLBACKS_DOUBTED
