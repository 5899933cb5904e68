"""What staff do with limits."""

from bot.models import Clock
from bot.quotas import Layer, Limit, Measure, Policy
from bot.spending import amount
from storage.limits import LimitStore


class LimitAdmin:
    """Sets and clears the limits of a server."""

    def __init__(self, *, store: LimitStore, policy: Policy, clock: Clock) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock

    @property
    def default_micros(self) -> int:
        """The monthly limit of members without one of their own."""
        return self._policy.default_member_micros

    async def set_limit(self, server_id: int, user_id: int, typed: str, *, by: int) -> int:
        """Set a member's monthly limit from what staff typed; return it in micro-dollars.

        Raises:
            BadOrder: it is no amount.
        """
        micros = amount(typed)
        limit = Limit(layer=Layer.MEMBER, measure=Measure.MONTH, amount=micros)
        await self._store.set(server_id, limit, user_id=user_id, what=typed, by=by, now=self._clock())
        return micros

    async def clear_limit(self, server_id: int, user_id: int, *, by: int) -> bool:
        """Take a member's own limit away; return whether there was one."""
        limit = Limit(layer=Layer.MEMBER, measure=Measure.MONTH, amount=0)
        return await self._store.clear(
            server_id, limit, user_id=user_id, what="month", by=by, now=self._clock()
        )
