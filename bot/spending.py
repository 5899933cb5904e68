"""What members may spend: asked by them, set by staff."""

from bot.availability import Availability
from bot.errors import BadOrder
from bot.models import Account, Clock
from bot.money import parse_dollars
from bot.quotas import Policy, Standing
from storage.limits import LimitStore


class SpendingService:
    """Where the limits of members stand."""

    def __init__(
        self, *, limits: LimitStore, availability: Availability, policy: Policy, clock: Clock
    ) -> None:
        self._limits = limits
        self._availability = availability
        self._policy = policy
        self._clock = clock

    @property
    def is_sandbox(self) -> bool:
        """Whether orders cost play money now: no gateway key is set."""
        return self._availability.account is Account.SANDBOX

    @property
    def default_micros(self) -> int:
        """The monthly limit of members without one of their own."""
        return self._policy.default_member_micros

    async def standings(
        self, *, server_id: int, home_channel_id: int, user_id: int, role_ids: frozenset[int]
    ) -> list[Standing]:
        """Return where every limit stands that bears on an order of this person here."""
        return await self._limits.standings(
            server_id=server_id,
            channel_id=home_channel_id,
            user_id=user_id,
            role_ids=role_ids,
            account=self._availability.account,
            gateways=self._availability.gateways,
            policy=self._policy,
            now=self._clock(),
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
