"""The sizes of clips in pixels: those that Sora 2 makes, by shape and quality, and those of all others."""

from bot.models import Quality, Shape

_LONG_AND_SHORT_SIDE = {None: (1280, 720), Quality.P720: (1280, 720), Quality.P1080: (1792, 1024)}


def dimensions(shape: Shape, quality: Quality) -> tuple[int, int]:
    """Width and height of a clip of any model but Sora: the quality is the shorter side, as in 720p."""
    short_side = int(quality.removesuffix("p"))
    if shape.ratio >= 1:
        return _even(short_side * shape.ratio), short_side
    return short_side, _even(short_side / shape.ratio)


def _even(length: float) -> int:
    return round(length / 2) * 2


def pixels(shape: Shape, quality: Quality | None) -> tuple[int, int]:
    """Width and height of a clip of Sora's."""
    long_side, short_side = _LONG_AND_SHORT_SIDE[quality]
    return (long_side, short_side) if shape is Shape.LANDSCAPE else (short_side, long_side)


def shape_and_quality(width: int, height: int) -> tuple[Shape, Quality] | None:
    """What a size is called, or None where no clip has it.

    The 1024x1792 sizes are the 1080p tier, by "APIXO Docs, Sora 2 Pro"
    (https://apixo.ai/docs/models/video/sora-2-pro).
    """
    names = {
        pixels(shape, quality): (shape, quality)
        for shape in (Shape.LANDSCAPE, Shape.PORTRAIT)
        for quality in (Quality.P720, Quality.P1080)
    }
    return names.get((width, height))


def parse(size: str, between: str) -> tuple[Shape, Quality]:
    """Read a size such as `1280*720`, which must be one that clips have."""
    width, height = size.split(between)
    named = shape_and_quality(int(width), int(height))
    if named is None:
        raise ValueError(f"no clip is {size}")
    return named
