"""What staff do with limits."""

import dataclasses
import re

from bot import limit_messages
from bot.errors import BadOrder
from bot.models import Clock
from bot.quotas import Layer, Limit, Measure, Policy, SetLimit
from bot.spending import amount
from storage.limits import LimitStore

MOST_JOBS = 1000
_COUNT = re.compile(r"\d{1,4}", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whose:
    """Whose limit staff mean: a member's, a role's or a channel's, by its id; without one the server's."""

    user_id: int | None = None
    role_id: int | None = None
    channel_id: int | None = None

    def limit(self, measure: Measure, units: int = 0) -> Limit:
        """Return a limit of theirs, in micro-dollars or jobs.

        Raises:
            BadOrder: more than one is named.
        """
        named = [
            (layer, subject)
            for layer, subject in (
                (Layer.MEMBER, self.user_id),
                (Layer.ROLE, self.role_id),
                (Layer.CHANNEL, self.channel_id),
            )
            if subject is not None
        ]
        if len(named) > 1:
            raise BadOrder(limit_messages.ONE_SUBJECT)
        layer, subject = named[0] if named else (Layer.SERVER, None)
        is_named = subject is not None and layer is not Layer.MEMBER
        return Limit(layer=layer, measure=measure, amount=units, subject=str(subject) if is_named else "")


class LimitAdmin:
    """Sets, clears and lists the limits of a server."""

    def __init__(self, *, store: LimitStore, policy: Policy, clock: Clock) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock

    @property
    def default_micros(self) -> int:
        """The monthly limit of members without one of their own."""
        return self._policy.default_member_micros

    async def set_limit(
        self, server_id: int, whose: Whose, measure: Measure, typed: str, *, reason: str = "", by: int
    ) -> Limit:
        """Set a limit from what staff typed, in place of an earlier one; return it.

        Raises:
            BadOrder: it is no amount, or it is not clear whose limit it is.
        """
        limit = whose.limit(measure, amount(typed) if measure.is_money else _count(typed))
        await self._store.set(
            server_id,
            limit,
            user_id=whose.user_id,
            what=limit_messages.limit_of(limit),
            reason=reason,
            by=by,
            now=self._clock(),
        )
        return limit

    async def clear_limit(
        self, server_id: int, whose: Whose, measure: Measure, *, reason: str = "", by: int
    ) -> tuple[Limit, bool]:
        """Take a limit away; return which, and whether there was one.

        Raises:
            BadOrder: it is not clear whose limit it is.
        """
        limit = whose.limit(measure)
        had_one = await self._store.clear(
            server_id,
            limit,
            user_id=whose.user_id,
            what=limit_messages.cleared_of(limit),
            reason=reason,
            by=by,
            now=self._clock(),
        )
        return limit, had_one

    async def of_server(self, server_id: int) -> list[SetLimit]:
        """Return every limit of a server: its own first, then those of channels, roles and members."""
        layers, measures = list(Layer), list(Measure)
        return sorted(
            await self._store.of_server(server_id),
            key=lambda one: (
                -layers.index(one.limit.layer),
                one.limit.subject,
                one.user_id or 0,
                measures.index(one.limit.measure),
            ),
        )

    async def of_one(self, server_id: int, whose: Whose) -> list[SetLimit]:
        """Return the limits that are set for one subject itself.

        Raises:
            BadOrder: it is not clear for which.
        """
        wanted = whose.limit(Measure.MONTH)
        return [
            one
            for one in await self.of_server(server_id)
            if (one.limit.layer, one.limit.subject, one.user_id)
            == (wanted.layer, wanted.subject, whose.user_id)
        ]


def _count(typed: str) -> int:
    """Read a number of jobs that staff typed.

    Raises:
        BadOrder: it is none.
    """
    typed = typed.strip()
    if not _COUNT.fullmatch(typed) or int(typed) > MOST_JOBS:
        raise BadOrder(limit_messages.BAD_COUNT)
    return int(typed)
