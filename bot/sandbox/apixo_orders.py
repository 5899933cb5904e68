"""What a submit to APIXO may say, and the inputs of "APIXO Docs, Sora 2" and "APIXO Docs, Sora 2 Pro".

https://apixo.ai/docs/models/video/sora-2 and https://apixo.ai/docs/models/video/sora-2-pro
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

import pydantic

from bot.models import Mode, Quality, Shape, VideoRequest
from bot.sandbox import apixo_successors
from bot.sandbox.body import Prompt, Strict, WebAddress, Whole, read_body
from bot.sandbox.orders import Order, order_of
from bot.sandbox.sizes import parse

_OneLink = Annotated[tuple[WebAddress], pydantic.Strict(strict=False)]


class _Sora2(Strict):
    prompt: Annotated[Prompt, pydantic.Field(max_length=10_000)]
    duration: Annotated[Literal[10, 15], Whole]
    aspect_ratio: Literal["landscape", "portrait"] = "landscape"
    remove_watermark: bool = True


class _Sora2Text(_Sora2):
    mode: Literal["text-to-video"]


class _Sora2Image(_Sora2):
    mode: Literal["image-to-video"]
    image_urls: _OneLink


class _Sora2Pro(Strict):
    prompt: Annotated[Prompt, pydantic.Field(max_length=5_000)]
    duration: Annotated[Literal[4, 8, 12], Whole]


class _Sora2ProText(_Sora2Pro):
    mode: Literal["text-to-video"]
    size: Literal["720*1280", "1280*720", "1024*1792", "1792*1024"]


class _Sora2ProImage(_Sora2Pro):
    mode: Literal["image-to-video"]
    resolution: Literal["720p", "1080p"]
    image_urls: _OneLink


_Input: TypeAlias = _Sora2Text | _Sora2Image | _Sora2ProText | _Sora2ProImage


class _Submit(Strict):
    request_type: Literal["async", "callback"] = "async"
    callback_url: WebAddress | None = None

    @pydantic.model_validator(mode="after")
    def _callback_has_an_address(self) -> "_Submit":
        if self.request_type == "callback" and self.callback_url is None:
            raise ValueError("callback_url is required when request_type is callback")
        return self


class _Sora2Submit(_Submit):
    provider: Literal["auto", "value", "official"] = "auto"
    input: Annotated[_Sora2Text | _Sora2Image, pydantic.Field(discriminator="mode")]


class _Sora2ProSubmit(_Submit):
    provider: Literal["official"] = "official"
    input: Annotated[_Sora2ProText | _Sora2ProImage, pydantic.Field(discriminator="mode")]


class _SuccessorSubmit(_Submit):
    # By the newest pages the key decides how it is routed; older ones of the same models know the field.
    provider: Literal["auto", "value", "official"] = "auto"
    input: dict[str, Any]


_BODIES: Mapping[str, type[_Sora2Submit | _Sora2ProSubmit]] = MappingProxyType(
    {"sora-2": _Sora2Submit, "sora-2-pro": _Sora2ProSubmit}
)
MODELS = (*_BODIES, *apixo_successors.MODELS)


def read_order(remote_id: str, body: bytes) -> Order:
    """Read the body of a submit to this model.

    Raises:
        BadBody: it is not as the model's page says.
    """
    if remote_id in apixo_successors.MODELS:
        submit = read_body(_SuccessorSubmit, body)
        fields = apixo_successors.read_input(remote_id, submit.input)
        order = order_of(f"apixo/{remote_id}", fields)
        return dataclasses.replace(order, callback_url=_callback_url(submit))
    submit = read_body(_BODIES[remote_id], body)
    asked = submit.input
    return Order(
        request=_request(f"apixo/{remote_id}", asked),
        pictures=asked.image_urls if isinstance(asked, _Sora2Image | _Sora2ProImage) else (),
        shape_by_picture=isinstance(asked, _Sora2ProImage),
        callback_url=_callback_url(submit),
    )


def _callback_url(submit: _Submit) -> str:
    return (submit.callback_url or "") if submit.request_type == "callback" else ""


def _request(model_id: str, asked: _Input) -> VideoRequest:
    quality, keep_watermark = None, None
    match asked:
        case _Sora2Text() | _Sora2Image():
            shape = Shape(asked.aspect_ratio)
            keep_watermark = not asked.remove_watermark
        case _Sora2ProText():
            shape, quality = parse(asked.size, "*")
        case _Sora2ProImage():
            shape, quality = Shape.LANDSCAPE, Quality(asked.resolution)
    return VideoRequest(
        model=model_id,
        mode=Mode(asked.mode),
        prompt=asked.prompt,
        seconds=asked.duration,
        shape=shape,
        quality=quality,
        keep_watermark=keep_watermark,
    )
