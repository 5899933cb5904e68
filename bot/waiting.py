"""Waits for a moment of the injected clock."""

import asyncio
import datetime as dt

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
    waits = [
        asyncio.ensure_future(news.wait()),
        asyncio.ensure_future(sleep_until(moment, clock=clock, sleep=sleep)),
    ]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return news.is_set()
