"""How servers with the shape of OpenAI's Videos API differ: one profile a dialect, and no code.

What they have in common is in `bot/gateways/videos.py`: `/videos` below the address of the gateway, the key
as a bearer token, and the many words for a status, which mean the same wherever they are used.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from bot.entries import Length, PictureField, Request


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dialect:
    """What is particular to one kind of server behind `/v1/videos`.

    `request` is how its models are asked where their own entries say nothing else. `encoding` is that of
    orders: `multipart` always, or `json` but for orders that hold a file. `results` are the places of the
    clip in the order they are tried: `content` is the route, anything else a path of keys into the answer;
    places that any server may use follow them. `aborts` says that DELETE really ends a task that is running.
    `cost` is the path of keys to the dollars a task took. `models` is the route of the list of its models.
    `callback` is the field for an address to call when a task has ended.
    """

    encoding: Literal["json", "multipart"]
    request: Request
    results: tuple[str, ...]
    aborts: bool = False
    cost: str | None = None
    models: str = "/models"
    callback: str | None = None


DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        # OpenAI, Video generation: https://developers.openai.com/api/docs/guides/video-generation. Without
        # `variant` the content route gives the video. DELETE is for what has ended.
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
        # SGLang Diffusion OpenAI API: https://docs.sglang.io/diffusion/api/openai_api.html. Older builds
        # refuse a form without a file. Where clips go to a cloud the content route fails, and `url` leads
        # there. DELETE forgets the record and lets the task run on.
        "sglang": Dialect(
            encoding="json",
            request=Request(
                model="model",
                length=Length(field="seconds", form="integer"),
                size="size",
                picture=PictureField(send="file", field="input_reference"),
            ),
            results=("content", "url"),
        ),
        # vLLM-Omni, Videos API: https://docs.vllm.ai/projects/vllm-omni/en/latest/serving/videos_api/.
        # Without a length it makes one picture, so that is always sent.
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
        # New API, Sora: create a video:
        # https://docs.newapi.pro/zh/docs/api/ai-model/videos/sora/create-video; of the same shape is
        # LaoZhang: https://docs.laozhang.ai.
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
        # OpenRouter, Video Generation API: https://openrouter.ai/docs/api_reference/videos. Resolution and
        # ratio are the models' own words. `urls` are signed, `unsigned_urls` need the key.
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
            callback="callback_url",
        ),
    }
)
