"""Members and their limits."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import Account
from bot.quotas import Policy, Standing
from storage import ledger
from storage.database import Database
from storage.schema import limits, members


async def member_id(connection: AsyncConnection, server_id: int, user_id: int) -> int:
    """Return the row of a person in a server, made now where there is none."""
    await connection.execute(
        insert(members).values(server_id=server_id, discord_id=user_id).on_conflict_do_nothing()
    )
    return await _find_member(connection, server_id, user_id) or 0


async def standings(
    connection: AsyncConnection, *, member: int, account: Account, policy: Policy, now: dt.datetime
) -> list[Standing]:
    """Return every limit on an order of this member now: their own, and the operator's if there is one."""
    month = policy.month(now)
    own = await connection.scalar(sa.select(limits.c.monthly_micros).where(limits.c.member_id == member))
    found = [
        Standing(
            name="your limit",
            limit_micros=policy.default_member_micros if own is None else own,
            sums=await ledger.sums(connection, account=account, period=month, member_id=member),
            period=month,
        )
    ]
    if policy.operator_micros is not None:
        everybody = await ledger.sums(connection, account=account, period=month)
        found.append(
            Standing(
                name="the operator's limit for everybody",
                limit_micros=policy.operator_micros,
                sums=everybody,
                period=month,
            )
        )
    return found


class QuotaStore:
    """Reads and sets members' monthly limits."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(
        self, server_id: int, user_id: int, *, account: Account, policy: Policy, now: dt.datetime
    ) -> Standing:
        """Return where a member's own limit stands this month."""
        async with self._database.read() as connection:
            member = await _find_member(connection, server_id, user_id)
            # A person without a row has no entries: 0 is nobody's id.
            return (await standings(connection, member=member or 0, account=account, policy=policy, now=now))[
                0
            ]

    async def set_limit(
        self, server_id: int, user_id: int, micros: int, *, set_by: int, now: dt.datetime
    ) -> None:
        """Give a member a monthly limit of their own, in micro-dollars."""
        async with self._database.write() as connection:
            values = {"monthly_micros": micros, "set_by": set_by, "set_at": now}
            await connection.execute(
                insert(limits)
                .values(member_id=await member_id(connection, server_id, user_id), **values)
                .on_conflict_do_update(index_elements=[limits.c.member_id], set_=values)
            )

    async def clear_limit(self, server_id: int, user_id: int) -> bool:
        """Take a member's own limit away; return whether there was one."""
        async with self._database.write() as connection:
            result = await connection.execute(
                sa.delete(limits).where(
                    limits.c.member_id
                    == sa.select(members.c.member_id)
                    .where(members.c.server_id == server_id, members.c.discord_id == user_id)
                    .scalar_subquery()
                )
            )
            return result.rowcount > 0


async def _find_member(connection: AsyncConnection, server_id: int, user_id: int) -> int | None:
    return await connection.scalar(
        sa.select(members.c.member_id).where(
            members.c.server_id == server_id, members.c.discord_id == user_id
        )
    )
