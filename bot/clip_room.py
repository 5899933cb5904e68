"""Where clips lie: each is kept from its gateway's answer or fetched from its links, whole or not at all."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.gateways.base import Gateway
from bot.gateways.download import ClipFetcher
from bot.models import Job
from bot.whole_files import write_whole


class ClipRoom:
    """The folder of clips, one file a job."""

    def __init__(self, folder: Path, *, fetcher: ClipFetcher, gateways: Mapping[str, Gateway]) -> None:
        self._folder = folder
        self._fetcher = fetcher
        self._gateways = gateways

    async def keep(self, job: Job, clip: bytes) -> None:
        """Write down a clip that came within an answer: it may be told nowhere else.

        Raises:
            StorageTrouble: the disk did not take it.
        """
        await asyncio.to_thread(write_whole, self._path(job), clip)

    async def fetch(self, job: Job, urls: Sequence[str]) -> Path:
        """Download the job's clip, with its gateway's key where that is due; without links it is there.

        Raises:
            FetchError: no link led to a clip.
            StorageTrouble: the disk did not take it.
        """
        path = self._path(job)
        if not urls and await asyncio.to_thread(path.exists):
            return path
        gateway = self._gateways.get(job.gateway)
        headers_for = None if gateway is None else gateway.headers_for
        await self._fetcher.fetch(urls, path, headers_for=headers_for)
        return path

    def _path(self, job: Job) -> Path:
        return self._folder / f"{job.job_id}.mp4"
