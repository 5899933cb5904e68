"""The gate where two obstacles stand together: nobody is held by a job that cannot go itself."""

import asyncio
import dataclasses
import datetime as dt
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.availability import Availability
from bot.catalogue_tables import load_catalogue
from bot.gate import Gate, Ready
from bot.lane import Lane
from bot.models import Failure, FailureKind, Job, OutageScope, Stage
from bot.pauses import Pauses
from bot.track import Track
from storage.outages import OutageStore
from storage.pauses import PauseStore
from storage.track import TrackStore
from tests.books import CENT, Books, open_books
from tests.world import SteppedTime, come_to_rest

PRO, OTHER = "pixazo/sora-2-pro", "apixo/sora-2"
CATALOGUE = load_catalogue()
DOWN = Failure(kind=FailureKind.GATEWAY_DOWN, detail="worn out")
NO_BALANCE = Failure(kind=FailureKind.NO_BALANCE, detail="insufficient credits")


@dataclasses.dataclass
class Scene:
    """A gate before two gateways that tell no balance, and a model whose last three orders failed."""

    books: Books
    time: SteppedTime
    gate: Gate
    availability: Availability
    track: Track
    lanes: dict[str, Lane]
    may_write: asyncio.Event

    async def order(self, model: str = PRO) -> Job:
        wish = CATALOGUE.models[model].request(mode=next(iter(CATALOGUE.models[model].modes)), prompt="A fox")
        gateway = CATALOGUE.models[model].gateway
        return await self.books.place(CENT, request=wish, gateway=gateway, at=self.time.now())

    def admit(self, job: Job) -> asyncio.Task[Any]:
        return asyncio.create_task(self.gate.admit(job))

    async def passes(self, **delta: float) -> None:
        """Let so much time pass, for all who sleep."""
        end = self.time.now() + dt.timedelta(**delta)
        waking = asyncio.create_task(self.time.sleep(dt.timedelta(**delta).total_seconds()))
        while self.time.now() < end:
            await come_to_rest()
            self.time.step()
        await waking
        await come_to_rest()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncGenerator[Scene]:
    time, may_write = SteppedTime(), asyncio.Event()
    may_write.set()
    async with open_books(tmp_path) as books:
        track = Track(TrackStore(books.database), clock=time.now)
        availability = Availability(
            CATALOGUE,
            OutageStore(books.database),
            gateways=["apixo", "pixazo"],
            unprobed=["apixo", "pixazo"],
            default_model=None,
            pauses=Pauses(PauseStore(books.database), clock=time.now),
            track=track,
            clock=time.now,
        )

        async def wait(job_id: str, reason: str) -> Job:
            await may_write.wait()
            return await books.jobs.wait(job_id, reason)

        async def instead_of_waiting(*_: Any) -> None:
            """No other model goes on."""

        lanes = {
            model_id: Lane(model_id, CATALOGUE.models[model_id].limits, clock=time.now, sleep=time.sleep)
            for model_id in (PRO, OTHER)
        }
        parts: dict[str, Any] = {
            "store": SimpleNamespace(wait=wait),
            "gateways": dict.fromkeys(["apixo", "pixazo"], SimpleNamespace(tells_balance=False)),
            "pictures": None,
            "desk": SimpleNamespace(show=lambda _: None),
            "fall_over": SimpleNamespace(instead_of_waiting=instead_of_waiting),
        }
        gate = Gate(
            availability=availability, lanes=lanes, track=track, clock=time.now, sleep=time.sleep, **parts
        )
        found = Scene(books, time, gate, availability, track, lanes, may_write)
        for _ in range(3):
            job = await books.bring(await found.order(), Stage.RENDERING, at=time.now())
            await books.jobs.fail(job.job_id, DOWN, now=time.now())
            await found.passes(seconds=1)
        await availability.load()
        yield found
        for lane in lanes.values():
            await lane.close()


async def test_a_job_that_is_gone_does_not_keep_the_trial(scene: Scene) -> None:
    await scene.availability.stop_key("apixo", NO_BALANCE)
    slow = scene.admit(await scene.order(OTHER))
    gone = scene.admit(await scene.order())
    await scene.passes(seconds=30)
    scene.may_write.clear()
    await scene.availability.reopen(OutageScope.KEY, "apixo")
    told = asyncio.create_task(scene.gate.accepted(await scene.order(OTHER)))
    await come_to_rest()  # the first of the two is being told that it waits no more
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    scene.time.jump(minutes=10)
    scene.may_write.set()
    await told
    next_one = scene.admit(await scene.order())
    await scene.passes(minutes=2)
    assert isinstance(next_one.result(), Ready)
    assert isinstance(slow.result(), Ready)


async def test_a_stopped_key_is_tried_by_the_job_that_tries_the_model(scene: Scene) -> None:
    await scene.passes(minutes=11)
    slots = scene.lanes[PRO].slots
    others = [await scene.order() for _ in range(slots.places)]
    for other in others:
        slots.keep(other)
    trying = scene.admit(await scene.order())
    await scene.passes(seconds=1)
    await scene.availability.stop_key("pixazo", NO_BALANCE)
    waiting = scene.admit(await scene.order())
    await scene.passes(seconds=30)
    slots.give_back(others[0].job_id)
    await scene.passes(minutes=17)
    assert isinstance(trying.result(), Ready)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
