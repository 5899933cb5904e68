"""What one key may do for one model: so many tasks at once, so many requests a minute."""

import datetime as dt
import random
from collections.abc import Callable

from bot import pacing
from bot.catalogue import Limits
from bot.models import Clock, Sleep
from bot.slots import Slots
from bot.turnstile import Turnstile

SUBMIT, CALLED, CHECK = range(3)  # who goes first: orders, then looks that a callback asked for


class Lane:
    """The places and the pace of one model; of its looks the longest-waiting task goes first.

    An earlier run may have sent a request just before it was killed, so the first one waits a spacing too.
    """

    def __init__(
        self,
        name: str,
        limits: Limits,
        *,
        clock: Clock,
        sleep: Sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.slots = Slots(limits.concurrent_tasks)
        self.spacing_seconds = pacing.seconds_between_requests(limits.requests_per_minute)
        self._turnstile = Turnstile(self.spacing_seconds, clock=clock, sleep=sleep, name=name)
        self._turnstile.stop_for(self.spacing_seconds)
        self._chance = chance
        self._refusals = 0  # 429s in a row

    async def turn(self, rank: int, *, since: dt.datetime | None = None) -> None:
        """Wait until a request may be sent; a look says `since` when its task was looked at."""
        await self._turnstile.enter(rank, since=since)

    def answered(self) -> None:
        """The gateway took a request: the next 429 is the first again."""
        self._refusals = 0

    def slow_down(self, after_seconds: float | None) -> float:
        """Send nothing for as long as the gateway asks, or for a growing while; return how long.

        A 429 that comes while nothing is sent belongs to the same crowd as the one that stopped the lane.
        """
        left_seconds = self._turnstile.stopped_seconds
        if left_seconds <= 2 * self.spacing_seconds:
            self._refusals += 1
        elif after_seconds is None or after_seconds <= left_seconds:
            return left_seconds
        seconds = pacing.pause_after_refusals(self._refusals, after_seconds, self._chance())
        self._turnstile.stop_for(seconds, half_rate_seconds=pacing.HALF_RATE_SECONDS)
        return seconds

    async def close(self) -> None:
        """Stop; whoever still waits is waiting in a task that is being cancelled."""
        await self._turnstile.close()
