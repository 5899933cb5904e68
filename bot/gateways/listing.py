"""Reads a gateway's list of its models, trusting nothing in it.

Facts: OpenRouter, Video Generation: https://openrouter.ai/docs/api_reference/videos. APIXO's list of schemas
has `models` with `model_id` and `slug`; a list of OpenAI's shape has `data` with `id`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, cast

import pydantic

from bot.gateways.base import Missing, NoAnswer
from bot.gateways.http import Reply
from bot.gateways.line import Line
from bot.gateways.reading import TaskId, Text, amount
from bot.inventory import Feature, Inventory, Rate, Told
from bot.models import Mode
from bot.money import MICROS_PER_CENT, MICROS_PER_DOLLAR

_MOST_MODELS = 5000
_MOST_VALUES = 200
_MOST_SECONDS = 3600
_MOST_DOLLARS = 1000

_RESOLUTION = re.compile(r"[0-9]{3,4}p|[0-9]{1,2}k", re.ASCII)
_RATIO = re.compile(r"[0-9]{1,3}:[0-9]{1,3}|[a-z]{1,20}", re.ASCII)
# The names of OpenRouter's prices by the second of clip, with what they are for: neither its words nor
# their order are fixed. Prices by the token, the picture or the pixel are not among them.
_BY_THE_SECOND = re.compile(
    r"((?P<mode>text|image)_to_video_)?"
    r"(duration_seconds|per_video_second|(?P<cents>cents_per_(second_output|video_output_second)))"
    r"(?P<more>(_[a-z0-9]+)*)",
    re.ASCII,
)
_MODES = {"text": Mode.TEXT, "image": Mode.IMAGE, None: None}
_AUDIO = {"_with_audio": True, "_without_audio": False}


def _values(value: object) -> Iterator[object]:
    """Give the values of a list, of one that is not endless."""
    if isinstance(value, list):
        yield from cast("list[object]", value)[:_MOST_VALUES]


def _lengths(value: object) -> frozenset[int] | None:
    found = (one for one in _values(value) if isinstance(one, int) and not isinstance(one, bool))
    return frozenset(one for one in found if 0 < one <= _MOST_SECONDS) or None


def _matching(pattern: re.Pattern[str], value: object) -> frozenset[str] | None:
    found = (one.lower() for one in _values(value) if isinstance(one, str))
    return frozenset(one for one in found if pattern.fullmatch(one)) or None


def _resolutions(value: object) -> frozenset[str] | None:
    return _matching(_RESOLUTION, value)


def _ratios(value: object) -> frozenset[str] | None:
    return _matching(_RATIO, value)


def _frames(value: object) -> frozenset[str] | None:
    found = frozenset(one for one in _values(value) if isinstance(one, str))
    return found if isinstance(value, list) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


class _Answer(pydantic.BaseModel):
    """What a list is wrapped in, or a refusal."""

    error: Text = ""
    message: Text = ""
    detail: Text = ""


class _Entry(pydantic.BaseModel):
    """One model; all but its name is OpenRouter's."""

    id: TaskId = ""
    model_id: TaskId = ""
    slug: TaskId = ""
    supported_durations: Annotated[frozenset[int] | None, pydantic.BeforeValidator(_lengths)] = None
    supported_resolutions: Annotated[frozenset[str] | None, pydantic.BeforeValidator(_resolutions)] = None
    supported_aspect_ratios: Annotated[frozenset[str] | None, pydantic.BeforeValidator(_ratios)] = None
    supported_frame_images: Annotated[frozenset[str] | None, pydantic.BeforeValidator(_frames)] = None
    generate_audio: Annotated[bool | None, pydantic.BeforeValidator(_flag)] = None
    seed: Annotated[bool | None, pydantic.BeforeValidator(_flag)] = None
    pricing_skus: Any = None

    def told(self) -> Told:
        return Told(
            seconds=self.supported_durations,
            resolutions=self.supported_resolutions,
            ratios=self.supported_aspect_ratios,
            lacks=frozenset(self._lacking()),
            rates=tuple(_rates(self.pricing_skus)),
        )

    def _lacking(self) -> Iterator[Feature]:
        frames = self.supported_frame_images
        if frames is not None and "first_frame" not in frames:
            yield Feature.PICTURE
        if frames is not None and "last_frame" not in frames:
            yield Feature.END_FRAME
        if self.generate_audio is False:
            yield Feature.SOUND
        if self.seed is False:
            yield Feature.SEED


def read(reply: Reply, line: Line) -> Inventory | Missing | NoAnswer:
    """Read a list of models; Missing where there is none at its address."""
    answer = _Answer.model_validate(reply.body or {})
    words = line.plain(answer.error or answer.message or answer.detail or reply.text)
    nothing = line.no_task(reply, reply.status, words)
    if nothing is not None:
        return nothing
    body = reply.body or {}
    listed: object = body.get("data", body.get("models"))
    if not isinstance(listed, list) or len(cast("list[object]", listed)) > _MOST_MODELS:
        return NoAnswer(detail=f"no list of models: {words}")
    models: dict[str, Told] = {}
    for one in cast("list[object]", listed):
        if isinstance(one, dict):
            entry = _Entry.model_validate(one)
            names = {entry.id, entry.model_id, entry.slug} - {""}
            models |= {name: entry.told() for name in names if not line.holds_key(name)}
    return Inventory(models=models) if models else NoAnswer(detail=f"no list of models: {words}")


def _rates(skus: object) -> Iterator[Rate]:
    """Read the prices by the second, if the price of a clip hangs on nothing else."""
    if not isinstance(skus, dict):
        return
    prices = cast("Mapping[str, object]", skus)
    if len(prices) > _MOST_VALUES or any("minimum" in name for name in prices):
        return
    for name, price in prices.items():
        found = _BY_THE_SECOND.fullmatch(name.lower().replace("-", "_"))
        if found is None:
            continue
        micros = _micros(price, MICROS_PER_CENT if found["cents"] else MICROS_PER_DOLLAR)
        more, sound = found["more"], None
        for words, with_sound in _AUDIO.items():
            if words in more:
                more, sound = more.replace(words, ""), with_sound
        resolution = more.removeprefix("_") or None
        if micros is not None and (resolution is None or _RESOLUTION.fullmatch(resolution)):
            yield Rate(micros=micros, mode=_MODES[found["mode"]], resolution=resolution, sound=sound)


def _micros(price: object, unit_micros: int) -> int | None:
    units = amount(price)
    if units is None or not 0 <= units <= _MOST_DOLLARS * MICROS_PER_DOLLAR // unit_micros:
        return None
    return int((units * unit_micros).to_integral_value())
