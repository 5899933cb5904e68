"""A whole bot in a simulated Discord, in front of a gateway that does as the test says.

Everything is real but three things: Discord (SimCord), the gateway (`tests/fake_apixo.py`, over
HTTP) and time, which stands still until `World.until` moves it from one sleeper to the next.
"""

import asyncio
import contextlib
import datetime as dt
import heapq
import inspect
import io
import itertools
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Any, cast
from weakref import WeakSet

import aiohttp
import discord
import simcord
from discord import app_commands
from PIL import Image
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry, Pool
from yarl import URL

from bot.app import App, open_app
from bot.config import Settings
from bot.errors import UserError
from bot.models import Job, Stage
from bot.web import build_app, serve
from storage.database import Database
from storage.jobs import JobStore
from tests.books import put_fresh_database
from tests.fake_apixo import FakeApixo

START = dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC)
PUBLIC_URL = "https://bot.example"
SORA = "apixo/sora-2"
MOST_STEPS = 20_000
BREATH = 0.001  # real seconds that the disk gets at a time
MOST_BREATHS = 200  # for a paid answer, which a test may hold back
# What waits for a thread or a process, or for word of its end, which comes a little later.
OUTSIDE = {"to_thread", "Process.communicate", "Process.wait", "FileResponse.prepare"}
ROUNDS = 20  # of the event loop, in which a request to a gateway in this process is answered

_connections_in_use = WeakSet[ConnectionPoolEntry]()


class SteppedTime:
    """A clock and a sleep whose time moves only when it is told to, to the next sleeper's end."""

    def __init__(self, start: dt.datetime = START) -> None:
        self._now = start
        self._order = itertools.count()
        self._sleepers: list[tuple[dt.datetime, int, asyncio.Future[None]]] = []

    def now(self) -> dt.datetime:
        return self._now

    def ticks(self) -> float:
        """Return seconds that go with the clock, which nobody sets here."""
        return self._now.timestamp()

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        end = self._now + dt.timedelta(seconds=max(seconds, 0))
        heapq.heappush(self._sleepers, (end, next(self._order), woken))
        await woken

    def step(self) -> None:
        """Move to the end of the sleep that ends first, and wake all who sleep until then."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        if not self._sleepers:
            return
        self._now = max(self._now, self._sleepers[0][0])
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)

    async def move_until(self, end: Coroutine[Any, Any, None]) -> None:
        """Let time pass while something ends."""
        ending = asyncio.create_task(end)
        while not ending.done():
            await come_to_rest()
            self.step()
        await ending

    def jump(self, **delta: float) -> None:
        """Move by a stretch at once, as when the process slept."""
        self._now += dt.timedelta(**delta)


class World:
    """One server with a channel, three people and the bot."""

    def __init__(
        self, app: App, env: simcord.Env, time: SteppedTime, gateway: FakeApixo, process: "Process"
    ) -> None:
        self.app = app
        self._process = process
        self.env = env
        self.time = time
        self.started = time.now()
        self.gateway = gateway
        self.guild = env.create_guild("Team")
        self.channel = self.guild.create_text_channel("videos")
        staff = self.guild.create_role("Staff", permissions=discord.Permissions(manage_guild=True))
        self.member = self.guild.add_member(env.create_user("member"))
        self.other = self.guild.add_member(env.create_user("other"))
        self.staff = self.guild.add_member(env.create_user("staff"), roles=[staff])
        self.database = Database(app.folder.database)
        self.store = JobStore(self.database, pictures=app.folder.pictures, clips=app.folder.clips)

    # Acting

    async def create(self, *, by: Any = None, confirms: bool = True, **options: Any) -> str:
        """Use /video create, and confirm the price where it has to be; return what the person reads."""
        actor = by or self.member
        result: Any = await actor.slash(self.channel, "video create", **options)
        assert result.ephemeral
        if confirms and "Confirm" in _texts(result.response.components):
            result = await actor.click(result.response, label="Confirm")
        return result.response.content

    async def ask(self, command: str, *, by: Any = None, **options: Any) -> str:
        """Use a command; return what the person reads, the texts of components included."""
        result = await (by or self.member).slash(self.channel, command, **options)
        assert result.ephemeral
        return result.response.content or "\n".join(_texts(result.response.components))

    async def restart(self, *, meanwhile: Callable[[], Any] = lambda: None, **settings: Any) -> None:
        """End the bot as a signal does, and start it again on the same folder, with other settings."""
        await self.time.move_until(self._process.end())
        meanwhile()
        self.app = await self._process.begin(**settings)
        await self.env.restart_bot(self.app.bot)
        self.app.start()

    async def call_back(self, callback: tuple[str, dict[str, Any]]) -> int:
        """Let a gateway post a callback to its address; return the status it gets for an answer."""
        address, body = callback
        url = URL(address)
        assert url.origin() == URL(PUBLIC_URL).origin()
        local = url.with_scheme("http").with_host("127.0.0.1").with_port(self._process.port)
        async with aiohttp.ClientSession() as session, session.post(local, json=body) as answer:
            return answer.status

    @property
    def port(self) -> int:
        """Where the bot's own web server listens, if it has a public address."""
        return self._process.port

    def delete_card(self, job: Job) -> None:
        """Let somebody delete the job's card."""
        assert job.card_message_id is not None
        self.env.backend.delete_message(self.channel.id, job.card_message_id)

    # Waiting

    async def until(self, condition: Callable[[], Any]) -> None:
        """Let the bot work, moving time along, until the condition holds."""
        for _ in range(MOST_STEPS):
            await come_to_rest()
            found = condition()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return
            self.time.step()
        jobs = await self.jobs()
        raise AssertionError(f"it never came to that; jobs: {[(job.stage, job.failure) for job in jobs]}")

    async def settled(self) -> None:
        """Wait until no job has anything left to do and every card is true."""
        await self.until(lambda: not self.app.worker.busy_jobs and self.app.desk.is_quiet)

    async def until_idle(self) -> None:
        """Wait until no job has anything left to do, though a card may stay as it is."""
        await self.until(lambda: not self.app.worker.busy_jobs)

    async def reached(self, stage: Stage) -> Job:
        """Wait until the newest job is in a stage; return it."""

        async def there() -> bool:
            jobs = await self.jobs()
            return bool(jobs) and jobs[0].stage is stage

        await self.until(there)
        return (await self.jobs())[0]

    # Looking

    async def sums(self, *, of: Any = None) -> tuple[int, int]:
        """Return what a person's jobs spent and what they hold, in micro-dollars."""
        jobs = await self.jobs(of=of)
        return sum(job.settled_micros for job in jobs), sum(job.held_micros for job in jobs)

    async def jobs(self, *, of: Any = None) -> list[Job]:
        """Return a person's jobs, newest first."""
        return await self.store.of_member(self.guild.id, (of or self.member).id)

    async def job(self) -> Job:
        """Return the newest job."""
        return (await self.jobs())[0]

    async def card(self, job: Job | None = None) -> str:
        """Return the texts of the job's card."""
        message = await self.card_message(job)
        return "\n".join(_texts([cast("dict[str, Any]", part.to_dict()) for part in message.components]))

    async def card_message(self, job: Job | None = None) -> discord.Message:
        """Return the message that is the card of a job, the newest by default."""
        job = job or await self.job()
        return next(one for one in self.posts() if one.id == job.card_message_id)

    def posts(self) -> list[discord.Message]:
        """Return what everybody sees in the channel, oldest first."""
        return self.channel.history()

    def posts_text(self) -> str:
        """Return all that can be read in the channel, cards included."""
        return "\n".join(
            text
            for message in self.posts()
            for part in message.components
            for text in _texts([cast("dict[str, Any]", part.to_dict())])
        ) + "\n".join(message.content for message in self.posts())

    def answers(self) -> list[discord.Message]:
        """Return the bot's messages that are no cards."""
        return [message for message in self.posts() if message.author.bot and not message.components]


@contextlib.asynccontextmanager
async def open_world(
    folder: Path,
    *,
    time: SteppedTime | None = None,
    gateway: FakeApixo | None = None,
    started: bool = True,
    **settings: Any,
) -> AsyncGenerator[World]:
    """Start a bot with an APIXO key whose gateway is the fake one, and Sora for who names no model.

    Without `started` it takes commands, but the worker has not begun: as after a crash.
    """
    async with contextlib.AsyncExitStack() as stack:
        time = time or SteppedTime()
        gateway = gateway or await stack.enter_async_context(FakeApixo())
        values = {
            "data_dir": folder,
            "apixo_api_key": gateway.key,
            "apixo_base_url": gateway.base_url,
            "trusted_hosts": gateway.host,
            "default_user_monthly_limit": "100",
            "default_model": SORA if settings.get("apixo_api_key", gateway.key) else None,
            **settings,
        }
        await put_fresh_database(folder)
        process = Process(Settings(**values), time)
        stack.push_async_callback(process.end)
        app = await process.begin()
        # Not simcord.run: it sets a context variable, and a fixture ends in another context.
        env = simcord.Env(app.bot)
        await env.start()
        stack.push_async_callback(env.shutdown)
        world = World(app, env, time, gateway, process)
        stack.push_async_callback(world.database.close)
        if started:
            app.start()
        try:
            yield world
        finally:
            await time.move_until(world.app.stop())
        raise_unexpected(env)


class Process:
    """What a process of the bot is in these tests: all that `open_app` opens, and whom gateways call."""

    port = 0

    def __init__(self, settings: Settings, time: SteppedTime) -> None:
        self._settings = settings
        self._time = time
        self._open = contextlib.AsyncExitStack()

    async def begin(self, **changed: Any) -> App:
        settings = Settings(**{**self._settings.model_dump(), **changed})
        time = self._time
        opened = open_app(settings, clock=time.now, sleep=time.sleep, ticks=time.ticks)
        app = await self._open.enter_async_context(opened)
        if settings.public_url is not None:
            site = build_app(app.readiness, app.numbers, app.hooks.routes())
            self.port = await self._open.enter_async_context(serve(site, "127.0.0.1", 0))
        return app

    async def end(self) -> None:
        await self._open.aclose()


def raise_unexpected(env: simcord.Env) -> None:
    """Fail for what the bot raised, but for the refusals that its error handler shows."""
    errors = [getattr(error, "original", error) for error in env.errors]
    shown = UserError | app_commands.TransformerError
    unexpected = [error for error in errors if not isinstance(error, shown)]
    if unexpected:
        raise BaseExceptionGroup("the bot raised", unexpected)


def picture(width: int = 640, height: int = 360, form: str = "PNG", colour: str = "teal") -> bytes:
    """Make a picture file."""
    with io.BytesIO() as file:
        Image.new("RGB", (width, height), colour).save(file, form)
        return file.getvalue()


async def come_to_rest() -> None:
    """Let sockets, the disk and processes do what is under way, so that only time is left to wait for."""
    quiet, patience = 0, MOST_BREATHS
    while quiet < 2:  # between two transactions there is a moment without one
        for _ in range(ROUNDS):
            await asyncio.sleep(0)
        tasks = asyncio.all_tasks()
        is_ordering = any(task.get_name().startswith("Submitter.") for task in tasks)
        is_working = (
            bool(_connections_in_use)
            or any(task.get_name().startswith("storage ") for task in tasks)
            or any(_waits_outside(task) for task in tasks)
        )
        if is_working or (is_ordering and patience > 0):
            patience -= not is_working
            quiet = 0
            await asyncio.sleep(BREATH)
        else:
            quiet += 1


def _waits_outside(task: asyncio.Task[Any]) -> bool:
    waiting: Any = task.get_coro()
    while waiting is not None:
        if getattr(waiting, "__qualname__", "") in OUTSIDE:
            return True
        waiting = getattr(waiting, "cr_await", None)
    return False


@event.listens_for(Pool, "checkout")
def _begins(_connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
    _connections_in_use.add(record)


@event.listens_for(Pool, "checkin")
@event.listens_for(Pool, "invalidate")
def _ends(_connection: Any, record: ConnectionPoolEntry, *_: Any) -> None:
    _connections_in_use.discard(record)


def _texts(components: list[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for component in components:
        lines += [component[key] for key in ("content", "label") if component.get(key)]
        lines += _texts(component.get("components", []))
    return lines
