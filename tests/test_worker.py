"""A job's way at the gateway: what its looks and its links can show, and who may start when."""

import asyncio
import collections
import contextlib
import datetime as dt
import itertools
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bot.app import open_app
from bot.config import Settings
from bot.errors import SettingsError
from bot.messages import WHAT_HAPPENED
from bot.models import FailureKind, Stage
from tests.acting import rush, world_with
from tests.fake_apixo import cut, envelope, raw, state
from tests.world import World, open_world, picture

PRO = "apixo/sora-2-pro"


async def order(world: World, **options: Any) -> None:
    await world.create(**{"prompt": "A fox runs", "model": PRO, **options})


async def look(world: World, *answers: Any) -> None:
    """Order a clip whose looks show this, and wait for the end."""
    world.gateway.looks.extend(answers)
    await order(world)
    await world.settled()


async def assert_failed(world: World, kind: FailureKind) -> None:
    job = await world.job()
    assert (job.stage, job.failure.kind) == (Stage.FAILED, kind)
    assert await world.sums() == (0, 0)
    (message,) = world.answers()
    assert WHAT_HAPPENED[kind] in message.content
    assert "$1.08 returned to your quota" in message.content
    assert WHAT_HAPPENED[kind] in await world.card()


async def assert_done(world: World) -> None:
    assert (await world.job()).stage is Stage.DONE
    assert await world.sums() == (1_080_000, 0)
    assert len(world.answers()) == 1


# The task failed


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        ("CONTENT_VIOLATION", "Content does not meet safety guidelines", FailureKind.PROMPT_REFUSED),
        ("InputImageSensitiveContentDetected", "", FailureKind.PICTURE_REFUSED),
        ("OutputSensitiveContentDetected", "", FailureKind.VIDEO_REFUSED),
        ("PROMPT_TOO_LONG", "", FailureKind.BAD_REQUEST),
        ("PROCESSING_TIMEOUT", "", FailureKind.TIMED_OUT),
        ("MODEL_UNAVAILABLE", "", FailureKind.MODEL_GONE),
        ("INSUFFICIENT_CREDITS", "", FailureKind.NO_BALANCE),
        ("GENERATION_FAILED", "", FailureKind.NO_OUTPUT),
        ("A_NEW_CODE", "something new", FailureKind.NO_OUTPUT),
    ],
)
async def test_a_failed_task_ends_with_its_own_sentence_and_the_money_back(
    code: str, words: str, kind: FailureKind, world: World
) -> None:
    await look(world, state("failed", failCode=code, failMsg=words))
    await assert_failed(world, kind)
    assert f"`{code} {words}".strip() in world.answers()[0].content


# Looks that tell nothing


async def test_an_unknown_state_is_still_rendering(world: World) -> None:
    await look(world, *[state("dreaming")] * 30)
    await assert_done(world)


@pytest.mark.parametrize(
    "answer",
    [
        raw("<html>", status=500),
        raw("<html>", status=504),
        envelope(None, code=429, status=429, message="slow down"),
        envelope(None, code=500, message="internal"),
        raw('{"code": 200, "da', content_type="application/json"),
        cut(),
    ],
    ids=["500", "504", "429", "an error in an HTTP 200", "cut JSON", "reset"],
)
async def test_a_look_that_fails_is_taken_again(answer: Any, world: World) -> None:
    await look(world, *[answer] * 7)
    await assert_done(world)


UNKNOWN = envelope(None, code=404, status=404, message="task not found")


@pytest.mark.parametrize("answer", [UNKNOWN, envelope(None)], ids=["404", "null data"])
async def test_a_task_the_gateway_does_not_know_for_a_while_is_looked_at_again(
    answer: Any, world: World
) -> None:
    await look(world, *[answer] * 4, state("processing"), *[answer] * 4)
    await assert_done(world)


async def test_a_task_the_gateway_does_not_know_for_long_is_uncertain(world: World) -> None:
    await look(world, *[UNKNOWN] * 5)
    assert (await world.job()).stage is Stage.UNCERTAIN
    assert await world.sums() == (0, 1_080_000)


async def test_a_success_without_a_clip_is_looked_at_again_before_it_fails(world: World) -> None:
    await look(world, *[state("success", resultJson='{"resultUrls": []}')] * 2)
    await assert_done(world)


async def test_a_success_that_never_names_a_clip_fails(world: World) -> None:
    await look(world, *[state("success")] * 3)
    await assert_failed(world, FailureKind.NO_OUTPUT)


async def test_a_task_without_an_end_for_a_day_is_uncertain_and_never_failed(world: World) -> None:
    world.gateway.keep_rendering()
    await order(world)
    await world.until(lambda: world.gateway.asked("statusTask") == 3)
    world.time.jump(hours=24)
    await world.settled()
    job = await world.job()
    assert (job.stage, job.failure.detail) == (Stage.UNCERTAIN, "the task has no end after 24 hours")
    assert await world.sums() == (0, 1_080_000)
    assert "stays held" in world.answers()[-1].content


async def test_after_half_an_hour_the_member_is_told_once_and_the_clip_still_comes(world: World) -> None:
    world.gateway.keep_rendering()
    await order(world)
    await world.until(lambda: world.gateway.asked("statusTask") == 3)
    world.time.jump(minutes=27)
    await world.until(lambda: len(world.answers()) == 1)
    assert dt.timedelta(minutes=30) <= world.time.now() - world.started <= dt.timedelta(minutes=32)
    (late,) = world.answers()
    assert late.content.startswith(f"<@{world.member.id}>, job")
    assert "takes longer than usual" in late.content
    assert late.reference is not None
    assert late.reference.message_id == (await world.job()).card_message_id
    await world.until(lambda: world.gateway.asked("statusTask") % 5 == 0)
    assert "takes very long; the bot keeps looking" in await world.card()

    await world.restart()
    looks = world.gateway.asked("statusTask")
    await world.until(lambda: world.gateway.asked("statusTask") == looks + 3)
    assert len(world.answers()) == 1
    world.gateway.renders = True
    await world.settled()

    late, clip = world.answers()
    assert len(clip.attachments) == 1
    assert (await world.job()).stage is Stage.DONE


async def test_a_gateway_that_is_silent_after_a_day_is_no_verdict(world: World) -> None:
    world.gateway.keep_rendering()
    await order(world)
    await world.until(lambda: world.gateway.asked("statusTask") == 3)
    world.gateway.looks.extend([raw("bad gateway", status=502), envelope(None, code=404, status=404)])
    world.gateway.renders = True
    world.time.jump(hours=25)
    await world.settled()
    assert (await world.job()).stage is Stage.DONE
    late, clip = world.answers()
    assert "takes longer than usual" in late.content
    assert len(clip.attachments) == 1


async def test_a_gateway_that_says_nothing_for_a_day_leaves_the_job_uncertain(world: World) -> None:
    world.gateway.keep_rendering()
    await order(world)
    await world.until(lambda: world.gateway.asked("statusTask") == 3)
    world.gateway.looks.extend([raw("bad gateway", status=502)] * 50)
    await world.until(lambda: world.gateway.asked("statusTask") == 10)
    world.time.jump(hours=24)
    await world.settled()
    job = await world.job()
    assert job.stage is Stage.UNCERTAIN
    assert "gives no answer for 24 hours" in job.failure.detail
    assert await world.sums() == (0, 1_080_000)


async def test_a_gateway_that_is_busy_for_long_uses_up_no_try_of_discord(world: World) -> None:
    world.gateway.submits.extend([envelope(None, code=429, status=429, message="slow down")] * 12)
    await world.create(prompt="It moves", model=PRO, image=("hills.png", picture()))
    await world.until(lambda: world.gateway.asked("generateTask") == 12)
    world.env.inject_error("GET", "/channels/*/messages/*", status=500)
    await world.settled()
    await assert_done(world)


# Links


async def test_a_download_that_fails_is_tried_again(world: World) -> None:
    world.gateway.refuse_downloads(6)
    await look(world)
    await assert_done(world)


async def test_a_link_to_something_else_fails_after_three_tries(world: World) -> None:
    world.gateway.downloads.extend([raw("<html>this is no clip</html>")] * 3)
    await look(world)
    await assert_failed(world, FailureKind.BAD_FILE)
    assert world.gateway.asked("statusTask") == 3  # the two more asked for links once more


async def test_a_link_that_ended_is_asked_for_again(world: World) -> None:
    await look(world, world.gateway.success("task_00000001", "http://169.254.1.1/clip.mp4"))
    await assert_done(world)
    assert world.gateway.asked("statusTask") == 2


async def test_a_link_that_is_dead_for_a_day_fails(world: World) -> None:
    world.gateway.refuse_downloads(50)
    await order(world)
    await world.reached(Stage.FETCHING)
    world.time.jump(hours=25)
    await world.settled()
    await assert_failed(world, FailureKind.CLIP_LOST)
    card = await world.card()
    assert "said that the clip was ready, but it could not be downloaded" in card
    assert "What is known: `the link answers HTTP 503`" in card


async def test_a_link_into_the_bots_own_network_is_refused(world: World) -> None:
    await look(world, *[world.gateway.success("task_00000001", "http://169.254.1.1/clip.mp4")] * 3)
    await assert_failed(world, FailureKind.BAD_FILE)


# Who starts when


async def test_no_more_tasks_run_at_once_than_the_model_allows(world: World) -> None:
    world.gateway.keep_rendering()
    for _ in range(12):
        await order(world)
    await world.until(lambda: world.gateway.asked("statusTask") >= 40)
    assert len(world.gateway.tasks) == 10
    waiting = [job for job in await world.jobs() if job.stage is Stage.QUEUED]
    assert len(waiting) == 2
    assert "In line for a place at the gateway: " in await world.card(waiting[0])
    world.gateway.renders = True
    await world.settled()
    assert {job.stage for job in await world.jobs()} == {Stage.DONE}


async def test_one_job_of_a_member_starts_before_the_rest_of_anothers_fifty(world: World) -> None:
    world.gateway.keep_rendering()
    await rush(world, "video create", {"prompt": "A fox runs", "model": PRO}, 50)
    await world.until(lambda: len(world.gateway.tasks) == 10)
    await order(world, prompt="The one", by=world.other)
    world.gateway.renders = True
    await world.until(lambda: len(world.gateway.tasks) == 11)
    assert world.gateway.submitted[10]["input"]["prompt"] == "The one"


async def test_submits_and_looks_together_stay_within_sixty_requests_a_minute(world: World) -> None:
    moments: list[dt.datetime] = []
    world.gateway.on_request = lambda: moments.append(world.time.now())
    for _ in range(12):
        await order(world)
    world.gateway.keep_rendering()
    await world.until(lambda: len(moments) >= 200)
    minutes = [
        sum(first <= moment < first + dt.timedelta(minutes=1) for moment in moments) for first in moments
    ]
    assert max(minutes) <= 60
    spacings = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert min(spacings) >= dt.timedelta(seconds=1)


# Cancelling


async def test_a_job_that_waits_can_be_cancelled_for_nothing(world: World) -> None:
    world.gateway.keep_rendering()
    for _ in range(11):
        await order(world)
    await world.until(lambda: len(world.gateway.tasks) == 10)
    (waiting,) = [job for job in await world.jobs() if job.stage is Stage.QUEUED]
    told = await world.ask("video cancel", job=waiting.job_id)
    assert told == f"Job `{waiting.job_id}` is cancelled. $1.08 returned to your quota."
    world.gateway.renders = True
    await world.settled()
    stages = collections.Counter(job.stage for job in await world.jobs())
    assert stages == {Stage.DONE: 10, Stage.CANCELLED: 1}
    assert len(world.gateway.submitted) == 10
    assert "Cancelled" in await world.card(waiting)
    assert await world.sums() == (10 * 1_080_000, 0)


async def test_a_job_that_waits_to_be_tried_again_can_be_cancelled(world: World) -> None:
    world.gateway.submits.append(envelope(None, code=503, status=503, message="busy"))
    await order(world)
    await world.until(lambda: world.gateway.submitted)
    job = await world.reached(Stage.QUEUED)
    await world.ask("video cancel", job=job.job_id)
    await world.settled()
    assert (await world.job()).stage is Stage.CANCELLED
    assert len(world.gateway.submitted) == 1


async def test_a_job_at_the_gateway_cannot_be_cancelled_and_the_answer_says_so(world: World) -> None:
    world.gateway.keep_rendering()
    await order(world)
    job = await world.reached(Stage.RENDERING)
    told = await world.ask("video cancel", job=job.job_id)
    assert "is already at the gateway, which cannot stop it" in told
    world.gateway.renders = True
    await world.settled()
    await assert_done(world)


# When the machine fails


async def change_database(world: World, statement: str) -> None:
    """Change the file behind the bot's back, while it goes on."""

    def change() -> None:
        with contextlib.closing(sqlite3.connect(world.app.folder.database)) as database:
            database.execute(statement)

    await asyncio.to_thread(change)


async def test_an_answer_that_the_disk_does_not_take_at_once_is_written_later(world: World) -> None:
    held = world.gateway.hold_submit()
    await order(world)
    await world.until(held.arrived.is_set)
    await change_database(
        world,
        "CREATE TRIGGER full BEFORE UPDATE ON jobs WHEN NEW.stage = 'rendering' "
        "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
    )
    held.release.set()
    await world.until(lambda: world.time.now() > world.started + dt.timedelta(seconds=5))
    await change_database(world, "DROP TRIGGER full")
    await world.settled()
    await assert_done(world)
    assert len(world.gateway.submitted) == 1


async def test_a_part_that_ends_is_noticed(tmp_path: Path) -> None:
    async with open_world(tmp_path, started=False) as world:
        await change_database(world, "DROP TABLE jobs")
        world.app.start()
        await world.until(world.app.failed.is_set)
        world.app.failed.clear()


async def test_a_catalogue_without_a_model_that_still_has_jobs_is_refused(tmp_path: Path) -> None:
    models = tmp_path / "models.toml"
    models.write_text('[models."apixo/own"]\nlike = "apixo/sora-2"\n')
    async with open_world(tmp_path / "data", started=False, models_file=models) as world:
        await order(world, model="apixo/own")
    with pytest.raises(SettingsError, match="there are open jobs of apixo/own"):
        async with open_app(Settings(data_dir=tmp_path / "data")):
            pass


OWN = """
[models."apixo/own"]
like = "apixo/sora-2-pro"
title = "Own"
"""
ONE_QUALITY = 'sizes = [ { quality = "720p", send = { size = "1280*720" } } ]'
MOVED = """
[gateways.elsewhere]
kind = "apixo"
base_url = "http://127.0.0.1:9/api/v1"
"""


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            f"modes.text-to-video.{ONE_QUALITY}\nmodes.image-to-video.{ONE_QUALITY}\n",
            "apixo/own has 720p; leave `quality` out or choose another model.",
        ),
        ("seconds = [4, 8]\n", "apixo/own makes clips of 4 or 8 seconds, not 12."),
        (f'gateway = "elsewhere"\n{MOVED}', "apixo/own has changed since. Order again; nothing was charged."),
    ],
    ids=["quality", "length", "gateway"],
)
async def test_an_order_that_its_model_takes_no_longer_is_not_sent(
    changed: str, words: str, tmp_path: Path
) -> None:
    async with world_with(tmp_path, OWN) as world:
        world.gateway.submits.append(envelope(None, code=429, status=429, message="slow down"))
        await world.create(prompt="A fox", model="apixo/own", seconds=12, quality="1080p")
        await world.until(lambda: world.gateway.submitted)
        await world.reached(Stage.QUEUED)
        await world.restart(meanwhile=lambda: (tmp_path / "models.toml").write_text(OWN + changed))
        await world.settled()
        job = await world.job()
        assert job.failure is not None
        assert (job.stage, job.failure.kind, job.failure.detail) == (Stage.FAILED, FailureKind.CHANGED, words)
        assert len(world.gateway.submitted) == 1
        assert await world.sums() == (0, 0)
        assert WHAT_HAPPENED[FailureKind.CHANGED] in world.answers()[0].content
