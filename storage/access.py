"""Access rules: whom, and in which channels, staff let order or do not."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import UserError
from bot.models import AccessRule, RuleScope
from storage import audit, members
from storage.database import Store, reads, writes
from storage.schema import access_rules
from storage.schema import members as people

# All of a server's rules are shown in one message.
MOST_RULES = 50


class AccessStore(Store):
    """Reads, sets and clears the access rules of servers."""

    @reads
    async def rules(self, connection: AsyncConnection, server_id: int) -> list[AccessRule]:
        """Return a server's rules, those that allow first."""
        is_whose = sa.and_(
            access_rules.c.scope == RuleScope.MEMBER, people.c.member_id == access_rules.c.subject_id
        )
        rows = await connection.execute(
            sa.select(access_rules, people.c.discord_id)
            .outerjoin(people, is_whose)
            .where(access_rules.c.server_id == server_id)
            .order_by(access_rules.c.allows.desc(), access_rules.c.scope.desc(), access_rules.c.subject_id)
        )
        return [
            AccessRule(
                scope=RuleScope(row.scope),
                subject_id=row.discord_id if row.scope == RuleScope.MEMBER else row.subject_id,
                allows=bool(row.allows),
            )
            for row in rows
        ]

    @writes
    async def set(
        self,
        connection: AsyncConnection,
        server_id: int,
        scope: RuleScope,
        subject_id: int,
        *,
        allows: bool,
        what: str,
        reason: str,
        by: int,
        now: dt.datetime,
    ) -> None:
        """Set a rule in place of an earlier one of the same subject, which is a Discord id.

        Raises:
            UserError: the server has as many rules as it may have.
        """
        key, about = await _key(connection, server_id, scope, subject_id)
        await connection.execute(
            insert(access_rules)
            .values(server_id=server_id, scope=scope, subject_id=key, allows=int(allows))
            .on_conflict_do_update(
                index_elements=["server_id", "scope", "subject_id"], set_={"allows": int(allows)}
            )
        )
        count = await connection.scalar(
            sa.select(sa.func.count()).where(access_rules.c.server_id == server_id)
        )
        if (count or 0) > MOST_RULES:
            raise UserError(
                f"A server has at most {MOST_RULES} access rules. Clear one first, or use a rule for a role."
            )
        await audit.record(
            connection,
            server_id=server_id,
            by=by,
            act="access allow" if allows else "access deny",
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
        scope: RuleScope,
        subject_id: int,
        *,
        what: str,
        reason: str,
        by: int,
        now: dt.datetime,
    ) -> bool:
        """Forget the rule of a subject; return whether there was one."""
        key, about = await _key(connection, server_id, scope, subject_id)
        gone = await connection.execute(
            sa.delete(access_rules).where(
                access_rules.c.server_id == server_id,
                access_rules.c.scope == scope,
                access_rules.c.subject_id == key,
            )
        )
        if not gone.rowcount:
            return False
        await audit.record(
            connection,
            server_id=server_id,
            by=by,
            act="access clear",
            what=what,
            reason=reason,
            about_id=about,
            now=now,
        )
        return True


async def _key(
    connection: AsyncConnection, server_id: int, scope: RuleScope, subject_id: int
) -> tuple[int, int | None]:
    """Return the id under which a rule is stored, and the member's row if it is a member's."""
    if scope is not RuleScope.MEMBER:
        return subject_id, None
    row = await members.row(connection, server_id, subject_id)
    return row, row
