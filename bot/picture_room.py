"""Where members' pictures are made what a model takes: each in a process of its own, one after the other."""

import asyncio
import hashlib
import json
import logging
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot import processes
from bot.disk_errors import disk_errors
from bot.errors import BadPicture
from bot.models import Picture, Shape
from bot.pictures import Pixels
from bot.whole_files import write_whole

log = logging.getLogger(__name__)

MOST_UPLOAD_BYTES = 50 * 1024 * 1024
MOST_SECONDS = 30  # an honest picture of 100 megapixels takes five, on one core of 2023
# An honest one takes up to 1,010 MiB: a progressive JPEG keeps all its coefficients beside the pixels.
MOST_MEMORY_BYTES = 1280 * 1024 * 1024

_SUFFIX = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}
_ROOT = Path(__file__).parent.parent  # where Python finds the package `bot`
_TOO_HARD = (
    "This picture takes too much time or memory to be read. Save it again as an ordinary JPG or PNG, smaller "
    "where you can, and send that."
)


def check_upload_size(size: int) -> None:
    """Refuse an attachment by the size Discord states, before it is downloaded.

    Raises:
        BadPicture: it is empty or over MOST_UPLOAD_BYTES.
    """
    if size <= 0:
        raise BadPicture("This picture is empty (0 bytes). Send it again.")
    if size > MOST_UPLOAD_BYTES:
        # Rounded up, so that a byte too many does not read as "50.0 MB, at most 50 MB".
        megabytes = math.ceil(size * 10 / 1024**2) / 10
        raise BadPicture(
            f"This picture has {megabytes:,.1f} MB; "
            f"at most {MOST_UPLOAD_BYTES // 1024**2} MB can be taken. Make it smaller and send it again."
        )


class PictureRoom:
    """Fits pictures one at a time, since one may take a gigabyte, and keeps them as files in `folder`."""

    def __init__(
        self, folder: Path, *, most_seconds: int = MOST_SECONDS, most_memory_bytes: int = MOST_MEMORY_BYTES
    ) -> None:
        self._folder = folder
        self._most_seconds = most_seconds
        self._most_memory_bytes = most_memory_bytes
        self._turn = asyncio.Semaphore(1)

    async def fit(
        self, data: bytes, *, sizes: Mapping[Shape, Pixels | None], webp: bool = True
    ) -> tuple[Shape, Picture]:
        """Make the picture what a model takes, as `pictures.fit` does, and put it on disk.

        Its name is the hash of its bytes. The shape that comes back is the one it got.

        Raises:
            BadPicture: it is no still picture, is broken, or is too large or too hard to read.
        """
        check_upload_size(len(data))
        wish = {
            "sizes": sizes,
            "webp": webp,
            "most_seconds": self._most_seconds,
            "most_memory_bytes": self._most_memory_bytes,
        }
        async with self._turn:
            answer, fitted = await self._read(json.dumps(wish).encode() + b"\n" + data)
        if "refused" in answer:
            raise BadPicture(answer["refused"])
        path = await asyncio.to_thread(stored, self._folder, fitted, _SUFFIX[answer["content_type"]])
        shape = Shape(answer.pop("shape"))
        return shape, Picture(path=path, **answer)

    async def _read(self, given: bytes) -> tuple[dict[str, Any], bytes]:
        """Return what the process answers: a line about the picture, and its bytes."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot.picture_process"),
            cwd=_ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            said, complaint = await processes.finish(process, given, timeout_seconds=self._most_seconds)
        except TimeoutError as error:
            log.warning("a picture of %d bytes took longer than %d s", len(given), self._most_seconds)
            raise BadPicture(_TOO_HARD) from error
        if process.returncode:
            last = complaint.decode(errors="replace").strip()[-500:]
            log.warning(
                "the process for a picture of %d bytes ended with %s: %s",
                len(given),
                process.returncode,
                last,
            )
            raise BadPicture(_TOO_HARD)
        line, _, fitted = said.partition(b"\n")
        return json.loads(line), fitted


def stored(folder: Path, data: bytes, suffix: str) -> Path:
    """Write the file whole or not at all; one that is there already is the same to the byte.

    Raises:
        StorageTrouble: the disk is full, read-only or failing.
    """
    path = folder / f"{hashlib.sha256(data).hexdigest()}{suffix}"
    with disk_errors():
        try:
            os.utime(path)  # wanted again: it must not be swept as old before its new job is stored
        except FileNotFoundError:
            write_whole(path, data)
    return path
