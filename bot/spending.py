"""What members may spend: asked by them, set by staff."""

from bot.availability import Availability
from bot.errors import BadOrder
from bot.models import Account, Clock
from bot.money import parse_dollars
from bot.quotas import Policy, Standing
from storage.quotas import QuotaStore


class SpendingService:
    """Members' monthly limits, per server."""

    def __init__(
        self, *, store: QuotaStore, availability: Availability, policy: Policy, clock: Clock
    ) -> None:
        self._store = store
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

    async def standing(self, server_id: int, user_id: int) -> Standing:
        """Return where a member stands this month."""
        return await self._store.standing(
            server_id, user_id, account=self._availability.account, policy=self._policy, now=self._clock()
        )

    async def set_limit(self, server_id: int, user_id: int, amount: str, *, by: int) -> int:
        """Set a member's monthly limit from what staff typed; return it in micro-dollars.

        Raises:
            BadOrder: it is no amount.
        """
        try:
            micros = parse_dollars(amount)
        except ValueError as error:
            raise BadOrder(
                "That is no amount. Write dollars with at most two decimals, like `12.50`, up to $1,000,000."
            ) from error
        await self._store.set_limit(server_id, user_id, micros, set_by=by, now=self._clock())
        return micros

    async def clear_limit(self, server_id: int, user_id: int) -> bool:
        """Take a member's own limit away; return whether there was one."""
        return await self._store.clear_limit(server_id, user_id)
