"""What a gateway says of the models it has, as far as it says anything; pure."""

import dataclasses
from collections.abc import Mapping
from enum import StrEnum

from bot.models import Mode


class Feature(StrEnum):
    """What a model may have beside lengths, resolutions and ratios."""

    PICTURE = "a picture to begin with"
    END_FRAME = "an end frame"
    SOUND = "a choice of sound"
    SEED = "a seed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rate:
    """Micro-dollars a second of clip, for the orders it fits; None fits any."""

    micros: int
    mode: Mode | None = None
    resolution: str | None = None
    sound: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """What a gateway says of one model; None where it does not say, and `lacks` is what it says is not there.

    `resolutions` and `ratios` are words like 720p and 16:9, in lower case.
    """

    seconds: frozenset[int] | None = None
    resolutions: frozenset[str] | None = None
    ratios: frozenset[str] | None = None
    lacks: frozenset[Feature] = frozenset()
    rates: tuple[Rate, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inventory:
    """Every model that a gateway says it has, by its id there."""

    models: Mapping[str, Told]
