"""Pauses: servers, gateways and models that take no orders until somebody resumes them."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import Pause, PauseScope
from storage import audit
from storage.database import Store, reads, writes
from storage.schema import pauses


class PauseStore(Store):
    """Reads, sets and ends pauses."""

    @reads
    async def all(self, connection: AsyncConnection) -> list[Pause]:
        """Return every pause there is."""
        return [
            Pause(scope=PauseScope(row.scope), subject=row.subject, reason=row.reason, since=row.since)
            for row in await connection.execute(sa.select(pauses))
        ]

    @writes
    async def set(
        self, connection: AsyncConnection, pause: Pause, *, server_id: int, what: str, by: int | None
    ) -> None:
        """Store a pause in place of an earlier one; the act is written down in the server it is made in.

        `by` is None for the bot itself.
        """
        values = {"reason": pause.reason, "since": pause.since}
        await connection.execute(
            insert(pauses)
            .values(scope=pause.scope, subject=pause.subject, **values)
            .on_conflict_do_update(index_elements=["scope", "subject"], set_=values)
        )
        await audit.record(
            connection,
            server_id=server_id,
            by=by,
            act="pause",
            what=what,
            reason=pause.reason,
            now=pause.since,
        )

    @writes
    async def end(
        self,
        connection: AsyncConnection,
        pause: Pause,
        *,
        server_id: int,
        what: str,
        reason: str,
        by: int,
        now: dt.datetime,
    ) -> None:
        """Forget a pause; ended before, nothing is written down."""
        same = sa.and_(pauses.c.scope == pause.scope, pauses.c.subject == pause.subject)
        if (await connection.execute(sa.delete(pauses).where(same))).rowcount:
            await audit.record(
                connection, server_id=server_id, by=by, act="resume", what=what, reason=reason, now=now
            )
