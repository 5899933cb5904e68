"""Notes to a server's staff, or to the operator: written down with what they tell of, and told once."""

import dataclasses
import datetime as dt

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Store, reads, writes
from storage.schema import notes

FOR_OPERATOR = 0  # in the place of a server: whoever owns the bot is told, alone


@dataclasses.dataclass(frozen=True, kw_only=True)
class Note:
    """What a server's staff are to read in their channel, or the operator alone."""

    note_id: int
    server_id: int
    content: str
    created_at: dt.datetime


async def note(connection: AsyncConnection, server_id: int, content: str, *, now: dt.datetime) -> None:
    """Write down what staff are to read, in the transaction that did what it tells of."""
    await connection.execute(sa.insert(notes).values(server_id=server_id, content=content, created_at=now))


class NoteStore(Store):
    """Reads what is to be told; keeps what was: ids of notes are nonces, and must not come again."""

    @reads
    async def untold(self, connection: AsyncConnection) -> list[Note]:
        """Return what nobody was told yet, oldest first."""
        rows = await connection.execute(
            sa.select(notes).where(notes.c.told_at.is_(None)).order_by(notes.c.note_id)
        )
        return [
            Note(note_id=row.note_id, server_id=row.server_id, content=row.content, created_at=row.created_at)
            for row in rows
        ]

    @writes
    async def told(self, connection: AsyncConnection, note_id: int, *, now: dt.datetime) -> None:
        """Remember that it was told, or given up."""
        await connection.execute(sa.update(notes).where(notes.c.note_id == note_id).values(told_at=now))
