"""What exists to be ordered: models, modes, shapes, prices and limits, each entry checked."""

import datetime as dt
import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, TypeVar

import pydantic

from bot import models_file, money, text
from bot.errors import BadOrder, SettingsError
from bot.models import Account, Mode, Quality, Quote, Shape, VideoRequest
from bot.models_file import Entry

GatewayName: TypeAlias = Literal["apixo", "pixazo", "sandbox-apixo", "sandbox-pixazo"]

_Positive = Annotated[int, pydantic.Field(gt=0, strict=True)]
_Usd = Annotated[str, pydantic.Field(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6})?$")]
_Path = Annotated[str, pydantic.Field(pattern=r"^/[^/].*$")]  # of the gateway: the key is sent there


class _Entry(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Size(_Entry):
    """What the gateway is sent for a shape and quality; None means any."""

    shape: Shape | None = None
    quality: Quality | None = None
    send: dict[str, str]
    pixels: tuple[_Positive, _Positive] | None = None


class ModeSpec(_Entry):
    """How a mode of a model is asked for. `path` is the gateway's route, where modes differ in it."""

    path: _Path | None = None
    picture: Literal["link", "data-url"] | None = None
    sizes: Annotated[tuple[Size, ...], pydantic.Field(min_length=1)]


class PriceRow(_Entry):
    """A price in dollars for the orders it matches; None means any."""

    mode: Mode | None = None
    seconds: _Positive | None = None
    shape: Shape | None = None
    quality: Quality | None = None
    usd: _Usd


class Price(_Entry):
    """What a model costs, per second of clip or per video."""

    unit: Literal["second", "video"]
    estimate: pydantic.StrictBool = False
    rows: Annotated[tuple[PriceRow, ...], pydantic.Field(min_length=1)]


class Limits(_Entry):
    """What the gateway allows one key for this model."""

    requests_per_minute: _Positive
    concurrent_tasks: _Positive


class Timing(_Entry):
    """When to look at a task first, in seconds, and how long it usually takes; until that is learned."""

    first_look_seconds: _Positive
    typical_seconds: _Positive


class Model(_Entry):
    """One entry of the catalogue."""

    model_id: Annotated[str, pydantic.Field(pattern=r"^[^\s`]{1,80}$")]
    title: str
    gateway: GatewayName
    remote_id: str
    status: Literal["available", "doubtful", "retired"]
    note: str = ""
    noted_on: dt.date
    source: str
    seconds: Annotated[tuple[_Positive, ...], pydantic.Field(min_length=1)]
    prompt_limit: _Positive
    link_hours: _Positive
    route: str | None = None
    watermark_field: str | None = None
    modes: Annotated[dict[Mode, ModeSpec], pydantic.Field(min_length=1)]
    price: Price
    limits: Limits
    timing: Timing

    @property
    def account(self) -> Account:
        """Whose money an order of this model counts."""
        return Account.SANDBOX if self.gateway.startswith("sandbox-") else Account.REAL

    @property
    def qualities(self) -> tuple[Quality, ...]:
        """The qualities a person can choose from; empty where the model has no such choice."""
        named = {size.quality for spec in self.modes.values() for size in spec.sizes}
        return tuple(quality for quality in Quality if quality in named)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes this model makes."""
        sizes = [size for spec in self.modes.values() for size in spec.sizes]
        return tuple(shape for shape in Shape if any(size.shape in {None, shape} for size in sizes))

    def size(self, request: VideoRequest) -> Size:
        """Return the one row that says what to send for this request."""
        return _one(self.modes[request.mode].sizes, request)

    def quote(self, request: VideoRequest) -> Quote:
        """Return what the request costs."""
        each = money.micros(Decimal(_one(self.price.rows, request).usd))
        count = request.seconds if self.price.unit == "second" else 1
        return Quote(micros=each * count, estimate=self.price.estimate, version=self._price_version)

    @functools.cached_property
    def _price_version(self) -> str:
        """Name the price list by its content, so that the ledger says which one a quote was read from."""
        digest = hashlib.sha256(self.price.model_dump_json().encode()).hexdigest()
        return f"{self.noted_on}-{digest[:8]}"

    def orders(self, mode: Mode | None = None) -> Iterator[VideoRequest]:
        """Every order a person can make, but for its prompt: what prices and sizes must cover."""
        for each_mode, seconds, shape, quality in itertools.product(
            self.modes, self.seconds, self.shapes, self.qualities or (None,)
        ):
            if mode in {None, each_mode}:
                yield VideoRequest(
                    model=self.model_id,
                    mode=each_mode,
                    prompt="",
                    seconds=seconds,
                    shape=shape,
                    quality=quality,
                )

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
    ) -> VideoRequest:
        """Fill in the defaults and refuse what the model has not.

        Raises:
            BadOrder: with a sentence that names what the model has.
        """
        self.check_prompt(prompt)
        self.check_mode(mode)
        if seconds is not None and seconds not in self.seconds:
            raise BadOrder(f"{self.model_id} makes clips of {_or(self.seconds)} seconds, not {seconds}.")
        if shape is not None and shape not in self.shapes:
            raise BadOrder(f"{self.model_id} makes {_or(self.shapes)} clips, not {shape}.")
        if quality is not None and quality not in self.qualities:
            has = f"has {_or(self.qualities)}" if self.qualities else "has no choice of quality"
            raise BadOrder(f"{self.model_id} {has}; leave `quality` out or choose another model.")
        if keep_watermark is not None and self.watermark_field is None:
            raise BadOrder(f"{self.model_id} has no watermark option; leave `keep_watermark` out.")
        return VideoRequest(
            model=self.model_id,
            mode=mode,
            prompt=prompt,
            seconds=seconds or min(self.seconds),
            shape=shape or self.shapes[0],
            quality=quality or next(iter(self.qualities), None),
            keep_watermark=bool(keep_watermark) if self.watermark_field else None,
        )

    @pydantic.model_validator(mode="after")
    def _every_order_has_one_size_and_one_price(self) -> "Model":
        for order in self.orders():
            for name, rows in (
                (f"modes.{order.mode}.sizes", self.modes[order.mode].sizes),
                ("price.rows", self.price.rows),
            ):
                matches = sum(_matches(row, order) for row in rows)
                if matches != 1:
                    raise ValueError(
                        f"{name}: {matches} rows match {order.mode}, {order.seconds} s, "
                        f"{order.shape}, {order.quality or 'no quality'}; exactly one must"
                    )
        return self

    @pydantic.model_validator(mode="after")
    def _says_what_its_gateway_needs(self) -> "Model":
        if len(set(self.seconds)) != len(self.seconds):
            raise ValueError("seconds: each length once")
        for mode, spec in self.modes.items():
            if mode is Mode.IMAGE and spec.picture is None:
                raise ValueError(f'modes.{mode}.picture: say "link" or "data-url"')
            if mode is Mode.TEXT and spec.picture is not None:
                raise ValueError(f"modes.{mode}.picture: there is no picture in this mode; take it out")
            if self.gateway.endswith("pixazo") and spec.path is None:
                raise ValueError(f"modes.{mode}.path: is missing; {self.gateway} has one for each mode")
        return self


class Catalogue:
    """All models by id, in the order of the file."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self.models: Mapping[str, Model] = dict(models)

    @classmethod
    def load(cls, operators_file: Path | None = None) -> "Catalogue":
        """Read the shipped catalogue and merge the operator's file over it.

        Raises:
            SettingsError: one line with the file, the table and the key that is wrong.
        """
        entries = models_file.read_entries(operators_file)
        return cls({entry.name: _build(entry) for entry in entries})


def _build(entry: Entry) -> Model:
    if "model_id" in entry.table:
        raise SettingsError(f"{entry.where} model_id: the table's name is the model's id; take it out")
    try:
        return Model.model_validate({"model_id": entry.name, **entry.table})
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = first["msg"].removeprefix("Value error, ")
        key = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{entry.where} {key}: {reason}" if key else f"{entry.where} {reason}") from error


def _matches(row: Size | PriceRow, request: VideoRequest) -> bool:
    """Whether every key the row has agrees with the request."""
    return all(
        getattr(row, key, None) in {None, getattr(request, key)}
        for key in ("mode", "seconds", "shape", "quality")
    )


_Row = TypeVar("_Row", Size, PriceRow)


def _one(rows: tuple[_Row, ...], request: VideoRequest) -> _Row:
    return next(row for row in rows if _matches(row, request))


def _or(values: tuple[object, ...]) -> str:
    *most, last = map(str, values)
    return f"{', '.join(most)} or {last}" if most else last
