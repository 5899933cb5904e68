"""An HTTP server of raw sockets on 127.0.0.1: it notes every request and answers, or fails to, as told."""

import asyncio
import contextlib
import dataclasses
import json
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qs, urlsplit

End: TypeAlias = Literal["close", "keep", "reset", "hang", "endless", "trickle"]
_TLS_HANDSHAKE = b"\x16"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """A request as it came. Header names are lower-case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """Bytes to send, and what follows them."""

    raw: bytes = b""
    end: End = "close"


def answer(
    status: int = 200, body: object = b"", headers: Mapping[str, str] | None = None, end: End = "close"
) -> Answer:
    """A well-formed answer; anything but bytes is sent as JSON."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Content-Length": str(len(payload)), "Content-Type": "application/json", **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return Answer(raw=f"HTTP/1.1 {status} Told\r\n{head}\r\n".encode("latin-1") + payload, end=end)


Script: TypeAlias = Answer | Callable[[Seen], Answer]


class HostileServer:
    """Answers with `script`, an answer or what makes one of a request; `requests` holds what came."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Seen] = []
        self.connections = 0
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._answer_one(reader, writer):
                pass
        writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readexactly(1)
        if head == _TLS_HANDSHAKE:  # no request: somebody speaks TLS to a server that does not
            writer.write(answer(400).raw)
            return False
        head += await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        seen = Seen(method=method, target=target, headers=headers, body=body)
        self.requests.append(seen)
        told = self.script(seen) if callable(self.script) else self.script
        writer.write(told.raw)
        match told.end:
            case "reset":
                await writer.drain()
                writer.transport.abort()
            case "hang":
                await reader.read()
            case "trickle":
                while not reader.at_eof():
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.02)
            case "endless":
                while not reader.at_eof():
                    writer.write(b" " * 65536)
                    await writer.drain()
            case _:
                pass
        return told.end == "keep"

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def serving(script: Script) -> AsyncGenerator[HostileServer]:
    """Serve on a free port of 127.0.0.1."""
    hostile = HostileServer(script)
    server = await asyncio.start_server(hostile._serve, "127.0.0.1", 0)  # noqa: SLF001 - of this module
    hostile.port = server.sockets[0].getsockname()[1]
    try:
        yield hostile
    finally:
        server.close()
        await hostile.close()
        await server.wait_closed()


def closed_port() -> int:
    """A port of 127.0.0.1 that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
