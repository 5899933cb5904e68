"""The turnstile: evenly spaced, urgent first, and nobody waits longer than is right."""

import asyncio
import datetime as dt
import itertools
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.turnstile import Turnstile
from tests.clock import START, FakeClock

SPACING = 2.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def turnstile(clock: FakeClock) -> AsyncGenerator[Turnstile]:
    opened = Turnstile(SPACING, clock=clock.now, sleep=clock.sleep, name="test")
    yield opened
    await opened.close()


class Crowd:
    """People who wait at a turnstile, and when each of them passed, in seconds."""

    def __init__(self, turnstile: Turnstile, clock: FakeClock) -> None:
        self._turnstile = turnstile
        self._clock = clock
        self.passed: list[tuple[str, float]] = []

    def come(self, name: str, rank: int = 0) -> asyncio.Task[None]:
        return asyncio.create_task(self._pass(name, rank))

    async def _pass(self, name: str, rank: int) -> None:
        await self._turnstile.enter(rank)
        self.passed.append((name, (self._clock.now() - START).total_seconds()))


@pytest.fixture
def crowd(turnstile: Turnstile, clock: FakeClock) -> Crowd:
    return Crowd(turnstile, clock)


async def test_the_first_passes_at_once_and_the_others_evenly_spaced(crowd: Crowd, clock: FakeClock) -> None:
    for name in "abc":
        crowd.come(name)
    await clock.settle()
    assert crowd.passed == [("a", 0)]

    await clock.advance(10)

    assert crowd.passed == [("a", 0), ("b", 2), ("c", 4)]


async def test_the_spacing_holds_also_for_who_comes_when_nobody_waits(crowd: Crowd, clock: FakeClock) -> None:
    crowd.come("a")
    await clock.advance(1.5)
    crowd.come("b")
    await clock.advance(10)
    crowd.come("c")
    await clock.settle()

    assert crowd.passed == [("a", 0), ("b", 2), ("c", 11.5)]


async def test_sleeps_that_end_a_little_late_make_nobody_later(clock: FakeClock) -> None:
    async def oversleep(seconds: float) -> None:
        await clock.sleep(seconds + 0.02)

    turnstile = Turnstile(0.1, clock=clock.now, sleep=oversleep, name="test")
    crowd = Crowd(turnstile, clock)
    for number in range(100):
        crowd.come(str(number))
    await clock.advance(10)
    await turnstile.close()

    assert len(crowd.passed) == 100


async def test_a_sleep_that_ends_far_too_late_brings_no_crowd(clock: FakeClock) -> None:
    async def oversleep(seconds: float) -> None:
        await clock.sleep(seconds + 5)

    turnstile = Turnstile(SPACING, clock=clock.now, sleep=oversleep, name="test")
    crowd = Crowd(turnstile, clock)
    for name in "abcd":
        crowd.come(name)
    await clock.advance(30)
    await turnstile.close()

    times = [at for _, at in crowd.passed]
    assert all(later - earlier >= SPACING - 0.05 for earlier, later in itertools.pairwise(times))


async def test_the_urgent_pass_first_also_when_they_come_later(crowd: Crowd, clock: FakeClock) -> None:
    crowd.come("first", 1)
    await clock.settle()
    for name, rank in (("check", 1), ("check 2", 1), ("submit", 0), ("submit 2", 0)):
        crowd.come(name, rank)
    await clock.advance(1)
    crowd.come("latest submit", 0)
    await clock.advance(20)

    assert [name for name, _ in crowd.passed] == [
        "first",
        "submit",
        "submit 2",
        "latest submit",
        "check",
        "check 2",
    ]


async def test_after_a_stop_nobody_passes_for_as_long(
    turnstile: Turnstile, crowd: Crowd, clock: FakeClock
) -> None:
    crowd.come("a")
    crowd.come("b")
    await clock.advance(1)
    turnstile.stop_for(30)
    turnstile.stop_for(5)  # a shorter one does not shorten it
    crowd.come("c")
    await clock.advance(29)
    assert crowd.passed == [("a", 0)]

    await clock.advance(10)

    assert crowd.passed == [("a", 0), ("b", 31), ("c", 33)]


async def test_a_stop_that_passed_while_nobody_waited_is_over(
    turnstile: Turnstile, crowd: Crowd, clock: FakeClock
) -> None:
    turnstile.stop_for(30)
    await clock.advance(100)
    crowd.come("a")
    await clock.settle()

    assert crowd.passed == [("a", 100)]


async def test_who_gives_up_costs_nobody_a_turn(crowd: Crowd, clock: FakeClock) -> None:
    crowd.come("a")
    gone = [crowd.come(f"gone {number}") for number in range(5)]
    crowd.come("b")
    await clock.settle()
    for one in gone:
        one.cancel()
    await clock.advance(10)

    assert crowd.passed == [("a", 0), ("b", 2)]


async def test_a_clock_that_is_set_back_keeps_nobody_waiting_longer(
    turnstile: Turnstile, crowd: Crowd, clock: FakeClock
) -> None:
    crowd.come("a")
    crowd.come("b")
    await clock.advance(1)

    clock.set(START - dt.timedelta(hours=5))
    await clock.advance(2 * SPACING)

    assert [name for name, _ in crowd.passed] == ["a", "b"]
    turnstile.stop_for(30)
    clock.set(START - dt.timedelta(hours=9))
    crowd.come("c")
    await clock.advance(29)
    assert len(crowd.passed) == 2
    await clock.advance(1)
    assert len(crowd.passed) == 3


async def test_a_closed_turnstile_leaves_no_task(clock: FakeClock) -> None:
    turnstile = Turnstile(SPACING, clock=clock.now, sleep=clock.sleep, name="test")
    await turnstile.close()
    waiting = [asyncio.create_task(turnstile.enter(0)) for _ in range(3)]
    await clock.settle()

    await turnstile.close()

    assert [one.done() for one in waiting] == [True, False, False]
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 5), st.booleans()), max_size=30))
def test_two_requests_are_never_closer_than_the_spacing(visits: list[tuple[int, float, bool]]) -> None:
    async def run() -> list[float]:
        clock = FakeClock()
        turnstile = Turnstile(SPACING, clock=clock.now, sleep=clock.sleep, name="test")
        crowd = Crowd(turnstile, clock)
        tasks: list[asyncio.Task[None]] = []
        for rank, pause, gives_up in visits:
            task = crowd.come("x", rank)
            await clock.advance(pause)
            if gives_up:
                task.cancel()
            tasks.append(task)
        await clock.advance(SPACING * len(visits))
        await asyncio.gather(*tasks, return_exceptions=True)
        await turnstile.close()
        return [at for _, at in crowd.passed]

    times = asyncio.run(run())

    # Floats of seconds are rounded to the clock's microseconds.
    assert all(later - earlier >= SPACING - 2e-6 for earlier, later in itertools.pairwise(times))
    assert len(times) >= sum(not gives_up for _, _, gives_up in visits)
