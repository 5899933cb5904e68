"""The append-only ledger: what was held, spent, given back and granted, and the sums over it."""

import dataclasses
import datetime as dt
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import Account, Budget, Job
from bot.quotas import Period, Sums
from storage.schema import EntryKind, ledger, totals

QUARTER_SECONDS = 15 * 60


class Scope(StrEnum):
    """What totals are kept for. MEMBER counts only what is charged to members' own quotas."""

    MEMBER = "member"
    PURSE = "purse"
    CHANNEL = "channel"
    SERVER = "server"
    KEY = "key"
    OPERATOR = "operator"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Span:
    """What to sum up: a subject of a scope, in a period or ever."""

    scope: Scope
    subject: str
    period: Period | None


async def book(
    connection: AsyncConnection,
    job: Job,
    kind: EntryKind,
    amount_micros: int,
    *,
    reason: str,
    now: dt.datetime,
    actor_id: int | None = None,
    act_id: str | None = None,
) -> None:
    """Add an entry for a job; the schema refuses a second of its kind and spending what is not held.

    `actor_id` is the row of who caused it, None for the bot itself.
    """
    await connection.execute(
        sa.insert(ledger).values(
            job_id=job.job_id,
            server_id=job.server_id,
            channel_id=job.home_channel_id,
            member_id=job.member_id,
            account=job.account,
            kind=kind,
            amount_micros=amount_micros,
            model=job.request.model,
            gateway=job.gateway,
            role_id=job.role_id,
            budget=job.charge.budget,
            budget_id=job.charge.subject_id,
            price_version=job.quote.version,
            actor_id=actor_id,
            act_id=act_id,
            reason=reason,
            ordered_at=job.created_at,
            created_at=now,
        )
    )


async def grant(
    connection: AsyncConnection,
    *,
    server_id: int,
    member_id: int,
    account: Account,
    amount_micros: int,
    reason: str,
    actor_id: int,
    act_id: str,
    now: dt.datetime,
) -> None:
    """Give a member money on top of their limit, in every period that `now` lies in."""
    await connection.execute(
        sa.insert(ledger).values(
            server_id=server_id,
            member_id=member_id,
            account=account,
            kind=EntryKind.GRANT,
            amount_micros=amount_micros,
            budget=Budget.MEMBER,
            price_version="",
            actor_id=actor_id,
            act_id=act_id,
            reason=reason,
            ordered_at=now,
            created_at=now,
        )
    )


async def sums(connection: AsyncConnection, account: Account, spans: Sequence[Span]) -> list[Sums]:
    """Return the sums of each span, in one query, from totals that no history makes slower."""
    if not spans:
        return []
    parts = [_sum(account, number, span) for number, span in enumerate(spans)]
    rows = (await connection.execute(sa.union_all(*parts))).mappings()
    found = {row["number"]: row for row in rows}
    return [
        Sums(
            spent_micros=found[number]["spent_micros"],
            held_micros=found[number]["held_micros"],
            granted_micros=found[number]["granted_micros"],
            jobs=found[number]["jobs"],
        )
        for number in range(len(spans))
    ]


async def possible_micros(connection: AsyncConnection, gateway: str, period: Period) -> int:
    """Return what a gateway took, or may have, beyond what members settled for jobs ordered in a period."""
    found = await connection.scalar(
        sa.select(sa.func.sum(totals.c.possible_micros)).where(
            totals.c.account == Account.REAL,
            totals.c.scope == Scope.KEY,
            totals.c.subject == gateway,
            totals.c.quarter >= _quarter(period.starts_at),
            totals.c.quarter < _quarter(period.turns_at),
        )
    )
    return found or 0


async def spans_servers(connection: AsyncConnection, server_id: int) -> bool:
    """Whether there are entries of other servers, so that sums over everything are not this server's."""
    others = sa.select(totals.c.subject).where(
        totals.c.scope == Scope.SERVER, totals.c.subject != str(server_id)
    )
    return bool(await connection.scalar(sa.select(others.exists())))


def _sum(account: Account, number: int, span: Span) -> sa.Select[Any]:
    columns = (totals.c.spent_micros, totals.c.held_micros, totals.c.granted_micros, totals.c.jobs)
    query = sa.select(
        sa.literal(number).label("number"),
        *(sa.func.coalesce(sa.func.sum(column), 0).label(column.name) for column in columns),
    ).where(totals.c.account == account, totals.c.scope == span.scope, totals.c.subject == span.subject)
    if span.period is not None:
        query = query.where(
            totals.c.quarter >= _quarter(span.period.starts_at),
            totals.c.quarter < _quarter(span.period.turns_at),
        )
    return query


def _quarter(moment: dt.datetime) -> int:
    """Every time zone's offset is whole quarters of an hour, so periods begin and end on one."""
    return int(moment.timestamp()) // QUARTER_SECONDS
