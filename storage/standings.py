"""Where all the limits that bear on an order stand, in the transaction that asks."""

import dataclasses
import datetime as dt
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import quotas
from bot.models import Account, ServerSettings, Stage
from bot.quotas import Layer, Limit, Measure, Policy, Standing, Sums
from storage import ledger
from storage.ledger import Scope, Span
from storage.schema import jobs, limits

# What a gateway may be working on, or soon will; a job without a verdict blocks nobody for ever.
_AT_ONCE = (Stage.QUEUED, Stage.SUBMITTING, Stage.RENDERING, Stage.FETCHING)

_SCOPES = {
    Layer.MEMBER: Scope.MEMBER,
    Layer.ROLE: Scope.MEMBER,
    Layer.CHANNEL: Scope.CHANNEL,
    Layer.SERVER: Scope.SERVER,
    Layer.KEY: Scope.KEY,
    Layer.OPERATOR: Scope.OPERATOR,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Orderer:
    """Who orders, and in which home channel; somebody without a row has neither limits nor entries."""

    server_id: int
    channel_id: int
    member_id: int | None
    role_ids: frozenset[int]
    account: Account
    gateways: tuple[str, ...]


async def standings_of(
    connection: AsyncConnection,
    orderer: Orderer,
    policy: Policy,
    settings: ServerSettings,
    *,
    now: dt.datetime,
) -> list[Standing]:
    """Return where every limit stands that bears on an order now, the member's own first.

    Whoever shows them to people passes them through `hiding` first.
    """
    found = quotas.applying(await _bearing(connection, orderer), policy, gateways=orderer.gateways)
    zones = [policy.zone if limit.layer.is_operators else settings.zone or policy.zone for limit in found]
    periods = [quotas.period(limit.measure, zone, now) for limit, zone in zip(found, zones, strict=True)]
    spans = [
        Span(scope=_SCOPES[limit.layer], subject=_subject(limit, orderer), period=period)
        for limit, period in zip(found, periods, strict=True)
    ]
    dated = [number for number, period in enumerate(periods) if period is not None]
    summed = dict(
        zip(dated, await ledger.sums(connection, orderer.account, [spans[i] for i in dated]), strict=True)
    )
    running = await _running(connection, found, orderer)
    return [
        Standing(
            limit=limit,
            period=periods[number],
            sums=summed.get(number, Sums()),
            running=running.get(_SCOPES[limit.layer], {}).get(spans[number].subject, 0),
        )
        for number, limit in enumerate(found)
    ]


async def hiding(connection: AsyncConnection, standings: list[Standing], server_id: int) -> list[Standing]:
    """Mark those whose sums span other servers, which only the operator may see."""
    is_any = any(standing.limit.layer.is_operators for standing in standings)
    if not is_any or not await ledger.spans_servers(connection, server_id):
        return standings
    return [
        dataclasses.replace(standing, is_hidden=standing.limit.layer.is_operators) for standing in standings
    ]


async def _bearing(connection: AsyncConnection, orderer: Orderer) -> list[Limit]:
    """Return what was set for this server that bears on the orderer."""
    bears = sa.or_(
        sa.and_(limits.c.layer == Layer.MEMBER, limits.c.subject_id == (orderer.member_id or -1)),
        sa.and_(limits.c.layer == Layer.ROLE, limits.c.subject_id.in_(orderer.role_ids)),
        sa.and_(limits.c.layer == Layer.CHANNEL, limits.c.subject_id == orderer.channel_id),
        limits.c.layer == Layer.SERVER,
    )
    rows = await connection.execute(sa.select(limits).where(limits.c.server_id == orderer.server_id, bears))
    return [
        Limit(
            layer=Layer(row.layer),
            measure=Measure(row.measure),
            amount=row.amount,
            subject=str(row.subject_id) if row.layer in {Layer.ROLE, Layer.CHANNEL} else "",
        )
        for row in rows
    ]


def _subject(limit: Limit, orderer: Orderer) -> str:
    match limit.layer:
        case Layer.MEMBER | Layer.ROLE:
            return str(orderer.member_id)
        case Layer.SERVER:
            return str(orderer.server_id)
        case _:
            return limit.subject


async def _running(
    connection: AsyncConnection, found: Iterable[Limit], orderer: Orderer
) -> dict[Scope, dict[str, int]]:
    """Count the jobs at once, where a limit asks for it."""
    if not any(limit.measure is Measure.AT_ONCE for limit in found):
        return {}
    home = sa.func.coalesce(jobs.c.home_channel_id, jobs.c.channel_id)
    query = sa.select(
        jobs.c.gateway,
        sa.func.count(),
        sa.func.count().filter(jobs.c.member_id == orderer.member_id),
        sa.func.count().filter(home == orderer.channel_id),
        sa.func.count().filter(jobs.c.server_id == orderer.server_id),
    ).where(jobs.c.stage.in_(_AT_ONCE), jobs.c.account == orderer.account)
    rows: list[tuple[str, int, int, int, int]] = [
        (row[0], row[1], row[2], row[3], row[4])
        for row in await connection.execute(query.group_by(jobs.c.gateway))
    ]
    return {
        Scope.KEY: {gateway: count for gateway, count, *_ in rows},
        Scope.OPERATOR: {"": sum(row[1] for row in rows)},
        Scope.MEMBER: {str(orderer.member_id): sum(row[2] for row in rows)},
        Scope.CHANNEL: {str(orderer.channel_id): sum(row[3] for row in rows)},
        Scope.SERVER: {str(orderer.server_id): sum(row[4] for row in rows)},
    }
