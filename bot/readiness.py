"""Whether the bot can do its work now, check by check: what /readyz tells."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any, Protocol

from bot.errors import StorageTrouble
from bot.health import Health
from bot.troubles import Trouble

log = logging.getLogger(__name__)

MOST_SECONDS = 2.0

_CHECK_OF = {Trouble.LOCKED: "database", Trouble.CORRUPT: "database", Trouble.CLOCK: "clock"}


class Store(Protocol):
    """Something that reads from the database."""

    def answers(self) -> Coroutine[Any, Any, None]:
        """Read something; see `storage/gauges.py`."""
        ...


class Session(Protocol):
    """The bot's connection to Discord."""

    @property
    def is_online(self) -> bool:
        """Whether Discord's gateway speaks with the bot now."""
        ...


class Readiness:
    """Asks everything that the work stands on; `idle_parts` names parts of the bot that do not run."""

    def __init__(
        self,
        *,
        store: Store,
        session: Session,
        health: Health,
        idle_parts: Callable[[], Collection[str]],
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        self._store = store
        self._session = session
        self._health = health
        self._idle_parts = idle_parts
        self._most_seconds = most_seconds
        self._asking: asyncio.Task[None] | None = None

    async def problems(self) -> Mapping[str, str]:
        """Return for each check what is wrong, in words; nothing where it is all right."""
        idle = self._idle_parts()
        found = {
            "database": await self._database(),
            "discord": "" if self._session.is_online else "not connected",
            "worker": f"not running: {', '.join(sorted(idle))}" if idle else "",
            "disk": "",
            "clock": "",
        }
        for problem in self._health.problems():
            found[_CHECK_OF.get(problem.trouble, "disk")] = problem.for_operator
        return found

    async def _database(self) -> str:
        """Read from the database; while a read hangs, no second one is begun."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._store.answers(), name="readiness")
        done, _ = await asyncio.wait({self._asking}, timeout=self._most_seconds)
        if not done:
            return f"no answer within {self._most_seconds:g} s"
        error = self._asking.exception()
        if error is None:
            return ""
        if isinstance(error, StorageTrouble):
            return f"cannot be read: {error.detail}"
        log.error("the database could not be read", exc_info=error)
        return f"cannot be read: {type(error).__name__}"
