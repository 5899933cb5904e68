"""Fits a picture to what a model takes: the rules alone, for whoever may spend the time and memory.

A file within every limit here can still keep a reader busy for hours: a JPEG of a hundred megapixels may
hold a third of a million scans. So members' pictures are read in a process that can be stopped, by
`bot/picture_process.py`.
"""

import contextlib
import dataclasses
import io
import math
import struct
import zlib
from collections.abc import Generator, Mapping
from typing import TypeAlias

from PIL import ExifTags, Image, UnidentifiedImageError

from bot.errors import BadPicture
from bot.models import Shape

MOST_PIXELS = 100_000_000
MOST_SENT_BYTES = 10 * 1000 * 1000  # the gateways say "10 MB"; the smaller reading suits both

# Pillow's own guard against bombs would warn at 89 megapixels already; it is to agree with ours.
Image.MAX_IMAGE_PIXELS = MOST_PIXELS

_READ = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_SENT = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
# These may hold several pages or views (an MPO is a phone's JPEG with more inside): the first is it.
_PAGED = {"MPO", "TIFF"}
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
    *(AttributeError, RuntimeError, struct.error, zlib.error),
)

_TOO_MANY_PIXELS = (
    f"This picture has more than {MOST_PIXELS // 1_000_000} megapixels. Make it smaller and send it again."
)
_NOT_A_PICTURE = (
    "This file is not a picture that can be read here. Send a JPG, PNG or WebP; "
    "a photo in HEIC has to be saved as JPG first."
)
_DAMAGED = "This picture is damaged or cut short. Save it again as JPG or PNG and send that."
_ANIMATED = "This picture is animated. Send a still one: a screenshot of the moment you want will do."

_TOO_HUNGRY = "This picture takes too much memory to be read. Make it smaller and send it again."

Pixels: TypeAlias = tuple[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fitted:
    """A picture's bytes as the gateway will get them; what the rest means, `models.Picture` says."""

    data: bytes
    content_type: str
    width: int
    height: int
    shape: Shape
    cropped: bool


def fit(data: bytes, *, sizes: Mapping[Shape, Pixels | None], webp: bool = True) -> Fitted:
    """Make a picture what a model takes: in the shape among `sizes` that comes nearest to its own.

    With pixels it gets exactly those. Without, it is left whole where there was a choice, or where it lies as
    the one shape does; else it is cut. A square lies like a landscape. Bytes that need no change are kept;
    a WebP needs one for a model that takes no `webp`.

    Raises:
        BadPicture: it is no still picture, is broken, or has too many pixels.
    """
    with _opened(data) as image:
        turn = _turn(image)
        size = _seen(image.size, turn)
        shape = min(sizes, key=lambda one: abs(math.log(size[0] / size[1] / one.ratio)))
        pixels = sizes[shape]
        is_whole = len(sizes) > 1 or shape is _shape(size)
        ratio = pixels[0] / pixels[1] if pixels else None if is_whole else shape.ratio
        window = _window(size, ratio)
        wanted = pixels or window
        if wanted == window == size and turn is None and _is_fine(image, data, webp=webp):
            _check_whole(image)
            content_type = _SENT[str(image.format)]
        else:
            fitted = _redrawn(image, turn, ratio, wanted)
            data, content_type, wanted = _encoded(fitted, _profile(image))
    return Fitted(
        data=data,
        content_type=content_type,
        width=wanted[0],
        height=wanted[1],
        shape=shape,
        cropped=math.prod(window) < 0.99 * math.prod(size),
    )


@contextlib.contextmanager
def _opened(data: bytes) -> Generator[Image.Image]:
    """Open by content and check the header; whatever Pillow raises meanwhile is the picture's fault."""
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
    except MemoryError as error:
        raise BadPicture(_TOO_HUNGRY) from error
    except _BROKEN as error:
        raise BadPicture(_DAMAGED) from error


def _check_whole(image: Image.Image) -> None:
    """Decode everything, a JPEG at an eighth of its size: all of its data is read, in little memory."""
    image.draft(None, (1, 1))
    image.load()


def _is_fine(image: Image.Image, data: bytes, *, webp: bool) -> bool:
    """Whether a gateway takes the bytes as they are; CMYK is for printers and not every reader has it."""
    is_taken = image.format in _SENT and (webp or image.format != "WEBP")
    return is_taken and image.mode != "CMYK" and len(data) <= MOST_SENT_BYTES


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return what makes the picture upright; a TIFF is turned by Pillow itself."""
    return None if image.format == "TIFF" else _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))


def _seen(size: Pixels, turn: Image.Transpose | None) -> Pixels:
    return (size[1], size[0]) if turn in _SIDEWAYS else size


def _shape(size: Pixels) -> Shape:
    return Shape.PORTRAIT if size[1] > size[0] else Shape.LANDSCAPE


def _window(size: Pixels, ratio: float | None) -> Pixels:
    """Return the largest size of that ratio (width by height) inside `size`; all of it without one."""
    if ratio is None:
        return size
    width, height = size
    return max(1, round(min(width, height * ratio))), max(1, round(min(height, width / ratio)))


def _redrawn(
    image: Image.Image, turn: Image.Transpose | None, ratio: float | None, wanted: Pixels
) -> Image.Image:
    """Decode, cut the middle out and resize, as RGB or RGBA; turned last, when there is least to turn."""

    def window() -> Pixels:
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


def _encoded(image: Image.Image, profile: bytes | None) -> tuple[bytes, str, Pixels]:
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
