"""What exists to be ordered: models, modes, shapes, prices and limits; each order read by its model."""

import datetime as dt
import functools
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import pydantic

from bot import entry_rules, text
from bot.entries import (
    GatewaySpec,
    Limits,
    ModeSpec,
    Options,
    Positive,
    Price,
    PriceRow,
    Request,
    Size,
    Table,
    Timing,
    written,
)
from bot.errors import BadOrder
from bot.models import Account, Mode, Picture, Quality, Quote, Shape, VideoRequest

# What a clip may lie like where nothing is said of it: as its picture does, or as most do.
_AS_THE_PICTURE = (Shape.LANDSCAPE, Shape.PORTRAIT, Shape.SQUARE)
_AS_MOST = (Shape.LANDSCAPE,)

_PRICED_BY = ("mode", "seconds", "shape", "quality", "sound")
_SIZED_BY = ("shape", "quality")

_MOST_LOOKS = 1000  # of a refusal, which is a message of 2,000 characters


class Model(Table):
    """One entry of the catalogue. Without a price it is listed, and takes no orders."""

    model_id: Annotated[  # shown as it is, and put into lists
        str, written(r"[^\s`*~|,<>]{1,80}", "must be at most 80 characters without spaces and `*~|,<>")
    ]
    gateway: str
    account: Account = Account.REAL  # whose money an order of it counts
    title: Annotated[str, pydantic.Field(min_length=1)]
    remote_id: Annotated[str, pydantic.Field(min_length=1)]
    status: Literal["available", "doubtful", "retired"]
    note: str = ""
    noted_on: dt.date
    source: str
    seconds: Annotated[tuple[Positive, ...], pydantic.Field(min_length=1)]
    default_seconds: Positive | None = None
    prompt_limit: Positive
    link_hours: Positive = 24
    route: str | None = None
    watermark_field: str | None = None
    asking: Request = pydantic.Field(Request(), alias="request")
    modes: Annotated[dict[Mode, ModeSpec], pydantic.Field(min_length=1)]
    options: Options = Options()
    price: Price | None = None
    limits: Limits = Limits()
    timing: Timing = Timing()

    @functools.cached_property
    def _sizes(self) -> Mapping[Mode, Sequence[Size]]:
        return {mode: tuple(spec.rows()) for mode, spec in self.modes.items()}

    @functools.cached_property
    def qualities(self) -> tuple[Quality, ...]:
        """The qualities a person can choose from; empty where the model has no such choice."""
        named = {size.quality for sizes in self._sizes.values() for size in sizes}
        return tuple(quality for quality in Quality if quality in named)

    @functools.cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes this model makes, in any mode."""
        made = {shape for mode in self.modes for shape in self.shapes_of(mode)}
        return tuple(shape for shape in Shape if shape in made)

    @property
    def usual_quality(self) -> Quality | None:
        """What a clip has when nobody chose: 720p where that can be had, or else the least."""
        return Quality.P720 if Quality.P720 in self.qualities else next(iter(self.qualities), None)

    @property
    def usual_seconds(self) -> int:
        """How long a clip is when nobody chose."""
        return self.default_seconds or min(self.seconds)

    def shapes_of(self, mode: Mode) -> tuple[Shape, ...]:
        """Return the shapes it makes in a mode; where that has no words for them, those that it makes at all.

        One shape is no choice: then a clip lies as its picture does.
        """
        anywhere = [size for sizes in self._sizes.values() for size in sizes]
        for rows, fewest in ((self._sizes[mode], 1), (anywhere, 2)):
            named = {row.shape for row in rows} - {None}
            if len(named) >= fewest:
                return tuple(shape for shape in Shape if shape in named)
        return _AS_THE_PICTURE if mode is Mode.IMAGE else _AS_MOST

    def size(self, request: VideoRequest) -> Size:
        """Return the one row that says what to send for this request."""
        return next(row for row in self._sizes[request.mode] if _matches(row, request, _SIZED_BY))

    @property
    def takes_webp(self) -> bool:
        """Whether a picture may be a WebP."""
        return self.asking.picture is None or self.asking.picture.webp

    def takes(self, picture: Picture, request: VideoRequest) -> bool:
        """Whether a picture that was made what another model takes is what this one takes, too."""
        is_known = self.takes_webp or picture.content_type != "image/webp"
        return is_known and self.size(request).pixels in {None, (picture.width, picture.height)}

    def quote(self, request: VideoRequest) -> Quote:
        """Return what the request costs.

        Raises:
            BadOrder: nobody knows its price.
        """
        if self.price is None:
            raise BadOrder(f"{self.model_id} has no price yet; the operator has to set one.")
        row = self._price_row(self.price, request)
        count = {"second": request.seconds, "video": 1, "gpu-second": row.gpu_seconds or 0}[self.price.unit]
        return Quote(
            micros=row.micros * count,
            estimate=self.price.estimate or self.price.unit == "gpu-second",
            version=self._price_version,
        )

    @functools.cached_property
    def cheapest(self) -> Quote | None:
        """What its cheapest order costs; None where nobody knows."""
        if self.price is None:
            return None
        return min((self.quote(order) for order in self.orders()), key=lambda quote: quote.micros)

    def cost_micros(self, request: VideoRequest, took_seconds: float | None) -> int | None:
        """Return what a finished task has cost, where that hangs on how long it took; else None."""
        if self.price is None or self.price.unit != "gpu-second" or took_seconds is None:
            return None
        return round(self._price_row(self.price, request).micros * took_seconds)

    def _price_row(self, price: Price, request: VideoRequest) -> PriceRow:
        return next(row for row in price.rows if _matches(row, request, _PRICED_BY))

    @property
    def priced_on(self) -> dt.date:
        """The day its price was printed, or else the one its entry was written."""
        printed = None if self.price is None else self.price.noted_on
        return self.noted_on if printed is None else min(printed, self.noted_on)

    @functools.cached_property
    def _price_version(self) -> str:
        """Name the price list by its content, so that the ledger says which one a quote was read from."""
        digest = hashlib.sha256(self.price.model_dump_json().encode() if self.price else b"")
        return f"{self.priced_on}-{digest.hexdigest()[:8]}"

    def orders(self, mode: Mode | None = None) -> Iterator[VideoRequest]:
        """Every order a person can make, but for its prompt and what costs nothing to choose."""
        sounds = (None,) if self.options.sound is None else (self.options.sound.default, True, False)
        for each_mode in self.modes:
            if mode in {None, each_mode}:
                for seconds, shape, quality, sound in itertools.product(
                    self.seconds,
                    self.shapes_of(each_mode),
                    self.qualities or (None,),
                    dict.fromkeys(sounds),
                ):
                    yield VideoRequest(
                        model=self.model_id,
                        mode=each_mode,
                        prompt="",
                        seconds=seconds,
                        shape=shape,
                        quality=quality,
                        sound=sound,
                    )

    def has_option(self, name: str) -> bool:
        """Whether a person may choose this; `name` is one of the options, or `keep_watermark`."""
        if name == "keep_watermark":
            return self.watermark_field is not None
        return getattr(self.options, name) is not None

    def check_prompt(self, prompt: str) -> None:
        """Refuse a prompt that is blank or longer (in code points) than the model takes.

        Raises:
            BadOrder: with the limit and the length given.
        """
        if text.is_blank(prompt):
            raise BadOrder(
                f"The prompt is empty. {self.model_id} takes 1 to {self.prompt_limit:,} characters."
            )
        if len(prompt) > self.prompt_limit:
            raise BadOrder(
                f"The prompt has {len(prompt):,} characters; "
                f"{self.model_id} takes at most {self.prompt_limit:,}."
            )

    def check_mode(self, mode: Mode) -> None:
        """Refuse a mode the model has not.

        Raises:
            BadOrder: naming the modes it has.
        """
        if mode not in self.modes:
            has = " and ".join(self.modes)
            advice = "Leave the picture out" if mode is Mode.IMAGE else "Attach a picture"
            raise BadOrder(
                f"{self.model_id} makes {has} only. {advice}, or choose another model: `/video models`."
            )

    def request(
        self,
        *,
        mode: Mode,
        prompt: str,
        seconds: int | None = None,
        shape: Shape | None = None,
        quality: Quality | None = None,
        keep_watermark: bool | None = None,
        sound: bool | None = None,
        negative_prompt: str | None = None,
        seed: int | None = None,
        style: str | None = None,
    ) -> VideoRequest:
        """Fill in the defaults and refuse what the model has not.

        Raises:
            BadOrder: with a sentence that names what the model has.
        """
        self.check_prompt(prompt)
        self.check_mode(mode)
        if seconds is not None and seconds not in self.seconds:
            raise BadOrder(
                f"{self.model_id} makes clips of {text.either(self.seconds)} seconds, not {seconds}."
            )
        shapes = self.shapes_of(mode)
        if shape is not None and shape not in shapes:
            raise BadOrder(f"{self.model_id} makes {text.either(shapes)} clips, not {shape}.")
        if quality is not None and quality not in self.qualities:
            has = f"has {text.either(self.qualities)}" if self.qualities else "has no choice of quality"
            raise BadOrder(f"{self.model_id} {has}; leave `quality` out or choose another model.")
        has_sound = self.options.sound
        self._check_options(
            keep_watermark=keep_watermark,
            sound=sound,
            negative_prompt=negative_prompt,
            seed=seed,
            style=style,
        )
        return VideoRequest(
            model=self.model_id,
            mode=mode,
            prompt=prompt,
            seconds=seconds or self.usual_seconds,
            shape=shape or shapes[0],
            quality=quality or self.usual_quality,
            keep_watermark=bool(keep_watermark) if self.watermark_field else None,
            sound=(has_sound.default if sound is None else sound) if has_sound is not None else None,
            negative_prompt=negative_prompt,
            seed=seed,
            style=style,
        )

    def _check_options(self, **given: Any) -> None:
        """Refuse an option the model has not, or a value that it does not take.

        Raises:
            BadOrder: naming what it takes.
        """
        for name, value in given.items():
            if value is not None and not self.has_option(name):
                raise BadOrder(
                    f"{self.model_id} has no option `{name}`; leave it out or choose another model."
                )
        negative, seed, style = self.options.negative_prompt, self.options.seed, self.options.style
        if negative is not None and len(given["negative_prompt"] or "") > negative.most:
            raise BadOrder(
                f"The negative prompt has {len(given['negative_prompt']):,} characters; "
                f"{self.model_id} takes at most {negative.most:,}."
            )
        if seed is not None and given["seed"] is not None and not seed.least <= given["seed"] <= seed.most:
            raise BadOrder(f"{self.model_id} takes seeds from {seed.least} to {seed.most}.")
        if style is not None and given["style"] is not None and given["style"] not in style.words:
            looks = text.cut(text.either(style.words), _MOST_LOOKS)
            raise BadOrder(f"{self.model_id} has the styles {looks}.")

    @pydantic.model_validator(mode="after")
    def _contradicts_itself_nowhere(self) -> "Model":
        if len(set(self.seconds)) != len(self.seconds):
            raise ValueError("seconds: each length once")
        if self.default_seconds is not None and self.default_seconds not in self.seconds:
            raise ValueError("default_seconds: is none of `seconds`")
        if len(self.seconds) > 1 and self.asking.length is None:
            raise ValueError("request.length: is missing; there is more than one length to ask for")
        entry_rules.check_pictures(self.asking, self.options, has_pictures=Mode.IMAGE in self.modes)
        named = entry_rules.fields(self.asking, self.options)
        if self.watermark_field is not None:
            named["watermark_field"] = self.watermark_field
        for mode, spec in self.modes.items():
            entry_rules.check_fields(named, self.asking.send, mode, spec)
            sizes = {"shape": self.shapes_of(mode), "quality": self.qualities or (None,)}
            name = f"modes.{mode}.{'sizes' if spec.resolution is None else 'resolution'}"
            entry_rules.check_rows(name, self._sizes[mode], sizes)
            if self.price is not None:
                sounds = (None,) if self.options.sound is None else (True, False)
                choices = {"mode": (mode,), "seconds": self.seconds, **sizes, "sound": sounds}
                entry_rules.check_rows("price.rows", self.price.rows, choices)
        return self


class Catalogue:
    """All models by id and all gateways by name, in the order of the file."""

    def __init__(self, models: Mapping[str, Model], gateways: Mapping[str, GatewaySpec]) -> None:
        self.models: Mapping[str, Model] = dict(models)
        self.gateways: Mapping[str, GatewaySpec] = dict(gateways)

    def of_gateway(self, name: str) -> list[Model]:
        """Return the models that a gateway renders."""
        return [model for model in self.models.values() if model.gateway == name]


def _matches(row: Size | PriceRow, request: VideoRequest, keys: Iterable[str]) -> bool:
    """Whether every key the row has agrees with the request."""
    return all(getattr(row, key) in {None, getattr(request, key)} for key in keys)
