"""Alerts: each time a limit or purse is used up to a share, once in its period for each audience."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import quotas
from bot.models import Account, Audience, NewJob, Purse
from bot.quotas import Layer, Limit, Measure, Standing
from bot.shares import Alert
from storage import members
from storage.database import Store, reads, writes
from storage.schema import alerts, purses
from storage.schema import members as people

PURSE = "purse"


async def note(
    connection: AsyncConnection,
    new: NewJob,
    *,
    member_id: int,
    standings: Sequence[Standing],
    purse: Purse | None,
    now: dt.datetime,
) -> None:
    """Write down which shares are used up with an order that is about to be stored, for somebody to be told.

    Of limits those that have a period: dollars, and jobs a day.

    `standings` and `purse` are as they were before it. A share that was written down in this period is not
    written again, however often it is reached.
    """
    price = new.quote.micros
    rows = [row for standing in standings for row in _of_limit(standing, new, member_id, price)]
    if purse is not None:
        rows += _of_purse(purse, purse.spent_micros + purse.held_micros + price)
    if not rows:
        return
    if any(row["audience"] is Audience.MEMBER for row in rows) and not await _wants(connection, member_id):
        rows = [row for row in rows if row["audience"] is not Audience.MEMBER]
    values = [{**row, "account": new.account, "created_at": now} for row in rows]
    await connection.execute(insert(alerts).on_conflict_do_nothing(), values)


def _of_limit(standing: Standing, new: NewJob, member_id: int, price: int) -> Iterable[dict[str, Any]]:
    limit, period = standing.limit, standing.period
    if period is None:
        return
    match limit.layer:
        case Layer.MEMBER:
            audiences, subject = (Audience.STAFF, Audience.MEMBER), str(member_id)
        case Layer.ROLE:
            audiences, subject = (Audience.STAFF, Audience.MEMBER), f"{limit.subject}/{member_id}"
        case Layer.CHANNEL | Layer.SERVER:
            audiences, subject = (Audience.STAFF,), limit.subject
        case Layer.KEY | Layer.OPERATOR:
            audiences, subject = (Audience.OPERATOR,), limit.subject
    if limit.measure.is_budget:
        used = standing.sums.used_micros + price
        whole = limit.amount + standing.sums.granted_micros
    else:
        used, whole = standing.sums.jobs + 1, limit.amount
    for percent in quotas.shares_reached(used, whole):
        for audience in audiences:
            yield {
                "audience": audience,
                "server_id": 0 if limit.layer.is_operators else new.server_id,
                "layer": limit.layer,
                "subject": subject,
                "measure": limit.measure,
                "starts_at": period.starts_at,
                "turns_at": period.turns_at,
                "percent": percent,
                "whole": whole,
                "used": used,
                "member_id": member_id if limit.layer.is_own else None,
            }


def _of_purse(purse: Purse, used: int) -> Iterable[dict[str, Any]]:
    for percent in quotas.shares_reached(used, purse.amount_micros):
        yield {
            "audience": Audience.STAFF,
            "server_id": purse.server_id,
            "layer": PURSE,
            "subject": str(purse.purse_id),
            "measure": PURSE,
            "starts_at": purse.opened_at,
            "turns_at": purse.ends_at,
            "percent": percent,
            "whole": purse.amount_micros,
            "used": used,
            "member_id": None,
        }


async def _wants(connection: AsyncConnection, member_id: int) -> bool:
    query = sa.select(people.c.wants_alerts).where(people.c.member_id == member_id)
    return bool(await connection.scalar(query))


class AlertStore(Store):
    """Reads what is to be told, and remembers who wants to be."""

    @reads
    async def untold(self, connection: AsyncConnection) -> list[Alert]:
        """Return what nobody was told yet, oldest first.

        Of several shares of one limit in one period only the highest: it says all that the lower ones would.
        """
        rows = await connection.execute(
            sa.select(alerts, people.c.discord_id, purses.c.channel_id)
            .outerjoin(people, people.c.member_id == alerts.c.member_id)
            .outerjoin(
                purses,
                sa.and_(alerts.c.layer == PURSE, purses.c.purse_id == sa.cast(alerts.c.subject, sa.Integer)),
            )
            .where(alerts.c.told_at.is_(None))
            .order_by(alerts.c.percent, alerts.c.alert_id)
        )
        highest = {tuple(getattr(row, column.name) for column in _SAME): _alert(row) for row in rows}
        return sorted(highest.values(), key=lambda alert: alert.alert_id)

    @writes
    async def told(self, connection: AsyncConnection, alert_id: int, *, now: dt.datetime) -> None:
        """Remember that somebody was told, and with it of the lower shares."""
        told, lower = alerts.alias(), alerts
        same = [lower.c[column.name] == told.c[column.name] for column in _SAME]
        ids = sa.select(lower.c.alert_id).join(told, sa.and_(*same, lower.c.percent <= told.c.percent))
        await connection.execute(
            sa.update(alerts)
            .where(alerts.c.told_at.is_(None), alerts.c.alert_id.in_(ids.where(told.c.alert_id == alert_id)))
            .values(told_at=now)
        )

    @writes
    async def choose(self, connection: AsyncConnection, server_id: int, user_id: int, *, wants: bool) -> None:
        """Remember whether a member wants to be told of their own limits."""
        member = await members.row(connection, server_id, user_id)
        await connection.execute(
            sa.update(people).where(people.c.member_id == member).values(wants_alerts=int(wants))
        )


_SAME = (
    alerts.c.audience,
    alerts.c.server_id,
    alerts.c.account,
    alerts.c.layer,
    alerts.c.subject,
    alerts.c.measure,
    alerts.c.starts_at,
)


def _alert(row: Any) -> Alert:
    layer = Layer(row.layer) if row.layer != PURSE else None
    return Alert(
        alert_id=row.alert_id,
        audience=Audience(row.audience),
        server_id=row.server_id,
        account=Account(row.account),
        limit=Limit(
            layer=layer,
            measure=Measure(row.measure),
            amount=row.whole,
            subject="" if layer is Layer.MEMBER else row.subject.partition("/")[0],
        )
        if layer is not None
        else None,
        purse_channel_id=row.channel_id,
        user_id=row.discord_id,
        percent=row.percent,
        whole=row.whole,
        used=row.used,
        turns_at=row.turns_at,
        created_at=row.created_at,
    )
