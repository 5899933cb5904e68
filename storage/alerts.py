"""Alerts: each time a limit or purse is used up to a share, once in its period."""

import datetime as dt
from collections.abc import Sequence

from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import quotas
from bot.models import NewJob, Purse
from bot.quotas import Layer, Standing
from storage.schema import alerts

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
    """Write down what an order that is about to be stored uses up, for somebody to be told.

    `standings` and `purse` are as they were before it.
    """
    price = new.quote.micros
    for standing in standings:
        limit, period = standing.limit, standing.period
        if not limit.measure.is_budget or period is None:
            continue
        whole = limit.amount + standing.sums.granted_micros
        used = standing.sums.used_micros + price
        await _note(
            connection,
            server_id=0 if limit.layer.is_operators else new.server_id,
            account=new.account,
            layer=limit.layer,
            subject=str(member_id) if limit.layer.is_own else limit.subject,
            measure=limit.measure,
            starts_at=period.starts_at,
            percents=quotas.shares_reached(used - price, used, whole),
            limit_micros=whole,
            used_micros=used,
            member_id=member_id if limit.layer in {Layer.MEMBER, Layer.ROLE} else None,
            created_at=now,
        )
    if purse is not None:
        used = purse.amount_micros - purse.left_micros + price
        await _note(
            connection,
            server_id=new.server_id,
            account=new.account,
            layer=PURSE,
            subject=str(purse.purse_id),
            measure=PURSE,
            starts_at=purse.opened_at,
            percents=quotas.shares_reached(used - price, used, purse.amount_micros),
            limit_micros=purse.amount_micros,
            used_micros=used,
            member_id=None,
            created_at=now,
        )


async def _note(connection: AsyncConnection, *, percents: Sequence[int], **values: object) -> None:
    for percent in percents:
        await connection.execute(insert(alerts).values(**values, percent=percent).on_conflict_do_nothing())
