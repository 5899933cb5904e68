"""Tells staff, members and the operator that a limit or purse is used up to a share."""

import asyncio
import dataclasses
import datetime as dt
import logging
from typing import Any, TypeAlias

from bot import alert_messages
from bot.acts import POST_GRACE_SECONDS, Acts
from bot.errors import ChannelClosed, DiscordTrouble
from bot.jobs import Driver
from bot.models import Audience, Clock, Job, Sleep
from bot.notices import Notices
from bot.shares import Alert
from storage.alerts import AlertStore
from storage.servers import ServerStore

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 60.0
MOST_PAUSE_SECONDS = 3600.0
_LEAST_NAP_SECONDS = 1.0
GIVE_UP = dt.timedelta(days=1)  # later than that an alert would only surprise

_Address: TypeAlias = tuple[Audience, int, int | None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Pause:
    """Until when somebody who could not be told is left alone."""

    ends_at: dt.datetime
    seconds: float


class Alerts:
    """Tells what the transactions of orders have noted; once, also over restarts.

    It is a `Driver` in front of another: whoever hands on a stored job has its alerts told, and never waits
    for that.
    """

    def __init__(
        self,
        *,
        store: AlertStore,
        servers: ServerStore,
        notices: Notices,
        driver: Driver,
        acts: Acts,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._store = store
        self._servers = servers
        self._notices = notices
        self._driver = driver
        self._acts = acts
        self._clock = clock
        self._sleep = sleep
        self._news = asyncio.Event()
        self._pauses: dict[_Address, _Pause] = {}

    def add(self, job: Job) -> None:
        """Take a job that was stored just now."""
        self._driver.add(job)
        self._news.set()

    def drop(self, job: Job) -> None:
        """Let go of a job that was cancelled just now."""
        self._driver.drop(job)

    async def choose(self, server_id: int, user_id: int, *, wants: bool) -> None:
        """Remember whether a member wants to be told of their own limits."""
        await self._store.choose(server_id, user_id, wants=wants)

    async def run(self) -> None:
        """Tell what was noted, also by an earlier run, until cancelled."""
        while True:
            self._news.clear()
            try:
                await self._tell_all()
            except Exception:
                log.exception("alerts could not be told")  # no reason to end the bot
                await self._sleep(FIRST_PAUSE_SECONDS)
            await self._rest()

    async def _tell_all(self) -> None:
        left: set[_Address] = set()
        for alert in await self._store.untold():
            address = _address(alert)
            if self._wait(address) > 0:
                left.add(address)
                continue
            try:
                await self._acts.finish(self._tell(alert), grace_seconds=POST_GRACE_SECONDS)
            except Exception as error:  # noqa: BLE001 - one channel must not keep the others from theirs
                if await self._is_put_off(alert, error):
                    left.add(address)
        self._pauses = {address: pause for address, pause in self._pauses.items() if address in left}

    async def _tell(self, alert: Alert) -> None:
        """Tell one alert and write that down; the nonce covers what dies in between."""
        told = alert_messages.alert(alert, server=self._notices.server_name(alert.server_id))
        match alert.audience:
            case Audience.STAFF:
                settings = await self._servers.settings(alert.server_id)
                if settings.staff_channel_id is not None:
                    await self._notices.post(
                        alert.server_id,
                        settings.staff_channel_id,
                        nonce=f"alert:{alert.alert_id}",
                        content=told,
                    )
            case Audience.MEMBER:
                if alert.user_id is not None:
                    try:
                        await self._notices.write_directly(alert.user_id, told)
                    except ChannelClosed as error:
                        log.info("a member takes no alerts: %s", error)
            case Audience.OPERATOR:
                await self._notices.tell_operator(told)
        await self._store.told(alert.alert_id, now=self._clock())

    async def _is_put_off(self, alert: Alert, error: Exception) -> bool:
        """Let it be tried again later, each time after a longer pause, for a day."""
        now, address = self._clock(), _address(alert)
        is_known = isinstance(error, ChannelClosed | DiscordTrouble)
        log.warning("alert %d could not be told: %s", alert.alert_id, error, exc_info=not is_known)
        if now - alert.created_at >= GIVE_UP:
            await self._store.told(alert.alert_id, now=now)
            return False
        before = self._pauses.get(address)
        seconds = FIRST_PAUSE_SECONDS if before is None else min(2 * before.seconds, MOST_PAUSE_SECONDS)
        self._pauses[address] = _Pause(ends_at=now + dt.timedelta(seconds=seconds), seconds=seconds)
        return True

    def _wait(self, address: _Address) -> float:
        """Return for how many seconds somebody is left alone; a clock that was set back ends that."""
        pause = self._pauses.get(address)
        seconds = (pause.ends_at - self._clock()).total_seconds() if pause is not None else 0.0
        return seconds if pause is not None and seconds <= pause.seconds else 0.0

    async def _rest(self) -> None:
        """Wait for news, or until somebody may be tried again."""
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._news.wait())]
        if self._pauses:
            seconds = max(min(map(self._wait, self._pauses)), _LEAST_NAP_SECONDS)
            waits.append(asyncio.ensure_future(self._sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _address(alert: Alert) -> _Address:
    """Return who is told: a server's staff, a member alone, or the operator."""
    user_id = alert.user_id if alert.audience is Audience.MEMBER else None
    return alert.audience, alert.server_id, user_id
