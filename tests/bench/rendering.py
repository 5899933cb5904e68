"""Jobs that a bot finds rendering when it starts, and what its process takes while it goes on with them."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import os
import re
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import sqlalchemy as sa
from aiohttp import web

from bot.models import Job, Mode, Shape, VideoRequest, utc_now
from bot.quotas import Policy
from storage.database import Database
from storage.jobs import JobStore
from storage.orders import OrderStore
from storage.schema import jobs
from tests.bench.gateway import GatewayProcess
from tests.books import UTC_POLICY, new_job, put_fresh_database
from tests.discord_server import CHANNELS, MEMBER, SERVER, STAFF, DiscordServer
from tests.test_process import Bot, running

MODEL = "apixo/sora-2"
PLACES = [channel for channel in CHANNELS if channel != STAFF]
PLENTY: Policy = dataclasses.replace(UTC_POLICY, default_member_micros=10**15)
# Within these seconds after a submit such a task is looked at as often as the limit lets it.
RENDERING_SECONDS = range(200, 600)
_REQUEST = VideoRequest(model=MODEL, mode=Mode.TEXT, prompt="a fox", seconds=10, shape=Shape.LANDSCAPE)
_TICKS = os.sysconf("SC_CLK_TCK")


class BoostedDiscord(DiscordServer):
    """A server that takes files of 50 MB, with cards that an earlier run has posted; counts edits."""

    def __init__(self) -> None:
        super().__init__()
        self.edits = 0

    def put_card(self, channel_id: int) -> int:
        """Post what a bot may edit; return the message's id."""
        message = self._message(channel_id, {}, [])
        self.messages[channel_id].append(message)
        return int(message["id"])

    async def _edit(self, request: web.Request) -> web.Response:
        self.edits += 1
        return await super()._edit(request)

    def _guild(self) -> dict[str, Any]:
        return super()._guild() | {"premium_tier": 2}


async def fill(data: Path, discord: BoostedDiscord, count: int) -> None:
    """Write a database in which so many jobs are rendering, and post their cards."""
    database = Database(await put_fresh_database(data))
    try:
        orders = OrderStore(database, JobStore(database, pictures=data, clips=data))
        for number in range(count):
            await _place(database, orders, discord, number)
    finally:
        await database.close()


async def _place(database: Database, orders: OrderStore, discord: BoostedDiscord, number: int) -> None:
    channel_id = PLACES[number % len(PLACES)]
    new = new_job(
        500_000,
        job_id=f"bench{number}",
        origin=f"bench:{number}",
        server_id=SERVER,
        channel_id=channel_id,
        home_channel_id=channel_id,
        user_id=MEMBER,
        request=_REQUEST,
    )
    job = await orders.place(new, PLENTY, now=utc_now())
    assert isinstance(job, Job), job
    passed = RENDERING_SECONDS[number * 37 % len(RENDERING_SECONDS)]
    async with database.write() as connection:
        await connection.execute(
            sa.update(jobs)
            .where(jobs.c.job_id == job.job_id)
            .values(
                stage="rendering",
                task_id=f"task_{number + 1:08d}",
                submitted_at=utc_now() - dt.timedelta(seconds=passed),
                card_message_id=discord.put_card(channel_id),
                card_stage="rendering",
            )
        )


@contextlib.asynccontextmanager
async def resuming(
    folder: Path, gateway: GatewayProcess, discord: DiscordServer, **settings: str
) -> AsyncGenerator[Bot]:
    """Run a bot on what was filled, in a Discord where messages wait for it."""
    discord.lead_here(folder / "path")
    async with running(folder, **{"LOG_LEVEL": "warning", **gateway.settings, **settings}) as bot:
        yield bot


async def writes(port: int) -> int:
    """Return how many transactions the bot has written, as it counts them."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as page:
        found = re.search(r"^video_bot_database_write_seconds_count (\S+)", await page.text(), re.MULTILINE)
    assert found is not None
    return round(float(found[1]))


# The process, as the kernel tells of it: https://man7.org/linux/man-pages/man5/proc.5.html


def cpu_seconds(pid: int) -> float:
    """Return how long it has used a processor, its threads and the kernel for it together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def megabytes(pid: int, what: str) -> float:
    """Return `VmRSS`, what it has in memory now, or `VmHWM`, the most since the start or `forget_peak`."""
    found = re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def forget_peak(pid: int) -> None:
    """Let `VmHWM` begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


async def until(holds: Callable[[], bool], *, within_seconds: float) -> None:
    """Look every few milliseconds until something holds that no event tells of."""
    async with asyncio.timeout(within_seconds):
        while not holds():  # noqa: ASYNC110 - another process brings it about
            await asyncio.sleep(0.005)
