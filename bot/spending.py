"""Where limits and purses stand, for whoever asks; and amounts of dollars as staff type them."""

import dataclasses

from bot.availability import Availability
from bot.errors import BadOrder
from bot.models import Account, Clock, Purse
from bot.money import parse_dollars
from bot.quotas import Policy, Standing
from storage.limits import LimitStore
from storage.purses import PurseStore


class SpendingService:
    """Where the limits of members and the purse of their channel stand."""

    def __init__(
        self,
        *,
        limits: LimitStore,
        purses: PurseStore,
        availability: Availability,
        policy: Policy,
        clock: Clock,
    ) -> None:
        self._limits = limits
        self._purses = purses
        self._availability = availability
        self._policy = policy
        self._clock = clock

    @property
    def is_sandbox(self) -> bool:
        """Whether orders cost play money now: no gateway key is set."""
        return self._availability.account is Account.SANDBOX

    async def standings(
        self,
        *,
        server_id: int,
        home_channel_id: int,
        user_id: int,
        role_ids: frozenset[int],
        sees_all: bool = False,
    ) -> list[Standing]:
        """Return where every limit stands that bears on an order of this person here.

        `sees_all` is for the operator: sums over other servers are shown too.
        """
        found = await self._limits.standings(
            server_id=server_id,
            channel_id=home_channel_id,
            user_id=user_id,
            role_ids=role_ids,
            account=self._availability.account,
            gateways=self._availability.gateways,
            policy=self._policy,
            now=self._clock(),
        )
        return [dataclasses.replace(one, is_hidden=one.is_hidden and not sees_all) for one in found]

    async def purse(self, *, server_id: int, home_channel_id: int) -> Purse | None:
        """Return the purse of a server's channel, if it has one that lasts."""
        return await self._purses.open_in(
            server_id, home_channel_id, self._availability.account, now=self._clock()
        )


def amount(typed: str) -> int:
    """Read an amount of dollars that staff typed into micro-dollars.

    Raises:
        BadOrder: it is none.
    """
    try:
        return parse_dollars(typed)
    except ValueError as error:
        raise BadOrder(
            "That is no amount. Write dollars with at most two decimals, like `12.50`, up to $1,000,000."
        ) from error
