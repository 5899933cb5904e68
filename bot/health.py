"""Knows what is wrong with the machine now, and so whether orders are taken and steps are begun."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import logging
from collections.abc import Generator

from bot import troubles
from bot.errors import StorageTrouble, UserError
from bot.models import Clock
from bot.troubles import Trouble

log = logging.getLogger(__name__)

# What these keep from being written down, no step may begin that would have to be.
_STOPS_STEPS = {Trouble.DISK_FULL, Trouble.READ_ONLY, Trouble.LOCKED, Trouble.FAILING, Trouble.CORRUPT}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is wrong now. `detail` is what was seen, for the log and the operator."""

    trouble: Trouble
    detail: str
    since: dt.datetime

    @property
    def for_members(self) -> str:
        """What members read when they order."""
        return troubles.for_members(self.trouble)

    @property
    def for_operator(self) -> str:
        """What is wrong, and what to do."""
        return troubles.for_operator(self.trouble, self.detail)


class Health:
    """Remembers each trouble from when it was noticed until it is mended; one log line for either."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._problems: dict[Trouble, Problem] = {}
        self._can_write = asyncio.Event()
        self._can_write.set()
        self.in_trouble = asyncio.Event()

    def problems(self) -> tuple[Problem, ...]:
        """Return everything that is wrong now, what was noticed first in front."""
        return tuple(self._problems.values())

    def notice(self, trouble: Trouble, detail: str) -> None:
        """Take note of a trouble; one that is known already stays as it was first seen."""
        if trouble in self._problems:
            return
        problem = Problem(trouble=trouble, detail=detail, since=self._clock())
        self._problems[trouble] = problem
        log.error("%s", problem.for_operator)
        if trouble in _STOPS_STEPS:
            self._can_write.clear()
            self.in_trouble.set()

    def mend(self, trouble: Trouble) -> None:
        """Take note that a trouble is over, if it was one."""
        problem = self._problems.pop(trouble, None)
        if problem is None:
            return
        log.warning("mended: %s (since %s)", trouble, problem.since.isoformat(timespec="seconds"))
        if not _STOPS_STEPS & self._problems.keys():
            self._can_write.set()
            self.in_trouble.clear()

    def check(self) -> None:
        """Refuse orders while anything is wrong, before a file is read or money moves.

        Raises:
            UserError: what is wrong.
        """
        for problem in self._problems.values():
            raise UserError(problem.for_members)

    @contextlib.contextmanager
    def noticing(self) -> Generator[None]:
        """Take note of what goes wrong with the disk in this block."""
        try:
            yield
        except StorageTrouble as error:
            self.notice(error.trouble, error.detail)
            raise

    async def can_write(self) -> None:
        """Wait until what a step does can be written down."""
        await self._can_write.wait()
