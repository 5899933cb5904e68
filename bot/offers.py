"""What changes the price of an order, which other models can do it, and which of them is best; pure."""

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from bot.catalogue import Model
from bot.errors import BadOrder
from bot.models import AutoPolicy, Quality, Quote, VideoRequest

MOST_CHEAPER = 4

_QUALITIES = tuple(Quality)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offer:
    """One way to order, and what it costs."""

    request: VideoRequest
    quote: Quote


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """An offer beside others: when its clip is to be expected, and how far it is to be trusted.

    `waiting` is how many wait for a place there. Of the `ended` orders that ended lately `faults` failed by a
    fault of the gateway. `doubt` says in a word why others go before it. `is_usual` says that its length is
    the one of an order that names none.
    """

    offer: Offer
    takes_seconds: float
    waits_seconds: float
    waiting: int
    ended: int
    faults: int
    doubt: str = ""
    is_usual: bool = False

    @property
    def ready_seconds(self) -> float:
        """How long it is from the order to the clip."""
        return self.waits_seconds + self.takes_seconds


def best_first(choices: Iterable[Choice], policy: AutoPolicy, own_order: Sequence[str]) -> list[Choice]:
    """Sort choices by a server's policy, those in doubt last.

    In staff's own order the models that it does not name follow it, the cheapest first.
    """
    places = {model_id: place for place, model_id in enumerate(own_order)}

    def key(choice: Choice) -> tuple[Any, ...]:
        request, price = choice.offer.request, choice.offer.quote.micros
        match policy:
            case AutoPolicy.CHEAPEST:
                by_policy: tuple[float, ...] = (price, choice.ready_seconds)
            case AutoPolicy.FASTEST:
                by_policy = (choice.ready_seconds, price)
            case AutoPolicy.OWN:
                by_policy = (places.get(request.model, len(places)), price)
        return bool(choice.doubt), *by_policy, request.seconds

    return sorted(choices, key=key)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ways:
    """An order beside the others of its own model that differ in one thing; they hold the order itself.

    `cheaper` are ways with any model, the cheapest first.
    """

    lengths: tuple[Offer, ...]
    qualities: tuple[Offer, ...]
    cheaper: tuple[Offer, ...]


def ways(request: VideoRequest, model: Model, others: Iterable[Offer]) -> Ways:
    """Return what an order costs in another length or quality, and what is cheaper, `others` included."""
    own = [*variants(request, model, model)]
    lengths = tuple(offer for offer in own if offer.request.quality == request.quality)
    qualities = tuple(offer for offer in own if offer.request.seconds == request.seconds)
    price = next((offer.quote.micros for offer in own if offer.request == request), 0)
    # The cheapest of all may differ in more than one thing.
    cheapest = sorted(own, key=lambda offer: offer.quote.micros)[:1]
    cheaper = {
        offer.request: offer
        for offer in (*lengths, *qualities, *others, *cheapest)
        if offer.quote.micros < price and _keeps_sound(request, offer)
    }
    return Ways(
        lengths=lengths,
        qualities=qualities,
        cheaper=tuple(sorted(cheaper.values(), key=lambda offer: offer.quote.micros)[:MOST_CHEAPER]),
    )


def nearest(request: VideoRequest, own: Model, other: Model, *, ends: bool = False) -> Offer | None:
    """Return what of another model comes nearest to an order, in the same mode and shape; or None.

    That is the same length or the one next to it, and so with the quality, which is the usual one where the
    order has none. What else was chosen stays as it is, and so does a picture to end with, where it `ends`
    with one.
    """
    wanted = request.quality or other.usual_quality
    return min(
        variants(request, own, other, ends=ends),
        key=lambda offer: (
            abs(offer.request.seconds - request.seconds),
            _between(offer.request.quality, wanted),
            offer.quote.micros,
        ),
        default=None,
    )


def _between(one: Quality | None, other: Quality | None) -> int:
    """Return how many steps two qualities are from each other."""
    return 0 if one is None or other is None else abs(_QUALITIES.index(one) - _QUALITIES.index(other))


def same(request: VideoRequest, own: Model, other: Model, *, ends: bool = False) -> Offer | None:
    """Return the very same order of another model; None where that cannot do it."""
    found = nearest(request, own, other, ends=ends)
    if found is None or found.request.seconds != request.seconds or not _keeps_sound(request, found):
        return None
    is_default = request.quality == own.usual_quality
    is_alike = found.request.quality is request.quality or (is_default and not other.qualities)
    return found if is_alike or request.quality is None else None


def _keeps_sound(request: VideoRequest, offer: Offer) -> bool:
    """Whether a clip that was to have sound surely has it: some models say nothing of theirs."""
    return bool(offer.request.sound or not request.sound)


def variants(request: VideoRequest, own: Model, other: Model, *, ends: bool = False) -> Iterator[Offer]:
    """Give a model's orders of another length or quality, with all else as it was asked of `own`."""
    if (ends and not other.has_option("end_frame")) or request.mode not in other.modes:
        return
    for seconds in other.seconds:
        for quality in other.qualities or (None,):
            choices: dict[str, Any] = {**_chosen(request, own, other), "seconds": seconds, "quality": quality}
            try:
                one = other.request(mode=request.mode, prompt=request.prompt, **choices)
                yield Offer(request=one, quote=other.quote(one))
            except BadOrder:
                continue


def _chosen(request: VideoRequest, own: Model, other: Model) -> dict[str, Any]:
    """Return what was chosen but for length and quality.

    What its own model does anyway is no choice, but said to another that may do otherwise.
    """
    chosen = dict(request.choices)
    if not request.keep_watermark:
        del chosen["keep_watermark"]
    if own.options.sound is None or (
        other.options.sound is None and request.sound == own.options.sound.default
    ):
        del chosen["sound"]
    return chosen


def spread(choices: Iterable[Choice], most: int) -> list[Choice]:
    """Choose at most so many: the usual length of each model first, then its shortest ones; order stays."""
    listed = list(choices)
    by_length = sorted(listed, key=lambda choice: (not choice.is_usual, _place_in_model(choice, listed)))
    kept = {choice.offer.request for choice in by_length[:most]}
    return [choice for choice in listed if choice.offer.request in kept]


def _place_in_model(choice: Choice, listed: Collection[Choice]) -> int:
    request = choice.offer.request
    return sum(
        one.offer.request.model == request.model and one.offer.request.seconds < request.seconds
        for one in listed
    )
