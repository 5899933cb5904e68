"""What a card can say of the time to come: a bar, the usual end, a place in line; pure."""

import dataclasses
import datetime as dt
import heapq
import math
from collections import Counter, deque
from collections.abc import Collection

from bot import pacing
from bot.timing import Times

BAR_CELLS = 12
MOST_PLACES = 200  # further back in the line nothing is foretold

_EXACT_PLACES = 10
_EXACT_MINUTES = 10
_COARSE_MINUTES = 5
_HOUR = 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outlook:
    """What of a card changes with time alone; two that are equal need no edit.

    `place` and `minutes` are of a job in line, rounded as they are shown; 0 where nothing is known.
    """

    cells: int = 0
    is_slow: bool = False
    is_late: bool = False
    place: int = 0
    minutes: int = 0
    ends_at: dt.datetime | None = dataclasses.field(default=None, compare=False)


NOTHING_KNOWN = Outlook()


def of_rendering(
    times: Times, submitted_at: dt.datetime, now: dt.datetime, *, told: float | None = None
) -> Outlook:
    """Foretell a task's end; the last cell of the bar only fills with the clip.

    `told` is the share that the gateway says is done; without it, time alone fills the bar.
    """
    passed = (now - submitted_at).total_seconds()
    cells = int((passed / times.median_seconds if told is None else told) * BAR_CELLS)
    return Outlook(
        cells=max(1, min(BAR_CELLS - 1, cells)),
        is_slow=passed > times.median_seconds,
        is_late=now >= submitted_at + pacing.TOLD_AFTER,
        ends_at=submitted_at + dt.timedelta(seconds=times.median_seconds),
    )


def of_waiting(place: int, seconds: float) -> Outlook:
    """Foretell a start, as roughly as it is known, so that a card says it for a while.

    Both are rounded up: nobody is further back in the line than they were told.
    """
    minutes = max(math.ceil(seconds / 60), 1)
    if minutes > _HOUR:
        minutes = math.ceil(minutes / _HOUR) * _HOUR
    elif minutes > _EXACT_MINUTES:
        minutes = math.ceil(minutes / _COARSE_MINUTES) * _COARSE_MINUTES
    if place > _EXACT_PLACES:
        place = math.ceil(place / _EXACT_PLACES) * _EXACT_PLACES
    return Outlook(place=place, minutes=minutes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Running:
    """A job that holds a place, and how long it will."""

    member_id: int
    left_seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class InLine:
    """A job that waits for a place, and how long it will hold one."""

    waiting: pacing.Waiting
    takes_seconds: float


def line(waiting: Collection[InLine], running: Collection[Running], places: int) -> dict[str, float]:
    """Return in how many seconds each waiting job starts, in the order in which they start."""
    queues: dict[int, deque[InLine]] = {}  # of each member, the oldest first
    for one in sorted(waiting, key=lambda one: (one.waiting.created_at, one.waiting.job_id)):
        queues.setdefault(one.waiting.member_id, deque()).append(one)
    ends = [(max(one.left_seconds, 0.0), one.member_id) for one in running]
    heapq.heapify(ends)
    held = Counter(one.member_id for one in running)
    starts: dict[str, float] = {}
    now = 0.0
    while queues and len(starts) < MOST_PLACES:
        while len(ends) >= places:
            now, member_id = heapq.heappop(ends)
            held[member_id] -= 1
        chosen = pacing.fairest([queue[0].waiting for queue in queues.values()], held)
        one = queues[chosen.member_id].popleft()
        if not queues[chosen.member_id]:
            del queues[chosen.member_id]
        starts[chosen.job_id] = now
        heapq.heappush(ends, (now + one.takes_seconds, chosen.member_id))
        held[chosen.member_id] += 1
    return starts
