"""Pure policy: the layers of limits, the periods they count in, and whether an order may be paid now.

Each limit belongs to one layer and one measure. A member's own limit beats those of their roles; of
several roles the most generous counts; without either, the operator's default is the month's. That is
looked up measure by measure. Channel, server and the operator's caps always hold on top.
"""

import dataclasses
import datetime as dt
from collections.abc import Collection, Iterable
from enum import StrEnum
from zoneinfo import ZoneInfo

DECEMBER = 12
ALERT_PERCENTS = (50, 80, 100)


class Layer(StrEnum):
    """Whose limit it is, from the most particular to the most general."""

    MEMBER = "member"
    ROLE = "role"  # an allowance for each member who has the role
    CHANNEL = "channel"
    SERVER = "server"
    KEY = "key"  # the operator's, for one gateway key
    OPERATOR = "operator"  # the operator's, over everything

    @property
    def is_own(self) -> bool:
        """Whether it bounds one member: an approval lifts such limits."""
        return self in {Layer.MEMBER, Layer.ROLE}

    @property
    def is_operators(self) -> bool:
        """Whether it spans servers."""
        return self in {Layer.KEY, Layer.OPERATOR}


class Measure(StrEnum):
    """What a limit counts: micro-dollars in a period or of one job, or jobs."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    JOB = "job"
    AT_ONCE = "at once"
    JOBS_A_DAY = "jobs a day"

    @property
    def is_money(self) -> bool:
        """Whether its amounts are micro-dollars; otherwise they are jobs."""
        return self not in {Measure.AT_ONCE, Measure.JOBS_A_DAY}

    @property
    def is_budget(self) -> bool:
        """Whether it is used up by what is spent and held."""
        return self in {Measure.DAY, Measure.WEEK, Measure.MONTH}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limit:
    """One limit. `subject` is the id of its role or channel, or the name of its gateway."""

    layer: Layer
    measure: Measure
    amount: int
    subject: str = ""

    @property
    def is_own_budget(self) -> bool:
        """Whether it is a member's own money for a time: a purse stands in for such limits."""
        return self.layer.is_own and self.measure.is_budget


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetLimit:
    """A limit as staff set it; `user_id` is whose it is, None for other layers or somebody forgotten."""

    limit: Limit
    user_id: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Period:
    """A stretch of time, from `starts_at` up to but not including `turns_at`, both aware UTC."""

    starts_at: dt.datetime
    turns_at: dt.datetime


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sums:
    """What the ledger says of jobs ordered in a period, in micro-dollars, and how many there are.

    `held` is what running jobs set aside, `granted` what staff gave on top of a limit.
    """

    spent_micros: int = 0
    held_micros: int = 0
    granted_micros: int = 0
    jobs: int = 0

    @property
    def used_micros(self) -> int:
        """What no further order can spend."""
        return self.spent_micros + self.held_micros


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """Where one limit stands now.

    `period` is None for measures without one, `running` counts jobs at once. `is_hidden` says that the
    sums span other servers, which only the operator may see.
    """

    limit: Limit
    period: Period | None = None
    sums: Sums = Sums()
    running: int = 0
    is_hidden: bool = False

    @property
    def left(self) -> int:
        """What can still be ordered, in the limit's unit; a lowered limit may lie below the use."""
        limit = self.limit
        match limit.measure:
            case Measure.JOB:
                left = limit.amount
            case Measure.AT_ONCE:
                left = limit.amount - self.running
            case Measure.JOBS_A_DAY:
                left = limit.amount - self.sums.jobs
            case _:
                left = limit.amount + self.sums.granted_micros - self.sums.used_micros
        return max(0, left)

    def allows(self, price_micros: int) -> bool:
        """Whether an order at this price has room; a limit of 0 refuses free ones too."""
        if self.limit.measure.is_money:
            whole = self.limit.amount + self.sums.granted_micros
            return price_micros <= self.left and whole > 0
        return self.left > 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
    """The operator's settings that bound spending. Limits of KEY and OPERATOR, in the operator's zone."""

    default_member_micros: int
    caps: tuple[Limit, ...]
    zone: ZoneInfo


def period(measure: Measure, zone: ZoneInfo, now: dt.datetime) -> Period | None:
    """Return the calendar day, week from Monday or month, in a time zone, that `now` lies in."""
    today = now.astimezone(zone).date()
    match measure:
        case Measure.DAY | Measure.JOBS_A_DAY:
            first, turn = today, today + dt.timedelta(days=1)
        case Measure.WEEK:
            first = today - dt.timedelta(days=today.weekday())
            turn = first + dt.timedelta(days=7)
        case Measure.MONTH:
            first = today.replace(day=1)
            turn = (
                first.replace(year=first.year + 1, month=1)
                if first.month == DECEMBER
                else (first.replace(month=first.month + 1))
            )
        case _:
            return None
    return Period(starts_at=_midnight(first, zone), turns_at=_midnight(turn, zone))


def before(measure: Measure, zone: ZoneInfo, of: Period) -> Period:
    """Return the period that ended when this one began."""
    earlier = period(measure, zone, of.starts_at - dt.timedelta(seconds=1))
    if earlier is None:
        raise ValueError(f"{measure} has no periods")
    return earlier


def applying(limits: Iterable[Limit], policy: Policy, *, gateways: Collection[str]) -> list[Limit]:
    """Return the limits that count for a member, of all that bear on them, their roles and the place.

    `gateways` are those whose caps are of interest.
    """
    own: dict[Measure, Limit] = {
        Measure.MONTH: Limit(layer=Layer.MEMBER, measure=Measure.MONTH, amount=policy.default_member_micros)
    }
    roles: dict[Measure, Limit] = {}
    others: list[Limit] = []
    members: dict[Measure, Limit] = {}
    for limit in limits:
        match limit.layer:
            case Layer.MEMBER:
                members[limit.measure] = limit
            case Layer.ROLE:
                best = roles.get(limit.measure)
                if best is None or limit.amount > best.amount:
                    roles[limit.measure] = limit
            case _:
                others.append(limit)
    own |= roles | members
    caps = [cap for cap in policy.caps if cap.layer is Layer.OPERATOR or cap.subject in gateways]
    order = list(Measure)
    return [
        *sorted(own.values(), key=lambda limit: order.index(limit.measure)),
        *sorted(others, key=lambda limit: (list(Layer).index(limit.layer), order.index(limit.measure))),
        *caps,
    ]


def refusing(standings: Iterable[Standing], price_micros: int) -> Standing | None:
    """Return the limit that refuses an order, if one does: of several the one that is hardest to lift."""
    found = [standing for standing in standings if not standing.allows(price_micros)]
    return max(found, key=lambda standing: list(Layer).index(standing.limit.layer), default=None)


def binding(standings: Iterable[Standing]) -> Standing | None:
    """Return the limit that will be met first: the one with the least money.

    Of those with nothing left it is the one that is hardest to lift: the one that refuses.
    """
    known = list(standings)
    empty = [standing for standing in known if not standing.left]
    if empty:
        return max(empty, key=lambda standing: list(Layer).index(standing.limit.layer))
    money = [standing for standing in known if standing.limit.measure.is_money]
    return min(money, key=lambda standing: standing.left, default=None)


def shares_reached(used: int, whole: int) -> tuple[int, ...]:
    """Return which of `ALERT_PERCENTS` of a limit are used up; of a limit of nothing none."""
    return tuple(percent for percent in ALERT_PERCENTS if 0 < whole * percent <= used * 100)


def _midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    """Return when a day begins; where the clocks skip midnight, that is when they skip it."""
    return dt.datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(dt.UTC)
