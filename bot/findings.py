"""What the doctor finds, and which jobs it calls stuck; pure."""

import dataclasses
import datetime as dt
from enum import StrEnum

from bot.models import Job, Stage

# How long a stage may last before somebody should know of it. What is rendered has times of its own.
_LONGEST = {
    Stage.QUEUED: dt.timedelta(hours=1),
    Stage.SUBMITTING: dt.timedelta(minutes=5),  # a gateway has one minute to answer
    Stage.FETCHING: dt.timedelta(hours=1),
    Stage.DELIVERING: dt.timedelta(hours=1),
}


class Level(StrEnum):
    """How bad it is. The first asks for nothing."""

    OK = "ok"
    WARN = "warn"  # it will be a trouble, or is one of few
    BAD = "bad"  # something does not work


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at: what was seen, and what to do where that is not as it should be."""

    level: Level
    what: str
    do: str = ""


def in_stage_since(job: Job) -> dt.datetime:
    """Return when a job came to its stage, as far as the job itself knows."""
    reached = {
        Stage.UNCERTAIN: job.uncertain_at,
        Stage.RENDERING: job.submitted_at,
        Stage.FETCHING: job.rendered_at,
        Stage.DELIVERING: job.fetched_at,
    }.get(job.stage)
    return reached or job.submitted_at or job.created_at


def is_stuck(job: Job, *, overdue_seconds: float, now: dt.datetime) -> bool:
    """Whether a job is longer in its stage than it should be; `overdue_seconds` counts while it renders."""
    if job.stage is Stage.RENDERING:
        longest = dt.timedelta(seconds=overdue_seconds)
    elif job.stage in _LONGEST:
        longest = _LONGEST[job.stage]
    else:
        return False
    return now - in_stage_since(job) > longest
