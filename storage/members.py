"""Members: the one place where a person's Discord id is written down."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.schema import members


async def find(connection: AsyncConnection, server_id: int, user_id: int) -> int | None:
    """Return the row of a person in a server, if there is one."""
    return await connection.scalar(
        sa.select(members.c.member_id).where(
            members.c.server_id == server_id, members.c.discord_id == user_id
        )
    )


async def row(connection: AsyncConnection, server_id: int, user_id: int) -> int:
    """Return the row of a person in a server, made now where there is none."""
    found = await find(connection, server_id, user_id)
    if found is not None:
        return found
    made = await connection.execute(
        sa.insert(members).values(server_id=server_id, discord_id=user_id).returning(members.c.member_id)
    )
    return made.scalar_one()
