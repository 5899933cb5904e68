"""Acts that are finished once they are begun: a message being posted, a paid request being answered."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# How long a stop waits for an act. An answer that comes in the 30th second is still written down.
EDIT_GRACE_SECONDS = 1.0  # the next start does it again
POST_GRACE_SECONDS = 5.0
SUBMIT_GRACE_SECONDS = 30.0
ANSWER_GRACE_SECONDS = 35.0


class Acts:
    """Runs each act in a task of its own, which lives on when whoever waits for it is cancelled."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[Any], float] = {}

    def begin(self, act: Coroutine[Any, Any, T], *, grace_seconds: float) -> asyncio.Task[T]:
        """Start an act, which must not raise unless somebody waits for it, and go on."""
        task = asyncio.create_task(act, name=act.__qualname__)
        self._running[task] = grace_seconds
        task.add_done_callback(self._ended)
        return task

    async def finish(self, act: Coroutine[Any, Any, T], *, grace_seconds: float) -> T:
        """Start an act and wait for its result."""
        return await asyncio.shield(self.begin(act, grace_seconds=grace_seconds))

    async def close(self) -> None:
        """Wait for every act as long as its grace allows, then break it off."""
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        while self._running:
            passed = loop.time() - began_at
            for task, grace in self._running.items():
                if grace <= passed:
                    task.cancel()
            left = min((grace - passed for grace in self._running.values() if grace > passed), default=None)
            await asyncio.wait(self._running, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._running[task]
        if not task.cancelled():
            task.exception()  # whoever waits for it has it; nobody else needs to know
