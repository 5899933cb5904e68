"""The audit log: what is written down, who reads it, and that nobody changes it."""

import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from bot.quotas import Layer, Limit, Measure
from storage.audit import ActStore
from storage.limits import LimitStore
from tests.acting import click, dismiss, world_with_a_waiting_job
from tests.books import ALICE, BOB, DOLLAR, NOON, SERVER, Books, open_books
from tests.world import World

INSERT = """
    INSERT {conflict} INTO acts ({columns} act_id, server_id, act, what, reason, at)
    VALUES ({values} :act_id, 100, 'nothing', '', '', '2026-11-21T12:00:00.000000Z')
"""


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        await opened.limit(DOLLAR)
        yield opened


async def act(world: World, amount: int, *, server: Any = None, of: Any = None, reason: str = "") -> None:
    """Let staff set a limit."""
    await LimitStore(world.database).set(
        (server or world.guild).id,
        Limit(layer=Layer.MEMBER, measure=Measure.MONTH, amount=amount * DOLLAR),
        user_id=(of or world.member).id,
        what=f"${amount} a month",
        reason=reason,
        by=world.staff.id,
        now=world.time.now(),
    )
    world.time.jump(seconds=1)


def amounts(result: Any) -> list[int]:
    return [int(found) for found in re.findall(r"`\$(\d+) a month`", str(result.response.components))]


async def test_an_act_is_read_with_when_who_what_about_whom_and_why(world: World) -> None:
    await act(world, 5, reason="a `launch` @everyone")
    staff, member = f"<@{world.staff.id}>", f"<@{world.member.id}>"
    assert await world.ask("video-admin audit", by=world.staff) == (
        f"<t:1795262400:f> · {staff} · **quota set** · `$5 a month` · about {member}\n"
        "-# because `a \u02cblaunch\u02cb @everyone`"
    )


async def test_the_log_is_empty_at_first(world: World) -> None:
    assert await world.ask("video-admin audit", by=world.staff) == (
        "Nobody did anything yet that the audit log keeps."
    )


async def test_acts_are_read_newest_first_page_by_page_also_after_a_restart(world: World) -> None:
    for amount in range(1, 11):
        await act(world, amount)
    log = await world.staff.slash(world.channel, "video-admin audit")
    assert amounts(log) == [10, 9, 8, 7, 6, 5, 4, 3]
    await world.restart()
    await click(world.staff, log, "Older")
    assert amounts(log) == [2, 1]
    await click(world.staff, log, "Newer")
    assert amounts(log) == [10, 9, 8, 7, 6, 5, 4, 3]


async def test_the_log_of_one_person_has_what_they_did_and_what_is_about_them(world: World) -> None:
    for amount in range(1, 11):
        await act(world, amount)
    await act(world, 11, of=world.other)
    log = await world.staff.slash(world.channel, "video-admin audit", member=world.member.user)
    assert amounts(log)[0] == 10
    await click(world.staff, log, "Older")
    assert amounts(log) == [2, 1]
    assert "11 a month" in await world.ask("video-admin audit", by=world.staff, member=world.staff.user)
    assert await world.ask("video-admin audit", by=world.staff, member=world.other.user) != ""
    stranger = world.env.create_user("stranger")
    assert "Nobody did anything" in await world.ask("video-admin audit", by=world.staff, member=stranger)


async def test_a_server_reads_its_own_log_only(world: World) -> None:
    theirs = world.env.create_guild("Others")
    await act(world, 5, server=theirs)
    assert "Nobody did anything" in await world.ask("video-admin audit", by=world.staff)


async def test_who_is_no_longer_staff_soon_turns_no_page(world: World) -> None:
    for amount in range(1, 11):
        await act(world, amount)
    log = await world.staff.slash(world.channel, "video-admin audit")
    dismiss(world, world.staff)
    await world.env.advance_time(15 * 60)
    refused = await click(world.staff, log, "Older")
    assert "Only those who may manage this server" in refused.followups[0].content
    assert amounts(log) == [10, 9, 8, 7, 6, 5, 4, 3]


# Who cancels somebody else's job leaves a trace, whatever they press


@pytest.mark.parametrize("way", ["card", "command", "list"])
async def test_a_cancel_by_staff_is_written_down_and_one_by_the_member_is_not(
    way: str, tmp_path: Path
) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        job = await world.job()
        match way:
            case "card":
                await world.staff.click(await world.card_message(), label="Cancel")
            case "command":
                await world.ask("video cancel", by=world.staff, job=job.job_id)
            case _:
                opened = await world.staff.slash(world.channel, "video-admin jobs", job=job.job_id)
                await click(world.staff, opened, "Cancel")
        assert (await world.job()).stage == "cancelled"
        log = await world.ask("video-admin audit", by=world.staff)
        assert f"<@{world.staff.id}> · **cancel** · `job {job.job_id}` · about <@{world.member.id}>" in log
        assert "-# because `stopped by staff while it waited`" in log
        await world.create(prompt="Another fox")
        await world.ask("video cancel", job=(await world.job()).job_id)
        assert await world.ask("video-admin audit", by=world.staff) == log


# Nobody changes it, not even the program


@pytest.mark.parametrize(
    "statement",
    ["UPDATE acts SET reason = 'x'", "UPDATE OR REPLACE acts SET act_id = 'x'", "DELETE FROM acts"],
)
async def test_no_act_is_ever_changed_or_deleted(books: Books, statement: str) -> None:
    before = await books.rows("SELECT * FROM acts")
    with pytest.raises(IntegrityError, match="append-only"):
        await books.write(statement)
    assert await books.rows("SELECT * FROM acts") == before


@pytest.mark.parametrize(("columns", "values", "new_id"), [("", "", "the same"), ("rowid,", "1,", "another")])
async def test_no_act_is_replaced(books: Books, columns: str, values: str, new_id: str) -> None:
    before = await books.rows("SELECT rowid, * FROM acts")
    act_id = before[0][1] if new_id == "the same" else "another"
    with pytest.raises(IntegrityError, match="append-only"):
        await books.write(INSERT.format(conflict="OR REPLACE", columns=columns, values=values), act_id=act_id)
    assert await books.rows("SELECT rowid, * FROM acts") == before
    await books.write(INSERT.format(conflict="", columns="", values=""), act_id="another")


async def test_an_act_and_what_it_did_stand_or_fall_together(books: Books) -> None:
    with pytest.raises(IntegrityError):
        await books.limits.set(
            SERVER,
            Limit(layer=Layer.MEMBER, measure=Measure.MONTH, amount=-1),
            user_id=ALICE,
            what="too little",
            by=BOB,
            now=NOON,
        )
    assert len(await books.rows("SELECT * FROM acts")) == 1
    assert await books.rows("SELECT amount FROM limits") == [(DOLLAR,)]


async def test_a_forgotten_person_stays_in_the_log_without_a_name(books: Books) -> None:
    await books.write("UPDATE members SET discord_id = NULL WHERE discord_id = :user", user=BOB)
    (act,) = await ActStore(books.database).page(SERVER)
    assert (act.actor_user_id, act.is_bots, act.about_user_id) == (None, False, ALICE)


async def test_a_page_of_the_log_comes_from_its_index(books: Books) -> None:
    plan = await books.rows(
        "EXPLAIN QUERY PLAN SELECT * FROM acts WHERE server_id = 1 ORDER BY at DESC, rowid DESC LIMIT 9"
    )
    assert [row[3] for row in plan] == ["SEARCH acts USING INDEX acts_by_server (server_id=?)"]
