"""What gateways said is left of their keys' money, and what the ledger booked between two such readings."""

import dataclasses
import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import Account, Stage
from bot.quotas import Period
from bot.reckoning import PaidJob, Reading
from storage import audit, ledger
from storage.database import Store, reads, writes
from storage.schema import EntryKind, balances, jobs
from storage.schema import ledger as entries

_AT_THE_GATEWAY = (Stage.SUBMITTING, Stage.UNCERTAIN, Stage.RENDERING, Stage.FETCHING)
_ENDS = (EntryKind.SETTLE, EntryKind.RELEASE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Untold:
    """What the operator still has to be told of a reading."""

    reading_id: int
    words: str


class BalanceStore(Store):
    """Reads and writes the balances of real money."""

    @writes
    async def record(
        self, connection: AsyncConnection, gateway: str, reading: Reading, *, untold: str = ""
    ) -> None:
        """Store a reading, with what the operator has to be told of it."""
        await connection.execute(
            sa.insert(balances).values(
                gateway=gateway,
                balance_micros=reading.balance_micros,
                read_at=reading.read_at,
                untold=untold,
                is_off=int(untold != ""),
            )
        )

    @writes
    async def asked(self, connection: AsyncConnection, *, server_id: int, by: int, now: dt.datetime) -> None:
        """Write down that the operator asked for all balances, in a server."""
        await audit.record(connection, server_id=server_id, by=by, act="reconcile", now=now)

    @reads
    async def latest(self, connection: AsyncConnection, gateway: str) -> Reading | None:
        """Return the last reading, if there is one."""
        return await self._first(
            connection, sa.select(balances).where(_of(gateway)).order_by(balances.c.reading_id.desc())
        )

    @reads
    async def earliest(self, connection: AsyncConnection, gateway: str, since: dt.datetime) -> Reading | None:
        """Return the first reading since a moment, if there is one."""
        query = sa.select(balances).where(_of(gateway), balances.c.read_at >= since)
        return await self._first(connection, query.order_by(balances.c.read_at))

    @reads
    async def earliest_untold(
        self, connection: AsyncConnection, gateway: str, since: dt.datetime
    ) -> Reading | None:
        """Return the first reading since a moment, but not one from before what was told the last time."""
        recent = sa.and_(_of(gateway), balances.c.read_at >= since)
        told = sa.select(sa.func.max(balances.c.reading_id)).where(recent, balances.c.is_off == 1)
        is_later = balances.c.reading_id >= sa.func.coalesce(told.scalar_subquery(), 0)
        query = sa.select(balances).where(recent, is_later)
        return await self._first(connection, query.order_by(balances.c.read_at))

    @reads
    async def untold(self, connection: AsyncConnection) -> list[Untold]:
        """Return what the operator still has to be told, oldest first."""
        rows = await connection.execute(
            sa.select(balances.c.reading_id, balances.c.untold)
            .where(balances.c.untold != "")
            .order_by(balances.c.reading_id)
        )
        return [Untold(reading_id=row.reading_id, words=row.untold) for row in rows]

    @writes
    async def told(self, connection: AsyncConnection, reading_id: int) -> None:
        """Remember that the operator was told."""
        await connection.execute(
            sa.update(balances).where(balances.c.reading_id == reading_id).values(untold="")
        )

    @reads
    async def paid_jobs(
        self, connection: AsyncConnection, gateway: str, period: Period
    ) -> tuple[PaidJob, ...]:
        """Return the jobs that were at the gateway at some time in a period that ends just now, oldest first.

        What was booked after its first moment and up to its last counts, by when it was booked.
        """
        in_time = entries.c.created_at <= period.turns_at
        booked = (
            sa.select(
                entries.c.job_id,
                _sum(in_time & (entries.c.kind == EntryKind.SETTLE)).label("settled"),
                _sum(in_time & (entries.c.kind == EntryKind.POSSIBLE_CHARGE)).label("possible"),
                sa.func.max(in_time & entries.c.kind.in_(_ENDS)).label("is_over"),
            )
            .where(
                entries.c.gateway == gateway,
                entries.c.account == Account.REAL,
                entries.c.created_at > period.starts_at,
                entries.c.kind.in_((*_ENDS, EntryKind.POSSIBLE_CHARGE)),
            )
            .group_by(entries.c.job_id)
            .subquery()
        )
        here = sa.and_(
            # The plus lets SQLite begin with the few at any gateway, not with all a gateway ever had.
            sa.literal_column("+jobs.gateway") == gateway,
            jobs.c.account == Account.REAL,
            jobs.c.stage.in_(_AT_THE_GATEWAY),
        )
        found = sa.union(sa.select(booked.c.job_id), sa.select(jobs.c.job_id).where(here)).subquery()
        rows = await connection.execute(
            sa.select(jobs, booked.c.settled, booked.c.possible, booked.c.is_over)
            .join(found, found.c.job_id == jobs.c.job_id)
            .outerjoin(booked, booked.c.job_id == jobs.c.job_id)
            .where(jobs.c.submitted_at <= period.turns_at)
            .order_by(jobs.c.submitted_at, jobs.c.job_id)
        )
        return tuple(
            PaidJob(
                job_id=row.job_id,
                stage=Stage(row.stage),
                quote_micros=row.quote_micros,
                submitted_at=row.submitted_at,
                settled_micros=row.settled or 0,
                possible_micros=row.possible or 0,
                is_over=bool(row.is_over),
            )
            for row in rows
        )

    @reads
    async def possible_micros(self, connection: AsyncConnection, gateway: str, period: Period) -> int:
        """Return what a gateway may have taken beyond what members settled, by when jobs were ordered."""
        return await ledger.possible_micros(connection, gateway, period)

    async def _first(self, connection: AsyncConnection, query: sa.Select[Any]) -> Reading | None:
        row = (await connection.execute(query.limit(1))).first()
        return None if row is None else Reading(balance_micros=row.balance_micros, read_at=row.read_at)


def _of(gateway: str) -> sa.ColumnElement[bool]:
    return balances.c.gateway == gateway


def _sum(which: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((which, entries.c.amount_micros), else_=0))
