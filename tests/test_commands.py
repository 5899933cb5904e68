"""Every command as a member and as staff use it: what they read, what happens, what it costs."""

import contextlib
import re
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.models import Stage
from tests.acting import (
    CHEAP,
    MANY,
    NO_BALANCE,
    availability,
    click,
    forget_registration,
    rush,
    world_with,
    world_with_a_waiting_job,
)
from tests.fake_apixo import envelope, state
from tests.world import World, open_world, picture

PRO = "apixo/sora-2-pro"
DEFERRED_MESSAGE, EPHEMERAL = 5, 1 << 6


async def choices(world: World, command: str, option: str, typed: str = "", **filled: Any) -> list[Any]:
    offered = await world.member.autocomplete(world.channel, command, option, typed, **filled)
    assert len(offered) <= 25
    assert all(len(choice["name"]) <= 100 for choice in offered)
    return [choice["value"] for choice in offered]


# /video create


async def test_an_order_is_acknowledged_with_its_id_its_settings_and_its_price(world: World) -> None:
    told = await world.create(prompt="A fox", seconds=15, shape="portrait", keep_watermark=True)
    job = await world.job()
    assert told == (
        f"Job `{job.job_id}` is ordered: apixo/sora-2 · 15 s · portrait · with watermark, ≈$0.75 held "
        "from your quota. $99.25 left this month. Its card is below."
    )


async def test_an_order_is_acknowledged_while_the_gateway_is_away(world: World) -> None:
    world.gateway.submits.extend([envelope(None, code=500, status=503)] * 3)
    assert "is ordered" in await world.create(prompt="A fox")


async def test_defaults_are_the_first_model_its_shortest_length_and_landscape(world: World) -> None:
    await world.create(prompt="  A fox \n")
    request = (await world.job()).request
    assert (request.model, request.seconds, request.shape) == ("apixo/sora-2", 10, "landscape")
    assert (request.quality, request.prompt) == (None, "A fox")


async def test_who_names_no_model_gets_none_that_is_doubted(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", default_model=None) as world:
        assert "apixo/veo-3-1-fast · 8 s · landscape" in await world.create(prompt="A fox")
        await world.settled()


async def test_the_operator_may_choose_the_default_model(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", default_model=PRO) as world:
        assert await choices(world, "video create", "seconds") == [4, 8, 12]
        assert "$1.08 held" in await world.create(prompt="A fox")
        assert (await world.job()).request.quality == "720p"


async def test_everything_that_was_chosen_reaches_the_gateway(world: World) -> None:
    image = ("hills.png", picture(360, 640))
    await world.create(prompt="A fox", image=image, model=PRO, seconds=12, shape="landscape", quality="1080p")
    await world.settled()
    (body,) = world.gateway.submitted
    assert body["input"]["duration"] == 12
    assert body["input"]["resolution"] == "1080p"
    assert "The picture was cropped to landscape" in await world.card()


async def test_an_order_says_that_the_picture_was_cropped(world: World) -> None:
    told = await world.create(prompt="A fox", image=("hills.png", picture(360, 640)), shape="landscape")
    assert "cropped to landscape" in told
    told = await world.create(prompt="A fox", image=("hills.png", picture(360, 640)))
    assert "cropped" not in told
    await world.settled()


async def test_fifty_orders_at_once_never_spend_more_than_the_limit(tmp_path: Path) -> None:
    async with world_with(tmp_path, CHEAP, default_user_monthly_limit="1.00") as world:
        told = await rush(world, "video create", {"prompt": "A fox"}, 50)
        assert Counter("is ordered" in sentence for sentence in told) == {True: 3, False: 47}
        assert all("your limit" in sentence for sentence in told if "is ordered" not in sentence)
        assert len(await world.jobs()) == 3
        standing = await world.ask("quota show")
        assert "$0.10 left" in standing
        assert "Held by running jobs: $0.90" in standing
        await world.settled()
        assert "Spent: $0.90" in await world.ask("quota show")


# Autocomplete


async def test_models_are_offered_with_price_and_status(world: World) -> None:
    offered = await world.member.autocomplete(world.channel, "video create", "model", "")
    assert [choice["name"] for choice in offered][:3] == [
        "auto: the bot chooses",
        "apixo/sora-2 · from ≈$0.50 · doubtful",
        "apixo/sora-2-pro · from $1.08 · doubtful",
    ]
    assert await choices(world, "video create", "model", "PRO") == [PRO]
    assert await choices(world, "video create", "model", "kling") == []


async def test_seconds_are_those_of_the_chosen_model(world: World) -> None:
    assert await choices(world, "video create", "seconds") == [10, 15]
    assert await choices(world, "video create", "seconds", model=PRO) == [4, 8, 12]
    assert await choices(world, "video create", "seconds", "1", model=PRO) == [12]
    assert await choices(world, "video create", "seconds", model="nobody/knows") == []


async def test_what_is_out_is_not_offered(world: World) -> None:
    await availability(world).stop_key("apixo", NO_BALANCE)
    assert await choices(world, "video create", "model") == []
    assert await choices(world, "video create", "seconds") == []


async def test_no_more_than_25_models_are_offered(tmp_path: Path) -> None:
    async with world_with(tmp_path, MANY) as world:
        assert len(await choices(world, "video create", "model")) == 25


# /video list, show, cancel


async def test_a_list_is_empty_at_first(world: World) -> None:
    assert "You have no jobs here yet." in await world.ask("video list")


async def test_a_list_shows_the_newest_jobs_first_page_by_page(world: World) -> None:
    for number in range(7):
        await world.create(prompt=f"Fox {number}")
        world.time.jump(seconds=1)
    await world.create(by=world.other, prompt="Somebody else's")
    first = await world.member.slash(world.channel, "video list")
    assert prompts(first) == [6, 5, 4, 3, 2]
    second = await click(world.member, first, "Older")
    assert prompts(first) == [1, 0]
    assert second.acknowledged
    await click(world.member, first, "Newer")
    assert prompts(first) == [6, 5, 4, 3, 2]
    await world.settled()


def prompts(result: Any) -> list[int]:
    text = str(result.response.components)
    assert "Somebody" not in text
    return [int(part[0]) for part in text.split("Fox ")[1:]]


async def test_a_list_fits_with_the_longest_of_everything(world: World) -> None:
    for _ in range(6):
        await world.create(
            prompt="\\u00e4`*_" * 900, model=PRO, seconds=12, quality="1080p", shape="portrait"
        )
    assert len(await world.ask("video list")) < 4000
    await world.settled()


async def test_a_done_job_is_shown_with_its_clip(world: World) -> None:
    await world.create(prompt="A fox")
    await world.settled()
    job = await world.job()
    result = await world.member.slash(world.channel, "video show", job=job.job_id.upper())
    assert result.ephemeral
    (clip,) = result.response.attachments
    assert (clip.filename, clip.description) == (f"{job.job_id}.mp4", "A fox")
    assert "$0.50 spent" in result.response.content


async def test_a_failed_job_is_shown_with_its_reason_and_cost(world: World) -> None:
    world.gateway.looks.append(state("failed", failCode="CONTENT_VIOLATION", failMsg="no `foxes` @everyone"))
    await world.create(prompt="A fox")
    await world.settled()
    told = await world.ask("video show", job=(await world.job()).job_id)
    assert "`CONTENT_VIOLATION no \u02cbfoxes\u02cb @everyone`" in told
    assert "$0.50 returned to your quota." in told


async def test_a_clip_that_was_swept_away_is_said_to_be_gone(world: World) -> None:
    await world.create(prompt="A fox")
    await world.settled()
    (await world.job()).clip.unlink()
    told = await world.ask("video show", job=(await world.job()).job_id)
    assert "Its file is no longer kept here." in told


async def test_a_clip_too_large_to_attach_is_shown_as_an_inert_link(world: World) -> None:
    await world.create(prompt="A fox")
    await world.reached(Stage.RENDERING)
    task = next(iter(world.gateway.tasks))
    hostile = f"http://{world.gateway.host}/files/{task}.mp4?a=1>@everyone `x` <@5>"
    world.gateway.looks.append(world.gateway.success(task, hostile))
    await world.settled()
    job = await world.job()
    with job.clip.open("r+b") as clip:
        clip.truncate(26 * 1024 * 1024 + 1)
    told = await world.ask("video show", job=job.job_id)
    assert "26.0 MB, more than can be attached here" in told
    link = told.rsplit("<", 1)[1]
    assert link == f"http://{world.gateway.host}/files/{task}.mp4?a=1%3E@everyone%20%60x%60%20%3C@5%3E>"


@pytest.mark.parametrize("command", ["video show", "video cancel"])
async def test_a_job_of_nobody_is_not_found(world: World, command: str) -> None:
    told = await world.ask(command, job="`@everyone` " + "x" * 90)
    assert told.startswith("You have no job `\u02cb@everyone\u02cb xxxxxxx…` here.")


async def test_a_waiting_job_is_cancelled_for_nothing_and_once(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        job_id = (await world.job()).job_id
        assert await choices(world, "video cancel", "job", "FOX") == [job_id]
        told = await world.ask("video cancel", job=job_id)
        assert told == f"Job `{job_id}` is cancelled. $0.50 returned to your quota."
        assert f"Job `{job_id}` is over already: cancelled." in await world.ask("video cancel", job=job_id)
        assert await choices(world, "video cancel", "job") == []
        assert await choices(world, "video show", "job") == [job_id]
        assert "$100.00 left" in await world.ask("quota show")
        await world.settled()
        assert [body["input"]["prompt"] for body in world.gateway.submitted] == ["The first in line"]


async def test_a_submitted_job_cannot_be_stopped_and_says_what_it_will_cost(world: World) -> None:
    await world.create(prompt="A fox")
    job = await world.reached(Stage.RENDERING)
    told = await world.ask("video cancel", job=job.job_id)
    assert "is already at the gateway, which cannot stop it." in told
    assert "costs ≈$0.50; a failure costs nothing" in told
    await world.settled()
    assert "is over already: done." in await world.ask("video cancel", job=job.job_id)


async def test_only_the_member_and_staff_see_and_cancel_a_job(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        job_id = (await world.job()).job_id
        assert "You have no job" in await world.ask("video show", by=world.other, job=job_id)
        told = await world.ask("video cancel", by=world.other, job=job_id)
        assert told == f"Only the member who ordered job `{job_id}`, and staff, can cancel it."
        assert "A fox" in await world.ask("video show", by=world.staff, job=job_id)
        assert "is cancelled" in await world.ask("video cancel", by=world.staff, job=job_id)


async def test_servers_know_nothing_of_each_others_jobs(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        job_id = (await world.job()).job_id
        guild = world.env.create_guild("Other team")
        channel = guild.create_text_channel("videos")
        its_staff = guild.create_role("Staff", permissions=discord.Permissions(manage_guild=True))
        same_person = guild.add_member(world.member.user)
        foreign_staff = guild.add_member(world.env.create_user("boss"), roles=[its_staff])
        for actor in (same_person, foreign_staff):
            for command in ("video show", "video cancel"):
                result = await actor.slash(channel, command, job=job_id)
                assert "You have no job" in result.response.content
                assert await actor.autocomplete(channel, command, "job", "") == []
            result = await actor.slash(channel, "video list")
            assert "You have no jobs here yet." in str(result.response.components)
        assert (await world.job()).stage is Stage.QUEUED


async def test_a_member_of_two_servers_has_a_quota_in_each(world: World) -> None:
    await world.create(prompt="A fox")
    guild = world.env.create_guild("Other team")
    channel = guild.create_text_channel("videos")
    result = await guild.add_member(world.member.user).slash(channel, "quota show")
    assert "$100.00 left" in result.response.content
    assert "$99.50 left" in await world.ask("quota show")


# /video models


async def test_models_are_listed_with_all_there_is_to_know(world: World) -> None:
    told = await world.ask("video models")
    assert "🟡 **apixo/sora-2** (Sora 2, doubtful)" in told
    assert "text-to-video and image-to-video · landscape or portrait" in told
    assert "10 s ≈$0.50, 15 s ≈$0.75" in told
    assert "720p: 4 s $1.08, 8 s $2.16, 12 s $3.24" in told
    assert "1080p: 4 s $1.80, 8 s $3.60, 12 s $5.40" in told
    assert "2026-11-21: OpenAI closed the Sora 2 API on 2026-09-24" in told
    assert "🔴 **pixazo/sora-2-pro**" in told
    assert "Not now: its gateway is not set up here." in told
    assert "sandbox" not in told


async def test_prices_that_differ_by_mode_and_shape_are_all_listed(tmp_path: Path) -> None:
    models = """
    [models."apixo/sora-2".price]
    unit = "video"
    rows = [ { mode = "text-to-video", usd = "1" },
             { mode = "image-to-video", shape = "portrait", usd = "2" },
             { mode = "image-to-video", shape = "landscape", usd = "3" } ]
    """
    async with world_with(tmp_path, models) as world:
        told = await world.ask("video models")
    assert "\ntext-to-video: 10 s $1.00, 15 s $1.00\n" in told
    assert "\nimage-to-video, landscape: 10 s $3.00, 15 s $3.00\n" in told
    assert "\nimage-to-video, portrait: 10 s $2.00, 15 s $2.00\n" in told


async def test_many_models_are_listed_on_several_pages(tmp_path: Path) -> None:
    async with world_with(tmp_path, MANY) as world:
        result = await world.member.slash(world.channel, "video models")
        seen = str(result.response.components)
        for _ in range(10):
            labels = [part["label"] for row in result.response.components[1:] for part in row["components"]]
            if "More" not in labels:
                break
            await click(world.member, result, "More")
            seen += str(result.response.components)
        assert [number for number in range(25) if f"apixo/clip-{number:02}" not in seen] == []
        await click(world.member, result, "Back")


async def test_a_list_of_models_says_why_one_is_out_and_since_when(world: World) -> None:
    world.gateway.submits.append(envelope(None, code=404, status=404, message="model `sora-2` not found"))
    await world.create(prompt="A fox")
    await world.settled()
    told = await world.ask("video models")
    assert "🔴 **apixo/sora-2** (" in told
    assert "that it is gone (`" in told
    assert "\u02cbsora-2\u02cb not found`)" in told
    world.time.jump(hours=24)
    assert "🟡 **apixo/sora-2** (" in await world.ask("video models")


# /quota and /video-admin


async def test_a_quota_shows_spent_held_left_and_the_turn(world: World) -> None:
    await world.create(prompt="The first")
    await world.settled()
    await world.create(prompt="The second")
    assert (await world.ask("quota show")).splitlines() == [
        "**$99.00 left** of $100.00 this month",
        "Spent: $0.50",
        "Held by running jobs: $0.50",
        "The month turns <t:1796083200:R> (<t:1796083200:f>).",
    ]
    await world.settled()


async def test_staff_set_and_clear_a_members_limit(world: World) -> None:
    async def set_to(amount: str) -> str:
        return await world.ask("video-admin quota set", by=world.staff, amount=amount, member=world.member)

    assert await set_to("$12,50") == f"<@{world.member.id}> may spend $12.50 a month here."
    assert "$12.50 left** of $12.50" in await world.ask("quota show")
    assert "may order no videos here" in await set_to("0")
    told = await world.ask("quota show")
    assert (
        "**You may order no videos here from your own quota:** your limit is $0.00 a month. "
        "Staff can raise it."
    ) in told
    assert "This would go over your limit: $0.00 a month" in await world.create(prompt="A fox")
    told = await world.ask("video-admin quota clear", by=world.staff, member=world.member)
    assert told == f"For <@{world.member.id}> the default counts: $100.00 a month here."
    assert "$100.00 left" in await world.ask("quota show")
    told = await world.ask("video-admin quota clear", by=world.staff, member=world.member)
    assert told.startswith("There was no limit of their own.")


@pytest.mark.parametrize(
    "amount", ["-1", "ten", "", "nan", "inf", "1e3", "1.234", "1,000.00", "1000000.01", "²"]
)
async def test_what_is_no_amount_is_refused_with_an_example(world: World, amount: str) -> None:
    told = await world.ask("video-admin quota set", by=world.staff, amount=amount, member=world.member)
    assert told == (
        "That is no amount. Write dollars with at most two decimals, like `12.50`, up to $1,000,000."
    )


async def test_a_default_of_zero_lets_nobody_order(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", default_user_monthly_limit="0") as world:
        assert "your limit: $0.00 a month" in await world.create(prompt="A fox")
        assert "**You may order no videos here from your own quota:**" in await world.ask("quota show")


async def test_the_sandboxs_money_is_an_account_of_its_own(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", apixo_api_key=None) as world:
        assert "$0.50 held" in await world.create(prompt="A fox")
        told = await world.ask("quota show")
        assert "$99.50 left" in told
        assert "This is the sandbox's play money." in told
        assert "sandbox/pixazo" in await world.ask("video models")
        await forget_registration(world)
    async with open_world(tmp_path / "data") as world:
        told = await world.ask("quota show")
        assert "$100.00 left" in told
        assert "sandbox" not in told


# What every command does


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("video create", {"prompt": "A fox"}),
        ("video list", {}),
        ("video show", {"job": "nobody"}),
        ("video cancel", {"job": "nobody"}),
        ("video models", {}),
        ("quota show", {}),
        ("video-admin quota set", {"amount": "1"}),
        ("video-admin quota clear", {}),
        ("video-admin reopen", {"what": "nothing"}),
        ("video-admin reconcile", {}),
    ],
)
async def test_every_command_is_acknowledged_in_private_before_anything_else(
    world: World, command: str, options: dict[str, Any]
) -> None:
    member = {"member": world.other} if " quota " in command else {}
    before = len(world.env.http_requests)
    result = await world.staff.slash(world.channel, command, **options, **member)
    first = world.env.http_requests[before]
    assert first.path.endswith("/callback")
    assert first.json == {"type": DEFERRED_MESSAGE, "data": {"flags": EPHEMERAL}}
    assert result.response is not None
    assert not result.followups
    await world.settled()


def break_table(world: World, name: str) -> None:
    with contextlib.closing(sqlite3.connect(world.app.folder.database)) as database:
        database.execute(f"ALTER TABLE {name} RENAME TO somewhere_else")


async def test_an_unexpected_error_gives_a_reference_and_is_logged_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = ""
    with pytest.raises(BaseExceptionGroup, match="the bot raised"):  # noqa: PT012 - raised as it closes
        async with open_world(tmp_path / "data") as world:
            break_table(world, "limits")
            told = await world.create(prompt="a secret plan")
    reference = re.fullmatch(
        r"Something went wrong in the bot; nothing more was done. Tell its operator this reference: `(\w+)`.",
        told,
    )
    assert reference is not None
    (record,) = [record for record in caplog.records if reference[1] in record.getMessage()]
    assert record.exc_info is not None
    assert "(video create) failed" in record.getMessage()
    assert "secret plan" not in record.getMessage()


async def test_an_unexpected_error_of_a_button_is_answered_too(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data") as world:
        for number in range(6):
            await world.create(prompt=f"Fox {number}")
        result = await world.member.slash(world.channel, "video list")
        await world.settled()
        break_table(world, "members")
        pressed = await click(world.member, result, "Older")
        assert [message.ephemeral for message in pressed.followups] == [True]
        assert pressed.followups[0].content.startswith("Something went wrong in the bot")
        assert "Fox 5" in str(result.response.components)
