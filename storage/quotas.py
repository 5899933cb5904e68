"""Members and their limits."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import Account
from bot.quotas import Policy, Standing, Sums
from storage import ledger
from storage.database import Store, reads, writes
from storage.schema import limits, members


async def member_id(connection: AsyncConnection, server_id: int, user_id: int) -> int:
    """Return the row of a person in a server, made now where there is none."""
    found = await _find_member(connection, server_id, user_id)
    if found is not None:
        return found
    made = await connection.execute(
        sa.insert(members).values(server_id=server_id, discord_id=user_id).returning(members.c.member_id)
    )
    return made.scalar_one()


async def standings(
    connection: AsyncConnection, *, member: int, account: Account, policy: Policy, now: dt.datetime
) -> list[Standing]:
    """Return every limit on an order of this member now: their own, and the operator's if there is one."""
    found = [await _own_standing(connection, member=member, account=account, policy=policy, now=now)]
    if policy.operator_micros is not None:
        month = policy.month(now)
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


async def _own_standing(
    connection: AsyncConnection, *, member: int | None, account: Account, policy: Policy, now: dt.datetime
) -> Standing:
    """Return where a member's own limit stands; somebody without a row has neither limit nor entries."""
    month = policy.month(now)
    own, sums = None, Sums(spent_micros=0, held_micros=0)
    if member is not None:
        own = await connection.scalar(sa.select(limits.c.monthly_micros).where(limits.c.member_id == member))
        sums = await ledger.sums(connection, account=account, period=month, member_id=member)
    return Standing(
        name="your limit",
        limit_micros=policy.default_member_micros if own is None else own,
        sums=sums,
        period=month,
    )


class QuotaStore(Store):
    """Reads and sets members' monthly limits."""

    @reads
    async def standing(
        self,
        connection: AsyncConnection,
        server_id: int,
        user_id: int,
        *,
        account: Account,
        policy: Policy,
        now: dt.datetime,
    ) -> Standing:
        """Return where a member's own limit stands this month."""
        member = await _find_member(connection, server_id, user_id)
        return await _own_standing(connection, member=member, account=account, policy=policy, now=now)

    @writes
    async def set_limit(
        self,
        connection: AsyncConnection,
        server_id: int,
        user_id: int,
        micros: int,
        *,
        set_by: int,
        now: dt.datetime,
    ) -> None:
        """Give a member a monthly limit of their own, in micro-dollars; `set_by` is who does it."""
        member = await member_id(connection, server_id, user_id)
        setter = await member_id(connection, server_id, set_by)
        values = {"monthly_micros": micros, "set_by": setter, "set_at": now}
        await connection.execute(
            insert(limits)
            .values(member_id=member, **values)
            .on_conflict_do_update(index_elements=[limits.c.member_id], set_=values)
        )

    @writes
    async def clear_limit(self, connection: AsyncConnection, server_id: int, user_id: int) -> bool:
        """Take a member's own limit away; return whether there was one."""
        member = await _find_member(connection, server_id, user_id)
        result = await connection.execute(sa.delete(limits).where(limits.c.member_id == member))
        return result.rowcount > 0


async def _find_member(connection: AsyncConnection, server_id: int, user_id: int) -> int | None:
    return await connection.scalar(
        sa.select(members.c.member_id).where(
            members.c.server_id == server_id, members.c.discord_id == user_id
        )
    )
