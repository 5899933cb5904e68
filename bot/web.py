"""The bot's own small web server: /healthz says that the process is alive."""

import contextlib
from collections.abc import AsyncGenerator

from aiohttp import web

from bot.errors import SettingsError


def build_app() -> web.Application:
    """Build the application."""
    app = web.Application(client_max_size=64 * 1024)
    app.router.add_get("/healthz", _healthz)
    return app


@contextlib.asynccontextmanager
async def serve(app: web.Application, host: str, port: int) -> AsyncGenerator[int]:
    """Listen while the block runs; yield the port.

    Raises:
        SettingsError: the address cannot be had.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise SettingsError(
                f"HTTP_PORT: cannot listen on {host}:{port} ({error.strerror}). Set another, or 0 for any."
            ) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")
