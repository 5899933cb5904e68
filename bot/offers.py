"""What changes the price of an order, and cheaper ways to have the same; pure."""

import dataclasses
from collections.abc import Iterable

from bot.catalogue import Model
from bot.models import Quote, VideoRequest

MOST_CHEAPER = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offer:
    """One way to order, and what it costs."""

    request: VideoRequest
    quote: Quote


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ways:
    """An order beside the others that differ from it in one thing.

    `lengths` and `qualities` are of its own model and hold the order itself; `models` are the others, each
    with what comes nearest to the order. `cheaper` begins with the cheapest.
    """

    lengths: tuple[Offer, ...]
    qualities: tuple[Offer, ...]
    models: tuple[Offer, ...]
    cheaper: tuple[Offer, ...]


def ways(request: VideoRequest, model: Model, orderable: Iterable[Model]) -> Ways:
    """Return what the same wish costs in other ways; its mode and shape stay, and its prompt must fit."""
    own = _alike(request, model)
    lengths = tuple(offer for offer in own if offer.request.quality == request.quality)
    qualities = tuple(offer for offer in own if offer.request.seconds == request.seconds)
    others = [
        _alike(request, other)
        for other in orderable
        if other.model_id != model.model_id and len(request.prompt) <= other.prompt_limit
    ]
    models = tuple(_nearest(request, alike) for alike in others if alike)
    price = model.quote(request).micros
    # The cheapest of all may differ in more than one thing.
    all_of_them = [offer for alike in (own, *others) for offer in alike]
    cheapest = min(all_of_them, key=lambda offer: offer.quote.micros)
    cheaper = {
        offer.request: offer
        for offer in (*lengths, *qualities, *models, cheapest)
        if offer.quote.micros < price
    }
    return Ways(
        lengths=lengths,
        qualities=qualities,
        models=models,
        cheaper=tuple(sorted(cheaper.values(), key=lambda offer: offer.quote.micros)[:MOST_CHEAPER]),
    )


def _alike(request: VideoRequest, model: Model) -> list[Offer]:
    """Return a model's orders in the mode and shape of a request, with its prompt."""
    return [
        Offer(request=dataclasses.replace(order, prompt=request.prompt), quote=model.quote(order))
        for order in model.orders(request.mode)
        if order.shape is request.shape
    ]


def _nearest(request: VideoRequest, alike: Iterable[Offer]) -> Offer:
    """Return the same length or the one that comes nearest, in the same quality where there is one."""
    return min(
        alike,
        key=lambda offer: (
            abs(offer.request.seconds - request.seconds),
            offer.request.quality is not request.quality,
            offer.quote.micros,
        ),
    )
