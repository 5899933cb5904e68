"""Draws the stills a sandbox clip is made of: its background and the card laid over it."""

import bisect
import dataclasses
import io
import unicodedata
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont, ImageOps

_Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

ZOOM_ROOM = 1.5
"""How much larger than the clip a picture is kept, so that zooming into it stays sharp."""

DRIFT_PIXELS = 320
"""How far the background of a clip without a picture drifts."""

_MARK = "SANDBOX"
_MARK_COLOUR = (255, 196, 0, 255)
_PANEL_COLOUR = (12, 14, 24, 176)
_TEXT_COLOUR = (255, 255, 255, 255)
_DETAIL_COLOUR = (205, 212, 230, 255)
_SKY = ((44, 30, 92), (214, 92, 110), (250, 190, 120))
_MOST_DRAWN = 1_000  # characters; what is longer is cut by the lines anyway


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """What is to be rendered: `width` and `height` in pixels; `detail` is a line under the prompt."""

    prompt: str
    detail: str
    seconds: float
    width: int
    height: int
    picture: bytes = b""
    end_picture: bytes = b""
    sound: bool = True


def background(clip: Clip) -> Image.Image:
    """The picture cropped to the clip's shape, or a sky wider than the clip."""
    if clip.picture:
        return _fitted(clip.picture, round(clip.width * ZOOM_ROOM), round(clip.height * ZOOM_ROOM))
    few = Image.new("RGB", (len(_SKY), 2))
    for column, colour in enumerate(_SKY):
        few.putpixel((column, 0), colour)
        few.putpixel((len(_SKY) - 1 - column, 1), colour)
    size = (clip.width + DRIFT_PIXELS, clip.height)
    return few.resize(size, Image.Resampling.BICUBIC)


def end(clip: Clip) -> Image.Image:
    """The picture that it ends with, cropped to its shape."""
    return _fitted(clip.end_picture, clip.width, clip.height)


def _fitted(picture: bytes, width: int, height: int) -> Image.Image:
    with Image.open(io.BytesIO(picture)) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    return ImageOps.fit(upright, (width, height), method=Image.Resampling.BILINEAR)


def card(clip: Clip) -> Image.Image:
    """The mark, and the prompt with the detail on a panel; everything else is see-through."""
    unit = min(clip.width, clip.height) // 36
    layer = Image.new("RGBA", (clip.width, clip.height))
    draw = ImageDraw.Draw(layer)
    _draw_mark(draw, unit)

    text_font = ImageFont.load_default(size=unit * 1.6)
    detail_font = ImageFont.load_default(size=unit * 1.1)
    most_lines = 2 if clip.picture else 7  # a given picture should stay in view
    lines = _wrap(clip.prompt, text_font, clip.width - 6 * unit, most_lines)
    line_height = unit * 2
    top = clip.height - (len(lines) * line_height + 6 * unit)
    draw.rounded_rectangle(
        (2 * unit, top, clip.width - 2 * unit, clip.height - 2 * unit), radius=unit, fill=_PANEL_COLOUR
    )
    y = top + unit
    for line in lines:
        draw.text((3 * unit, y), line, font=text_font, fill=_TEXT_COLOUR)
        y += line_height
    draw.text((3 * unit, y + unit // 2), clip.detail, font=detail_font, fill=_DETAIL_COLOUR)
    return layer


def progress_bar(clip: Clip) -> Image.Image:
    """A bar as wide as the clip, to be pushed in from the left while it plays."""
    return Image.new("RGB", (clip.width, max(8, clip.height // 80)), _MARK_COLOUR[:3])


def _draw_mark(draw: ImageDraw.ImageDraw, unit: int) -> None:
    font = ImageFont.load_default(size=unit * 3)
    left, top, right, bottom = draw.textbbox((3 * unit, 3 * unit), _MARK, font=font)
    draw.rounded_rectangle((left - unit, top - unit, right + unit, bottom + unit), unit, fill=_MARK_COLOUR)
    draw.text((3 * unit, 3 * unit), _MARK, font=font, fill=(0, 0, 0, 255))


def _wrap(text: str, font: _Font, width: int, most_lines: int) -> list[str]:
    """Break text into lines that fit, at most so many; the last ends in … where text is left over."""
    lines = [""]
    for word in _drawable(text[:_MOST_DRAWN]).split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        rest = word
        while rest:
            fits = bisect.bisect(range(1, len(rest) + 1), width, key=lambda n: font.getlength(rest[:n]))
            lines.append(rest[: max(1, fits)])
            rest = rest[max(1, fits) :]
    lines = [line for line in lines if line]
    if lines and (len(lines) > most_lines or len(text) > _MOST_DRAWN):
        lines = lines[:most_lines]
        lines[-1] = f"{lines[-1][:-2]}…"
    return lines


def _drawable(text: str) -> str:
    """Drop what has no picture of its own, such as control characters and marks of direction."""
    return "".join(" " if character.isspace() else character for character in text if _is_seen(character))


def _is_seen(character: str) -> bool:
    return character.isspace() or unicodedata.category(character)[0] != "C"


def sample_picture() -> bytes:
    """A small PNG of hills under a sky, for the demo's order with a picture."""
    width, height, finer = 960, 540, 2  # drawn larger, so that edges come out smooth
    column = Image.new("RGB", (1, len(_SKY)))
    for row, colour in enumerate(_SKY):
        column.putpixel((0, row), colour)
    size = (width * finer, height * finer)
    image = column.resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    draw.circle((size[0] * 0.66, size[1] * 0.5), size[1] * 0.13, fill=(255, 236, 190))
    for shade, left, top, wide in (
        ((112, 62, 108), -0.1, 0.52, 0.8),
        ((78, 50, 104), 0.4, 0.58, 0.9),
        ((52, 44, 92), -0.3, 0.66, 0.95),
        ((30, 28, 62), 0.25, 0.76, 1.1),
    ):
        right = left + wide
        draw.ellipse((size[0] * left, size[1] * top, size[0] * right, size[1] * (top + 1)), fill=shade)
    with io.BytesIO() as file:
        image.resize((width, height), Image.Resampling.LANCZOS).save(file, "PNG")
        return file.getvalue()
