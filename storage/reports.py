"""Reports of what was spent, summed from the ledger itself within the bounds of a period."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import text
from bot.models import Account, Budget
from bot.money import MICROS_PER_DOLLAR
from bot.quotas import Period
from storage import members
from storage.database import Store, reads
from storage.schema import EntryKind, jobs, ledger
from storage.schema import members as people

ROWS_AT_ONCE = 500


class By(StrEnum):
    """What a report adds up by."""

    MEMBER = "member"
    MODEL = "model"
    CHANNEL = "channel"  # the one whose limits and purse count
    ROLE = "role"  # the member's highest when they ordered


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spent:
    """How many jobs were ordered, what they cost after refunds, and what running ones hold."""

    jobs: int = 0
    spent_micros: int = 0
    held_micros: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            jobs=self.jobs + other.jobs,
            spent_micros=self.spent_micros + other.spent_micros,
            held_micros=self.held_micros + other.held_micros,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeriodReport:
    """What was spent in a period, the most first.

    A subject is the name of a model, or Discord's id of a channel, role or person; None is no role or a
    person who was forgotten. `file` is a CSV file with every job, None where it would be too big.
    """

    rows: list[tuple[str | None, Spent]]
    file: bytes | None


_SUBJECTS: dict[By, sa.ColumnElement[Any]] = {
    By.MEMBER: ledger.c.member_id,
    By.MODEL: ledger.c.model,
    By.CHANNEL: ledger.c.channel_id,
    By.ROLE: ledger.c.role_id,
}

# Grants are no spending, and what gateways took beyond settles is the operator's affair.
_COUNTED = (EntryKind.HOLD, EntryKind.SETTLE, EntryKind.RELEASE, EntryKind.CORRECTION)


def _signed(**signs: int) -> sa.ColumnElement[int]:
    """Sum up amounts of some kinds of entries, each with its sign."""
    amounts = {EntryKind(kind): sign * ledger.c.amount_micros for kind, sign in signs.items()}
    return sa.func.coalesce(sa.func.sum(sa.case(amounts, value=ledger.c.kind, else_=0)), 0)


_SPENT = (
    sa.func.count().filter(ledger.c.kind == EntryKind.HOLD).label("jobs"),
    _signed(settle=1, correction=-1).label("spent_micros"),
    _signed(hold=1, settle=-1, release=-1).label("held_micros"),
)


class ReportStore(Store):
    """Reads what was spent; a job counts in the period in which it was ordered, with all its entries."""

    @reads
    async def of_period(
        self,
        connection: AsyncConnection,
        server_id: int,
        account: Account,
        period: Period,
        by: By,
        *,
        most_bytes: int,
    ) -> PeriodReport:
        """Return what was spent in a server, and a file of at most so many bytes with its jobs."""
        inside = sa.and_(ledger.c.server_id == server_id, ledger.c.account == account, _ordered_in(period))
        return PeriodReport(
            rows=await _summed(connection, inside, by), file=await _file(connection, inside, most_bytes)
        )

    @reads
    async def of_member(
        self,
        connection: AsyncConnection,
        server_id: int,
        account: Account,
        user_id: int,
        periods: Sequence[Period],
    ) -> list[tuple[Spent, int]]:
        """Return what a person spent in each period, and how much of it from no quota of theirs."""
        member = await members.find(connection, server_id, user_id)
        if member is None:
            return [(Spent(), 0) for _ in periods]
        elsewhere = ledger.c.budget.in_([Budget.PURSE, Budget.APPROVAL]).label("elsewhere")
        found: list[tuple[Spent, int]] = []
        for period in periods:
            rows = await connection.execute(
                sa.select(elsewhere, *_SPENT)
                .where(ledger.c.member_id == member, ledger.c.account == account, _ordered_in(period))
                .where(ledger.c.kind.in_(_COUNTED))
                .group_by(elsewhere)
            )
            parts = {row.elsewhere: _spent(row) for row in rows}
            found.append((sum(parts.values(), Spent()), parts.get(True, Spent()).spent_micros))
        return found


def _ordered_in(period: Period) -> sa.ColumnElement[bool]:
    return sa.and_(ledger.c.ordered_at >= period.starts_at, ledger.c.ordered_at < period.turns_at)


def _spent(row: Any) -> Spent:
    return Spent(jobs=row.jobs, spent_micros=row.spent_micros, held_micros=row.held_micros)


async def _summed(
    connection: AsyncConnection, inside: sa.ColumnElement[bool], by: By
) -> list[tuple[str | None, Spent]]:
    query = (
        sa.select(_SUBJECTS[by].label("subject"), *_SPENT)
        .where(inside, ledger.c.kind.in_(_COUNTED))
        .group_by(_SUBJECTS[by])
        .subquery()
    )
    subject: sa.ColumnElement[Any] = query.c.subject
    source: sa.FromClause = query
    if by is By.MEMBER:
        subject, source = people.c.discord_id, query.join(people, people.c.member_id == query.c.subject)
    rows = await connection.execute(
        sa.select(subject.label("named"), query.c.jobs, query.c.spent_micros, query.c.held_micros)
        .select_from(source)
        .order_by(
            query.c.spent_micros.desc(), query.c.held_micros.desc(), query.c.jobs.desc(), query.c.subject
        )
    )
    return [(None if row.named is None else str(row.named), _spent(row)) for row in rows]


async def _file(connection: AsyncConnection, inside: sa.ColumnElement[bool], most_bytes: int) -> bytes | None:
    """Write one line for each job, oldest first; read a few at a time, and no more than may be sent."""
    settle, release, correction = ledger.alias(), ledger.alias(), ledger.alias()
    settled, released, refunded = (
        sa.func.coalesce(entry.c.amount_micros, 0) for entry in (settle, release, correction)
    )
    columns: dict[str, sa.ColumnElement[Any]] = {
        "job_id": ledger.c.job_id,
        "ordered_at": sa.type_coerce(ledger.c.ordered_at, sa.String),
        "member_id": people.c.discord_id,
        "model": ledger.c.model,
        "channel_id": ledger.c.channel_id,
        "role_id": ledger.c.role_id,
        "stage": jobs.c.stage,
        "budget": ledger.c.budget,
        "quoted_micros": ledger.c.amount_micros,
        "held_micros": ledger.c.amount_micros - settled - released,
        "settled_micros": settled,
        "refunded_micros": refunded,
        "spent_micros": settled - refunded,
    }
    source = ledger.join(jobs, jobs.c.job_id == ledger.c.job_id).join(
        people, people.c.member_id == ledger.c.member_id
    )
    for entry, kind in (
        (settle, EntryKind.SETTLE),
        (release, EntryKind.RELEASE),
        (correction, EntryKind.CORRECTION),
    ):
        source = source.outerjoin(entry, sa.and_(entry.c.job_id == ledger.c.job_id, entry.c.kind == kind))
    query = (
        sa.select(*(column.label(name) for name, column in columns.items()))
        .select_from(source)
        .where(inside, ledger.c.kind == EntryKind.HOLD)
        .order_by(ledger.c.ordered_at)
    )
    with io.BytesIO() as file, io.TextIOWrapper(file, "utf-8", newline="", write_through=True) as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([*columns, "spent_dollars"])
        async with connection.stream(query) as rows:
            async for part in rows.partitions(ROWS_AT_ONCE):
                writer.writerows(map(_line, part))
                if file.tell() > most_bytes:
                    return None
        return file.getvalue()


def _line(row: Sequence[Any]) -> list[Any]:
    """Write a job's row so that a spreadsheet finds no formula in it, and add the dollars it cost."""
    whole, rest = divmod(row[-1], MICROS_PER_DOLLAR)
    cells = [text.cell(value) if isinstance(value, str) else value for value in row]
    return [*cells, f"{whole}.{rest:06d}"]
