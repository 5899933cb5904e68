"""A Discord on localhost for a bot that runs as a process: the REST routes it needs, and the gateway.

The product has no switch for another address: a `sitecustomize.py` on PYTHONPATH changes discord.py's.
"""

import asyncio
import json
from pathlib import Path
from typing import Any, Self

from aiohttp import WSMsgType, web

TOKEN = "MTIz.a-token-that-opens-nothing.x"
APPLICATION = {
    "id": "123",
    "name": "bot",
    "icon": None,
    "description": "",
    "bot_public": False,
    "bot_require_code_grant": False,
    "verify_key": "00",
    "flags": 0,
    "owner": {"id": "7", "username": "owner", "discriminator": "0", "avatar": None},
}
USER = {"id": "123", "username": "bot", "discriminator": "0", "avatar": None, "bot": True}

_REDIRECTION = """\
import discord.gateway, discord.http, yarl
discord.http.Route.BASE = "http://{host}"
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL("ws://{host}/socket")
"""


class DiscordStandin:
    """Knows one token. `registered` holds every payload of commands it was given."""

    def __init__(self) -> None:
        self.registered: list[list[dict[str, Any]]] = []
        self.ready = asyncio.Event()
        self.takes_sockets = True
        self.logging_in = asyncio.Event()
        self.answers_logins = asyncio.Event()
        self.answers_logins.set()
        self._runner: web.AppRunner | None = None
        self._sockets: set[web.WebSocketResponse] = set()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=32 * 1024 * 1024, middlewares=self.middlewares())
        app.router.add_routes(self.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.host = f"127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for socket in list(self._sockets):
            await socket.close()
        assert self._runner is not None
        await self._runner.cleanup()

    def routes(self) -> list[web.RouteDef]:
        """What it answers to."""
        return [
            web.get("/users/@me", self._me),
            web.get("/oauth2/applications/@me", self._application),
            web.put("/applications/123/commands", self._commands),
            web.get("/socket", self._socket),
        ]

    def middlewares(self) -> list[Any]:
        """What every request goes through."""
        return []

    def greet(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the events that follow READY."""
        return []

    def unavailable_guilds(self) -> list[dict[str, Any]]:
        """Return the servers that READY names, and `greet` then describes."""
        return []

    def lead_here(self, folder: Path) -> Path:
        """Write a sitecustomize.py that makes discord.py speak to this stand-in; return its folder."""
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(_REDIRECTION.format(host=self.host))
        return folder

    async def _me(self, request: web.Request) -> web.Response:
        self.logging_in.set()
        await self.answers_logins.wait()
        if request.headers.get("Authorization") != f"Bot {TOKEN}":
            return json_answer({"message": "401: Unauthorized", "code": 0}, status=401)
        return json_answer(USER)

    async def _application(self, _: web.Request) -> web.Response:
        return json_answer(APPLICATION)

    async def _commands(self, request: web.Request) -> web.Response:
        commands = await request.json()
        self.registered.append(commands)
        given = [
            {"description": "", **command, "id": str(number), "application_id": "123", "version": "1"}
            for number, command in enumerate(commands, start=1)
        ]
        return json_answer(given)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        if not self.takes_sockets:
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.add(socket)
        await socket.send_json({"op": 10, "d": {"heartbeat_interval": 41250}, "s": None, "t": None})
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            await self._hear(socket, json.loads(message.data))
        self._sockets.discard(socket)
        return socket

    async def _hear(self, socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
        match said["op"]:
            case 1:
                await socket.send_json({"op": 11, "d": None, "s": None, "t": None})
            case 2:
                ready = {
                    "v": 10,
                    "user": USER,
                    "guilds": self.unavailable_guilds(),
                    "session_id": "session",
                    "resume_gateway_url": f"ws://{self.host}/socket",
                    "application": {"id": "123", "flags": 0},
                }
                await socket.send_json({"op": 0, "d": ready, "s": 1, "t": "READY"})
                for name, data in self.greet():
                    await socket.send_json({"op": 0, "d": data, "s": 1, "t": name})
                self.ready.set()


def json_answer(value: object, *, status: int = 200) -> web.Response:
    """Answer with JSON; discord.py reads it only where the content type names no charset."""
    return web.Response(
        body=json.dumps(value).encode(), status=status, headers={"Content-Type": "application/json"}
    )
