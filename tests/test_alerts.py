"""Alerts: who is told that a limit or purse is used up to a share, in which words, and how often."""

import asyncio
import dataclasses
import datetime as dt
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from bot.quotas import Layer, Limit, Measure
from storage.alerts import AlertStore
from storage.limits import LimitStore
from storage.purses import PurseStore
from storage.servers import ServerStore
from tests.acting import CHEAP, make_operator, world_with
from tests.books import CENT, DOLLAR, UTC_POLICY, Books, open_books
from tests.fake_apixo import state
from tests.world import World, open_world

TURN = "The month turns <t:1796083200:R> (<t:1796083200:f>)."  # 1 December 2026, 0:00 UTC


@pytest.fixture
async def poor(tmp_path: Path) -> AsyncGenerator[World]:
    """A world in which a clip costs $0.30 of a dollar a month."""
    async with world_with(tmp_path, CHEAP, default_user_monthly_limit="1.00") as world:
        yield world


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


async def staff_channel(world: World, name: str = "staff") -> Any:
    channel = world.guild.create_text_channel(name)
    await set_staff_channel(world, channel)
    return channel


async def set_staff_channel(world: World, channel: Any, guild: Any = None) -> None:
    await ServerStore(world.database).change(
        (guild or world.guild).id,
        act="staff-channel",
        what="by hand",
        by=world.staff.id,
        now=world.time.now(),
        staff_channel_id=channel.id,
    )


async def set_limit(world: World, limit: Limit, *, of: Any = None) -> None:
    await LimitStore(world.database).set(
        world.guild.id,
        limit,
        user_id=of.id if of else None,
        what="by hand",
        by=world.staff.id,
        now=world.time.now(),
    )


async def order(world: World, times: int = 1, *, by: Any = None) -> None:
    for _ in range(times):
        assert "is ordered" in await world.create(by=by, prompt="A fox")
    await world.settled()


def read(channel: Any) -> list[str]:
    return [message.content for message in channel.history()]


def direct(member: Any) -> list[str]:
    return read(member.user.dm_channel)


def here(world: World) -> str:
    return str(world.channel.id)


async def is_quiet(world: World) -> bool:
    return await AlertStore(world.database).untold() == []


async def passes(world: World, **delta: float) -> None:
    end = world.time.now() + dt.timedelta(**delta)
    await world.until(lambda: world.time.now() >= end)


# Staff


async def test_staff_read_once_of_each_share_of_a_members_limit(poor: World) -> None:
    channel = await staff_channel(poor)
    await order(poor)
    assert read(channel) == []
    await order(poor)
    await order(poor)

    who = f"the limit of <@{poor.member.id}>"
    assert read(channel) == [
        f"**50 %** of {who} is spent or held by running jobs: $0.60 of $1.00 this month. {TURN}",
        f"**80 %** of {who} is spent or held by running jobs: $0.90 of $1.00 this month. {TURN}",
    ]
    for request in poor.env.http_requests:
        if request.method == "POST" and request.path == f"/channels/{channel.id}/messages":
            assert request.json["allowed_mentions"] == {"parse": []}


async def test_several_shares_reached_at_once_are_one_message_with_the_highest(poor: World) -> None:
    channel = await staff_channel(poor)
    await set_limit(poor, Limit(layer=Layer.MEMBER, measure=Measure.MONTH, amount=30 * CENT), of=poor.member)

    await order(poor)

    (told,) = read(channel)
    assert told.startswith("**100 %** of the limit of")


@pytest.mark.parametrize(
    ("layer", "measure", "named"),
    [
        (Layer.CHANNEL, Measure.DAY, "the limit of <#{channel}>"),
        (Layer.SERVER, Measure.WEEK, "this server's limit"),
        (Layer.ROLE, Measure.MONTH, "the limit of <@&{role}> for <@{member}>"),
    ],
)
async def test_every_layer_of_a_server_is_named(
    layer: Layer, measure: Measure, named: str, world: World
) -> None:
    channel = await staff_channel(world)
    role = world.guild.create_role("Makers")
    maker = world.guild.add_member(world.env.create_user("maker"), roles=[role])
    subject = {Layer.CHANNEL: str(world.channel.id), Layer.ROLE: str(role.id)}.get(layer, "")
    await set_limit(world, Limit(layer=layer, measure=measure, amount=DOLLAR, subject=subject))

    await order(world, by=maker)

    (told,) = read(channel)
    name = named.format(channel=world.channel.id, role=role.id, member=maker.id)
    period = "today" if measure is Measure.DAY else f"this {measure}"
    used = f"$0.50 of $1.00 {period}. The {measure} turns <t:"
    assert told.startswith(f"**50 %** of {name} is spent or held by running jobs: {used}")


async def test_a_purse_is_named_with_its_end_and_leaves_members_limits_alone(poor: World) -> None:
    channel = await staff_channel(poor)
    await PurseStore(poor.database).open(
        server_id=poor.guild.id,
        channel_id=poor.channel.id,
        amount_micros=60 * CENT,
        ends_at=poor.time.now() + dt.timedelta(days=2),
        what="by hand",
        by=poor.staff.id,
        now=poor.time.now(),
    )
    end = int(poor.time.now().timestamp()) + 2 * 86400

    await order(poor, 2)

    told = f"of the purse of <#{poor.channel.id}> is spent or held by running jobs:"
    ends = f"It ends <t:{end}:R> (<t:{end}:f>)."
    assert read(channel) == [
        f"**50 %** {told} $0.30 of $0.60. {ends}",
        f"**100 %** {told} $0.60 of $0.60. {ends}",
    ]


async def test_a_new_month_is_told_anew(poor: World) -> None:
    channel = await staff_channel(poor)
    await order(poor, 2)
    assert len(read(channel)) == 1
    poor.time.jump(days=10)
    await order(poor, 2)
    assert ["**50 %**" in told for told in read(channel)] == [True, True]


async def test_a_raised_limit_tells_no_share_twice_in_its_period(poor: World) -> None:
    channel = await staff_channel(poor)
    await order(poor, 2)
    await set_limit(poor, Limit(layer=Layer.MEMBER, measure=Measure.MONTH, amount=150 * CENT), of=poor.member)
    await order(poor)
    assert len(read(channel)) == 1  # $0.90 of $1.50 are more than 50 % once more
    await order(poor)
    assert "**80 %**" in read(channel)[-1]
    assert "$1.20 of $1.50" in read(channel)[-1]
    assert len(read(channel)) == 2


async def test_a_lowered_limit_is_told_with_the_next_order(poor: World) -> None:
    channel = await staff_channel(poor)
    await order(poor)
    await set_limit(poor, Limit(layer=Layer.MEMBER, measure=Measure.MONTH, amount=60 * CENT), of=poor.member)
    await order(poor)
    (told,) = read(channel)
    assert told.startswith("**100 %**")


async def test_money_that_comes_back_and_goes_again_is_told_once(poor: World) -> None:
    channel = await staff_channel(poor)
    await order(poor)
    for _ in range(2):
        poor.gateway.looks.append(state("failed", failCode="CONTENT_VIOLATION", failMsg="no"))
        await order(poor)
    (told,) = read(channel)
    assert told.startswith("**50 %**")


async def test_a_staff_channel_that_is_set_an_hour_later_still_shows_what_waits(poor: World) -> None:
    await order(poor, 2)
    await passes(poor, hours=1)
    channel = await staff_channel(poor)
    began = poor.time.now()
    await poor.until(lambda: read(channel))
    assert poor.time.now() - began <= dt.timedelta(minutes=1)
    (told,) = read(channel)
    assert told.startswith("**50 %**")


async def test_a_staff_channel_that_is_set_after_a_day_shows_nothing_of_before(poor: World) -> None:
    await order(poor, 2)
    poor.time.jump(hours=23)
    await poor.until(lambda: is_quiet(poor))
    assert poor.time.now() - poor.started >= dt.timedelta(days=1)
    channel = await staff_channel(poor)
    await order(poor)
    (told,) = read(channel)
    assert told.startswith("**80 %**")


async def test_jobs_a_day_are_told_as_jobs(poor: World) -> None:
    channel = await staff_channel(poor)
    await set_limit(poor, Limit(layer=Layer.SERVER, measure=Measure.JOBS_A_DAY, amount=2))
    await set_limit(poor, Limit(layer=Layer.MEMBER, measure=Measure.JOBS_A_DAY, amount=1), of=poor.other)
    await poor.ask("quota alerts", by=poor.other, tell="on")
    turn = "The day turns <t:1795305600:R> (<t:1795305600:f>)."  # 22 November 2026, 0:00 UTC

    await order(poor)
    await order(poor, by=poor.other)

    assert sorted(read(channel)) == [
        f"**100 %** of the limit of <@{poor.other.id}> is used: 1 of 1 job today. {turn}",
        f"**100 %** of this server's limit is used: 2 of 2 jobs today. {turn}",
        f"**50 %** of this server's limit is used: 1 of 2 jobs today. {turn}",
    ]
    assert direct(poor.other) == [
        f"**100 %** of your limit in `Team` is used: 1 of 1 job today. {turn}",
    ]


async def test_jobs_that_failed_use_up_no_jobs_a_day(poor: World) -> None:
    channel = await staff_channel(poor)
    await set_limit(
        poor, Limit(layer=Layer.CHANNEL, measure=Measure.JOBS_A_DAY, amount=4, subject=here(poor))
    )
    poor.gateway.looks.append(state("failed", failCode="CONTENT_VIOLATION", failMsg="no"))
    await order(poor)
    await order(poor)
    assert read(channel) == []
    await order(poor)
    assert "2 of 4 jobs today" in "\n".join(read(channel))


async def test_play_money_is_called_that(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", apixo_api_key=None, default_user_monthly_limit="1.00") as world:
        channel = await staff_channel(world)
        assert "is ordered" in await world.create(prompt="A fox")
        await world.until(lambda: read(channel))
        assert read(channel)[0].endswith("\n-# This is the sandbox's play money.")


# The member alone, and the operator


async def test_a_member_is_told_alone_only_if_they_chose_so(poor: World) -> None:
    await order(poor, 2)
    assert direct(poor.member) == []
    assert "I write to you alone" in await poor.ask("quota alerts", tell="on")
    await order(poor)
    mine = "your limit in `Team` is spent or held by running jobs"
    assert direct(poor.member) == [f"**80 %** of {mine}: $0.90 of $1.00 this month. {TURN}"]
    poor.time.jump(days=10)
    assert "no more" in await poor.ask("quota alerts", tell="off")
    await order(poor, 2)
    assert len(direct(poor.member)) == 1


async def test_a_member_learns_nothing_of_others_limits(poor: World) -> None:
    await poor.ask("quota alerts", tell="on")
    await set_limit(poor, Limit(layer=Layer.SERVER, measure=Measure.MONTH, amount=60 * CENT))
    await order(poor, 2, by=poor.other)
    assert direct(poor.member) == direct(poor.other) == []


async def test_a_role_is_a_members_own_limit_too(world: World) -> None:
    role = world.guild.create_role("Makers")
    maker = world.guild.add_member(world.env.create_user("maker"), roles=[role])
    await set_limit(world, Limit(layer=Layer.ROLE, measure=Measure.DAY, amount=DOLLAR, subject=str(role.id)))
    await world.ask("quota alerts", by=maker, tell="on")
    await order(world, by=maker)
    (told,) = direct(maker)
    assert told.startswith("**50 %** of the limit of your role in `Team` is spent")


async def test_closed_direct_messages_are_let_be_and_staff_are_told_all_the_same(poor: World) -> None:
    channel = await staff_channel(poor)
    await poor.ask("quota alerts", tell="on")
    poor.env.inject_error("POST", "/users/@me/channels", status=403, code=50007, times=None)
    await order(poor, 2)
    assert len(read(channel)) == 1
    assert await AlertStore(poor.database).untold() == []


async def test_the_operator_is_told_alone_of_their_own_limits(tmp_path: Path) -> None:
    limits = {"operator_limits": {"week": 60 * CENT}, "apixo_limits": {"day": 60 * CENT}}
    async with world_with(tmp_path, CHEAP, **limits) as world:
        channel = await staff_channel(world)
        make_operator(world, world.staff)
        await order(world, 2)
        told = direct(world.staff)
        assert sorted(line.partition(" is spent")[0] for line in told) == [
            "**100 %** of your limit for apixo",
            "**100 %** of your limit for everybody",
            "**50 %** of your limit for apixo",
            "**50 %** of your limit for everybody",
        ]
        assert read(channel) == []


async def test_an_operators_limit_of_jobs_is_told_to_them_alone(tmp_path: Path) -> None:
    async with world_with(tmp_path, CHEAP, apixo_limits={"jobs a day": 2}) as world:
        make_operator(world, world.staff)
        await order(world)
        (told,) = direct(world.staff)
        assert told.startswith("**50 %** of your limit for apixo is used: 1 of 2 jobs today. The day turns")


# What goes wrong


async def test_an_operator_who_could_not_be_reached_is_told_later_and_once(tmp_path: Path) -> None:
    async with world_with(tmp_path, CHEAP, operator_limits={"week": 60 * CENT}) as world:
        make_operator(world, world.staff)
        world.env.inject_error("POST", "/users/@me/channels", status=403, code=50007, times=2)
        await order(world)
        await world.until(lambda: is_quiet(world))
        await order(world)
        assert [told.partition(" of")[0] for told in direct(world.staff)] == ["**50 %**", "**100 %**"]


async def test_an_operator_who_is_never_reached_is_given_up_after_a_day(tmp_path: Path) -> None:
    async with world_with(tmp_path, CHEAP, operator_limits={"week": 60 * CENT}) as world:
        make_operator(world, world.staff)
        world.env.inject_error("POST", "/users/@me/channels", status=403, code=50007, times=None)
        await order(world)
        world.time.jump(hours=23)
        await world.until(lambda: is_quiet(world))
        assert dt.timedelta(days=1) <= world.time.now() - world.started < dt.timedelta(days=1, hours=2)
        assert world.staff.user.dm_channel.history() == []


async def test_an_alert_that_a_crash_left_is_told_at_the_next_start_and_once(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", started=False, default_user_monthly_limit="1.00") as world:
        channel = await staff_channel(world)
        assert "is ordered" in await world.create(prompt="A fox")
        assert read(channel) == []
        await world.restart()
        await world.settled()
        assert len(read(channel)) == 1
        await world.restart()
        await world.settled()
        assert len(read(channel)) == 1


async def test_a_channel_in_trouble_is_asked_again_after_ever_longer_pauses(poor: World) -> None:
    channel = await staff_channel(poor)
    path = f"/channels/{channel.id}/messages"
    poor.env.inject_error("POST", path, status=403, code=50013, times=3)
    began = poor.time.now()
    await order(poor, 2)  # nobody waits for it
    await poor.until(lambda: read(channel))
    assert dt.timedelta(minutes=7) <= poor.time.now() - began < dt.timedelta(minutes=15)
    await order(poor)
    assert len(read(channel)) == 2


async def test_a_channel_that_is_gone_is_given_up_after_a_day(poor: World) -> None:
    channel = await staff_channel(poor)
    path = f"/channels/{channel.id}/messages"
    poor.env.inject_error("POST", path, status=404, code=10003, times=None)
    began = poor.time.now()
    await order(poor, 2)
    await passes(poor, hours=3)
    tries = [request for request in poor.env.http_requests if request.path == path]
    assert 2 < len(tries) < 20
    poor.time.jump(hours=20)
    await poor.until(lambda: is_quiet(poor))
    assert dt.timedelta(days=1) <= poor.time.now() - began < dt.timedelta(days=1, hours=2)


async def test_each_server_reads_of_its_own_and_waits_for_no_other(tmp_path: Path) -> None:
    async with world_with(tmp_path, CHEAP, default_user_monthly_limit="0.60") as world:
        theirs = world.env.create_guild("Others")
        maker = theirs.add_member(world.env.create_user("maker"))
        there = theirs.create_text_channel("videos")
        await world.restart(allowed_servers=[world.guild.id, theirs.id])
        mine, their = await staff_channel(world), theirs.create_text_channel("staff")
        await set_staff_channel(world, their, theirs)
        world.env.inject_error("POST", f"/channels/{mine.id}/messages", status=403, code=50013, times=None)

        await order(world)
        began = world.time.now()
        await maker.slash(there, "video create", prompt="A fox")
        await world.until(lambda: read(their))

        assert world.time.now() - began < dt.timedelta(minutes=1)
        (told,) = read(their)
        assert told.startswith(f"**50 %** of the limit of <@{maker.id}>")
        assert read(mine) == []
        await world.settled()


# On the store


async def test_fifty_orders_at_once_note_each_share_once(books: Books) -> None:
    policy = dataclasses.replace(UTC_POLICY, default_member_micros=50 * DOLLAR)
    await asyncio.gather(*(books.place(DOLLAR, policy=policy) for _ in range(50)))
    assert await books.rows("SELECT percent, used FROM alerts ORDER BY percent") == [
        (50, 25 * DOLLAR),
        (80, 40 * DOLLAR),
        (100, 50 * DOLLAR),
    ]
