"""Shrinks a clip to what a channel takes."""

import asyncio
import dataclasses
import re
import tempfile
from pathlib import Path

from bot.media import FfmpegFailed, ShrinkFailed, run_ffmpeg

# Aimed at, so that what cannot be foreseen (the container, how well x264 hits) stays under the limit.
_AIM = 0.97
_AIM_AGAIN = 0.96
_MOST_TRIES = 3
# Below this a clip is a smear even at 720p, and x264 no longer keeps to the rate it is given.
_LEAST_VIDEO_BITS_PER_SECOND = 100_000
_SOUND_BITS_PER_SECOND = (32_000, 128_000)
# The index of an MP4 costs some bytes a frame, of picture and of sound.
_INDEX_BITS_PER_SECOND = 10_000
# Bits for each pixel of each frame under which fewer pixels look better than coarser ones: the
# constant of the "Kush Gauge" for a clip of little motion, https://blog.sporv.com/restoration-tips-kush-gauge/
_LEAST_BITS_PER_PIXEL = 0.07
_USUAL_FRAMES_PER_SECOND = 30.0

_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d\.\d+)")
_PICTURE = re.compile(r" Video: .*?, (\d{2,5})x(\d{2,5})\b(?:.*?, ([\d.]+) fps)?")

_THREADS = "2"  # more would take more memory than speed on the machine this is for
_LOOK = ("-map", "0", "-c", "copy", "-f", "null", "-")
_VIDEO = (
    *("-map", "0:v:0", "-c:v", "libx264", "-preset", "veryfast"),
    *("-pix_fmt", "yuv420p", "-threads", _THREADS),
)
_FIRST_PASS = ("-an", "-f", "null", "-")
_SOUND = ("-map", "0:a:0?", "-c:a", "aac")
# The shorter side becomes 720 at most, the other even: H.264 at 4:2:0 has no odd sizes.
_TO_720P = r"scale=if(gt(iw\,ih)\,-2\,min(iw\,720)):if(gt(iw\,ih)\,min(ih\,720)\,-2)"
_TO_EVEN = "scale=trunc(iw/2)*2:trunc(ih/2)*2"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Clip:
    duration_seconds: float
    pixels_per_second: float
    has_sound: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Rates:
    """Bits a second for the picture and for the sound."""

    video: int
    sound: int

    @property
    def video_options(self) -> tuple[str, ...]:
        return "-b:v", str(self.video)

    @property
    def sound_options(self) -> tuple[str, ...]:
        return "-b:a", str(self.sound)


class ClipShrinker:
    """Re-encodes clips one at a time, since each takes all of a small machine.

    `timeout_seconds` bounds each run of ffmpeg; a clip takes up to five.
    """

    def __init__(self, *, timeout_seconds: float = 300) -> None:
        self._timeout_seconds = timeout_seconds
        self._turn = asyncio.Semaphore(1)

    async def shrink_clip(self, clip: Path, *, limit_bytes: int) -> Path:
        """Return the clip if it is within the limit, else `<stem>.fitted.mp4` beside it that is.

        Raises:
            ShrinkFailed: it cannot be done; nothing is left behind.
        """
        try:
            if clip.stat().st_size <= limit_bytes:  # noqa: ASYNC240 - a look at a local file
                return clip
            async with self._turn:
                # Beside the clip, so that the last step is a rename within one file system.
                with tempfile.TemporaryDirectory(dir=clip.parent, prefix=".shrinking-") as scratch:
                    small = await self._encode(clip, Path(scratch), limit_bytes)
                    return small.replace(clip.with_name(f"{clip.stem}.fitted.mp4"))
        except (FfmpegFailed, OSError) as error:
            raise ShrinkFailed(f"{clip.name} cannot be shrunk: {error}") from error

    async def _encode(self, path: Path, scratch: Path, limit_bytes: int) -> Path:
        clip = _understood(await self._run(path, "-loglevel", "info", after=_LOOK))
        rates = _rates(clip, limit_bytes)
        is_coarse = rates.video < _LEAST_BITS_PER_PIXEL * clip.pixels_per_second
        video = (*_VIDEO, "-vf", _TO_720P if is_coarse else _TO_EVEN, "-passlogfile", f"{scratch}/pass")
        await self._run(path, after=(*video, *rates.video_options, "-pass", "1", *_FIRST_PASS))
        small = scratch / "small.mp4"
        for _ in range(_MOST_TRIES):
            options = (*video, *rates.video_options, "-pass", "2", *_SOUND, *rates.sound_options)
            await self._run(path, after=(*options, "-movflags", "+faststart", "-y", f"file:{small}"))
            size = small.stat().st_size
            if size <= limit_bytes:
                return small
            rates = dataclasses.replace(rates, video=int(rates.video * limit_bytes / size * _AIM_AGAIN))
        raise ShrinkFailed(f"{path.name} stays over {limit_bytes:,} bytes")

    async def _run(self, path: Path, *before: str, after: tuple[str, ...]) -> str:
        """Run ffmpeg on the clip, read as an MP4 whatever it holds, so that it cannot name other files.

        An MP4 may name some too, which ffmpeg follows only if it is told to (`enable_drefs`).
        """
        args = (*before, "-f", "mp4", "-threads", _THREADS, "-i", f"file:{path}", *after)
        return await run_ffmpeg(args, timeout_seconds=self._timeout_seconds)


def _understood(said: str) -> _Clip:
    """Read what ffmpeg says about its input; imageio-ffmpeg brings no ffprobe."""
    duration, picture = _DURATION.search(said), _PICTURE.search(said)
    if not duration or not picture:
        raise ShrinkFailed("the clip has no duration or no picture")
    hours, minutes, seconds = map(float, duration.groups())
    width, height, frames_per_second = picture.groups()
    return _Clip(
        duration_seconds=hours * 3600 + minutes * 60 + seconds,
        pixels_per_second=int(width) * int(height) * float(frames_per_second or _USUAL_FRAMES_PER_SECOND),
        has_sound=" Audio: " in said,
    )


def _rates(clip: _Clip, limit_bytes: int) -> _Rates:
    """Share out the limit: a tenth for the sound, within reason, and the rest for the picture."""
    total = limit_bytes * 8 * _AIM / max(clip.duration_seconds, 0.1) - _INDEX_BITS_PER_SECOND
    least, most = _SOUND_BITS_PER_SECOND
    sound = min(most, max(least, int(total / 10))) if clip.has_sound else 0
    video = int(total) - sound
    if video < _LEAST_VIDEO_BITS_PER_SECOND:
        raise ShrinkFailed(f"{limit_bytes:,} bytes are too few for {clip.duration_seconds:g} s")
    return _Rates(video=video, sound=sound)
