"""The Discord in which the bot is killed: every request passes the trap, and orders are noted."""

import asyncio
import contextlib
import json
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from aiohttp import web

from tests.crash.traps import Gone, Moment, Trap, watched
from tests.discord_server import BOT, STAFF, DiscordServer, texts

Listener: TypeAlias = Callable[[str, dict[str, Any]], None]

_KINDS = {
    "_me": "login",
    "_application": "application",
    "_commands": "register commands",
    "_acknowledge": "acknowledge",
    "_answer": "answer",
    "_edit": "edit card",
    "_fetch": "read message",
    "_history": "read channel",
    "_fetch_guild": "read server",
    "_fetch_member": "read member",
    "_open_direct": "open direct",
    "_file": "read picture",
}
_READY_WAITS_SECONDS = 4.0
_IS_COMPONENTS_V2 = 1 << 15
_JOB = re.compile(r"[Jj]ob `(\w+)`")
_OF_CARD = re.compile(r"^-# Job `(\w+)`$", re.MULTILINE)  # whatever other jobs its words name


class CrashDiscord(DiscordServer):
    """Passes every request by the trap."""

    def __init__(self, trap: Trap) -> None:
        super().__init__()
        self._trap = trap
        self.strays: list[str] = []
        self.on_post: Listener = lambda *_: None

    def middlewares(self) -> list[Any]:
        """Watch what comes and goes."""
        return [watched(self._trap, self._kind)]

    @property
    def is_connected(self) -> bool:
        """Whether somebody is there to be told of commands."""
        return self.ready.is_set() and bool(self._sockets) and bool(self.registered)

    @property
    def direct_channels(self) -> set[int]:
        """The channels in which the bot writes to one person alone."""
        return set(self._direct.values())

    async def _kind(self, request: web.Request) -> str:
        name = getattr(request.match_info.handler, "__name__", "")
        if name == "_post":
            return await self._kind_of_post(request)
        if name not in _KINDS and name != "_socket":  # it does nothing at which it is not killed, too
            self.strays.append(f"{request.method} {request.path}")
        return _KINDS.get(name, "")

    async def _read(self, request: web.Request) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        if "body" not in request:
            request["body"] = await super()._read(request)
        return request["body"]

    async def _post(self, request: web.Request) -> web.Response:
        answer = await super()._post(request)
        assert isinstance(answer.body, bytes)
        self.on_post(await self._kind_of_post(request), json.loads(answer.body))
        return answer

    async def _kind_of_post(self, request: web.Request) -> str:
        channel_id = int(request.match_info["channel"])
        if channel_id in self.direct_channels:
            return "write directly"
        if channel_id == STAFF:
            return "post notice"
        payload, attachments = await self._read(request)
        if (payload.get("flags") or 0) & _IS_COMPONENTS_V2:
            return "post card"
        return "post clip" if any(one["filename"].endswith(".mp4") for one in attachments) else "post end"

    async def _hear(self, socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
        if said["op"] != 2:
            await super()._hear(socket, said)
            return
        try:
            await self._trap.passes("identify", Moment.ARRIVED)
            if self._trap.waits_for == "read server":  # asked for only before READY names it
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._trap.struck.wait(), _READY_WAITS_SECONDS)
            await super()._hear(socket, said)
            await self._trap.passes("identify", Moment.ANSWERED)
        except Gone:
            return


def job_in(message: dict[str, Any]) -> str:
    """Return the id of the job that a message is about; empty where it is about none."""
    words = "\n".join([message["content"], *texts(message["components"])])
    found = _OF_CARD.search(words) or _JOB.search(words)
    return found[1] if found and int(message["author"]["id"]) == BOT else ""
