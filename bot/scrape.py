"""What /metrics shows: the counters as they are, and what stands in the database every few seconds."""

import asyncio
import datetime as dt
import logging

from bot.metrics import Metrics
from bot.models import Clock
from bot.track import Track
from storage.gauges import GaugeStore

log = logging.getLogger(__name__)

KEEP = dt.timedelta(seconds=5)
MOST_SECONDS = 2.0


class Scrape:
    """Reads the database at most once while `KEEP` lasts, whoever asks; without it, the numbers stay."""

    def __init__(self, metrics: Metrics, store: GaugeStore, *, track: Track, clock: Clock) -> None:
        self._metrics = metrics
        self._store = store
        self._track = track
        self._reading: asyncio.Task[None] | None = None
        self._clock = clock
        self._read_at: dt.datetime | None = None

    async def page(self) -> bytes:
        """Return the page; a database that does not answer holds it up for a moment only."""
        now = self._clock()
        self._metrics.failing_are(self._track.failing())
        is_fresh = self._read_at is not None and abs(now - self._read_at) < KEEP
        if self._reading is None and not is_fresh:
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
