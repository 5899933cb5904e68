"""What every gateway does and answers, and the one HTTP request they all share."""

import asyncio
import base64
import dataclasses
import datetime as dt
import email.utils
import json
import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Protocol, Self, TypeAlias, cast

import aiohttp

from bot.catalogue import Model
from bot.models import Failure, Picture, VideoRequest

SUBMIT_SECONDS = 60
CHECK_SECONDS = 30
MOST_REPLY_BYTES = 1024 * 1024
MOST_WORDS = 300

HTTP_OK = range(200, 300)
TOO_MANY_REQUESTS = 429


# What became of a paid submit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accepted:
    """The gateway has the task."""

    task_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class NotAccepted:
    """The gateway provably took nothing, and may take it later.

    `after_seconds` is the gateway's own Retry-After. `counts` marks refusals that are tried only a
    few times; the others are tried as long as a job may wait.
    """

    failure: Failure
    after_seconds: float | None = None
    counts: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refused:
    """The gateway took nothing and will not."""

    failure: Failure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lost:
    """Nobody can say whether the gateway has the task: it must not be sent again."""

    detail: str


Submitted: TypeAlias = Accepted | NotAccepted | Refused | Lost


# What a look at a task showed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Running:
    """Still rendering, or in a state this program does not know."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """Rendered; the links lead to the clip, best first. They may be missing."""

    urls: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failed:
    """The gateway's final no."""

    failure: Failure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Missing:
    """The gateway does not know the task, or says nothing of it."""

    detail: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoAnswer:
    """This look told nothing. `limited` says that the gateway asked for fewer requests, and
    `failure` is set where it refused the key."""

    detail: str
    after_seconds: float | None = None
    limited: bool = False
    failure: Failure | None = None


Checked: TypeAlias = Running | Finished | Failed | Missing | NoAnswer


class Gateway(Protocol):
    """A service that renders, seen through one key."""

    @property
    def name(self) -> str:
        """The gateway's name in the catalogue."""
        ...

    @property
    def can_probe(self) -> bool:
        """Whether the gateway answers a free question that tells if the key works."""
        ...

    async def submit(self, model: Model, request: VideoRequest, picture: str | None) -> Submitted:
        """Order a clip, once. `picture` is a link or a data URL, as the model wants it. Never raises
        for anything the gateway or the network does."""
        ...

    async def check(self, model: Model, task_id: str) -> Checked:
        """Look at a task, once, for free. Never raises for anything the gateway or network does."""
        ...

    async def probe(self) -> bool:
        """Ask, for free, whether the key works; only where `can_probe`."""
        ...


class NotSent(Exception):
    """No byte of the request left this machine."""


class NoReply(Exception):
    """The request may have arrived, but no reply came back."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer. `body` is None unless it is one whole JSON object; `excerpt` is its beginning as text."""

    status: int
    body: Mapping[str, Any] | None
    excerpt: str
    after_seconds: float | None

    @property
    def ok(self) -> bool:
        """Whether HTTP itself says yes; the body may still say no."""
        return self.status in HTTP_OK


class GatewayHttp:
    """The one HTTP request. It never follows a redirect, so a key stays with its own origin.

    Paid requests open a connection of their own: one that a server has quietly closed would fail
    after bytes were sent, and leave a job uncertain for nothing.
    """

    def __init__(self) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_note_connected)
        trace.on_connection_reuseconn.append(_note_connected)
        self._paid = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
        )
        self._free = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=100),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._paid.close()
        await self._free.close()

    async def post(self, url: str, *, headers: Mapping[str, str], body: Mapping[str, Any]) -> Reply:
        """Send a paid request.

        Raises:
            NotSent: there was no connection; it is safe to try again.
            NoReply: it may have arrived; it must not be sent again.
        """
        return await self._request(self._paid, "POST", url, headers, SUBMIT_SECONDS, json=body)

    async def get(
        self, url: str, *, headers: Mapping[str, str], params: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a free request.

        Raises:
            NotSent, NoReply: there is nothing to read; ask again later.
        """
        return await self._request(self._free, "GET", url, headers, CHECK_SECONDS, params=params)

    async def _request(  # noqa: PLR0913 - the one request
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        headers: Mapping[str, str],
        seconds: float,
        **content: Any,
    ) -> Reply:
        line = SimpleNamespace(connected=False)
        try:
            async with session.request(
                method,
                url,
                headers=dict(headers),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
                trace_request_ctx=line,
                **content,
            ) as response:
                status, after = response.status, retry_after(response.headers)
                raw = await _read_whole(response)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            told = f"{type(error).__name__}: {error}"[:MOST_WORDS]
            raise (NoReply(told) if line.connected else NotSent(told)) from error
        excerpt = (raw or b"").decode("utf-8", "replace")
        return Reply(status=status, body=_json_object(raw), excerpt=plain(excerpt), after_seconds=after)


async def data_url(picture: Picture) -> str:
    """Return the picture's bytes as a base64 data URL."""
    data = await asyncio.to_thread(picture.path.read_bytes)
    return f"data:{picture.content_type};base64,{base64.b64encode(data).decode('ascii')}"


def plain(text: str, *, secret: str = "") -> str:
    """Cut a gateway's words to one short line without control characters or our key."""
    if secret:
        text = text.replace(secret, "[key]")
    return re.sub(r"[\x00-\x20\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+", " ", text).strip()[
        :MOST_WORDS
    ]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After, in seconds or as a date; None where there is none to believe."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), 3600.0)
    try:
        moment = email.utils.parsedate_to_datetime(value)
        return min(max((moment - dt.datetime.now(dt.UTC)).total_seconds(), 0.0), 3600.0)
    except (TypeError, ValueError):
        return None


async def _note_connected(_session: object, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.connected = True


async def _read_whole(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the body, or None where it is cut short or longer than anything a gateway has to say."""
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in response.content.iter_chunked(65536):
            chunks.append(chunk)
            size += len(chunk)
            if size > MOST_REPLY_BYTES:
                response.close()
                return None
    except (aiohttp.ClientError, OSError):
        return None
    return b"".join(chunks)


def _json_object(raw: bytes | None) -> Mapping[str, Any] | None:
    try:
        value: object = json.loads(raw or b"")
    except (ValueError, RecursionError):
        return None
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else None
