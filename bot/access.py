"""Who may order, and where: staff's access rules, on top of Discord's own Integrations page."""

from collections.abc import Collection, Sequence
from typing import Protocol

from bot import access_messages
from bot.errors import NotAllowed
from bot.models import AccessRule, Clock, RuleScope
from bot.pauses import Pauses
from storage.access import AccessStore


class Asking(Protocol):
    """Who orders, and where: an order, or one that was kept."""

    @property
    def server_id(self) -> int:
        """The server."""
        ...

    @property
    def home_channel_id(self) -> int:
        """The channel, of a thread its parent."""
        ...

    @property
    def user_id(self) -> int:
        """The person's Discord id."""
        ...

    @property
    def role_ids(self) -> frozenset[int]:
        """All their roles."""
        ...


def refusal(
    rules: Sequence[AccessRule], *, user_id: int, role_ids: frozenset[int], channel_id: int
) -> str | None:
    """Return why the rules refuse an order, naming what is needed, or None.

    A person's own rule beats those of their roles. Without one, a denied role of theirs refuses; and where
    any person or role is allowed, one of their roles has to be. A denied channel refuses everybody; and where
    any channel is allowed, the order has to come from one of those.
    """
    allowed: dict[RuleScope, set[int | None]] = {scope: set() for scope in RuleScope}
    denied: dict[RuleScope, set[int | None]] = {scope: set() for scope in RuleScope}
    for rule in rules:
        (allowed if rule.allows else denied)[rule.scope].add(rule.subject_id)
    if user_id in denied[RuleScope.MEMBER]:
        return access_messages.denied_yourself()
    if user_id not in allowed[RuleScope.MEMBER]:
        if bad := denied[RuleScope.ROLE] & role_ids:
            return access_messages.denied_role(_known(bad))
        roles = allowed[RuleScope.ROLE]
        if (roles or allowed[RuleScope.MEMBER]) and not roles & role_ids:
            return access_messages.needs_role(_known(roles))
    if channel_id in denied[RuleScope.CHANNEL]:
        return access_messages.denied_channel(channel_id)
    channels = allowed[RuleScope.CHANNEL]
    if channels and channel_id not in channels:
        return access_messages.needs_channel(_known(channels))
    return None


def _known(ids: Collection[int | None]) -> list[int]:
    return [one for one in ids if one is not None]


class Access:
    """Refuses orders; sets, clears and shows the rules of a server."""

    def __init__(self, *, store: AccessStore, pauses: Pauses, clock: Clock) -> None:
        self._store = store
        self._pauses = pauses
        self._clock = clock

    async def check(self, asking: Asking) -> None:
        """Refuse an order while its server is paused, or from whom or where the rules do not let order.

        Raises:
            NotAllowed: naming the reason or what is needed.
        """
        self._pauses.check(asking.server_id)
        sentence = refusal(
            await self._store.rules(asking.server_id),
            user_id=asking.user_id,
            role_ids=asking.role_ids,
            channel_id=asking.home_channel_id,
        )
        if sentence is not None:
            raise NotAllowed(sentence, public_sentence=access_messages.NOT_ALLOWED_IN_PUBLIC)

    async def rules(self, server_id: int) -> list[AccessRule]:
        """Return a server's rules."""
        return await self._store.rules(server_id)

    async def set(
        self, server_id: int, scope: RuleScope, subject_id: int, *, allows: bool, reason: str, by: int
    ) -> AccessRule:
        """Allow or deny a role, a person or a channel.

        Raises:
            UserError: the server has too many rules.
        """
        rule = AccessRule(scope=scope, subject_id=subject_id, allows=allows)
        await self._store.set(
            server_id,
            scope,
            subject_id,
            allows=allows,
            what=_what(rule),
            reason=reason,
            by=by,
            now=self._clock(),
        )
        return rule

    async def clear(self, server_id: int, scope: RuleScope, subject_id: int, *, reason: str, by: int) -> bool:
        """Forget the rule of a role, a person or a channel; return whether there was one."""
        rule = AccessRule(scope=scope, subject_id=subject_id, allows=False)
        return await self._store.clear(
            server_id, scope, subject_id, what=_what(rule), reason=reason, by=by, now=self._clock()
        )


def _what(rule: AccessRule) -> str:
    """Name what a rule is about for the audit log, which names people only by their row."""
    return "" if rule.scope is RuleScope.MEMBER else access_messages.rule_subject(rule)
