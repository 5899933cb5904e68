"""Tells staff, members and the operator what was noted for them: shares that are used up, and notes."""

import asyncio
import dataclasses
import datetime as dt
import logging
from typing import TypeAlias

from bot import alert_messages
from bot.acts import POST_GRACE_SECONDS, Acts
from bot.errors import ChannelClosed, DiscordTrouble, StorageTrouble
from bot.jobs import Driver
from bot.models import Audience, Clock, Job, Sleep
from bot.notices import Notices
from bot.shares import Alert
from bot.waiting import news_or
from storage.alerts import AlertStore
from storage.notes import FOR_OPERATOR, Note, NoteStore
from storage.servers import ServerStore

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 60.0
MOST_PAUSE_SECONDS = 3600.0
_LEAST_NAP_SECONDS = 1.0
GIVE_UP = dt.timedelta(days=1)  # later than that an alert would only surprise

_Address: TypeAlias = tuple[Audience, int, int | None]


class _NoStaffChannel(ChannelClosed):
    """The server has no staff channel yet."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Pause:
    """Until when somebody who could not be told is left alone."""

    ends_at: dt.datetime
    seconds: float


class Alerts:
    """Tells what transactions have noted; once, also over restarts.

    It is a `Driver` in front of another: whoever hands on a stored job has its alerts told, and never waits
    for that.
    """

    def __init__(
        self,
        *,
        store: AlertStore,
        notes: NoteStore,
        servers: ServerStore,
        notices: Notices,
        driver: Driver,
        acts: Acts,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._store = store
        self._notes = notes
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
        self.wake()

    def drop(self, job: Job) -> None:
        """Let go of a job that was cancelled just now."""
        self._driver.drop(job)

    def wake(self) -> None:
        """Tell what was noted just now."""
        self._news.set()

    async def choose(self, server_id: int, user_id: int, *, wants: bool) -> None:
        """Remember whether a member wants to be told of their own limits."""
        await self._store.choose(server_id, user_id, wants=wants)

    async def run(self) -> None:
        """Tell what was noted, also by an earlier run, until cancelled."""
        while True:
            self._news.clear()
            try:
                await self._tell_all()
            except Exception as error:  # no reason to end the bot
                is_known = isinstance(error, StorageTrouble)
                log.error("alerts could not be told: %s", error, exc_info=None if is_known else error)  # noqa: TRY400
                await self._sleep(FIRST_PAUSE_SECONDS)
            await self._rest()

    async def _tell_all(self) -> None:
        left: set[_Address] = set()
        for news in [*await self._notes.untold(), *await self._store.untold()]:
            address = _address(news)
            if self._wait(address) > 0:
                left.add(address)
                continue
            try:
                await self._acts.finish(self._tell(news), grace_seconds=POST_GRACE_SECONDS)
            except Exception as error:  # noqa: BLE001 - one channel must not keep the others from theirs
                if await self._is_put_off(news, error):
                    left.add(address)
        self._pauses = {address: pause for address, pause in self._pauses.items() if address in left}

    async def _tell(self, news: Alert | Note) -> None:
        """Tell one thing and write that down; the nonce covers what dies in between."""
        if isinstance(news, Note) and news.server_id == FOR_OPERATOR:
            await self._tell_operator(news.content)
        elif isinstance(news, Note):
            await self._post(news.server_id, news.content, nonce=f"note:{news.note_id}")
        else:
            await self._tell_alert(news)
        await self._told(news)

    async def _tell_alert(self, alert: Alert) -> None:
        told = alert_messages.alert(alert, server=self._notices.server_name(alert.server_id))
        match alert.audience:
            case Audience.STAFF:
                await self._post(alert.server_id, told, nonce=f"alert:{alert.alert_id}")
            case Audience.MEMBER:
                if alert.user_id is not None:
                    try:
                        await self._notices.write_directly(alert.user_id, told)
                    except ChannelClosed as error:
                        log.info("a member takes no alerts: %s", error)
            case Audience.OPERATOR:
                await self._tell_operator(told)

    async def _tell_operator(self, told: str) -> None:
        if not await self._notices.tell_operator(told):
            raise DiscordTrouble("nobody who owns the bot could be reached")

    async def _post(self, server_id: int, told: str, *, nonce: str) -> None:
        settings = await self._servers.settings(server_id)
        if settings.staff_channel_id is None:
            raise _NoStaffChannel("there is no staff channel")
        await self._notices.post(server_id, settings.staff_channel_id, nonce=nonce, content=told)

    async def _told(self, news: Alert | Note) -> None:
        if isinstance(news, Note):
            await self._notes.told(news.note_id, now=self._clock())
        else:
            await self._store.told(news.alert_id, now=self._clock())

    async def _is_put_off(self, news: Alert | Note, error: Exception) -> bool:
        """Let it be tried again later, each time after a longer pause, for a day."""
        now, address = self._clock(), _address(news)
        if now - news.created_at >= GIVE_UP:
            log.warning("%s is given up after a day: %s", _name(news), error)
            await self._told(news)
            return False
        before = self._pauses.get(address)
        if isinstance(error, _NoStaffChannel):
            seconds = FIRST_PAUSE_SECONDS  # asks nobody but the database, and staff may set one any time
        else:
            is_known = isinstance(error, ChannelClosed | DiscordTrouble)
            log.warning("%s could not be told: %s", _name(news), error, exc_info=None if is_known else error)
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
        pause = None
        if self._pauses:
            pause = self._sleep(max(min(map(self._wait, self._pauses)), _LEAST_NAP_SECONDS))
        await news_or(self._news, pause)


def _name(news: Alert | Note) -> str:
    return f"note {news.note_id}" if isinstance(news, Note) else f"alert {news.alert_id}"


def _address(news: Alert | Note) -> _Address:
    """Return who is told: a server's staff, a member alone, or the operator."""
    if isinstance(news, Note):
        audience = Audience.OPERATOR if news.server_id == FOR_OPERATOR else Audience.STAFF
        return audience, news.server_id, None
    user_id = news.user_id if news.audience is Audience.MEMBER else None
    return news.audience, news.server_id, user_id
