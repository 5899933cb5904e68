"""What a submit to Pixazo may say, by "Pixazo, Sora 2 Pro API" (https://gateway.pixazo.ai/sora-video/v1)."""

from typing import Annotated, Literal, TypeAlias

from bot.models import Mode, VideoRequest
from bot.sandbox.body import BadBody, Prompt, Strict, WebAddress, Whole, read_body
from bot.sandbox.pictures import Facts
from bot.sandbox.sizes import parse, shape_and_quality

_Size: TypeAlias = Literal["1280x720", "720x1280", "1792x1024", "1024x1792"]


class _Video(Strict):
    # The page gives no defaults; 4 seconds and 720x1280 are those of OpenAI's own API:
    # "Videos, OpenAI API Reference" (https://platform.openai.com/docs/api-reference/videos).
    prompt: Prompt
    model: Literal["sora-2-pro"] = "sora-2-pro"
    seconds: Annotated[Literal[4, 8, 12], Whole] = 4
    callback_url: WebAddress | None = None


class _TextVideo(_Video):
    size: _Size = "720x1280"


class ImageVideo(_Video):
    """An image-to-video submit, before anyone looked at its image."""

    image: str
    size: _Size | None = None


def read_text_order(body: bytes) -> VideoRequest:
    """Read the body of a text-to-video submit.

    Raises:
        BadBody: it is not as the page says.
    """
    asked = read_body(_TextVideo, body)
    return _request(asked, Mode.TEXT, asked.size)


def read_image_order(body: bytes) -> ImageVideo:
    """Read the body of an image-to-video submit; its image is still to be had.

    Raises:
        BadBody: it is not as the page says.
    """
    return read_body(ImageVideo, body)


def match_image(asked: ImageVideo, image: Facts) -> VideoRequest:
    """Complete an image-to-video order with what its image is.

    Raises:
        BadBody: the image has not exactly one of the four sizes, or not the one asked for.
    """
    size = f"{image.width}x{image.height}"
    if shape_and_quality(image.width, image.height) is None:
        raise BadBody(f"image is {size}; it must be exactly 1280x720, 720x1280, 1792x1024 or 1024x1792")
    if asked.size not in {None, size}:
        raise BadBody(f"size {asked.size} must match the image, which is {size}")
    return _request(asked, Mode.IMAGE, size)


def _request(asked: _Video, mode: Mode, size: str) -> VideoRequest:
    shape, quality = parse(size, "x")
    return VideoRequest(
        model="pixazo/sora-2-pro",
        mode=mode,
        prompt=asked.prompt,
        seconds=asked.seconds,
        shape=shape,
        quality=quality,
    )
