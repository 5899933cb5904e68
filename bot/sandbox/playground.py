"""SimCord's simulated Discord with the real bot in it, shown in a browser on localhost.

SimCord leans on discord.py's private parts and moves fast; this module alone knows it.
"""

import asyncio
import contextlib
import datetime as dt
import logging
import re
import tempfile
from collections.abc import AsyncGenerator, Iterator, MutableMapping
from pathlib import Path
from typing import Any, cast

import discord
import simcord
from aiohttp import web
from simcord.backend.cdn import CDN_BASE
from simcord.backend.errors import BackendError, SetupError
from simcord.preview import Preview
from simcord.preview._media import MediaInfo, MediaWorker

from bot import media
from bot.app import App
from bot.errors import StartupError, UserError
from bot.models import Clock

log = logging.getLogger(__name__)

FIRST_PORT = 8700
PORTS_TRIED = 50
LOOK_SECONDS = 0.25
TROUBLE_SECONDS = 5.0
FOLLOW_SECONDS = 60.0
BOT_NAME = "Video bot"

_SAID = {"run_command", "modal_submit", "send_message"}  # acts that are answered in the channel
_FRAME_SECONDS = 20.0
_HOST = "127.0.0.1"
_UNITS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
_MENTION = re.compile(r"<@!?(\d+)>")
_HEADING = re.compile(r"^(#{1,3}|-#) ")
_MOMENT = re.compile(r"<t:(\d+)(?::(\w))?>")


class Playground:
    """A server with one channel and one person, `you`, who may manage it."""

    def __init__(self, env: simcord.Env, clock: Clock) -> None:
        self.env = env
        self._clock = clock
        guild = env.create_guild("Playground")
        self.channel = guild.create_text_channel("videos")
        staff = guild.create_role("Staff", permissions=discord.Permissions(manage_guild=True))
        self.you = guild.add_member(env.create_user("you"), roles=[staff])

    def transcript(self) -> str:
        """Write the channel as text: who said what, with files and the texts of cards."""
        return "\n\n".join("\n".join(self._lines(one)) for one in self.channel.history(viewer=self.you))

    @contextlib.asynccontextmanager
    async def shown(self) -> AsyncGenerator[Preview]:
        """Serve the channel to browsers while the block runs, at the `url` of what it yields. A taken
        port is stepped over.

        Raises:
            StartupError: no port is free.
        """
        async with contextlib.AsyncExitStack() as stack:
            for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
                window = _Window(self, port)
                try:
                    await stack.enter_async_context(window)
                except OSError:
                    continue
                break
            else:
                raise StartupError(f"No port from {FIRST_PORT} to {FIRST_PORT + PORTS_TRIED - 1} is free.")
            refresher = asyncio.create_task(window.keep_fresh(), name="playground refresh")
            try:
                yield window
            finally:
                refresher.cancel()
                await asyncio.gather(refresher, return_exceptions=True)

    def fingerprint(self) -> list[tuple[int, str | None]]:
        """Return what differs once a message was posted, edited or deleted."""
        messages = self.env.backend.messages.get(self.channel.id, {})
        return [(message.id, message.edited_timestamp) for message in messages.values()]

    def forget_requests(self) -> None:
        """Drop SimCord's record of every request and event, which a test would read and nobody does here."""
        self.env.backend.transcript.clear()
        self.env.backend.http_requests.clear()

    def _lines(self, message: discord.Message) -> Iterator[str]:
        moment = message.created_at.astimezone(dt.UTC).strftime("%H:%M:%S")
        who = message.author.display_name
        used = message.interaction_metadata
        if used is not None:
            who = f"{who} to @{used.user.display_name}"
        if message.flags.ephemeral:
            who = f"{who} (only you see this)"
        yield f"[{moment}] {who}: {self._readable(message.content)}".rstrip()
        for part in message.components:
            yield from (f"  | {self._readable(line)}" for line in _texts(part))
        yield from (f"  + {file.filename} ({file.size:,} bytes)" for file in message.attachments)

    def _readable(self, text: str) -> str:
        """Write mentions and moments as Discord shows them."""
        text = _MENTION.sub(lambda found: f"@{self._name(int(found[1]))}", text)
        return _MOMENT.sub(lambda found: self._moment(int(found[1]), found[2]), text)

    def _name(self, user_id: int) -> str:
        user = self.env.backend.users.get(user_id)
        return user.name if user is not None else "somebody"

    def _moment(self, seconds: int, style: str | None) -> str:
        moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
        if style != "R":
            return f"{moment:%Y-%m-%d %H:%M} UTC"
        away = round((moment - self._clock()).total_seconds())
        name, size = next((name, size) for name, size in _UNITS.items() if abs(away) >= 2 * size or size == 1)
        return f"in {away // size} {name}" if away >= 0 else f"{-away // size} {name} ago"


class _LiveClock:
    """SimCord's clock, made to follow the real time: it otherwise stands still until moved."""

    _EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since SimCord's epoch; never fewer than before."""
        self._latest = max(self._latest, (self._clock() - self._EPOCH).total_seconds())
        return self._latest

    def now(self) -> dt.datetime:
        """Return the same as a time."""
        return self._EPOCH + dt.timedelta(seconds=self.elapsed)

    def advance(self, seconds: float) -> None:
        """Go ahead of the real time, until that catches up."""
        self._latest = self.elapsed + seconds


class _Window(Preview):
    """What browsers show. What the bot does meanwhile refuses nothing that a person does."""

    def __init__(self, playground: Playground, port: int) -> None:
        super().__init__(
            playground.env,
            playground.channel,
            (playground.you,),
            layout="channel",
            display="responsive",
            width=1280,
            height=800,
            locale="en-US",
            timezone="UTC",
            presentation_time=None,
            assets=None,
            port=port,
        )
        self._playground = playground
        # SimCord refuses an act that meets another, or a refresh, and the page then gives up.
        self._turn = asyncio.Lock()
        self._said_at: dict[str, float] = {}
        self._media_worker = _Projector()

    async def __aenter__(self) -> Preview:
        try:
            return await super().__aenter__()
        except SetupError as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from error
            raise

    async def keep_fresh(self) -> None:
        """Show open pages what the bot posted by itself, until cancelled."""
        shown = self._playground.fingerprint()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._playground.forget_requests()
            seen = self._playground.fingerprint()
            if seen == shown:
                continue
            try:
                async with self._turn:
                    self._follow()
                    await self.refresh()
            except (SetupError, BackendError, TimeoutError) as error:
                log.debug("the page is refreshed a little later: %s", error)
            except Exception:
                log.exception("the page cannot be refreshed")
                await asyncio.sleep(TROUBLE_SECONDS)
            else:
                shown = seen

    async def _action(self, context_id: str | None, body: Any) -> dict[str, Any]:
        """Do what a person did, as Discord would: whether or not their page is a moment behind."""
        async with self._turn:
            page = self._pages.get(context_id or "")
            if page is None or not isinstance(body, dict):
                return await super()._action(context_id, body)
            act = {**cast("dict[str, Any]", body), "published_revision": page.revision}
            result = await super()._action(context_id, act)
            if act.get("kind") in _SAID and page.id in self._pages:
                self._said_at[page.id] = asyncio.get_running_loop().time()
                self._follow()
                self._publish(page)
            return result

    def _follow(self) -> None:
        """Scroll to the newest message, as Discord does, where the person waits for an answer, and let
        pages that are opened now begin there.
        """
        followed = asyncio.get_running_loop().time() - FOLLOW_SECONDS
        for page in self._pages.values():
            if page is self._python or self._said_at.get(page.id, followed) > followed:
                page.target_id = self._initial_target(page.viewer, page.channel_id)
                page.window_end_id = None


class _Projector(MediaWorker):
    """Hands an MP4 on as it is, as Discord does. SimCord would convert it to VP9 first, which takes as
    long as the clip plays, and gives up on what waits longer than 30 seconds.
    """

    async def validate(self, key: str, blob: bytes, *, media_time: float | None = None) -> MediaInfo:
        """Return what a page needs to show the file."""
        if not media.is_mp4(blob):
            return await super().validate(key, blob, media_time=media_time)
        return MediaInfo(
            format="mp4",
            width=0,  # the page takes its size from the file itself
            height=0,
            frames=1,
            decoded_bytes=0,
            normalized=blob,
            content_type="video/mp4",
            kind="video",
            poster=await _first_frame(blob),
            memory_limited=True,
        )


async def _first_frame(clip: bytes) -> bytes | None:
    """Return a PNG of how a clip begins, or None where it cannot be read."""
    with tempfile.TemporaryDirectory() as name:
        source, frame = Path(name) / "clip.mp4", Path(name) / "frame.png"
        await asyncio.to_thread(source.write_bytes, clip)
        try:
            await media.run_ffmpeg(("-i", source, "-frames:v", "1", frame), timeout_seconds=_FRAME_SECONDS)
            return await asyncio.to_thread(frame.read_bytes)
        except (media.FfmpegFailed, OSError) as error:
            log.warning("a clip has no first frame to show: %s", error)
            return None


class _Env(simcord.Env):
    """A world in which a refusal that the bot tells a person is no failure of the bot.

    SimCord's page says "uncertain" of every act after which it recorded an error.
    """

    def _record_error(self, error: BaseException) -> None:
        if not isinstance(getattr(error, "original", error), UserError):
            super()._record_error(error)


@contextlib.asynccontextmanager
async def open_playground(
    app: App, picture_origins: MutableMapping[str, str], *, clock: Clock
) -> AsyncGenerator[Playground]:
    """Put the bot into a simulated Discord and start it there."""
    env = _Env(app.bot, check_errors=False)
    env.backend.clock = cast("Any", _LiveClock(clock))
    env.backend.bot_user.name = BOT_NAME
    async with contextlib.AsyncExitStack() as stack:
        picture_origins[CDN_BASE] = await stack.enter_async_context(_files_served(env))
        await env.start()
        stack.push_async_callback(env.shutdown)
        playground = Playground(env, clock)
        app.start()
        stack.push_async_callback(app.stop)
        yield playground


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


def _texts(component: Any) -> list[str]:
    """Return the lines of text in a component and in what it holds, without their markup."""
    lines: list[str] = []
    for text in (getattr(component, "content", None), getattr(component, "label", None)):
        lines += [_HEADING.sub("", line) for line in (text or "").splitlines() if line != "```"]
    for child in getattr(component, "children", ()):
        lines += _texts(child)
    return lines
