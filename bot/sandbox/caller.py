"""Calls whoever ordered a task when it is over: one POST, and up to three more until it is answered with 200.

"APIXO Docs, Webhooks" (https://apixo.ai/docs/api-reference/webhooks) names the number of tries, the 30
seconds that an answer may take, and growing pauses; how long they are is ours. Pixazo's page names none.
"""

import logging
from collections.abc import Mapping

import aiohttp

from bot.models import Sleep
from bot.sandbox.pictures import here

log = logging.getLogger(__name__)

_PAUSES_SECONDS = (30.0, 60.0, 120.0)
_TIMEOUT = aiohttp.ClientTimeout(total=30)
_OK = 200


class Caller:
    """Posts callbacks; `origins` is that of `PictureFetcher`."""

    def __init__(self, session: aiohttp.ClientSession, origins: Mapping[str, str], sleep: Sleep) -> None:
        self._session = session
        self._origins = origins
        self._sleep = sleep

    async def call(self, url: str, body: object) -> None:
        """Post until it is taken, or was often enough; never raises for what the other side does."""
        for pause_seconds in (*_PAUSES_SECONDS, None):
            if await self._post(url, body):
                return
            if pause_seconds is not None:
                await self._sleep(pause_seconds)
        log.info("Sandbox: a callback was not taken")

    async def _post(self, url: str, body: object) -> bool:
        try:
            post = self._session.post(
                here(url, self._origins), json=body, timeout=_TIMEOUT, allow_redirects=False
            )
            async with post as answer:
                return answer.status == _OK
        except (aiohttp.ClientError, OSError, ValueError):  # TimeoutError is an OSError
            return False
