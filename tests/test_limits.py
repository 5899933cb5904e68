"""Layered limits: set by staff, met by members, explained by `/quota why`; and as the stores count them."""

import dataclasses
import datetime as dt
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import discord
import pytest

from bot.limits import LimitAdmin, Whose
from bot.models import Account, Budget, Stage
from bot.money_messages import why
from bot.quotas import Layer, Limit, Measure, Policy, Standing
from tests.acting import click, make_operator
from tests.books import (
    ALICE,
    BOB,
    CENT,
    CHANNEL,
    DOLLAR,
    NOON,
    PICTURE_REFUSED,
    SERVER,
    UTC_POLICY,
    Books,
    open_books,
)
from tests.world import World, open_world

ROLE, OTHER_ROLE = 300, 301
STAFF = discord.Permissions(manage_guild=True)
TURN = 1796083200  # 1 December 2026
MIDNIGHT = 1795305600  # 22 November 2026


async def staff_set(world: World, amount: str, **whose: Any) -> str:
    return await world.ask("video-admin quota set", by=world.staff, amount=amount, **whose)


async def staff_clear(world: World, **whose: Any) -> str:
    return await world.ask("video-admin quota clear", by=world.staff, **whose)


async def order_in(channel: Any, member: Any, **options: Any) -> str:
    result = await member.slash(channel, "video create", prompt="A fox", **options)
    return result.response.content


async def make_thread(world: World) -> Any:
    world.env.backend.create_thread(world.channel.id, "a thread", world.member.id)
    await world.env.settle()
    return world.channel.threads[0]


async def acts(world: World) -> list[tuple[str, str, str]]:
    """Return what the audit log has: act, what and why."""
    async with world.database.read() as connection:
        rows = await connection.exec_driver_sql("SELECT act, what, reason FROM acts ORDER BY rowid")
        return [(row.act, row.what, row.reason) for row in rows]


def used(amount: str, spent: str, held: str) -> str:
    return f"{amount}, of which {spent} is spent and {held} is held by running jobs. This order costs ≈$0.50."


# What staff set


@pytest.mark.parametrize(
    ("period", "amount", "told"),
    [
        (None, "12.50", "may spend $12.50 a month here."),
        ("day", "$2", "may spend $2.00 a day here."),
        ("week", "7,5", "may spend $7.50 a week here."),
        ("job", "1.20", "may spend $1.20 a job here."),
        ("at once", "2", "may have 2 jobs at once here."),
        ("jobs a day", " 1 ", "may order 1 job a day here."),
        ("jobs a day", "0", "may order no videos here (0 jobs a day)."),
        ("day", "0", "may order no videos here from their own quota ($0.00 a day)."),
    ],
)
async def test_every_measure_of_a_member_is_set_in_its_unit(
    world: World, period: str | None, amount: str, told: str
) -> None:
    chosen = {} if period is None else {"period": period}

    answer = await staff_set(world, amount, member=world.member, **chosen)

    assert answer == f"<@{world.member.id}> {told}"


async def test_limits_of_roles_channels_and_the_server_are_set_shown_and_cleared(world: World) -> None:
    role = world.guild.create_role("Designers")

    assert await staff_set(world, "20", role=role) == (
        f"Each member with <@&{role.id}> may spend $20.00 a month here."
    )
    assert await staff_set(world, "5", channel=world.channel, period="week") == (
        f"All together in <#{world.channel.id}> may spend $5.00 a week."
    )
    assert await staff_set(world, "3", period="at once") == (
        "All members of this server together may have 3 jobs at once."
    )
    await staff_set(world, "90")
    await staff_set(world, "4", member=world.other, period="day")
    shown = await world.ask("video-admin quota show", by=world.staff)
    assert shown.split("\n\n") == [
        "**Members without a limit of their own or of a role:** $100.00 a month",
        "**All members of this server together:** $90.00 a month · 3 jobs at once",
        f"**All together in <#{world.channel.id}>:** $5.00 a week",
        f"**Each member with <@&{role.id}>:** $20.00 a month",
        f"**<@{world.other.id}>:** $4.00 a day",
    ]

    assert await staff_clear(world, role=role) == f"The limit a month of <@&{role.id}> is cleared."
    assert await staff_clear(world, role=role) == f"There was no limit a month of <@&{role.id}>."
    assert await staff_clear(world, channel=world.channel, period="week") == (
        f"The limit a week of <#{world.channel.id}> is cleared."
    )
    assert (
        await staff_clear(world, period="at once") == "The limit of jobs at once of this server is cleared."
    )
    assert await staff_clear(world, member=world.other, period="day") == (
        f"The limit a day of <@{world.other.id}> is cleared."
    )
    shown = await world.ask("video-admin quota show", by=world.staff)
    assert "$90.00 a month" in shown
    assert "Designers" not in shown
    assert str(world.other.id) not in shown


async def test_every_act_is_in_the_audit_log_and_names_no_person(world: World) -> None:
    role = world.guild.create_role("Designers")
    await staff_set(world, "5", member=world.member, reason=f"asked by <@{world.other.id}> twice")
    await staff_set(world, "2", role=role, period="at once")
    await staff_clear(world, role=role, period="at once", reason="enough")
    await staff_clear(world, role=role, period="day")  # there was none

    assert await acts(world) == [
        ("quota set", "$5.00 a month", "asked by @somebody twice"),
        ("quota set", f"2 jobs at once of <@&{role.id}>", ""),
        ("quota clear", f"the limit of jobs at once of <@&{role.id}>", "enough"),
    ]
    async with world.database.read() as connection:
        people = await connection.exec_driver_sql(
            "SELECT actor.discord_id, about.discord_id FROM acts "
            "JOIN members AS actor ON actor.member_id = acts.actor_id "
            "LEFT JOIN members AS about ON about.member_id = acts.about_id ORDER BY acts.rowid"
        )
        assert [tuple(row) for row in people] == [
            (world.staff.id, world.member.id),
            (world.staff.id, None),
            (world.staff.id, None),
        ]


async def test_only_one_of_member_role_and_channel_can_be_named(world: World) -> None:
    role = world.guild.create_role("Designers")
    both = {"member": world.member, "role": role}

    for told in (
        await staff_set(world, "5", **both),
        await staff_clear(world, channel=world.channel, role=role),
        await world.ask("video-admin quota show", by=world.staff, **both),
    ):
        assert told.startswith(
            "Name one of `member`, `role` and `channel`, or none for the whole server, like"
        )
    assert await acts(world) == []


@pytest.mark.parametrize("amount", ["-1", "1.5", "$2", "1001", "ten", "", "1e2", "٣", "3 4", "9" * 400])
async def test_what_is_no_number_of_jobs_is_refused_with_an_example(world: World, amount: str) -> None:
    told = await staff_set(world, amount, member=world.member, period="at once")

    assert told == "That is no number of jobs. Write a whole number from 0 to 1,000, like `3`."
    assert await acts(world) == []


@pytest.mark.parametrize(
    "amount", ["-1", "\u22125", "nan", "inf", "1e3", "1.234", "1000000.01", "$1,000.00", "١٢", "1\u200b2"]
)
async def test_what_is_no_amount_is_refused_with_an_example(world: World, amount: str) -> None:
    told = await staff_set(world, amount, period="job")

    assert (
        told == "That is no amount. Write dollars with at most two decimals, like `12.50`, up to $1,000,000."
    )
    assert await acts(world) == []


async def test_a_long_list_of_limits_is_turned_page_by_page_by_staff_alone(world: World) -> None:
    roles = [world.guild.create_role(f"Role {number}") for number in range(90)]
    for role in roles:
        async with world.database.write() as connection:
            await connection.exec_driver_sql(
                "INSERT INTO limits VALUES (?, 'role', ?, 'month', 5000000)", (world.guild.id, role.id)
            )
    result = await world.staff.slash(world.channel, "video-admin quota show")
    assert "More" in str(result.response.components)
    pressed = await click(world.staff, result, "More")
    assert f"<@&{roles[-1].id}>" in str(pressed.response.components)
    assert "Back" in str(pressed.response.components)

    world.env.backend.delete_role(world.guild.id, world.guild.roles["Staff"].id)
    await world.env.advance_time(15 * 60)
    refused = await click(world.staff, result, "Back")
    assert refused.followups[0].content.startswith("Only those who may manage this server turn pages")


async def test_staff_see_what_is_set_for_a_member_and_where_they_stand(world: World) -> None:
    role = world.guild.create_role("Designers")
    painter = world.guild.add_member(world.env.create_user("painter"), roles=[role])
    await staff_set(world, "2", role=role, period="day")
    await staff_set(world, "8", member=painter)
    await world.create(by=painter, prompt="A fox")
    await world.settled()

    told = await world.ask("video-admin quota show", by=world.staff, member=painter)

    assert told.splitlines() == [
        f"**<@{painter.id}>:** $8.00 a month",
        f"What counts for <@{painter.id}> now:",
        f"- $2.00 a day: $0.50 spent, $0.00 held, **$1.50 left**, turns <t:{MIDNIGHT}:R> (by <@&{role.id}>)",
        f"- $8.00 a month: $0.50 spent, $0.00 held, **$7.50 left**, turns <t:{TURN}:R>",
    ]
    told = await world.ask("video-admin quota show", by=world.staff, role=role)
    assert told == f"**Each member with <@&{role.id}>:** $2.00 a day"
    told = await world.ask("video-admin quota show", by=world.staff, channel=world.channel)
    assert told == f"**All together in <#{world.channel.id}>:** no limit is set"


# What members meet


async def test_each_layer_refuses_in_its_own_name_with_all_its_numbers(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", default_user_monthly_limit="100") as world:
        role = world.guild.create_role("Designers")
        painter = world.guild.add_member(world.env.create_user("painter"), roles=[role])
        await world.create(by=painter, prompt="The first")
        await world.settled()

        for whose, name, turn in (
            ({"member": painter, "period": "month"}, "your limit", "month"),
            ({"member": painter, "period": "day"}, "your limit", "day"),
            ({"role": role, "period": "week"}, f"the limit of <@&{role.id}>", "week"),
            ({"channel": world.channel, "period": "month"}, f"the limit of <#{world.channel.id}>", "month"),
            ({"period": "day"}, "this server's limit", "day"),
        ):
            await staff_set(world, "0.75", **whose)
            told = await world.create(by=painter, prompt="A fox")
            assert told.startswith(
                f"This would go over {name}: " + used(f"$0.75 a {turn}", "$0.50", "$0.00")
            ), told
            assert f"The {turn} turns <t:" in told
            assert "Nothing was charged." in told
            await staff_clear(world, **whose)

        assert "is ordered" in await world.create(by=painter, prompt="The last")
        await world.settled()


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"operator_limits": "day 0.75"}, "the operator's limit for everybody"),
        ({"apixo_limits": "day 0.75"}, "the operator's limit for apixo"),
    ],
)
async def test_the_operators_caps_refuse_whatever_staff_allow(
    tmp_path: Path, settings: dict[str, Any], name: str
) -> None:
    async with open_world(tmp_path / "data", **settings) as world:
        await staff_set(world, "1000", member=world.member)
        await staff_set(world, "1000")
        assert "is ordered" in await world.create(prompt="The first")
        await world.settled()

        told = await world.create(prompt="The second")

        assert told.startswith(f"This would go over {name}: " + used("$0.75 a day", "$0.50", "$0.00"))


async def test_of_several_roles_the_most_generous_counts_and_an_own_limit_beats_it(world: World) -> None:
    small, large = world.guild.create_role("Interns"), world.guild.create_role("Designers")
    painter = world.guild.add_member(world.env.create_user("painter"), roles=[small, large])
    await staff_set(world, "0.40", role=small)
    await staff_set(world, "0.60", role=large)

    assert "is ordered" in await world.create(by=painter, prompt="The first")
    assert f"over the limit of <@&{large.id}>: $0.60 a month" in await world.create(
        by=painter, prompt="A fox"
    )

    await staff_set(world, "0.55", member=painter)
    assert "over your limit: $0.55 a month" in await world.create(by=painter, prompt="A fox")
    await staff_set(world, "5", member=painter)
    assert "is ordered" in await world.create(by=painter, prompt="The second")

    # Who has none of the roles keeps the default.
    assert "$100.00 left" in await world.ask("quota show")
    await world.settled()


async def test_a_limit_of_a_role_is_an_allowance_of_each_who_has_it(world: World) -> None:
    role = world.guild.create_role("Designers")
    people = [world.guild.add_member(world.env.create_user(name), roles=[role]) for name in ("ann", "ben")]
    await staff_set(world, "0.60", role=role)

    told = [await world.create(by=person, prompt="A fox") for person in people]

    assert all("is ordered" in sentence for sentence in told)
    assert f"over the limit of <@&{role.id}>" in await world.create(by=people[0], prompt="A fox")
    assert "$0.10 left** of $0.60 this month" in await world.ask("quota show", by=people[0])
    await world.settled()


async def test_a_limit_of_everyone_is_the_servers_default(world: World) -> None:
    await staff_set(world, "0.40", role=world.guild.default_role)

    assert f"the limit of <@&{world.guild.id}>: $0.40 a month" in await world.create(prompt="A fox")


async def test_jobs_at_once_are_counted_until_they_end(world: World) -> None:
    await staff_set(world, "1", member=world.member, period="at once")
    await staff_set(world, "2", period="at once")
    assert "is ordered" in await world.create(prompt="The first")

    told = await world.create(prompt="The second")

    assert told.startswith(
        "This would go over your limit: 1 job at once, and 1 runs now. Order when one has ended."
    )
    assert "is ordered" in await world.create(by=world.other, prompt="The other's")
    told = await world.create(by=world.other, prompt="The third here")
    assert told.startswith("This would go over this server's limit: 2 jobs at once, and 2 run now.")
    await world.settled()
    assert "is ordered" in await world.create(prompt="The second")
    await world.settled()


async def test_a_job_without_a_clip_gives_its_count_of_the_day_back(world: World) -> None:
    await staff_set(world, "1", member=world.member, period="jobs a day")
    await world.create(prompt="The first")
    told = await world.create(prompt="The second")
    assert told.startswith("This would go over your limit: 1 job a day, and 1 was ordered today.")
    assert f"The day turns <t:{MIDNIGHT}:R>." in told

    job = await world.job()
    await world.store.fail(job.job_id, PICTURE_REFUSED, now=world.time.now())
    await world.until_idle()

    assert "is ordered" in await world.create(prompt="The second")
    await world.settled()
    world.time.jump(days=1)
    assert "is ordered" in await world.create(prompt="Tomorrow's")
    await world.settled()


async def test_a_dearer_job_than_allowed_is_refused_and_a_cheaper_one_is_not(world: World) -> None:
    await staff_set(world, "0.60", channel=world.channel, period="job")

    told = await world.create(prompt="A fox", seconds=15)

    assert told == (
        f"This would go over the limit of <#{world.channel.id}>: $0.60 a job. This order costs ≈$0.75. "
        "Nothing was charged."
    )
    assert "is ordered" in await world.create(prompt="A fox", seconds=10)
    await world.settled()


async def test_a_thread_counts_in_the_channel_it_belongs_to(world: World) -> None:
    thread = await make_thread(world)
    elsewhere = world.guild.create_text_channel("elsewhere")
    await staff_set(world, "0.60", channel=world.channel)

    assert "is ordered" in await order_in(thread, world.member)
    assert f"over the limit of <#{world.channel.id}>" in await order_in(world.channel, world.other)
    assert f"over the limit of <#{world.channel.id}>" in await order_in(thread, world.other)
    assert "is ordered" in await order_in(elsewhere, world.other)
    await world.settled()


# Why


async def test_why_shows_every_layer_that_applies_here_and_names_the_binding_one(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"operator_limits": "month 500", "apixo_limits": "day 40, at once 9"}
    async with open_world(tmp_path / "data", **settings) as world:
        role = world.guild.create_role("Designers")
        painter = world.guild.add_member(world.env.create_user("painter"), roles=[role])
        elsewhere = world.guild.create_text_channel("elsewhere")
        await staff_set(world, "5", role=role, period="day")
        await staff_set(world, "3", member=painter, period="at once")
        await staff_set(world, "30", channel=world.channel, period="week")
        await staff_set(world, "9", channel=elsewhere)
        await staff_set(world, "80")
        await staff_set(world, "50", period="jobs a day")
        await world.create(by=painter, prompt="The first")
        await world.settled()
        await world.create(by=painter, prompt="The second")

        told = await world.ask("quota why", by=painter)

        week = MIDNIGHT + 86_400
        assert told.splitlines() == [
            f"**Binding here: the limit of <@&{role.id}>**, $4.00 left of $5.00 a day.",
            f"**The limit of <@&{role.id}>**",
            f"- $5.00 a day: $0.50 spent, $0.50 held, **$4.00 left**, turns <t:{MIDNIGHT}:R>",
            "**Your limit**",
            f"- $100.00 a month: $0.50 spent, $0.50 held, **$99.00 left**, turns <t:{TURN}:R>",
            "- 3 jobs at once: 1 now, 2 left",
            f"**The limit of <#{world.channel.id}>**",
            f"- $30.00 a week: $0.50 spent, $0.50 held, **$29.00 left**, turns <t:{week}:R>",
            "**This server's limit**",
            f"- $80.00 a month: $0.50 spent, $0.50 held, **$79.00 left**, turns <t:{TURN}:R>",
            f"- 50 jobs a day: 2 ordered today, 48 left, turns <t:{MIDNIGHT}:R>",
            "**The operator's limit for apixo**",
            f"- $40.00 a day: $0.50 spent, $0.50 held, **$39.00 left**, turns <t:{MIDNIGHT}:R>",
            "- 9 jobs at once: 1 now, 8 left",
            "**The operator's limit for everybody**",
            f"- $500.00 a month: $0.50 spent, $0.50 held, **$499.00 left**, turns <t:{TURN}:R>",
        ]
        await world.settled()
        await staff_set(world, "0.20", channel=world.channel, period="day")
        told = await world.ask("quota why", by=painter)
        assert told.startswith(
            f"**Binding here: the limit of <#{world.channel.id}>** of $0.20 a day: nothing is left."
        )


async def test_sums_over_several_servers_are_the_operators_alone(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", operator_monthly_limit="2") as world:
        guild = world.env.create_guild("Other team")
        channel = guild.create_text_channel("videos")
        stranger = guild.add_member(world.env.create_user("stranger"))
        assert "**$2.00 left**" in await world.ask("quota why")
        await world.restart(allowed_servers=[world.guild.id, guild.id])
        for _ in range(3):
            assert "is ordered" in await order_in(channel, stranger)
        await world.settled()

        told = await world.ask("quota why")
        assert told.startswith(
            "**Binding here: the operator's limit for everybody**; what is left of it only the operator sees."
        )
        assert "- $2.00 a month; what all servers together used of it only the operator sees" in told
        assert "$1.50" not in told
        assert "is ordered" in await world.create(prompt="The last")
        told = await world.create(prompt="One too many")
        assert told.startswith("This would go over the operator's limit for everybody: $2.00 a month. This")
        assert "$1.50" not in told

        make_operator(world, world.other)
        told = await world.ask("quota why", by=world.other)
        assert "- $2.00 a month: $1.50 spent, $0.50 held, **$0.00 left**" in told
        await world.settled()


async def test_the_longest_list_of_limits_still_fits_into_one_answer(tmp_path: Path) -> None:
    every = "day 999999.99, week 999999.99, month 999999.99, job 999999.99, at once 999, jobs a day 999"
    async with open_world(
        tmp_path / "data", operator_limits=every, apixo_limits=every, pixazo_limits=every, pixazo_api_key="k"
    ) as world:
        periods = ("day", "week", "month", "job", "at once", "jobs a day")
        roles = [world.guild.create_role(period) for period in periods]
        painter = world.guild.add_member(world.env.create_user("painter"), roles=roles)
        for number, (period, role) in enumerate(zip(periods, roles, strict=True)):
            amount = "999999.99" if number < 4 else "999"
            for whose in ({}, {"channel": world.channel}, {"role": role}):
                await staff_set(world, amount, period=period, **whose)

        told = await world.ask("quota why", by=painter)

        assert "**The operator's limit for everybody**" in told
        assert not told.endswith("…")


# Apart


async def test_staff_of_another_server_neither_see_nor_change_limits_here(world: World) -> None:
    await staff_set(world, "5", member=world.member)
    await staff_set(world, "70")
    guild = world.env.create_guild("Other team")
    channel = guild.create_text_channel("videos")
    lead = guild.add_member(
        world.env.create_user("lead"), roles=[guild.create_role("Lead", permissions=STAFF)]
    )

    shown = await lead.slash(channel, "video-admin quota show")
    assert "$70.00" not in str(shown.response.components)
    shown = await lead.slash(channel, "video-admin quota show", member=world.member.user)
    assert "no limit is set" in shown.response.content
    await lead.slash(channel, "video-admin quota set", amount="0", member=world.member.user)
    await lead.slash(channel, "video-admin quota clear")

    assert "$5.00 left" in await world.ask("quota show")
    assert "$70.00 a month" in await world.ask("video-admin quota show", by=world.staff)


# As the stores count


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


async def limit(books: Books, layer: Layer, amount: int, subject: int | str = "", **more: Any) -> None:
    measure = more.pop("measure", Measure.MONTH)
    found = Limit(layer=layer, measure=measure, amount=amount, subject=str(subject))
    await books.limits.set(SERVER, found, what="by hand", by=BOB, now=NOON, **more)


async def standings(
    books: Books, *, server_id: int = SERVER, user_id: int = ALICE, policy: Policy = UTC_POLICY
) -> list[Standing]:
    return await books.limits.standings(
        server_id=server_id,
        channel_id=CHANNEL,
        user_id=user_id,
        role_ids=frozenset(),
        account=Account.REAL,
        gateways=("apixo",),
        policy=policy,
        now=NOON,
    )


@pytest.mark.parametrize("layer", [Layer.MEMBER, Layer.ROLE, Layer.CHANNEL, Layer.SERVER])
@pytest.mark.parametrize("measure", [Measure.DAY, Measure.WEEK, Measure.MONTH])
async def test_every_layer_counts_in_every_period(books: Books, layer: Layer, measure: Measure) -> None:
    subject = {Layer.ROLE: ROLE, Layer.CHANNEL: CHANNEL}.get(layer, "")
    more = {"user_id": ALICE} if layer is Layer.MEMBER else {}
    await limit(books, layer, 70 * CENT, subject, measure=measure, **more)
    roles: dict[str, Any] = {"role_ids": frozenset({ROLE})}

    await books.bring(await books.place(30 * CENT, **roles), Stage.DONE)
    await books.place(30 * CENT, **roles)
    refused = await books.refusal(30 * CENT, **roles)

    assert (refused.standing.limit.layer, refused.standing.limit.measure) == (layer, measure)
    assert (refused.standing.sums.spent_micros, refused.standing.sums.held_micros) == (30 * CENT, 30 * CENT)
    assert refused.standing.period is not None
    later = refused.standing.period.turns_at
    assert await books.place(30 * CENT, at=later, **roles)


@pytest.mark.parametrize("layer", [Layer.KEY, Layer.OPERATOR])
@pytest.mark.parametrize("measure", list(Measure))
async def test_the_operators_caps_count_in_every_measure(
    books: Books, layer: Layer, measure: Measure
) -> None:
    amount = {Measure.JOB: 20 * CENT, Measure.AT_ONCE: 1, Measure.JOBS_A_DAY: 1}.get(measure, 50 * CENT)
    cap = Limit(layer=layer, measure=measure, amount=amount, subject="apixo" if layer is Layer.KEY else "")
    policy = dataclasses.replace(UTC_POLICY, caps=(cap,))
    await books.place(20 * CENT, policy=policy, server_id=SERVER + 1, user_id=BOB)

    refused = await books.refusal(40 * CENT, policy=policy)

    assert refused.standing.limit == cap
    assert refused.standing.is_hidden
    assert refused.draft is None
    if layer is Layer.KEY:
        assert await books.place(40 * CENT, policy=policy, gateway="pixazo")


async def test_the_operators_periods_turn_in_their_zone_and_the_servers_in_its_own(books: Books) -> None:
    await books.write("INSERT INTO servers (server_id, zone) VALUES (100, 'Pacific/Kiritimati')")
    cap = Limit(layer=Layer.OPERATOR, measure=Measure.DAY, amount=DOLLAR)
    policy = Policy(default_member_micros=DOLLAR, caps=(cap,), zone=ZoneInfo("America/New_York"))

    found = {one.limit.layer: one.period for one in await standings(books, policy=policy)}

    theirs, operators = found[Layer.MEMBER], found[Layer.OPERATOR]
    assert theirs is not None
    assert operators is not None
    assert theirs.turns_at == dt.datetime(2026, 11, 30, 10, tzinfo=dt.UTC)
    assert operators.turns_at == dt.datetime(2026, 11, 22, 5, tzinfo=dt.UTC)


async def test_a_job_of_a_role_is_charged_to_it_and_counts_for_the_member(books: Books) -> None:
    await limit(books, Layer.ROLE, DOLLAR, ROLE)
    await limit(books, Layer.ROLE, 50 * CENT, OTHER_ROLE)

    job = await books.place(30 * CENT, role_ids=frozenset({ROLE, OTHER_ROLE}))

    assert (job.charge.budget, job.charge.subject_id) == (Budget.ROLE, ROLE)
    (own,) = [one for one in await standings(books) if one.limit.layer.is_own]
    assert own.sums.held_micros == 30 * CENT  # also when the role is lost


async def test_somebody_who_never_ordered_has_the_default_and_no_row(books: Books) -> None:
    (own,) = await standings(books)

    assert own.left == DOLLAR
    assert await books.rows("SELECT * FROM members") == []


async def test_a_limit_holds_for_one_member_of_one_server(books: Books) -> None:
    await books.limit(5 * DOLLAR)

    assert (await standings(books))[0].left == 5 * DOLLAR
    assert (await standings(books, user_id=BOB))[0].left == DOLLAR
    assert (await standings(books, server_id=SERVER + 1))[0].left == DOLLAR


async def test_a_limit_set_again_replaces_the_first_and_cleared_gives_the_default(books: Books) -> None:
    await books.limit(5 * DOLLAR)
    await books.limit(0)
    await books.refusal(CENT)
    own = Limit(layer=Layer.MEMBER, measure=Measure.MONTH, amount=0)

    cleared = [
        await books.limits.clear(SERVER, own, user_id=user, what="by hand", by=BOB, now=NOON)
        for user in (ALICE, ALICE, 999)
    ]

    assert cleared == [True, False, False]
    assert (await standings(books))[0].left == DOLLAR


async def test_whose_a_limit_is_can_be_forgotten_and_the_limit_still_be_listed(books: Books) -> None:
    await limit(books, Layer.MEMBER, DOLLAR, user_id=987654321)
    await books.write("UPDATE members SET discord_id = NULL")

    for table in ("limits", "acts", "members"):
        assert all(987654321 not in row for row in await books.rows(f"SELECT * FROM {table}"))  # noqa: S608
    admin = LimitAdmin(store=books.limits, policy=UTC_POLICY, clock=lambda: NOON)
    (found,) = await admin.of_server(SERVER)
    assert (found.user_id, found.limit.amount) == (None, DOLLAR)
    assert await admin.of_one(SERVER, Whose(user_id=987654321)) == []


async def test_a_clock_that_jumps_back_moves_no_entry_to_another_period(books: Books) -> None:
    december = dt.datetime(2026, 12, 1, 0, 1, tzinfo=dt.UTC)
    job = await books.place(30 * CENT, at=december)

    await books.bring(job, Stage.DONE, at=december - dt.timedelta(hours=2))

    assert (await books.sums(at=december)).spent_micros == 30 * CENT
    assert (await books.sums(at=december - dt.timedelta(hours=2))).spent_micros == 0


async def test_the_sandboxs_money_fills_no_limit_of_real_money(books: Books) -> None:
    await books.place(DOLLAR, account=Account.SANDBOX)

    assert (await standings(books))[0].left == DOLLAR
    assert why(await standings(books), None, sandbox=True).endswith("-# This is the sandbox's play money.")
