"""How servers with the shape of OpenAI's Videos API differ: one profile a dialect, and no code."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from bot.entries import Length, PictureField, Request


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dialect:
    """What is particular to one kind of server behind `/v1/videos`.

    `request` is how its models are asked where their own entries say nothing else. `encoding` is of the
    order: `json`, `multipart`, or `multipart-with-file` where JSON will do for an order without a picture.
    `results` are the places of the clip in the order they are tried: `content` is the route, anything else
    a path of keys into the answer. `aborts` says that DELETE really ends a task that is running. `cost` is
    the path of keys to the dollars a task took. `models` is the route of the list of its models.
    """

    encoding: Literal["json", "multipart", "multipart-with-file"]
    request: Request
    results: tuple[str, ...]
    aborts: bool = False
    cost: str | None = None
    models: str = "/models"


DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        "openai": Dialect(
            encoding="json",
            request=Request(
                model="model",
                length=Length(field="seconds", form="digits"),
                size="size",
                picture=PictureField(send="data-url", field="input_reference", form="object"),
            ),
            results=("content",),
        ),
        "sglang": Dialect(
            encoding="multipart-with-file",
            request=Request(
                model="model",
                length=Length(field="seconds", form="integer"),
                size="size",
                picture=PictureField(send="file", field="input_reference"),
            ),
            results=("content", "url"),
        ),
        "vllm-omni": Dialect(
            encoding="multipart",
            request=Request(
                model="model",
                length=Length(field="seconds", form="digits"),
                size="size",
                picture=PictureField(send="file", field="input_reference"),
            ),
            results=("content",),
            aborts=True,
        ),
        "newapi": Dialect(
            encoding="json",
            request=Request(
                model="model",
                length=Length(field="seconds", form="digits"),
                size="size",
                picture=PictureField(send="link", field="image"),
            ),
            results=("content", "video_url", "url", "metadata.url"),
        ),
        "openrouter": Dialect(
            encoding="json",
            request=Request(
                model="model",
                length=Length(field="duration", form="integer"),
                picture=PictureField(send="link", field="frame_images", form="frames"),
            ),
            results=("content", "urls", "unsigned_urls"),
            cost="usage.cost",
            models="/videos/models",
        ),
    }
)
