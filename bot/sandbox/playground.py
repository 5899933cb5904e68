"""SimCord's simulated Discord with the real bot in it, shown in a browser on localhost.

SimCord leans on discord.py's private parts and moves fast; this module alone knows it.
"""

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any

import discord
import simcord
from aiohttp import web
from simcord.backend.cdn import CDN_BASE
from simcord.backend.errors import SetupError

from bot.app import App
from bot.models import Clock

log = logging.getLogger(__name__)

FIRST_PORT = 8700
PORTS_TRIED = 50
REFRESH_SECONDS = 0.5
_HOST = "127.0.0.1"


class Playground:
    """A server with one channel and one person, `you`, who may manage it."""

    def __init__(self, env: simcord.Env, clock: Clock) -> None:
        self.env = env
        self._clock = clock
        guild = env.create_guild("Playground")
        self.channel = guild.create_text_channel("videos")
        staff = guild.create_role("Staff", permissions=discord.Permissions(manage_guild=True))
        self.you = guild.add_member(env.create_user("you"), roles=[staff])

    async def keep_time(self) -> None:
        """Move the simulated clock, which otherwise stands still, to the real time."""
        seconds = (self._clock() - self.env.now()).total_seconds()
        if seconds > 0:
            await self.env.advance_time(seconds)

    def transcript(self) -> str:
        """Write the channel as text: who said what, with files and the texts of cards."""
        return "\n\n".join(_as_text(message) for message in self.channel.history(viewer=self.you))

    @contextlib.asynccontextmanager
    async def shown(self) -> AsyncGenerator[str]:
        """Serve the channel to browsers while the block runs; yield the address. A taken port is
        stepped over."""
        async with contextlib.AsyncExitStack() as stack:
            for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
                preview = self.env.preview(
                    self.channel, viewers=[self.you], layout="channel", port=port, timezone="UTC"
                )
                try:
                    await stack.enter_async_context(preview)
                except SetupError as error:
                    if not isinstance(error.__cause__, OSError):
                        raise
                    continue
                break
            else:
                raise OSError(f"no free port from {FIRST_PORT} on")
            refresher = asyncio.create_task(self._keep_fresh(preview), name="playground refresh")
            try:
                yield preview.url
            finally:
                refresher.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await refresher

    async def _keep_fresh(self, preview: Any) -> None:
        """Show open pages what the bot posted by itself; while a person acts, SimCord does it."""
        seen = 0
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.keep_time()
                requests = len(self.env.backend.transcript)
                if requests != seen:
                    await preview.refresh()
                    seen = requests
            except (SetupError, TimeoutError) as error:
                log.debug("the page is refreshed a little later: %s", error)


@contextlib.asynccontextmanager
async def open_playground(
    app: App, picture_origins: MutableMapping[str, str], *, clock: Clock
) -> AsyncGenerator[Playground]:
    """Put the bot into a simulated Discord and start it there."""
    async with simcord.run(app.bot, check_errors=False) as env, _files_served(env) as origin:
        picture_origins[CDN_BASE] = origin
        playground = Playground(env, clock)
        await playground.keep_time()
        app.start()
        try:
            yield playground
        finally:
            await app.stop()


@contextlib.asynccontextmanager
async def _files_served(env: simcord.Env) -> AsyncGenerator[str]:
    """Serve SimCord's attachments, which live in memory only, to whoever must fetch them by HTTP."""

    async def attachment(request: web.Request) -> web.Response:
        data = env.backend.cdn.get(f"{CDN_BASE}{request.path}")
        if data is None:
            raise web.HTTPNotFound
        return web.Response(body=data)

    files = web.Application()
    files.router.add_get("/{path:.*}", attachment)
    runner = web.AppRunner(files, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, _HOST, 0).start()
        yield f"http://{_HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _as_text(message: discord.Message) -> str:
    moment = message.created_at.astimezone(dt.UTC).strftime("%H:%M:%S")
    lines = [f"[{moment}] {message.author.display_name}: {message.content}".rstrip()]
    lines += [f"  | {line}" for part in message.components for line in _texts(part)]
    lines += [f"  + {file.filename} ({file.size:,} bytes)" for file in message.attachments]
    return "\n".join(lines)


def _texts(component: Any) -> list[str]:
    """Return the lines of text in a component and in what it holds."""
    lines: list[str] = []
    for text in (getattr(component, "content", None), getattr(component, "label", None)):
        lines += text.splitlines() if text else []
    for child in getattr(component, "children", ()):
        lines += _texts(child)
    return lines
