"""Says an order in the words of its model: what the catalogue describes, as the fields of a request; pure."""

import dataclasses
import json
from typing import Any, TypeAlias

from bot.catalogue import Model
from bot.entries import Length
from bot.models import VideoRequest


@dataclasses.dataclass(frozen=True)
class FilePart:
    """A picture that travels as a file beside the other fields."""

    data: bytes = dataclasses.field(repr=False)
    content_type: str
    filename: str


SentPicture: TypeAlias = str | FilePart
"""A picture as it is sent: a link or a data URL, or a file."""


def fields(
    model: Model, request: VideoRequest, picture: SentPicture | None, end: SentPicture | None = None
) -> dict[str, Any]:
    """Return the fields that order the clip; files stand in them as `FilePart`."""
    asking, mode, size = model.asking, model.modes[request.mode], model.size(request)
    said: dict[str, Any] = {**asking.send, **mode.send}
    if asking.model is not None:
        said[asking.model] = model.remote_id
    if asking.content is None:
        said[asking.prompt] = request.prompt
    else:
        said[asking.content] = [{"type": "text", "text": request.prompt}]
    if asking.length is not None:
        said[asking.length.field] = _length(asking.length, request.seconds)
    if asking.size is not None and size.pixels is not None:
        said[asking.size] = "{}x{}".format(*size.pixels)
    said |= size.send
    said |= _options(model, request)
    if picture is not None:
        _add_pictures(said, model, picture, end)
    return said


def _length(length: Length, seconds: int) -> int | str:
    match length.form:
        case "integer":
            return seconds
        case "digits":
            return str(seconds)
        case "suffixed":
            return f"{seconds}s"
        case "frames":
            return seconds * (length.rate or 1) + 1


def _options(model: Model, request: VideoRequest) -> dict[str, Any]:
    options = model.options
    said: dict[str, Any] = {}
    if model.watermark_field is not None:
        said[model.watermark_field] = not request.keep_watermark
    for option, chosen in (
        (options.sound, request.sound),
        (options.negative_prompt, request.negative_prompt),
        (options.seed, request.seed),
        (options.style, request.style),
    ):
        if option is not None and chosen is not None:
            said[option.field] = chosen
    return said


def _add_pictures(said: dict[str, Any], model: Model, picture: SentPicture, end: SentPicture | None) -> None:
    asking, option = model.asking, model.options.end_frame
    wrapped = asking.picture
    if wrapped is None:
        return
    if asking.content is not None:
        said[asking.content] += [_item(one) for one in (picture, end) if one is not None]
        return
    field = wrapped.field or ""
    follows = end if end is not None and option is not None and option.field is None else None
    match wrapped.form:
        case "text":
            said[field] = picture
        case "list":
            said[field] = [one for one in (picture, follows) if one is not None]
        case "object":
            said[field] = {"image_url": picture}
        case "object-text":
            said[field] = json.dumps({"image_url": picture})
        case "frames":
            places = (("first_frame", picture), ("last_frame", follows))
            said[field] = [{**_item(one), "frame_type": place} for place, one in places if one is not None]
    if end is not None and option is not None and option.field is not None:
        said[option.field] = end


def _item(picture: SentPicture) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": picture}}
