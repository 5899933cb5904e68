"""One bot and its stand-ins: orders keep coming, and the process is killed and started again."""

import asyncio
import contextlib
import dataclasses
import os
import random
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bot.models import Stage
from tests.crash import books
from tests.crash.chat import CrashDiscord
from tests.crash.gateway import Gateways
from tests.crash.people import People
from tests.crash.traps import Boundary, Trap
from tests.discord_server import LEAD, STAFF
from tests.discord_standin import TOKEN

ROOT = Path(__file__).parent.parent.parent
PUBLIC_URL = "https://bot.example"

LONGEST_START_SECONDS = 40.0
LONGEST_LIFE_SECONDS = 8.0  # after READY; what did not come by then comes another time
MOST_MISSES = 4
AFTER_ANSWER_SECONDS = 0.02

# Looks come soon, since this lives in real time; the pro model takes one request a second, so that jobs wait.
_MODELS = "".join(
    f"""
[models."{model}".timing]
first_look_seconds = 1
typical_seconds = 2
[models."{model}".limits]
requests_per_minute = {per_minute}
concurrent_tasks = 1000
"""
    for model, per_minute in (
        ("apixo/sora-2", 10_000),
        ("pixazo/sora-2-pro", 10_000),
        ("apixo/sora-2-pro", 60),
    )
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kill:
    """One kill, and how far the bot had come."""

    at: Boundary | None  # None: a random instant
    was_ready: bool
    cut: int  # paid requests that were under way
    after_seconds: float


@dataclasses.dataclass(kw_only=True)
class Outcome:
    """What a trial came to."""

    name: str
    folder: Path
    kills: list[Kill] = dataclasses.field(default_factory=list)
    seconds_to_ready: list[float] = dataclasses.field(default_factory=list)
    stages: Counter[str] = dataclasses.field(default_factory=Counter)
    requests: Counter[str] = dataclasses.field(default_factory=Counter)
    orders: int = 0
    acknowledged: int = 0
    released: int = 0
    clips: int = 0
    charged_micros: int = 0
    complaints: list[str] = dataclasses.field(default_factory=list)

    @property
    def struck(self) -> set[Boundary]:
        """The boundaries at which the bot was killed."""
        return {kill.at for kill in self.kills if kill.at is not None}


class Trial:
    """Kill one bot at each boundary of a plan in turn, then let it finish and compare the books.

    `sitecustomize` is Python that the bot's process runs before it starts, to plant a fault.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        seed: str,
        callbacks: bool,
        sitecustomize: str = "",
        settle_seconds: float = 20.0,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._callbacks = callbacks
        self._sitecustomize = sitecustomize
        self._settle_seconds = settle_seconds
        # One for what is ordered and one for the kills: replays choose alike though times differ.
        self._rng = random.Random(f"{seed} {name} kills")
        self._trap = Trap()
        self._discord = CrashDiscord(self._trap)
        rng = random.Random(f"{seed} {name} gateways")
        self._gateways = Gateways(self._trap, self._discord.files, rng)
        self._people = People(
            self._discord, random.Random(f"{seed} {name} people"), settings=not sitecustomize
        )
        self._cut: set[str] = set()
        self._released: set[str] = set()
        self._port = _free_port()
        self._outcome = Outcome(name=name, folder=folder)

    @property
    def _database(self) -> Path:
        return self._folder / "data" / "bot.sqlite3"

    async def run(self, plan: list[Boundary | None]) -> Outcome:
        """Kill as planned; what does not come by in time is tried again later."""
        left = list(plan)
        misses: Counter[Boundary | None] = Counter()
        async with self._discord, self._gateways:
            self._prepare()
            ordering = asyncio.create_task(self._people.run())
            try:
                while left:
                    target = left.pop(0)
                    struck = await self._live(target)
                    if not struck:
                        misses[target] += 1
                        if misses[target] < MOST_MISSES:
                            left.insert(min(len(left), 3), target)
                    if self._outcome.complaints:
                        break
            finally:
                ordering.cancel()
                await asyncio.gather(ordering, return_exceptions=True)
            if not self._outcome.complaints:
                await self._finish()
                self._compare()
        return self._outcome

    # Lives

    def _prepare(self) -> None:
        path = self._discord.lead_here(self._folder / "path")
        with (path / "sitecustomize.py").open("a") as file:
            file.write(self._sitecustomize)
        (self._folder / "models.toml").write_text(_MODELS)
        if self._callbacks:
            self._gateways.bot_port, self._gateways.public_url = self._port, PUBLIC_URL

    async def _start(self) -> asyncio.subprocess.Process:
        self._discord.ready.clear()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("COV")},
            "PYTHONPATH": os.pathsep.join([str(self._folder / "path"), str(ROOT)]),
            "DISCORD_TOKEN": TOKEN,
            "DATA_DIR": str(self._folder / "data"),
            "HTTP_PORT": str(self._port),
            "MODELS_FILE": str(self._folder / "models.toml"),
            "DEFAULT_USER_MONTHLY_LIMIT": "10000",
            **self._gateways.settings,
            **({"PUBLIC_URL": PUBLIC_URL} if self._callbacks else {}),
        }
        with (self._folder / "log.txt").open("a") as log:
            log.write(f"--- start {len(self._outcome.kills) + 1}\n")
            log.flush()
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot", "run"),
                cwd=self._folder,
                env=environment,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
            )

    async def _live(self, target: Boundary | None) -> bool:
        """Live once, until killed; return whether that was where it should be."""
        delay = self._rng.uniform(0, AFTER_ANSWER_SECONDS)
        instant = self._rng.uniform(0.5, 4)
        forgets = self._rng.random() < 0.5
        process = await self._start()
        began_at = time.monotonic()
        kill = _killer(process)
        self._trap.set(target, delay=delay, kill=kill)
        self._people.needed = target.kind if target is not None else ""
        watching = asyncio.create_task(self._watch(began_at))
        ended = asyncio.create_task(process.wait())
        struck = asyncio.create_task(self._trap.struck.wait())
        late = asyncio.create_task(self._out_of_time(instant if target is None else None))
        await asyncio.wait({ended, struck, late}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done() and not self._trap.struck.is_set():
            last = (self._folder / "log.txt").read_text()[-300:]
            self._outcome.complaints.append(f"the bot ended by itself, with {process.returncode}: {last}")
        was_ready = self._discord.ready.is_set()
        has_struck = self._trap.struck.is_set()
        self._trap.set(None, delay=0, kill=lambda: None)
        kill()
        await process.wait()
        for task in (watching, ended, struck, late):
            task.cancel()
        self._discord.ready.clear()
        cut = books.submitting(self._database) - self._cut  # some were cut off before, and still wait
        self._cut |= cut
        at = target if has_struck else None
        self._outcome.kills.append(
            Kill(at=at, was_ready=was_ready, cut=len(cut), after_seconds=time.monotonic() - began_at)
        )
        if forgets:
            self._discord.forget_nonces()
        return has_struck or target is None

    async def _watch(self, began_at: float) -> None:
        await self._discord.ready.wait()
        self._outcome.seconds_to_ready.append(time.monotonic() - began_at)

    async def _out_of_time(self, instant: float | None) -> None:
        if instant is not None:
            await asyncio.sleep(instant)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._discord.ready.wait(), LONGEST_START_SECONDS)
        await asyncio.sleep(LONGEST_LIFE_SECONDS)

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        ended = asyncio.create_task(process.wait())
        ready = asyncio.create_task(self._discord.ready.wait())
        await asyncio.wait({ended, ready}, timeout=LONGEST_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        ready.cancel()

    # The end

    async def _finish(self) -> None:
        """Let the bot live until nothing is left to do, or nothing has moved for long; then stop it."""
        process = await self._start()
        try:
            await self._until_ready(process)
            seen: object = None
            moved_at = time.monotonic()
            while process.returncode is None and time.monotonic() - moved_at < self._settle_seconds:
                await asyncio.sleep(0.25)
                with books.beside(self._database) as connection:
                    jobs = books.read_jobs(connection)
                    untold = books.untold(connection)
                in_doubt = self._callbacks and any(job.stage is Stage.UNCERTAIN for job in jobs)
                if all(job.is_told for job in jobs) and not untold and not in_doubt:
                    break
                if in_doubt and not self._gateways.calls_left:
                    await self._release(jobs)
                if (jobs, untold) != seen:
                    seen, moved_at = (jobs, untold), time.monotonic()
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            code = await asyncio.wait_for(process.wait(), 20)
            if code != 0:
                self._outcome.complaints.append(f"the bot stopped with {code}")
        finally:
            _killer(process)()
            await process.wait()

    async def _release(self, jobs: list[books.JobBook]) -> None:
        """Let staff end what the gateway never took: of that it cannot call back."""
        known = {task.number for task in self._gateways.tasks.values()}
        for job in jobs:
            is_lost = job.stage is Stage.UNCERTAIN and job.number not in known
            if is_lost and job.job_id not in self._released:
                self._released.add(job.job_id)
                why = "the gateway does not know it"
                await self._discord.use(LEAD, "video-admin uncertain release", job=job.job_id, reason=why)

    def _compare(self) -> None:
        outcome = self._outcome
        with books.copied(self._database) as connection:
            jobs = books.read_jobs(connection)
            requests = books.read_requests(connection)
            untold = books.untold(connection)
        orders = [
            books.OrderBook(number=one.number, job_id=one.job_id, is_cancelled=one.is_cancelled)
            for one in self._people.orders.values()
            if one.job_id
        ]
        tasks = [
            books.TaskBook(task_id=task.task_id, number=task.number, charged=task.charged_micros)
            for task in self._gateways.tasks.values()
        ]
        rooms = dict(self._discord.messages)
        notices = rooms.pop(STAFF)
        directs = [message for channel in self._discord.direct_channels for message in rooms[channel]]
        channels = books.read_channels(message for room in rooms.values() for message in room)
        outcome.orders, outcome.acknowledged = len(self._people.orders), len(orders)
        outcome.released = len(self._released)
        outcome.stages.update(job.stage.value for job in jobs)
        outcome.clips = sum(said.clips for said in channels.values())
        outcome.charged_micros = sum(task.charged for task in tasks)
        outcome.complaints += books.compare(
            orders,
            jobs,
            tasks,
            channels,
            posts=self._gateways.posts,
            cut=self._cut,
            callbacks=self._callbacks,
        )
        outcome.requests.update(request.stage.value for request in requests)
        outcome.complaints += books.compare_requests(requests, notices, directs)
        outcome.complaints += [f"lost: {one}" for one in untold]
        doubts = outcome.stages[Stage.UNCERTAIN.value] + outcome.released
        if doubts > len(outcome.kills):
            outcome.complaints.append(f"{doubts} jobs came to be in doubt by {len(outcome.kills)} kills")
        outcome.complaints += books.unsound(self._database)
        outcome.complaints += self._gateways.complaints
        outcome.complaints += [f"Discord has no route {stray}" for stray in self._discord.strays]
        if "Traceback" in (log := (self._folder / "log.txt").read_text()):
            outcome.complaints.append(f"the log has a traceback: {log[log.index('Traceback') :][:3000]}")

    def histories(self, complaints: list[str]) -> str:
        """Write the ways of the jobs that are complained of."""
        if not any(one.startswith("job ") for one in complaints):
            return ""
        with books.copied(self._database) as connection:
            jobs = books.read_jobs(connection)
        named = [job for job in jobs if any(job.job_id in one for one in complaints)]
        return "\n".join(f"  {job.job_id}:\n{books.history(self._database, job.job_id)}" for job in named[:5])


def _killer(process: asyncio.subprocess.Process) -> Callable[[], None]:
    """Return what kills a process; asyncio's own may take its exit code from whoever waits for it."""

    def kill() -> None:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    return kill


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
