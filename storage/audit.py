"""The audit log: what staff and the operator did, written in the transaction that did it."""

import datetime as dt
import secrets

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import text
from bot.models import Act, Job
from storage import members
from storage.database import Store, reads
from storage.schema import acts
from storage.schema import members as people

_NEWEST_FIRST = (acts.c.at.desc(), sa.literal_column("acts.rowid", sa.Integer).desc())


async def record(
    connection: AsyncConnection,
    *,
    server_id: int,
    by: int | None,
    act: str,
    what: str = "",
    reason: str = "",
    about_id: int | None = None,
    now: dt.datetime,
) -> str:
    """Write down an act of the person `by`; return its id, which entries of the ledger may name.

    With None it is the bot itself. `about_id` is the row of the member it is about. `what` and `reason` must
    name no person.
    """
    act_id = secrets.token_hex(8)
    await connection.execute(
        sa.insert(acts).values(
            act_id=act_id,
            server_id=server_id,
            actor_id=await members.row(connection, server_id, by) if by is not None else None,
            act=act,
            about_id=about_id,
            what=what,
            reason=text.nameless(reason),
            at=now,
        )
    )
    return act_id


async def record_stop(
    connection: AsyncConnection, job: Job, *, by: int, reason: str, now: dt.datetime
) -> None:
    """Write down that somebody stopped a job, which is an act of staff unless it is their own."""
    if by != job.user_id:
        await record(
            connection,
            server_id=job.server_id,
            by=by,
            act="cancel",
            what=f"job {job.job_id}",
            reason=reason,
            about_id=job.member_id,
            now=now,
        )


def _newest_of(member_id: int, count: int) -> sa.CompoundSelect[tuple[str]]:
    """Return the ids of so many acts by a member and of so many about them, each from its own index."""
    by, about = (
        sa.select(acts.c.act_id).where(column == member_id).order_by(*_NEWEST_FIRST).limit(count).subquery()
        for column in (acts.c.actor_id, acts.c.about_id)
    )
    return sa.union(sa.select(by.c.act_id), sa.select(about.c.act_id))


class ActStore(Store):
    """Reads the audit log."""

    @reads
    async def page(
        self,
        connection: AsyncConnection,
        server_id: int,
        *,
        user_id: int | None = None,
        offset: int = 0,
        limit: int = 25,
    ) -> list[Act]:
        """Return what was done in a server, newest first; of a person what they did or what is about them."""
        actor, about = people.alias(), people.alias()
        where = acts.c.server_id == server_id
        if user_id is not None:
            member = await members.find(connection, server_id, user_id)
            if member is None:
                return []
            where = acts.c.act_id.in_(_newest_of(member, offset + limit))
        rows = await connection.execute(
            sa.select(acts, actor.c.discord_id.label("actor"), about.c.discord_id.label("about"))
            .outerjoin(actor, actor.c.member_id == acts.c.actor_id)
            .outerjoin(about, about.c.member_id == acts.c.about_id)
            .where(where)
            .order_by(*_NEWEST_FIRST)
            .offset(offset)
            .limit(limit)
        )
        return [
            Act(
                act_id=row.act_id,
                server_id=row.server_id,
                actor_user_id=row.actor,
                is_bots=row.actor_id is None,
                act=row.act,
                about_user_id=row.about,
                what=row.what,
                reason=row.reason,
                at=row.at,
            )
            for row in rows
        ]
