"""Pure decisions about time: when to look at a task, who starts next, which card may be edited now."""

import dataclasses
import datetime as dt
from collections.abc import Collection, Mapping
from typing import Self

from bot.models import Job, Stage
from bot.timing import Times

# A gateway counts its minute by its own clock; a tenth is left unused so that ours may differ.
SHARE_OF_LIMIT = 0.9

LONGEST_WAIT = dt.timedelta(hours=24)  # a job that cannot be submitted, a task without an end
TOLD_AFTER = dt.timedelta(minutes=30)  # of rendering: the member should not have to ask
UNCERTAIN_KEEPS_SLOT = dt.timedelta(minutes=30)
AUTO_PATIENCE = dt.timedelta(minutes=2)  # with a gateway that takes nothing, where another model may go on
PROBE_EVERY = dt.timedelta(minutes=15)
MODEL_OUT = dt.timedelta(hours=24)

MOST_SUBMIT_TRIES = 4  # the first, and three more
MOST_MISSING_LOOKS = 5
MOST_EMPTY_LOOKS = 3
MOST_BAD_FILES = 3

# When to look at a task, in seconds: early for what fails fast, then once tasks begin to end.
EARLY_LOOKS = (15.0, 40.0)
GAP_SECONDS = 5.0
GAP_OF_FEW_SECONDS = 2.0
GAP_WITH_CALLBACK_SECONDS = 20.0
GAP_OF_OVERDUE_SECONDS = 60.0
MOST_ASKED_GAP_SECONDS = 120.0  # that a gateway may ask for between looks
_FEW_TASKS = 10  # five looks a second: where a limit is lower than that, the lane spaces them out

# A callback may be on its way while a look finds the end: it is missed only after a while.
CALLBACK_GRACE = dt.timedelta(seconds=15)
CALLBACKS_DOUBTED = dt.timedelta(minutes=10)
TIMELY_SECONDS = 60.0  # a look that came later than that says nothing of when the task ended

MOST_PAUSE_SECONDS = 60.0  # after a 429 that names no other
JITTER_SHARE = 0.2
HALF_RATE_SECONDS = 60.0

CARD_EDIT_SECONDS = 15.0
CHANNEL_EDIT_SECONDS = 3.0
EDITS_PER_SECOND = 10
DISCORD_REQUESTS_PER_SECOND = 40  # Discord's global limit is 50; the rest is for the library's own

# Who goes first at the turnstile that keeps the bot under Discord's 50 requests a second.
DELIVERY, CARD, EDIT = range(3)


def seconds_between_requests(requests_per_minute: int) -> float:
    """Return the even spacing of all requests with one key for one model."""
    return 60.0 / (requests_per_minute * SHARE_OF_LIMIT)


def gap_seconds(*, watched: int, has_callback: bool, is_doubted: bool) -> float:
    """Return how long to leave a task alone between looks; `is_doubted` says that callbacks were missed."""
    if has_callback:
        return GAP_SECONDS if is_doubted else GAP_WITH_CALLBACK_SECONDS
    return GAP_OF_FEW_SECONDS if watched <= _FEW_TASKS else GAP_SECONDS


def look_at(
    times: Times, submitted_at: dt.datetime, looked_at: dt.datetime | None, gap: float
) -> dt.datetime:
    """Return when to look at a task next: early, then from when tasks begin to end, with a gap.

    Where tasks are over sooner than the early looks or the gap, the first wait stands in for both.
    """
    passed = max((looked_at - submitted_at).total_seconds(), 0.0) if looked_at is not None else 0.0
    gap = (
        max(gap, GAP_OF_OVERDUE_SECONDS) if passed >= times.overdue_seconds else min(gap, times.wait_seconds)
    )
    regular = max(times.wait_seconds, passed + gap)
    seconds = min([*(early for early in EARLY_LOOKS if early > passed), regular])
    return submitted_at + dt.timedelta(seconds=seconds)


def tell_at(job: Job) -> dt.datetime | None:
    """Return when to tell the member that their clip takes long; None where they were told."""
    if job.submitted_at is None or job.told_stage is Stage.RENDERING:
        return None
    return job.submitted_at + TOLD_AFTER


def pause_after_refusals(refusals: int, asked_seconds: float | None, chance: float) -> float:
    """Return how long to send nothing after so many 429s in a row; `chance` is a random share of one.

    Asked for no pause at all, or for one in the past, it is still a pause, ever longer.
    """
    first_seconds = 5.0 if asked_seconds is None else 1.0
    least = growing_pause(refusals, first_seconds=first_seconds, most_seconds=MOST_PAUSE_SECONDS)
    return max(asked_seconds or 0.0, least * (1.0 + JITTER_SHARE * chance))


def growing_pause(tries: int, *, first_seconds: float = 5.0, most_seconds: float = 300.0) -> float:
    """Return how long to wait after the given number of failures in a row: doubling, capped."""
    return min(first_seconds * 2.0 ** min(max(tries - 1, 0), 16), most_seconds)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Waiting:
    """A queued job that wants a slot."""

    job_id: str
    member_id: int
    created_at: dt.datetime

    @classmethod
    def of(cls, job: Job) -> Self:
        """Take what decides from a job."""
        return cls(job_id=job.job_id, member_id=job.member_id, created_at=job.created_at)


def fairest(waiting: Collection[Waiting], running_of_member: Mapping[int, int]) -> Waiting:
    """Return who starts next: of the member with the fewest jobs running, the oldest."""
    return min(waiting, key=lambda one: (running_of_member.get(one.member_id, 0), one.created_at, one.job_id))


@dataclasses.dataclass(frozen=True, kw_only=True)
class CardWish:
    """A card that should be edited. `stage_changed` goes before mere progress, and needs no pause."""

    job_id: str
    channel_id: int
    stage_changed: bool
    since: float
    pause_seconds: float = CARD_EDIT_SECONDS


def next_card(
    wishes: Collection[CardWish],
    *,
    now: float,
    card_edited: Mapping[str, float],
    channel_edited: Mapping[int, float],
) -> CardWish | None:
    """Return the card to edit now, or None where each must wait its turn.

    A card is edited at most every 15 s with progress, or as its own pause says; a change of stage waits for
    the channel only.
    Times are seconds of one clock; an edit in its future, since it was set back, holds up nobody.
    """

    def passed(since: float | None) -> float:
        return now - since if since is not None and since <= now else float("inf")

    ready = [
        wish
        for wish in wishes
        if passed(channel_edited.get(wish.channel_id)) >= CHANNEL_EDIT_SECONDS
        and (wish.stage_changed or passed(card_edited.get(wish.job_id)) >= wish.pause_seconds)
    ]
    return min(ready, key=lambda wish: (not wish.stage_changed, wish.since, wish.job_id), default=None)
