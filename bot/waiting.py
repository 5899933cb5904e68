"""Waits for a moment of the injected clock, or for news."""

import asyncio
import datetime as dt
from collections.abc import Awaitable
from typing import Any

from bot.models import Clock, Sleep

# A clock that was wrong and is put right, or set back, is noticed within a minute.
_MOST_NAP_SECONDS = 60.0


async def sleep_until(moment: dt.datetime, *, clock: Clock, sleep: Sleep) -> None:
    """Sleep until the clock shows the moment; not at all where it has passed.

    Where the clock is set back meanwhile, what was left to wait stays as long as it was.
    """
    seen = clock()
    while (seconds := (moment - seen).total_seconds()) > 0:
        await sleep(min(seconds, _MOST_NAP_SECONDS))
        now = clock()
        moment += min(now - seen, dt.timedelta())
        seen = now


async def news_until(news: asyncio.Event, moment: dt.datetime, *, clock: Clock, sleep: Sleep) -> bool:
    """Wait until there is news, or until the clock shows the moment; return whether there is news."""
    return await news_or(news, sleep_until(moment, clock=clock, sleep=sleep))


async def news_or(news: asyncio.Event, pause: Awaitable[None] | None) -> bool:
    """Wait until there is news, or until a pause is over if there is one; return whether there is news."""
    waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(news.wait())]
    if pause is not None:
        waits.append(asyncio.ensure_future(pause))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return news.is_set()
