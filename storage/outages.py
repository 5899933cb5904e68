"""What is out: keys a gateway refused and models it no longer has; and small marks kept over restarts."""

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from bot.models import FailureKind, Outage, OutageScope
from storage.database import Database
from storage.schema import marks, outages


class OutageStore:
    """Reads and writes outages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[Outage]:
        """Return every outage on record."""
        async with self._database.read() as connection:
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

    async def record(self, outage: Outage) -> None:
        """Store an outage; a newer one of the same subject replaces it."""
        values = {"failure": outage.failure, "detail": outage.detail, "since": outage.since}
        async with self._database.write() as connection:
            await connection.execute(
                insert(outages)
                .values(scope=outage.scope, subject=outage.subject, **values)
                .on_conflict_do_update(index_elements=["scope", "subject"], set_=values)
            )

    async def clear(self, scope: OutageScope, subject: str) -> None:
        """Forget an outage."""
        async with self._database.write() as connection:
            await connection.execute(
                sa.delete(outages).where(outages.c.scope == scope, outages.c.subject == subject)
            )


class MarkStore:
    """Small facts by name, such as the hash of the commands Discord was last given."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> str | None:
        """Return the mark, or None."""
        async with self._database.read() as connection:
            return await connection.scalar(sa.select(marks.c.value).where(marks.c.name == name))

    async def set(self, name: str, value: str) -> None:
        """Store the mark."""
        async with self._database.write() as connection:
            await connection.execute(
                insert(marks)
                .values(name=name, value=value)
                .on_conflict_do_update(index_elements=["name"], set_={"value": value})
            )
