"""The watch over a task: when it looks, what callbacks change, what it learns, when the member hears."""

import asyncio
import dataclasses
import datetime as dt
import itertools
from collections.abc import AsyncGenerator, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.catalogue_tables import load_catalogue
from bot.gateways.base import Checked, Failed, Finished, Lost, NoAnswer, Running
from bot.lane import Lane
from bot.models import Failure, FailureKind, Job, Stage
from bot.timing import TimeTable
from bot.watcher import Watcher
from tests.clock import START, FakeClock

PRO = "apixo/sora-2-pro"
SPACING = 60 / 54
CATALOGUE = load_catalogue()
DONE = Finished(urls=("https://cdn.example/a.mp4",))


def rendering(job_id: str = "a", *, hook_token: str | None = None, submitted: float = 0.0) -> Job:
    """What a watch reads of a job that is rendered."""
    return cast(
        "Job",
        SimpleNamespace(
            job_id=job_id,
            gateway="apixo",
            request=SimpleNamespace(model=PRO, seconds=4),
            task_id=f"task of {job_id}",
            named_task_id=None,
            hook_token=hook_token,
            stage=Stage.RENDERING,
            told_stage=None,
            created_at=START,
            submitted_at=START + dt.timedelta(seconds=submitted),
        ),
    )


class Scene:
    """A watcher with one lane, and a gateway whose tasks end when a test says."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.looks: list[tuple[str, float]] = []
        self.delays: list[float] = []
        self.late: list[float] = []
        self.shares: list[float | None] = []
        self.tells = True
        self.answer: Callable[[str], Checked] = lambda _: Running()
        self.times = TimeTable(CATALOGUE)
        self.lane = Lane(
            PRO,
            CATALOGUE.models[PRO].limits,
            clock=self.clock.now,
            sleep=self.clock.sleep,
            chance=lambda: 0.0,
        )
        self.watcher = Watcher(
            catalogue=CATALOGUE,
            gateways={"apixo": cast("Any", self)},
            lanes={PRO: self.lane},
            gate=cast("Any", self),
            times=self.times,
            delays=self,
            bars=self,
            clock=self.clock.now,
            sleep=self.clock.sleep,
        )
        self._tasks: list[asyncio.Task[Any]] = []

    @property
    def now(self) -> float:
        return (self.clock.now() - START).total_seconds()

    def watch(self, job: Job) -> asyncio.Task[Finished | Failed | Lost]:
        async def when_late() -> bool:
            self.late.append(self.now)
            return self.tells

        task = asyncio.create_task(self.watcher.last_word(job, when_late=when_late))
        self._tasks.append(task)
        return task

    def moments(self, name: str = "a") -> list[float]:
        """When a job's task was looked at, to the second."""
        return [round(at) for looked, at in self.looks if looked == name]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.lane.close()

    # What the watcher needs

    async def check(self, _model: object, task_id: str) -> Checked:
        name = task_id.removeprefix("task of ")
        self.looks.append((name, self.now))
        return self.answer(name)

    async def refused(self, _job: Job, _failure: Failure) -> None:
        pass

    def looked(self, job: Job) -> None:
        pass

    def found(self, job: Job, delay_seconds: float) -> None:  # noqa: ARG002 - as in `Delays`
        self.delays.append(delay_seconds)

    def told(self, job: Job, share: float | None) -> None:  # noqa: ARG002 - as in `Bars`
        self.shares.append(share)


@pytest.fixture
async def scene() -> AsyncGenerator[Scene]:
    opened = Scene()
    yield opened
    await opened.close()


async def test_a_task_is_looked_at_early_then_when_tasks_begin_to_end(scene: Scene) -> None:
    scene.watch(rendering())

    await scene.clock.advance(110)

    assert scene.moments() == [15, 40, 102, 104, 106, 108, 110]


async def test_a_callback_brings_one_look_at_once_and_the_schedule_goes_on(scene: Scene) -> None:
    scene.watch(rendering(hook_token="secret"))
    await scene.clock.advance(60)

    scene.watcher.look_now("a")  # forged: the gateway says that it still runs
    await scene.clock.advance(90)

    assert scene.moments() == [15, 40, 60, 102, 122, 142]


async def test_a_callback_goes_before_the_looks_that_wait_for_their_turn(scene: Scene) -> None:
    for number in range(8):
        scene.watch(rendering(f"job{number}"))
    called = scene.watch(rendering("called", hook_token="secret", submitted=10))
    await scene.clock.advance(14.9)
    await scene.clock.advance(0.2)
    scene.answer = lambda name: DONE if name == "called" else Running()
    scene.watcher.look_now("called")

    await scene.clock.advance(2 * SPACING)

    assert isinstance(called.result(), Finished)
    assert "called" in [name for name, _ in scene.looks[:3]]


async def test_a_callback_during_a_look_brings_another_one(scene: Scene) -> None:
    def call_meanwhile(_: str) -> Checked:
        if len(scene.looks) == 1:
            scene.watcher.look_now("a")
        return Running()

    scene.answer = call_meanwhile
    scene.watch(rendering(hook_token="secret"))

    await scene.clock.advance(39)

    assert scene.moments() == [15, 16]


async def test_a_callback_for_a_job_that_nobody_watches_changes_nothing(scene: Scene) -> None:
    scene.watcher.look_now("nobody")
    scene.watch(rendering())
    await scene.clock.advance(39)

    assert scene.moments() == [15]


async def test_a_callback_ends_the_pause_after_a_silence(scene: Scene) -> None:
    scene.answer = lambda _: NoAnswer(detail="HTTP 502")
    scene.watch(rendering(hook_token="secret"))
    await scene.clock.advance(200)
    silent = len(scene.looks)

    scene.watcher.look_now("a")
    await scene.clock.advance(SPACING)

    assert len(scene.looks) == silent + 1


async def test_a_missed_callback_brings_back_the_shorter_gap_for_ten_minutes(scene: Scene) -> None:
    scene.watch(rendering("lost", hook_token="one"))
    scene.watch(rendering("other", hook_token="two"))
    await scene.clock.advance(150)
    scene.answer = lambda name: DONE if name == "lost" else Running()
    await scene.clock.advance(50)
    assert scene.moments("lost")[-1] == 162

    # Fifteen seconds it may still be under way; then for ten minutes nobody relies on callbacks.
    await scene.clock.advance(800)
    looks = scene.moments("other")

    gaps = {later: later - earlier for earlier, later in itertools.pairwise(looks)}
    assert {gap for at, gap in gaps.items() if 105 < at < 183} == {20}
    assert {gap for at, gap in gaps.items() if 190 < at < 780} == {5}
    assert {gap for at, gap in gaps.items() if 810 < at < 940} == {20}


async def test_a_callback_that_comes_just_after_the_look_was_not_missed(scene: Scene) -> None:
    scene.watch(rendering("first", hook_token="one"))
    scene.watch(rendering("other", hook_token="two"))
    await scene.clock.advance(150)
    scene.answer = lambda name: DONE if name == "first" else Running()
    await scene.clock.advance(20)
    scene.watcher.look_now("first")
    await scene.clock.advance(200)

    looks = scene.moments("other")
    gaps = {later - earlier for earlier, later in itertools.pairwise(looks) if earlier > 105}
    assert gaps <= {20, 21}


async def test_a_gateway_may_ask_for_longer_gaps_but_not_for_very_long_ones(scene: Scene) -> None:
    asked = iter([30.0, 0.5, 3600.0])
    scene.answer = lambda _: Running(progress=0.5, after_seconds=next(asked, None))
    scene.watch(rendering(hook_token="secret"))

    await scene.clock.advance(250)
    assert scene.moments() == [15, 45, 102, 222, 242]
    assert scene.shares == [0.5] * 5

    scene.answer = lambda _: Running(after_seconds=60.0)
    await scene.clock.advance(15)
    assert scene.moments()[-1] == 262
    scene.watcher.look_now("a")  # its callback came
    await scene.clock.advance(2)
    assert scene.moments()[-1] == 265


async def test_a_429_stops_the_lane_and_not_only_the_task(scene: Scene) -> None:
    scene.answer = lambda _: NoAnswer(detail="slow down", limited=True, after_seconds=30)
    scene.watch(rendering("a"))
    scene.watch(rendering("b", submitted=1))
    await scene.clock.advance(16)
    assert [name for name, _ in scene.looks] == ["a"]
    scene.answer = lambda _: Running()

    await scene.clock.advance(28)
    assert len(scene.looks) == 1
    await scene.clock.advance(2)

    assert len(scene.looks) == 2


async def test_what_takes_far_too_long_is_looked_at_once_a_minute_and_its_member_told_once(
    scene: Scene,
) -> None:
    scene.watch(rendering())

    await scene.clock.advance(3_600)

    late = [at for at in scene.moments() if at > 1_000]
    assert {later - earlier for earlier, later in itertools.pairwise(late)} == {60}
    assert len(scene.late) == 1
    assert 1_800 <= scene.late[0] <= 1_860


async def test_looks_go_on_while_the_member_cannot_be_told(scene: Scene) -> None:
    scene.tells = False
    watch = scene.watch(rendering())
    await scene.clock.advance(2_000)
    assert len(scene.late) >= 2
    scene.answer = lambda _: DONE

    await scene.clock.advance(61)

    assert isinstance(watch.result(), Finished)


# Learning


async def took(scene: Scene, *, found_after: float, says: float | None = None) -> float | None:
    """Let a task be found over some time after its submit; return how long it is said to have taken."""
    watch = scene.watch(rendering())
    await scene.clock.advance(found_after)
    scene.answer = lambda _: dataclasses.replace(DONE, took_seconds=says)
    await scene.clock.advance(70)
    verdict = watch.result()
    assert isinstance(verdict, Finished)
    return verdict.took_seconds


async def test_what_the_gateway_says_of_the_time_is_learned_and_the_delay_told(scene: Scene) -> None:
    assert await took(scene, found_after=151, says=149.5) == 149.5

    assert scene.delays == [pytest.approx(2.5, abs=0.2)]


async def test_where_the_gateway_says_nothing_the_look_counts(scene: Scene) -> None:
    assert await took(scene, found_after=151) == pytest.approx(152, abs=0.2)

    assert scene.delays == []


@pytest.mark.parametrize("says", [3.0, 0.15, 5_000.0, -7.0])
async def test_what_cannot_be_true_is_not_believed(scene: Scene, says: float) -> None:
    assert await took(scene, found_after=151, says=says) == pytest.approx(152, abs=0.2)

    assert scene.delays == []


async def test_nothing_is_learned_where_nobody_looked_when_a_look_was_due(scene: Scene) -> None:
    # The bot was away for five minutes: it may have been over all the time.
    scene.answer = lambda _: DONE
    watch = scene.watch(rendering(submitted=-300))
    await scene.clock.advance(5)

    assert cast("Finished", watch.result()).took_seconds is None


async def test_nothing_is_learned_where_the_gateway_was_silent_for_long(scene: Scene) -> None:
    scene.answer = lambda _: NoAnswer(detail="HTTP 502")
    watch = scene.watch(rendering())
    await scene.clock.advance(1_000)
    scene.answer = lambda _: DONE
    await scene.clock.advance(61)

    assert cast("Finished", watch.result()).took_seconds is None


async def test_looks_follow_what_was_learned(scene: Scene) -> None:
    for _ in range(20):
        scene.times.add(PRO, 4, 60.0)
    scene.watch(rendering())

    await scene.clock.advance(59)

    assert scene.moments() == [15, 40, 54, 56, 58]


async def test_a_failure_teaches_nothing_of_how_long_clips_take(scene: Scene) -> None:
    scene.answer = lambda _: Failed(failure=Failure(kind=FailureKind.PROMPT_REFUSED))
    for number in range(12):
        scene.watch(rendering(f"job{number}"))
    await scene.clock.advance(60)

    assert scene.times.of(PRO, 4).median_seconds == 180


async def test_a_clock_that_is_set_back_keeps_no_task_from_being_looked_at(scene: Scene) -> None:
    scene.watch(rendering())
    await scene.clock.advance(50)
    scene.clock.set(START - dt.timedelta(hours=5))

    await scene.clock.advance(130)

    assert len(scene.looks) >= 4


async def test_a_clock_that_is_set_days_forward_for_a_while_gives_up_no_task(scene: Scene) -> None:
    watch = scene.watch(rendering())
    await scene.clock.advance(110)
    scene.clock.set(scene.clock.now() + dt.timedelta(days=2))
    await scene.clock.advance(600)
    assert not watch.done()

    scene.clock.set(scene.clock.now() - dt.timedelta(days=2))
    scene.answer = lambda _: DONE
    await scene.clock.advance(70)

    assert isinstance(watch.result(), Finished)


async def test_a_task_without_an_end_is_given_up_after_a_day_and_half_an_hour_of_looks(scene: Scene) -> None:
    watch = scene.watch(rendering(submitted=-86_000))

    await scene.clock.advance(2_000)
    assert not watch.done()
    await scene.clock.advance(300)

    assert watch.result() == Lost(detail="the task has no end after 24 hours")


async def test_a_watch_that_ends_leaves_no_wait_behind(scene: Scene) -> None:
    watch = scene.watch(rendering())
    await scene.clock.advance(1)
    watch.cancel()
    await scene.clock.settle()

    assert not [task for task in asyncio.all_tasks() if "_regular_turn" in str(task.get_coro())]
    await scene.clock.advance(60)
    assert scene.looks == []
