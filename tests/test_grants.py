"""Grants on top of a limit, and refunds of a job: by staff, once, in the books and before members' eyes."""

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import discord
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from bot.errors import UserError
from bot.models import Account, Job, Stage
from bot.quotas import Layer, Limit, Measure, Sums
from storage.grants import GrantStore
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
from tests.fake_apixo import state
from tests.world import World, open_world

STAFF = discord.Permissions(manage_guild=True)


async def grant(world: World, amount: str, *, reason: str = "the launch") -> str:
    return await world.ask(
        "video-admin grant", by=world.staff, member=world.member, amount=amount, reason=reason
    )


async def refund(world: World, job: str, *, reason: str = "it was blurred") -> str:
    return await world.ask("video-admin refund", by=world.staff, job=job, reason=reason)


# As staff and members see it


async def test_a_grant_lifts_a_members_limit_until_the_month_turns(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", default_user_monthly_limit="0.40") as world:
        assert "over your limit" in await world.create(prompt="A fox")

        told = await grant(world, "$5")

        assert told == (
            f"<@{world.member.id}> may spend $5.00 more this month, on top of their own limit or that of "
            "their role; a limit for the day or the week is raised for this day or week alone. "
            "The month turns <t:1796083200:R>. Limits of the channel, the server and the operator hold."
        )
        assert "**$5.40 left** of $5.40 this month, $5.00 of it granted" in await world.ask("quota show")
        assert "is ordered" in await world.create(prompt="A fox")
        await world.settled()
        assert (
            "- $0.40 a month and $5.00 granted: $0.50 spent, $0.00 held, **$4.90 left**"
            in await world.ask("quota why")
        )
        world.time.jump(days=15)
        assert "**$0.40 left** of $0.40 this month" in await world.ask("quota show")
        assert "over your limit" in await world.create(prompt="A fox")


async def test_a_grant_lifts_the_limit_of_a_role_and_a_limit_of_nothing(world: World) -> None:
    await world.ask("video-admin quota set", by=world.staff, amount="0", role=world.guild.default_role)
    assert "over the limit of" in await world.create(prompt="A fox")

    await grant(world, "0.50")

    assert "is ordered" in await world.create(prompt="A fox")
    assert "and $0.50 granted" in await world.create(prompt="A fox")
    await world.settled()


async def test_a_grant_lifts_no_limit_of_channel_server_or_operator(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", operator_monthly_limit="0.75") as world:
        await grant(world, "50")
        await world.create(prompt="A fox")

        assert "over the operator's limit" in await world.create(prompt="A fox")
        await world.ask("video-admin quota set", by=world.staff, amount="0.60")
        assert "over the operator's limit" in await world.create(prompt="A fox")
        await world.settled()


@pytest.mark.parametrize("amount", ["0", "0.00", "-1", "five", "1.234", "1000001", "NaN"])
async def test_what_grants_nothing_is_refused_with_an_example(world: World, amount: str) -> None:
    told = await grant(world, amount)

    assert "like `12.50`, up to $1,000,000." in told
    assert "granted" not in await world.ask("quota show")


async def test_a_refund_gives_all_back_once_and_shows_on_the_card(world: World) -> None:
    await world.create(prompt="A fox")
    await world.settled()
    job = await world.job()
    assert "$99.50 left" in await world.ask("quota show")

    told = await refund(world, f" {job.job_id.upper()} ")

    assert told == (
        f"Job `{job.job_id}`: $0.50 given back to <@{world.member.id}>'s quota. It counts for the time in "
        f"which the job was ordered, <t:{int(job.created_at.timestamp())}:f>."
    )
    assert "**$100.00 left** of $100.00" in await world.ask("quota show")
    await world.settled()
    assert "$0.50 refunded" in await world.card(job)

    assert await refund(world, job.job_id) == (f"Job `{job.job_id}` was refunded already: $0.50 of $0.50.")
    assert "**$100.00 left** of $100.00" in await world.ask("quota show")


async def test_a_card_that_could_not_show_a_refund_does_so_after_a_restart(world: World) -> None:
    await world.create(prompt="A fox")
    await world.settled()
    job = await world.job()
    grants = GrantStore(world.database, world.store)
    await grants.refund(
        server_id=world.guild.id, job_id=job.job_id, reason="", by=world.staff.id, now=world.time.now()
    )
    assert "refunded" not in await world.card(job)

    await world.restart()
    await world.settled()

    assert "$0.50 refunded" in await world.card(job)


async def test_jobs_that_may_be_refunded_are_offered_newest_first(world: World) -> None:
    async def offered(typed: str = "") -> list[str]:
        found = await world.staff.autocomplete(world.channel, "video-admin refund", "job", typed)
        return [choice["value"] for choice in found]

    assert await offered() == []
    ids: list[str] = []
    for prompt in ("A fox", "A crow", "A heron"):
        await world.create(prompt=prompt)
        await world.settled()
        world.time.jump(seconds=1)
        ids.append((await world.job()).job_id)
    world.gateway.looks.append(state("failed", failCode="CONTENT_VIOLATION", failMsg="no"))
    await world.create(prompt="A kite")
    await world.settled()
    fox, crow, heron = ids
    assert await offered() == [heron, crow, fox]
    assert await offered("CROW") == [crow]
    await refund(world, crow)
    await world.settled()
    assert await offered() == [heron, fox]


async def test_a_refund_after_the_month_has_turned_counts_in_the_month_of_the_order(world: World) -> None:
    await world.create(prompt="A fox")
    await world.settled()
    world.time.jump(days=15)

    await refund(world, (await world.job()).job_id)

    assert "**$100.00 left** of $100.00 this month" in await world.ask("quota show")
    await world.settled()


async def test_a_refund_of_a_purses_job_fills_the_purse(world: World) -> None:
    await world.ask("video-admin purse open", by=world.staff, amount="5")
    await world.create(prompt="A fox")
    await world.settled()

    told = await refund(world, (await world.job()).job_id)

    assert f"$0.50 given back to the purse of <#{world.channel.id}>." in told
    assert "**$5.00 left** of $5.00" in await world.ask("video-admin purse show", by=world.staff)
    await world.settled()


async def test_what_has_cost_nothing_is_not_refunded(world: World) -> None:
    await world.create(prompt="A fox")
    job = await world.job()
    assert (await refund(world, job.job_id)).startswith(
        f"Job `{job.job_id}` has spent nothing yet: $0.50 is held."
    )
    await world.store.fail(job.job_id, PICTURE_REFUSED, now=world.time.now())
    assert await refund(world, job.job_id) == (
        f"Job `{job.job_id}` cost nothing: what it held was returned when it ended."
    )
    assert await refund(world, "no`body") == (
        "There is no job `no\u02cbbody` in this server. Its card names a job's id."
    )
    await world.until_idle()


async def test_grants_and_refunds_are_audited_with_who_whom_and_why_and_without_names(world: World) -> None:
    await world.create(prompt="A fox")
    await world.settled()
    job = await world.job()
    await grant(world, "5", reason=f"<@!{world.member.id}> asked")
    await refund(world, job.job_id, reason="blurred")
    await world.settled()

    async with world.database.read() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT act, what, acts.reason, actor.discord_id, about.discord_id, kind, amount_micros, "
            "ledger.reason, ledger.actor_id = acts.actor_id FROM acts "
            "JOIN members AS actor ON actor.member_id = acts.actor_id "
            "JOIN members AS about ON about.member_id = about_id JOIN ledger USING (act_id) ORDER BY at, kind"
        )
        staff, member = world.staff.id, world.member.id
        assert {tuple(row) for row in rows} == {
            ("grant", "$5.00", "@somebody asked", staff, member, "grant", 5 * DOLLAR, "@somebody asked", 1),
            (
                "refund",
                f"$0.50 of job {job.job_id}",
                "blurred",
                staff,
                member,
                "correction",
                50 * CENT,
                "blurred",
                1,
            ),
        }


async def test_staff_of_another_server_refund_and_grant_nothing_here(world: World) -> None:
    await world.create(prompt="A fox")
    await world.settled()
    job = await world.job()
    guild = world.env.create_guild("Other team")
    channel = guild.create_text_channel("videos")
    lead = guild.add_member(
        world.env.create_user("lead"), roles=[guild.create_role("Lead", permissions=STAFF)]
    )

    told = await lead.slash(channel, "video-admin refund", job=job.job_id, reason="mine")
    assert told.response.content.startswith(f"There is no job `{job.job_id}` in this server.")
    await lead.slash(channel, "video-admin grant", member=world.member.user, amount="5", reason="mine")

    assert "**$99.50 left** of $100.00 this month\n" in await world.ask("quota show")


# In the books


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


async def give(books: Books, amount: int, *, at: dt.datetime = NOON, to: int = ALICE) -> None:
    await GrantStore(books.database, books.jobs).grant(
        server_id=SERVER,
        user_id=to,
        account=Account.REAL,
        amount_micros=amount,
        reason="by hand",
        by=BOB,
        now=at,
    )


async def give_back(books: Books, job: Job, *, at: dt.datetime = NOON) -> Job:
    return await GrantStore(books.database, books.jobs).refund(
        server_id=SERVER, job_id=job.job_id, reason="by hand", by=BOB, now=at
    )


async def test_a_grant_counts_in_the_periods_that_contain_it_and_in_no_other(books: Books) -> None:
    for measure in (Measure.DAY, Measure.WEEK, Measure.MONTH):
        await books.limit(10 * CENT, measure=measure)
    await give(books, 30 * CENT)  # on a Saturday
    await books.place(40 * CENT)

    sunday, monday = NOON + dt.timedelta(days=1), NOON + dt.timedelta(days=2)
    december = NOON + dt.timedelta(days=10)
    refused = [await books.refusal(CENT * 11, at=at) for at in (NOON, sunday, monday, december)]

    granted = [one.standing.sums.granted_micros for one in refused]
    assert (granted[0], granted[3]) == (30 * CENT, 0)
    assert await books.place(10 * CENT, at=december)
    # On Sunday only week and month have it, on Monday only the month.
    for at, lifted in ((sunday, {Measure.WEEK, Measure.MONTH}), (monday, {Measure.MONTH})):
        found = await books.limits.standings(
            server_id=SERVER,
            channel_id=CHANNEL,
            user_id=ALICE,
            role_ids=frozenset(),
            account=Account.REAL,
            gateways=(),
            policy=UTC_POLICY,
            now=at,
        )
        assert {one.limit.measure for one in found if one.sums.granted_micros} == lifted


async def test_a_grant_is_one_members_and_fills_no_other_sum(books: Books) -> None:
    await give(books, 50 * CENT)

    assert (await books.sums()).granted_micros == 50 * CENT
    assert await books.sums(None) == Sums()
    await books.place(150 * CENT)
    await books.refusal(150 * CENT, user_id=BOB)


@pytest.mark.parametrize("stage", [Stage.DELIVERING, Stage.DONE])
async def test_a_refund_takes_back_what_was_settled_from_every_sum(books: Books, stage: Stage) -> None:
    job = await books.bring(await books.place(30 * CENT), stage)
    cap = Limit(layer=Layer.SERVER, measure=Measure.MONTH, amount=40 * CENT)
    await books.limits.set(SERVER, cap, what="by hand", by=BOB, now=NOON)
    await books.refusal(30 * CENT)

    refunded = await give_back(books, job, at=NOON + dt.timedelta(days=60))

    assert (refunded.settled_micros, refunded.corrected_micros) == (30 * CENT, 30 * CENT)
    assert await books.entries(job) == [("hold", 30 * CENT), ("settle", 30 * CENT), ("correction", 30 * CENT)]
    assert (await books.sums()).spent_micros == 0
    assert (await books.sums(None)).spent_micros == 0
    assert await books.place(30 * CENT)


async def test_a_job_that_cost_less_than_quoted_is_refunded_what_it_cost(books: Books) -> None:
    job = await books.bring(await books.place(30 * CENT), Stage.RENDERING)
    await books.jobs.rendered(job.job_id, ["https://cdn.example/a.mp4"], cost_micros=20 * CENT, now=NOON)
    await books.jobs.fetched(job.job_id, Path("a.mp4"), now=NOON)

    assert (await give_back(books, job)).corrected_micros == 20 * CENT
    assert (await books.sums()) == Sums(jobs=1)


async def test_what_may_be_refunded_is_one_servers_and_read_by_its_index(books: Books) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    for server in (SERVER, SERVER + 1):
        await books.bring(await books.place(30 * CENT, server_id=server), Stage.DONE)
    event.listen(Engine, "before_cursor_execute", note)
    found = await GrantStore(books.database, books.jobs).refundable(SERVER, limit=25)
    event.remove(Engine, "before_cursor_execute", note)

    assert [job.server_id for job in found] == [SERVER]
    ((statement, parameters),) = [one for one in asked if "ledger" in one[0]]
    async with books.database.read() as connection:
        plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        steps: list[str] = [row.detail for row in plan]
    assert any("jobs_by_server (server_id=?)" in step for step in steps), steps
    assert not [step for step in steps if step.startswith("SCAN") or "ORDER BY" in step], steps


async def test_of_two_refunds_at_once_one_is_refused(books: Books) -> None:
    job = await books.bring(await books.place(30 * CENT), Stage.DONE)

    outcomes = await asyncio.gather(*[give_back(books, job) for _ in range(5)], return_exceptions=True)

    assert sum(isinstance(outcome, Job) for outcome in outcomes) == 1
    assert all("was refunded already" in str(one) for one in outcomes if not isinstance(one, Job))
    assert len(await books.rows("SELECT * FROM acts")) == 1


@pytest.mark.parametrize(
    "stage", [Stage.QUEUED, Stage.UNCERTAIN, Stage.RENDERING, Stage.FAILED, Stage.CANCELLED]
)
async def test_only_what_is_settled_is_refunded(books: Books, stage: Stage) -> None:
    job = await books.bring(await books.place(30 * CENT), stage)
    before = await books.entries(job)

    with pytest.raises(UserError, match=f"Job `{job.job_id}` (cost nothing|has spent nothing)"):
        await give_back(books, job)

    assert await books.entries(job) == before
    assert await books.rows("SELECT * FROM acts") == []


async def test_nothing_is_promised_for_a_job_that_the_gateway_may_not_have(books: Books) -> None:
    job = await books.bring(await books.place(30 * CENT), Stage.UNCERTAIN)

    with pytest.raises(UserError) as refused:
        await give_back(books, job)

    assert str(refused.value) == (
        f"Job `{job.job_id}` has spent nothing yet: it is unclear whether the gateway has it, so its $0.30 "
        "stays held. `/video-admin uncertain release` gives it back."
    )


async def test_a_free_job_has_nothing_to_refund(books: Books) -> None:
    job = await books.bring(await books.place(0), Stage.DONE)

    with pytest.raises(UserError, match=f"Job `{job.job_id}` cost nothing."):
        await give_back(books, job)
