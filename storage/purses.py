"""Purses: a channel's own budget, which stands in for its members' limits while it lasts."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import UserError
from bot.models import Account, Purse
from storage import audit, ledger
from storage.database import Store, reads, writes
from storage.ledger import Scope, Span
from storage.schema import purses


async def open_in(
    connection: AsyncConnection, server_id: int, channel_id: int, account: Account, *, now: dt.datetime
) -> Purse | None:
    """Return the purse of a server's channel, if it has one that is neither closed nor over."""
    found = await _select(connection, _of(server_id, channel_id), account, only_open_at=now)
    return next(iter(found), None)


async def _select(
    connection: AsyncConnection,
    where: sa.ColumnElement[bool],
    account: Account,
    *,
    only_open_at: dt.datetime | None = None,
    offset: int = 0,
    limit: int | None = None,
) -> list[Purse]:
    query = sa.select(purses).where(where).order_by(purses.c.closed_at.is_not(None), purses.c.purse_id.desc())
    query = query.offset(offset).limit(limit)
    if only_open_at is not None:
        lasts = sa.or_(purses.c.ends_at.is_(None), purses.c.ends_at > only_open_at)
        query = query.where(purses.c.closed_at.is_(None), lasts)
    rows = list(await connection.execute(query))
    spans = [Span(scope=Scope.PURSE, subject=str(row.purse_id), period=None) for row in rows]
    return [
        Purse(
            purse_id=row.purse_id,
            server_id=row.server_id,
            channel_id=row.channel_id,
            amount_micros=row.amount_micros,
            spent_micros=sums.spent_micros,
            held_micros=sums.held_micros,
            opened_at=row.opened_at,
            ends_at=row.ends_at,
            closed_at=row.closed_at,
        )
        for row, sums in zip(rows, await ledger.sums(connection, account, spans), strict=True)
    ]


class PurseStore(Store):
    """Opens, closes and shows purses."""

    @reads
    async def of_server(
        self,
        connection: AsyncConnection,
        server_id: int,
        account: Account,
        *,
        offset: int = 0,
        limit: int = 25,
    ) -> list[Purse]:
        """Return a server's purses, those that are not closed first, and then the newest."""
        return await _select(connection, purses.c.server_id == server_id, account, offset=offset, limit=limit)

    @reads
    async def open_in(
        self,
        connection: AsyncConnection,
        server_id: int,
        channel_id: int,
        account: Account,
        *,
        now: dt.datetime,
    ) -> Purse | None:
        """Return the purse of a server's channel, if it has one that is neither closed nor over."""
        return await open_in(connection, server_id, channel_id, account, now=now)

    @writes
    async def open(
        self,
        connection: AsyncConnection,
        *,
        server_id: int,
        channel_id: int,
        amount_micros: int,
        ends_at: dt.datetime | None,
        what: str,
        reason: str = "",
        by: int,
        now: dt.datetime,
    ) -> int:
        """Give a channel a purse; return its id.

        Raises:
            UserError: it has one that still lasts.
        """
        if await open_in(connection, server_id, channel_id, Account.REAL, now=now) is not None:
            raise UserError(
                "This channel has a purse already. Close it first: `/video-admin purse close`. "
                "What was spent from it stays counted."
            )
        await _close(connection, server_id, channel_id, now)  # one that is over by its date
        made = await connection.execute(
            sa.insert(purses)
            .values(
                server_id=server_id,
                channel_id=channel_id,
                amount_micros=amount_micros,
                opened_at=now,
                ends_at=ends_at,
            )
            .returning(purses.c.purse_id)
        )
        purse_id = made.scalar_one()
        await audit.record(
            connection, server_id=server_id, by=by, act="purse open", what=what, reason=reason, now=now
        )
        return purse_id

    @writes
    async def close(
        self,
        connection: AsyncConnection,
        *,
        server_id: int,
        channel_id: int,
        what: str,
        reason: str = "",
        by: int,
        now: dt.datetime,
    ) -> bool:
        """Close a channel's purse; jobs charged to it go on. Returns whether there was one."""
        if not await _close(connection, server_id, channel_id, now):
            return False
        await audit.record(
            connection, server_id=server_id, by=by, act="purse close", what=what, reason=reason, now=now
        )
        return True


async def _close(connection: AsyncConnection, server_id: int, channel_id: int, now: dt.datetime) -> bool:
    lasts = sa.and_(_of(server_id, channel_id), purses.c.closed_at.is_(None))
    result = await connection.execute(sa.update(purses).where(lasts).values(closed_at=now))
    return result.rowcount > 0


def _of(server_id: int, channel_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(purses.c.server_id == server_id, purses.c.channel_id == channel_id)
