"""What staff set for their server."""

import functools
import json
import zoneinfo
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from bot import quotas, server_messages
from bot.errors import BadOrder
from bot.models import AutoPolicy, Clock, ServerSettings
from bot.money import dollars
from bot.quotas import Measure, Period, Policy
from bot.spending import amount
from storage.servers import ServerStore


class ServerAdmin:
    """Reads and changes a server's time zone, staff channel, approver role, and how orders are taken."""

    def __init__(self, *, store: ServerStore, policy: Policy, clock: Clock) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._zones = _zones()

    async def settings(self, server_id: int) -> ServerSettings:
        """Return what is set."""
        return await self._store.settings(server_id)

    def zone(self, settings: ServerSettings) -> str:
        """Return the name of the time zone that counts."""
        return (settings.zone or self._policy.zone).key

    def zones(self, typed: str) -> list[str]:
        """Return the names of time zones that have this in them, those that begin with it first."""
        wanted = _folded(typed)
        found = [name for folded, name in self._zones.items() if wanted in folded]
        return sorted(found, key=lambda name: (not _city(name).startswith(wanted), name))

    async def set_zone(self, server_id: int, typed: str, *, reason: str, by: int) -> tuple[str, Period]:
        """Let the server's days, weeks and months turn in a zone; return its name and the month there now.

        Raises:
            BadOrder: there is no such zone.
        """
        name = self._zones.get(_folded(typed))
        month = quotas.period(Measure.MONTH, ZoneInfo(name), self._clock()) if name else None
        if name is None or month is None:
            raise BadOrder(server_messages.NO_ZONE)
        await self._change(server_id, "timezone", name, reason, by, zone=name)
        return name, month

    async def set_staff_channel(
        self, server_id: int, channel_id: int | None, *, reason: str, by: int
    ) -> None:
        """Choose where requests, alerts and notes for staff go; None is nowhere."""
        what = f"<#{channel_id}>" if channel_id is not None else "none"
        await self._change(server_id, "staff-channel", what, reason, by, staff_channel_id=channel_id)

    async def set_approver(self, server_id: int, role_id: int | None, *, reason: str, by: int) -> None:
        """Choose the role that decides about requests beside staff; None is no role.

        Raises:
            BadOrder: it is everyone's.
        """
        if role_id == server_id:  # the role of everyone has the server's id
            raise BadOrder(server_messages.NOT_EVERYONE)
        what = f"<@&{role_id}>" if role_id is not None else "none"
        await self._change(server_id, "approver", what, reason, by, approver_role_id=role_id)

    async def set_confirm_above(self, server_id: int, typed: str | None, *, reason: str, by: int) -> int:
        """Set above which price a job has to be confirmed; None is the default. Return it in micro-dollars.

        Raises:
            BadOrder: it is no amount.
        """
        micros = amount(typed) if typed is not None else None
        now = ServerSettings().confirm_above_micros if micros is None else micros
        await self._change(server_id, "confirm-above", dollars(now), reason, by, confirm_above_micros=micros)
        return now

    async def set_auto(
        self, server_id: int, policy: AutoPolicy, models: Sequence[str], *, reason: str, by: int
    ) -> None:
        """Set by what `auto` chooses; with staff's own order these models, the best first, and no others.

        Raises:
            BadOrder: their own order names no models, or another policy does.
        """
        if (policy is AutoPolicy.OWN) != bool(models):
            raise BadOrder(server_messages.OWN_NEEDS_MODELS)
        what = server_messages.auto_policy(policy, models)
        await self._change(
            server_id,
            "auto",
            what,
            reason,
            by,
            auto_policy=None if policy is AutoPolicy.CHEAPEST else policy,
            auto_models=json.dumps(models) if models else None,
        )

    async def _change(self, server_id: int, act: str, what: str, reason: str, by: int, **value: Any) -> None:
        await self._store.change(
            server_id, act=act, what=what, reason=reason, by=by, now=self._clock(), **value
        )


@functools.cache
def _zones() -> dict[str, str]:
    """Read every time zone from the disk, once; by their names without regard to case."""
    names = zoneinfo.available_timezones() - {"localtime", "Factory"}
    return {name.lower(): name for name in sorted(names)}


def _folded(typed: str) -> str:
    return typed.strip().lower().replace(" ", "_")


def _city(name: str) -> str:
    return name.rpartition("/")[2].lower()
