"""The append-only ledger: what was held, spent, given back and granted, and the sums over it."""

import dataclasses
import datetime as dt
import json
from collections.abc import Sequence
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import Account, Budget, Job
from bot.quotas import Period, Sums
from storage.schema import EntryKind, ledger, totals

QUARTER_SECONDS = 15 * 60


_EVER = (0, 2**62)  # quarters of an hour

# Texts, since they are asked with every order: to build such queries anew takes longer than to answer them.
_SUMS = sa.text("""
    SELECT COALESCE(SUM(spent_micros), 0) AS spent, COALESCE(SUM(held_micros), 0) AS held,
           COALESCE(SUM(granted_micros), 0) AS granted, COALESCE(SUM(jobs), 0) AS jobs
    FROM json_each(:spans) AS span LEFT JOIN totals
      ON account = :account
     AND scope = json_extract(span.value, '$[0]') AND subject = json_extract(span.value, '$[1]')
     AND quarter >= json_extract(span.value, '$[2]') AND quarter < json_extract(span.value, '$[3]')
    GROUP BY span.key ORDER BY span.key
""")
_OTHER_SERVERS = sa.text("""
    SELECT EXISTS (SELECT 1 FROM totals WHERE account = 'real' AND scope = 'server' AND subject < :server)
        OR EXISTS (SELECT 1 FROM totals WHERE account = 'real' AND scope = 'server' AND subject > :server)
        OR EXISTS (SELECT 1 FROM totals WHERE account = 'sandbox' AND scope = 'server' AND subject < :server)
        OR EXISTS (SELECT 1 FROM totals WHERE account = 'sandbox' AND scope = 'server' AND subject > :server)
""")


class Scope(StrEnum):
    """What totals are kept for. MEMBER counts all jobs, but only money charged to members' own quotas."""

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
    asked = [
        (span.scope, span.subject, *(_quarters(span.period) if span.period else _EVER)) for span in spans
    ]
    rows = await connection.execute(_SUMS, {"account": account, "spans": json.dumps(asked)})
    return [
        Sums(spent_micros=row.spent, held_micros=row.held, granted_micros=row.granted, jobs=row.jobs)
        for row in rows
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
    return bool(await connection.scalar(_OTHER_SERVERS, {"server": str(server_id)}))


def _quarters(period: Period) -> tuple[int, int]:
    return _quarter(period.starts_at), _quarter(period.turns_at)


def _quarter(moment: dt.datetime) -> int:
    """Every time zone's offset is whole quarters of an hour, so periods begin and end on one."""
    return int(moment.timestamp()) // QUARTER_SECONDS
