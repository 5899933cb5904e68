"""How soon orders are acknowledged, beside a bot that does nothing else: alternating, in one run.

Both bots are processes; Discord is a stand-in in this one, with an instance for each, and the gateway has a
process of its own. Measured is from Discord telling of the command until Discord has the acknowledgement.
"""

import asyncio
import contextlib
import gc
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

from tests.bench.flood import TimedDiscord
from tests.bench.gateway import ROOT, gateway_process
from tests.bench.machine import compare, in_milliseconds, p99, say
from tests.bench.rendering import until
from tests.discord_server import NAMES
from tests.discord_standin import TOKEN
from tests.test_process import running

ROUNDS = 10
ONE_BY_ONE, AT_ONCE = 20, 50  # in each round
PEOPLE = range(5_000, 5_000 + AT_ONCE)
AIM = 1.5
QUIET_SECONDS = 0.3


class Side:
    """A bot, the Discord it is in, and how it is asked."""

    def __init__(self, discord: TimedDiscord, command: str, *, orders: bool) -> None:
        self.one_by_one: list[float] = []
        self.at_once: list[float] = []
        self._discord = discord
        self._command = command
        self._orders = orders

    async def round(self) -> None:
        """Order one after the other, then all at once."""
        for user_id in PEOPLE[:ONE_BY_ONE]:
            self.one_by_one += await self._acknowledged([user_id])
        self.at_once += await self._acknowledged(PEOPLE)

    async def _acknowledged(self, people: range | list[int]) -> list[float]:
        before = set(self._discord.used)
        for user_id in people:
            await self._discord.use(user_id, self._command, prompt="A fox")
        tokens = set(self._discord.used) - before
        answered = self._discord.last if self._orders else self._discord.first
        await until(lambda: tokens <= answered.keys(), within_seconds=60)
        if self._orders:
            strays = {self._discord.last[token][1] for token in tokens} - {""}
            assert all("is ordered" in words for words in strays), strays
        return [self._discord.first[token] - self._discord.used[token] for token in tokens]

    async def rest(self) -> None:
        """Wait until the bot has nothing to send any more: cards are posted and edited after the answer."""
        while True:
            seen = self._discord.requests
            await asyncio.sleep(QUIET_SECONDS)
            if self._discord.requests == seen:
                return


@contextlib.asynccontextmanager
async def bare_bot(folder: Path) -> AsyncGenerator[None]:
    """Run the bare bot."""
    path = os.pathsep.join([str(folder / "path"), str(ROOT)])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.bare"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "DISCORD_TOKEN": TOKEN},
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def ack() -> None:
    """Measure both, round by round."""
    NAMES.update({user_id: f"user{user_id}" for user_id in PEOPLE})
    async with contextlib.AsyncExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        gateway = await stack.enter_async_context(gateway_process())
        ours, bares = [await stack.enter_async_context(TimedDiscord()) for _ in range(2)]
        ours.lead_here(folders[0] / "path")
        bares.lead_here(folders[1] / "path")
        settings = {**gateway.settings, "DEFAULT_USER_MONTHLY_LIMIT": "100000", "LOG_LEVEL": "warning"}
        bot = await stack.enter_async_context(running(folders[0], **settings))
        await stack.enter_async_context(bare_bot(folders[1]))
        await bot.reaches(ours.ready)
        await asyncio.wait_for(bares.ready.wait(), 30)
        bot_side, bare_side = Side(ours, "video create", orders=True), Side(bares, "video", orders=False)
        await bot_side.round()  # the first time is another matter: both make their connections
        await bare_side.round()
        for side in (bot_side, bare_side):
            side.one_by_one.clear()
            side.at_once.clear()
        gc.disable()  # what holds this process up would be taken for a slow answer of theirs
        for _ in range(ROUNDS):
            await bot_side.rest()
            gc.collect()
            await bare_side.round()
            await bot_side.round()
        gc.enable()
    say(f"  {'milliseconds':44}  median     p99")
    say(f"  {f'{ROUNDS * ONE_BY_ONE} orders one by one':44}{in_milliseconds(bot_side.one_by_one)}")
    say(f"  {'  the bare bot':44}{in_milliseconds(bare_side.one_by_one)}")
    say(f"  {f'{AT_ONCE} orders at once, {ROUNDS} times':44}{in_milliseconds(bot_side.at_once)}")
    say(f"  {'  the bare bot':44}{in_milliseconds(bare_side.at_once)}")
    ratio = statistics.median(bot_side.at_once) / statistics.median(bare_side.at_once)
    say(f"  median of {AT_ONCE} at once: {ratio:.2f} of the bare bot's")
    compare(
        f"p99 of {AT_ONCE} at once beside the bare bot's",
        p99(bot_side.at_once) / p99(bare_side.at_once),
        "times",
        aim=AIM,
        digits=2,
    )
