"""A lane keeps to its model's limit, whatever comes, and slows down when the gateway asks for it."""

import asyncio
import bisect

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.catalogue import Limits
from bot.lane import CALLED, CHECK, SUBMIT, Lane
from tests.clock import START, FakeClock

LIMITS = Limits(requests_per_minute=60, concurrent_tasks=10)
SPACING = 60 / 54


def open_lane(clock: FakeClock, *, chance: float = 0.0, limits: Limits = LIMITS) -> Lane:
    return Lane("a model", limits, clock=clock.now, sleep=clock.sleep, chance=lambda: chance)


@pytest.mark.parametrize(
    ("asked_for", "pauses"),
    [
        (None, [5, 10, 20, 40, 60, 60]),
        (90, [90, 90, 90]),
        (1, [1, 2, 4, 8, 16, 32, 60]),
        (0, [1, 2, 4, 8, 16, 32, 60]),
    ],
)
async def test_every_refusal_in_a_row_brings_a_pause(asked_for: float | None, pauses: list[float]) -> None:
    clock = FakeClock()
    lane = open_lane(clock)

    for pause in pauses:
        assert lane.slow_down(asked_for) == pause
        await clock.advance(pause)

    lane.answered()
    assert lane.slow_down(asked_for) == pauses[0]


async def test_refusals_of_one_crowd_are_one_refusal() -> None:
    clock = FakeClock()
    lane = open_lane(clock)

    assert [lane.slow_down(None) for _ in range(5)] == [5] * 5
    assert lane.slow_down(30) == 30  # but who asks for more gets it
    assert lane.slow_down(None) == 30
    await clock.advance(30)
    assert lane.slow_down(None) == 10


async def passed(lane: Lane, clock: FakeClock, *waiting: tuple[int, float | None]) -> list[int]:
    """Let waiters come in this order; return their numbers in the order in which they passed."""
    order: list[int] = []

    async def wait(number: int, rank: int, age: float | None) -> None:
        since = None if age is None else START.fromtimestamp(START.timestamp() - age, START.tzinfo)
        await lane.turn(rank, since=since)
        order.append(number)

    tasks = [asyncio.create_task(wait(number, *one)) for number, one in enumerate(waiting)]
    await clock.advance(SPACING * (len(tasks) + 1))
    await asyncio.gather(*tasks)
    await lane.close()
    return order


async def test_orders_go_first_then_looks_called_for_then_the_task_looked_at_longest_ago() -> None:
    clock = FakeClock()
    ages = [(CHECK, 5.0), (CHECK, 60.0), (CALLED, None), (CHECK, 30.0), (SUBMIT, None), (CALLED, None)]

    assert await passed(open_lane(clock), clock, *ages) == [4, 2, 5, 1, 3, 0]


async def test_the_first_request_of_a_run_waits_as_if_one_had_been_sent_just_before() -> None:
    clock = FakeClock()
    lane = open_lane(clock)
    turn = asyncio.create_task(lane.turn(SUBMIT))

    await clock.advance(SPACING - 0.01)
    assert not turn.done()
    await clock.advance(0.02)
    assert turn.done()
    await lane.close()


async def test_after_a_stop_half_as_many_pass_for_a_minute() -> None:
    clock = FakeClock()
    lane = open_lane(clock)
    sent: list[float] = []

    async def keep_asking() -> None:
        while True:
            await lane.turn(CHECK)
            sent.append((clock.now() - START).total_seconds())

    asking = asyncio.create_task(keep_asking())
    lane.slow_down(10)
    await clock.advance(200)
    asking.cancel()
    await lane.close()

    assert sent[0] == pytest.approx(10)
    assert sum(10.5 <= at < 70.5 for at in sent) == 27
    assert sum(80.5 <= at < 140.5 for at in sent) == 54


# What counts is what the gateway sees: the bot may be killed and started again at any moment, a 429 may come
# with any wish, and requests of any kind at any time.
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "check", "check", "call", "many", "429", "429 with a pause", "restart"]),
        st.floats(0, 20),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(ACTS, st.sampled_from([1, 7, 60, 600]))
def test_no_schedule_exceeds_the_limit(acts: list[tuple[str, float]], limit: int) -> None:
    async def run() -> list[float]:
        clock = FakeClock()
        limits = Limits(requests_per_minute=limit, concurrent_tasks=10)
        lane = open_lane(clock, limits=limits)
        at_gateway: list[float] = []
        tasks: list[asyncio.Task[None]] = []

        async def send(lane: Lane, rank: int) -> None:
            await lane.turn(rank)
            at_gateway.append((clock.now() - START).total_seconds())

        for act, pause in acts:
            match act:
                case "429":
                    lane.slow_down(None)
                case "429 with a pause":
                    lane.slow_down(pause)
                case "restart":
                    for task in tasks:
                        task.cancel()
                    await lane.close()
                    lane = open_lane(clock, limits=limits)
                case _:
                    rank = {"submit": SUBMIT, "call": CALLED}.get(act, CHECK)
                    count = 30 if act == "many" else 1
                    tasks += [asyncio.create_task(send(lane, rank)) for _ in range(count)]
            await clock.advance(pause)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await lane.close()
        return at_gateway

    times = asyncio.run(run())

    for number, at in enumerate(times):
        assert bisect.bisect_left(times, at + 60) - number <= limit
