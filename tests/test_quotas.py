"""Limits and months: the policy as pure values, and members' limits as they are stored."""

import dataclasses
import datetime as dt
from collections.abc import AsyncGenerator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import OverLimit
from bot.models import Account, Stage
from bot.quotas import Period, Policy, Standing, Sums
from tests.books import ALICE, BOB, CENT, DOLLAR, NOON, SERVER, UTC_POLICY, Books, new_job, open_books

ZONES = (  # noqa: SIM905 - thirteen lines would say no more
    "UTC Europe/Berlin America/New_York America/Havana America/Asuncion Asia/Kolkata Asia/Kathmandu "
    "Africa/Cairo Pacific/Apia Pacific/Kiritimati Australia/Lord_Howe Atlantic/Azores"
).split()


def month(zone: str, now: str) -> tuple[str, str]:
    policy = Policy(default_member_micros=0, operator_micros=None, zone=ZoneInfo(zone))
    period = policy.month(dt.datetime.fromisoformat(now))
    return period.starts_at.strftime("%Y-%m-%dT%H:%M"), period.turns_at.strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("zone", "now", "starts_at", "turns_at"),
    [
        ("UTC", "2026-11-21T12:00+00:00", "2026-11-01T00:00", "2026-12-01T00:00"),
        ("UTC", "2026-12-31T23:59:59+00:00", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("UTC", "2027-01-01T00:00+00:00", "2027-01-01T00:00", "2027-02-01T00:00"),
        # 22:59 UTC is 23:59 in Berlin, a minute before February there.
        ("Europe/Berlin", "2027-01-31T22:59+00:00", "2026-12-31T23:00", "2027-01-31T23:00"),
        ("Europe/Berlin", "2027-01-31T23:00+00:00", "2027-01-31T23:00", "2027-02-28T23:00"),
        # Summer time begins on 28 March: the month is an hour shorter.
        ("Europe/Berlin", "2027-03-15T12:00+00:00", "2027-02-28T23:00", "2027-03-31T22:00"),
        # ... and ends on 31 October: an hour longer.
        ("Europe/Berlin", "2027-10-31T23:30+01:00", "2027-09-30T22:00", "2027-10-31T23:00"),
        ("America/New_York", "2026-12-31T23:00-05:00", "2026-12-01T05:00", "2027-01-01T05:00"),
        # The first of this month had no midnight: clocks went from 00:00 to 01:00.
        ("America/Asuncion", "2017-10-01T12:00+00:00", "2017-10-01T04:00", "2017-11-01T03:00"),
        # The first of this month had two: the month begins with the first one.
        ("America/Havana", "2020-11-01T04:30+00:00", "2020-11-01T04:00", "2020-12-01T05:00"),
    ],
)
def test_a_month_is_a_calendar_month_of_the_zone(zone: str, now: str, starts_at: str, turns_at: str) -> None:
    assert month(zone, now) == (starts_at, turns_at)


@given(
    st.sampled_from(ZONES),
    st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2060, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001
)
def test_every_moment_lies_in_its_month_and_months_follow_without_gap(zone: str, now: dt.datetime) -> None:
    policy = Policy(default_member_micros=0, operator_micros=None, zone=ZoneInfo(zone))

    period = policy.month(now)

    assert period.starts_at <= now < period.turns_at
    assert policy.month(period.starts_at) == period
    assert policy.month(period.turns_at).starts_at == period.turns_at


def standing(limit: int, spent: int, held: int) -> Standing:
    period = Period(starts_at=NOON, turns_at=NOON + dt.timedelta(days=9))
    return Standing(
        name="your limit",
        limit_micros=limit,
        sums=Sums(spent_micros=spent, held_micros=held),
        period=period,
    )


def test_the_last_cent_can_be_spent_and_not_a_millionth_more() -> None:
    standing(DOLLAR, 50 * CENT, 20 * CENT).check(30 * CENT)
    with pytest.raises(OverLimit):
        standing(DOLLAR, 50 * CENT, 20 * CENT).check(30 * CENT + 1)


def test_a_limit_lowered_below_the_use_leaves_nothing_not_less() -> None:
    assert standing(DOLLAR, 2 * DOLLAR, DOLLAR).left_micros == 0


def test_a_refusal_says_limit_spent_held_price_and_turn_and_in_public_no_amount() -> None:
    with pytest.raises(OverLimit) as refused:
        standing(10 * DOLLAR, 7 * DOLLAR, 2 * DOLLAR).check(DOLLAR + CENT)

    turn = int((NOON + dt.timedelta(days=9)).timestamp())
    assert str(refused.value) == (
        "This would go over your limit: $10.00 a month, of which $7.00 is spent and $2.00 is held by "
        f"running jobs. This order costs $1.01. The month turns <t:{turn}:R>. Nothing was charged."
    )
    assert "$" not in refused.value.public_sentence
    assert "your limit" in refused.value.public_sentence


# Stored


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


async def left(books: Books, user_id: int = ALICE, server_id: int = SERVER) -> int:
    found = await books.quotas.standing(server_id, user_id, account=Account.REAL, policy=UTC_POLICY, now=NOON)
    return found.left_micros


async def test_somebody_who_never_ordered_has_the_default_and_no_row(books: Books) -> None:
    assert await left(books) == DOLLAR
    assert await books.rows("SELECT * FROM members") == []


async def test_a_limit_holds_for_one_member_of_one_server(books: Books) -> None:
    await books.quotas.set_limit(SERVER, ALICE, 5 * DOLLAR, set_by=BOB, now=NOON)

    assert await left(books) == 5 * DOLLAR
    assert await left(books, BOB) == DOLLAR
    assert await left(books, ALICE, SERVER + 1) == DOLLAR
    await books.place(4 * DOLLAR)
    assert await left(books) == DOLLAR


async def test_a_limit_set_again_replaces_the_first_and_cleared_gives_the_default(books: Books) -> None:
    await books.quotas.set_limit(SERVER, ALICE, 5 * DOLLAR, set_by=BOB, now=NOON)
    await books.quotas.set_limit(SERVER, ALICE, 0, set_by=BOB, now=NOON)
    with pytest.raises(OverLimit):
        await books.place(CENT)

    assert await books.quotas.clear_limit(SERVER, ALICE)
    assert not await books.quotas.clear_limit(SERVER, ALICE)
    assert not await books.quotas.clear_limit(SERVER, 999)
    assert await left(books) == DOLLAR


async def test_who_set_a_limit_is_a_members_row_that_can_be_forgotten(books: Books) -> None:
    await books.quotas.set_limit(SERVER, ALICE, DOLLAR, set_by=987654321, now=NOON)

    await books.write("UPDATE members SET discord_id = NULL")

    for table in ("limits", "members"):
        assert all(987654321 not in row for row in await books.rows(f"SELECT * FROM {table}"))  # noqa: S608


async def test_under_a_default_of_nothing_only_those_with_a_limit_may_order(books: Books) -> None:
    closed = dataclasses.replace(UTC_POLICY, default_member_micros=0)
    await books.quotas.set_limit(SERVER, ALICE, DOLLAR, set_by=BOB, now=NOON)

    assert await books.jobs.place(new_job(), closed, now=NOON)
    with pytest.raises(OverLimit):
        await books.jobs.place(new_job(user_id=BOB), closed, now=NOON)


def test_a_refusal_of_an_estimated_price_says_that_it_is_one() -> None:
    with pytest.raises(OverLimit, match=r"This order costs ≈\$1\.00\."):
        standing(0, 0, 0).check(DOLLAR, is_estimate=True)


def test_a_limit_of_nothing_refuses_free_orders_too() -> None:
    standing(CENT, CENT, 0).check(0)
    with pytest.raises(OverLimit):
        standing(0, 0, 0).check(0)


async def test_the_operators_limit_counts_what_everybody_spent_and_holds(books: Books) -> None:
    policy = dataclasses.replace(UTC_POLICY, operator_micros=DOLLAR)
    await books.bring(await books.place(40 * CENT, user_id=BOB, server_id=SERVER + 1), Stage.DONE)
    await books.place(40 * CENT, user_id=BOB)
    await books.place(DOLLAR, account=Account.SANDBOX)

    with pytest.raises(OverLimit, match=r"operator's limit.*\$0\.40 is spent and \$0\.40 is held"):
        await books.jobs.place(new_job(30 * CENT), policy, now=NOON)
    assert await books.jobs.place(new_job(20 * CENT), policy, now=NOON)
