"""The gateway's places: never more than there are, fairly given, none lost."""

import asyncio
import datetime as dt
import random
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.models import Job
from bot.slots import Slots
from tests.books import NOON
from tests.clock import FakeClock


def job(job_id: str, member_id: int, age: int = 0) -> Job:
    """What slots read of a job."""
    created_at = NOON - dt.timedelta(seconds=age)
    return cast("Job", SimpleNamespace(job_id=job_id, member_id=member_id, created_at=created_at))


class Hall:
    """Slots, and who took a place so far, in order."""

    def __init__(self, places: int) -> None:
        self.slots = Slots(places)
        self.started: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *jobs: Job) -> None:
        for one in jobs:
            self.tasks[one.job_id] = asyncio.create_task(self._take(one))
        await self.settle()

    async def _take(self, one: Job) -> None:
        await self.slots.take(one)
        self.started.append(one.job_id)

    async def leave(self, *names: str) -> None:
        for name in names:
            self.slots.give_back(name)
            await self.settle()

    async def settle(self) -> None:
        await FakeClock().settle()


async def test_of_fifty_jobs_of_one_member_and_one_of_another_the_one_starts_next() -> None:
    hall = Hall(10)
    await hall.come(*(job(f"a{number:02}", 1, age=100 - number) for number in range(50)))
    assert len(hall.started) == 10
    await hall.come(job("b", 2))
    assert len(hall.started) == 10

    await hall.leave("a00")

    assert hall.started[10:] == ["b"]
    await hall.leave("a01", "a02")
    assert hall.started[11:] == ["a10", "a11"]


async def test_after_a_restart_the_one_of_another_member_starts_next_too() -> None:
    hall = Hall(10)
    for number in range(10):
        hall.slots.keep(job(f"a{number:02}", 1, age=100 - number))
    await hall.come(*(job(f"a{number:02}", 1, age=100 - number) for number in range(10, 50)), job("b", 2))

    await hall.leave("a03", "a07")

    assert hall.started == ["b", "a10"]


async def test_among_equals_the_oldest_starts_first() -> None:
    hall = Hall(1)
    await hall.come(job("running", 9))
    await hall.come(job("young", 1, age=1), job("old", 2, age=3), job("middle", 3, age=2))

    await hall.leave("running", "old", "middle")

    assert hall.started == ["running", "old", "middle", "young"]


async def test_members_take_turns() -> None:
    hall = Hall(2)
    await hall.come(*(job(f"a{number}", 1, age=9 - number) for number in range(3)))
    await hall.come(*(job(f"b{number}", 2) for number in range(3)))

    await hall.leave("a0", "a1", "b0", "a2")

    assert hall.started == ["a0", "a1", "b0", "a2", "b1", "b2"]


async def test_jobs_the_gateway_has_already_count_even_if_there_are_too_many() -> None:
    hall = Hall(2)
    for number in range(4):
        hall.slots.keep(job(f"kept{number}", 1))
    await hall.come(job("new", 2))

    await hall.leave("kept0", "kept1")
    assert hall.started == []
    await hall.leave("kept2")
    assert hall.started == ["new"]


async def test_a_job_that_has_a_place_keeps_it_and_frees_it_once() -> None:
    hall = Hall(1)
    await hall.come(job("a", 1))
    await asyncio.wait_for(hall.slots.take(job("a", 1)), timeout=1)
    await hall.come(job("b", 1), job("c", 1))

    await hall.leave("a", "a", "nobody")

    assert hall.started == ["a", "b"]


async def test_who_is_cancelled_while_waiting_is_passed_over() -> None:
    hall = Hall(1)
    await hall.come(job("a", 1), job("b", 1), job("c", 1))
    hall.tasks["b"].cancel()
    await hall.settle()

    await hall.leave("a")

    assert hall.started == ["a", "c"]


async def test_a_place_given_to_somebody_cancelled_in_that_moment_goes_to_the_next() -> None:
    hall = Hall(1)
    await hall.come(job("a", 1), job("b", 1), job("c", 1))

    hall.slots.give_back("a")  # b is chosen, but did not run yet
    hall.tasks["b"].cancel()
    await hall.settle()

    assert hall.started == ["a", "c"]


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(0, 2**32))
def test_whatever_happens_no_place_is_lost_or_given_twice(places: int, seed: int) -> None:
    order = random.Random(seed)

    async def run() -> None:
        hall = Hall(places)
        running: list[str] = []
        for number in range(40):
            act = order.randrange(4)
            if act <= 1:
                await hall.come(job(f"job{number}", order.randrange(3), age=order.randrange(50)))
            elif act == 2 and hall.tasks:
                order.choice(list(hall.tasks.values())).cancel()
            elif running:
                hall.slots.give_back(order.choice(running))
                if order.random() < 0.5:
                    order.choice(list(hall.tasks.values())).cancel()
            await hall.settle()
            running = [name for name in hall.started if name in _held(hall)]
            assert len(_held(hall)) <= places
            waiting = [one for one in hall.tasks.values() if not one.done()]
            assert not waiting or len(_held(hall)) == places
        for one in hall.tasks.values():
            one.cancel()
        await asyncio.gather(*hall.tasks.values(), return_exceptions=True)
        for name in list(_held(hall)):
            hall.slots.give_back(name)
        assert await asyncio.wait_for(hall.slots.take(job("last", 1)), timeout=1) is None

    asyncio.run(run())


def _held(hall: Hall) -> dict[str, int]:
    return cast("Any", hall.slots)._held  # noqa: SLF001 - what a leak would be seen in
