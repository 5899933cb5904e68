"""Gets the picture of a task: from a web address or a data URL, and refuses what is no picture."""

import asyncio
import base64
import dataclasses
import io
import re
import struct
import zlib
from collections.abc import Mapping

import aiohttp
from PIL import Image, ImageOps
from yarl import URL

from bot.sandbox.tasks import Fault

MOST_BYTES = 10_000_000
_TIMEOUT = aiohttp.ClientTimeout(total=30)
_DATA_URL = re.compile(r"data:(image/[a-z]+);base64,(.*)", re.ASCII | re.DOTALL)


# Pillow has no one exception for a broken file: each of its readers raises what happens to it.
_BROKEN = (
    *(OSError, ValueError, SyntaxError, TypeError, LookupError, ArithmeticError, AttributeError),
    *(RuntimeError, struct.error, zlib.error, Image.DecompressionBombError),
)


class BadPicture(Exception):
    """There is no such picture, or it is not one the gateways take."""

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What a picture is; width and height are pixels as a viewer shows it."""

    content_type: str
    width: int
    height: int


def examine(picture: bytes) -> Facts:
    """Decode a picture, which takes a moment, and say what it is.

    Raises:
        BadPicture: it is no JPG, PNG or WebP, or too large.
    """
    if len(picture) > MOST_BYTES:
        raise BadPicture(Fault.IMAGE_TOO_LARGE, "The image is larger than 10 MB")
    try:
        with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG", "WEBP")) as image:
            # An MPO is a phone's JPEG with more inside.
            kind = "image/jpeg" if image.format == "MPO" else f"image/{str(image.format).lower()}"
            width, height = ImageOps.exif_transpose(image).size
    except _BROKEN as error:
        raise BadPicture(Fault.UNSUPPORTED_FORMAT, "The image is not a JPG, PNG or WebP") from error
    return Facts(content_type=kind, width=width, height=height)


def decode(data_url: str) -> bytes:
    """Return the bytes of a picture written as `data:image/...;base64,...`.

    Raises:
        BadPicture: it is not such a text, or its type is not what the bytes are.
    """
    match = _DATA_URL.fullmatch(data_url)
    if match is None:
        raise BadPicture(Fault.INVALID_IMAGE_URL, "It is neither an http or https URL nor a base64 data URL")
    try:
        picture = base64.b64decode(match[2], validate=True)
    except ValueError as error:
        raise BadPicture(Fault.INVALID_IMAGE_URL, "It is not valid base64") from error
    if (kind := examine(picture).content_type) != match[1]:
        raise BadPicture(Fault.UNSUPPORTED_FORMAT, f"It says {match[1]} but is {kind}")
    return picture


class PictureFetcher:
    """Downloads pictures.

    `origins` maps an origin such as `https://cdn.example` to the one that serves it here; it is
    read at every download, so its owner may fill it in later.
    """

    def __init__(self, session: aiohttp.ClientSession, origins: Mapping[str, str]) -> None:
        self._session = session
        self._origins = origins

    async def fetch(self, url: str) -> bytes:
        """Download a picture and examine it.

        Raises:
            BadPicture: it cannot be had, or is not one the gateways take.
        """
        try:
            async with self._session.get(here(url, self._origins), timeout=_TIMEOUT) as response:
                response.raise_for_status()
                picture = await _read_up_to(response.content, MOST_BYTES + 1)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise BadPicture(Fault.INVALID_IMAGE_URL, "Cannot access provided image URL") from error
        await asyncio.to_thread(examine, picture)
        return picture


def here(url: str, origins: Mapping[str, str]) -> URL:
    """Return an address as it is asked for: on the origin that serves it here, where there is one."""
    # Discord's links are signed over their exact spelling, so nothing is re-quoted.
    address = URL(url, encoded=True)
    for origin, local in origins.items():
        if address.origin() == URL(origin).origin():
            return URL(str(URL(local).origin()) + address.raw_path_qs, encoded=True)
    return address


async def _read_up_to(content: aiohttp.StreamReader, most: int) -> bytes:
    parts: list[bytes] = []
    left = most
    while left and (part := await content.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
