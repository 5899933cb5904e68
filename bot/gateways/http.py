"""The one HTTP request that all gateways share."""

import asyncio
import base64
import contextlib
import dataclasses
import datetime as dt
import email.utils
import io
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Self, cast

import aiohttp

from bot.models import Clock, Picture, utc_now
from bot.wording import FilePart

SUBMIT_SECONDS = 60.0
CHECK_SECONDS = 30.0
ABORT_SECONDS = 10.0
MOST_REPLY_BYTES = 1024 * 1024
MOST_LIST_BYTES = 4 * 1024 * 1024  # of a list of models, which grows with what a gateway sells
MOST_CLIP_REPLY_BYTES = 64 * 1024 * 1024  # of an answer that may hold the clip itself
MOST_TEXT_BYTES = 64 * 1024  # of an answer that are read as words: every look searches them for the key
MOST_PAUSE_SECONDS = 3600.0

HTTP_OK = range(200, 300)


class NotSent(Exception):
    """No byte of the request left this machine."""


class NoReply(Exception):
    """The request may have arrived, but no reply came back."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer. `text` is how its body begins, as words, and `body` is None unless that is a JSON object.

    Both are empty where the body did not come whole.

    `after_seconds` is how long the gateway asks to be left alone.
    """

    status: int
    text: str
    body: Mapping[str, Any] | None
    after_seconds: float | None

    @property
    def ok(self) -> bool:
        """Whether HTTP itself says yes; the body may still say no."""
        return self.status in HTTP_OK


class GatewayHttp:
    """The one HTTP request. It never follows a redirect, so a key stays with its own origin.

    Paid requests open a connection of their own: one that a server has quietly closed would fail
    after bytes were sent, and leave a job uncertain for nothing. How many requests are open at once is
    the lanes' affair: nothing may wait here, where a paid request is already announced.
    """

    def __init__(
        self,
        *,
        submit_seconds: float = SUBMIT_SECONDS,
        check_seconds: float = CHECK_SECONDS,
        clock: Clock = utc_now,
    ) -> None:
        self._submit_timeout = aiohttp.ClientTimeout(total=submit_seconds)
        self._check_timeout = aiohttp.ClientTimeout(total=check_seconds)
        self._clock = clock
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_note_connected)
        self._paid = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
        )
        self._free = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._paid.close()
        await self._free.close()

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Mapping[str, Any],
        as_form: bool = False,
        most_bytes: int = MOST_REPLY_BYTES,
    ) -> Reply:
        """Send a paid request, once: as JSON, or `as_form` with a part for each field.

        Raises:
            NotSent: there was no connection; it is safe to try again.
            NoReply: it may have arrived; it must not be sent again.
        """
        way = SimpleNamespace(connected=False)
        request = self._paid.post(
            url,
            headers=headers if as_form else {"Content-Type": "application/json", **headers},
            # Bytes as they are would go out in one piece.
            data=_form(body) if as_form else io.BytesIO(json.dumps(body).encode()),
            allow_redirects=False,
            timeout=self._submit_timeout,
            trace_request_ctx=way,
        )
        try:
            async with request as response:
                return await self._read(response, most_bytes)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise (NoReply if way.connected else NotSent)(_told(error)) from error

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        most_bytes: int = MOST_REPLY_BYTES,
    ) -> Reply:
        """Send a free request.

        Raises:
            NoReply: there is nothing to read; ask again later.
        """
        request = self._free.get(
            url, headers=headers, params=params, allow_redirects=False, timeout=self._check_timeout
        )
        return await self._answer(request, most_bytes)

    async def delete(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        """Ask for something to be ended.

        Raises:
            NoReply: there is nothing to read.
        """
        request = self._free.delete(
            url, headers=headers, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=ABORT_SECONDS)
        )
        return await self._answer(request, MOST_REPLY_BYTES)

    async def _answer(
        self, request: contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse], most_bytes: int
    ) -> Reply:
        try:
            async with request as response:
                return await self._read(response, most_bytes)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoReply(_told(error)) from error

    async def _read(self, response: aiohttp.ClientResponse, most_bytes: int) -> Reply:
        raw = await _whole(response, most_bytes)
        return Reply(
            status=response.status,
            text=raw[:MOST_TEXT_BYTES].decode("utf-8", "replace"),
            body=json_object(raw),
            after_seconds=_pause_asked(response.headers, self._clock()),
        )


async def file_part(picture: Picture) -> FilePart:
    """Return the picture's bytes as a file."""
    data = await asyncio.to_thread(picture.path.read_bytes)
    suffix = picture.content_type.rpartition("/")[2]
    return FilePart(data=data, content_type=picture.content_type, filename=f"picture.{suffix}")


async def data_url(picture: Picture) -> str:
    """Return the picture's bytes as a base64 data URL."""
    data = await asyncio.to_thread(picture.path.read_bytes)
    return f"data:{picture.content_type};base64,{base64.b64encode(data).decode('ascii')}"


def _pause_asked(headers: Mapping[str, str], now: dt.datetime) -> float | None:
    """Read how long to leave a gateway alone: Retry-After, or OpenAI's header for the next look."""
    milliseconds = headers.get("openai-poll-after-ms", "").strip()
    if milliseconds.isascii() and milliseconds.isdigit():
        return min(float(milliseconds) / 1000, MOST_PAUSE_SECONDS)
    return _retry_after(headers, now)


def _retry_after(headers: Mapping[str, str], now: dt.datetime) -> float | None:
    """Read Retry-After, in seconds or as a date; None where there is none to believe."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), MOST_PAUSE_SECONDS)
    try:
        seconds = (email.utils.parsedate_to_datetime(value) - now).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), MOST_PAUSE_SECONDS)


def _form(body: Mapping[str, Any]) -> aiohttp.FormData:
    """Write fields as multipart/form-data: files as files, and what is no plain value as JSON."""
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in body.items():
        for file in (files := _files(value)):
            form.add_field(
                name, io.BytesIO(file.data), filename=file.filename, content_type=file.content_type
            )
        if not files:
            form.add_field(name, value if isinstance(value, str) else json.dumps(value))
    return form


def holds_files(body: Mapping[str, Any]) -> bool:
    """Whether a field of a request is a file, or a list of some: JSON cannot hold them."""
    return any(_files(value) for value in body.values())


def _files(value: object) -> list[FilePart]:
    several = cast("list[object]", value) if isinstance(value, list) else [value]
    return [one for one in several if isinstance(one, FilePart)]


async def _note_connected(_session: object, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.connected = True


def _told(error: Exception) -> str:
    """Name an error of HTTP; what a malformed reply said is left out, for it may be cut in our key."""
    return (
        type(error).__name__
        if isinstance(error, aiohttp.ClientResponseError)
        else (f"{type(error).__name__}: {error}")
    )


async def _whole(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """Return the body; nothing where it is cut short or longer than anything a gateway has to say."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_chunked(65536):
            body += chunk
            if len(body) > most_bytes:
                response.close()
                return b""
    except (aiohttp.ClientError, OSError):
        return b""
    return bytes(body)


def json_object(raw: bytes) -> Mapping[str, Any] | None:
    """Return what a body holds where it is a JSON object."""
    try:
        value: object = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else None
