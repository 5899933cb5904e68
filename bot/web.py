"""The bot's own small web server: whether it is alive and ready, its numbers, and what gateways call.

Only the gateways' part is meant for others: a proxy should pass on nothing but /hooks/.
"""

import contextlib
from collections.abc import AsyncGenerator, Collection, Mapping
from typing import Protocol

from aiohttp import web

from bot import metrics
from bot.errors import SettingsError


class Probe(Protocol):
    """Whoever knows whether the bot can do its work."""

    async def problems(self) -> Mapping[str, str]:
        """Return for each check what is wrong, in words; nothing where it is all right."""
        ...


class Numbers(Protocol):
    """Whoever writes the page of numbers."""

    async def page(self) -> bytes:
        """Return it, as `metrics.CONTENT_TYPE` says."""
        ...


def build_app(probe: Probe, numbers: Numbers, routes: Collection[web.RouteDef] = ()) -> web.Application:
    """Build the application; `routes` are what else it serves."""

    async def ready(_: web.Request) -> web.Response:
        problems = await probe.problems()
        is_ready = not any(problems.values())
        checks = {name: problem or "ok" for name, problem in problems.items()}
        return web.json_response({"ready": is_ready, "checks": checks}, status=200 if is_ready else 503)

    async def show(_: web.Request) -> web.Response:
        return web.Response(body=await numbers.page(), headers={"Content-Type": metrics.CONTENT_TYPE})

    app = web.Application(client_max_size=64 * 1024)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", show)
    app.router.add_routes(routes)
    return app


@contextlib.asynccontextmanager
async def serve(app: web.Application, host: str, port: int) -> AsyncGenerator[int]:
    """Listen while the block runs; yield the port.

    Raises:
        SettingsError: the address cannot be had.
    """
    # Nothing here reads compressed bodies, or waits long for the rest of one it refused.
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=1.0, auto_decompress=False, lingering_time=1.0
    )
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
    """Answer at all: that is what it asks for. A restart would mend neither a disk nor Discord."""
    return web.Response(text="ok\n")
