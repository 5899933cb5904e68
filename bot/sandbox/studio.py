"""Takes orders, charges play money, and renders at most two clips at a time; resumes what a kill left."""

import asyncio
import dataclasses
import datetime as dt
import logging
from collections.abc import Callable
from pathlib import Path

from bot.catalogue import Catalogue
from bot.models import Clock, Sleep, VideoRequest
from bot.money import MICROS_PER_DOLLAR
from bot.sandbox.briefs import clip_of
from bot.sandbox.caller import Caller
from bot.sandbox.orders import Order
from bot.sandbox.pictures import BadPicture, PictureFetcher
from bot.sandbox.render import Render
from bot.sandbox.tasks import KEPT_FOR, Fault, State, Task, TaskFolder
from bot.sandbox.triggers import Trigger, triggers_in

log = logging.getLogger(__name__)

PLAY_MONEY_MICROS = 100 * MICROS_PER_DOLLAR
_RENDERERS = 2
_SLOWNESS = 3
_FLAT_MICROS_PER_SECOND = 50_000


class NotEnoughMoney(Exception):
    """The play money does not cover the order."""


class Studio:
    """Everything the dialects share. A task lasts at least `render_seconds`."""

    def __init__(
        self,
        *,
        folder: Path,
        clock: Clock,
        catalogue: Catalogue,
        fetcher: PictureFetcher,
        caller: Caller,
        render: Render,
        render_seconds: float,
        sleep: Sleep,
    ) -> None:
        self._folder = TaskFolder(folder)
        self._clock = clock
        self._catalogue = catalogue
        self._fetcher = fetcher
        self._caller = caller
        self._render = render
        self._render_seconds = render_seconds
        self._sleep = sleep
        self._tell: dict[str, Callable[[Task], object]] = {}
        self._tasks: dict[str, Task] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._renderers = asyncio.Semaphore(_RENDERERS)

    def tell_as(self, gateway: str, tell: Callable[[Task], object]) -> None:
        """Let callbacks of a gateway's tasks have this body."""
        self._tell[gateway] = tell

    async def start(self) -> None:
        """Read the folder, and take up again what was not finished or not told."""
        self._tasks = await asyncio.to_thread(self._folder.load)
        await self._forget_old()
        for task in self._tasks.values():
            if task.ended_at is None or (task.callback_url and not task.called):
                self._begin(task)

    async def close(self) -> None:
        """Stop rendering; whatever was under way is taken up at the next start."""
        for running in (still := list(self._running.values())):
            running.cancel()
        await asyncio.gather(*still, return_exceptions=True)

    async def accept(
        self,
        order: Order,
        *,
        task_id: str,
        price_micros: int | None = None,
    ) -> Task:
        """Charge an order and store it as a task; pictures are fetched when it starts, if they did not come
        with it.

        Raises:
            NotEnoughMoney: the balance does not cover it.
        """
        await self._forget_old()
        request = order.request
        gateway = request.model.partition("/")[0]
        if price_micros is None:
            price_micros = self._price_micros(request)
        if price_micros > self.balance_micros(gateway):
            raise NotEnoughMoney
        now = self._clock()
        slowness = _SLOWNESS if Trigger.SLOW in triggers_in(request.prompt) else 1
        task = Task(
            task_id=task_id,
            gateway=gateway,
            request=request,
            picture_urls=tuple(one if isinstance(one, str) else "" for one in order.pictures),
            size=order.size,
            length_seconds=order.length_seconds,
            shape_by_picture=order.shape_by_picture,
            price_micros=price_micros,
            callback_url=order.callback_url,
            created_at=now,
            due_at=now + dt.timedelta(seconds=self._render_seconds * slowness),
        )
        # It counts from here on, so that orders arriving during the write see the money gone.
        self._tasks[task_id] = task
        try:
            given = [one if isinstance(one, bytes) else b"" for one in order.pictures]
            await asyncio.to_thread(self._folder.save, task, given)
        except Exception:
            del self._tasks[task_id]
            raise
        self._begin(task)
        return task

    async def remove(self, task: Task, *, aborting: bool) -> None:
        """Forget a task. Without `aborting` it is rendered to its end all the same, for nobody."""
        self._tasks.pop(task.task_id, None)
        running = self._running.get(task.task_id)
        if running is not None and aborting:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await asyncio.to_thread(self._folder.remove, task.task_id)

    def find(self, task_id: str) -> Task | None:
        """The task of this id, whatever its gateway."""
        return self._tasks.get(task_id)

    def clip_path(self, task: Task) -> Path:
        """Where the clip of a finished task lies."""
        return self._folder.clip(task.task_id)

    def count_open(self, model_id: str) -> int:
        """How many tasks of a model are not over yet."""
        now = self._clock()
        open_states = {State.PENDING, State.PROCESSING}
        return sum(
            task.request.model == model_id and task.state(now) in open_states for task in self._tasks.values()
        )

    def balance_micros(self, gateway: str) -> int:
        """What is left of the play money at a gateway; what tasks took comes back with their end of life."""
        now = self._clock()
        spent = sum(task.cost_micros(now) for task in self._tasks.values() if task.gateway == gateway)
        return PLAY_MONEY_MICROS - spent

    def _price_micros(self, request: VideoRequest) -> int:
        """Price by the catalogue, or flat where that knows no price."""
        model = self._catalogue.models.get(request.model)
        if model is None or model.price is None:
            return request.seconds * _FLAT_MICROS_PER_SECOND
        return model.quote(request).micros

    def _begin(self, task: Task) -> None:
        running = asyncio.create_task(self._run(task), name=f"sandbox-{task.task_id}")
        self._running[task.task_id] = running
        running.add_done_callback(lambda _: self._running.pop(task.task_id, None))

    async def _run(self, task: Task) -> None:
        if task.ended_at is None:
            async with self._renderers:
                task = await self._finish(task)
        if task.callback_url:
            await self._call(task)

    async def _finish(self, task: Task) -> Task:
        started = await self._keep(dataclasses.replace(task, started_at=self._clock()))
        try:
            fault = await self._make(started)
        except BadPicture as error:
            fault = error.fault
        except Exception:
            # Whatever happened, the task must end, as it would at a gateway.
            log.exception("Sandbox task %s cannot be rendered", task.task_id)
            fault = Fault.GENERATION_FAILED
        return await self._keep(dataclasses.replace(started, ended_at=self._clock(), fault=fault))

    async def _call(self, task: Task) -> None:
        """Call when the task seems over; after a kill once more, as nobody knows who was reached."""
        while task.completed_at(self._clock()) is None:
            await self._sleep(max((task.due_at - self._clock()).total_seconds(), 0.1))
        await self._caller.call(task.callback_url, self._tell[task.gateway](task))
        await self._keep(dataclasses.replace(task, called=True))

    async def _make(self, task: Task) -> Fault | None:
        if task.asked_fault or not task.has_clip:
            return task.asked_fault
        pictures = [await self._picture(task, number) for number in range(len(task.picture_urls))]
        clip = await asyncio.to_thread(clip_of, task, pictures)
        await self._render(clip, self._folder.clip(task.task_id))
        return None

    async def _picture(self, task: Task, number: int) -> bytes:
        path, url = self._folder.picture(task.task_id, number), task.picture_urls[number]
        if url and not path.exists():
            # Kept, because the link may have died by the time a killed task is taken up again.
            picture = await self._fetcher.fetch(url)
            await asyncio.to_thread(self._folder.write, path, picture)
        return await asyncio.to_thread(path.read_bytes)

    async def _keep(self, task: Task) -> Task:
        await asyncio.to_thread(self._folder.save, task)
        if task.task_id not in self._tasks:  # somebody removed it meanwhile
            await asyncio.to_thread(self._folder.remove, task.task_id)
            return task
        self._tasks[task.task_id] = task
        if task.ended_at is not None:
            await asyncio.to_thread(self._folder.remove_pictures, task.task_id)
        return task

    async def _forget_old(self) -> None:
        oldest = self._clock() - KEPT_FOR
        for task in [task for task in self._tasks.values() if task.ended_at and task.ended_at < oldest]:
            self._tasks.pop(task.task_id, None)
            await asyncio.to_thread(self._folder.remove, task.task_id)
