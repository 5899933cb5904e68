"""Renders a real MP4 with picture and sound, in the asked size and length, with ffmpeg."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from bot.media import run_ffmpeg
from bot.sandbox import drawing
from bot.sandbox.drawing import Clip

Render: TypeAlias = Callable[[Clip, Path], Awaitable[None]]

_FRAMES_PER_SECOND = 24
_END_SECONDS = 0.5  # how long the picture is shown that a clip ends with
_MOST_SECONDS = 300  # a small machine with other work may take long, but not for ever
_SOUND = "sine=frequency=196:sample_rate=44100,volume=0.05[sound]"


async def render_clip(clip: Clip, path: Path) -> None:
    """Render a clip into a file, which appears only when it is whole; what a kill leaves beside it
    ends in `.part`.

    Raises:
        FfmpegFailed: ffmpeg is not there, failed, or took too long.
        OSError: the picture cannot be decoded, or the disk is full.
    """
    # A folder of its own a try: after a kill, the last try's ffmpeg may still be writing. A thread
    # that draws outlives a cancelled render, so the folder may not be empty yet when it has to go.
    with tempfile.TemporaryDirectory(dir=path.parent, suffix=".part", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        await asyncio.to_thread(_draw, clip, folder)
        # fmt: off
        arguments = (
            "-y", "-i", folder / "background.bmp", "-i", folder / "card.png", "-i", folder / "bar.bmp",
            *(("-i", folder / "end.bmp") if clip.end_picture else ()),
            "-filter_complex", _filters(clip), "-map", "[picture]",
            *(("-map", "[sound]", "-c:a", "aac", "-b:a", "64k") if clip.sound else ()),
            "-t", str(clip.seconds), "-c:v", "libx264", "-preset", "ultrafast", "-crf", "26",
            "-maxrate", "8M", "-bufsize", "8M", "-pix_fmt", "yuv420p",
            "-movflags", "+faststart", folder / "clip.mp4",
        )
        # fmt: on
        await run_ffmpeg(arguments, timeout_seconds=_MOST_SECONDS)
        (folder / "clip.mp4").replace(path)


def _draw(clip: Clip, folder: Path) -> None:
    drawing.background(clip).save(folder / "background.bmp")
    drawing.card(clip).save(folder / "card.png", compress_level=1)
    drawing.progress_bar(clip).save(folder / "bar.bmp")
    if clip.end_picture:
        drawing.end(clip).save(folder / "end.bmp")


def _filters(clip: Clip) -> str:
    """Stills become frames here: a still decoded once and repeated costs next to nothing."""
    size = f"{clip.width}x{clip.height}"
    frames = max(1, round(clip.seconds * _FRAMES_PER_SECOND))
    if clip.picture:
        move = (
            f"zoompan=z='1+0.2*on/{frames}':x='(iw-iw/zoom)/2':y='(ih-ih/zoom)/2'"
            f":d={frames}:s={size}:fps={_FRAMES_PER_SECOND}"
        )
    else:
        move = (
            f"loop=loop=-1:size=1,fps={_FRAMES_PER_SECOND},"
            f"crop={clip.width}:{clip.height}:x='(iw-ow)*t/{clip.seconds}':y=0"
        )
    ending = "[moving]"
    if clip.end_picture:
        begins = clip.seconds - _END_SECONDS
        ending = f"[3]format=yuv420p[end];[moving][end]overlay=enable='gte(t,{begins})'[ended];[ended]"
    return (
        f"[0]format=yuv420p,{move}[moving];"
        "[1]format=yuva420p[card];[2]format=yuv420p[bar];"
        f"{ending}[card]overlay[marked];"
        f"[marked][bar]overlay=x='W*t/{clip.seconds}-W':y=H-h[picture]"
        f"{f';{_SOUND}' if clip.sound else ''}"
    )
