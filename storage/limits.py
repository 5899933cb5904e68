"""Limits of members, roles, channels and servers: set and cleared by staff, and read back."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import Account
from bot.quotas import Layer, Limit, Measure, Policy, SetLimit, Standing
from storage import audit, members, servers
from storage.database import Store, reads, writes
from storage.schema import limits
from storage.schema import members as people
from storage.standings import Orderer, hiding, standings_of


class LimitStore(Store):
    """Reads, sets and clears the limits of servers."""

    @reads
    async def standings(
        self,
        connection: AsyncConnection,
        *,
        server_id: int,
        channel_id: int,
        user_id: int,
        role_ids: frozenset[int],
        account: Account,
        gateways: tuple[str, ...],
        policy: Policy,
        now: dt.datetime,
    ) -> list[Standing]:
        """Return where every limit stands that bears on an order of this person here."""
        orderer = Orderer(
            server_id=server_id,
            channel_id=channel_id,
            member_id=await members.find(connection, server_id, user_id),
            role_ids=role_ids,
            account=account,
            gateways=gateways,
        )
        settings = await servers.settings(connection, server_id)
        found = await standings_of(connection, orderer, policy, settings, now=now)
        return await hiding(connection, found, server_id)

    @reads
    async def of_server(self, connection: AsyncConnection, server_id: int) -> list[SetLimit]:
        """Return every limit set in a server."""
        rows = await connection.execute(
            sa.select(limits, people.c.discord_id)
            .outerjoin(
                people,
                sa.and_(limits.c.layer == Layer.MEMBER, people.c.member_id == limits.c.subject_id),
            )
            .where(limits.c.server_id == server_id)
            .order_by(limits.c.layer, limits.c.subject_id, limits.c.measure)
        )
        return [
            SetLimit(
                limit=Limit(
                    layer=Layer(row.layer),
                    measure=Measure(row.measure),
                    amount=row.amount,
                    subject=str(row.subject_id) if row.layer in {Layer.ROLE, Layer.CHANNEL} else "",
                ),
                user_id=row.discord_id,
            )
            for row in rows
        ]

    @writes
    async def set(
        self,
        connection: AsyncConnection,
        server_id: int,
        limit: Limit,
        *,
        user_id: int | None = None,
        what: str,
        reason: str = "",
        by: int,
        now: dt.datetime,
    ) -> None:
        """Set a limit in place of an earlier one; `user_id` is whose it is in the layer of members."""
        subject, about = await _whose(connection, server_id, limit, user_id)
        await connection.execute(
            insert(limits)
            .values(
                server_id=server_id,
                layer=limit.layer,
                subject_id=subject,
                measure=limit.measure,
                amount=limit.amount,
            )
            .on_conflict_do_update(
                index_elements=["server_id", "layer", "subject_id", "measure"], set_={"amount": limit.amount}
            )
        )
        await audit.record(
            connection,
            server_id=server_id,
            by=by,
            act="quota set",
            what=what,
            reason=reason,
            about_id=about,
            now=now,
        )

    @writes
    async def clear(
        self,
        connection: AsyncConnection,
        server_id: int,
        limit: Limit,
        *,
        user_id: int | None = None,
        what: str,
        reason: str = "",
        by: int,
        now: dt.datetime,
    ) -> bool:
        """Take a limit of this layer, subject and measure away; return whether there was one."""
        subject, about = await _whose(connection, server_id, limit, user_id)
        result = await connection.execute(
            sa.delete(limits).where(
                limits.c.server_id == server_id,
                limits.c.layer == limit.layer,
                limits.c.subject_id == subject,
                limits.c.measure == limit.measure,
            )
        )
        if result.rowcount == 0:
            return False
        await audit.record(
            connection,
            server_id=server_id,
            by=by,
            act="quota clear",
            what=what,
            reason=reason,
            about_id=about,
            now=now,
        )
        return True


async def _whose(
    connection: AsyncConnection, server_id: int, limit: Limit, user_id: int | None
) -> tuple[int, int | None]:
    """Return the id under which a limit is stored, and the member's row if it is a member's."""
    if limit.layer is Layer.MEMBER:
        if user_id is None:
            raise ValueError("a member's limit needs its member")
        member = await members.row(connection, server_id, user_id)
        return member, member
    return int(limit.subject or 0), None
