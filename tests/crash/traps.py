"""Where the bot is killed: before and after a stand-in answers each kind of request."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TypeAlias

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

KindOf: TypeAlias = Callable[[web.Request], Awaitable[str]]


class Moment(StrEnum):
    """How far a request has come when the bot is killed."""

    ARRIVED = "arrived"  # it has had no effect
    DONE = "done, unanswered"
    HALFWAY = "half answered"
    ANSWERED = "answered"


@dataclasses.dataclass(frozen=True, order=True)
class Boundary:
    """A moment of a kind of request, as the stand-ins see it."""

    kind: str
    moment: Moment

    def __str__(self) -> str:
        return f"{self.kind}: {self.moment}"


class Gone(Exception):
    """Whoever asked was killed just now."""


class Trap:
    """Kills once, when what it is set for comes by."""

    def __init__(self) -> None:
        self.struck = asyncio.Event()
        self._boundary: Boundary | None = None
        self._delay = 0.0
        self._kill: Callable[[], None] = lambda: None

    def set(self, boundary: Boundary | None, *, delay: float, kill: Callable[[], None]) -> None:
        """Wait for this; `delay` is how many seconds after an answer the bot still lives."""
        self._boundary, self._delay, self._kill = boundary, delay, kill
        self.struck.clear()

    @property
    def waits_for(self) -> str:
        """The kind of request that it waits for."""
        return self._boundary.kind if self._boundary is not None else ""

    async def passes(self, kind: str, moment: Moment) -> None:
        """Tell the trap who comes by.

        Raises:
            Gone: it struck.
        """
        if Boundary(kind, moment) != self._boundary:
            return
        self._boundary = None
        if moment is Moment.ANSWERED:
            await asyncio.sleep(self._delay)
        self._kill()
        self.struck.set()
        raise Gone


def watched(trap: Trap, kind_of: KindOf) -> Middleware:
    """Return a middleware that lets each request pass the trap on its way in and out."""

    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            kind = await kind_of(request)
            await trap.passes(kind, Moment.ARRIVED)
            response = await handler(request)
            await trap.passes(kind, Moment.DONE)
            if kind:
                await response.prepare(request)
                await response.write_eof()
                await trap.passes(kind, Moment.ANSWERED)
        except (Gone, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return response

    return watch
