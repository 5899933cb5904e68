"""Fetch a finished clip from wherever the gateway says it is, trusting nothing about that place."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import re
import socket
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from bot import media
from bot.disk_errors import trouble_of

log = logging.getLogger(__name__)

MOST_CLIP_BYTES = 1024 * 1024 * 1024
MOST_SECONDS = 900.0
QUIET_SECONDS = 60.0
MOST_REDIRECTS = 5
_CONNECT_SECONDS = 30.0
_WHOLE_FILE = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ABSENT = frozenset({400, 404, 409, 410, 425})  # also of servers whose clip is not ready yet
_HEAD_BYTES = 12
_MOST_PIECE = 256 * 1024
_MOST_DETAIL = 200

HeadersFor: TypeAlias = Callable[[str], Mapping[str, str]]
"""What a link has to be fetched with, asked anew at every redirect: a key goes to its own gateway alone."""

# The part of IPv6 that is public at all: https://www.iana.org/assignments/ipv6-address-space
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Translators there reach IPv4 addresses, private ones too: RFC 6052, https://www.rfc-editor.org/rfc/rfc6052
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class FetchError(Exception):
    """No clip from this link: `lasting` if asking again will hardly help, `is_absent` if none is there."""

    def __init__(self, detail: str, *, lasting: bool, is_absent: bool = False) -> None:
        super().__init__(detail)
        self.lasting = lasting
        self.is_absent = is_absent


class ClipFetcher:
    """Downloads clips. `trusted_hosts` (`host` or `host:port`) may be private and speak plain http.

    A clip may have `most_bytes`, and a link may take `most_seconds`, its redirects included. `resolver` looks
    names up instead of the system's.
    """

    def __init__(
        self,
        *,
        trusted_hosts: Collection[str],
        most_bytes: int = MOST_CLIP_BYTES,
        most_seconds: float = MOST_SECONDS,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._trusted = frozenset(host.lower() for host in trusted_hosts)
        self._most_bytes = most_bytes
        self._most_seconds = most_seconds
        public = PublicResolver(self._trusted, resolver or aiohttp.ThreadedResolver())
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=public, use_dns_cache=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},  # a clip is judged and kept by its own bytes
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=QUIET_SECONDS),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def fetch(
        self, urls: Sequence[str], target: Path, *, headers_for: HeadersFor | None = None
    ) -> None:
        """Stream the first link that leads to an MP4 into `target`, which appears whole or not at all.

        Raises:
            FetchError: no link did; `lasting` only where every one of them failed for good.
            StorageTrouble: the disk did not take it.
        """
        problems: list[FetchError] = []
        for url in urls:
            try:
                await self._fetch(url, target, headers_for)
            except FetchError as error:
                log.warning("clip link failed: %s", error)
                problems.append(error)
            else:
                return
        raise FetchError(
            "; ".join(dict.fromkeys(map(str, problems))) or "there is no link",
            lasting=all(problem.lasting for problem in problems),
            is_absent=all(problem.is_absent or problem.lasting for problem in problems),
        )

    async def _fetch(self, url: str, target: Path, headers_for: HeadersFor | None) -> None:
        part = target.with_name(f"{target.name}.part")
        try:
            async with asyncio.timeout(self._most_seconds), self._open(url, headers_for) as response:
                await self._stream(response, part)
            await asyncio.to_thread(part.replace, target)
        except TimeoutError as error:
            raise FetchError("the link takes too long", lasting=False) from error
        except aiohttp.InvalidURL as error:
            raise FetchError("the link is malformed", lasting=True) from error
        except (aiohttp.ClientError, OSError) as error:
            # What the network refuses is a ClientError; a bare OSError is the disk's.
            trouble = None if isinstance(error, aiohttp.ClientError) else trouble_of(error)
            if trouble is not None:
                raise trouble from error
            raise FetchError(f"{type(error).__name__}: {error}"[:_MOST_DETAIL], lasting=False) from error
        except ValueError as error:
            raise FetchError(f"the link is malformed: {error}"[:_MOST_DETAIL], lasting=True) from error
        finally:
            with contextlib.suppress(OSError):  # of a disk in trouble, which is told already
                part.unlink(missing_ok=True)

    @contextlib.asynccontextmanager
    async def _open(self, url: str, headers_for: HeadersFor | None) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Open the link, following its redirects by hand: each has to lead to an allowed place."""
        address = URL(url)
        for _ in range(MOST_REDIRECTS + 1):
            self._check(address)
            headers = headers_for(str(address)) if headers_for is not None else None
            async with self._session.get(address, headers=headers, allow_redirects=False) as response:
                if response.status == _WHOLE_FILE:
                    yield response
                    return
                if response.status not in _REDIRECTS:
                    detail = f"the link answers HTTP {response.status}"
                    raise FetchError(detail, lasting=False, is_absent=response.status in _ABSENT)
                address = address.join(URL(response.headers.get("Location", "")))
        raise FetchError("the link redirects in circles", lasting=True)

    async def _stream(self, response: aiohttp.ClientResponse, part: Path) -> None:
        """Write the body to `part`, stopping as soon as it is too long or no MP4."""
        size = response.content_length or 0
        head = b""
        received = 0
        part.parent.mkdir(exist_ok=True)
        with part.open("wb") as file:
            async for piece in response.content.iter_chunked(_MOST_PIECE):
                received += len(piece)
                if max(size, received) > self._most_bytes:
                    raise FetchError(f"the file is larger than {self._most_bytes:,} bytes", lasting=True)
                if len(head) < _HEAD_BYTES:
                    head += piece[: _HEAD_BYTES - len(head)]
                    if len(head) == _HEAD_BYTES and not media.is_mp4(head):
                        break
                await asyncio.to_thread(file.write, piece)
            file.flush()
            # The money settles with the commit that follows: by then the clip must be on the disk.
            await asyncio.to_thread(os.fsync, file.fileno())
        if not media.is_mp4(head):
            raise FetchError("the link leads to something that is no MP4 video", lasting=True)

    def _check(self, address: URL) -> None:
        """Refuse schemes and literal addresses; names are checked when they are resolved."""
        host = (address.raw_host or "").lower()
        if is_trusted(self._trusted, host, address.port):
            if address.scheme in {"http", "https"}:
                return
        elif address.scheme == "https" and (is_name(host) or is_public_literal(host)):
            return
        raise FetchError(f"the link's place {address.scheme}://{host} is not allowed", lasting=True)


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only.

    The connector connects to exactly what is returned here, so a name cannot point elsewhere between
    the check and the connection.
    """

    def __init__(self, trusted: frozenset[str], inner: AbstractResolver) -> None:
        self._trusted = trusted
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve, and fail where any address of the name is private."""
        found = await self._inner.resolve(host, port, family)
        if not is_trusted(self._trusted, host.lower(), port) and not all(
            is_public(result["host"]) for result in found
        ):
            raise FetchError(f"the link's place {host} is not allowed", lasting=True)
        return found

    async def close(self) -> None:
        """Nothing is open."""
        await self._inner.close()


def is_trusted(trusted: Collection[str], host: str, port: int | None) -> bool:
    """Whether the operator named this host, or this host and port."""
    place = f"[{host}]" if ":" in host else host  # as an address writes IPv6
    return place in trusted or f"{place}:{port}" in trusted


def is_name(host: str) -> bool:
    """Whether this can only be a name that has to be resolved.

    What ends in a number is an address in one of its many spellings (`2130706433`, `127.1`, `0x7f.1`,
    `127.0.0.1.`), as https://url.spec.whatwg.org/#ends-in-a-number-checker has it: the system would connect
    to it unresolved.
    """
    last = host.removesuffix(".").rpartition(".")[2]
    is_number = last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last) is not None
    return bool(last) and ":" not in host and not is_number


def is_public_literal(host: str) -> bool:
    """Whether this is an address in its one plain spelling, and a public one."""
    try:
        return is_public(host)
    except ValueError:
        return False


def is_public(address: str) -> bool:
    """Whether a literal address is one of the public internet.

    Raises:
        ValueError: it is no literal address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is None and ip not in _GLOBAL_UNICAST:
            return False
        ip = inner or ip
    return ip.is_global and not ip.is_multicast
