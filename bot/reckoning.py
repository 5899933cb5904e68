"""Pure: how far a gateway's balance should have fallen between two readings, and how far it did.

No gateway says when it takes its money. So what it took for a job that was at the gateway when a balance was
read may lie on either side of that reading, and what the ledger explains is a range.
"""

import dataclasses
import datetime as dt

from bot import pacing
from bot.models import Stage


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """What a gateway said is left of a key's money; it may be less than nothing."""

    balance_micros: int
    read_at: dt.datetime


@dataclasses.dataclass(frozen=True, kw_only=True)
class PaidJob:
    """A job that was at the gateway at some time between two readings.

    `settled_micros` and `possible_micros` are what the ledger booked for it in between; `is_over` says that
    it did, or that it gave the money back.
    """

    job_id: str
    stage: Stage
    quote_micros: int
    submitted_at: dt.datetime
    settled_micros: int
    possible_micros: int
    is_over: bool

    @property
    def booked_micros(self) -> int:
        """What the ledger says that the gateway took for it, or may have."""
        return self.settled_micros + self.possible_micros


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """A balance beside the ledger: it explains a fall of `least_micros` up to `most_micros`."""

    before: Reading
    after: Reading
    least_micros: int
    most_micros: int
    jobs: tuple[PaidJob, ...]

    @property
    def fall_micros(self) -> int:
        """How far the balance fell; less than nothing where it rose."""
        return self.before.balance_micros - self.after.balance_micros

    @property
    def is_any_under_way(self) -> bool:
        """Whether a job was at the gateway at one of the readings."""
        return any(not job.is_over or job.submitted_at <= self.before.read_at for job in self.jobs)

    @property
    def booked_micros(self) -> int:
        """What the ledger booked meanwhile."""
        return sum(job.booked_micros for job in self.jobs)

    @property
    def possible_micros(self) -> int:
        """What of that the gateway may not have taken at all."""
        return sum(job.possible_micros for job in self.jobs)

    @property
    def off_micros(self) -> int:
        """How much further the balance fell than is explained; less than nothing where it fell less far."""
        if self.fall_micros > self.most_micros:
            return self.fall_micros - self.most_micros
        return min(0, self.fall_micros - self.least_micros)


def compare(before: Reading, after: Reading, jobs: tuple[PaidJob, ...]) -> Comparison:
    """Compare two readings with what the ledger booked between them.

    A job that was already at the gateway at the first reading may have been paid before it, and given back
    since if it failed; one that still is at the second may have been paid already. A possible charge may have
    been taken or not. Nobody knows of a job that hangs for more than a day whether it is paid, but if so, not
    just now.
    """
    oldest = before.read_at - pacing.LONGEST_WAIT
    jobs = tuple(job for job in jobs if job.is_over or job.booked_micros or job.submitted_at > oldest)
    booked = sum(job.booked_micros for job in jobs)
    settled = sum(job.settled_micros for job in jobs)
    paid_before = sum(
        max(job.quote_micros, job.settled_micros)
        for job in jobs
        if job.is_over and job.submitted_at <= before.read_at
    )
    paid_already = sum(job.quote_micros for job in jobs if not job.is_over)
    return Comparison(
        before=before,
        after=after,
        least_micros=settled - paid_before,
        most_micros=booked + paid_already,
        jobs=jobs,
    )
