"""Pure policy: which month it is, and whether an order may be paid from it."""

import dataclasses
import datetime as dt
from zoneinfo import ZoneInfo

from bot.errors import OverLimit

DECEMBER = 12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Period:
    """A stretch of time, from `starts_at` up to but not including `turns_at`, both aware UTC."""

    starts_at: dt.datetime
    turns_at: dt.datetime


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sums:
    """What the ledger says of a period, in micro-dollars. `held` is what running jobs set aside."""

    spent_micros: int
    held_micros: int

    @property
    def used_micros(self) -> int:
        """What no further order can spend."""
        return self.spent_micros + self.held_micros


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """Where one limit stands now."""

    name: str
    limit_micros: int
    sums: Sums
    period: Period

    @property
    def left_micros(self) -> int:
        """What can still be ordered; never negative, though a lowered limit may lie below the use."""
        return max(0, self.limit_micros - self.sums.used_micros)

    def check(self, price_micros: int, *, is_estimate: bool = False) -> None:
        """Refuse an order this limit does not leave room for; a limit of 0 refuses free ones too.

        Raises:
            OverLimit: with the limit, spent, held, this price and the turn.
        """
        if price_micros > self.left_micros or self.limit_micros == 0:
            raise OverLimit(
                limit_name=self.name,
                limit_micros=self.limit_micros,
                spent_micros=self.sums.spent_micros,
                held_micros=self.sums.held_micros,
                price_micros=price_micros,
                is_estimate=is_estimate,
                turns_at=self.period.turns_at,
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
    """The operator's settings that bound spending, in micro-dollars; None means no bound."""

    default_member_micros: int
    operator_micros: int | None
    zone: ZoneInfo

    def month(self, now: dt.datetime) -> Period:
        """Return the calendar month, in the policy's time zone, that `now` lies in."""
        local = now.astimezone(self.zone)
        start = dt.datetime(local.year, local.month, 1, tzinfo=self.zone)
        turn = (
            dt.datetime(local.year + 1, 1, 1, tzinfo=self.zone)
            if local.month == DECEMBER
            else dt.datetime(local.year, local.month + 1, 1, tzinfo=self.zone)
        )
        return Period(starts_at=start.astimezone(dt.UTC), turns_at=turn.astimezone(dt.UTC))
