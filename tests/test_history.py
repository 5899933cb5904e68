"""Whatever Discord forgets or does not say, a message is posted once: the channel is read before a repeat."""

import asyncio
import dataclasses
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import discord
import pytest
from simcord.builders import UserHandle

from bot.models import FailureKind, Stage
from tests.acting import deny, lose_answer
from tests.fake_apixo import envelope, state
from tests.world import World, open_world, picture

UNKNOWN = envelope(None, code=404, status=404, message="task not found")
ROOT = Path(__file__).parent.parent
POSTS = "/channels/*/messages"


def chatter(world: World, count: int) -> None:
    for number in range(count):
        world.env.backend.create_message(world.channel.id, world.other.id, f"Chatter {number}")


def looks(world: World) -> list[Any]:
    """The requests that read the channel."""
    path = f"/channels/{world.channel.id}/messages"
    return [one for one in world.env.http_requests if one.method == "GET" and one.path == path]


def clips(world: World) -> list[discord.Message]:
    return [message for message in world.answers() if message.attachments]


def direct_messages(world: World) -> list[str]:
    person = UserHandle(world.env, world.env.backend.get_user(world.member.id))
    return [message.content for message in person.dm_channel.history()]


async def doing(world: World, act: Coroutine[Any, Any, Any]) -> Any:
    """Let time pass while the bot does something; return what comes of it."""
    task = asyncio.create_task(act)
    await world.until(task.done)
    return await task


def test_followups_are_for_what_may_be_said_twice() -> None:
    """They have no nonce, and discord.py sends them again after a 502: only private words may go that way."""
    files = [file for folder in ("bot", "cogs") for file in (ROOT / folder).rglob("*.py")]
    using = {file.name for file in files if ".followup" in file.read_text("utf-8")}
    assert using <= {"client.py", "admin_doctor.py"}


async def test_a_clip_whose_answer_was_lost_is_found_behind_whatever_was_said_since(world: World) -> None:
    chatter(world, 150)
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    lose_answer(world, POSTS, meanwhile=lambda: chatter(world, 320))
    await world.settled()
    (message,) = clips(world)
    job = await world.job()
    assert (job.stage, job.video_message_id) == (Stage.DONE, message.id)
    assert len(looks(world)) == 4


async def test_a_clip_that_never_arrived_costs_one_look_however_old_the_channel_is(world: World) -> None:
    chatter(world, 320)
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    world.env.inject_error("POST", POSTS, status=502)
    await world.settled()
    assert len(clips(world)) == 1
    assert len(looks(world)) == 1


async def test_a_card_whose_answer_was_lost_is_posted_once(world: World) -> None:
    lose_answer(world, POSTS)
    await world.create(prompt="It moves", image=("hills.png", picture()))
    await world.settled()
    assert (await world.job()).stage is Stage.DONE
    assert len(world.posts()) == 2


async def test_what_was_posted_before_a_backup_was_put_back_is_found(world: World) -> None:
    """The row forgot it, and the card has moved on: it has no button of its job any more."""
    await world.member.send(world.channel, f"{world.app.bot.user.mention} A fox runs")
    await world.settled()
    chatter(world, 210)
    job, delivery = await world.job(), world.app.delivery
    queued = dataclasses.replace(job, stage=Stage.QUEUED, card_message_id=None, video_message_id=None)
    assert await doing(world, delivery.post_card(queued, again=True)) == job.card_message_id
    world.time.jump(hours=20)
    fetched = dataclasses.replace(queued, stage=Stage.DELIVERING, fetched_at=world.time.now())
    assert await doing(world, delivery.deliver(fetched, again=True)) == job.video_message_id


@pytest.mark.parametrize("stage", [Stage.FAILED, Stage.UNCERTAIN])
async def test_an_end_whose_answer_was_lost_is_told_once(stage: Stage, world: World) -> None:
    failed = [state("failed", failCode="CONTENT_VIOLATION")]
    world.gateway.looks.extend(failed if stage is Stage.FAILED else [UNKNOWN] * 5)
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    lose_answer(world, POSTS)
    await world.settled()
    job = await world.job()
    assert job.told_stage is stage
    assert len(world.answers()) == 1


async def test_what_was_told_of_one_stage_is_not_taken_for_what_is_told_of_another(world: World) -> None:
    world.gateway.looks.extend([UNKNOWN] * 5)
    await world.create(prompt="A fox runs")
    await world.settled()
    hangs = await world.job()
    assert hangs.stage is Stage.UNCERTAIN
    (told,) = world.answers()
    delivery = world.app.delivery
    for stage, post in [(Stage.DELIVERING, delivery.deliver), (Stage.FAILED, delivery.tell)]:
        await doing(world, post(dataclasses.replace(hangs, stage=stage), again=True))
    assert len(world.answers()) == 3
    assert world.answers()[0].id == told.id


async def test_nothing_is_posted_again_where_the_bot_may_no_longer_read(world: World) -> None:
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    lose_answer(world, POSTS, meanwhile=lambda: deny(world, "read_message_history"))
    await world.until_idle()
    job = await world.job()
    assert (job.stage, job.video_message_id) == (Stage.DONE, None)
    assert len(clips(world)) == 1
    (told,) = direct_messages(world)
    assert f"`/video show job:{job.job_id}` gives you the clip" in told


async def test_no_second_card_is_posted_where_the_bot_may_no_longer_read(world: World) -> None:
    lose_answer(world, POSTS, meanwhile=lambda: deny(world, "read_message_history"))
    await world.create(prompt="A fox runs")
    await world.until_idle()
    job = await world.job()
    assert (job.stage, job.failure.kind) == (Stage.FAILED, FailureKind.NO_CARD)
    assert world.gateway.submitted == []
    assert await world.sums() == (0, 0)
    assert len([message for message in world.posts() if message.components]) == 1


async def test_a_channel_that_is_truly_empty_is_posted_to_again(world: World) -> None:
    await world.create(prompt="A fox runs")
    world.delete_card(await world.reached(Stage.RENDERING))
    world.env.inject_error("POST", POSTS, status=502)
    await world.settled()
    assert len(clips(world)) == len(world.posts()) == len(looks(world)) == 1


async def test_a_direct_message_whose_answer_was_lost_is_written_once(world: World) -> None:
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    world.env.backend.delete_channel(world.channel.id)
    lose_answer(world, POSTS)
    await world.until_idle()
    assert (await world.job()).stage is Stage.DONE
    assert len(direct_messages(world)) == 1


async def test_a_job_in_a_thread_of_a_killed_process_ends_with_one_card_and_one_clip(tmp_path: Path) -> None:
    async with open_world(tmp_path, started=False) as world:
        world.env.backend.create_thread(world.channel.id, "a thread", world.member.id)
        await world.env.settle()
        (thread,) = world.channel.threads
        await world.member.slash(thread, "video create", prompt="A fox runs")
        await world.app.delivery.post_card(await world.job())
        world.app.start()
        await world.reached(Stage.RENDERING)
        lose_answer(world, POSTS)
        await world.settled()
        card, clip = [message for message in thread.history() if message.author.bot]
        job = await world.job()
        assert (job.card_message_id, job.video_message_id) == (card.id, clip.id)
        assert clip.reference.message_id == card.id
