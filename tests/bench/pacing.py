"""Figures for pacing: how late ends are found, and with how many looks, in ten pro slots always busy.

In simulated time the real limiter, watcher and worker run on a real database, against a gateway in memory
that takes sixty requests a minute, answers 429 beyond them, and renders in log-normal times, 5 to 95 % of
them in the documented two to five minutes; five jobs in a hundred fail early. Then one check over real HTTP,
with a clock that runs twenty times as fast, beside the same jobs in simulated time.
"""

import asyncio
import bisect
import contextlib
import dataclasses
import datetime as dt
import json
import math
import random
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from aiohttp import web
from pydantic import SecretStr

from bot.acts import Acts
from bot.card_desk import CardDesk
from bot.config import Settings
from bot.forecast import Forecast
from bot.gate import Gate
from bot.gateways.base import (
    Accepted,
    Checked,
    Failed,
    Finished,
    Gateway,
    Missing,
    NoAnswer,
    NotAccepted,
    Running,
    Submitted,
)
from bot.ground import Ground, open_ground
from bot.lane import Lane
from bot.models import Clock, Draft, Failure, FailureKind, Job, Mode, Quality, Shape, Sleep, VideoRequest
from bot.quotas import Policy
from bot.story import Stories
from bot.submitter import Submitter
from bot.watcher import Watcher
from bot.worker import JobWorker
from storage.job_search import JobSearch
from storage.jobs import JobStore
from storage.orders import OrderStore
from storage.stops import StopStore
from tests.bench.machine import compare, say
from tests.books import new_job, put_fresh_database
from tests.world import SteppedTime

PRO = "apixo/sora-2-pro"
JOBS, LIVE_JOBS, SEED = 400, 60, 1
SLOTS, REQUESTS_A_MINUTE = 10, 60
IN_LINE = 3  # so that every slot is always busy
BOUND_SECONDS = 2.24  # below it nobody comes with 60 requests a minute and no callback
LOST_CALLBACKS = 0.02
FAIL_EARLY = 0.05
MIDDLE, SPREAD = math.sqrt(120 * 300), math.log(300 / 120) / 2 / 1.645
LATENCY_SECONDS = 0.15
CALLBACK_SECONDS = (0.1, 0.9)
LIVE_SPEED = 20.0
MINUTE = 60.0

REQUEST = VideoRequest(
    model=PRO, mode=Mode.TEXT, prompt="a fox", seconds=4, shape=Shape.LANDSCAPE, quality=Quality.P720
)


@dataclasses.dataclass
class Task:
    """One task of the gateway's, and when somebody first saw its end."""

    submitted_at: float
    ends_at: float
    fails: bool
    looks: int = 0
    seen_at: float | None = None


class Renderer:
    """What a gateway does, in seconds of its own clock: a limit in any minute, slots, tasks that end."""

    def __init__(self, clock: Clock, *, seed: int) -> None:
        self.tasks: dict[str, Task] = {}
        self.requests: list[float] = []
        self.refused = 0
        self._clock = clock
        self._chances = random.Random(seed)

    def now(self) -> float:
        return self._clock().timestamp()

    def takes(self) -> bool:
        """Count a request; say whether it is within the limit."""
        now = self.now()
        self.requests.append(now)
        is_taken = len(self.requests) - bisect.bisect_right(self.requests, now - MINUTE) <= REQUESTS_A_MINUTE
        self.refused += not is_taken
        return is_taken

    def accept(self) -> str | None:
        """Make a task, where there is a slot."""
        now = self.now()
        if sum(task.ends_at > now for task in self.tasks.values()) >= SLOTS:
            self.refused += 1
            return None
        fails = self._chances.random() < FAIL_EARLY
        takes = (
            self._chances.uniform(5, 30) if fails else self._chances.lognormvariate(math.log(MIDDLE), SPREAD)
        )
        task_id = f"task{len(self.tasks)}"
        self.tasks[task_id] = Task(now, now + takes, fails)
        return task_id

    def look(self, task_id: str) -> Task:
        """Show a task, and remember when its end was seen first."""
        task = self.tasks[task_id]
        task.looks += 1
        if task.ends_at <= self.now() and task.seen_at is None:
            task.seen_at = self.now()
        return task

    def callback_after(self) -> float | None:
        """Return how long a callback is under way, or None where it is lost."""
        is_lost = self._chances.random() < LOST_CALLBACKS
        return None if is_lost else self._chances.uniform(*CALLBACK_SECONDS)


class MemoryGateway:
    """The renderer as the bot's own `Gateway`."""

    name = "apixo"
    tells_balance = True
    tells_models = False
    aborts = False
    calls_back = True

    def __init__(self, renderer: Renderer, sleep: Sleep) -> None:
        self._renderer = renderer
        self._sleep = sleep
        self.watcher: Watcher | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def submit(
        self,
        model: object,  # noqa: ARG002 - as in `Gateway`
        request: object,  # noqa: ARG002
        picture: object,  # noqa: ARG002
        callback_url: str | None = None,
        *,
        end: object = None,  # noqa: ARG002
    ) -> Submitted:
        await self._sleep(LATENCY_SECONDS)
        task_id = self._renderer.accept() if self._renderer.takes() else None
        if task_id is None:
            return NotAccepted(failure=Failure(kind=FailureKind.RATE_LIMITED, detail="slow down"))
        after = self._renderer.callback_after()
        if callback_url is not None and after is not None:
            call = asyncio.create_task(self._call(task_id, callback_url, after))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        return Accepted(task_id=task_id)

    async def check(self, model: object, task_id: str) -> Checked:  # noqa: ARG002 - as in `Gateway`
        await self._sleep(LATENCY_SECONDS)
        if not self._renderer.takes():
            return NoAnswer(detail="slow down", limited=True)
        if task_id not in self._renderer.tasks:
            return Missing(detail="unknown")
        task = self._renderer.look(task_id)
        if task.seen_at is None:
            return Running()
        if task.fails:
            return Failed(failure=Failure(kind=FailureKind.PROMPT_REFUSED, detail="no"))
        return Finished(urls=("https://cdn.example/clip.mp4",), took_seconds=task.ends_at - task.submitted_at)

    async def abort(self, model: object, task_id: str) -> bool:  # noqa: ARG002 - as in `Gateway`
        return False

    def headers_for(self, url: str) -> Mapping[str, str]:  # noqa: ARG002
        return {}

    async def balance(self) -> int:
        return 10**9

    async def inventory(self) -> Missing:
        return Missing(detail="no list")

    def named_task(self, callback: bytes) -> str:
        return callback.decode()

    async def _call(self, task_id: str, job_id: str, after: float) -> None:
        task = self._renderer.tasks[task_id]
        await self._sleep(task.ends_at - self._renderer.now() + after)
        assert self.watcher is not None
        self.watcher.look_now(job_id)

    async def close(self) -> None:
        for call in list(self._calls):
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)


class HttpGateway:
    """The renderer behind real HTTP, as APIXO speaks."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/api/v1/generateTask/{model}", self._submit)
        app.router.add_get("/api/v1/statusTask/{model}", self._look)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/api/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _submit(self, _: web.Request) -> web.Response:
        task_id = self._renderer.accept() if self._renderer.takes() else None
        return _refusal() if task_id is None else _envelope({"taskId": task_id})

    async def _look(self, request: web.Request) -> web.Response:
        if not self._renderer.takes():
            return _refusal()
        task_id = request.query["taskId"]
        task = self._renderer.look(task_id)
        told: dict[str, Any] = {"taskId": task_id, "createTime": int(task.submitted_at * 1000)}
        if task.seen_at is None:
            return _envelope({**told, "state": "processing"})
        if task.fails:
            return _envelope({**told, "state": "failed", "failCode": "CONTENT_VIOLATION"})
        links = json.dumps({"resultUrls": ["https://cdn.example/clip.mp4"]})
        told |= {"state": "success", "resultJson": links, "completeTime": int(task.ends_at * 1000)}
        return _envelope(told)


def _envelope(data: object) -> web.Response:
    return web.json_response({"code": 200, "message": "success", "data": data})


def _refusal() -> web.Response:
    return web.json_response({"code": 429, "message": "slow down", "data": None}, status=429)


class Silence:
    """A Discord that takes everything at once."""

    async def post_card(self, job: Job, *, again: bool) -> int:  # noqa: ARG002 - as in `Channels`
        return 1

    async def deliver(self, job: Job, *, again: bool) -> int:  # noqa: ARG002
        return 2

    async def tell(self, job: Job, *, again: bool, offer: Draft | None = None) -> None:
        pass

    async def write_directly(self, job: Job) -> None:
        pass

    async def picture_links(self, job: Job) -> list[str] | None:  # noqa: ARG002
        return None

    async def turn_to_edit(self) -> None:
        pass

    async def edit_card(self, job: Job) -> None:
        pass


class NoOther:
    """Ends jobs that failed: there is no other model to go on with them."""

    def __init__(self, store: JobStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def end(self, job: Job, failure: Failure) -> None:
        await self._store.fail(job.job_id, failure, now=self._clock())

    async def instead_of_waiting(self, job: Job, obstacle: Failure) -> None:
        pass

    async def offered(self, job: Job) -> None:
        pass


class Clips:
    """Every link leads to a clip."""

    async def fetch(self, job: Job, _: tuple[str, ...]) -> Path:
        return Path(f"{job.job_id}.mp4")


class JobIds:
    """Tells the gateway which job to call for, if it is to call: the callback's address is the job's id."""

    def __init__(self, *, wants_calls: bool) -> None:
        self._wants_calls = wants_calls

    def new_token(self) -> str | None:
        return f"token{random.getrandbits(64)}" if self._wants_calls else None

    def address(self, job: Job) -> str | None:
        return job.job_id if job.hook_token is not None else None


@contextlib.asynccontextmanager
async def open_way(
    ground: Ground, gateway: Gateway, callbacks: JobIds
) -> AsyncGenerator[tuple[JobWorker, Watcher]]:
    """Wire the way of a job as `bot/app.py` does, with a Discord and clips that cost nothing."""
    clock, sleep, store, silence, acts = ground.clock, ground.sleep, ground.store, Silence(), Acts()
    gateways = {"apixo": gateway}
    clips = cast("Any", Clips())
    lanes = {PRO: Lane(PRO, ground.catalogue.models[PRO].limits, clock=clock, sleep=sleep)}
    forecast = Forecast(lanes=lanes, times=ground.times, clock=clock)
    fall_over = cast("Any", NoOther(store, clock))
    desk = CardDesk(
        silence,
        store,
        forecast,
        acts=acts,
        clock=clock,
        sleep=sleep,
    )
    gate = Gate(
        store=store,
        availability=ground.availability,
        gateways=gateways,
        lanes=lanes,
        pictures=silence,
        desk=desk,
        track=ground.track,
        fall_over=fall_over,
        clock=clock,
        sleep=sleep,
    )
    stories = Stories(JobSearch(ground.database, store), ground.metrics)
    watcher = Watcher(
        catalogue=ground.catalogue,
        gateways=gateways,
        lanes=lanes,
        gate=gate,
        times=ground.times,
        delays=stories,
        bars=forecast,
        clock=clock,
        sleep=sleep,
    )
    worker = JobWorker(
        store=store,
        catalogue=ground.catalogue,
        lanes=lanes,
        gate=gate,
        fall_over=fall_over,
        submitter=Submitter(
            store=store,
            catalogue=ground.catalogue,
            gateways=gateways,
            lanes=lanes,
            gate=gate,
            fall_over=fall_over,
            callbacks=cast("Any", callbacks),
            clips=clips,
            desk=desk,
            acts=acts,
            clock=clock,
            sleep=sleep,
        ),
        watcher=watcher,
        stops=StopStore(ground.database, store),
        clips=clips,
        channels=silence,
        desk=desk,
        acts=acts,
        stories=stories,
        track=ground.track,
        health=ground.health,
        clock=clock,
        sleep=sleep,
    )
    run = asyncio.create_task(worker.run())
    try:
        yield worker, watcher
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        await worker.stop()
        await acts.close()
        for lane in lanes.values():
            await lane.close()


class Orders:
    """Keeps a few jobs in line, until enough were placed."""

    def __init__(self, ground: Ground, worker: JobWorker, count: int) -> None:
        self._ground = ground
        self._worker = worker
        self._store = OrderStore(ground.database, ground.store)
        self._policy = Policy(default_member_micros=10**15, caps=(), zone=ground.settings.timezone)
        self.left = count

    async def keep_line(self) -> None:
        while self.left and self._worker.busy_jobs < SLOTS + IN_LINE:
            job = await self._store.place(
                new_job(1_000, request=REQUEST), self._policy, now=self._ground.clock()
            )
            assert isinstance(job, Job), job
            self._worker.add(job)
            self.left -= 1

    @property
    def are_over(self) -> bool:
        return not self.left and not self._worker.busy_jobs


@dataclasses.dataclass(frozen=True)
class Figures:
    """What a run showed."""

    jobs: int
    delays: list[float]
    looks: float
    refused: int
    busiest: int

    @property
    def mean(self) -> float:
        return statistics.fmean(self.delays)

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.delays, n=20)[-1]

    def __str__(self) -> str:
        return (
            f"{self.jobs} jobs: mean {self.mean:.2f} s, {self.mean / BOUND_SECONDS:.2f} of the bound; "
            f"p95 {self.p95:.1f} s; "
            f"{self.looks:.1f} looks a job; {self.refused} times 429; "
            f"{self.busiest} requests in the busiest minute"
        )


def figures(renderer: Renderer) -> Figures:
    tasks = list(renderer.tasks.values())
    seen = [(task, task.seen_at) for task in tasks if task.seen_at is not None]
    busiest = max(
        bisect.bisect_left(renderer.requests, at + MINUTE) - number
        for number, at in enumerate(renderer.requests)
    )
    return Figures(
        jobs=len(seen),
        delays=[seen_at - task.ends_at for task, seen_at in seen],
        looks=statistics.fmean(task.looks for task, _ in seen),
        refused=renderer.refused,
        busiest=busiest,
    )


@contextlib.asynccontextmanager
async def some_ground(clock: Clock, sleep: Sleep, **changed: Any) -> AsyncGenerator[Ground]:
    with tempfile.TemporaryDirectory() as folder:
        await put_fresh_database(Path(folder))
        settings = Settings(data_dir=Path(folder), apixo_api_key=SecretStr("a key"), **changed)
        async with open_ground(
            settings, clock=clock, sleep=sleep, picture_origins=None, render_seconds=1.0, only_play=False
        ) as ground:
            yield ground


async def rest() -> None:
    """Let everybody go on until only simulated time is left to wait for; the disk takes real time."""
    quiet = 0
    while quiet < 2:
        for _ in range(12):
            await asyncio.sleep(0)
        if any(task.get_name().startswith("storage ") for task in asyncio.all_tasks()):
            quiet = 0
            await asyncio.sleep(0.0005)
        else:
            quiet += 1


async def simulated(count: int, *, callbacks: bool, seed: int) -> Figures:
    """Let so many jobs through in simulated time."""
    stepped = SteppedTime()
    renderer = Renderer(stepped.now, seed=seed)
    gateway = MemoryGateway(renderer, stepped.sleep)
    async with (
        some_ground(stepped.now, stepped.sleep) as ground,
        open_way(ground, gateway, JobIds(wants_calls=callbacks)) as (worker, watcher),
    ):
        gateway.watcher = watcher
        await rest()
        orders = Orders(ground, worker, count)
        while not orders.are_over:
            await orders.keep_line()
            await rest()
            stepped.step()
        await gateway.close()
    return figures(renderer)


async def live(count: int, *, seed: int) -> Figures:
    """Let so many jobs through over real HTTP, with a clock that runs twenty times as fast."""
    began, start = time.monotonic(), dt.datetime.now(dt.UTC)

    def clock() -> dt.datetime:
        return start + dt.timedelta(seconds=(time.monotonic() - began) * LIVE_SPEED)

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / LIVE_SPEED)

    renderer = Renderer(clock, seed=seed)
    async with (
        HttpGateway(renderer) as server,
        some_ground(clock, sleep, apixo_base_url=server.base_url) as ground,
        open_way(ground, ground.gateways["apixo"], JobIds(wants_calls=False)) as (worker, _),
    ):
        orders = Orders(ground, worker, count)
        while not orders.are_over:
            await orders.keep_line()
            await asyncio.sleep(0.02)
    return figures(renderer)


async def pacing() -> None:
    """Let jobs through without callbacks and with them, in simulated time and live."""
    say(f"  {SLOTS} pro slots, always busy, {REQUESTS_A_MINUTE} requests a minute; seed {SEED}")
    say(f"  without callbacks no policy finds an end sooner than {BOUND_SECONDS} s after it, on average")
    for words, callbacks, most_mean, most_p95 in (
        ("without callbacks", False, 4.5, 11.0),
        ("callbacks, 2 % lost", True, 1.5, 4.0),
    ):
        shown = await simulated(JOBS, callbacks=callbacks, seed=SEED)
        say(f"  {words}: {shown}")
        compare(f"{words}: mean delay", shown.mean, "s", aim=most_mean, digits=2)
        compare(f"{words}: p95 of the delay", shown.p95, "s", aim=most_p95, digits=2)
        compare(f"{words}: times 429", shown.refused, "", aim=0, digits=0)
    say(f"  live at {LIVE_SPEED:.0f} times speed: {await live(LIVE_JOBS, seed=SEED)}")
    same = await simulated(LIVE_JOBS, callbacks=False, seed=SEED)
    say(f"  the same jobs, simulated: {same}")
