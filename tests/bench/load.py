"""What 1,000 rendering jobs take, of a gateway that takes 10,000 requests a minute; and how soon they go on.

Discord is a stand-in in this process, the gateway one in its own. The bot starts with the jobs in its
database and their cards in fifteen channels; no task ends. Then it is killed, and started again.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path

from tests.bench.gateway import GatewayProcess, gateway_process
from tests.bench.machine import compare, say, tell
from tests.bench.rendering import BoostedDiscord, cpu_seconds, fill, megabytes, resuming, until, writes
from tests.gateway_server import closed_port

JOBS = 1_000
SETTLE_SECONDS, MEASURED_SECONDS = 15, 40
STARTS = 3
MOST_CORE_PERCENT, MOST_MEGABYTES, MOST_RESUME_SECONDS = 25, 250, 3
_IS_DRIVEN = "the job is rendering"


@contextlib.asynccontextmanager
async def thousand() -> AsyncGenerator[tuple[Path, GatewayProcess, BoostedDiscord]]:
    """Fill a folder, and open what a bot on it speaks to."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with gateway_process(JOBS) as gateway, BoostedDiscord() as discord:
            await fill(folder / "data", discord, JOBS)
            yield folder, gateway, discord


async def load() -> None:
    """Measure while they render."""
    port = closed_port()
    async with (
        thousand() as (folder, gateway, discord),
        resuming(folder, gateway, discord, HTTP_PORT=str(port)) as bot,
    ):
        await bot.reaches(discord.ready)
        pid = bot.process.pid
        await asyncio.sleep(SETTLE_SECONDS)
        requests, edits, written = await gateway.count(), discord.edits, await writes(port)
        used, began = cpu_seconds(pid), time.monotonic()
        await asyncio.sleep(MEASURED_SECONDS)
        used, seconds = cpu_seconds(pid) - used, time.monotonic() - began
        looks = (await gateway.count() - requests) / seconds
        tell("looks at tasks", looks * 60, "a minute", digits=0)
        tell("edits of cards", (discord.edits - edits) / seconds, "a second")
        tell("writes to the database", (await writes(port) - written) / seconds, "a second", digits=2)
        tell("processor time for a look, with all that goes beside it", used / seconds / looks * 1000, "ms")
        compare("processor", used / seconds * 100, "% of one", aim=MOST_CORE_PERCENT)
        compare("memory at most", megabytes(pid, "VmHWM"), "MB", aim=MOST_MEGABYTES)


async def resume() -> None:
    """Kill it and start it again, a few times; the slowest start counts."""
    slowest: list[float] = []
    async with thousand() as (folder, gateway, discord):
        for number in range(1 + STARTS):
            discord.ready.clear()
            looked = await gateway.count()
            began = time.monotonic()
            async with resuming(folder, gateway, discord, LOG_LEVEL="info") as bot:
                await bot.reaches(discord.ready)
                ready = time.monotonic() - began
                await until(lambda: bot.output.count(_IS_DRIVEN) >= JOBS, within_seconds=60)
                driven = time.monotonic() - began
                while await gateway.count() == looked:  # noqa: ASYNC110 - another process counts them
                    await asyncio.sleep(0.005)
                first_look = time.monotonic() - began
                bot.process.kill()
            if number:
                slowest.append(max(ready, driven))
                say(
                    f"  killed and started: Discord ready after {ready:.2f} s, {JOBS:,} jobs driven after "
                    f"{driven:.2f} s, the first look after {first_look:.2f} s"
                )
    compare(
        "all jobs driven and Discord ready, the slowest start",
        max(slowest),
        "s",
        aim=MOST_RESUME_SECONDS,
        digits=2,
    )
