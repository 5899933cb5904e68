"""What a server loses with a role or channel that was deleted; history and ledger keep it."""

import dataclasses
import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import money_messages, server_messages
from bot.models import RuleScope
from bot.money import dollars
from bot.quotas import Layer, Limit, Measure
from storage import audit, notes
from storage.database import Store, reads, writes
from storage.schema import access_rules, limits, purses, servers

_Found: TypeAlias = tuple[str, int, str]

_STAFF_CHANNEL = "staff-channel"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Named:
    """The roles and channels that a server's settings name."""

    role_ids: frozenset[int]
    channel_ids: frozenset[int]


class DeletionStore(Store):
    """Finds and removes what hangs on roles and channels."""

    @reads
    async def named(self, connection: AsyncConnection, server_id: int) -> Named:
        """Return which roles and channels limits, open purses, access rules and settings name."""
        roles: set[int] = set()
        channels: set[int] = set()
        for table, column, role, channel in (
            (limits, limits.c.layer, Layer.ROLE, Layer.CHANNEL),
            (access_rules, access_rules.c.scope, RuleScope.ROLE, RuleScope.CHANNEL),
        ):
            of_server = sa.select(column, table.c.subject_id).where(table.c.server_id == server_id)
            for kind, subject in await connection.execute(of_server):
                if kind == role:
                    roles.add(subject)
                elif kind == channel:
                    channels.add(subject)
        is_open = sa.and_(purses.c.server_id == server_id, purses.c.closed_at.is_(None))
        channels.update(await connection.scalars(sa.select(purses.c.channel_id).where(is_open)))
        settings = sa.select(servers.c.approver_role_id, servers.c.staff_channel_id)
        for role, channel in await connection.execute(settings.where(servers.c.server_id == server_id)):
            roles.update({role} - {None})
            channels.update({channel} - {None})
        return Named(role_ids=frozenset(roles), channel_ids=frozenset(channels))

    @writes
    async def lose(
        self,
        connection: AsyncConnection,
        server_id: int,
        *,
        roles: Mapping[int, str],
        channels: Mapping[int, str],
        opened: Sequence[str],
        now: dt.datetime,
    ) -> None:
        """Remove what hangs on deleted roles and channels, each as an act of the bot, and note it for staff.

        They come by their ids with what they were called, since Discord soon knows no name for the id.
        `opened` says "people" or "channels" where the last rule goes that allowed some. Without the staff's
        channel itself there is no note: the audit log has it all.
        """
        role_losses = [
            *await _limits(connection, server_id, Layer.ROLE, roles),
            *await _rules(connection, server_id, RuleScope.ROLE, roles),
            *await _setting(connection, server_id, "approver", servers.c.approver_role_id, roles),
        ]
        channel_losses = [
            *await _limits(connection, server_id, Layer.CHANNEL, channels),
            *await _purses(connection, server_id, channels, now),
            *await _rules(connection, server_id, RuleScope.CHANNEL, channels),
            *await _setting(connection, server_id, _STAFF_CHANNEL, servers.c.staff_channel_id, channels),
        ]
        lost: list[tuple[str, str, str]] = []
        for is_role, names, found in ((True, roles, role_losses), (False, channels, channel_losses)):
            for act, subject_id, detail in found:
                name = names[subject_id]
                lost.append((name, act, detail))
                what = f"{name} ({subject_id})"
                await audit.record(
                    connection,
                    server_id=server_id,
                    by=None,
                    act=act,
                    what=f"{what}: {detail}" if detail else what,
                    reason=f"the {'role' if is_role else 'channel'} was deleted",
                    now=now,
                )
        if lost and all(act != _STAFF_CHANNEL for _, act, _ in lost):
            await notes.note(connection, server_id, server_messages.deleted(lost, opened=opened), now=now)


# Each returns acts, with the id of whose it was and how much or what.


async def _limits(
    connection: AsyncConnection, server_id: int, layer: Layer, subject_ids: Collection[int]
) -> list[_Found]:
    gone = await connection.execute(
        sa.delete(limits)
        .where(limits.c.server_id == server_id, limits.c.layer == layer, limits.c.subject_id.in_(subject_ids))
        .returning(limits.c.subject_id, limits.c.measure, limits.c.amount)
    )
    return [
        (
            "quota clear",
            row.subject_id,
            money_messages.limit_amount(Limit(layer=layer, measure=Measure(row.measure), amount=row.amount)),
        )
        for row in gone.all()
    ]


async def _purses(
    connection: AsyncConnection, server_id: int, channel_ids: Collection[int], now: dt.datetime
) -> list[_Found]:
    closed = await connection.execute(
        sa.update(purses)
        .where(
            purses.c.server_id == server_id,
            purses.c.channel_id.in_(channel_ids),
            purses.c.closed_at.is_(None),
        )
        .values(closed_at=now)
        .returning(purses.c.channel_id, purses.c.amount_micros)
    )
    return [("purse close", row.channel_id, dollars(row.amount_micros)) for row in closed.all()]


async def _rules(
    connection: AsyncConnection, server_id: int, scope: RuleScope, subject_ids: Collection[int]
) -> list[_Found]:
    gone = await connection.execute(
        sa.delete(access_rules)
        .where(
            access_rules.c.server_id == server_id,
            access_rules.c.scope == scope,
            access_rules.c.subject_id.in_(subject_ids),
        )
        .returning(access_rules.c.subject_id, access_rules.c.allows)
    )
    return [("access clear", row.subject_id, "allow" if row.allows else "deny") for row in gone.all()]


async def _setting(
    connection: AsyncConnection,
    server_id: int,
    act: str,
    column: sa.Column[int | None],
    subject_ids: Collection[int],
) -> list[_Found]:
    # RETURNING would give what the row has after the change, so it is read first.
    named = await connection.scalar(
        sa.select(column).where(servers.c.server_id == server_id, column.in_(subject_ids))
    )
    if named is None:
        return []
    await connection.execute(
        sa.update(servers).where(servers.c.server_id == server_id).values({column: None})
    )
    return [(act, named, "")]
