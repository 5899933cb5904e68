"""What a submit to Pixazo's newer models may say: a route and a table of fields for each way to ask a model.

"Pixazo, Models" (https://www.pixazo.ai/models) and "Pixazo-AI, skills"
(https://github.com/Pixazo-AI/skills). Left out are fields for sounds, several shots and callbacks.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias

import pydantic
from pydantic import Field

from bot.sandbox.body import Prompt, Strict, WebAddress, Whole

_Seed: TypeAlias = Annotated[int, Field(ge=0)]
_Pixels: TypeAlias = Annotated[int, Field(ge=256, le=2048)]
_FromThreeTo: TypeAlias = Literal["3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"]
_AnyRatio: TypeAlias = Literal["16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3", "21:9"]


class _LtxText(Strict):
    prompt: Prompt
    seed: _Seed = 42
    aspect: Literal["auto", "16:9", "9:16", "1:1", "4:3"] | None = None
    width: _Pixels | None = None
    height: _Pixels | None = None
    num_frames: Annotated[int, Field(ge=1, le=500)] = 121
    frame_rate: Annotated[int, Field(gt=0)] = 24
    enhance_prompt: bool = False


class _LtxImage(_LtxText):
    image_url: WebAddress
    strength: Annotated[float, Field(ge=0, le=1)] = 1.0
    negative: str = ""


class _PVideo(Strict):
    prompt: Prompt
    image: WebAddress | None = None
    duration: Annotated[int, Field(ge=1, le=10)] = 5
    aspect_ratio: _AnyRatio | None = None
    resolution: Literal["720p", "1080p"] = "720p"
    fps: Annotated[Literal[24, 48], Whole] = 24
    draft: bool = False
    prompt_upsampling: bool = True
    disable_safety_filter: bool = True
    save_audio: bool = True
    seed: _Seed | None = None


class _PixverseText(Strict):
    prompt: Prompt
    negative_prompt: str = ""
    aspect_ratio: _AnyRatio | None = None
    resolution: Literal["360p", "540p", "720p", "1080p"] = "720p"
    duration: Annotated[int, Field(ge=1, le=15)] = 5
    style: str | None = None
    generate_audio_switch: bool = False


class _PixverseImage(_PixverseText):
    image_url: WebAddress


class _GrokText(Strict):
    prompt: Prompt
    duration: Annotated[int, Field(ge=3, le=10)]
    aspect_ratio: _AnyRatio
    resolution: Literal["480p", "720p"]


class _GrokImage(_GrokText):
    image_url: WebAddress


class _VeoFast(Strict):
    prompt: Prompt
    image: WebAddress | None = None
    last_frame: WebAddress | None = None
    duration: Annotated[Literal[4, 5, 6, 8], Whole] = 8  # two pages differ: 5, 6, 8 and 4, 6, 8
    aspect_ratio: Literal["16:9", "9:16"] = "16:9"
    resolution: Literal["720p", "1080p"] = "720p"
    negative_prompt: str = ""
    generate_audio: bool = True
    seed: _Seed | None = None

    @pydantic.model_validator(mode="after")
    def _ends_what_began(self) -> "_VeoFast":
        if self.last_frame is not None and self.image is None:
            raise ValueError("last_frame needs image")
        return self


class _KlingText(Strict):
    prompt: Prompt
    duration: _FromThreeTo
    aspect_ratio: Literal["16:9", "9:16", "1:1"] = "16:9"
    generate_audio: bool = False
    shot_type: str = ""
    negative_prompt: str = ""
    cfg_scale: Annotated[float, Field(ge=0, le=1)] = 0.5


class _KlingImage(Strict):
    prompt: Prompt
    duration: _FromThreeTo
    start_image_url: WebAddress
    end_image_url: WebAddress
    aspect_ratio: Literal["16:9", "9:16", "1:1"]
    generate_audio: bool
    shot_type: str
    negative_prompt: str = ""
    cfg_scale: Annotated[float, Field(ge=0, le=1)] = 0.5


class _Text(Strict):
    type: Literal["text"]
    text: Prompt


class _Link(Strict):
    url: WebAddress


class _Image(Strict):
    type: Literal["image_url"]
    image_url: _Link


_Item: TypeAlias = Annotated[_Text | _Image, Field(discriminator="type")]


class _Seedance(Strict):
    content: Annotated[tuple[_Item, ...], pydantic.Strict(strict=False)]
    duration: Annotated[int, Field(ge=4, le=15)] | Annotated[Literal[-1], Whole] = 5
    ratio: Literal["16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"] = "adaptive"
    resolution: Literal["480p", "720p"] = "720p"
    generate_audio: bool = True
    watermark: bool = False

    def _check_content(self, images: range) -> None:
        kinds = [item.type for item in self.content]
        if kinds.count("text") != 1:
            raise ValueError("content must hold one text")
        if kinds.count("image_url") not in images:
            raise ValueError(f"content must hold {images[0]} to {images[-1]} images")


class _SeedanceText(_Seedance):
    @pydantic.model_validator(mode="after")
    def _has_no_images(self) -> "_SeedanceText":
        self._check_content(range(1))
        return self


class _SeedanceFrames(_Seedance):
    @pydantic.model_validator(mode="after")
    def _has_images(self) -> "_SeedanceFrames":
        self._check_content(range(1, 3))
        return self


class _WanText(Strict):
    prompt: Prompt
    aspect_ratio: _AnyRatio = "16:9"
    resolution: Literal["720p", "1080p"] = "720p"
    duration: Literal["5", "10", "15"] = "5"
    negative_prompt: str = ""
    enable_prompt_expansion: bool = True
    enable_safety_checker: bool = True


class _WanImage(_WanText):
    image_url: WebAddress


class _HailuoText(Strict):
    prompt: Prompt
    duration: Annotated[Literal[6, 10], Whole] = 6
    resolution: Literal["768P"] = "768P"
    prompt_optimizer: bool = True
    fast_pretreatment: bool = False
    aigc_watermark: bool = False


class _HailuoImage(_HailuoText):
    first_frame_image: WebAddress


class _RunwayText(Strict):
    prompt: Prompt
    duration: Annotated[Literal[5, 10], Whole] = 5
    aspect_ratio: Literal["16:9", "9:16", "4:3", "3:4", "1:1", "21:9"] = "16:9"
    seed: _Seed | None = None


class _RunwayImage(_RunwayText):
    image: WebAddress


@dataclasses.dataclass(frozen=True)
class Way:
    """What a route takes. The id of the model begins the ids of its requests."""

    api_id: str
    table: type[Strict]


ROUTES: Mapping[str, Way] = MappingProxyType(
    {
        "/ltx-video/v1/text-to-video": Way("ltx-video", _LtxText),
        "/ltx-video/v1/image-to-video": Way("ltx-video", _LtxImage),
        "/p-video/v1/p-video/generate": Way("p-video", _PVideo),
        "/pixverse-v6-text-to-video/v1/pixverse-v6-text-to-video-request": Way("pixverse-v6", _PixverseText),
        "/pixverse-v6-image-to-video/v1/pixverse-v6-image-to-video-request": Way(
            "pixverse-v6", _PixverseImage
        ),
        "/grok-imagine-video/v1/grok-imagine-video-request": Way("grok-imagine-video", _GrokText),
        "/grok-imagine-video-1-5/v1/text-to-video": Way("grok-imagine-video-1-5", _GrokText),
        "/grok-imagine-video-1-5/v1/image-to-video": Way("grok-imagine-video-1-5", _GrokImage),
        "/veo31f/v1/veo-3.1-fast/generate": Way("veo-3-1-fast", _VeoFast),
        "/kling-3-0-text-to-video-standard/v1/kling-3-0-text-to-video-standard-request": Way(
            "kling-3-0-standard", _KlingText
        ),
        "/kling-3-0-image-to-video-standard/v1/kling-3-0-image-to-video-standard-request": Way(
            "kling-3-0-standard", _KlingImage
        ),
        "/seedance-2-0/v1/text-to-video": Way("seedance-2-0", _SeedanceText),
        "/seedance-2-0/v1/first-last-frame-to-video": Way("seedance-2-0", _SeedanceFrames),
        "/wan-2-6-text-to-video-569/v1/wan-2-6-text-to-video-request": Way("wan-2-6", _WanText),
        "/wan-2-6-image-to-video-477/v1/wan-2-6-image-to-video-request": Way("wan-2-6", _WanImage),
        "/minimax-hailuo-ai/v1/generate": Way("minimax-hailuo-ai", _HailuoText),
        "/minimax-hailuo-ai/v1/imageToVideo": Way("minimax-hailuo-ai", _HailuoImage),
        "/runway-gen-4-5/v1/gen-4.5/text-to-video": Way("runway-gen-4-5", _RunwayText),
        "/runway-gen-4-5/v1/gen-4.5/image-to-video": Way("runway-gen-4-5", _RunwayImage),
    }
)
