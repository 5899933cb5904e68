"""The clip and the failure in the channel: as large as Discord takes, however Discord behaves."""

import asyncio
import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from simcord.builders import UserHandle

from bot import media
from bot.models import FailureKind, Job, Stage
from tests.acting import deny, has_card
from tests.fake_apixo import envelope, state
from tests.world import World, picture

LIMIT = 10 * 1024 * 1024
POSTS = "/channels/*/messages"


def noise(folder: Path, megabits_per_second: int) -> Path:
    """Make a clip of noise, which compresses badly."""
    path = folder / f"noise{megabits_per_second}.mp4"
    source = "nullsrc=size=640x360:rate=25:duration=4,geq=random(1)*255:128:128"
    rate = f"{megabits_per_second}M"
    args = ("-f", "lavfi", "-i", source, "-c:v", "libx264", "-preset", "ultrafast", "-b:v", rate)
    asyncio.run(media.run_ffmpeg((*args, "-y", str(path)), timeout_seconds=60))
    return path


@pytest.fixture(scope="module")
def large_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip a little larger than a server without boosts takes."""
    path = noise(tmp_path_factory.mktemp("clips"), 24)
    assert LIMIT < path.stat().st_size < 2 * LIMIT
    return path


@pytest.fixture(scope="module")
def medium_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that such a server takes, and that could be smaller."""
    return noise(tmp_path_factory.mktemp("clips"), 3)


async def delivered(world: World) -> Job:
    await world.create(prompt="A fox runs")
    await world.settled()
    job = await world.job()
    assert job.stage is Stage.DONE
    assert await world.sums() == (500_000, 0)
    return job


def direct_messages(world: World) -> list[str]:
    person = UserHandle(world.env, world.env.backend.get_user(world.member.id))
    return [message.content for message in person.dm_channel.history()]


async def test_the_clip_answers_its_card_and_mentions_only_who_ordered_it(world: World) -> None:
    prompt = f"@everyone <@{world.other.id}> " + "a fox " * 300
    await world.create(prompt=prompt)
    await world.settled()
    job = await world.job()
    (message,) = world.answers()
    assert message.id == job.video_message_id
    assert message.reference.message_id == job.card_message_id
    assert message.content.startswith(f"<@{world.member.id}>, your clip is ready")
    assert [user.id for user in message.mentions] == [world.member.id]
    assert not message.mention_everyone
    (file,) = message.attachments
    assert file.content_type == "video/mp4"
    assert len(file.description or "") <= 1024
    assert (file.description or "").startswith("@everyone")


async def test_a_clip_over_the_limit_is_made_smaller_and_the_message_says_so(
    large_clip: Path, world: World
) -> None:
    world.gateway.clip = large_clip
    await delivered(world)
    (message,) = world.answers()
    (file,) = message.attachments
    assert 0.5 * LIMIT < file.size <= LIMIT
    size = f"{large_clip.stat().st_size / 1024 / 1024:.1f} MB"
    assert f"Re-encoded to fit this server's limit; the original has {size}." in message.content


@pytest.mark.parametrize(("status", "code"), [(413, 0), (400, 40005)])
async def test_a_clip_that_discord_finds_too_large_all_the_same_is_made_smaller(
    status: int, code: int, medium_clip: Path, world: World
) -> None:
    world.gateway.clip = medium_clip
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    world.env.inject_error("POST", POSTS, status=status, code=code)
    await world.settled()
    (message,) = world.answers()
    assert "Re-encoded" in message.content
    assert message.attachments[0].size < world.gateway.clip.stat().st_size


async def assert_linked(world: World) -> None:
    (message,) = world.answers()
    assert message.attachments == []
    (link,) = (await world.job()).result_urls
    assert f"<{link}>" in message.content
    assert "The gateway promises it until <t:" in message.content
    assert "it may end sooner" in message.content


async def test_a_clip_that_cannot_be_made_smaller_is_linked(world: World, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(world.gateway.clip.read_bytes()[:40] + bytes(LIMIT))
    world.gateway.clip = broken
    await delivered(world)
    await assert_linked(world)


async def test_a_clip_that_discord_never_takes_is_linked(medium_clip: Path, world: World) -> None:
    world.gateway.clip = medium_clip
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    world.env.inject_error("POST", POSTS, status=413, times=2)
    await world.settled()
    await assert_linked(world)


async def test_a_clip_whose_file_was_lost_is_linked(world: World) -> None:
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    world.env.inject_error("POST", POSTS, status=503)
    job = await world.reached(Stage.DELIVERING)
    job.clip.unlink()
    await world.settled()
    await assert_linked(world)


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_discord_in_trouble_is_tried_until_it_takes_the_clip(status: int, world: World) -> None:
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    world.env.inject_error("POST", POSTS, status=status, times=5)
    await world.settled()
    (message,) = world.answers()
    assert len(message.attachments) == 1
    assert direct_messages(world) == []


async def test_a_permission_that_comes_back_in_time_lets_the_clip_through(world: World) -> None:
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    world.env.inject_error("POST", POSTS, status=403, code=50013, times=3)
    await world.settled()
    assert len(world.answers()) == 1
    assert direct_messages(world) == []


# The ladder: whatever is closed, the next rung takes it, and at last `/video show`


def fault(world: World, method: str, status: int, code: int, *, below: str = "/*") -> None:
    path = f"/channels/{world.channel.id}{below}"
    world.env.inject_error(method, path, status=status, code=code, times=None)


def lock(world: World) -> None:
    """As an archived thread answers that was locked: to posts, to edits and to who would open it."""
    fault(world, "POST", 400, 160005)
    fault(world, "PATCH", 400, 50083)
    fault(world, "PATCH", 403, 50013, below="")


CLOSED: dict[str, Callable[[World], object]] = {
    "the channel was deleted": lambda world: world.env.backend.delete_channel(world.channel.id),
    "the bot may not see the channel": lambda world: deny(world, "view_channel"),
    "the bot may not write": lambda world: deny(world, "send_messages"),
    "the bot may not answer messages": lambda world: fault(world, "POST", 400, 160002),
    "the thread is locked": lock,
    "Discord is always in trouble": lambda world: fault(world, "*", 500, 0),
    "the server threw the bot out": lambda world: world.env.backend.remove_guild(world.guild.id),
}
OPEN, CLOSED_FOR_BOTS, NOTHING_SHARED = 0, 50007, 50278
ENDS = {
    Stage.DONE: ([], "gives you the clip", (500_000, 0)),
    Stage.FAILED: ([state("failed", failCode="CONTENT_VIOLATION")], "returned to your quota", (0, 0)),
    Stage.UNCERTAIN: ([envelope(None, code=404, status=404)] * 5, "stays held", (0, 500_000)),
}
LADDER = [
    *((closed, Stage.DONE, OPEN) for closed in CLOSED),
    ("the bot may not write", Stage.DONE, CLOSED_FOR_BOTS),
    ("the server threw the bot out", Stage.DONE, NOTHING_SHARED),
    ("the channel was deleted", Stage.FAILED, OPEN),
    ("the thread is locked", Stage.FAILED, CLOSED_FOR_BOTS),
    ("the server threw the bot out", Stage.FAILED, NOTHING_SHARED),
    ("the bot may not write", Stage.UNCERTAIN, OPEN),
    ("the channel was deleted", Stage.UNCERTAIN, CLOSED_FOR_BOTS),
]


@pytest.mark.parametrize(("closed", "end", "refusal"), LADDER)
async def test_whatever_is_closed_the_end_is_told_once_and_nothing_is_lost(
    closed: str, end: Stage, refusal: int, world: World
) -> None:
    looks, words, sums = ENDS[end]
    world.gateway.looks.extend(looks)
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    CLOSED[closed](world)
    if refusal:
        world.env.inject_error("POST", "/users/@me/channels", status=403, code=refusal, times=None)
    before = len(world.env.http_requests)
    await world.until_idle()

    job = await world.job()
    assert (job.stage, job.video_message_id) == (end, None)
    assert await world.sums() == sums
    assert len(world.env.http_requests) - before <= 60
    told = direct_messages(world)
    assert [words in one and job.job_id in one for one in told] == ([] if refusal else [True])
    if end is not Stage.DONE:
        assert job.told_stage is end
        return
    assert job.clip.exists()
    if closed == "the bot may not write":
        await world.settled()
        assert f"`/video show job:{job.job_id}` gives it to you" in await world.card()
    if closed != "the server threw the bot out":
        world.env.backend.faults.clear()
        lounge = world.guild.create_text_channel("lounge")
        shown = await world.member.slash(lounge, "video show", job=job.job_id)
        assert [file.filename for file in shown.response.attachments] == [f"{job.job_id}.mp4"]


async def test_a_discord_that_takes_nothing_at_all_is_tried_for_a_day(world: World) -> None:
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    fault(world, "*", 500, 0)
    world.env.inject_error("POST", "/users/@me/channels", status=503, times=None)
    await world.until(lambda: world.time.now() > world.started + dt.timedelta(minutes=30))
    assert (await world.job()).stage is Stage.DELIVERING
    world.time.jump(hours=24)
    await world.until_idle()
    job = await world.job()
    assert (job.stage, job.video_message_id) == (Stage.DONE, None)
    assert job.clip.exists()


async def test_a_clip_that_may_not_be_attached_is_linked_and_shown(world: World) -> None:
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    deny(world, "attach_files")
    await world.settled()
    await assert_linked(world)
    job = await world.job()
    assert f"`/video show job:{job.job_id}` gives you the file." in world.answers()[0].content
    assert direct_messages(world) == []


async def test_an_old_card_that_discord_lets_nobody_edit_for_a_while_becomes_true_later(world: World) -> None:
    await world.create(prompt="A fox runs")
    await has_card(world)
    edits = f"/channels/{world.channel.id}/messages/*"
    world.env.inject_error("PATCH", edits, status=429, code=30046, times=4)
    await world.settled()
    assert "Done" in await world.card()
    assert len(world.answers()) == 1


async def test_a_thread_that_was_archived_meanwhile_is_opened_for_its_card(world: World) -> None:
    """Discord opens one by itself for a post, and refuses edits: a failure would leave its card behind."""
    world.gateway.looks.append(state("failed", failCode="CONTENT_VIOLATION"))
    await world.create(prompt="A fox runs")
    await has_card(world)
    path = f"/channels/{world.channel.id}/messages/*"
    world.env.inject_error("PATCH", path, status=400, code=50083)
    await world.reached(Stage.FAILED)
    await world.settled()
    assert "Failed" in await world.card()
    opened = [one for one in world.env.http_requests if one.path == f"/channels/{world.channel.id}"]
    assert [(one.method, one.json["archived"]) for one in opened] == [("PATCH", False)]


async def test_a_card_that_is_gone_does_not_keep_its_clip_back(world: World) -> None:
    await world.create(prompt="A fox runs")
    job = await world.reached(Stage.RENDERING)
    world.delete_card(job)
    await world.settled()
    (message,) = world.answers()
    assert len(message.attachments) == 1


# The card


async def test_a_card_that_cannot_be_posted_ends_the_job_for_nothing(world: World) -> None:
    world.env.inject_error("POST", POSTS, status=403, code=50013, times=None)
    await world.create(prompt="A fox runs")
    await world.until_idle()
    job = await world.job()
    assert (job.stage, job.failure.kind) == (Stage.FAILED, FailureKind.NO_CARD)
    assert world.gateway.submitted == []
    assert await world.sums() == (0, 0)


async def test_a_card_waits_for_a_discord_in_trouble_but_not_for_ever(world: World) -> None:
    world.env.inject_error("POST", POSTS, status=500, times=3)
    await delivered(world)
    world.env.inject_error("POST", POSTS, status=500, times=None)
    await world.create(prompt="A fox runs")
    job = await world.reached(Stage.FAILED)
    assert job.failure.kind is FailureKind.NO_CARD
    assert len(world.gateway.submitted) == 1
    world.env.backend.faults.clear()
    await world.settled()
    assert "could not post in this channel" in world.answers()[-1].content


async def test_a_deleted_card_with_a_picture_is_posted_again_before_the_order(world: World) -> None:
    async def busy(_: web.Request) -> web.StreamResponse:
        return web.json_response({"code": 429, "message": "slow down"}, status=429)

    world.gateway.submits.append(busy)
    await world.create(prompt="It moves", image=("hills.png", picture()))
    await world.until(lambda: world.gateway.submitted)
    job = await world.reached(Stage.QUEUED)
    world.delete_card(job)
    await world.settled()
    again = await world.job()
    assert again.card_message_id != job.card_message_id
    link = (await world.card_message()).attachments[0].url
    assert world.gateway.submitted[-1]["input"]["image_urls"] == [link]
    nonces = [
        request.json["nonce"]
        for request in world.env.http_requests
        if request.method == "POST" and request.json and ":card" in str(request.json.get("nonce"))
    ]
    assert len(set(nonces)) == len(nonces) == 2


async def test_a_card_whose_picture_discord_does_not_find_is_edited_by_its_link(world: World) -> None:
    await world.create(prompt="It moves", image=("hills.png", picture()))
    await has_card(world)
    link = (await world.card_message()).attachments[0].url
    world.env.inject_error("PATCH", "/channels/*/messages/*", status=400, code=50035)
    await world.settled()

    edits = [one.json for one in world.env.http_requests if one.method == "PATCH"]
    assert any(link in str(edit) for edit in edits)
    assert "Done" in await world.card()
