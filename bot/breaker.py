"""When a model that keeps failing is left alone, and when it is tried again; pure."""

import dataclasses
import datetime as dt
from collections.abc import Iterable
from enum import StrEnum

from bot.models import FailureKind, Stage

OPENS_AFTER = 3  # faults in a row
FIRST_PAUSE = dt.timedelta(minutes=10)
LONGEST_PAUSE = dt.timedelta(hours=2)

# What a gateway did wrong; refusals of what a member asked for say nothing of it. A stopped key and a model
# that is gone are outages, with ways of their own to end.
FAULTS = frozenset(
    {
        FailureKind.GATEWAY_DOWN,
        FailureKind.NO_OUTPUT,
        FailureKind.TIMED_OUT,
        FailureKind.BAD_FILE,
        FailureKind.CLIP_LOST,
        FailureKind.SUBMIT_LOST,
        FailureKind.NO_VERDICT,
    }
)

# Why a submit was lost that the gateway had no part in.
BOT_STOPPED = "the bot stopped before it could write down the gateway's answer"
RESTORED = "restored from a backup: it may have been ordered since"


class Verdict(StrEnum):
    """What a job's end says of its model."""

    CLIP = "clip"
    FAULT = "fault"
    NEITHER = "neither"  # its member's own doing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job at the gateway, and when."""

    job_id: str
    verdict: Verdict
    at: dt.datetime


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """Of how many orders that ended lately how many failed by a fault of the gateway.

    Those whose member is the cause count in neither.
    """

    ended: int = 0
    faults: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Breaker:
    """Whether a model is left alone: open until a moment, then half open until a job has tried it.

    `faults` are those since its last clip, `last_at` is when the newest of them was.
    """

    faults: int = 0
    last_at: dt.datetime | None = None
    until: dt.datetime | None = None

    @property
    def is_closed(self) -> bool:
        """Whether all is well."""
        return self.until is None

    def is_open(self, now: dt.datetime) -> bool:
        """Whether nothing is to be sent; neither closed nor open, it is half open: one job may try."""
        return self.until is not None and now < self.until


def verdict(stage: Stage, failure: FailureKind | None, detail: str) -> Verdict | None:
    """Return what a job's stage says of its model; None while that is open."""
    match stage:
        case Stage.DELIVERING | Stage.DONE:
            return Verdict.CLIP
        case Stage.FAILED | Stage.UNCERTAIN:
            is_fault = failure in FAULTS and detail not in {BOT_STOPPED, RESTORED}
            return Verdict.FAULT if is_fault else Verdict.NEITHER
        case Stage.CANCELLED:
            return Verdict.NEITHER
        case _:
            return None


def of(outcomes: Iterable[Outcome]) -> Breaker:
    """Return how a breaker stands after these outcomes, the oldest first.

    A fault while it is open is of a job that was under way: only the fault of one that tried makes the pause
    longer.
    """
    faults = openings = 0
    last_at: dt.datetime | None = None
    until: dt.datetime | None = None
    for outcome in outcomes:
        if outcome.verdict is Verdict.CLIP:
            faults, openings, last_at, until = 0, 0, None, None
        elif outcome.verdict is Verdict.FAULT:
            faults += 1
            last_at = outcome.at
            if faults >= OPENS_AFTER and (until is None or outcome.at >= until):
                until = outcome.at + min(FIRST_PAUSE * 2**openings, LONGEST_PAUSE)
                openings += 1
    return Breaker(faults=faults, last_at=last_at, until=until)
