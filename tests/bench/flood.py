"""Figures for a flood: 1,000 orders within a second over real sockets, and what others notice of it.

The bot is a process of its own; Discord and the gateway are stand-ins in this one, so on a machine with one
core the figures are worse than they are.
The first answer is Discord's first sight of a reply ("thinking", or a refusal); the second one names the job.
"""

import asyncio
import contextlib
import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.bench.machine import compare, p99, say
from tests.discord_server import NAMES, DiscordServer
from tests.fake_apixo import FakeApixo
from tests.test_process import running

FLOOD = 1_000
FLOODING, OTHERS = 5_000, range(6_000, 6_020)  # each of the others orders once, spread over the flood
ORDER = "video create"
QUIET_SECONDS = 120


class TimedDiscord(DiscordServer):
    """Notes when each use of a command had its first answer, and when its last."""

    def __init__(self) -> None:
        super().__init__()
        self.first: dict[str, float] = {}
        self.last: dict[str, tuple[float, str]] = {}
        self.used: dict[str, float] = {}
        self.people: dict[str, int] = {}
        self.requests = 0
        self._news = asyncio.Event()

    async def dispatch(self, name: str, data: dict[str, Any]) -> None:
        """Note when a person's act goes out."""
        if name == "INTERACTION_CREATE":
            self.used[data["token"]] = time.perf_counter()
            self.people[data["token"]] = int(data["member"]["user"]["id"])
        await super().dispatch(name, data)

    def middlewares(self) -> list[Any]:
        """Note what comes."""
        return [*super().middlewares(), self._note]

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        token = request.match_info.get("token")
        self.requests += 1
        if token is None:
            return await handler(request)
        now = time.perf_counter()
        self.first.setdefault(token, now)
        response = await handler(request)
        if (message := self._answers[token].message) is not None:
            self.last[token] = (now, message["content"])
            self._news.set()
        return response

    async def until_answered(self) -> None:
        """Wait until every act has a last answer, but not for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET_SECONDS):
                while len(self.last) < len(self.used):
                    self._news.clear()
                    await self._news.wait()

    def seconds(self, user_ids: set[int], *, ordered: bool | None = None) -> tuple[list[float], list[float]]:
        """Return how long the first and the last answers took to acts of some people."""
        tokens = [
            token
            for token, user_id in self.people.items()
            if user_id in user_ids
            and (ordered is None or ("is ordered" in self.last.get(token, (0, ""))[1]) is ordered)
        ]
        return (
            sorted(self.first[token] - self.used[token] for token in tokens if token in self.first),
            sorted(self.last[token][0] - self.used[token] for token in tokens if token in self.last),
        )


async def flood(members: int, *, is_flooded: bool = True) -> TimedDiscord:
    """Let so many members send a thousand orders within a second, and somebody else order meanwhile."""
    flooding = [FLOODING + number for number in range(members)]
    NAMES.update({user_id: f"user{user_id}" for user_id in (*flooding, *OTHERS)})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with FakeApixo() as gateway, TimedDiscord() as discord:
            discord.lead_here(folder / "path")
            gateway.renders = False
            settings = {
                "APIXO_API_KEY": gateway.key,
                "DEFAULT_MODEL": "apixo/sora-2",
                "APIXO_BASE_URL": gateway.base_url,
                "TRUSTED_HOSTS": gateway.host,
                "DEFAULT_USER_MONTHLY_LIMIT": "100000",
                "LOG_LEVEL": "warning",
            }
            async with running(folder, **settings) as bot:
                await bot.reaches(discord.ready)
                await (await discord.use(OTHERS[0], "quota show")).text()
                begun = time.perf_counter()
                who = itertools.cycle(flooding)
                for number in range(FLOOD if is_flooded else 0):
                    await _at(begun + number / FLOOD)
                    await discord.use(next(who), ORDER, prompt="A fox")
                    other, left = divmod(number, FLOOD // len(OTHERS))
                    if left == 0:
                        await discord.use(OTHERS[other], ORDER, prompt="The one")
                for number, other in enumerate(() if is_flooded else OTHERS):
                    await _at(begun + number / len(OTHERS))
                    await discord.use(other, ORDER, prompt="The one")
                sent = time.perf_counter() - begun
                await discord.until_answered()
                say(f"  sent in {sent:.2f} s, all answered after {time.perf_counter() - begun:.2f} s")
    return discord


async def _at(moment: float) -> None:
    if (wait := moment - time.perf_counter()) > 0:
        await asyncio.sleep(wait)


def line(name: str, seconds: tuple[list[float], list[float]]) -> str:
    """One line of figures in milliseconds."""
    figures = (
        f"{statistics.median(times) * 1000:10.0f}{p99(times) * 1000:8.0f}" for times in seconds if times
    )
    return f"  {name:44}{len(seconds[0]):7,}{''.join(figures)}"


async def flooded() -> None:
    """Measure without a flood, with one of a single member, and with one of fifty."""
    say(f"  {'milliseconds':44}{'acts':>7}{'first':>10}{'p99':>8}{'last':>10}{'p99':>8}")
    say(line("no flood", (await flood(1, is_flooded=False)).seconds({*OTHERS})))
    for members in (1, 50):
        discord = await flood(members)
        them = set(range(FLOODING, FLOODING + members))
        whose = f"{FLOOD:,} orders of {members} in a second"
        say(line(f"{whose}: taken", discord.seconds(them, ordered=True)))
        say(line(f"{whose}: refused", discord.seconds(them, ordered=False)))
        say(line("  one order each of others meanwhile", discord.seconds({*OTHERS})))
        slowest = max(p99(discord.seconds(people)[0]) for people in (them, {*OTHERS}))
        compare(f"{whose}: p99 of first answers", slowest * 1000, "ms", aim=1_000, digits=0)
