"""What staff do with money: purses of channels, grants to members, refunds of jobs."""

import contextlib
import datetime as dt
from zoneinfo import ZoneInfo

from bot import fund_messages, quotas
from bot.availability import Availability
from bot.card_desk import CardDesk
from bot.errors import BadOrder, UserError
from bot.models import Clock, Job
from bot.quotas import Measure, Period, Policy
from bot.spending import amount
from storage.grants import GrantStore
from storage.purses import PurseStore
from storage.servers import ServerStore

MOST_YEARS = 5
_DAY_FORMS = ("%Y-%m-%d", "%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y")


class FundAdmin:
    """Opens and closes purses, grants and refunds; every act is in the audit log."""

    def __init__(
        self,
        *,
        purses: PurseStore,
        grants: GrantStore,
        servers: ServerStore,
        availability: Availability,
        desk: CardDesk,
        policy: Policy,
        clock: Clock,
    ) -> None:
        self._purses = purses
        self._grants = grants
        self._servers = servers
        self._availability = availability
        self._desk = desk
        self._policy = policy
        self._clock = clock

    async def open_purse(
        self, server_id: int, channel_id: int, typed: str, *, until: str | None, reason: str, by: int
    ) -> tuple[int, dt.datetime | None]:
        """Give a channel a purse of what staff typed; return its micro-dollars and when it ends.

        Raises:
            UserError: the amount or the day is none, or the channel has a purse.
        """
        micros = _some(typed)
        ends_at = None
        if until is not None:
            ends_at = end_of_day(until, await self._zone(server_id), self._clock())
        await self._purses.open(
            server_id=server_id,
            channel_id=channel_id,
            amount_micros=micros,
            ends_at=ends_at,
            what=fund_messages.purse_amount(micros, channel_id, ends_at),
            reason=reason,
            by=by,
            now=self._clock(),
        )
        return micros, ends_at

    async def close_purse(self, server_id: int, channel_id: int, *, reason: str, by: int) -> None:
        """Close a channel's purse, also one that is over by its date.

        Raises:
            UserError: it has none.
        """
        is_closed = await self._purses.close(
            server_id=server_id,
            channel_id=channel_id,
            what=f"<#{channel_id}>",
            reason=reason,
            by=by,
            now=self._clock(),
        )
        if not is_closed:
            raise UserError(fund_messages.no_purse(channel_id))

    async def purses(self, server_id: int, *, page: int, per_page: int) -> tuple[str, bool]:
        """Write a page of a server's purses; return it and whether there are more."""
        found = await self._purses.of_server(
            server_id, self._availability.account, offset=page * per_page, limit=per_page + 1
        )
        return fund_messages.purses(found[:per_page], self._clock()), len(found) > per_page

    async def grant(
        self, server_id: int, user_id: int, typed: str, *, reason: str, by: int
    ) -> tuple[int, Period]:
        """Give a member money on top of their limits; return how much, and the month it counts in.

        Raises:
            UserError: it is no amount.
        """
        micros = _some(typed)
        now = self._clock()
        await self._grants.grant(
            server_id=server_id,
            user_id=user_id,
            account=self._availability.account,
            amount_micros=micros,
            reason=reason,
            by=by,
            now=now,
        )
        month = quotas.period(Measure.MONTH, await self._zone(server_id), now)
        assert month is not None  # noqa: S101 - a month is a period
        return micros, month

    async def refundable(self, server_id: int, *, limit: int) -> list[Job]:
        """Return a server's jobs that may be refunded, newest first."""
        return await self._grants.refundable(server_id, limit=limit)

    async def refund(self, server_id: int, job_id: str, *, reason: str, by: int) -> Job:
        """Give back all that a job cost, once, and let its card say so.

        Raises:
            UserError: there is nothing to give back, or no such job in this server.
        """
        job = await self._grants.refund(
            server_id=server_id, job_id=job_id.strip().lower(), reason=reason, by=by, now=self._clock()
        )
        self._desk.show(job)
        return job

    async def _zone(self, server_id: int) -> ZoneInfo:
        return (await self._servers.settings(server_id)).zone or self._policy.zone


def end_of_day(typed: str, zone: ZoneInfo, now: dt.datetime) -> dt.datetime:
    """Read a day as people write it (`2026-12-12`, `12 Dec`); return when it ends in the zone.

    Without a year it is the next such day.

    Raises:
        BadOrder: it is no day, is over, or is years away.
    """
    today = now.astimezone(zone).date()
    example = today + dt.timedelta(days=21)
    written = " ".join(typed.replace(",", " ").replace(".", " ").split())
    found = [
        day
        for candidate in (written, f"{written} {today.year}", f"{written} {today.year + 1}")
        if (day := _day(candidate)) is not None
    ]
    if not found or found[0].year > today.year + MOST_YEARS:
        raise BadOrder(fund_messages.BAD_DAY.format(example=example))
    coming = [day for day in found if day >= today]
    if not coming:
        raise BadOrder(fund_messages.PAST_DAY.format(example=example))
    noon = dt.datetime.combine(coming[0], dt.time(12), zone)
    day = quotas.period(Measure.DAY, zone, noon)
    assert day is not None  # noqa: S101 - a day is a period
    return day.turns_at


def _day(written: str) -> dt.date | None:
    for form in _DAY_FORMS:
        with contextlib.suppress(ValueError):
            return dt.datetime.strptime(written, form).date()  # noqa: DTZ007 - a day alone
    return None


def _some(typed: str) -> int:
    """Read an amount that is more than nothing.

    Raises:
        BadOrder: it is not.
    """
    micros = amount(typed)
    if not micros:
        raise BadOrder(fund_messages.NO_MONEY)
    return micros
