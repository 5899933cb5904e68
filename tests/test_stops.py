"""Jobs on a team's own machine: stopped while they are rendered, shown as they go on, paid by the second."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.models import Job, Stage
from storage.stops import StopStore
from tests.acting import press_at_once, world_with
from tests.fake_apixo import Held
from tests.fake_videos import FakeVideos, saying
from tests.world import World, come_to_rest

MODELS = """
[gateways.studio]
kind = "videos"
base_url = "{base_url}"
dialect = "{dialect}"

[models."studio/wan"]
title = "Wan on our own machine"
remote_id = "wan-2.2"
status = "available"
noted_on = 2026-11-20
source = "A page, https://example.com"
seconds = [4]
prompt_limit = 1000
modes.text-to-video.sizes = [{{ pixels = [1280, 720] }}]
price = {{ unit = "gpu-second", rows = [{{ usd = "0.01", gpu_seconds = 60 }}] }}
"""
RUNNING = saying({"id": "video_1", "status": "in_progress"})


class Scene:
    """A world with a machine of the team's own, on which one job is rendered."""

    def __init__(self, world: World, studio: FakeVideos) -> None:
        self.world = world
        self.studio = studio

    async def order(self) -> Job:
        """Order a clip, and wait until its card says that it is rendered."""
        await self.world.create(prompt="A fox", model="studio/wan")
        await self.world.reached(Stage.RENDERING)
        await self.world.until(lambda: "### Rendering" in self.world.posts_text())
        return await self.world.job()

    async def card(self) -> Any:
        message = await self.world.card_message()
        return SimpleNamespace(channel_id=self.world.channel.id, id=message.id)

    async def press(self, by: Any) -> str:
        """Press the one button of the card, and let time pass meanwhile; return what is told."""
        told: list[str] = []

        async def press() -> None:
            (pressed,) = await press_at_once(self.world, await self.card(), (by, "Stop rendering"))
            told.append(pressed.response.content)

        await self.world.time.move_until(press())
        return told[0]

    @property
    def asked(self) -> int:
        """How often the machine was asked to end a task."""
        return sum(method == "DELETE" for method, *_ in self.studio.seen)

    async def entries(self) -> list[tuple[Any, ...]]:
        """What the ledger has of the job."""
        async with self.world.database.read() as connection:
            rows = await connection.exec_driver_sql(
                "SELECT kind, amount_micros FROM ledger ORDER BY entry_id"
            )
            return [tuple(row) for row in rows]


@contextlib.asynccontextmanager
async def open_scene(folder: Path, *, dialect: str = "vllm-omni", **told: Any) -> AsyncGenerator[Scene]:
    async with FakeVideos(**told) as studio:
        models = MODELS.format(base_url=studio.base_url, dialect=dialect)
        async with world_with(folder, models) as world:
            studio.renders = bool(told)
            yield Scene(world, studio)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncGenerator[Scene]:
    async with open_scene(tmp_path) as opened:
        yield opened


async def assert_stopped(scene: Scene) -> None:
    await scene.world.settled()
    job = await scene.world.job()
    assert job.stage is Stage.CANCELLED
    assert await scene.entries() == [("hold", 600_000), ("release", 600_000)]
    card = await scene.world.card()
    assert "### Cancelled" in card
    assert "Stopped while it was rendered; it cost nothing." in card
    assert "Stop rendering" not in card
    assert scene.world.answers() == []


# Stopping


async def test_a_rendering_job_is_stopped_once_however_often_somebody_presses(scene: Scene) -> None:
    job = await scene.order()
    assert "Stop rendering" in await scene.world.card()
    pressed = await press_at_once(
        scene.world, await scene.card(), *[(scene.world.member, "Stop rendering")] * 3
    )
    await assert_stopped(scene)
    assert scene.asked == 1
    told = sorted(one.response.content for one in pressed)
    assert told == [
        *[f"Job `{job.job_id}` is being stopped already."] * 2,
        f"Job `{job.job_id}` is cancelled. $0.60 returned to your quota.",
    ]


async def test_a_command_stops_it_too(scene: Scene) -> None:
    job = await scene.order()
    told = await scene.world.ask("video cancel", job=job.job_id)
    assert told == f"Job `{job.job_id}` is cancelled. $0.60 returned to your quota."
    await assert_stopped(scene)


async def test_a_job_that_is_being_ordered_is_stopped_a_moment_later(scene: Scene) -> None:
    held = Held(saying({"id": "video_1", "status": "queued"}))
    scene.studio.submits.append(held.answer)
    await scene.world.create(prompt="A fox", model="studio/wan")
    await scene.world.until(held.arrived.is_set)
    job = await scene.world.job()
    told = await scene.world.ask("video cancel", job=job.job_id)
    assert told == f"Job `{job.job_id}` is being ordered just now. Stop it once it is rendered, in a moment."
    held.release.set()
    scene.studio.renders = True
    await scene.world.settled()


async def test_only_the_member_and_staff_stop_it_and_that_is_an_act_of_staff(scene: Scene) -> None:
    job = await scene.order()
    assert "Only the member" in await scene.press(scene.world.other)
    assert scene.asked == 0
    assert "is cancelled" in await scene.press(scene.world.staff)
    await assert_stopped(scene)
    told = await scene.world.ask("video-admin audit", by=scene.world.staff)
    assert f"job {job.job_id}" in told
    assert "stopped by staff while it was rendered" in told


async def test_a_machine_that_renders_on_is_believed(scene: Scene) -> None:
    scene.studio.aborts.append(saying({"id": "video_1", "deleted": False}))
    job = await scene.order()
    told = await scene.press(scene.world.member)
    assert told.startswith(f"The gateway was asked to stop job `{job.job_id}`, and did not say that it has.")
    scene.studio.renders = True
    await scene.world.settled()
    assert (await scene.world.job()).stage is Stage.DONE


async def test_a_task_that_ended_without_a_word_is_stopped(scene: Scene) -> None:
    async def end(request: Any) -> Any:
        scene.studio.ended.add(request.match_info["video_id"])
        return await saying({"detail": "oops"}, status=500)(request)

    scene.studio.aborts.append(end)
    await scene.order()
    assert "is cancelled" in await scene.press(scene.world.member)
    await assert_stopped(scene)


@pytest.mark.parametrize("ends", [True, False])
async def test_a_kill_while_the_machine_is_asked_loses_nothing(scene: Scene, ends: bool) -> None:
    job = await scene.order()
    # What a kill leaves between the request and its answer, or before the request.
    stops = StopStore(scene.world.database, scene.world.store)
    assert await stops.begin(job, user_id=scene.world.member.id, now=scene.world.time.now())
    if ends:
        scene.studio.ended.add("video_1")
    else:
        scene.studio.renders = True
    await scene.world.restart()
    if ends:
        await assert_stopped(scene)
    else:
        await scene.world.settled()
        assert (await scene.world.job()).stage is Stage.DONE


async def test_a_clip_that_comes_while_the_stop_waits_for_its_turn_is_not_deleted(scene: Scene) -> None:
    look = Held(saying({"id": "video_1", "status": "completed"}))
    scene.studio.looks.append(look.answer)
    world, job = scene.world, await scene.order()
    await world.until(look.arrived.is_set)
    press = press_at_once(world, await scene.card(), (world.member, "Stop rendering"))
    pressing = asyncio.create_task(press)
    await come_to_rest()
    look.release.set()

    async def is_found() -> bool:
        now_is = await world.store.get(job.job_id)
        return now_is is not None and now_is.stage is not Stage.RENDERING

    while not await is_found():  # while time stands still
        await come_to_rest()
    await world.time.move_until(_ended(pressing))
    await world.settled()
    assert (await world.job()).stage is Stage.DONE
    assert scene.asked == 0


async def _ended(task: asyncio.Task[Any]) -> None:
    await task


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_task_that_ends_while_the_machine_is_asked_is_stopped_or_paid(
    scene: Scene, is_there: bool
) -> None:
    """Never fetched for an hour, to be told as a failure then."""
    world, studio = scene.world, scene.studio

    async def end(request: Any) -> Any:
        studio.renders = True
        until = Stage.DONE if is_there else Stage.FETCHING
        while (await world.job()).stage is not until:
            await come_to_rest()
        return await saying({"id": request.match_info["video_id"], "deleted": True})(request)

    studio.aborts.append(end)
    if not is_there:
        studio.downloads.extend([saying({"detail": "Video not found"}, status=404)] * 100)
    job = await scene.order()
    told = await scene.press(world.member)
    if is_there:
        assert "is cancelled" not in told
        await world.settled()
        assert (await world.job()).stage is Stage.DONE
        return
    assert told == f"Job `{job.job_id}` is cancelled. $0.60 returned to your quota."
    await assert_stopped(scene)


async def test_a_kill_after_the_clip_was_deleted_is_a_stop_too(scene: Scene) -> None:
    job = await scene.order()
    stops = StopStore(scene.world.database, scene.world.store)
    assert await stops.begin(job, user_id=scene.world.member.id, now=scene.world.time.now())
    scene.studio.renders = True
    scene.studio.downloads.extend([saying({"detail": "Video not found"}, status=404)] * 100)
    await scene.world.reached(Stage.FETCHING)
    await scene.world.restart()
    await assert_stopped(scene)


async def test_a_machine_that_forgets_a_task_which_nobody_stopped_leaves_it_unclear(scene: Scene) -> None:
    await scene.order()
    scene.studio.ended.add("video_1")
    job = await scene.world.reached(Stage.UNCERTAIN)
    assert job.held_micros == 600_000
    await scene.world.until(lambda: "### Unclear" in scene.world.posts_text())


async def test_where_a_machine_cannot_stop_nobody_is_offered_that_it_does(tmp_path: Path) -> None:
    async with open_scene(tmp_path, dialect="sglang") as scene:
        job = await scene.order()
        assert "Stop rendering" not in await scene.world.card()
        told = await scene.world.ask("video cancel", job=job.job_id)
        assert "is already at the gateway, which cannot stop it." in told
        assert scene.asked == 0
        scene.studio.renders = True
        await scene.world.settled()


# How far it is, and what it cost


async def test_the_card_shows_how_far_the_machine_says_it_is(scene: Scene) -> None:
    shares = iter([50, 25])

    async def look(request: Any) -> Any:
        body = {"id": "video_1", "status": "in_progress", "progress": next(shares, 75)}
        return await saying(body)(request)

    scene.studio.looks.extend([look] * 10)
    await scene.order()
    await scene.world.until(lambda: f"{'▰' * 6}{'▱' * 6}" in scene.world.posts_text())
    await scene.world.until(lambda: f"{'▰' * 9}{'▱' * 3}" in scene.world.posts_text())
    scene.studio.renders = True
    await scene.world.settled()


async def test_the_bar_does_not_go_back_over_a_restart(scene: Scene) -> None:
    look = saying({"id": "video_1", "status": "in_progress", "progress": 75})
    world, looks = scene.world, scene.studio.looks
    looks.extend([look] * 200)
    await scene.order()
    await world.until(lambda: world.posts_text().count("▰") == 9)
    await world.restart()
    left, seen = len(looks), set[int]()

    def note() -> bool:
        seen.add(world.posts_text().count("▰"))
        return len(looks) < left - 30

    await world.until(note)
    assert seen == {9}
    looks.clear()
    scene.studio.renders = True
    await world.settled()


@pytest.mark.parametrize(
    ("took", "entries", "told"),
    [
        (
            12,
            [("hold", 600_000), ("settle", 120_000), ("release", 480_000)],
            "Quoted ≈$0.60, $0.12 spent, $0.48 returned",
        ),
        (
            90,
            [("hold", 600_000), ("settle", 600_000), ("possible_charge", 300_000)],
            "Quoted ≈$0.60, $0.60 spent",
        ),
    ],
    ids=["sooner than quoted", "longer than quoted"],
)
async def test_a_clip_costs_the_seconds_it_took_and_never_more_than_quoted(
    tmp_path: Path, took: int, entries: list[tuple[str, int]], told: str
) -> None:
    times: dict[str, Any] = {"created_at": 1_700_000_000, "completed_at": 1_700_000_000 + took}
    async with open_scene(tmp_path, **times) as scene:
        scene.studio.renders = took < 60
        await scene.world.create(prompt="A fox", model="studio/wan")
        await scene.world.reached(Stage.RENDERING)
        began = scene.world.time.now()
        await scene.world.until(lambda: (scene.world.time.now() - began).total_seconds() >= took)
        scene.studio.renders = True
        await scene.world.settled()
        assert await scene.entries() == entries
        assert told in await scene.world.card()


@pytest.mark.parametrize(
    ("took", "entries"),
    [
        (20, [("hold", 600_000), ("settle", 200_000), ("release", 400_000)]),
        (1_000_000_000, [("hold", 600_000), ("settle", 600_000)]),  # no clock is right about that
    ],
)
async def test_a_clip_that_comes_at_once_costs_no_more_seconds_than_have_passed(
    tmp_path: Path, took: int, entries: list[tuple[str, int]]
) -> None:
    done = {"id": "video_1", "status": "completed", "created_at": 700_000_000}
    async with open_scene(tmp_path) as scene:
        scene.studio.submits.append(saying({**done, "completed_at": 700_000_000 + took}))
        await scene.world.create(prompt="A fox", model="studio/wan")
        await scene.world.settled()
        assert (await scene.world.job()).stage is Stage.DONE
        assert await scene.entries() == entries
