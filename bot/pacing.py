"""Pure decisions about time: when to look at a task, who starts next, which card may be edited now."""

import dataclasses
import datetime as dt
from collections.abc import Collection, Mapping

from bot.catalogue import Timing

# A gateway counts its minute by its own clock; a tenth is left unused so that ours may differ.
SHARE_OF_LIMIT = 0.9

LONGEST_WAIT = dt.timedelta(hours=24)  # a job that cannot be submitted, a task without an end
UNCERTAIN_KEEPS_SLOT = dt.timedelta(minutes=30)
PROBE_EVERY = dt.timedelta(minutes=15)
MODEL_OUT = dt.timedelta(hours=24)

MOST_SUBMIT_TRIES = 4  # the first, and three more
MOST_MISSING_LOOKS = 5
MOST_EMPTY_LOOKS = 3
MOST_BAD_FILES = 3

CARD_EDIT_SECONDS = 15.0
CHANNEL_EDIT_SECONDS = 3.0
EDITS_PER_SECOND = 10
DISCORD_REQUESTS_PER_SECOND = 40  # Discord's global limit is 50; the rest is for the library's own

# Who goes first at the turnstile that keeps the bot under Discord's 50 requests a second.
DELIVERY, CARD, EDIT = range(3)

BAR_CELLS = 12


def seconds_between_requests(requests_per_minute: int) -> float:
    """Return the even spacing of all requests with one key for one model."""
    return 60.0 / (requests_per_minute * SHARE_OF_LIMIT)


def look_at(timing: Timing, submitted_at: dt.datetime, looked_at: dt.datetime | None) -> dt.datetime:
    """Return when to look at a task next: after the documented first wait, then at the interval."""
    if looked_at is None:
        return submitted_at + dt.timedelta(seconds=timing.first_look_seconds)
    return looked_at + dt.timedelta(seconds=timing.interval_seconds)


def growing_pause(tries: int, *, first_seconds: float = 5.0, most_seconds: float = 300.0) -> float:
    """Return how long to wait after the given number of failures in a row: doubling, capped."""
    return min(first_seconds * 2.0 ** min(max(tries - 1, 0), 16), most_seconds)


def expected_end(timing: Timing, submitted_at: dt.datetime) -> dt.datetime:
    """Return when a clip is usually ready."""
    return submitted_at + dt.timedelta(seconds=timing.typical_seconds)


def bar_cells(timing: Timing, submitted_at: dt.datetime, now: dt.datetime) -> int:
    """Return how many of a progress bar's cells are full; the last one only fills with the clip."""
    share = (now - submitted_at).total_seconds() / timing.typical_seconds
    return max(1, min(BAR_CELLS - 1, int(share * BAR_CELLS)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Waiting:
    """A queued job that wants a slot."""

    job_id: str
    member_id: int
    created_at: dt.datetime


def fairest(waiting: Collection[Waiting], running_of_member: Mapping[int, int]) -> Waiting:
    """Return who starts next: of the member with the fewest jobs running, the oldest."""
    return min(waiting, key=lambda one: (running_of_member.get(one.member_id, 0), one.created_at, one.job_id))


@dataclasses.dataclass(frozen=True, kw_only=True)
class CardWish:
    """A card that should be edited. `stage_changed` goes before mere progress."""

    job_id: str
    channel_id: int
    stage_changed: bool
    since: float


def next_card(
    wishes: Collection[CardWish],
    *,
    now: float,
    card_edited: Mapping[str, float],
    channel_edited: Mapping[int, float],
) -> CardWish | None:
    """Return the card to edit now, or None where each must wait its turn.

    A card is edited at most every 15 s with progress; a change of stage waits for the channel only.
    Times are seconds of one clock; an edit in its future, since it was set back, holds up nobody.
    """

    def passed(since: float | None) -> float:
        return now - since if since is not None and since <= now else float("inf")

    ready = [
        wish
        for wish in wishes
        if passed(channel_edited.get(wish.channel_id)) >= CHANNEL_EDIT_SECONDS
        and (wish.stage_changed or passed(card_edited.get(wish.job_id)) >= CARD_EDIT_SECONDS)
    ]
    return min(ready, key=lambda wish: (not wish.stage_changed, wish.since, wish.job_id), default=None)
