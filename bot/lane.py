"""What one key may do for one model: so many tasks at once, so many requests a minute."""

from bot import pacing
from bot.catalogue import Limits
from bot.models import Clock, Sleep
from bot.slots import Slots
from bot.turnstile import Turnstile

SUBMIT, CHECK = range(2)  # who goes first

_MOST_PAUSE_SECONDS = 60.0


class Lane:
    """The places and the pace of one model; submits go before looks."""

    def __init__(self, name: str, limits: Limits, *, clock: Clock, sleep: Sleep) -> None:
        self.slots = Slots(limits.concurrent_tasks)
        self._turnstile = Turnstile(
            pacing.seconds_between_requests(limits.requests_per_minute), clock=clock, sleep=sleep, name=name
        )
        self._refusals = 0  # 429s in a row

    async def turn(self, rank: int) -> None:
        """Wait until a request may be sent."""
        await self._turnstile.enter(rank)

    def answered(self) -> None:
        """The gateway took a request: the next 429 is the first again."""
        self._refusals = 0

    def slow_down(self, after_seconds: float | None) -> float:
        """Send nothing for as long as the gateway asks, or for a growing while; return how long.

        Asked for no pause at all, or for one in the past, it still pauses, ever longer.
        """
        self._refusals += 1
        first_seconds = 5.0 if after_seconds is None else 1.0
        least = pacing.growing_pause(
            self._refusals, first_seconds=first_seconds, most_seconds=_MOST_PAUSE_SECONDS
        )
        seconds = max(after_seconds or 0.0, least)
        self._turnstile.stop_for(seconds)
        return seconds

    async def close(self) -> None:
        """Stop; whoever still waits is waiting in a task that is being cancelled."""
        await self._turnstile.close()
