"""What becomes of a paid request that is not simply accepted: each rule as a member sees it."""

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.models import FailureKind, Job, Outage, OutageScope, Stage
from storage.outages import OutageStore
from tests.fake_apixo import FakeApixo, cut, envelope, raw
from tests.fake_pixazo import FakePixazo
from tests.world import World, open_world, picture

PRO = "apixo/sora-2-pro"


def refusal(status: int, message: str) -> Any:
    return envelope(None, code=status, status=status, message=message)


async def outages(world: World) -> list[Outage]:
    return await OutageStore(world.database).all()


async def order(world: World, *answers: Any) -> None:
    """Order a clip, the gateway answering as told, and wait for the end."""
    world.gateway.submits.extend(answers)
    await world.create(prompt="A fox runs", model=PRO)
    await world.settled()


async def assert_failed_for_nothing(world: World, kind: FailureKind, *, posts: int) -> None:
    job = await world.job()
    assert (job.stage, job.failure.kind) == (Stage.FAILED, kind)
    assert len(world.gateway.submitted) == posts
    assert await world.sums() == (0, 0)
    (message,) = world.answers()
    assert "$1.08 returned to your quota" in message.content
    assert "$1.08 returned" in await world.card()


async def assert_done(world: World, *, posts: int) -> None:
    assert (await world.job()).stage is Stage.DONE
    assert len(world.gateway.submitted) == posts
    assert len(world.gateway.tasks) == 1
    assert await world.sums() == (1_080_000, 0)


# Tried again


async def test_an_order_that_no_connection_took_is_tried_again(tmp_path: Path) -> None:
    async with FakeApixo() as gateway, open_world(tmp_path, gateway=gateway) as world:
        await gateway.stop_listening()
        await world.create(prompt="A fox runs", model=PRO)
        await world.until(lambda: world.app.desk.is_quiet and "out of order" in world.posts_text())
        job = await world.job()
        assert (job.stage, job.submit_tries) == (Stage.QUEUED, 0)
        assert "The gateway is out of order; the bot tries again." in await world.card()
        await gateway.listen_again()
        await world.settled()
        await assert_done(world, posts=1)


@pytest.mark.parametrize("after", [None, "90"])
async def test_a_busy_gateway_is_asked_again_later(after: str | None, world: World) -> None:
    headers = {"Retry-After": after} if after else {}

    async def busy(_: web.Request) -> web.StreamResponse:
        return web.json_response({"code": 429, "message": "slow down"}, status=429, headers=headers)

    world.gateway.submits.extend([busy] * 6)
    began = world.time.now()
    await world.create(prompt="A fox runs", model=PRO)
    await world.until(lambda: "The gateway is busy; the bot tries again." in world.posts_text())
    await world.until(lambda: len(world.gateway.submitted) == 7)
    waited = (world.time.now() - began).total_seconds()
    # What the bot chooses itself has up to a fifth of chance in it, so that not all come back at once.
    least, most = (540, 540) if after else (195, 1.2 * 195)
    assert least <= waited <= most + 10
    await world.settled()
    await assert_done(world, posts=7)


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_server_error_that_took_nothing_is_tried_three_times_again(status: int, world: World) -> None:
    await order(world, *[refusal(status, "upstream error")] * 3)
    await assert_done(world, posts=4)


async def test_the_fourth_server_error_ends_the_job(world: World) -> None:
    await order(world, *[refusal(503, "upstream error")] * 4)
    await assert_failed_for_nothing(world, FailureKind.GATEWAY_DOWN, posts=4)


# Final


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(400, "Content violates provider policy"), FailureKind.PROMPT_REFUSED),
        (refusal(422, "duration is wrong"), FailureKind.BAD_REQUEST),
        (envelope(None, code=400, message="duration is wrong"), FailureKind.BAD_REQUEST),
    ],
    ids=["policy", "422", "a refusal in an HTTP 200"],
)
async def test_a_refusal_is_final(answer: Any, kind: FailureKind, world: World) -> None:
    await order(world, answer)
    await assert_failed_for_nothing(world, kind, posts=1)


# Uncertain


@pytest.mark.parametrize(
    "answer",
    [
        refusal(504, "upstream timeout"),
        refusal(520, "what?"),
        raw("<html>Bad gateway</html>", status=502),
        raw("", status=200),
        raw('{"code": 200, "data": {"taskI', content_type="application/json"),
        envelope({"no": "task"}),
        cut(),
    ],
    ids=["504", "520", "HTML 502", "no body", "cut body", "no task id", "reset"],
)
async def test_an_answer_that_says_nothing_leaves_the_job_uncertain(answer: Any, world: World) -> None:
    await order(world, answer)
    job = await world.job()
    assert (job.stage, job.failure.kind) == (Stage.UNCERTAIN, FailureKind.SUBMIT_LOST)
    assert len(world.gateway.submitted) == 1
    assert await world.sums() == (0, 1_080_000)
    (message,) = world.answers()
    assert "nobody can say whether it has this job" in message.content
    assert "$1.08 stays held" in message.content
    assert "Unclear" in await world.card()


async def test_a_task_that_is_another_jobs_leaves_the_job_uncertain(world: World) -> None:
    await order(world)
    (task_id,) = world.gateway.tasks
    await order(world, envelope({"taskId": task_id}))
    job = await world.job()
    assert (job.stage, job.failure.kind) == (Stage.UNCERTAIN, FailureKind.SUBMIT_LOST)
    assert f"the gateway named task {task_id}" in await world.card()
    assert len(world.gateway.submitted) == 2


async def test_an_uncertain_job_is_not_sent_again_within_a_day(world: World) -> None:
    await order(world, cut())
    world.time.jump(hours=30)
    await world.restart()
    await world.settled()
    assert len(world.gateway.submitted) == 1
    assert (await world.job()).stage is Stage.UNCERTAIN


# The key is refused


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(401, "Invalid API key"), FailureKind.NO_ACCESS),
        (refusal(402, "Insufficient credits"), FailureKind.NO_BALANCE),
        (refusal(400, "Insufficient credits"), FailureKind.NO_BALANCE),
        (refusal(403, "Forbidden"), FailureKind.NO_ACCESS),
    ],
    ids=["401", "402", "400 in words", "403"],
)
async def test_a_refused_key_fails_its_job_and_is_stopped(
    answer: Any, kind: FailureKind, world: World
) -> None:
    world.gateway.balance = refusal(401, "no")
    await order(world, answer)
    await assert_failed_for_nothing(world, kind, posts=1)
    (outage,) = await outages(world)
    assert (outage.scope, outage.subject, outage.failure) == (OutageScope.KEY, "apixo", kind)
    assert outage.since >= (await world.job()).created_at
    told = await world.create(prompt="Another", model=PRO)
    assert "the operator has to act" in told
    assert len(await world.jobs()) == 1


async def two_waiting_for_a_stopped_key(world: World) -> None:
    """Order ten that run and two that wait, then let the gateway refuse the key."""
    world.gateway.keep_rendering()
    world.gateway.balance = refusal(401, "no")
    for _ in range(12):
        await world.create(prompt="A fox runs", model=PRO)
    await world.until(lambda: len(world.gateway.tasks) == 10)
    world.gateway.submits.append(refusal(401, "Invalid API key"))
    await world.create(prompt="The last straw", model="apixo/sora-2", by=world.other)
    await world.until(lambda: world.posts_text().count("The bot waits up to a day") == 2)


async def test_jobs_that_wait_for_a_stopped_key_say_so_and_go_on_when_it_works(world: World) -> None:
    await two_waiting_for_a_stopped_key(world)
    stopped = (await outages(world))[0].since
    world.gateway.balance = envelope(10.0)
    world.gateway.renders = True
    await world.until(lambda: len(world.gateway.tasks) == 12)
    assert world.time.now() - stopped >= dt.timedelta(minutes=15)
    await world.settled()
    assert {job.stage for job in await world.jobs()} == {Stage.DONE}
    assert await outages(world) == []
    assert "ordered" in await world.create(prompt="Another", model=PRO)


async def test_the_free_probe_asks_for_the_balance_every_fifteen_minutes(world: World) -> None:
    world.gateway.balance = refusal(401, "no")
    await order(world, refusal(401, "Invalid API key"))
    began, before = world.time.now(), world.gateway.asked("current-balance")
    await world.until(lambda: world.gateway.asked("current-balance") == before + 3)
    assert 44 <= (world.time.now() - began).total_seconds() / 60 <= 50  # before the next hourly reading


async def test_jobs_wait_for_a_stopped_key_no_longer_than_a_day(world: World) -> None:
    await two_waiting_for_a_stopped_key(world)
    world.time.jump(hours=24)
    failed: list[Job] = []

    async def two_failed() -> bool:
        failed[:] = [job for job in await world.jobs() if job.stage is Stage.FAILED]
        return len(failed) == 2

    await world.until(two_failed)
    assert [job.failure.kind for job in failed] == [FailureKind.NO_ACCESS] * 2
    assert {job.held_micros for job in failed} == {0}


async def test_a_stopped_key_is_remembered_over_a_restart(world: World) -> None:
    world.gateway.balance = refusal(401, "no")
    await order(world, refusal(401, "Invalid API key"))
    await world.restart()
    assert "the operator has to act" in await world.create(prompt="Another", model=PRO)


async def test_a_look_that_is_refused_stops_the_key_but_not_the_job(world: World) -> None:
    world.gateway.balance = refusal(401, "no")
    world.gateway.looks.extend([refusal(401, "Invalid API key")] * 3)
    await world.create(prompt="A fox runs", model=PRO)
    await world.until(lambda: not world.gateway.looks)
    assert "the operator has to act" in await world.create(prompt="Another", model=PRO)
    await world.settled()
    assert (await world.job()).stage is Stage.DONE


async def test_on_pixazo_one_waiting_job_asks_whether_the_key_works(tmp_path: Path) -> None:
    async with FakePixazo() as pixazo, open_world(tmp_path, **pixazo.settings) as world:
        refused = raw('{"error": "Access denied"}', status=401, content_type="application/json")
        held = pixazo.hold(refused)
        await world.create(prompt="The first")
        await world.until(held.arrived.is_set)
        for number in range(3):
            await world.create(prompt=f"Waiting {number}")
        pixazo.submits.extend([refused] * 9)
        held.release.set()
        await world.until(lambda: len(pixazo.submitted) == 2)
        count = len(pixazo.submitted)
        began = world.time.now()
        pixazo.submits.clear()
        await world.until(lambda: len(pixazo.submitted) == count + 1)
        assert world.time.now() - began >= dt.timedelta(minutes=14)
        await world.settled()
        stages = [job.stage for job in await world.jobs()]
        assert stages.count(Stage.DONE) == len(pixazo.accepted) >= 2
        assert await outages(world) == []


async def test_a_job_whose_picture_was_lost_ends_for_nothing(tmp_path: Path) -> None:
    async with FakePixazo() as pixazo, open_world(tmp_path, **pixazo.settings) as world:
        pixazo.submits.append(raw("later", status=429))
        await world.create(prompt="It moves", image=("hills.png", picture()))
        await world.until(lambda: "The gateway is busy; the bot tries again." in world.posts_text())
        (await world.job()).picture.path.unlink()
        await world.settled()
        assert (await world.job()).stage is Stage.FAILED
        assert "the picture is no longer there" in await world.card()
        assert (await world.sums(), len(pixazo.submitted)) == ((0, 0), 1)


# The model is gone


@pytest.mark.parametrize(
    "answer",
    [
        refusal(404, "model not found"),
        refusal(400, "Model is disabled"),
        refusal(400, "This model is temporarily paused"),
    ],
    ids=["unknown", "disabled", "paused"],
)
async def test_a_model_that_the_gateway_no_longer_has_is_out_for_a_day(answer: Any, world: World) -> None:
    await order(world, answer)
    await assert_failed_for_nothing(world, FailureKind.MODEL_GONE, posts=1)
    await world.restart()
    told = await world.create(prompt="Another", model=PRO)
    assert f"{PRO} cannot be ordered: its gateway said" in told
    assert "Instead: apixo/sora-2, " in told
    assert "is gone" in await world.ask("video models")
    world.time.jump(hours=24)
    assert "ordered" in await world.create(prompt="Another", model=PRO)
    await world.settled()
    assert (await world.job()).stage is Stage.DONE
    assert await outages(world) == []


async def test_jobs_that_wait_for_a_model_that_is_gone_are_ended_without_putting_it_off(
    world: World,
) -> None:
    held = world.gateway.hold_submit(refusal(404, "model not found"))
    await world.create(prompt="A fox runs", model=PRO)
    await world.until(held.arrived.is_set)
    await world.create(prompt="Another", model=PRO)
    await asyncio.sleep(0)
    held.release.set()
    await world.settled()
    assert [job.failure.kind for job in await world.jobs()] == [FailureKind.MODEL_GONE] * 2
    assert len(world.gateway.submitted) == 1
    assert await world.sums() == (0, 0)
