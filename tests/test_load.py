"""What one member's rush does to others: nothing. Cool-downs, and how many orders may wait."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.cooldown import BURST, Cooldown
from bot.errors import UserError
from bot.models import Draft, Job, Quote, Stage
from bot.wishes import Order
from storage import waiting
from storage.schema import jobs
from tests.acting import at_once, rush, world_with_a_waiting_job
from tests.books import BOB, CENT, DOLLAR, NOON, SERVER, UTC_POLICY, Books, new_job, open_books
from tests.clock import FakeClock
from tests.world import World, open_world, picture

ORDER = ("video create", {"prompt": "A fox"})

# Cool-downs


def acts(cooldown: Cooldown, times: int, *, server: int = 1, user: int = 1) -> int:
    """How many of so many acts at once are let through."""
    return sum(cooldown.wait_for(server, user) is None for _ in range(times))


async def test_a_member_may_act_a_burst_at_once_and_then_at_the_pace() -> None:
    clock = FakeClock()
    cooldown = Cooldown(clock=clock.now, burst=3, seconds_each=2)
    assert acts(cooldown, 10) == 3
    await clock.advance(1.9)
    assert acts(cooldown, 10) == 0
    await clock.advance(0.1)
    assert acts(cooldown, 10) == 1
    await clock.advance(4)
    assert acts(cooldown, 10) == 2
    await clock.advance(3600)  # to rest saves up no more than the burst
    assert acts(cooldown, 10) == 3


def test_members_cool_down_apart_and_so_does_one_in_two_servers() -> None:
    cooldown = Cooldown(clock=FakeClock().now, burst=2)
    assert [acts(cooldown, 5, server=server, user=user) for server, user in ((1, 1), (1, 2), (2, 1))] == [
        2
    ] * 3


async def test_the_refusal_says_when_to_try_again_and_that_is_true() -> None:
    clock = FakeClock()
    cooldown = Cooldown(clock=clock.now, burst=1, seconds_each=7.5)
    cooldown.check(1, 1)
    with pytest.raises(UserError, match=r"^That was too fast\. Try again in 8 s; nothing was charged\.$"):
        cooldown.check(1, 1)
    await clock.advance(8)
    cooldown.check(1, 1)


def test_a_clock_that_is_set_back_keeps_nobody_out_for_longer() -> None:
    clock = FakeClock()
    cooldown = Cooldown(clock=clock.now, burst=2, seconds_each=5)
    assert acts(cooldown, 3) == 2
    clock.set(clock.now() - dt.timedelta(days=1))
    assert cooldown.wait_for(1, 1) == dt.timedelta(seconds=5)


def test_the_memory_is_bounded_and_loses_who_acted_longest_ago() -> None:
    cooldown = Cooldown(clock=FakeClock().now, burst=1)
    assert all(acts(cooldown, 2, user=user) == 1 for user in range(10_001))
    assert acts(cooldown, 1, user=10_000) == 0
    assert acts(cooldown, 1, user=0) == 1


async def test_a_flood_of_one_member_stores_a_burst_and_leaves_the_others_served(tmp_path: Path) -> None:
    async with open_world(tmp_path, started=False) as world:
        one, last = (world.other, *ORDER), (world.staff, "quota show", dict[str, str]())
        flood = [(world.member, *ORDER)] * 200
        told = await at_once(world, *flood[:100], one, *flood[100:], last)

        assert "is ordered" in told[100]
        assert "left" in told[-1]
        theirs = Counter("is ordered" in sentence for sentence in told[:100] + told[101:-1])
        assert theirs == {True: BURST, False: 200 - BURST}
        refused = {sentence for sentence in told if "too fast" in sentence}
        assert refused == {"That was too fast. Try again in 1 s; nothing was charged."}
        stored = await world.store.unfinished()
        assert Counter(job.user_id for job in stored) == {world.member.id: BURST, world.other.id: 1}
        assert all(job.held_micros == job.quote.micros for job in stored)

        world.time.jump(seconds=1)
        assert "is ordered" in (await rush(world, *ORDER, 1))[0]
        assert "too fast" in (await rush(world, *ORDER, 1))[0]


async def test_presses_and_mentions_cool_down_too_and_a_flood_of_mentions_is_answered_once(
    tmp_path: Path,
) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        await rush(world, "quota show", {}, BURST)
        pressed = await world.member.click(await world.card_message(), label="Cancel")
        assert "too fast" in pressed.response.content
        me = world.app.bot.user
        for _ in range(3):
            await world.member.send(world.channel, f"{me.mention} a fox")
        assert [message.content for message in world.answers()] == [
            "That was too fast. Try again in 1 s; nothing was charged."
        ]
        assert len(await world.jobs()) == 1
        world.time.jump(seconds=1)
        await world.member.click(await world.card_message(), label="Cancel")
        assert (await world.job()).stage is Stage.CANCELLED


async def test_choices_have_a_cool_down_of_their_own_and_are_left_out_beyond_it(world: World) -> None:
    async def offered() -> int:
        return len(await world.member.autocomplete(world.channel, "video create", "model", ""))

    assert await offered() > 0
    assert acts(world.app.bot.choosing, BURST, server=world.guild.id, user=world.member.id) == BURST - 1
    assert await offered() == 0
    assert "left" in await world.ask("quota show")


class SlowUpload:
    """A picture that is not handed out before the test says so."""

    filename, size = "fox.png", 1000

    def __init__(self) -> None:
        self.asked, self.given = asyncio.Event(), asyncio.Event()

    async def read(self) -> bytes:
        self.asked.set()
        await self.given.wait()
        return picture()


async def test_pictures_of_one_member_keep_no_other_waiting(world: World) -> None:
    def order(number: int, member: Any, upload: SlowUpload) -> asyncio.Task[Any]:
        wish = Order(
            origin=f"test:{number}",
            server_id=world.guild.id,
            channel_id=world.channel.id,
            home_channel_id=world.channel.id,
            user_id=member.id,
            prompt="A fox",
            picture=upload,
        )
        return asyncio.create_task(world.app.jobs.order(wish))

    many = [SlowUpload() for _ in range(6)]
    ordered = [order(number, world.member, upload) for number, upload in enumerate(many)]
    one = SlowUpload()
    one.given.set()
    async with asyncio.timeout(30):
        asked = [asyncio.create_task(upload.asked.wait()) for upload in many]
        _, rest = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        await order(9, world.other, one)
    assert sum(upload.asked.is_set() for upload in many) == 1
    for task in (*ordered, *rest):
        task.cancel()
    await asyncio.gather(*ordered, *rest, return_exceptions=True)
    await world.settled()


# How many orders may wait


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


async def copy(books: Books, job: Job, times: int) -> None:
    """Put the same job into the line so many times more."""
    async with books.database.write() as connection:
        found = await connection.execute(sa.select(jobs).where(jobs.c.job_id == job.job_id))
        row = found.mappings().one()
        await connection.execute(
            sa.insert(jobs),
            [{**row, "job_id": f"{job.job_id}-{n}", "origin": f"{job.origin}-{n}"} for n in range(times)],
        )


async def test_a_member_may_have_a_hundred_orders_in_line_and_not_one_more(books: Books) -> None:
    first = await books.place(CENT)
    await copy(books, first, waiting.MOST_OF_MEMBER - 2)
    hundredth = await books.place(CENT)
    with pytest.raises(UserError, match=r"^100 of your orders wait to be started.* nothing was charged\.$"):
        await books.place(CENT)
    assert (await books.sums()).held_micros == 2 * CENT
    await books.place(CENT, user_id=BOB)
    await books.bring(hundredth, Stage.RENDERING)
    await books.place(CENT)


async def test_an_order_that_is_in_line_already_is_found_again_however_long_the_line(books: Books) -> None:
    first = await books.place(CENT, origin="interaction:first")
    await copy(books, first, waiting.MOST_OF_MEMBER)
    assert (await books.place(CENT, origin="interaction:first")).job_id == first.job_id


async def test_a_server_may_have_five_hundred_orders_in_line_and_others_are_not_concerned(
    books: Books,
) -> None:
    first = await books.place(CENT)
    await copy(books, first, waiting.MOST_OF_SERVER - 1)
    with pytest.raises(UserError, match=r"^500 orders of this server wait to be started.* nothing was"):
        await books.place(CENT, user_id=BOB)
    await books.place(CENT, user_id=BOB, server_id=SERVER + 1)


async def test_a_price_is_confirmed_only_when_there_is_room_in_line_and_stays_until_then(
    books: Books,
) -> None:
    first = await books.place(CENT)
    asked = new_job(20 * DOLLAR, quote=Quote(micros=20 * DOLLAR, estimate=False))
    await books.limit(100 * DOLLAR)
    draft = await books.orders.place(asked, UTC_POLICY, now=NOON)
    assert isinstance(draft, Draft)
    await copy(books, first, waiting.MOST_OF_MEMBER - 1)

    async def confirm() -> object:
        return await books.orders.confirm(
            draft.draft_id,
            quote=asked.quote,
            new_id="anew",
            role_ids=frozenset(),
            top_role_id=None,
            policy=UTC_POLICY,
            now=NOON,
        )

    with pytest.raises(UserError, match="of your orders wait"):
        await confirm()
    await books.bring(first, Stage.RENDERING)
    assert isinstance(await confirm(), Job)


async def test_the_line_is_counted_by_an_index(books: Books) -> None:
    plans = await books.plans(books.place(CENT))
    assert any("jobs_by_server_and_stage (server_id=? AND stage=?)" in plan for plan in plans)
