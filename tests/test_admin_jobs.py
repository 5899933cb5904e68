"""`/video-admin jobs`: staff look through their server's jobs, open one, and cancel one that waits."""

import datetime as dt
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.models import Stage
from storage.job_search import JobFilter, JobSearch
from tests.acting import click, dismiss, world_with, world_with_a_waiting_job
from tests.books import ALICE, BOB, CENT, NOON, SERVER, Books, open_books
from tests.fake_apixo import state
from tests.world import World, picture

PRO = "apixo/sora-2-pro"
LONG = f"apixo/{'x' * 74}"


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


async def jobs(world: World, **filters: Any) -> str:
    return await world.ask("video-admin jobs", by=world.staff, **filters)


async def order(world: World, prompt: str, *, by: Any = None, **wishes: Any) -> None:
    assert "is ordered" in await world.create(by=by, prompt=prompt, **wishes)
    world.time.jump(seconds=1)


def numbers(result: Any) -> list[int]:
    return [int(part.split("`")[0]) for part in str(result.response.components).split("Fox ")[1:]]


# The list


async def test_staff_see_everybodys_jobs_newest_first_with_whose_they_are(world: World) -> None:
    await order(world, "Fox 1")
    await order(world, "Fox 2", by=world.other)
    await world.settled()
    told = await jobs(world)
    assert told.index("Fox 2") < told.index("Fox 1")
    newest = await world.jobs(of=world.other)
    assert f"<@{world.other.id}> · `{newest[0].job_id}` **Done**" in told
    assert f"https://discord.com/channels/{world.guild.id}/{world.channel.id}/" in told


async def test_without_jobs_the_list_says_so(world: World) -> None:
    assert await jobs(world) == "No jobs fit."


async def test_jobs_are_filtered_by_stage_member_and_model(world: World) -> None:
    await order(world, "Fox 1")
    await world.settled()
    world.gateway.looks.append(state("failed", failCode="CONTENT_VIOLATION", failMsg="no"))
    await order(world, "Fox 2", by=world.other)
    await world.settled()
    await order(world, "Fox 3", model=PRO)
    await world.settled()

    async def found(**filters: Any) -> list[int]:
        return numbers(await world.staff.slash(world.channel, "video-admin jobs", **filters))

    assert await found() == [3, 2, 1]
    assert await found(stage="done") == [3, 1]
    assert await found(stage="failed") == [2]
    assert await found(member=world.member.user) == [3, 1]
    assert await found(model=PRO) == [3]
    assert await found(model=PRO, member=world.other.user) == []
    assert await found(stage="done", model="apixo/sora-2", member=world.member.user) == [1]
    assert await found(member=world.env.create_user("stranger")) == []


async def test_pages_turn_with_their_filters_also_after_a_restart(tmp_path: Path) -> None:
    models = f"""
[models."{LONG}"]
like = "apixo/sora-2"
title = "A model with a long name"
"""
    async with world_with(tmp_path, models, default_user_monthly_limit="1000") as world:
        for number in range(7):
            await order(world, f"Fox {number}", model=LONG)
            await order(world, "Fox 99", by=world.other)
        await world.settled()
        filters = {"stage": "done", "member": world.member.user, "model": LONG}
        result = await world.staff.slash(world.channel, "video-admin jobs", **filters)
        assert result.ephemeral
        assert numbers(result) == [6, 5, 4, 3, 2]
        await world.restart()
        await click(world.staff, result, "Older")
        assert numbers(result) == [1, 0]
        await click(world.staff, result, "Newer")
        assert numbers(result) == [6, 5, 4, 3, 2]
        ids = [part["custom_id"] for row in result.response.components for part in row.get("components", [])]
        assert ids
        assert all(len(one) <= 100 for one in ids)
        await world.restart(models_file=None)
        refused = await click(world.staff, result, "Older")
        assert "That model is no longer in the catalogue." in refused.followups[0].content


async def test_a_page_fits_with_the_longest_of_everything(world: World) -> None:
    for _ in range(6):
        await order(world, "\u00e4`*_" * 900, model=PRO, seconds=12, quality="1080p", shape="portrait")
    assert len(await jobs(world)) < 4000
    await world.settled()


async def test_a_model_nobody_knows_is_said(world: World) -> None:
    assert await jobs(world, model="nobody/`knows`") == (
        "There is no model `nobody/\u02cbknows\u02cb`. Choose one from the menu."
    )


async def test_who_is_no_longer_staff_soon_turns_no_page(world: World) -> None:
    for number in range(6):
        await order(world, f"Fox {number}")
    result = await world.staff.slash(world.channel, "video-admin jobs")
    dismiss(world, world.staff)
    await world.env.advance_time(15 * 60)
    refused = await click(world.staff, result, "Older")
    assert "Only those who may manage this server" in refused.followups[0].content
    assert numbers(result) == [5, 4, 3, 2, 1]
    await world.settled()


async def test_models_and_the_newest_jobs_are_offered(world: World) -> None:
    await order(world, "A fox")
    await order(world, "A crow", by=world.other)

    async def offered(option: str, typed: str = "") -> list[str]:
        found = await world.staff.autocomplete(world.channel, "video-admin jobs", option, typed)
        return [choice["value"] for choice in found]

    assert await offered("model", "sora") == ["apixo/sora-2", PRO, "pixazo/sora-2-pro"]
    assert await offered("model", "APIXO/sora-2-p") == [PRO]
    fox, crow = (await world.job()).job_id, (await world.jobs(of=world.other))[0].job_id
    assert await offered("job") == [crow, fox]
    assert await offered("job", "FOX") == [fox]
    await world.settled()


# One job


async def test_an_opened_job_shows_who_what_money_and_history(world: World) -> None:
    await order(world, "A fox", image=("hills.png", picture(360, 640)), shape="landscape")
    await world.settled()
    job = await world.job()
    told = await jobs(world, job=f" {job.job_id.upper()} ")
    assert f"<@{world.member.id}> · `{job.job_id}` **Done**" in told
    assert f"Ordered in <#{world.channel.id}> <t:" in told
    assert "$0.50 spent" in told
    assert "The picture was cropped" in told
    assert f"/{job.card_message_id}" in told
    history = told.partition("**History**")[2]
    titles = [line.split(" · ")[1] for line in history.strip().splitlines()]
    assert titles == ["Waiting", "Ordering", "Rendering", "Fetching the clip", "Posting the clip", "Done"]
    assert "`ordered`" in history


async def test_a_failed_job_shows_its_reason_inertly_and_whose_money_came_back(world: World) -> None:
    world.gateway.looks.append(state("failed", failCode="CONTENT_VIOLATION", failMsg="no `foxes` @everyone"))
    await order(world, "A fox")
    await world.settled()
    told = await jobs(world, job=(await world.job()).job_id)
    assert "`CONTENT_VIOLATION no \u02cbfoxes\u02cb @everyone`" in told
    assert "$0.50 returned" in told
    assert "your quota" not in told
    assert "harge" not in told.replace("Nothing was charged", "")  # what the gateway did is the operator's


async def test_a_waiting_job_is_cancelled_from_there_once(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        job = await world.job()
        opened = await world.staff.slash(world.channel, "video-admin jobs", job=job.job_id)
        first = await click(world.staff, opened, "Cancel")
        assert f"Job `{job.job_id}` is cancelled." in first.response.content
        second = await click(world.staff, opened, "Cancel")
        assert "is over already" in second.response.content
        assert (await world.job()).stage is Stage.CANCELLED
        told = await jobs(world, job=job.job_id)
        assert "Cancel" not in told.splitlines()
        assert "`by staff`" in told


async def test_a_job_of_another_server_is_neither_listed_nor_opened_nor_offered(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        job = await world.job()
        theirs = world.env.create_guild("Others")
        there = theirs.create_text_channel("videos")
        role = theirs.create_role("Staff", permissions=discord.Permissions(manage_guild=True))
        chief = theirs.add_member(world.env.create_user("chief"), roles=[role])
        listed = await chief.slash(there, "video-admin jobs")
        assert "No jobs fit." in str(listed.response.components)
        opened = await chief.slash(there, "video-admin jobs", job=job.job_id)
        assert opened.response.content == (
            f"There is no job `{job.job_id}` in this server. `/video-admin jobs` shows them."
        )
        assert await chief.autocomplete(there, "video-admin jobs", "job", "") == []


# On the store


async def test_a_history_is_long_only_on_disk(books: Books) -> None:
    job = await books.place()
    for _ in range(40):
        await books.jobs.start_submit(job.job_id, now=NOON)
        await books.jobs.submit_not_accepted(job.job_id, "busy" * 100, counts=False, now=NOON)
    found = await JobSearch(books.database, books.jobs).job(SERVER, job.job_id)
    assert found is not None
    assert len(found[1]) == 81


async def test_every_page_of_every_filter_has_what_fits_and_each_job_once(books: Books) -> None:
    for number in range(12):
        at = NOON + dt.timedelta(minutes=number // 2)  # two of each moment
        job = await books.place(CENT, at=at, user_id=(ALICE, BOB)[number % 2])
        if number % 3 == 0:
            await books.bring(job, Stage.CANCELLED, at=at)
    await books.place(CENT, server_id=SERVER + 1)
    search = JobSearch(books.database, books.jobs)

    async def pages(wanted: JobFilter) -> list[str]:
        found: list[str] = []
        while page := await search.of_server(SERVER, wanted, offset=len(found), limit=3):
            found += [job.job_id for job in page]
        return found

    everything = await pages(JobFilter())
    assert len(everything) == len(set(everything)) == 12
    assert len(await pages(JobFilter(stage=Stage.CANCELLED))) == 4
    assert len(await pages(JobFilter(stage=Stage.QUEUED, user_id=ALICE))) == 4
    assert len(await pages(JobFilter(user_id=BOB, model="apixo/sora-2-pro"))) == 6
    assert await pages(JobFilter(model="apixo/sora-2")) == await pages(JobFilter(user_id=999)) == []
