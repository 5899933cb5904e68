"""What the tables of the catalogue may hold: the shapes that its data comes in."""

import datetime as dt
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Literal

import pydantic

from bot import money
from bot.models import Mode, Quality, Shape

# Bounded, so that no sum of money or time overflows.
Positive = Annotated[int, pydantic.Field(gt=0, le=1_000_000, strict=True)]


# Their own sentences: pydantic's would name a pattern, or the first of many types.


def _scalar(value: object) -> object:
    if not isinstance(value, bool | int | float | str) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        raise ValueError("must be text, a number, true or false")
    return value


def _usd(value: object) -> object:
    if not isinstance(value, str) or re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value) is None:
        raise ValueError('must be dollars in quotes, with at most six decimals, like "0.27"')
    return value


def written(pattern: str, rule: str) -> pydantic.AfterValidator:
    """Accept text that is written by a pattern, and refuse other text by its `rule`."""

    def checked(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            raise ValueError(rule)
        return value

    return pydantic.AfterValidator(checked)


Field = Annotated[
    str, written(r"[A-Za-z_][A-Za-z0-9_]{0,59}", "must be at most 60 letters, digits and _, no digit first")
]
Scalar = Annotated[object, pydantic.BeforeValidator(_scalar)]
_Usd = Annotated[str, pydantic.BeforeValidator(_usd)]
_Seed = Annotated[int, pydantic.Field(ge=-(2**53 - 1), le=2**53 - 1, strict=True)]  # Discord's whole numbers
_Look = Annotated[  # as Discord's menus take it
    str, pydantic.Field(max_length=100), written(r"(?s).*\S.*", "must hold something to see")
]
_Path = Annotated[str, written(r"/[^/].*", "must begin with one /")]  # of the gateway: the key is sent there


class Table(pydantic.BaseModel):
    """A table with exactly these keys."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


# How a model is asked


class Length(Table):
    """How a request says the clip's length.

    `integer` sends 5, `digits` "5" and `suffixed` "5s"; `frames` sends how many pictures the clip has,
    at `rate` a second and with the one it begins with: 121.
    """

    field: Field
    form: Literal["integer", "digits", "suffixed", "frames"] = "integer"
    rate: Positive | None = None

    @pydantic.model_validator(mode="after")
    def _frames_have_a_rate(self) -> "Length":
        if (self.form == "frames") != (self.rate is not None):
            raise ValueError('rate: belongs to form = "frames", and to no other')
        return self


class PictureField(Table):
    """How a request holds the picture that the clip begins with.

    `send` says as what: a `link`, a `data-url`, or a `file` beside the other fields. `form` says how that is
    wrapped: as it is (`text`), in a list of one (`list`), in an object `{"image_url": …}` (`object`), in the
    JSON text of such an object (`object-text`), or in a list of frames that each name their place (`frames`).
    Without `webp` it takes JPG and PNG only.
    A model with `content` holds pictures there, and needs neither `field` nor `form`.
    """

    send: Literal["link", "data-url", "file"] = "link"
    field: Field | None = None
    form: Literal["text", "list", "object", "object-text", "frames"] = "text"
    webp: pydantic.StrictBool = True

    @pydantic.model_validator(mode="after")
    def _files_are_fields(self) -> "PictureField":
        if self.send == "file" and self.form not in {"text", "list"}:
            raise ValueError(f'form: a file cannot be wrapped in "{self.form}"')
        return self


class Request(Table):
    """How a model is asked, in all its modes.

    `content` names the list that holds prompt and pictures as items; without it the prompt stands in
    `prompt`. `model` is the field that names the model, where one does. `size` is the field that takes a
    row's pixels, as in 1280x720. `send` is sent as it is.
    """

    prompt: Field = "prompt"
    content: Field | None = None
    model: Field | None = None
    length: Length | None = None
    picture: PictureField | None = None
    size: Field | None = None
    send: dict[Field, Scalar] = {}

    @pydantic.model_validator(mode="after")
    def _content_holds_no_files(self) -> "Request":
        if self.content is not None and self.picture is not None and self.picture.send == "file":
            raise ValueError(f"picture.send: a file cannot stand in the list {self.content!r}")
        return self


class Size(Table):
    """What the gateway is sent for a shape and quality; None means any.

    `pixels` is the exact picture the gateway wants, or the clip it is to make.
    """

    shape: Shape | None = None
    quality: Quality | None = None
    send: dict[Field, Scalar] = {}
    pixels: tuple[Positive, Positive] | None = None


class ShapeWords(Table):
    """The field that says how the clip lies, and the model's words for it."""

    field: Field
    words: Annotated[dict[Shape, str], pydantic.Field(min_length=1)]


class QualityWords(Table):
    """The field that says the resolution, and the model's words for it."""

    field: Field
    words: Annotated[dict[Quality, str], pydantic.Field(min_length=1)]


class ModeSpec(Table):
    """How a mode of a model is asked for. `path` is the gateway's route, where modes differ in it.

    Shape and quality are sent by `sizes`, where one word names both, or each by its own field.
    """

    path: _Path | None = None
    send: dict[Field, Scalar] = {}
    sizes: Annotated[tuple[Size, ...], pydantic.Field(min_length=1)] | None = None
    ratio: ShapeWords | None = None
    resolution: QualityWords | None = None

    @pydantic.model_validator(mode="after")
    def _says_it_once(self) -> "ModeSpec":
        if self.sizes is not None and (self.ratio or self.resolution):
            raise ValueError("sizes: says shape and quality; take `ratio` and `resolution` out, or `sizes`")
        return self

    def rows(self) -> Iterator[Size]:
        """Give every shape and quality with what is sent for it."""
        if self.sizes is not None:
            yield from self.sizes
            return
        for shape, shape_word in self.ratio.words.items() if self.ratio else ((None, ""),):
            for quality, word in self.resolution.words.items() if self.resolution else ((None, ""),):
                send: dict[str, Scalar] = {}
                if self.ratio is not None:
                    send[self.ratio.field] = shape_word
                if self.resolution is not None:
                    send[self.resolution.field] = word
                yield Size(shape=shape, quality=quality, send=send)


# What a model lets one choose beside shape, length and quality


class Sound(Table):
    """Sound on or off; it is always said, since the price may hang on it."""

    field: Field
    default: pydantic.StrictBool = False


class NegativePrompt(Table):
    """What the clip must not show, in at most so many characters."""

    field: Field
    most: Positive


class Seed(Table):
    """A number that makes a clip repeatable."""

    field: Field
    least: _Seed = 0
    most: _Seed = 2_147_483_647

    @pydantic.model_validator(mode="after")
    def _has_some(self) -> "Seed":
        if self.least > self.most:
            raise ValueError("least: is more than `most`")
        return self


class Style(Table):
    """One of these looks."""

    field: Field
    words: Annotated[tuple[_Look, ...], pydantic.Field(min_length=1)]

    @pydantic.model_validator(mode="after")
    def _differ(self) -> "Style":
        if len(set(self.words)) != len(self.words):
            raise ValueError("words: each look once")
        return self


class EndFrame(Table):
    """A picture that the clip ends with; without a field it follows the first one in its list."""

    field: Field | None = None


class Options(Table):
    """What a model lets one choose; what it has not is None."""

    sound: Sound | None = None
    negative_prompt: NegativePrompt | None = None
    seed: Seed | None = None
    style: Style | None = None
    end_frame: EndFrame | None = None


# What it costs and how long it takes


class PriceRow(Table):
    """A price in dollars for the orders it matches; None means any.

    Per GPU second, `gpu_seconds` is how many such an order is expected to take, at most: the quote.
    """

    mode: Mode | None = None
    seconds: Positive | None = None
    shape: Shape | None = None
    quality: Quality | None = None
    sound: pydantic.StrictBool | None = None
    usd: _Usd
    gpu_seconds: Positive | None = None

    @property
    def micros(self) -> int:
        """The price in micro-dollars."""
        return money.micros(Decimal(self.usd))


class Price(Table):
    """What a model costs, per second of clip, per video or per second of the machine that renders.

    `noted_on` is the day it was printed, where that is older than the entry.
    """

    unit: Literal["second", "video", "gpu-second"]
    estimate: pydantic.StrictBool = False
    noted_on: dt.date | None = None
    rows: Annotated[tuple[PriceRow, ...], pydantic.Field(min_length=1)]

    @pydantic.model_validator(mode="after")
    def _counts_gpu_seconds(self) -> "Price":
        if any((row.gpu_seconds is not None) != (self.unit == "gpu-second") for row in self.rows):
            raise ValueError('rows: gpu_seconds belongs to each row of unit = "gpu-second", and to no other')
        return self


class Limits(Table):
    """What the gateway allows one key for this model; the defaults are ours, for where no page says."""

    requests_per_minute: Positive = 60
    concurrent_tasks: Positive = 10


class Timing(Table):
    """When to look at a task first, in seconds, and how long it usually takes; until that is learned."""

    first_look_seconds: Positive = 45
    typical_seconds: Positive = 120


# Where it is rendered


class GatewaySpec(Table):
    """A service that renders, and the key it is asked with.

    `key_env` names the variable that holds the key, and is empty where none is needed. A gateway of `play`
    costs play money: it is for rehearsals, and the sandbox serves it where it has no `base_url`.
    `failures_are_free` says that it documents to take no money for tasks that fail. `models_url` is a public
    list of the models of an `apixo` gateway; others are asked at their own address. `limits` are the
    operator's, over all that is ordered with this key: "day 20, month 200".
    """

    name: Annotated[
        str,
        written(
            r"[a-z0-9][a-z0-9._-]{0,39}",
            "must be at most 40 small letters, digits, ., _ and -, a letter or digit first",
        ),
    ]
    kind: Literal["apixo", "pixazo", "videos"]
    base_url: pydantic.HttpUrl | None = None
    key_env: Annotated[
        str,
        written(r"([A-Za-z_][A-Za-z0-9_]*)?", "must be the name of the variable that holds the key"),
    ] = ""
    dialect: str | None = None
    play: pydantic.StrictBool = False
    failures_are_free: pydantic.StrictBool = False
    models_url: pydantic.HttpUrl | None = None
    limits: str = ""
    where: str  # it stands: begins the line that finds fault with it
    is_shipped: bool

    @pydantic.field_validator("base_url")
    @classmethod
    def _routes_can_follow(cls, url: pydantic.HttpUrl | None) -> pydantic.HttpUrl | None:
        if url is not None and any((url.username, url.password, url.query, url.fragment)):
            raise ValueError("must hold no name, password, ? or #: routes are put behind it, and it is shown")
        return url
