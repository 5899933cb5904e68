"""Channel purses: jobs there are charged to them while they last, and members' own limits stay untouched."""

import datetime as dt
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import discord
import pytest

from bot.errors import BadOrder
from bot.funds import end_of_day
from bot.models import Account, Budget, Stage
from bot.quotas import Layer, Limit, Measure, Sums
from tests.acting import click
from tests.books import ALICE, BOB, CENT, CHANNEL, DOLLAR, NOON, SERVER, Books, open_books
from tests.world import World, open_world

STAFF = discord.Permissions(manage_guild=True)


async def purse(world: World, act: str, **options: Any) -> str:
    return await world.ask(f"video-admin purse {act}", by=world.staff, **options)


async def order_in(channel: Any, member: Any) -> str:
    result = await member.slash(channel, "video create", prompt="A fox")
    return result.response.content


async def make_thread(world: World) -> Any:
    world.env.backend.create_thread(world.channel.id, "a thread", world.member.id)
    await world.env.settle()
    return world.channel.threads[0]


# As members and staff see it


async def test_jobs_are_charged_to_the_purse_and_leave_the_quota_untouched(world: World) -> None:
    told = await purse(world, "open", amount="50", until="12 Dec", reason="the launch")
    assert told == (
        f"<#{world.channel.id}> has a purse of $50.00 until <t:1797120000:f>. While it lasts, jobs there are "
        "charged to it and not to members' own quotas. Their limits of dollars a job, jobs at once and jobs "
        "a day hold, and so do all limits of channel, server and operator."
    )
    assert "is ordered" in await world.create(prompt="A fox")
    await world.settled()
    assert "is ordered" in await order_in(await make_thread(world), world.member)

    assert (await world.ask("quota show")).splitlines() == [
        "**$100.00 left** of $100.00 this month",
        "Spent: $0.00",
        "Held by running jobs: $0.00",
        "The month turns <t:1796083200:R> (<t:1796083200:f>).",
        (
            "**This channel's purse: $49.00 left** of $50.00 ($0.50 spent, $0.50 held, until "
            "<t:1797120000:f>). Orders here are charged to it, not to your own quota, while it can pay them."
        ),
    ]
    assert (await world.job()).charge.budget is Budget.PURSE
    await world.settled()


async def test_why_says_that_the_purse_stands_in_for_own_limits(world: World) -> None:
    await purse(world, "open", amount="2")
    await world.ask("video-admin quota set", by=world.staff, amount="40")
    await world.ask(
        "video-admin quota set", by=world.staff, amount="3", period="at once", member=world.member
    )

    lines = (await world.ask("quota why")).splitlines()

    assert lines[0] == "**Binding here: this channel's purse**, $2.00 left."
    assert lines[1].startswith("**This channel's purse: $2.00 left** of $2.00")
    assert lines[2] == "**Your limit**"
    assert lines[3].startswith("- $100.00 a month: $0.00 spent, $0.00 held, **$100.00 left**, turns")
    assert lines[3].endswith(" (the purse pays instead)")
    assert lines[4] == "- 3 jobs at once: 0 now, 3 left"
    assert lines[5] == "**This server's limit**"

    await world.ask("video-admin quota set", by=world.staff, amount="1")
    told = await world.ask("quota why")
    assert told.startswith("**Binding here: this server's limit**, $1.00 left of $1.00 a month.")


async def test_who_has_no_quota_left_may_order_from_a_purse(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", default_user_monthly_limit="0") as world:
        assert "over your limit" in await world.create(prompt="A fox")
        await purse(world, "open", amount="0.75")

        assert "is ordered" in await world.create(prompt="A fox")
        assert "over your limit" in await world.create(prompt="A fox")  # $0.25 do not pay it
        elsewhere = world.guild.create_text_channel("elsewhere")
        assert "over your limit" in await order_in(elsewhere, world.member)
        await world.settled()


async def test_a_refusal_says_why_the_purse_does_not_pay(world: World) -> None:
    await purse(world, "open", amount="0.25")
    await world.ask("video-admin quota set", by=world.staff, amount="0", member=world.member)

    told = await world.create(prompt="A fox")

    assert told.startswith("This would go over your limit: $0.00 a month")
    assert "This channel's purse has $0.25 left, not enough for it: your own quota counts." in told
    assert "may order no videos here from your own quota" in (await world.ask("quota show")).replace(
        "You", ""
    )


async def test_jobs_at_once_refuse_also_where_a_purse_pays(world: World) -> None:
    await purse(world, "open", amount="50")
    await world.ask(
        "video-admin quota set", by=world.staff, amount="1", period="at once", member=world.member
    )
    assert "is ordered" in await world.create(prompt="The first")

    assert "over your limit: 1 job at once, and 1 runs now" in await world.create(prompt="The second")
    told = await world.ask("quota why")
    assert told.startswith("**Binding here: your limit** of 1 job at once: nothing is left.")
    await world.settled()
    assert "is ordered" in await world.create(prompt="The third")
    await world.settled()


async def test_a_purse_that_cannot_pay_leaves_the_job_to_the_members_quota_and_says_so(world: World) -> None:
    await purse(world, "open", amount="0.75")
    await world.create(prompt="The first")
    await world.settled()

    told = await world.create(prompt="The second")

    assert "This channel's purse has $0.25 left, not enough for it: your own quota counts." in told
    assert (await world.job()).charge.budget is Budget.MEMBER
    assert "$99.50 left" in await world.ask("quota show")
    await world.settled()


@pytest.mark.parametrize(
    ("settings", "whose", "name"),
    [
        ({}, {"period": "day"}, "this server's limit"),
        ({}, {"period": "day", "channel": True}, "the limit of <#"),
        ({"operator_limits": "day 0.75"}, None, "the operator's limit for everybody"),
        ({"apixo_limits": "day 0.75"}, None, "the operator's limit for apixo"),
    ],
)
async def test_limits_of_channel_server_and_operator_hold_over_a_purse(
    tmp_path: Path, settings: dict[str, Any], whose: dict[str, Any] | None, name: str
) -> None:
    async with open_world(tmp_path / "data", **settings) as world:
        await purse(world, "open", amount="50")
        if whose is not None:
            named = {**whose, "channel": world.channel} if "channel" in whose else whose
            await world.ask("video-admin quota set", by=world.staff, amount="0.75", **named)
        assert "is ordered" in await world.create(prompt="The first")

        assert f"This would go over {name}" in await world.create(prompt="The second")
        await world.settled()


async def test_a_purse_ends_with_its_last_day_and_stays_readable(world: World) -> None:
    await purse(world, "open", amount="50", until="2026-11-22")
    await world.create(prompt="In time")
    await world.settled()
    world.time.jump(hours=36 - 1)
    await world.create(prompt="Just in time")
    assert (await world.job()).charge.budget is Budget.PURSE
    await world.settled()

    world.time.jump(hours=1)
    await world.create(prompt="Too late")

    assert (await world.job()).charge.budget is Budget.MEMBER
    assert "purse" not in await world.ask("quota show")
    shown = await purse(world, "show")
    assert shown.startswith(
        f"<#{world.channel.id}> **over** <t:1795392000:f> · $1.00 spent, $0.00 held of $50.00 · opened <t:"
    )
    # It need not be closed for another one to be opened.
    await purse(world, "open", amount="3")
    shown = await purse(world, "show")
    assert shown.startswith(
        f"<#{world.channel.id}> **$3.00 left** of $3.00 · $0.00 spent, $0.00 held · opened"
    )
    assert "**over**" in shown
    await world.settled()


async def test_a_closed_purse_pays_for_what_it_holds_and_nothing_new(world: World) -> None:
    await purse(world, "open", amount="50")
    await world.create(prompt="The first")

    told = await purse(world, "close", reason="launched")

    assert told.startswith(
        f"The purse of <#{world.channel.id}> is closed. Jobs that were charged to it go on;"
    )
    assert "is ordered" in await world.create(prompt="The second")
    await world.settled()
    assert "**closed** <t:" in await purse(world, "show")
    assert "$0.50 spent, $0.00 held of $50.00" in await purse(world, "show")
    assert "Spent: $0.50" in await world.ask("quota show")
    assert await purse(world, "close") == (
        f"<#{world.channel.id}> has no open purse. `/video-admin purse show` lists them."
    )


async def test_one_that_is_over_by_its_date_can_be_closed_too(world: World) -> None:
    await purse(world, "open", amount="50", until="21 Nov")
    world.time.jump(days=2)

    assert "is closed" in await purse(world, "close")
    assert "has no open purse" in await purse(world, "close")
    assert "**over**" in await purse(world, "show")


async def test_a_channel_has_one_purse_at_a_time_and_every_act_is_audited(world: World) -> None:
    elsewhere = world.guild.create_text_channel("elsewhere")
    assert await purse(world, "show") == (
        "No channel here has had a purse. `/video-admin purse open` gives it one."
    )
    await purse(world, "open", amount="5", reason="the launch")
    assert (await purse(world, "open", amount="9")).startswith("This channel has a purse already.")
    assert "<#" in await purse(world, "open", amount="9", channel=elsewhere, until="2026-12-12")
    await purse(world, "close", reason="over")

    async with world.database.read() as connection:
        rows = await connection.exec_driver_sql("SELECT act, what, reason FROM acts ORDER BY rowid")
        assert [tuple(row) for row in rows] == [
            ("purse open", f"$5.00 for <#{world.channel.id}>", "the launch"),
            ("purse open", f"$9.00 for <#{elsewhere.id}> until 2026-12-13 00:00 UTC", ""),
            ("purse close", f"<#{world.channel.id}>", "over"),
        ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"amount": "0"}, "That gives nothing. Write dollars"),
        ({"amount": "-5"}, "That is no amount. Write dollars"),
        ({"amount": "1e3"}, "That is no amount. Write dollars"),
        (
            {"amount": "5", "until": "2026-11-20"},
            "That day is over. Write one from today on, like `2026-12-12`.",
        ),
        (
            {"amount": "5", "until": "soon"},
            "That is no day I can read. Write it like `2026-12-12` or `12 Dec`",
        ),
        ({"amount": "5", "until": "2026-02-30"}, "That is no day I can read."),
        ({"amount": "5", "until": "9999-12-31"}, "That is no day I can read."),
    ],
)
async def test_bad_amounts_and_days_are_refused_with_an_example(
    world: World, options: dict[str, str], told: str
) -> None:
    assert (await purse(world, "open", **options)).startswith(told)
    assert (await purse(world, "show")).startswith("No channel here has had a purse.")


async def test_purses_of_another_server_are_not_shown_spent_or_closed(world: World) -> None:
    await purse(world, "open", amount="50")
    guild = world.env.create_guild("Other team")
    channel = guild.create_text_channel("videos")
    lead = guild.add_member(
        world.env.create_user("lead"), roles=[guild.create_role("Lead", permissions=STAFF)]
    )
    await world.restart(allowed_servers=[world.guild.id, guild.id])

    shown = await lead.slash(channel, "video-admin purse show")
    assert "No channel here has had a purse." in str(shown.response.components)
    closed = await lead.slash(channel, "video-admin purse close")
    assert "has no open purse" in closed.response.content
    assert "is ordered" in await order_in(channel, lead)
    await world.settled()
    assert "**$50.00 left** of $50.00" in await purse(world, "show")


async def test_many_purses_are_shown_page_by_page_the_open_ones_first(world: World) -> None:
    for _ in range(20):
        await purse(world, "open", amount="5")
        await purse(world, "close")
    await purse(world, "open", amount="7")
    result = await world.staff.slash(world.channel, "video-admin purse show")
    assert "**$7.00 left**" in str(result.response.components)

    pressed = await click(world.staff, result, "More")

    assert "**$7.00 left**" not in str(pressed.response.components)
    assert "Back" in str(pressed.response.components)


# Days


@pytest.mark.parametrize(
    ("typed", "zone", "ends_at"),
    [
        ("2026-12-12", "UTC", "2026-12-13T00:00"),
        ("12 Dec", "UTC", "2026-12-13T00:00"),
        ("12 december", "UTC", "2026-12-13T00:00"),
        ("Dec 12", "UTC", "2026-12-13T00:00"),
        ("Dec. 12, 2027", "UTC", "2027-12-13T00:00"),
        (" 1 Jan ", "UTC", "2027-01-02T00:00"),  # the next one
        ("29 Feb 2028", "UTC", "2028-03-01T00:00"),
        ("2026-11-21", "UTC", "2026-11-22T00:00"),  # today
        ("2026-12-12", "America/New_York", "2026-12-13T05:00"),
        ("2026-12-12", "Pacific/Kiritimati", "2026-12-12T10:00"),
        ("2027-03-27", "Europe/Berlin", "2027-03-27T23:00"),
        ("2027-03-28", "Europe/Berlin", "2027-03-28T22:00"),
        ("2027-04-29", "Africa/Cairo", "2027-04-29T22:00"),  # the day after has no midnight
    ],
)
def test_a_purse_lasts_to_the_end_of_its_last_day_in_the_servers_zone(
    typed: str, zone: str, ends_at: str
) -> None:
    assert end_of_day(typed, ZoneInfo(zone), NOON).strftime("%Y-%m-%dT%H:%M") == ends_at


@pytest.mark.parametrize("typed", ["", "12", "Dec", "12/12/2026", "31 Nov", "2026-13-01", "1e3", "tomorrow"])
def test_what_is_no_day_is_refused(typed: str) -> None:
    with pytest.raises(BadOrder, match="no day I can read"):
        end_of_day(typed, ZoneInfo("UTC"), NOON)


def test_today_is_over_where_it_is_tomorrow_already() -> None:
    with pytest.raises(BadOrder, match="That day is over"):
        end_of_day("2026-11-21", ZoneInfo("Pacific/Kiritimati"), NOON)


# As the stores count


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


async def stands(books: Books, *, at: dt.datetime = NOON) -> tuple[int, int, int]:
    found = await books.purses.open_in(SERVER, CHANNEL, Account.REAL, now=at)
    assert found is not None
    return found.spent_micros, found.held_micros, found.left_micros


async def test_a_purse_counts_holds_settles_and_what_failed_gives_back(books: Books) -> None:
    await books.purse(DOLLAR)
    first, second, third = [await books.place(30 * CENT) for _ in range(3)]
    assert await stands(books) == (0, 90 * CENT, 10 * CENT)

    await books.bring(first, Stage.DONE)
    await books.bring(second, Stage.FAILED)
    await books.bring(third, Stage.CANCELLED)

    assert await stands(books) == (30 * CENT, 0, 70 * CENT)
    assert await books.sums() == Sums(jobs=1)  # the job is the member's, its money the purse's


async def test_the_last_cent_of_a_purse_can_be_spent(books: Books) -> None:
    await books.purse(60 * CENT)

    jobs = [await books.place(30 * CENT) for _ in range(3)]

    assert [job.charge.budget for job in jobs] == [Budget.PURSE, Budget.PURSE, Budget.MEMBER]
    assert await stands(books) == (0, 60 * CENT, 0)


async def test_what_a_purse_pays_counts_for_channel_and_server(books: Books) -> None:
    await books.purse(9 * DOLLAR)
    cap = Limit(layer=Layer.SERVER, measure=Measure.MONTH, amount=50 * CENT)
    await books.limits.set(SERVER, cap, what="by hand", by=BOB, now=NOON)
    await books.place(30 * CENT)

    refused = await books.refusal(30 * CENT)

    assert refused.standing.limit == cap
    assert refused.standing.sums.held_micros == 30 * CENT
    assert refused.draft is None


@pytest.mark.parametrize(
    ("measure", "amount"), [(Measure.AT_ONCE, 1), (Measure.JOBS_A_DAY, 1), (Measure.JOB, 29 * CENT)]
)
@pytest.mark.parametrize("layer", [Layer.MEMBER, Layer.ROLE])
@pytest.mark.parametrize("is_purses_first", [True, False])
async def test_what_is_no_budget_of_a_member_or_role_holds_whoever_pays(
    books: Books, layer: Layer, measure: Measure, amount: int, is_purses_first: bool
) -> None:
    who: dict[str, Any] = {"role_ids": frozenset({8})}
    subject = "8" if layer is Layer.ROLE else ""
    limit = Limit(layer=layer, measure=measure, amount=amount, subject=subject)
    user = ALICE if layer is Layer.MEMBER else None
    await books.limits.set(SERVER, limit, user_id=user, what="by hand", by=BOB, now=NOON)
    await books.limit(DOLLAR, measure=Measure.DAY)
    await books.purse(50 * DOLLAR)
    elsewhere: dict[str, Any] = {"channel_id": 201, "home_channel_id": 201}
    first, second = ({}, elsewhere) if is_purses_first else (elsewhere, {})
    placed = await books.place(20 * CENT, **who, **first)
    assert placed.charge.budget is (Budget.PURSE if is_purses_first else Budget.MEMBER)

    refused = await books.refusal(30 * CENT, **who, **second)

    assert refused.standing.limit == limit


async def test_a_purse_stands_in_for_the_budgets_of_a_member(books: Books) -> None:
    for measure in (Measure.DAY, Measure.WEEK, Measure.MONTH):
        await books.limit(0, measure=measure)
    await books.purse(DOLLAR)

    assert (await books.place(30 * CENT)).charge.budget is Budget.PURSE


async def test_more_purses_than_a_query_may_join_are_read(books: Books) -> None:
    for number in range(600):
        await books.write(
            "INSERT INTO purses (server_id, channel_id, amount_micros, opened_at) "
            "VALUES (100, :channel, 5, '2026-11-21T12:00:00.000000Z')",
            channel=number,
        )

    assert len(await books.purses.of_server(SERVER, Account.REAL)) == 25
