"""What an order would be charged to, and which limits it has to pass, in the transaction that asks."""

import dataclasses
import datetime as dt

from sqlalchemy.ext.asyncio import AsyncConnection

from bot import money_messages, quotas
from bot.models import Budget, Charge, Job, NewJob, Purse, ServerSettings
from bot.quotas import Layer, Policy, Standing
from storage import purses, servers
from storage.standings import Orderer, hiding, standings_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weighed:
    """What an order would be charged to, and the limits and the purse it counts in."""

    charge: Charge
    settings: ServerSettings
    standings: list[Standing]
    purse: Purse | None
    note: str


async def weigh(
    connection: AsyncConnection, new: NewJob, member_id: int | None, policy: Policy, *, now: dt.datetime
) -> Weighed:
    """Find out what an order would be charged to, and which limits it has to pass.

    An open purse that has the money stands in for the budgets of the member and their roles.
    """
    orderer = Orderer(
        server_id=new.server_id,
        channel_id=new.home_channel_id,
        member_id=member_id,
        role_ids=new.role_ids,
        account=new.account,
        gateways=(new.gateway,),
    )
    settings = await servers.settings(connection, new.server_id)
    standings = await standings_of(connection, orderer, policy, settings, now=now)
    purse = await purses.open_in(connection, new.server_id, new.home_channel_id, new.account, now=now)
    if purse is not None and purse.left_micros >= new.quote.micros:
        return Weighed(
            charge=Charge(budget=Budget.PURSE, subject_id=purse.purse_id),
            settings=settings,
            standings=[standing for standing in standings if not standing.limit.is_own_budget],
            purse=purse,
            note="",
        )
    tightest = _own_budget(standings)
    is_role = tightest is not None and tightest.limit.layer is Layer.ROLE
    return Weighed(
        charge=Charge(budget=Budget.ROLE, subject_id=int(tightest.limit.subject))
        if tightest is not None and is_role
        else Charge(budget=Budget.MEMBER),
        settings=settings,
        standings=standings,
        purse=None,
        note="" if purse is None else money_messages.purse_too_small(purse.left_micros),
    )


async def refusing(connection: AsyncConnection, standings: list[Standing], new: NewJob) -> Standing | None:
    """Return the limit that refuses an order, if one does, as its member may see it."""
    refused = quotas.refusing(standings, new.quote.micros)
    if refused is None:
        return None
    (shown,) = await hiding(connection, [refused], new.server_id)
    return shown


async def left_after(
    connection: AsyncConnection, job: Job, role_ids: frozenset[int], policy: Policy, *, now: dt.datetime
) -> Standing | Purse | None:
    """Return the budget that a job was charged to as it stands now; None for one that is over or a grant.

    Of several limits of a member's own it is the one that will be met first.
    """
    if job.charge.budget is Budget.APPROVAL:
        return None
    if job.charge.budget is Budget.PURSE:
        purse = await purses.open_in(connection, job.server_id, job.home_channel_id, job.account, now=now)
        return purse if purse is not None and purse.purse_id == job.charge.subject_id else None
    orderer = Orderer(
        server_id=job.server_id,
        channel_id=job.home_channel_id,
        member_id=job.member_id,
        role_ids=role_ids,
        account=job.account,
        gateways=(job.gateway,),
    )
    settings = await servers.settings(connection, job.server_id)
    return _own_budget(await standings_of(connection, orderer, policy, settings, now=now))


def _own_budget(standings: list[Standing]) -> Standing | None:
    return quotas.binding(one for one in standings if one.limit.is_own_budget)
