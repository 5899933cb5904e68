"""Serves the stand-ins of all gateways, and the clips they make, on 127.0.0.1."""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from bot.catalogue import Catalogue
from bot.catalogue_tables import load_catalogue
from bot.models import Clock, Sleep
from bot.sandbox.apixo import ApixoDialect
from bot.sandbox.caller import Caller
from bot.sandbox.pictures import PictureFetcher
from bot.sandbox.pixazo import PixazoDialect
from bot.sandbox.render import Render, render_clip
from bot.sandbox.studio import Studio
from bot.sandbox.tasks import State
from bot.sandbox.triggers import Trigger
from bot.sandbox.videos import WEB_PAGE, VideosServer
from bot.sandbox.videos_dialects import DIALECTS

_HOST = "127.0.0.1"
_MOST_BODY_BYTES = 32 * 1024 * 1024  # a picture of 10 MB written as base64, and room for more


class SandboxServer:
    """All gateways behind one port and one key; an async context manager.

    A task lasts at least `render_seconds`. `origins` maps the origin of a picture's or a
    callback's address to the one that is asked instead; it may be filled in after the start. Port 0
    takes a free one. Tasks and clips live in `folder`, which belongs to the sandbox alone.
    """

    def __init__(
        self,
        *,
        folder: Path,
        clock: Clock,
        api_key: str,
        origins: Mapping[str, str],
        render_seconds: float = 20,
        port: int = 0,
        render: Render = render_clip,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._api_key = api_key
        self._origins = origins
        self._render_seconds = render_seconds
        self._port = port
        self._render = render
        self._sleep = sleep
        self._opened = contextlib.AsyncExitStack()
        self._address: tuple[str, int] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen, and take up again the tasks of the last run.

        Raises:
            OSError: the port is taken, or the folder cannot be used.
            SettingsError: the shipped catalogue is broken.
        """
        catalogue = load_catalogue()
        async with contextlib.AsyncExitStack() as opened:
            session = await opened.enter_async_context(aiohttp.ClientSession())
            fetcher = PictureFetcher(session, self._origins)
            studio = Studio(
                folder=self._folder,
                clock=self._clock,
                catalogue=catalogue,
                fetcher=fetcher,
                caller=Caller(session, self._origins, self._sleep),
                render=self._render,
                render_seconds=self._render_seconds,
                sleep=self._sleep,
            )
            opened.callback(self._leave)
            opened.push_async_callback(studio.close)
            runner = web.AppRunner(
                self._app(studio, fetcher, catalogue), access_log=None, shutdown_timeout=1.0
            )
            opened.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, _HOST, self._port).start()
            self._address = runner.addresses[0]
            await studio.start()  # its callbacks tell where clips lie
            self._opened = opened.pop_all()

    async def close(self) -> None:
        """Stop serving and rendering; a clip under way is rendered again at the next start."""
        await self._opened.aclose()

    def _leave(self) -> None:
        self._address = None

    @property
    def host(self) -> str:
        """Host and port, as in `127.0.0.1:40001`."""
        if self._address is None:
            raise RuntimeError("the sandbox is not running")
        return f"{_HOST}:{self._address[1]}"

    @property
    def origin(self) -> str:
        """Where everything lies, as in `http://127.0.0.1:40001`."""
        return f"http://{self.host}"

    @property
    def apixo_base_url(self) -> str:
        """APIXO_BASE_URL of this sandbox."""
        return f"{self.origin}/api/v1"

    @property
    def pixazo_base_url(self) -> str:
        """PIXAZO_BASE_URL of this sandbox."""
        return self.origin

    def base_url(self, kind: str, dialect: str | None) -> str:
        """Where the stand-in of such a gateway is."""
        if kind == "videos":
            return f"{self.origin}/{dialect}/v1"
        return self.apixo_base_url if kind == "apixo" else self.pixazo_base_url

    def _app(self, studio: Studio, fetcher: PictureFetcher, catalogue: Catalogue) -> web.Application:
        apixo = ApixoDialect(
            studio=studio,
            catalogue=catalogue,
            clock=self._clock,
            api_key=self._api_key,
            origin=lambda: self.origin,
        )
        pixazo = PixazoDialect(
            studio=studio,
            fetcher=fetcher,
            clock=self._clock,
            api_key=self._api_key,
            origin=lambda: self.origin,
        )

        videos = [
            VideosServer(
                dialect,
                studio=studio,
                fetcher=fetcher,
                clock=self._clock,
                api_key=self._api_key,
                origin=lambda: self.origin,
            )
            for dialect in DIALECTS
        ]

        async def serve_clip(request: web.Request) -> web.StreamResponse:
            task = studio.find(request.match_info["task_id"])
            if task is None or task.state(self._clock()) is not State.SUCCESS:
                raise web.HTTPNotFound
            if Trigger.FILE in task.triggers:
                return web.Response(text=WEB_PAGE, content_type="text/html")
            return web.FileResponse(studio.clip_path(task))

        app = web.Application(client_max_size=_MOST_BODY_BYTES)
        for stand_in in (apixo, pixazo, *videos):
            app.add_routes(stand_in.routes())
        app.add_routes([web.get("/files/{task_id}.mp4", serve_clip)])
        return app
