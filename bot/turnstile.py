"""Lets requests through one by one, evenly spaced, the most urgent first."""

import asyncio
import contextlib
import datetime as dt
import heapq
import itertools

from bot.models import Clock, Sleep

# Sleeps end a little late. So much is made up for, or a thousand requests would take as many delays longer.
_MOST_LATE = dt.timedelta(seconds=0.05)


class Turnstile:
    """One request every `spacing_seconds`, never two at once.

    Waiters pass by rank (0 first), then whoever waits `since` the earliest moment, then as they came.
    """

    def __init__(self, spacing_seconds: float, *, clock: Clock, sleep: Sleep, name: str) -> None:
        self._spacing = dt.timedelta(seconds=spacing_seconds)
        self._most_late = min(self._spacing / 2, _MOST_LATE)
        self._clock = clock
        self._sleep = sleep
        self._name = name
        self._seen = self._free_at = self._full_rate_at = clock()
        self._order = itertools.count()
        self._waiting: list[tuple[int, float, int, asyncio.Future[None]]] = []
        self._pump: asyncio.Task[None] | None = None

    async def enter(self, rank: int, *, since: dt.datetime | None = None) -> None:
        """Wait for this request's turn."""
        turn = asyncio.get_running_loop().create_future()
        moment = since.timestamp() if since is not None else float("-inf")
        heapq.heappush(self._waiting, (rank, moment, next(self._order), turn))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._let_through(), name=f"turnstile {self._name}")
        await turn

    def stop_for(self, seconds: float, *, half_rate_seconds: float = 0.0) -> None:
        """Let nobody through for a while, then half as many as usual: the other side asked for fewer."""
        now = self._now()
        self._free_at = max(self._free_at, now + dt.timedelta(seconds=seconds))
        self._full_rate_at = max(self._full_rate_at, self._free_at + dt.timedelta(seconds=half_rate_seconds))

    @property
    def stopped_seconds(self) -> float:
        """How long nobody will pass."""
        return max((self._free_at - self._now()).total_seconds(), 0.0)

    async def close(self) -> None:
        """Stop; whoever still waits is waiting in a task that is being cancelled."""
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump

    async def _let_through(self) -> None:
        slept = False
        while self._waiting:
            now = self._now()
            if now < self._free_at:
                await self._sleep((self._free_at - now).total_seconds())
                slept = True
                continue
            turn = heapq.heappop(self._waiting)[-1]
            if not turn.done():
                passes_at = max(self._free_at, now - self._most_late) if slept else now
                self._free_at = passes_at + self._spacing * (2 if now < self._full_rate_at else 1)
                turn.set_result(None)
                slept = False

    def _now(self) -> dt.datetime:
        """Return the time; where the clock was set back, what was left to wait stays as long as it was."""
        now = self._clock()
        set_back = min(now - self._seen, dt.timedelta())
        self._free_at += set_back
        self._full_rate_at += set_back
        self._seen = now
        return now
