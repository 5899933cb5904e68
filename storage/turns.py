"""Turns at the one writer: what a person waits for goes before what the bot does by itself."""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncGenerator

FIRST, BEHIND = range(2)


class Turns:
    """Lets in one at a time: by rank, then in the order they came.

    In a flood thousands of small writes of the worker wait; an order must not wait behind all of them. Orders
    are so few in a second, by cool-downs and by limits on what may wait, that the worker always gets on.
    """

    def __init__(self) -> None:
        self._is_taken = False
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @contextlib.asynccontextmanager
    async def turn(self, rank: int) -> AsyncGenerator[None]:
        """Wait for a turn; it lasts as long as the block."""
        if self._is_taken:
            turn = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (rank, next(self._order), turn))
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():
                    self._pass_on()  # it was this one's turn already
                raise
        self._is_taken = True
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            turn = heapq.heappop(self._waiting)[-1]
            if not turn.done():
                turn.set_result(None)
                return  # it stays taken, by whoever waited
        self._is_taken = False
