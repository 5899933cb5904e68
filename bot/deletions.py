"""Roles and channels that were deleted: what hung on them goes, and staff are told once."""

from collections.abc import Mapping

from bot import server_messages
from bot.alerts import Alerts
from bot.models import Clock, PauseScope, RuleScope
from bot.pauses import Pauses
from storage.access import AccessStore
from storage.deletions import DeletionStore, Named


class Deletions:
    """Removes limits, purses, access rules and settings of what is no longer there."""

    def __init__(
        self,
        *,
        store: DeletionStore,
        access: AccessStore,
        pauses: Pauses,
        alerts: Alerts,
        clock: Clock,
    ) -> None:
        self._store = store
        self._access = access
        self._pauses = pauses
        self._alerts = alerts
        self._clock = clock

    async def named(self, server_id: int) -> Named:
        """Return which roles and channels a server's limits, purses, rules and settings name."""
        return await self._store.named(server_id)

    async def gone(
        self,
        server_id: int,
        *,
        roles: Mapping[int, str | None] | None = None,
        channels: Mapping[int, str | None] | None = None,
    ) -> None:
        """Take away what hung on deleted roles and channels, named by id; None is a name nobody knows.

        Where the last rule goes that allows somebody, or some channel, the server is paused first: else
        everybody might order then.
        Staff read of it in their channel, unless that is what was deleted: the audit log has it all.
        """
        role_names = {one: server_messages.deleted_name("role", name) for one, name in (roles or {}).items()}
        channel_names = {
            one: server_messages.deleted_name("channel", name) for one, name in (channels or {}).items()
        }
        opened = await self._opened(server_id, frozenset(role_names), frozenset(channel_names))
        if opened and self._pauses.of_server(server_id) is None:
            reason = server_messages.opened_reason(opened)
            await self._pauses.pause(PauseScope.SERVER, str(server_id), reason, server_id=server_id, by=None)
        await self._store.lose(
            server_id, roles=role_names, channels=channel_names, opened=opened, now=self._clock()
        )
        self._alerts.wake()

    async def _opened(
        self, server_id: int, role_ids: frozenset[int], channel_ids: frozenset[int]
    ) -> list[str]:
        """Return of whom the last rule that allows some is about to go: "people" or "channels"."""
        allows = [rule for rule in await self._access.rules(server_id) if rule.allows]
        gone = {RuleScope.ROLE: role_ids, RuleScope.CHANNEL: channel_ids}
        left = [rule for rule in allows if rule.subject_id not in gone.get(rule.scope, ())]
        had, have = ({rule.scope is RuleScope.CHANNEL for rule in rules} for rules in (allows, left))
        return ["channels" if of_channels else "people" for of_channels in sorted(had - have)]
