"""An order as the studio takes it, and how fields of many names are read into one."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from bot.models import Mode, Quality, Shape, VideoRequest
from bot.sandbox.sizes import dimensions

FRAMES_PER_SECOND = 24

_RATIOS = {"16:9": Shape.LANDSCAPE, "9:16": Shape.PORTRAIT, "1:1": Shape.SQUARE}
_OPEN_RATIOS = {None, "auto", "adaptive"}
_SOUNDS = ("sound", "generate_audio", "generate_audio_switch", "generate_sound", "save_audio")
_PICTURES = (
    ("image", "image_url", "start_image_url", "first_frame_image", "reference_url", "input_reference"),
    ("last_frame", "end_image_url"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """What a submit asks for.

    `pictures` are those that the clip begins and ends with: each a web address, or its bytes. `size` is in
    pixels, None where shape and quality are Sora's. With `shape_by_picture` the clip lies as its picture
    does. `length_seconds` is the clip's, where the request's whole seconds are not exact.
    """

    request: VideoRequest
    pictures: tuple[str | bytes, ...] = ()
    size: tuple[int, int] | None = None
    length_seconds: float | None = None
    shape_by_picture: bool = False
    callback_url: str = ""


def order_of(model: str, fields: Mapping[str, Any], *, otherwise_seconds: float = 8) -> Order:
    """Read the fields of a submit that was found to be as it should."""
    pictures = _pictures(fields)
    ratio, size = _first(fields, "aspect_ratio", "ratio", "aspect"), _size(fields)
    quality = Quality(str(fields["resolution"]).lower()) if "resolution" in fields else None
    shape = _RATIOS.get(ratio or "") or (Shape.LANDSCAPE if ratio in _OPEN_RATIOS else Shape(ratio))
    if size is not None:
        shape = Shape.LANDSCAPE if size[0] >= size[1] else Shape.PORTRAIT
    length_seconds = _length_seconds(fields, otherwise_seconds)
    return Order(
        request=VideoRequest(
            model=model,
            mode=Mode.IMAGE if pictures else Mode.TEXT,
            prompt=_prompt(fields),
            seconds=max(1, round(length_seconds)),
            shape=shape,
            quality=quality,
            sound=_first(fields, *_SOUNDS),
            negative_prompt=_first(fields, "negative_prompt", "negative") or None,
            seed=fields.get("seed"),
            style=fields.get("style"),
        ),
        pictures=pictures,
        size=size or dimensions(shape, quality or Quality.P720),
        length_seconds=length_seconds,
        shape_by_picture=bool(pictures) and size is None and ratio in _OPEN_RATIOS,
    )


def _first(fields: Mapping[str, Any], *names: str) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _prompt(fields: Mapping[str, Any]) -> str:
    if "content" not in fields:
        return fields["prompt"]
    return next(item["text"] for item in fields["content"] if item["type"] == "text")


def _pictures(fields: Mapping[str, Any]) -> tuple[str, ...]:
    if listed := fields.get("image_urls"):
        return tuple(listed)
    items = fields.get("content") or sorted(
        fields.get("frame_images") or (), key=lambda item: item["frame_type"]
    )
    if items:
        return tuple(item["image_url"]["url"] for item in items if item["type"] == "image_url")
    found = (_first(fields, *names) for names in _PICTURES)
    return tuple(picture for picture in found if picture is not None)


def _size(fields: Mapping[str, Any]) -> tuple[int, int] | None:
    if fields.get("size"):
        width, height = str(fields["size"]).replace("*", "x").split("x")
        return int(width), int(height)
    if fields.get("width") and fields.get("height"):
        return fields["width"], fields["height"]
    return None


def _length_seconds(fields: Mapping[str, Any], otherwise_seconds: float) -> float:
    """Frames go before seconds, where both are given; -1 leaves the length to the model."""
    if frames := fields.get("num_frames"):
        return frames / (_first(fields, "fps", "frame_rate") or FRAMES_PER_SECOND)
    seconds = _first(fields, "duration", "seconds")
    return otherwise_seconds if seconds is None or int(seconds) < 0 else float(seconds)
