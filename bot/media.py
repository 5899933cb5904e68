"""Runs ffmpeg within limits, and tells an MP4 by its bytes."""

import asyncio
import contextlib
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg  # pyright: ignore[reportMissingTypeStubs]

from bot import processes
from bot.errors import BotError

# Without -xerror ffmpeg ends well even where its input broke off, with a shorter clip.
_FFMPEG_ALWAYS = (
    *("-nostdin", "-hide_banner", "-xerror", "-loglevel", "error"),
    *("-protocol_whitelist", "file"),
)
_MOST_FFMPEG_BYTES = 1024**3  # two passes of a 1080p clip need less than half of it
_MOST_FILE_BYTES = 1024**3  # as large as a clip may be that is fetched

# What muxers write into an MP4 (https://mp4ra.org/registered-types/brands). Other users of the same
# box, such as HEIC and AVIF pictures, QuickTime and M4A sound, are not among them.
_MP4_BRANDS = {
    b"M4V ",
    *b"isom iso2 iso3 iso4 iso5 iso6 iso7 iso8 iso9 mp41 mp42 mp71 avc1 dash MSNV".split(),
}


class FfmpegFailed(BotError):
    """ffmpeg is not there, ended with an error, or took too long; the message says which."""


class ShrinkFailed(BotError):
    """A clip cannot be made small enough; the message says why, for the log."""


def is_mp4(head: bytes) -> bool:
    """Tell by its first 12 bytes whether a file is an MP4."""
    return head[4:8] == b"ftyp" and head[8:12] in _MP4_BRANDS


def ffmpeg_path() -> str:
    """Return where ffmpeg is.

    Raises:
        FfmpegFailed: this machine has none.
    """
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise FfmpegFailed(str(error)) from error


async def run_ffmpeg(args: Sequence[str | Path], *, timeout_seconds: float) -> str:
    """Run ffmpeg and return what it said, which is errors only unless `args` ask for more.

    The first input may open local files only, and nothing is read from the terminal. However this
    ends, cancelled included, the process is gone.

    Raises:
        FfmpegFailed: with the end of what ffmpeg said.
    """
    process = await asyncio.create_subprocess_exec(
        ffmpeg_path(),
        *_FFMPEG_ALWAYS,
        *args,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _limit(process.pid, timeout_seconds)
    try:
        _, said_bytes = await processes.finish(process, timeout_seconds=timeout_seconds)
    except TimeoutError as error:
        raise FfmpegFailed(f"ffmpeg took longer than {timeout_seconds:g} s") from error
    said = said_bytes.decode(errors="replace")
    if process.returncode:
        raise FfmpegFailed(f"ffmpeg ended with {process.returncode}: {said[-500:].strip()}")
    return said


def _limit(pid: int, seconds: float) -> None:
    """Cap a child's memory, its processor time and its files from outside, so that they hold without us too.

    A preexec_fn is not safe in a program with threads, see
    https://docs.python.org/3.11/library/subprocess.html (preexec_fn). Only Linux has prlimit.
    """
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - Windows has no such module

        seconds_of_all_cores = math.ceil(seconds) * (os.cpu_count() or 1)
        with contextlib.suppress(OSError):  # it has ended, or a container forbids this
            resource.prlimit(pid, resource.RLIMIT_DATA, (_MOST_FFMPEG_BYTES, _MOST_FFMPEG_BYTES))
            resource.prlimit(pid, resource.RLIMIT_CPU, (seconds_of_all_cores, seconds_of_all_cores))
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (_MOST_FILE_BYTES, _MOST_FILE_BYTES))
