"""Callbacks in a whole bot: a clip comes at once, and a lost answer is made good without a second order."""

import datetime as dt
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.callbacks import Callbacks
from bot.models import Stage
from storage.hooks import HookStore
from tests.fake_apixo import cut, envelope
from tests.fake_pixazo import FakePixazo
from tests.world import PUBLIC_URL, World, open_world

PRO = "apixo/sora-2-pro"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with open_world(tmp_path, public_url=PUBLIC_URL) as opened:
        yield opened


async def assert_one_clip(world: World) -> None:
    job = await world.job()
    assert job.stage is Stage.DONE
    assert len(world.gateway.submitted) == 1
    assert len([message for message in world.answers() if message.attachments]) == 1
    assert await world.sums() == (1_080_000, 0)


async def test_the_clip_comes_as_soon_as_the_gateway_calls(world: World) -> None:
    world.gateway.keep_rendering()
    await world.create(prompt="A fox runs", model=PRO)
    job = await world.reached(Stage.RENDERING)
    await world.until(lambda: world.time.now() >= world.started + dt.timedelta(seconds=70))
    looks, before = world.gateway.tasks["task_00000001"].looks, world.time.now()

    assert await world.call_back(world.gateway.callback("task_00000001")) == 200  # forged: it still renders
    await world.until(lambda: world.gateway.tasks["task_00000001"].looks == looks + 1)
    assert (await world.job()).stage is Stage.RENDERING
    world.gateway.renders = True
    assert await world.call_back(world.gateway.callback("task_00000001")) == 200
    await world.settled()

    assert world.gateway.tasks["task_00000001"].looks == looks + 2
    assert world.time.now() - before < dt.timedelta(seconds=10)
    await assert_one_clip(world)
    assert str(job.hook_token) not in world.posts_text()
    done = await world.job()
    assert await world.call_back(world.gateway.callback("task_00000001")) == 200  # late, and of no use
    assert await world.job() == done
    assert world.gateway.tasks["task_00000001"].looks == looks + 2


async def test_without_a_public_address_the_gateway_is_asked_for_no_callback(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.create(prompt="A fox runs", model=PRO)
        await world.settled()

        (body,) = world.gateway.submitted
        assert (body["request_type"], "callback_url" in body) == ("async", False)
        assert (await world.job()).hook_token is None


async def test_a_callback_names_the_task_of_an_order_whose_answer_was_lost(world: World) -> None:
    world.gateway.submits.append(cut())
    await world.create(prompt="A fox runs", model=PRO)
    await world.reached(Stage.UNCERTAIN)
    task = world.gateway.accept(world.gateway.submitted[0], "sora-2-pro")

    assert await world.call_back(world.gateway.callback(task.task_id)) == 200
    await world.settled()

    await assert_one_clip(world)
    assert (await world.job()).task_id == task.task_id


@pytest.mark.parametrize("is_lost", [True, False])
async def test_a_callback_that_comes_before_the_answer_counts_once_it_is_known(
    world: World, *, is_lost: bool
) -> None:
    held = world.gateway.hold_submit(cut() if is_lost else envelope({"taskId": "task_00000001"}))
    await world.create(prompt="A fox runs", model=PRO)
    await world.until(held.arrived.is_set)
    world.gateway.accept(world.gateway.submitted[0], "sora-2-pro")
    before = world.time.now()

    assert await world.call_back(world.gateway.callback("task_00000001")) == 200
    held.release.set()
    await world.settled()

    await assert_one_clip(world)
    assert ((await world.job()).rendered_at or before) - before < dt.timedelta(seconds=10)


async def test_a_restart_in_the_paid_request_leaves_it_to_the_callback(tmp_path: Path) -> None:
    async with open_world(tmp_path, started=False, public_url=PUBLIC_URL) as world:
        await world.create(prompt="A fox runs", model=PRO)
        callbacks = Callbacks(PUBLIC_URL, HookStore(world.database, world.store))
        # As a process did that was killed while the gateway took the order, and as one that was killed again
        # when it had answered the callback.
        job = await world.store.start_submit(
            (await world.job()).job_id, hook_token=callbacks.new_token(), now=world.time.now()
        )
        assert job is not None
        address = callbacks.address(job)
        world.gateway.accept({"request_type": "callback", "callback_url": address}, "sora-2-pro")
        assert await world.call_back(world.gateway.callback("task_00000001")) == 200
        world.app.start()
        await world.settled()

        assert (await world.job()).stage is Stage.DONE
        assert world.gateway.submitted == []
        assert len([message for message in world.answers() if message.attachments]) == 1


async def test_a_gateway_of_the_other_kind_calls_too(tmp_path: Path) -> None:
    async with (
        FakePixazo() as pixazo,
        open_world(tmp_path, public_url=PUBLIC_URL, **pixazo.settings) as world,
    ):
        pixazo.submits.append(cut())
        await world.create(prompt="A fox runs", model="pixazo/sora-2-pro")
        await world.reached(Stage.UNCERTAIN)

        assert await world.call_back(pixazo.callback("request_1")) == 200
        await world.settled()

        job = await world.job()
        assert (job.stage, job.task_id, len(pixazo.submitted)) == (Stage.DONE, "request_1", 1)
