"""Where clips lie: each is kept from its gateway's answer or fetched from its links, whole or not at all."""

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.disk_errors import disk_errors
from bot.gateways.base import Gateway
from bot.gateways.download import ClipFetcher
from bot.models import Job


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
        with disk_errors():
            await asyncio.to_thread(_write, self._path(job), clip)

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


def _write(target: Path, clip: bytes) -> None:
    """Write a clip to `target`, which appears whole or not at all, and on the disk."""
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(exist_ok=True)
    try:
        with part.open("wb") as file:
            file.write(clip)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
