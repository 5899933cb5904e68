"""What ten clips of 30 MB take that are ready at once: each is downloaded, written down and posted whole."""

import asyncio
import tempfile
from pathlib import Path

from tests.bench.gateway import gateway_process
from tests.bench.machine import compare, tell
from tests.bench.rendering import BoostedDiscord, fill, forget_peak, megabytes, resuming, until
from tests.fake_apixo import CLIP

CLIPS, CLIP_BYTES = 10, 30_000_000
IDLE_SECONDS = 5
MOST_MEGABYTES_OVER_IDLE = 64


def large_clip(path: Path) -> Path:
    """Write a clip with a box that players skip: https://mp4ra.org/registered-types/boxes (free)."""
    clip = CLIP.read_bytes()
    rest = CLIP_BYTES - len(clip)
    path.write_bytes(clip + rest.to_bytes(4, "big") + b"free" + bytes(rest - 8))
    return path


async def clips() -> None:
    """Let all tasks end at once, and wait until all clips are in their channels."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = large_clip(folder / "clip.mp4")
        async with gateway_process(CLIPS, clip) as gateway, BoostedDiscord() as discord:
            await fill(folder / "data", discord, CLIPS)
            async with resuming(folder, gateway, discord) as bot:
                await bot.reaches(discord.ready)
                await asyncio.sleep(IDLE_SECONDS)
                pid = bot.process.pid
                idle = megabytes(pid, "VmRSS")
                forget_peak(pid)
                await gateway.end_tasks()
                await until(lambda: len(discord.files) == CLIPS, within_seconds=120)
                assert {len(data) for data in discord.files.values()} == {CLIP_BYTES}
                tell("memory while nothing happens", idle, "MB")
                over = megabytes(pid, "VmHWM") - idle
                compare(
                    f"over that with {CLIPS} clips of 30 MB at once", over, "MB", aim=MOST_MEGABYTES_OVER_IDLE
                )
