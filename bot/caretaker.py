"""Looks after the machine: room on the disk, jumps of the clock, whether what was broken is mended."""

import datetime as dt
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bot import pacing, troubles
from bot.errors import ChannelClosed, DiscordTrouble, StorageTrouble
from bot.health import Health, Problem
from bot.models import Clock, Sleep, Ticks
from bot.troubles import Trouble
from storage.database import Database

log = logging.getLogger(__name__)

LEAST_FREE_BYTES = 256 * 1024 * 1024
LOOK_SECONDS = 60.0
MOST_PROBE_SECONDS = 30.0

# Above it a clock has not drifted but was set: a busy machine is late by seconds.
JUMP_SECONDS = 30.0
JUMP_KEEPS = dt.timedelta(minutes=5)
TELL_AGAIN = dt.timedelta(hours=1)

_PROBED = (Trouble.DISK_FULL, Trouble.READ_ONLY, Trouble.LOCKED, Trouble.FAILING)
_REOPENED = {Trouble.READ_ONLY, Trouble.FAILING}  # a file that was opened while it could not be written


class Bell(Protocol):
    """Whoever can write to the operator; see `bot/notices.py`."""

    async def tell_operator(self, content: str) -> bool:
        """Write to the operator; return whether anybody was reached."""
        ...


class Caretaker:
    """Two loops: one looks around every minute, the other tries a storage in trouble until it works."""

    def __init__(
        self,
        *,
        health: Health,
        database: Database,
        folder: Path,
        bell: Bell,
        clock: Clock,
        sleep: Sleep,
        ticks: Ticks,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._health = health
        self._database = database
        self._folder = folder
        self._bell = bell
        self._clock = clock
        self._sleep = sleep
        self._ticks = ticks
        self._free_bytes = free_bytes
        self._set_at: dt.datetime | None = None  # when the clock jumped last, by the clock as it is since
        self._told: dict[Trouble, dt.datetime] = {}

    async def look(self) -> None:
        """Look at the disk and the clock, and tell the operator what is wrong, until cancelled."""
        while True:
            self._look_at_disk()
            await self._tell_operator()
            before, began_at = self._clock(), self._ticks()
            await self._sleep(LOOK_SECONDS)
            self._look_at_clock(before, passed_seconds=self._ticks() - began_at)

    async def probe(self) -> None:
        """Try the database again while it is in trouble, so that work goes on by itself, until cancelled."""
        while True:
            await self._health.in_trouble.wait()
            tries = 0
            while self._health.in_trouble.is_set():
                tries += 1
                await self._sleep(
                    pacing.growing_pause(tries, first_seconds=1.0, most_seconds=MOST_PROBE_SECONDS)
                )
                await self._try()

    async def _try(self) -> None:
        found = {problem.trouble for problem in self._health.problems()}
        if Trouble.CORRUPT in found:
            return  # whatever is written now may damage more of it
        try:
            with self._health.noticing():
                await self._database.probe(reconnect=bool(found & _REOPENED))
        except StorageTrouble:
            return
        except Exception:
            log.exception("the database could not be tried")
            return
        for trouble in _PROBED:
            self._health.mend(trouble)

    def _look_at_disk(self) -> None:
        try:
            free = self._free_bytes(self._folder)
        except OSError as error:
            trouble = troubles.of_os_error(error) or Trouble.FAILING
            self._health.notice(trouble, f"DATA_DIR: {error.strerror}")
            return
        if free < LEAST_FREE_BYTES:
            self._health.notice(Trouble.LOW_DISK, f"{free // 2**20} MiB are free in DATA_DIR")
        else:
            self._health.mend(Trouble.LOW_DISK)

    def _look_at_clock(self, before: dt.datetime, *, passed_seconds: float) -> None:
        """Compare what the clock shows with the time that has passed.

        A clock that was set back lets the hours since be counted twice, one that was set forward may have
        skipped into another month: for some minutes nobody orders, in which it may be put right.
        """
        now = self._clock()
        jump = (now - before).total_seconds() - passed_seconds
        if abs(jump) >= JUMP_SECONDS:
            self._set_at = now
            way = "forward" if jump > 0 else "back"
            self._health.mend(Trouble.CLOCK)
            self._health.notice(Trouble.CLOCK, f"{way} by {dt.timedelta(seconds=round(abs(jump)))}")
        elif self._set_at is not None and now - self._set_at >= JUMP_KEEPS:
            self._set_at = None
            self._health.mend(Trouble.CLOCK)

    async def _tell_operator(self) -> None:
        """Tell of each trouble once; one that comes and goes, once an hour."""
        for problem in self._health.problems():
            told_at = self._told.get(problem.trouble)
            now = self._clock()
            if told_at is not None and told_at <= now < told_at + TELL_AGAIN:
                continue
            if told_at is not None and problem.since < told_at:
                continue
            if await self._could_tell(problem):
                self._told[problem.trouble] = now

    async def _could_tell(self, problem: Problem) -> bool:
        try:
            return await self._bell.tell_operator(problem.for_operator)
        except (ChannelClosed, DiscordTrouble) as error:
            log.warning("the operator could not be told: %s (%s)", problem.for_operator, error)
            return False
