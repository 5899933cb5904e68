"""The ledger: what the schema itself refuses, whose id is where, many orders at once, and the months."""

import asyncio
import dataclasses
import datetime as dt
from collections.abc import AsyncGenerator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from bot.models import Account, Draft, Job, Stage
from bot.quotas import Layer, Limit, Measure, Policy, Sums
from storage import audit, members
from storage.ledger import Scope
from storage.orders import Refusal
from storage.schema import servers
from tests.books import (
    ALICE,
    BOB,
    CENT,
    CHANNEL,
    DOLLAR,
    NOON,
    SERVER,
    UTC_POLICY,
    Books,
    new_job,
    open_books,
)

INSERT = """
    INSERT {conflict} INTO ledger (
        job_id, server_id, channel_id, member_id, account, kind, amount_micros, model, gateway, budget,
        price_version, act_id, reason, ordered_at, created_at
    )
    VALUES (
        :job, 100, 200, :member, 'real', :kind, :amount, 'apixo/sora-2-pro', 'apixo', 'member', '', :act,
        'by hand', '2026-11-21T12:00:00.000000Z', 'now'
    )
"""
# What every entry of a job has in common with its hold, and another value of it.
OF_THE_HOLD = {
    "account": "'sandbox'",
    "server_id": "101",
    "channel_id": "NULL",
    "member_id": "(SELECT max(member_id) FROM members)",
    "gateway": "NULL",
    "model": "'apixo/sora-2'",
    "role_id": "7",
    "budget": "'purse'",
    "budget_id": "7",
    "price_version": "'another'",
    "ordered_at": "'2026-12-01T00:00:00.000000Z'",
}


async def enter(
    books: Books, job: Job, kind: str, amount: float, *, act: str | None = None, conflict: str = ""
) -> None:
    """Write an entry past the stores."""
    await books.write(
        INSERT.format(conflict=conflict),
        job=job.job_id,
        member=job.member_id,
        kind=kind,
        amount=amount,
        act=act,
    )


async def follow(
    books: Books, job: Job, kind: str, amount: int, *, act: str | None, changed: str | None = None
) -> None:
    """Write an entry like the job's hold but for its kind, and for one column."""
    values = {column: column for column in OF_THE_HOLD}
    if changed is not None:
        values[changed] = OF_THE_HOLD[changed]
    await books.write(
        "INSERT INTO ledger (job_id, kind, amount_micros, act_id, reason, created_at, "  # noqa: S608 - our own
        f"{', '.join(values)}) SELECT job_id, :kind, :amount, :act, 'by hand', 'now', "
        f"{', '.join(values.values())} FROM ledger WHERE job_id = :job AND kind = 'hold'",
        job=job.job_id,
        kind=kind,
        amount=amount,
        act=act,
    )


async def act(books: Books, job: Job) -> str:
    """Something staff did about the job's member."""
    async with books.database.write() as connection:
        return await audit.record(
            connection, server_id=SERVER, by=BOB, act="by hand", about_id=job.member_id, now=NOON
        )


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


# What the schema refuses, whoever asks


@pytest.mark.parametrize(
    "statement",
    ["UPDATE ledger SET amount_micros = 0", "UPDATE ledger SET reason = 'x'", "DELETE FROM ledger"],
)
async def test_no_entry_is_ever_changed_or_deleted(books: Books, statement: str) -> None:
    job = await books.place()

    with pytest.raises(IntegrityError, match="append-only"):
        await books.write(statement)

    assert await books.entries(job) == [("hold", 30 * CENT)]


@pytest.mark.parametrize("conflict", ["", "OR REPLACE"])
@pytest.mark.parametrize("kind", ["hold", "settle"])
async def test_a_second_entry_of_a_kind_is_refused_and_replaces_none(
    books: Books, conflict: str, kind: str
) -> None:
    job = await books.bring(await books.place(), Stage.DELIVERING)

    with pytest.raises(IntegrityError):
        await enter(books, job, kind, 0, conflict=conflict)

    assert await books.entries(job) == [("hold", 30 * CENT), ("settle", 30 * CENT)]


@pytest.mark.parametrize(
    ("kind", "amount", "why"),
    [
        ("settle", 30 * CENT + 1, "more is spent or released than is held"),
        ("release", 30 * CENT + 1, "more is spent or released than is held"),
        ("settle", -1, "entry_is_not_negative"),
        ("possible_charge", -1, "entry_is_not_negative"),
        ("gift", 1, "entry_kind_is_known"),
        ("settle", 0.5, "entry_is_whole_micros"),
    ],
)
async def test_an_entry_that_cannot_be_is_refused(books: Books, kind: str, amount: float, why: str) -> None:
    job = await books.place()

    with pytest.raises(IntegrityError, match=why):
        await enter(books, job, kind, amount)


async def test_what_is_held_is_spent_or_released_once_also_in_parts(books: Books) -> None:
    job = await books.place()
    await enter(books, job, "settle", 10 * CENT)

    with pytest.raises(IntegrityError, match="than is held"):
        await enter(books, job, "release", 21 * CENT)

    await enter(books, job, "release", 20 * CENT)
    assert await books.sums() == Sums(spent_micros=10 * CENT, jobs=1)


@pytest.mark.parametrize("kind", ["settle", "release", "possible_charge", "grant"])
@pytest.mark.parametrize("amount", [0, 1])
async def test_without_a_hold_not_even_nothing_is_spent(books: Books, kind: str, amount: int) -> None:
    job = await books.place()
    await books.write(
        "INSERT INTO jobs (job_id, origin, account, server_id, channel_id, member_id, mode, model, gateway, "
        "prompt, seconds, shape, stage, quote_micros, estimate, created_at) SELECT 'bare', 'bare', account, "
        "server_id, channel_id, member_id, mode, model, gateway, prompt, seconds, shape, stage, "
        "quote_micros, estimate, created_at FROM jobs"
    )

    made_by = await act(books, job) if kind == "grant" else None
    with pytest.raises(IntegrityError, match=r"than is held|than the hold of its job"):
        await enter(books, dataclasses.replace(job, job_id="bare"), kind, amount, act=made_by)


@pytest.mark.parametrize("kind", ["settle", "release", "possible_charge", "correction", "grant"])
async def test_what_follows_a_hold_is_of_the_same_member_place_time_and_budget(
    books: Books, kind: str
) -> None:
    is_paid = kind == "correction"
    job = await books.bring(await books.place(), Stage.DONE if is_paid else Stage.QUEUED)
    made_by = await act(books, job) if kind in {"correction", "grant"} else None
    await books.place(CENT, user_id=BOB, server_id=SERVER + 1)  # the other member
    before = await books.rows("SELECT * FROM ledger")
    totals = await books.rows("SELECT * FROM totals")

    for column in OF_THE_HOLD:
        with pytest.raises(IntegrityError, match="something else than the hold of its job"):
            await follow(books, job, kind, CENT, act=made_by, changed=column)
    assert await books.rows("SELECT * FROM ledger") == before
    assert await books.rows("SELECT * FROM totals") == totals

    await follow(books, job, kind, CENT, act=made_by)
    assert (await books.entries(job))[-1] == (kind, CENT)


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("INSERT INTO limits VALUES (100, 'server', 0, 'day', 1.5)", "limit_is_whole"),
        (
            "INSERT INTO purses (server_id, channel_id, amount_micros, opened_at) VALUES (100, 1, 1.5, '')",
            "purse_is_whole_micros",
        ),
        (
            "INSERT INTO balances (gateway, balance_micros, read_at) VALUES ('apixo', 1.5, '')",
            "balance_is_whole_micros",
        ),
    ],
)
async def test_money_is_stored_in_whole_micro_dollars(books: Books, statement: str, rule: str) -> None:
    with pytest.raises(IntegrityError, match=rule):
        await books.write(statement)


@pytest.mark.parametrize("kind", ["hold", "settle", "release", "possible_charge"])
async def test_what_belongs_to_a_job_names_it(books: Books, kind: str) -> None:
    job = await books.place()

    with pytest.raises(IntegrityError):
        await books.write(
            INSERT.format(conflict=""), job=None, member=job.member_id, kind=kind, amount=0, act=None
        )


@pytest.mark.parametrize("table", ["jobs", "members"])
async def test_what_the_ledger_speaks_of_cannot_be_deleted(books: Books, table: str) -> None:
    await books.place()

    with pytest.raises(IntegrityError, match=r"FOREIGN KEY|never deleted"):
        await books.write(f"DELETE FROM {table}")  # noqa: S608 - two names of our own


async def test_a_negative_price_is_never_stored(books: Books) -> None:
    with pytest.raises(IntegrityError, match="not_negative"):
        await books.place(-1)

    assert await books.rows("SELECT * FROM ledger") == []


# Acts: grants, refunds and the audit log


@pytest.mark.parametrize("kind", ["grant", "correction"])
async def test_a_grant_or_a_correction_names_the_act_that_made_it(books: Books, kind: str) -> None:
    job = await books.bring(await books.place(), Stage.DONE)

    with pytest.raises(IntegrityError, match="entry_names_its_act"):
        await enter(books, job, kind, CENT)
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        await enter(books, job, kind, CENT, act="nobody's")


@pytest.mark.parametrize("kind", ["hold", "settle", "release", "possible_charge"])
async def test_no_act_makes_what_only_a_jobs_way_makes(books: Books, kind: str) -> None:
    job = await books.place()

    with pytest.raises(IntegrityError):
        await enter(books, job, kind, 0, act=await act(books, job))


async def test_an_act_makes_one_entry(books: Books) -> None:
    first, second = [await books.bring(await books.place(), Stage.DONE) for _ in range(2)]
    one = await act(books, first)
    await enter(books, first, "correction", CENT, act=one)

    for conflict in ("", "OR REPLACE"):
        with pytest.raises(IntegrityError, match="append-only"):
            await enter(books, second, "correction", CENT, act=one, conflict=conflict)


async def test_a_job_is_corrected_once_and_by_no_more_than_it_cost(books: Books) -> None:
    job = await books.bring(await books.place(), Stage.DONE)
    with pytest.raises(IntegrityError, match="more is corrected than was settled"):
        await enter(books, job, "correction", 30 * CENT + 1, act=await act(books, job))

    await books.refund(job)

    assert await books.sums() == Sums(jobs=1)
    assert await books.entries(job) == [
        ("hold", 30 * CENT), ("settle", 30 * CENT), ("correction", 30 * CENT)
    ]  # fmt: skip
    with pytest.raises(IntegrityError, match="one entry of a kind"):
        await enter(books, job, "correction", 0, act=await act(books, job))


@pytest.mark.parametrize("stage", [Stage.QUEUED, Stage.FAILED, Stage.CANCELLED])
async def test_what_was_not_paid_is_not_refunded(books: Books, stage: Stage) -> None:
    job = await books.bring(await books.place(), stage)

    with pytest.raises(IntegrityError, match="more is corrected than was settled"):
        await enter(books, job, "correction", 0, act=await act(books, job))


async def test_a_grant_is_more_to_spend_in_its_own_periods_only(books: Books) -> None:
    await books.place(DOLLAR)
    await books.grant(DOLLAR)

    await books.place(DOLLAR)

    await books.refusal(CENT)
    assert await books.sums() == Sums(held_micros=2 * DOLLAR, granted_micros=DOLLAR, jobs=2)
    await books.refusal(2 * DOLLAR, at=NOON + dt.timedelta(days=30))


async def test_a_refund_after_the_months_end_is_of_the_month_of_the_order(books: Books) -> None:
    job = await books.bring(await books.place(DOLLAR), Stage.DONE)

    await books.refund(job, at=NOON + dt.timedelta(days=40))

    assert await books.sums() == Sums(jobs=1)
    assert await books.sums(at=NOON + dt.timedelta(days=40)) == Sums()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE acts SET reason = 'x'",
        "DELETE FROM acts",
        "INSERT OR REPLACE INTO acts SELECT act_id, server_id, NULL, act, NULL, 'x', reason, at FROM acts",
    ],
)
async def test_no_act_is_ever_changed_deleted_or_replaced(books: Books, statement: str) -> None:
    await books.limit(DOLLAR)
    before = await books.rows("SELECT * FROM acts")

    with pytest.raises(IntegrityError, match="the audit log is append-only"):
        await books.write(statement)

    assert len(before) == 1
    assert await books.rows("SELECT * FROM acts") == before


@pytest.mark.parametrize("column", ["spent_micros", "held_micros", "jobs"])
async def test_no_total_falls_below_nothing(books: Books, column: str) -> None:
    await books.place()
    names = "account, scope, subject, quarter, granted_micros, possible_micros"
    others = [name for name in ("spent_micros", "held_micros", "jobs") if name != column]

    with pytest.raises(IntegrityError, match="a total is never negative"):
        await books.write(f"UPDATE totals SET {column} = -1")  # noqa: S608 - three names of our own
    with pytest.raises(IntegrityError, match="a total is never negative"):
        await books.write(
            f"INSERT INTO totals ({names}, {column}, {', '.join(others)}) "  # noqa: S608 - the same
            "VALUES ('real', 'server', '7', 0, 0, 0, -1, 0, 0)"
        )


@pytest.mark.parametrize("statement", ["DELETE FROM totals", "DELETE FROM totals WHERE scope = 'server'"])
async def test_no_total_is_deleted(books: Books, statement: str) -> None:
    await books.place()

    with pytest.raises(IntegrityError, match="a total is never deleted"):
        await books.write(statement)


# A person's id


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE members SET discord_id = 3 WHERE discord_id = 1", "never another"),
        ("UPDATE members SET server_id = 101", "never another"),
        ("UPDATE members SET member_id = member_id + 10", "never another"),
        ("UPDATE OR REPLACE members SET discord_id = 2 WHERE discord_id = 1", "never another"),
        ("UPDATE members SET discord_id = 4 WHERE discord_id IS NULL", "never another"),
        ("DELETE FROM members", "never deleted"),
        ("DELETE FROM members WHERE discord_id IS NULL", "never deleted"),
        ("INSERT OR REPLACE INTO members (member_id, server_id, discord_id) VALUES (1, 100, 9)", "one row"),
        ("INSERT OR REPLACE INTO members (server_id, discord_id) VALUES (100, 2)", "one row"),
    ],
)
async def test_a_member_is_blanked_but_never_becomes_another_or_goes(
    books: Books, statement: str, why: str
) -> None:
    for user in (ALICE, BOB, 3):
        async with books.database.write() as connection:
            await members.row(connection, SERVER, user)
    await books.write("UPDATE members SET discord_id = NULL WHERE discord_id = 3")
    await books.write("UPDATE members SET wants_alerts = 1")
    before = await books.rows("SELECT * FROM members")
    assert before == [(1, SERVER, ALICE, 1), (2, SERVER, BOB, 1), (3, SERVER, None, 1)]

    with pytest.raises(IntegrityError, match=why):
        await books.write(statement)

    assert await books.rows("SELECT * FROM members") == before


async def test_a_persons_id_is_in_the_members_row_alone_which_can_be_blanked(books: Books) -> None:
    alice, bob = 730_000_000_000_000_001, 730_000_000_000_000_002
    people = {"user_id": alice, "role_ids": frozenset({5}), "top_role_id": 5}
    await books.limits.set(
        SERVER,
        Limit(layer=Layer.MEMBER, measure=Measure.MONTH, amount=DOLLAR),
        user_id=alice,
        what="month",
        by=bob,
        now=NOON,
    )
    await books.purse(DOLLAR, channel=CHANNEL + 1, by=bob)
    await books.grant(DOLLAR, to=alice, by=bob)
    for stage in Stage:
        await books.bring(await books.place(10 * CENT, **people), stage)
    await books.place(10 * CENT, home_channel_id=CHANNEL + 1, **people)
    await books.refund(await books.bring(await books.place(10 * CENT, **people), Stage.DONE), by=bob)
    mine = await books.place(10 * CENT, **people)
    await books.jobs.cancel(mine.job_id, by="by its member", user_id=alice, now=NOON)
    async with books.database.write() as connection:
        await connection.execute(
            sa.insert(servers).values(server_id=SERVER, staff_channel_id=300, confirm_above_micros=20 * CENT)
        )
    await books.refusal(30 * DOLLAR, **people)
    assert isinstance(await books.orders.place(new_job(30 * CENT, **people), UTC_POLICY, now=NOON), Draft)

    assert {table for table, row in await everything(books) if str(alice) in row} == {"members"}
    assert {table for table, row in await everything(books) if str(bob) in row} == {"members"}
    sums = await books.sums(alice)
    totals = await books.rows("SELECT * FROM totals")
    ((member,),) = await books.rows("SELECT member_id FROM members WHERE discord_id = :user", user=alice)

    await books.write("UPDATE members SET discord_id = NULL")

    assert not [row for _, row in await everything(books) if str(alice) in row or str(bob) in row]
    assert await books.rows("SELECT * FROM totals") == totals
    assert await books.total(Scope.MEMBER, str(member)) == sums
    assert sums.granted_micros == DOLLAR
    assert sums.spent_micros > 0
    assert sums.held_micros > 0


async def everything(books: Books) -> list[tuple[str, str]]:
    """Every row of every table, as text; JSON in a column is text too."""
    tables = await books.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    return [
        (table, str(row))
        for (table,) in tables
        for row in await books.rows(f"SELECT * FROM {table}")  # noqa: S608 - our own tables
    ]


# Many at once


def _only(layer: Layer) -> tuple[list[Limit], Policy]:
    """A dollar a month on one layer alone: the limits to set, and the operator's policy."""
    rich = dataclasses.replace(UTC_POLICY, default_member_micros=1000 * DOLLAR)
    subject = {Layer.ROLE: "5", Layer.CHANNEL: str(CHANNEL), Layer.KEY: "apixo"}.get(layer, "")
    limit = Limit(layer=layer, measure=Measure.MONTH, amount=DOLLAR, subject=subject)
    return ([], dataclasses.replace(rich, caps=(limit,))) if layer.is_operators else ([limit], rich)


@pytest.mark.parametrize("layer", Layer)
async def test_of_fifty_orders_at_once_exactly_those_are_admitted_that_fit_the_layer(
    books: Books, layer: Layer
) -> None:
    limits, policy = _only(layer)
    for limit in limits:
        user = ALICE if layer is Layer.MEMBER else None
        await books.limits.set(SERVER, limit, user_id=user, what="by hand", by=BOB, now=NOON)
    orders = [
        new_job(
            role_ids=frozenset({5}),
            user_id=ALICE if layer.is_own else 1 + number % 7,
            server_id=SERVER + number % 3 if layer.is_operators else SERVER,
            home_channel_id=CHANNEL if layer is Layer.CHANNEL else CHANNEL + number % 5,
            gateway="apixo" if layer is not Layer.OPERATOR else ("apixo", "pixazo")[number % 2],
        )
        for number in range(50)
    ]

    placed = await asyncio.gather(*(books.orders.place(order, policy, now=NOON) for order in orders))

    admitted = [job for job in placed if isinstance(job, Job)]
    refused = [one for one in placed if isinstance(one, Refusal)]
    assert (len(admitted), len(refused)) == (3, 47)
    assert {(one.standing.limit.layer, one.standing.sums.held_micros) for one in refused} == {
        (layer, 90 * CENT)
    }
    assert await books.sums(None) == Sums(held_micros=90 * CENT, jobs=3)
    assert await books.rows("SELECT count(*), sum(quote_micros) FROM jobs") == [(3, 90 * CENT)]
    assert await books.rows("SELECT count(*) FROM stage_history") == [(3,)]
    # What is given back can be ordered again, and no more.
    await books.jobs.cancel(admitted[0].job_id, by="by its member", now=NOON)
    again = [
        dataclasses.replace(order, job_id=f"again {order.job_id}", origin=f"again {order.origin}")
        for order in orders[:6]
    ]
    placed = await asyncio.gather(*(books.orders.place(order, policy, now=NOON) for order in again))
    assert sum(isinstance(job, Job) for job in placed) == 1


async def test_of_fifty_orders_at_once_a_purse_pays_those_that_fit(books: Books) -> None:
    await books.purse(DOLLAR)
    await books.limit(0)

    placed = await asyncio.gather(*(books.orders.place(new_job(), UTC_POLICY, now=NOON) for _ in range(50)))

    assert sum(isinstance(job, Job) for job in placed) == 3
    assert await books.sums() == Sums(jobs=3)


@pytest.mark.parametrize(("measure", "amount"), [(Measure.AT_ONCE, 3), (Measure.JOBS_A_DAY, 3)])
@pytest.mark.parametrize("layer", Layer)
async def test_of_fifty_orders_at_once_so_many_jobs_are_admitted_as_may_be(
    books: Books, layer: Layer, measure: Measure, amount: int
) -> None:
    limits, policy = _only(layer)
    counted = [
        dataclasses.replace(limit, measure=measure, amount=amount) for limit in (*limits, *policy.caps)
    ]
    for limit in counted if limits else []:
        user = ALICE if layer is Layer.MEMBER else None
        await books.limits.set(SERVER, limit, user_id=user, what="by hand", by=BOB, now=NOON)
    policy = dataclasses.replace(policy, caps=() if limits else tuple(counted))

    placed = await asyncio.gather(
        *(books.orders.place(new_job(CENT, role_ids=frozenset({5})), policy, now=NOON) for _ in range(50))
    )

    assert sum(isinstance(job, Job) for job in placed) == 3


# Months


BERLIN = dataclasses.replace(UTC_POLICY, zone=ZoneInfo("Europe/Berlin"))


async def test_a_job_ordered_in_the_last_minute_of_january_counts_there_however_late_it_ends(
    books: Books,
) -> None:
    ordered = dt.datetime(2027, 1, 31, 23, 59, tzinfo=BERLIN.zone)
    february = dt.datetime(2027, 2, 10, tzinfo=dt.UTC)
    job = await books.place(policy=BERLIN, at=ordered)
    assert await books.sums(at=ordered, policy=BERLIN) == Sums(held_micros=30 * CENT, jobs=1)

    await books.bring(job, Stage.DELIVERING, at=february)

    assert await books.sums(at=ordered, policy=BERLIN) == Sums(spent_micros=30 * CENT, jobs=1)
    assert await books.sums(at=february, policy=BERLIN) == Sums()
    # A minute later it is February in Berlin, and still January in UTC.
    after = await books.place(policy=BERLIN, at=ordered + dt.timedelta(minutes=1))
    assert after.created_at.month == 1
    assert await books.sums(at=february, policy=BERLIN) == Sums(held_micros=30 * CENT, jobs=1)


async def test_a_new_month_gives_the_whole_limit_again_and_the_old_one_stays_readable(books: Books) -> None:
    december = dt.datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC)
    january = december + dt.timedelta(microseconds=1)
    await books.place(DOLLAR, at=december)
    await books.refusal(CENT, at=december)

    await books.place(DOLLAR, at=january)

    assert (await books.sums(at=december)).held_micros == DOLLAR
    assert (await books.sums(at=january)).held_micros == DOLLAR


async def test_accounts_are_summed_apart(books: Books) -> None:
    await books.place(account=Account.SANDBOX)

    assert await books.sums(ALICE) == Sums()
    assert await books.sums(None, account=Account.SANDBOX) == Sums(held_micros=30 * CENT, jobs=1)
