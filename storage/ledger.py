"""The append-only ledger: what was held, spent and given back, and the sums over it."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import Account, Job
from bot.quotas import Period, Sums
from storage.schema import EntryKind, ledger


async def book(
    connection: AsyncConnection,
    job: Job,
    kind: EntryKind,
    amount_micros: int,
    *,
    reason: str,
    now: dt.datetime,
) -> None:
    """Add an entry for a job; the schema refuses a second of its kind and spending what is not held."""
    await connection.execute(
        sa.insert(ledger).values(
            job_id=job.job_id,
            server_id=job.server_id,
            member_id=job.member_id,
            account=job.account,
            kind=kind,
            amount_micros=amount_micros,
            model=job.request.model,
            reason=reason,
            ordered_at=job.created_at,
            created_at=now,
        )
    )


async def sums(
    connection: AsyncConnection, *, account: Account, period: Period, member_id: int | None = None
) -> Sums:
    """Return what one member, or everybody, spent and holds for jobs ordered in the period."""
    query = (
        sa.select(ledger.c.kind, sa.func.sum(ledger.c.amount_micros))
        .where(
            ledger.c.account == account,
            ledger.c.ordered_at >= period.starts_at,
            ledger.c.ordered_at < period.turns_at,
        )
        .group_by(ledger.c.kind)
    )
    if member_id is not None:
        query = query.where(ledger.c.member_id == member_id)
    totals = {row[0]: int(row[1]) for row in await connection.execute(query)}
    settled = totals.get(EntryKind.SETTLE, 0)
    held = totals.get(EntryKind.HOLD, 0) - settled - totals.get(EntryKind.RELEASE, 0)
    return Sums(spent_micros=settled, held_micros=held)
