"""What an order to `/v1/videos` may say: a table of fields for each dialect and encoding.

- "OpenAI API Reference, Videos": https://platform.openai.com/docs/api-reference/videos
- "SGLang Diffusion OpenAI API": https://docs.sglang.io/diffusion/api/openai_api.html
- "vLLM-Omni, Videos API": https://docs.vllm.ai/projects/vllm-omni/en/latest/serving/videos_api/
- "New API, Sora: create a video": https://docs.newapi.pro/zh/docs/api/ai-model/videos/sora/create-video
- "OpenRouter, Video Generation API": https://openrouter.ai/docs/api_reference/videos

Some of the servers would overlook a field they do not know; here it is refused, since whoever sent it meant
something by it.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

import pydantic
from pydantic import Field

from bot.sandbox.body import Prompt, Strict, WebAddress, Whole

_MOST_LINK = 20_971_520  # characters of an address or a data URL
_Positive: TypeAlias = Annotated[int, Field(gt=0)]
_Link: TypeAlias = Annotated[str, Field(max_length=_MOST_LINK, pattern=r"^(https?://|data:image/)")]
_Size: TypeAlias = Annotated[str, Field(pattern=r"^[1-9]\d{1,3}x[1-9]\d{1,3}$")]
_Digits: TypeAlias = Annotated[str, Field(pattern=r"^[1-9]\d*$")]


class OpenAiForm(Strict):
    """A form, or what it has in common with JSON."""

    prompt: Annotated[Prompt, Field(max_length=32_000)]
    model: Literal["sora-2", "sora-2-pro", "sora-2-2025-10-06", "sora-2-2025-12-08"] = "sora-2"
    seconds: Literal["4", "8", "12", "16", "20"] = "4"
    size: Literal["720x1280", "1280x720", "1024x1792", "1792x1024", "1080x1920", "1920x1080"] = "720x1280"


class _Reference(Strict):
    image_url: _Link | None = None
    file_id: str | None = None

    @pydantic.model_validator(mode="after")
    def _is_one(self) -> "_Reference":
        if (self.image_url is None) == (self.file_id is None):
            raise ValueError("must hold exactly one of image_url and file_id")
        if self.file_id is not None:
            raise ValueError("no such file")
        return self


class OpenAiJson(OpenAiForm):
    """An object around the picture, never a bare string."""

    input_reference: _Reference | None = None


class SglangForm(Strict):
    """Its seconds are an integer; an empty size leaves it to the model."""

    prompt: Prompt
    model: str = ""
    seconds: _Positive = 4
    size: Annotated[str, Field(pattern=r"^([1-9]\d{1,3}x[1-9]\d{1,3})?$")] = ""
    width: _Positive | None = None
    height: _Positive | None = None
    fps: _Positive | None = None
    num_frames: _Positive | None = None
    seed: int | None = None
    negative_prompt: str | None = None
    num_inference_steps: _Positive | None = None
    guidance_scale: float | None = None
    n: Annotated[Literal[1], Whole] = 1


class SglangJson(SglangForm):
    """The picture is a string here."""

    input_reference: _Link | None = None
    reference_url: _Link | None = None


class VllmForm(Strict):
    """Without `seconds` and `num_frames` it makes one frame."""

    prompt: Prompt
    model: str = ""
    seconds: _Digits | None = None
    size: _Size | None = None
    width: _Positive | None = None
    height: _Positive | None = None
    num_frames: _Positive | None = None
    fps: _Positive | None = None
    seed: int | None = None
    negative_prompt: str | None = None
    num_inference_steps: _Positive | None = None
    guidance_scale: float | None = None
    guidance_scale_2: float | None = None
    flow_shift: float | None = None
    generate_sound: bool = False
    image_reference: (
        Annotated[pydantic.Json[dict[Literal["image_url"], _Link]], Field(min_length=1)] | None
    ) = None
    user: str | None = None


class NewApiForm(Strict):
    """Its length is `seconds` or `duration`."""

    prompt: Prompt
    model: str
    seconds: _Digits | None = None
    duration: _Positive | None = None
    size: _Size | None = None

    @pydantic.model_validator(mode="after")
    def _says_its_length_once(self) -> "NewApiForm":
        if self.seconds is not None and self.duration is not None:
            raise ValueError("duration: seconds say it already")
        return self


class NewApiJson(NewApiForm):
    """The picture is a string, and `metadata` an open table."""

    image: _Link | None = None
    metadata: dict[str, Any] | None = None


@dataclasses.dataclass(frozen=True)
class Abilities:
    """What a model at OpenRouter can do; its list of models tells it."""

    durations: tuple[int, ...]
    resolutions: tuple[str, ...]
    ratios: tuple[str, ...]
    frames: tuple[str, ...]


OPENROUTER_MODELS: Mapping[str, Abilities] = MappingProxyType(
    {
        "google/veo-3.1": Abilities(
            durations=(4, 6, 8),
            resolutions=("720p", "1080p"),
            ratios=("16:9", "9:16"),
            frames=("first_frame", "last_frame"),
        ),
        "bytedance/seedance-2.0": Abilities(
            durations=tuple(range(4, 16)),
            resolutions=("480p", "720p"),
            ratios=("16:9", "9:16", "1:1", "4:3", "3:4", "21:9"),
            frames=("first_frame", "last_frame"),
        ),
        "alibaba/wan-2.6": Abilities(
            durations=(5, 10),
            resolutions=("720p", "1080p"),
            ratios=("16:9", "9:16", "1:1"),
            frames=("first_frame",),
        ),
    }
)


class _Url(Strict):
    url: _Link


class _Frame(Strict):
    type: Literal["image_url"]
    image_url: _Url
    frame_type: Literal["first_frame", "last_frame"]


class OpenRouterJson(Strict):
    """Of its values a model takes those that it is listed with."""

    prompt: Prompt
    model: str
    duration: _Positive | None = None
    resolution: str | None = None
    aspect_ratio: str | None = None
    frame_images: Annotated[tuple[_Frame, ...], pydantic.Strict(strict=False)] = ()
    generate_audio: bool = True
    seed: int | None = None
    callback_url: WebAddress | None = None

    @pydantic.model_validator(mode="after")
    def _keeps_to_the_list(self) -> "OpenRouterJson":
        has = OPENROUTER_MODELS.get(self.model)
        if has is None:
            return self
        frames = [frame.frame_type for frame in self.frame_images]
        for name, values, known in (
            ("duration", [self.duration], has.durations),
            ("resolution", [self.resolution], has.resolutions),
            ("aspect_ratio", [self.aspect_ratio], has.ratios),
            ("frame_images", frames, has.frames),
        ):
            if any(value is not None and value not in known for value in values):
                raise ValueError(f"{name}: {self.model} has {', '.join(map(str, known))}")
        if len(set(frames)) < len(frames) or frames == ["last_frame"]:
            raise ValueError("frame_images: one first_frame, and perhaps one last_frame")
        return self
