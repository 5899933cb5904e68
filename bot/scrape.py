"""What /metrics shows: the counters as they are, and what stands in the database every few seconds."""

import asyncio
import logging

from bot.metrics import Metrics
from storage.gauges import GaugeStore

log = logging.getLogger(__name__)

KEEP_SECONDS = 5.0
MOST_SECONDS = 2.0


class Scrape:
    """Reads the database at most once in `KEEP_SECONDS`, whoever asks; without it, the numbers stay."""

    def __init__(self, metrics: Metrics, store: GaugeStore) -> None:
        self._metrics = metrics
        self._store = store
        self._reading: asyncio.Task[None] | None = None
        self._read_at = float("-inf")  # of the event loop's time, which nobody sets

    async def page(self) -> bytes:
        """Return the page; a database that does not answer holds it up for a moment only."""
        now = asyncio.get_running_loop().time()
        if self._reading is None and now - self._read_at >= KEEP_SECONDS:
            self._read_at = now
            self._reading = asyncio.create_task(self._read(), name="metrics")
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=MOST_SECONDS)
        return self._metrics.page()

    async def _read(self) -> None:
        try:
            self._metrics.jobs_are(await self._store.open_jobs())
            self._metrics.money_is(await self._store.money())
        except Exception:
            log.exception("the numbers for /metrics could not be read")
        finally:
            self._reading = None
