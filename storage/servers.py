"""What staff set for their server: its time zone, staff channel, and by what an order is asked or chosen."""

import datetime as dt
import json
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import AutoPolicy, ServerSettings
from storage import audit
from storage.database import Store, reads, writes
from storage.schema import servers


async def settings(connection: AsyncConnection, server_id: int) -> ServerSettings:
    """Return what is set for a server, or the defaults."""
    row = (await connection.execute(sa.select(servers).where(servers.c.server_id == server_id))).one_or_none()
    if row is None:
        return ServerSettings()
    default = ServerSettings().confirm_above_micros
    return ServerSettings(
        zone=ZoneInfo(row.zone) if row.zone else None,
        staff_channel_id=row.staff_channel_id,
        approver_role_id=row.approver_role_id,
        confirm_above_micros=default if row.confirm_above_micros is None else row.confirm_above_micros,
        auto_policy=AutoPolicy(row.auto_policy or AutoPolicy.CHEAPEST),
        auto_models=tuple(json.loads(row.auto_models or "[]")),
    )


class ServerStore(Store):
    """Reads and changes the settings of servers."""

    @reads
    async def settings(self, connection: AsyncConnection, server_id: int) -> ServerSettings:
        """Return what is set for a server, or the defaults."""
        return await settings(connection, server_id)

    @writes
    async def change(
        self,
        connection: AsyncConnection,
        server_id: int,
        *,
        act: str,
        what: str,
        reason: str = "",
        by: int,
        now: dt.datetime,
        **values: Any,
    ) -> None:
        """Change some of what is set, by its columns; None gives the default back."""
        await connection.execute(
            insert(servers)
            .values(server_id=server_id, **values)
            .on_conflict_do_update(index_elements=["server_id"], set_=values)
        )
        await audit.record(connection, server_id=server_id, by=by, act=act, what=what, reason=reason, now=now)
