"""What a card says of its job's money, and what only its member reads."""

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from bot import receipts
from bot.models import Budget, Charge, Job, Purse, Quote, Stage
from bot.quotas import Layer, Limit, Measure, Standing, Sums
from storage.limits import LimitStore
from storage.servers import ServerStore
from tests.acting import click, world_with_a_waiting_job
from tests.books import ALICE, NOON, open_books
from tests.fake_apixo import state
from tests.test_cards import an_example
from tests.world import START, World

PRO = "apixo/sora-2-pro"


async def limit(world: World, layer: Layer, amount: int, *, subject: str = "", of: Any = None) -> None:
    """Let staff limit a month."""
    await LimitStore(world.database).set(
        world.guild.id,
        Limit(layer=layer, measure=Measure.MONTH, amount=amount, subject=subject),
        user_id=of.id if of is not None else None,
        what="",
        by=world.staff.id,
        now=world.time.now(),
    )


async def open_purse(world: World, amount: str) -> None:
    told = await world.ask("video-admin purse open", by=world.staff, amount=amount)
    assert "has a purse of" in told


async def receipt(world: World) -> str:
    """Return the card's line about money."""
    (line,) = [line for line in (await world.card()).splitlines() if line.startswith("-# Quoted")]
    return line.removeprefix("-# ")


# Whose budget


async def test_a_card_says_what_is_held_and_then_spent_of_its_members_quota(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        assert await receipt(world) == f"Quoted ≈$0.50, $0.50 held · <@{world.member.id}>'s quota"
        await world.settled()
        assert await receipt(world) == f"Quoted ≈$0.50, $0.50 spent · <@{world.member.id}>'s quota"


async def test_what_is_left_is_told_in_private_only(world: World) -> None:
    told = await world.create(prompt="A fox")
    assert "≈$0.50 held from your quota. $99.50 left this month." in told
    await world.settled()
    assert "left" not in world.posts_text()


async def test_a_job_under_a_roles_limit_names_the_role(world: World) -> None:
    role = world.guild.create_role("Artists")
    artist = world.guild.add_member(world.env.create_user("artist"), roles=[role])
    await limit(world, Layer.ROLE, 5_000_000, subject=str(role.id))
    told = await world.create(by=artist, prompt="A fox")
    assert "≈$0.50 held from your quota. $4.50 left this month." in told
    await world.settled()
    (job,) = await world.jobs(of=artist)
    assert f"Quoted ≈$0.50, $0.50 spent · the limit of <@&{role.id}>" in await world.card(job)


async def test_of_several_limits_the_one_that_is_met_first_is_told(world: World) -> None:
    await LimitStore(world.database).set(
        world.guild.id,
        Limit(layer=Layer.MEMBER, measure=Measure.DAY, amount=1_000_000),
        user_id=world.member.id,
        what="",
        by=world.staff.id,
        now=world.time.now(),
    )
    assert "$0.50 left today." in await world.create(prompt="A fox")
    await world.settled()


async def test_a_job_in_a_channel_with_a_purse_names_the_purse(world: World) -> None:
    await open_purse(world, "2")
    told = await world.create(prompt="A fox")
    assert f"≈$0.50 held from the purse of <#{world.channel.id}>. $1.50 left in the purse." in told
    await world.settled()
    assert await receipt(world) == f"Quoted ≈$0.50, $0.50 spent · the purse of <#{world.channel.id}>"
    assert "$100.00 left" in await world.ask("quota show")


async def test_a_purse_that_cannot_pay_leaves_the_job_to_the_members_quota_and_says_so(world: World) -> None:
    await open_purse(world, "0.40")
    told = await world.create(prompt="A fox")
    assert "held from your quota. $99.50 left this month." in told
    assert "This channel's purse has $0.40 left, not enough for it" in told
    await world.settled()
    assert await receipt(world) == f"Quoted ≈$0.50, $0.50 spent · <@{world.member.id}>'s quota"


async def test_an_approved_job_says_that_staff_approved_it(world: World) -> None:
    room = world.guild.create_text_channel("staff-room")
    await ServerStore(world.database).change(
        world.guild.id, act="", what="", by=world.staff.id, now=world.time.now(), staff_channel_id=room.id
    )
    await limit(world, Layer.MEMBER, 100_000, of=world.member)
    refused = await world.member.slash(world.channel, "video create", prompt="A fox")
    await click(world.member, refused, "Ask for ≈$0.50")
    world.gateway.looks.append(state("failed", failCode="CONTENT_VIOLATION", failMsg="no foxes"))
    await world.time.move_until(press(world.staff, room.history()[-1], "Approve"))
    await world.settled()
    assert await receipt(world) == "Quoted ≈$0.50, $0.50 returned · approved by staff"
    assert "$0.50 returned.\n" in await world.card() + "\n"


async def press(member: Any, message: Any, label: str) -> None:
    await member.click(message, label=label)


# Returned and refunded


async def test_a_failed_job_returns_its_money_to_the_quota_and_guesses_nothing(world: World) -> None:
    world.gateway.looks.append(state("failed", failCode="CONTENT_VIOLATION", failMsg="no foxes"))
    await world.create(prompt="A fox")
    await world.settled()
    (message,) = world.answers()
    for told in (message.content, await world.card()):
        assert "$0.50 returned to your quota." in told
        assert "charge" not in told
    assert await receipt(world) == f"Quoted ≈$0.50, $0.50 returned · <@{world.member.id}>'s quota"


async def test_a_failed_job_of_a_purse_returns_its_money_to_the_purse(world: World) -> None:
    await open_purse(world, "2")
    world.gateway.looks.append(state("failed", failCode="CONTENT_VIOLATION", failMsg="no foxes"))
    await world.create(prompt="A fox")
    await world.settled()
    (message,) = world.answers()
    assert f"$0.50 returned to the purse of <#{world.channel.id}>." in message.content
    assert await receipt(world) == f"Quoted ≈$0.50, $0.50 returned · the purse of <#{world.channel.id}>"


async def test_a_cancelled_job_says_to_whom_its_money_went(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        await open_purse(world, "2")
        await world.create(prompt="A second fox")
        job = await world.job()
        told = await world.ask("video cancel", job=job.job_id)
        assert told == (
            f"Job `{job.job_id}` is cancelled. $0.50 returned to the purse of <#{world.channel.id}>."
        )


async def test_a_refund_is_on_the_card(world: World) -> None:
    await world.create(prompt="A fox")
    await world.settled()
    job = await world.job()
    await world.ask("video-admin refund", by=world.staff, job=job.job_id, reason="A green fox")
    await world.settled()
    assert await receipt(world) == (
        f"Quoted ≈$0.50, $0.50 spent, $0.50 refunded · <@{world.member.id}>'s quota"
    )


async def test_the_clip_and_the_list_carry_the_receipt_too(world: World) -> None:
    await world.create(prompt="A fox")
    await world.settled()
    (clip,) = world.answers()
    assert "-# Quoted ≈$0.50, $0.50 spent · your quota · Job" in clip.content
    line = f"Quoted ≈$0.50, $0.50 spent · <@{world.member.id}>'s quota"
    assert line in await world.ask("video list")
    assert line in await world.ask("video show", job=(await world.job()).job_id)


async def test_a_job_that_cost_less_than_quoted_returns_the_rest(tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        placed = await books.bring(await books.place(500_000), Stage.SUBMITTING)
        await books.jobs.submit_accepted(placed.job_id, "a task", now=NOON)
        urls = ["https://cdn.example/a.mp4"]
        await books.jobs.rendered(placed.job_id, urls, cost_micros=400_000, now=NOON)
        job = await books.jobs.fetched(placed.job_id, Path("a.mp4"), now=NOON)
        assert job is not None
        assert receipts.line(job) == f"Quoted $0.50, $0.40 spent, $0.10 returned · <@{ALICE}>'s quota"
        sums = await books.sums()
        assert (sums.spent_micros, sums.held_micros) == (400_000, 0)


# As values


def a_job(stage: Stage, **changes: Any) -> Job:
    return dataclasses.replace(
        an_example(stage), quote=Quote(micros=500_000, estimate=False), settled_micros=0, **changes
    )


@pytest.mark.parametrize(
    ("job", "line"),
    [
        (a_job(Stage.QUEUED), "Quoted $0.50, $0.50 held · <@7>'s quota"),
        (a_job(Stage.UNCERTAIN), "Quoted $0.50, $0.50 held · <@7>'s quota"),
        (a_job(Stage.FAILED, user_id=None), "Quoted $0.50, $0.50 returned · a former member's quota"),
        (
            dataclasses.replace(a_job(Stage.DONE), settled_micros=400_000),
            "Quoted $0.50, $0.40 spent, $0.10 returned · <@7>'s quota",
        ),
        (
            dataclasses.replace(a_job(Stage.DONE), settled_micros=400_000, corrected_micros=400_000),
            "Quoted $0.50, $0.40 spent, $0.10 returned, $0.40 refunded · <@7>'s quota",
        ),
        (
            a_job(Stage.QUEUED, charge=Charge(budget=Budget.APPROVAL)),
            "Quoted $0.50, $0.50 held · approved by staff",
        ),
    ],
)
def test_a_receipt_adds_up(job: Job, line: str) -> None:
    assert receipts.line(job) == line


def test_what_is_left_names_its_period_or_its_purse() -> None:
    for measure, says in ((Measure.DAY, "today"), (Measure.WEEK, "this week"), (Measure.MONTH, "this month")):
        standing = Standing(
            limit=Limit(layer=Layer.MEMBER, measure=measure, amount=10_000_000),
            sums=Sums(spent_micros=300_000, held_micros=200_000),
        )
        assert receipts.left(standing) == f"$9.50 left {says}."
    purse = Purse(
        purse_id=1,
        server_id=1,
        channel_id=2,
        amount_micros=50_000_000,
        spent_micros=9_000_000,
        held_micros=1_000_000,
        opened_at=START,
        ends_at=START + dt.timedelta(days=1),
        closed_at=None,
    )
    assert receipts.left(purse) == "$40.00 left in the purse."
