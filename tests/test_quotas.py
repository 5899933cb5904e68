"""Limits and periods as pure values: which period it is, which limits count, which one refuses and binds."""

import dataclasses
import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.models import Quote
from bot.money_messages import over_limit, over_limit_in_public, why
from bot.quotas import (
    Layer,
    Limit,
    Measure,
    Period,
    Policy,
    Standing,
    Sums,
    applying,
    before,
    binding,
    period,
    refusing,
    shares_reached,
)

CENT, DOLLAR = 10_000, 1_000_000
NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
TURN = NOON + dt.timedelta(days=9)
POLICY = Policy(default_member_micros=10 * DOLLAR, caps=(), zone=ZoneInfo("UTC"))

ZONES = (  # noqa: SIM905 - twenty lines would say no more
    "UTC Europe/Berlin America/New_York America/Havana America/Asuncion America/Santiago America/Nuuk "
    "Asia/Kolkata Asia/Kathmandu Asia/Beirut Africa/Cairo Pacific/Apia Pacific/Kiritimati Pacific/Chatham "
    "Australia/Lord_Howe Atlantic/Azores"
).split()

DATED = (Measure.DAY, Measure.WEEK, Measure.MONTH, Measure.JOBS_A_DAY)


# Periods


def ends(measure: Measure, zone: str, now: str) -> tuple[str, str]:
    found = period(measure, ZoneInfo(zone), dt.datetime.fromisoformat(now))
    assert found is not None
    return found.starts_at.strftime("%Y-%m-%dT%H:%M"), found.turns_at.strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("zone", "now", "starts_at", "turns_at"),
    [
        ("UTC", "2026-11-21T12:00+00:00", "2026-11-01T00:00", "2026-12-01T00:00"),
        ("UTC", "2026-12-31T23:59:59+00:00", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("UTC", "2027-01-01T00:00+00:00", "2027-01-01T00:00", "2027-02-01T00:00"),
        ("UTC", "2028-02-29T12:00+00:00", "2028-02-01T00:00", "2028-03-01T00:00"),
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
    assert ends(Measure.MONTH, zone, now) == (starts_at, turns_at)


@pytest.mark.parametrize(
    ("zone", "now", "starts_at", "turns_at"),
    [
        # 21 November 2026 is a Saturday.
        ("UTC", "2026-11-21T12:00+00:00", "2026-11-16T00:00", "2026-11-23T00:00"),
        ("UTC", "2026-11-22T23:59:59+00:00", "2026-11-16T00:00", "2026-11-23T00:00"),
        ("UTC", "2026-11-23T00:00+00:00", "2026-11-23T00:00", "2026-11-30T00:00"),
        # Over the end of a year.
        ("UTC", "2027-01-01T12:00+00:00", "2026-12-28T00:00", "2027-01-04T00:00"),
        # In Berlin it is Monday an hour earlier; in New York five hours later.
        ("Europe/Berlin", "2026-11-22T23:00+00:00", "2026-11-22T23:00", "2026-11-29T23:00"),
        ("America/New_York", "2026-11-23T04:59+00:00", "2026-11-16T05:00", "2026-11-23T05:00"),
        # The week in which summer time begins has 167 hours, the one in which it ends 169.
        ("Europe/Berlin", "2027-03-28T12:00+00:00", "2027-03-21T23:00", "2027-03-28T22:00"),
        ("Europe/Berlin", "2027-10-31T12:00+00:00", "2027-10-24T22:00", "2027-10-31T23:00"),
        # In Beirut the clocks went back at midnight, so that this Sunday had 25 hours.
        ("Asia/Beirut", "2022-10-30T12:00+00:00", "2022-10-23T21:00", "2022-10-30T22:00"),
    ],
)
def test_a_week_goes_from_monday_to_sunday_in_the_zone(
    zone: str, now: str, starts_at: str, turns_at: str
) -> None:
    assert ends(Measure.WEEK, zone, now) == (starts_at, turns_at)


@pytest.mark.parametrize(
    ("zone", "now", "starts_at", "turns_at"),
    [
        ("UTC", "2026-11-21T12:00+00:00", "2026-11-21T00:00", "2026-11-22T00:00"),
        ("Asia/Kathmandu", "2026-11-21T18:14+00:00", "2026-11-20T18:15", "2026-11-21T18:15"),
        ("Asia/Kathmandu", "2026-11-21T18:15+00:00", "2026-11-21T18:15", "2026-11-22T18:15"),
        # 23 and 25 hours.
        ("Europe/Berlin", "2027-03-28T12:00+00:00", "2027-03-27T23:00", "2027-03-28T22:00"),
        ("Europe/Berlin", "2027-10-31T12:00+00:00", "2027-10-30T22:00", "2027-10-31T23:00"),
        # Half an hour more.
        ("Australia/Lord_Howe", "2027-04-03T20:00+00:00", "2027-04-03T13:00", "2027-04-04T13:30"),
        # Days without midnight: they begin at one o'clock, when the clocks jump there.
        ("Africa/Cairo", "2027-04-30T12:00+00:00", "2027-04-29T22:00", "2027-04-30T21:00"),
        ("America/Santiago", "2026-09-06T12:00+00:00", "2026-09-06T04:00", "2026-09-07T03:00"),
        # A day that never was: 30 December 2011 in Samoa.
        ("Pacific/Apia", "2011-12-30T09:59+00:00", "2011-12-29T10:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-30T10:00+00:00", "2011-12-30T10:00", "2011-12-31T10:00"),
    ],
)
def test_a_day_is_a_calendar_day_of_the_zone(zone: str, now: str, starts_at: str, turns_at: str) -> None:
    assert ends(Measure.DAY, zone, now) == (starts_at, turns_at)
    assert ends(Measure.JOBS_A_DAY, zone, now) == (starts_at, turns_at)


@pytest.mark.parametrize("measure", [Measure.JOB, Measure.AT_ONCE])
def test_a_price_per_job_and_jobs_at_once_have_no_period(measure: Measure) -> None:
    assert period(measure, POLICY.zone, NOON) is None


@given(
    st.sampled_from(ZONES),
    st.sampled_from(DATED),
    st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2060, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001
)
def test_every_moment_lies_in_its_period_and_periods_follow_without_gap(
    zone: str, measure: Measure, now: dt.datetime
) -> None:
    found = period(measure, ZoneInfo(zone), now)

    assert found is not None
    assert found.starts_at <= now < found.turns_at
    assert period(measure, ZoneInfo(zone), found.starts_at) == found
    assert period(measure, ZoneInfo(zone), found.turns_at - dt.timedelta(microseconds=1)) == found
    following = period(measure, ZoneInfo(zone), found.turns_at)
    assert following is not None
    assert following.starts_at == found.turns_at
    assert before(measure, ZoneInfo(zone), following) == found
    assert found.starts_at.timestamp() % 900 == 0  # totals are kept by the quarter of an hour


def test_a_day_lies_within_its_month() -> None:
    for zone in map(ZoneInfo, ZONES):
        day, month = period(Measure.DAY, zone, NOON), period(Measure.MONTH, zone, NOON)
        assert day is not None
        assert month is not None
        assert month.starts_at <= day.starts_at < day.turns_at <= month.turns_at


# Which limits count


def member(amount: int, measure: Measure = Measure.MONTH) -> Limit:
    return Limit(layer=Layer.MEMBER, measure=measure, amount=amount)


def role(amount: int, role_id: int, measure: Measure = Measure.MONTH) -> Limit:
    return Limit(layer=Layer.ROLE, measure=measure, amount=amount, subject=str(role_id))


def other(layer: Layer, amount: int, subject: str = "", measure: Measure = Measure.MONTH) -> Limit:
    return Limit(layer=layer, measure=measure, amount=amount, subject=subject)


DEFAULT = member(10 * DOLLAR)


@pytest.mark.parametrize(
    ("bearing", "counting"),
    [
        ([], [DEFAULT]),
        ([member(5)], [member(5)]),
        ([role(5, 1)], [role(5, 1)]),
        # The most generous of several roles, whatever their order.
        ([role(5, 1), role(7, 2), role(6, 3)], [role(7, 2)]),
        ([role(7, 2), role(5, 1)], [role(7, 2)]),
        ([role(0, 1), role(0, 2)], [role(0, 1)]),
        # A member's own beats their roles', be it more or less.
        ([role(7, 2), member(5)], [member(5)]),
        ([member(5), role(3, 2)], [member(5)]),
        ([member(0), role(3, 2)], [member(0)]),
        # Measure by measure: what one layer does not say another may.
        ([member(5, Measure.DAY)], [member(5, Measure.DAY), DEFAULT]),
        ([role(9, 1), member(5, Measure.DAY)], [member(5, Measure.DAY), role(9, 1)]),
        (
            [role(2, 1, Measure.AT_ONCE), role(5, 2, Measure.DAY), role(3, 2, Measure.AT_ONCE)],
            [role(5, 2, Measure.DAY), DEFAULT, role(3, 2, Measure.AT_ONCE)],
        ),
        # Channel and server count on top and replace nothing.
        (
            [other(Layer.SERVER, 8), other(Layer.CHANNEL, 9, "4")],
            [DEFAULT, other(Layer.CHANNEL, 9, "4"), other(Layer.SERVER, 8)],
        ),
        (
            [other(Layer.SERVER, 8), member(5), other(Layer.SERVER, 1, measure=Measure.DAY)],
            [member(5), other(Layer.SERVER, 1, measure=Measure.DAY), other(Layer.SERVER, 8)],
        ),
    ],
)
def test_own_beats_the_most_generous_role_beats_the_default_and_the_rest_is_on_top(
    bearing: list[Limit], counting: list[Limit]
) -> None:
    assert applying(bearing, POLICY, gateways=()) == counting


def test_the_operators_caps_count_over_everything_and_over_the_keys_of_interest() -> None:
    caps = (other(Layer.KEY, 1, "apixo"), other(Layer.KEY, 2, "pixazo"), other(Layer.OPERATOR, 3))
    policy = dataclasses.replace(POLICY, caps=caps)

    assert applying([], policy, gateways=["pixazo"]) == [DEFAULT, caps[1], caps[2]]
    assert applying([member(5)], policy, gateways=["apixo", "pixazo"]) == [member(5), *caps]


@given(
    st.lists(st.builds(other, st.sampled_from(list(Layer)[:4]), st.integers(0, 9), st.just("7")), max_size=9)
)
def test_no_layer_replaces_one_above_it(bearing: list[Limit]) -> None:
    counting = applying(bearing, POLICY, gateways=())

    assert sum(limit.layer.is_own for limit in counting) == 1
    assert all(limit in counting for limit in bearing if not limit.layer.is_own)


# Which one refuses, and which one binds


def standing(
    limit: Limit, *, spent: int = 0, held: int = 0, granted: int = 0, jobs: int = 0, running: int = 0
) -> Standing:
    has_period = limit.measure not in {Measure.JOB, Measure.AT_ONCE}
    return Standing(
        limit=limit,
        period=Period(starts_at=NOON, turns_at=TURN) if has_period else None,
        sums=Sums(spent_micros=spent, held_micros=held, granted_micros=granted, jobs=jobs),
        running=running,
    )


@pytest.mark.parametrize(
    ("where", "price", "allowed"),
    [
        # The last cent can be spent, and not a millionth more.
        (standing(member(DOLLAR), spent=50 * CENT, held=20 * CENT), 30 * CENT, True),
        (standing(member(DOLLAR), spent=50 * CENT, held=20 * CENT), 30 * CENT + 1, False),
        (standing(member(DOLLAR), spent=50 * CENT, held=20 * CENT, granted=1), 30 * CENT + 1, True),
        # A limit of nothing refuses free orders too, but not where something was granted.
        (standing(member(0)), 0, False),
        (standing(member(0), granted=CENT), CENT, True),
        (standing(member(CENT), spent=CENT), 0, True),
        (standing(member(DOLLAR, Measure.JOB)), DOLLAR, True),
        (standing(member(DOLLAR, Measure.JOB)), DOLLAR + 1, False),
        (standing(member(0, Measure.JOB)), 0, False),
        (standing(member(2, Measure.AT_ONCE), running=1), DOLLAR, True),
        (standing(member(2, Measure.AT_ONCE), running=2), 0, False),
        (standing(member(3, Measure.JOBS_A_DAY), jobs=2), DOLLAR, True),
        (standing(member(3, Measure.JOBS_A_DAY), jobs=3), 0, False),
        # Counts are of jobs: nothing granted lifts them.
        (standing(member(3, Measure.JOBS_A_DAY), jobs=3, granted=DOLLAR), 0, False),
    ],
)
def test_an_order_is_allowed_up_to_the_limit(where: Standing, price: int, allowed: bool) -> None:
    assert where.allows(price) is allowed
    assert (refusing([where], price) is None) is allowed


def test_a_limit_lowered_below_the_use_leaves_nothing_not_less() -> None:
    assert standing(member(DOLLAR), spent=2 * DOLLAR, held=DOLLAR).left == 0
    assert standing(member(1, Measure.AT_ONCE), running=4).left == 0


FULL_OWN = standing(member(DOLLAR), spent=DOLLAR)
FULL_SERVER = standing(other(Layer.SERVER, DOLLAR), spent=DOLLAR)
FULL_OPERATOR = standing(other(Layer.OPERATOR, DOLLAR), spent=DOLLAR)
ROOMY_OWN = standing(member(9 * DOLLAR))
ROOMY_SERVER = standing(other(Layer.SERVER, 5 * DOLLAR))


@pytest.mark.parametrize(
    ("where", "refused_by", "bound_by"),
    [
        ([ROOMY_OWN, ROOMY_SERVER], None, ROOMY_SERVER),
        ([ROOMY_SERVER, ROOMY_OWN], None, ROOMY_SERVER),
        ([FULL_OWN, ROOMY_SERVER], FULL_OWN, FULL_OWN),
        # Of several the one that is hardest to lift: raising the other would not help.
        ([FULL_OWN, FULL_SERVER], FULL_SERVER, FULL_SERVER),
        ([FULL_OPERATOR, FULL_SERVER, FULL_OWN], FULL_OPERATOR, FULL_OPERATOR),
        # Jobs are no money: they bind only where none is left.
        ([ROOMY_OWN, standing(member(1, Measure.AT_ONCE))], None, ROOMY_OWN),
        ([], None, None),
    ],
)
def test_the_limit_that_refuses_is_the_hardest_to_lift_and_the_one_that_binds_is_met_first(
    where: list[Standing], refused_by: Standing | None, bound_by: Standing | None
) -> None:
    assert refusing(where, DOLLAR) == refused_by
    assert binding(where) == bound_by


def test_a_price_per_job_binds_where_it_is_the_least() -> None:
    per_job = standing(member(2 * DOLLAR, Measure.JOB))

    assert binding([ROOMY_OWN, per_job, ROOMY_SERVER]) == per_job


def test_a_cap_over_all_servers_binds_and_is_named_without_what_others_spent() -> None:
    hidden = dataclasses.replace(standing(other(Layer.OPERATOR, 7 * DOLLAR), spent=DOLLAR), is_hidden=True)

    assert binding([ROOMY_OWN, hidden]) == hidden
    (told, *_) = why([ROOMY_OWN, hidden], None, sandbox=False).splitlines()
    assert told == (
        "**Binding here: the operator's limit for everybody**; what is left of it only the operator sees."
    )
    empty = dataclasses.replace(FULL_OPERATOR, is_hidden=True)
    assert binding([ROOMY_OWN, empty]) == empty


@pytest.mark.parametrize(
    ("used", "whole", "reached"),
    [
        (49, 100, ()),
        (50, 100, (50,)),
        (79, 100, (50,)),
        (80, 100, (50, 80)),
        (120, 100, (50, 80, 100)),
        (0, 0, ()),
    ],
)
def test_shares_of_a_limit_are_reached_to_the_micro_dollar(
    used: int, whole: int, reached: tuple[int, ...]
) -> None:
    assert shares_reached(used, whole) == reached


# What a refusal says


PRICE = Quote(micros=DOLLAR + CENT, estimate=False)
TURNS = f"turns <t:{int(TURN.timestamp())}:R>."


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        (
            standing(member(10 * DOLLAR), spent=7 * DOLLAR, held=2 * DOLLAR),
            (
                "This would go over your limit: $10.00 a month, of which $7.00 is spent and $2.00 is held by "
                f"running jobs. This order costs $1.01. The month {TURNS} Nothing was charged."
            ),
        ),
        (
            standing(role(10 * DOLLAR, 8, Measure.WEEK), spent=12 * DOLLAR, granted=3 * DOLLAR),
            (
                "This would go over the limit of <@&8>: $10.00 a week and $3.00 granted, of which $12.00 is "
                "spent and $0.00 is held by running jobs. This order costs $1.01. "
                f"The week {TURNS} Nothing was charged."
            ),
        ),
        (
            standing(other(Layer.CHANNEL, DOLLAR, "9", Measure.DAY)),
            (
                "This would go over the limit of <#9>: $1.00 a day, of which $0.00 is spent and $0.00 is "
                f"held by running jobs. This order costs $1.01. The day {TURNS} Nothing was charged."
            ),
        ),
        (
            standing(other(Layer.SERVER, DOLLAR, measure=Measure.JOB)),
            (
                "This would go over this server's limit: $1.00 a job. This order costs $1.01. "
                "Nothing was charged."
            ),
        ),
        (
            standing(other(Layer.KEY, 2, "apixo", Measure.AT_ONCE), running=2),
            (
                "This would go over the operator's limit for apixo: 2 jobs at once, and 2 run now. "
                "Order when one has ended. This order costs $1.01. Nothing was charged."
            ),
        ),
        (
            standing(member(1, Measure.JOBS_A_DAY), jobs=1),
            (
                "This would go over your limit: 1 job a day, and 1 was ordered today. "
                f"This order costs $1.01. The day {TURNS} Nothing was charged."
            ),
        ),
        (
            dataclasses.replace(FULL_OPERATOR, is_hidden=True),
            (
                "This would go over the operator's limit for everybody: $1.00 a month. This order "
                f"costs $1.01. The month {TURNS} Nothing was charged."
            ),
        ),
    ],
)
def test_a_refusal_says_whose_limit_how_much_what_is_used_the_price_and_the_turn(
    where: Standing, sentence: str
) -> None:
    assert over_limit(where, PRICE) == sentence
    assert "$" not in over_limit_in_public(where)


def test_a_refusal_of_an_estimated_price_says_that_it_is_one() -> None:
    assert "This order costs ≈$1.00." in over_limit(FULL_OWN, Quote(micros=DOLLAR, estimate=True))
