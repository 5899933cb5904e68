"""What is out: keys a gateway refused and models it no longer has; and small marks kept over restarts."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import FailureKind, Outage, OutageScope
from storage import audit
from storage.database import Store, reads, writes
from storage.schema import marks, outages


class OutageStore(Store):
    """Reads and writes outages."""

    @reads
    async def all(self, connection: AsyncConnection) -> list[Outage]:
        """Return every outage on record."""
        return [
            Outage(
                scope=OutageScope(row.scope),
                subject=row.subject,
                failure=FailureKind(row.failure),
                detail=row.detail,
                since=row.since,
            )
            for row in await connection.execute(sa.select(outages))
        ]

    @writes
    async def record(self, connection: AsyncConnection, outage: Outage) -> None:
        """Store an outage; a newer one of the same subject replaces it."""
        values = {"failure": outage.failure, "detail": outage.detail, "since": outage.since}
        await connection.execute(
            insert(outages)
            .values(scope=outage.scope, subject=outage.subject, **values)
            .on_conflict_do_update(index_elements=["scope", "subject"], set_=values)
        )

    @writes
    async def clear(self, connection: AsyncConnection, scope: OutageScope, subject: str) -> None:
        """Forget an outage."""
        await self._clear(connection, scope, subject)

    @writes
    async def reopen(
        self,
        connection: AsyncConnection,
        outage: Outage,
        *,
        server_id: int,
        reason: str,
        by: int,
        now: dt.datetime,
    ) -> None:
        """Forget an outage because the operator says so, in a server."""
        await self._clear(connection, outage.scope, outage.subject)
        what = f"{outage.scope} {outage.subject}"
        await audit.record(
            connection, server_id=server_id, by=by, act="reopen", what=what, reason=reason, now=now
        )

    async def _clear(self, connection: AsyncConnection, scope: OutageScope, subject: str) -> None:
        await connection.execute(
            sa.delete(outages).where(outages.c.scope == scope, outages.c.subject == subject)
        )


class MarkStore(Store):
    """Small facts by name, such as the hash of the commands Discord was last given."""

    @reads
    async def get(self, connection: AsyncConnection, name: str) -> str | None:
        """Return the mark, or None."""
        return await connection.scalar(sa.select(marks.c.value).where(marks.c.name == name))

    @writes
    async def set(self, connection: AsyncConnection, name: str, value: str) -> None:
        """Store the mark."""
        await connection.execute(
            insert(marks)
            .values(name=name, value=value)
            .on_conflict_do_update(index_elements=["name"], set_={"value": value})
        )
