"""What a submit to APIXO's newer models may say: one table of fields for each way to ask a model.

"APIXO Docs, Video" (https://apixo.ai/docs/models/video/), the pages seedance-2-0-fast, kling-3-0-turbo,
wan-2-6 and veo-3-1; what makes a clip from text, or from a picture and perhaps another to end with.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

import pydantic
from pydantic import Field

from bot.sandbox.body import BadBody, Prompt, Strict, WebAddress, check

_Links: TypeAlias = Annotated[tuple[WebAddress, ...], pydantic.Strict(strict=False)]
_OneLink: TypeAlias = Annotated[_Links, Field(min_length=1, max_length=1)]
_TwoLinks: TypeAlias = Annotated[_Links, Field(min_length=1, max_length=2)]
_Seed: TypeAlias = Annotated[int, Field(ge=0, le=2_147_483_647)]


class _Seedance(Strict):
    prompt: Prompt
    duration: Annotated[int, Field(ge=4, le=15)] = 5
    resolution: Literal["480p", "720p"] = "720p"
    aspect_ratio: Literal["auto", "16:9", "4:3", "1:1", "3:4", "9:16", "21:9"] = "auto"
    sound: bool = True
    web_search: bool = False


class _SeedanceText(_Seedance):
    mode: Literal["text-to-video"]


class _SeedanceFrames(_Seedance):
    mode: Literal["first_and_last_frames"]
    image_urls: _TwoLinks


class _Kling(Strict):
    prompt: Prompt
    duration: Annotated[int, Field(ge=3, le=15)] = 5
    resolution: Literal["720p", "1080p"] = "720p"


class _KlingText(_Kling):
    mode: Literal["text-to-video"]
    aspect_ratio: Literal["16:9", "9:16", "1:1"] = "16:9"


class _KlingImage(_Kling):
    mode: Literal["image-to-video"]
    image_urls: _OneLink


class _Wan(Strict):
    prompt: Annotated[Prompt, Field(max_length=1_500)]
    duration: Annotated[int, Field(ge=2, le=15)] = 5
    negative_prompt: Annotated[str, Field(max_length=500)] = ""
    prompt_extend: bool = True


_WanSize: TypeAlias = Literal[
    "1280*720",
    "720*1280",
    "960*960",
    "1088*832",
    "832*1088",
    "1920*1080",
    "1080*1920",
    "1440*1440",
    "1632*1248",
    "1248*1632",
]


class _WanText(_Wan):
    mode: Literal["text-to-video"]
    size: _WanSize = "1280*720"


class _WanImage(_Wan):
    mode: Literal["image-to-video"]
    resolution: Literal["720p", "1080p"] = "720p"
    image_urls: _OneLink


class _WanFlash(_Wan):
    mode: Literal["image-to-video-flash"]
    resolution: Literal["720p", "1080p"] = "720p"
    image_urls: _OneLink
    sound: bool = True


class _Veo(Strict):
    prompt: Annotated[Prompt, Field(max_length=10_000)]
    mode: Literal["quality", "fast"]
    aspect_ratio: Literal["16:9", "9:16", "auto"] = "16:9"
    watermark: str = ""
    seed: _Seed | None = None
    enableTranslation: bool = True  # noqa: N815 - APIXO's name


class _VeoText(_Veo):
    generationType: Literal["TEXT_2_VIDEO"]  # noqa: N815 - APIXO's name


class _VeoFrames(_Veo):
    generationType: Literal["FIRST_AND_LAST_FRAMES_2_VIDEO"]  # noqa: N815 - APIXO's name
    image_urls: _TwoLinks


@dataclasses.dataclass(frozen=True)
class _Ways:
    """The tables of one model; the word in the field `named_by` says which one an input is."""

    named_by: str
    tables: Mapping[str, type[Strict]]


MODELS: Mapping[str, _Ways] = MappingProxyType(
    {
        "seedance-2-0-fast": _Ways(
            "mode", {"text-to-video": _SeedanceText, "first_and_last_frames": _SeedanceFrames}
        ),
        "kling-3-0-turbo": _Ways("mode", {"text-to-video": _KlingText, "image-to-video": _KlingImage}),
        "wan-2-6-video": _Ways(
            "mode",
            {"text-to-video": _WanText, "image-to-video": _WanImage, "image-to-video-flash": _WanFlash},
        ),
        "veo-3-1": _Ways(
            "generationType", {"TEXT_2_VIDEO": _VeoText, "FIRST_AND_LAST_FRAMES_2_VIDEO": _VeoFrames}
        ),
    }
)


def read_input(remote_id: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Check an input and return its fields, with the defaults of those it leaves out.

    Raises:
        BadBody: it is not as the model's page says.
    """
    ways = MODELS[remote_id]
    word = asked.get(ways.named_by)
    if word is None:
        raise BadBody(f"Missing required field: input.{ways.named_by}")
    if not isinstance(word, str) or word not in ways.tables:
        raise BadBody(f"Invalid input.{ways.named_by}: must be {' or '.join(ways.tables)}")
    return check(ways.tables[word], asked, within="input").model_dump(exclude_none=True)
