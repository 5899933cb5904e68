"""Fits a picture to what a model takes, and runs ffmpeg within limits."""

import asyncio
import contextlib
import hashlib
import io
import math
import os
import struct
import sys
import tempfile
import zlib
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imageio_ffmpeg  # pyright: ignore[reportMissingTypeStubs]
from PIL import ExifTags, Image, UnidentifiedImageError

from bot.disk_errors import disk_errors
from bot.errors import BadPicture, BotError
from bot.models import Picture, Shape

MOST_UPLOAD_BYTES = 50 * 1024 * 1024
MOST_PIXELS = 100_000_000
MOST_SENT_BYTES = 10 * 1000 * 1000  # the gateways say "10 MB"; the smaller reading suits both

# Pillow's own guard against bombs would warn at 89 megapixels already; it is to agree with ours.
Image.MAX_IMAGE_PIXELS = MOST_PIXELS

_READ = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_SENT = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_SUFFIX = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}
# These may hold several pages or views (an MPO is a phone's JPEG with more inside): the first is it.
_PAGED = {"MPO", "TIFF"}
_RATIO = {Shape.LANDSCAPE: 16 / 9, Shape.PORTRAIT: 9 / 16}
_JPEG_QUALITIES = (95, 90, 80, 70)
_MOST_PROFILE_BYTES = 100_000  # colour profiles of cameras are below 10 kB; a hostile one is a burden

# What EXIF's orientation asks for, as Pillow's ImageOps.exif_transpose has it; 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {_TURNS[5], _TURNS[6], _TURNS[7], _TURNS[8]}

# Pillow has no one exception for a broken file: each of its readers raises what happens to it.
_BROKEN = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError),
    *(AttributeError, RuntimeError, MemoryError, struct.error, zlib.error),
)

# Without -xerror ffmpeg ends well even where its input broke off, with a shorter clip.
_FFMPEG_ALWAYS = (
    *("-nostdin", "-hide_banner", "-xerror", "-loglevel", "error"),
    *("-protocol_whitelist", "file"),
)
_MOST_FFMPEG_BYTES = 1024**3  # two passes of a 1080p clip need less than half of it

# What muxers write into an MP4 (https://mp4ra.org/registered-types/brands). Other users of the same
# box, such as HEIC and AVIF pictures, QuickTime and M4A sound, are not among them.
_MP4_BRANDS = {
    b"M4V ",
    *b"isom iso2 iso3 iso4 iso5 iso6 iso7 iso8 iso9 mp41 mp42 mp71 avc1 dash MSNV".split(),
}

_TOO_MANY_PIXELS = (
    f"This picture has more than {MOST_PIXELS // 1_000_000} megapixels. Make it smaller and send it again."
)
_NOT_A_PICTURE = (
    "This file is not a picture that can be read here. Send a JPG, PNG or WebP; "
    "a photo in HEIC has to be saved as JPG first."
)
_DAMAGED = "This picture is damaged or cut short. Save it again as JPG or PNG and send that."
_ANIMATED = "This picture is animated. Send a still one: a screenshot of the moment you want will do."

_Pixels = tuple[int, int]


class FfmpegFailed(BotError):
    """ffmpeg is not there, ended with an error, or took too long; the message says which."""


class ShrinkFailed(BotError):
    """A clip cannot be made small enough; the message says why, for the log."""


def check_upload_size(size: int) -> None:
    """Refuse an attachment by the size Discord states, before it is downloaded.

    Raises:
        BadPicture: it is empty or over MOST_UPLOAD_BYTES.
    """
    if size <= 0:
        raise BadPicture("This picture is empty (0 bytes). Send it again.")
    if size > MOST_UPLOAD_BYTES:
        # Rounded up, so that a byte too many does not read as "50.0 MB, at most 50 MB".
        megabytes = math.ceil(size * 10 / 1024**2) / 10
        raise BadPicture(
            f"This picture has {megabytes:,.1f} MB; "
            f"at most {MOST_UPLOAD_BYTES // 1024**2} MB can be taken. Make it smaller and send it again."
        )


class PictureRoom:
    """Where members' pictures are looked at, one at a time, and kept as files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Decoding 100 megapixels takes hundreds of megabytes. One thread of its own, rather than a
        # semaphore, holds even when a caller is cancelled while its picture is being decoded.
        self._bench = ThreadPoolExecutor(max_workers=1, thread_name_prefix="picture")

    async def measure(self, data: bytes) -> Shape:
        """Return the picture's own shape as it is seen; a square counts as landscape.

        Raises:
            BadPicture: it is no still picture, is broken, or is too large.
        """
        return await asyncio.get_running_loop().run_in_executor(self._bench, _measure, data)

    async def fit(self, data: bytes, *, shape: Shape, pixels: _Pixels | None) -> Picture:
        """Make the picture what a model takes and put it on disk, named by the hash of its bytes.

        With `pixels` it gets exactly those. Without, its own shape leaves it whole, and the other
        shape cuts it to 16:9 or 9:16. Bytes that need no change are kept.

        Raises:
            BadPicture: it is no still picture, is broken, or is too large.
        """
        work = (_fit, self._folder, data, shape, pixels)
        return await asyncio.get_running_loop().run_in_executor(self._bench, *work)


def _measure(data: bytes) -> Shape:
    with _opened(data) as image:
        size = _seen(image.size, _turn(image))
        _check_whole(image)
    return _shape(size)


def _fit(folder: Path, data: bytes, shape: Shape, pixels: _Pixels | None) -> Picture:
    with _opened(data) as image:
        turn = _turn(image)
        size = _seen(image.size, turn)
        ratio = pixels[0] / pixels[1] if pixels else None if shape is _shape(size) else _RATIO[shape]
        window = _window(size, ratio)
        wanted = pixels or window
        if wanted == window == size and turn is None and _is_fine(image, data):
            _check_whole(image)
            content_type = _SENT[str(image.format)]
        else:
            fitted = _redrawn(image, turn, ratio, wanted)
            data, content_type, wanted = _encoded(fitted, _profile(image))
    return Picture(
        path=_stored(folder, data, _SUFFIX[content_type]),
        content_type=content_type,
        width=wanted[0],
        height=wanted[1],
        cropped=math.prod(window) < 0.99 * math.prod(size),
    )


@contextlib.contextmanager
def _opened(data: bytes) -> Generator[Image.Image]:
    """Open by content and check the header; whatever Pillow raises meanwhile is the picture's fault."""
    check_upload_size(len(data))
    try:
        with Image.open(io.BytesIO(data), formats=_READ) as image:
            if math.prod(image.size) > MOST_PIXELS:
                raise BadPicture(_TOO_MANY_PIXELS)
            if image.format not in _PAGED and getattr(image, "is_animated", False):
                raise BadPicture(_ANIMATED)
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadPicture(_TOO_MANY_PIXELS) from error
    except UnidentifiedImageError as error:
        raise BadPicture(_NOT_A_PICTURE) from error
    except _BROKEN as error:
        raise BadPicture(_DAMAGED) from error


def _check_whole(image: Image.Image) -> None:
    """Decode everything, a JPEG at an eighth of its size: all of its data is read, in little memory."""
    image.draft(None, (1, 1))
    image.load()


def _is_fine(image: Image.Image, data: bytes) -> bool:
    """Whether a gateway takes the bytes as they are; CMYK is for printers and not every reader has it."""
    return image.format in _SENT and image.mode != "CMYK" and len(data) <= MOST_SENT_BYTES


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return what makes the picture upright; a TIFF is turned by Pillow itself."""
    return None if image.format == "TIFF" else _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))


def _seen(size: _Pixels, turn: Image.Transpose | None) -> _Pixels:
    return (size[1], size[0]) if turn in _SIDEWAYS else size


def _shape(size: _Pixels) -> Shape:
    return Shape.PORTRAIT if size[1] > size[0] else Shape.LANDSCAPE


def _window(size: _Pixels, ratio: float | None) -> _Pixels:
    """Return the largest size of that ratio (width by height) inside `size`; all of it without one."""
    if ratio is None:
        return size
    width, height = size
    return max(1, round(min(width, height * ratio))), max(1, round(min(height, width / ratio)))


def _redrawn(
    image: Image.Image, turn: Image.Transpose | None, ratio: float | None, wanted: _Pixels
) -> Image.Image:
    """Decode, cut the middle out and resize, as RGB or RGBA; turned last, when there is least to turn."""

    def window() -> _Pixels:
        return _seen(_window(_seen(image.size, turn), ratio), turn)

    goal = _seen(wanted, turn)  # this, like `window`, lies as the file does
    # A JPEG is decoded at a half, quarter or eighth where that still leaves twice what is wanted,
    # the margin Pillow's own Image.thumbnail keeps.
    least = 2 * max(goal[0] / window()[0], goal[1] / window()[1])
    image.draft(None, (math.ceil(image.width * least), math.ceil(image.height * least)))
    image.load()
    width, height = window()
    left, top = (image.width - width) // 2, (image.height - height) // 2
    fitted = _plain(image)
    if fitted.size != goal:
        fitted = fitted.resize(
            goal, Image.Resampling.LANCZOS, box=(left, top, left + width, top + height), reducing_gap=3.0
        )
    return fitted.transpose(turn) if turn is not None else fitted


def _plain(image: Image.Image) -> Image.Image:
    """Return the picture as RGBA where it can have transparency, else as RGB."""
    if image.mode.startswith("I"):  # 16 bits of grey; convert() alone would clip them to 8, not scale
        image = Image.eval(image.convert("I"), lambda value: value / 257).convert("L")
        image.info.pop("transparency", None)
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _profile(image: Image.Image) -> bytes | None:
    """Return the colour profile if it still describes the picture as RGB."""
    profile = image.info.get("icc_profile")
    is_kept = image.mode in {"RGB", "RGBA", "P"} and profile and len(profile) <= _MOST_PROFILE_BYTES
    return profile if is_kept else None


def _encoded(image: Image.Image, profile: bytes | None) -> tuple[bytes, str, _Pixels]:
    """Return bytes under the limit, their type and their size in pixels."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
        data = _saved(image, "PNG", icc_profile=profile)
        if len(data) <= MOST_SENT_BYTES:
            return data, _SENT["PNG"], image.size
    image = _over_white(image)
    while True:
        for quality in _JPEG_QUALITIES:
            data = _saved(image, "JPEG", quality=quality, icc_profile=profile)
            if len(data) <= MOST_SENT_BYTES:
                return data, _SENT["JPEG"], image.size
        image = image.reduce(2)


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _stored(folder: Path, data: bytes, suffix: str) -> Path:
    """Write the file whole or not at all; one that is there already is the same to the byte."""
    path = folder / f"{hashlib.sha256(data).hexdigest()}{suffix}"
    try:
        os.utime(path)  # wanted again: it must not be swept as old before its new job is stored
    except FileNotFoundError:
        with disk_errors():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
                draft = Path(scratch) / path.name
                with draft.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(path)
    return path


def is_mp4(head: bytes) -> bool:
    """Tell by its first 12 bytes whether a file is an MP4."""
    return head[4:8] == b"ftyp" and head[8:12] in _MP4_BRANDS


def ffmpeg_path() -> str:
    """Return where ffmpeg is.

    Raises:
        FfmpegFailed: this machine has none.
    """
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise FfmpegFailed(str(error)) from error


async def run_ffmpeg(args: Sequence[str | Path], *, timeout_seconds: float) -> str:
    """Run ffmpeg and return what it said, which is errors only unless `args` ask for more.

    The first input may open local files only, and nothing is read from the terminal. However this
    ends, cancelled included, the process is gone.

    Raises:
        FfmpegFailed: with the end of what ffmpeg said.
    """
    process = await asyncio.create_subprocess_exec(
        ffmpeg_path(),
        *_FFMPEG_ALWAYS,
        *args,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _limit_memory(process.pid)
        async with asyncio.timeout(timeout_seconds):
            _, said_bytes = await process.communicate()
    except TimeoutError as error:
        raise FfmpegFailed(f"ffmpeg took longer than {timeout_seconds:g} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    said = said_bytes.decode(errors="replace")
    if process.returncode:
        raise FfmpegFailed(f"ffmpeg ended with {process.returncode}: {said[-500:].strip()}")
    return said


def _limit_memory(pid: int) -> None:
    """Cap a child's memory from outside: a preexec_fn is not safe in a program with threads.

    See https://docs.python.org/3.11/library/subprocess.html (preexec_fn). Only Linux has prlimit.
    """
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - Windows has no such module

        with contextlib.suppress(OSError):  # it has ended, or a container forbids this
            resource.prlimit(pid, resource.RLIMIT_DATA, (_MOST_FFMPEG_BYTES, _MOST_FFMPEG_BYTES))
