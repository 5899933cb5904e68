"""The bot is ended and started again in every stage: nothing is lost, paid twice or posted twice."""

import asyncio
import datetime as dt
from pathlib import Path

import pytest

from bot.models import Stage
from tests.fake_apixo import envelope, state
from tests.world import World, open_world, picture


def assert_one_clip(world: World) -> None:
    assert len(world.gateway.submitted) == 1
    (message,) = world.answers()
    assert len(message.attachments) == 1


async def test_a_job_that_waits_is_ordered_after_a_restart(world: World) -> None:
    world.gateway.submits.append(envelope(None, code=429, status=429, message="slow down"))
    await world.create(prompt="A fox runs")
    await world.until(lambda: world.gateway.submitted)
    await world.reached(Stage.QUEUED)
    await world.restart()
    await world.settled()
    assert (await world.job()).stage is Stage.DONE
    assert len(world.gateway.tasks) == 1
    assert len(world.answers()) == 1
    assert len(world.posts()) == 2


async def test_a_job_that_is_rendered_is_watched_after_a_restart(world: World) -> None:
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    await world.restart()
    await world.settled()
    assert (await world.job()).stage is Stage.DONE
    assert_one_clip(world)
    assert await world.sums() == (500_000, 0)


async def test_a_clip_that_is_fetched_is_fetched_again_after_a_restart(world: World) -> None:
    world.gateway.refuse_downloads(3)
    await world.create(prompt="A fox runs")
    await world.reached(Stage.FETCHING)
    await world.restart()
    await world.settled()
    assert (await world.job()).stage is Stage.DONE
    assert_one_clip(world)
    assert await world.sums() == (500_000, 0)


async def test_a_failure_that_nobody_was_told_is_told_after_a_restart(world: World) -> None:
    world.gateway.looks.append(state("failed", failCode="CONTENT_VIOLATION"))
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    world.env.inject_error("POST", "/channels/*/messages", status=500, times=2)
    await world.reached(Stage.FAILED)
    assert world.answers() == []
    await world.restart()
    await world.settled()
    (message,) = world.answers()
    assert "The gateway refused the prompt" in message.content
    assert await world.sums() == (0, 0)


async def left_behind(world: World, stage: Stage, *, card: bool = True) -> None:
    """Bring the one job to a stage by writing, as a process did that was killed there."""
    job, now = await world.job(), world.time.now()
    if card:
        channel = world.app.bot.get_partial_messageable(job.channel_id, guild_id=job.server_id)
        message = await channel.send("its card")
        await world.store.card_posted(job.job_id, message.id, showing=Stage.QUEUED)
    if stage is Stage.QUEUED:
        return
    await world.store.start_submit(job.job_id, now=now)
    if stage is Stage.SUBMITTING:
        return
    await world.store.submit_accepted(job.job_id, world.gateway.accept({}, "sora-2").task_id, now=now)
    if stage is Stage.RENDERING:
        return
    link = f"http://{world.gateway.host}/files/clip.mp4"
    await world.store.rendered(job.job_id, [link], now=now)
    if stage is Stage.FETCHING:
        return
    clip = world.app.folder.clips / f"{job.job_id}.mp4"
    clip.write_bytes(world.gateway.clip.read_bytes())
    await world.store.fetched(job.job_id, clip, now=now)


@pytest.mark.parametrize(
    "stage", [Stage.QUEUED, Stage.RENDERING, Stage.FETCHING, Stage.DELIVERING], ids=lambda stage: stage.value
)
async def test_a_job_of_a_killed_process_ends_with_one_clip(stage: Stage, tmp_path: Path) -> None:
    async with open_world(tmp_path, started=False) as world:
        await world.create(prompt="A fox runs")
        await left_behind(world, stage)
        world.app.start()
        await world.settled()
        assert (await world.job()).stage is Stage.DONE
        assert len(world.gateway.tasks) == 1
        assert [len(message.attachments) for message in world.posts()[1:]] == [1]
        assert await world.sums() == (500_000, 0)


async def test_a_job_whose_card_was_never_posted_gets_one(tmp_path: Path) -> None:
    async with open_world(tmp_path, started=False) as world:
        await world.create(prompt="A fox runs")
        world.app.start()
        await world.settled()
        assert "Done" in await world.card()
        assert_one_clip(world)


async def test_a_card_that_was_posted_but_not_written_down_is_found_again(tmp_path: Path) -> None:
    async with open_world(tmp_path, started=False) as world:
        await world.create(prompt="A fox runs")
        job = await world.job()
        await world.app.delivery.post_card(job)
        world.app.start()
        await world.settled()
        assert len(world.posts()) == 2
        assert "Done" in await world.card()


async def test_a_clip_that_was_posted_but_not_written_down_is_not_posted_again(tmp_path: Path) -> None:
    async with open_world(tmp_path, started=False) as world:
        await world.create(prompt="A fox runs")
        await left_behind(world, Stage.DELIVERING)
        video = await world.app.delivery.deliver(await world.job())
        world.app.start()
        await world.settled()
        job = await world.job()
        assert (job.stage, job.video_message_id) == (Stage.DONE, video)
        assert len([message for message in world.posts() if message.attachments]) == 1


async def test_an_order_that_may_have_been_sent_is_never_sent_again(tmp_path: Path) -> None:
    async with open_world(tmp_path, started=False) as world:
        await world.create(prompt="A fox runs")
        await left_behind(world, Stage.SUBMITTING)
        world.app.start()
        await world.settled()
        job = await world.job()
        assert job.stage is Stage.UNCERTAIN
        assert world.gateway.submitted == []
        assert await world.sums() == (0, 500_000)
        (message,) = world.posts()[1:]
        assert "It will not be sent again: nobody will be charged twice" in message.content
        assert "≈$0.50 stays held" in message.content


async def test_what_the_gateway_may_be_rendering_counts_after_a_restart(tmp_path: Path) -> None:
    async with open_world(tmp_path, started=False) as world:
        await world.create(prompt="A fox runs", model="apixo/sora-2-pro")
        await left_behind(world, Stage.SUBMITTING)
        for _ in range(10):
            await world.create(prompt="A fox runs", model="apixo/sora-2-pro", by=world.other)
        started = world.time.now()
        world.gateway.keep_rendering()
        world.app.start()
        await world.until(lambda: len(world.gateway.tasks) == 9)
        world.time.jump(minutes=28)
        await world.until(lambda: len(world.gateway.tasks) == 10)
        assert world.time.now() - started >= dt.timedelta(minutes=30)


async def test_a_task_that_ended_while_the_bot_was_away_for_days_is_still_fetched(tmp_path: Path) -> None:
    async with open_world(tmp_path, started=False) as world:
        await world.create(prompt="A fox runs")
        await left_behind(world, Stage.RENDERING)
        world.time.jump(hours=40)
        world.app.start()
        await world.settled()
        assert (await world.job()).stage is Stage.DONE


async def test_a_task_waits_for_a_key_that_was_left_out_by_mistake(world: World) -> None:
    world.gateway.keep_rendering()
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    await world.restart(apixo_api_key=None, pixazo_api_key="another-key")
    await world.until(lambda: world.app.worker.busy_jobs == 1)
    assert (await world.job()).stage is Stage.RENDERING
    world.gateway.renders = True
    await world.restart()
    await world.settled()
    assert (await world.job()).stage is Stage.DONE
    assert_one_clip(world)


async def test_a_job_of_the_sandbox_ends_for_nothing_when_a_key_closes_it(world: World) -> None:
    await world.restart(apixo_api_key=None, default_model=None)
    await world.create(prompt="fail:slow A fox runs")
    await world.reached(Stage.RENDERING)
    await world.restart()
    await world.settled()
    job = await world.job()
    assert (job.stage, job.held_micros, job.settled_micros) == (Stage.FAILED, 0, 0)
    assert "the sandbox is closed" in world.answers()[0].content


async def test_a_picture_is_sent_with_a_fresh_link_after_a_restart(world: World) -> None:
    world.gateway.submits.append(envelope(None, code=429, status=429, message="slow down"))
    await world.create(prompt="It moves", image=("hills.png", picture()))
    await world.until(lambda: world.gateway.submitted)
    await world.reached(Stage.QUEUED)
    await world.restart()
    await world.settled()
    assert (await world.job()).stage is Stage.DONE
    assert world.gateway.submitted[-1]["input"]["image_urls"] == [
        (await world.card_message()).attachments[0].url
    ]


async def test_a_stop_waits_for_the_answer_to_a_paid_request_and_writes_it_down(world: World) -> None:
    held = world.gateway.hold_submit()
    await world.create(prompt="A fox runs")
    await world.until(held.arrived.is_set)
    restart = asyncio.create_task(world.restart())
    await asyncio.sleep(0)
    assert "The bot is restarting" in await world.create(prompt="Another")
    assert not restart.done()
    held.release.set()
    await restart
    await world.settled()
    assert (await world.job()).stage is Stage.DONE
    assert_one_clip(world)
