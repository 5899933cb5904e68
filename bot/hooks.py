"""The receiver of the gateways' callbacks: it believes nothing but that it is time to look.

Whoever knows a job's token may say "look now", and for a job whose task nobody knows which task it may be;
both are found out by asking the gateway. Anybody can reach this, so every answer is cheap and bounded.

- 200: a callback of ours. It is given before anything is asked of anybody; what must outlive a kill, the task
  of a job that knows none, is on disk by then. A gateway that reads 200 does not call again.
- 404: nobody's token, or another gateway's. Under a flood of them, those of jobs that ended long ago too.
- 408, 413: a token of ours, but its body came too slowly, or is longer than any gateway's.
- 429, 503: a token of ours, too often, or while the disk is in trouble: nothing was done. A gateway that is
  told so calls again, and nothing is lost where it does not: a task is looked at without its callback too.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Mapping
from typing import Protocol

from aiohttp import web

from bot import logs, pacing
from bot.callbacks import Callbacks
from bot.cooldown import Cooldown
from bot.gateways.base import Gateway
from bot.models import Clock, Job, Sleep, Stage
from bot.waiting import news_until
from storage.hooks import HookStore

log = logging.getLogger(__name__)

MOST_BODY_BYTES = 64 * 1024
BODY_SECONDS = 5.0

# A gateway calls up to four times for one task. Addresses and forwarded headers are no part of any limit: of
# whoever comes through a proxy they tell nothing that could be believed.
_PER_TOKEN, _PER_TOKEN_SECONDS = 8, 15.0
_IN_ALL, _IN_ALL_SECONDS = 1_000, 0.01
# Tokens that no job waits for are looked up; only so many are, whoever sends them.
_STRANGERS, _STRANGERS_SECONDS = 50, 0.1

_AGAIN_SECONDS = 60.0
_SOON_SECONDS = 1.0
_MOST_AGAIN_SECONDS = 3600.0


class Looks(Protocol):
    """Whoever looks at tasks."""

    def look_now(self, job_id: str) -> None:
        """Look at the job's task at once, where it is watched."""
        ...


class Uncertain(Protocol):
    """Whoever can end that a job is uncertain."""

    async def named(self, job: Job, task_id: str) -> object:
        """Ask the gateway for the task, once; it becomes the job's where the gateway knows it."""
        ...


class Counts(Protocol):
    """Whoever counts callbacks."""

    def called_back(self, outcome: str) -> None:
        """A callback came in."""
        ...


class Hooks:
    """Takes callbacks, and has confirmed what they name."""

    def __init__(
        self,
        *,
        callbacks: Callbacks,
        store: HookStore,
        gateways: Mapping[str, Gateway],
        looks: Looks,
        uncertain: Uncertain,
        counts: Counts,
        clock: Clock,
        sleep: Sleep,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._callbacks = callbacks
        self._store = store
        self._gateways = gateways
        self._looks = looks
        self._uncertain = uncertain
        self._counts = counts
        self._clock = clock
        self._sleep = sleep
        self._body_seconds = body_seconds
        self._of_token = Cooldown(clock=clock, burst=_PER_TOKEN, seconds_each=_PER_TOKEN_SECONDS)
        self._in_all = Cooldown(clock=clock, burst=_IN_ALL, seconds_each=_IN_ALL_SECONDS)
        self._strangers = Cooldown(clock=clock, burst=_STRANGERS, seconds_each=_STRANGERS_SECONDS)
        self._news = asyncio.Event()
        # By job and task: how often it was asked for, and when to ask again.
        self._asking: set[tuple[str, str]] = set()
        self._tries: dict[tuple[str, str], tuple[int, dt.datetime]] = {}

    def routes(self) -> list[web.RouteDef]:
        """The routes to serve: none without a public address. A proxy may keep that address's path or not."""
        path = self._callbacks.path
        if path is None:
            return []
        return [
            web.post(f"{before}/hooks/{{gateway}}/{{token}}", self._receive) for before in sorted({"", path})
        ]

    # Taking

    async def _receive(self, request: web.Request) -> web.Response:
        status, outcome = await self._take(request)
        self._counts.called_back(outcome)
        response = web.Response(status=status)
        if status != web.HTTPOk.status_code:
            response.force_close()  # and read no further
        return response

    async def _take(self, request: web.Request) -> tuple[int, str]:
        """Return the status to answer with, and its name in the metrics."""
        gateway, token = request.match_info["gateway"], request.match_info["token"]
        try:
            if not self._callbacks.is_expected(gateway, token):
                is_looked_up = self._strangers.wait_for() is None
                if not is_looked_up or await self._store.job_of(gateway, token) is None:
                    return 404, "unknown"
            if self._of_token.wait_for(token) is not None or self._in_all.wait_for() is not None:
                return 429, "limited"
            match await _read(request, self._body_seconds):
                case bytes() as body:
                    return 200, await self._believe(gateway, token, body)
                case problem:
                    return problem
        except Exception:
            log.exception("a callback could not be taken")
            return 503, "failed"

    async def _believe(self, gateway: str, token: str, body: bytes) -> str:
        """Have the job of a token looked at; return what became of the callback."""
        job = await self._store.job_of(gateway, token)
        match job:
            case Job(stage=Stage.RENDERING):
                self._looks.look_now(job.job_id)
                return "look"
            case Job(stage=Stage.SUBMITTING | Stage.UNCERTAIN):
                task_id = self._named_task(gateway, body) or job.task_id
                if task_id is None:
                    return "nameless"
                await self._store.name(token, task_id)
                self._looks.look_now(job.job_id)  # the answer to the order may have come meanwhile
                self._tries.pop((job.job_id, task_id), None)
                self._news.set()
                return "named"
            case Job():
                self._looks.look_now(job.job_id)  # nobody does any more, but its callback was not missed
                return "late"
            case None:
                return "late"

    def _named_task(self, gateway: str, body: bytes) -> str:
        found = self._gateways.get(gateway)
        return "" if found is None else found.named_task(body)

    # Confirming

    async def run(self) -> None:
        """Have the gateways asked for tasks that only callbacks name, until cancelled.

        A task that cannot be confirmed now is tried again, ever more rarely: silence is no verdict.
        """
        async with asyncio.TaskGroup() as confirming:
            while True:
                self._news.clear()
                pause = await self._begin(confirming)
                if pause is None:
                    await self._news.wait()
                else:
                    moment = self._clock() + dt.timedelta(seconds=pause)
                    await news_until(self._news, moment, clock=self._clock, sleep=self._sleep)

    async def _begin(self, confirming: asyncio.TaskGroup) -> float | None:
        """Begin to confirm whatever is due; return after how many seconds to look again, if at all."""
        try:
            unconfirmed = await self._store.unconfirmed()
        except Exception:
            log.exception("the tasks that callbacks named cannot be read")
            return _AGAIN_SECONDS
        if not unconfirmed:
            return None
        named = {(job.job_id, job.named_task_id or ""): job for job in unconfirmed}
        now = self._clock()
        self._tries = {key: self._tries.get(key, (0, now)) for key in named}
        for key, job in named.items():
            tries, due_at = self._tries[key]
            if job.stage is Stage.UNCERTAIN and due_at <= now and key not in self._asking:
                self._asking.add(key)
                confirming.create_task(self._confirm(job, key, tries + 1), name=f"named task of {job.job_id}")
        # Of an order that is being answered it is soon known whether anybody knows its task.
        is_ordering = any(job.stage is Stage.SUBMITTING for job in unconfirmed)
        return _SOON_SECONDS if is_ordering else _AGAIN_SECONDS

    async def _confirm(self, job: Job, key: tuple[str, str], tries: int) -> None:
        logs.about(job_id=job.job_id)
        try:
            await self._uncertain.named(job, key[1])
        except Exception:
            log.exception("the task that the callback named could not be asked for")
        finally:
            self._asking.discard(key)
        pause = pacing.growing_pause(tries, first_seconds=_AGAIN_SECONDS, most_seconds=_MOST_AGAIN_SECONDS)
        self._tries[key] = tries, self._clock() + dt.timedelta(seconds=pause)


async def _read(request: web.Request, most_seconds: float) -> bytes | tuple[int, str]:
    """Return the body; the status to answer with and its name, where it is none of a callback."""
    if (request.content_length or 0) > MOST_BODY_BYTES:
        return 413, "too long"
    body = bytearray()
    try:
        async with asyncio.timeout(most_seconds):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MOST_BODY_BYTES:
                    return 413, "too long"
    except TimeoutError:
        return 408, "too slow"
    return bytes(body)
