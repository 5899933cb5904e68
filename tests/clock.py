"""Clocks for tests, for everything that is given `clock=` and `sleep=`: no test waits for real time.

With `FakeClock` time stands still until the test says `await clock.advance(seconds)`; with
`JumpingClock` whoever sleeps is there at once. Both are passed as `clock=clock.now, sleep=clock.sleep`.
"""

import asyncio
import datetime as dt
import heapq
import itertools

START = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)

_TURNS_TO_SETTLE = 20  # of the event loop, for what was woken to go on as far as it can


class FakeClock:
    """Time passes only by `advance`, which wakes sleepers in order, each at its own moment."""

    def __init__(self, start: dt.datetime = START) -> None:
        self._start = start
        self._passed = 0.0  # seconds; sleepers count these, so setting the clock wakes nobody
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> dt.datetime:
        """Return what the clock shows, aware UTC."""
        return self._start + dt.timedelta(seconds=self._passed)

    def ticks(self) -> float:
        """Return the seconds that have passed, whatever the clock was set to."""
        return self._passed

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has come that far; as in asyncio, nothing or less is one turn of the loop."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._passed + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let time pass, and let everybody who wakes meanwhile do what they do then."""
        end = self._passed + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            wakes_at, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                self._passed = wakes_at
                woken.set_result(None)
                await self.settle()
        self._passed = end

    async def settle(self) -> None:
        """Let everybody who is awake go on, at the same moment. Threads and sockets are not waited for."""
        for _ in range(_TURNS_TO_SETTLE):
            await asyncio.sleep(0)

    def set(self, now: dt.datetime) -> None:
        """Set what the clock shows, forwards or back, as a time server does; no time passes."""
        self._start = now - dt.timedelta(seconds=self._passed)

    @property
    def naps(self) -> list[float]:
        """How many seconds each sleeper has left, the first to wake first."""
        return [at - self._passed for at, _, woken in sorted(self._sleepers) if not woken.done()]


class JumpingClock(FakeClock):
    """Sleeping moves time to where it ends, at once: for code whose waits are of no interest."""

    async def sleep(self, seconds: float) -> None:
        self._passed += max(seconds, 0.0)
        await asyncio.sleep(0)
