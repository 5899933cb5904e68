"""Compares what gateways say of their models with what the catalogue says of them; pure."""

import datetime as dt
from collections.abc import Collection, Iterator, Sequence

from bot import drift_messages
from bot.catalogue import Model
from bot.findings import Finding
from bot.inventory import Feature, Inventory, Told
from bot.models import Mode, VideoRequest

OLD = dt.timedelta(days=90)

_MOST_ALIKE = 3


def of_gateway(name: str, models: Sequence[Model], inventory: Inventory) -> list[Finding]:
    """Compare all models of a gateway that are not retired with the list it gives; `models` are its own."""
    found: list[Finding] = []
    for model in _offered(models):
        told = inventory.models.get(model.remote_id)
        if told is None:
            found.append(drift_messages.gone(model, _alike(model.remote_id, inventory.models)))
        else:
            found += _of_model(model, told)
    return found or [drift_messages.as_told(name)]


def old(models: Sequence[Model], today: dt.date) -> list[Model]:
    """Return the models that take orders whose price was printed too long ago."""
    return [model for model in _offered(models) if today - model.priced_on > OLD]


def priceless(models: Sequence[Model]) -> list[Model]:
    """Return the models that would take orders if they had a price."""
    return [model for model in _offered(models) if model.price is None]


def _offered(models: Sequence[Model]) -> list[Model]:
    return [model for model in models if model.status != "retired"]


def _alike(wanted: str, names: Collection[str]) -> list[str]:
    """Find names that may be the new ones of a model: ids are made longer or cut as versions come."""
    alike = (name for name in names if name.lower() in wanted.lower() or wanted.lower() in name.lower())
    return sorted(alike, key=lambda name: (abs(len(name) - len(wanted)), name))[:_MOST_ALIKE]


def _of_model(model: Model, told: Told) -> Iterator[Finding]:
    resolutions, ratios = _words(model)
    yield from _limit(model, "lengths", model.seconds, told.seconds)
    yield from _limit(model, "resolutions", resolutions, told.resolutions)
    yield from _limit(model, "ratios", ratios, told.ratios)
    for feature in sorted(told.lacks & _features(model)):
        yield drift_messages.lacks(model, feature)
    yield from _price(model, told)


def _limit(
    model: Model, what: str, ours: Sequence[object], theirs: Collection[object] | None
) -> Iterator[Finding]:
    if theirs is None or not ours:
        return
    known = sorted(theirs, key=lambda one: (len(str(one)), str(one)))
    if refused := [one for one in ours if one not in theirs]:
        yield drift_messages.narrower(model, what, ours, known, refused)
    if more := [one for one in known if one not in ours]:
        yield drift_messages.wider(model, what, more)


def _words(model: Model) -> tuple[list[str], list[str]]:
    """Return the model's words for resolutions and ratios, in all modes."""
    resolutions: list[str] = []
    ratios: list[str] = []
    for spec in model.modes.values():
        rows = list(spec.rows())
        named = [row.quality for row in rows if row.quality]
        resolutions += spec.resolution.words.values() if spec.resolution else named
        lying = [row.shape.proportion for row in rows if row.shape]
        ratios += spec.ratio.words.values() if spec.ratio else lying
    return [*dict.fromkeys(map(str.lower, resolutions))], [*dict.fromkeys(map(str.lower, ratios))]


def _features(model: Model) -> frozenset[Feature]:
    has = {
        Feature.PICTURE: Mode.IMAGE in model.modes,
        Feature.END_FRAME: model.has_option("end_frame"),
        Feature.SOUND: model.has_option("sound"),
        Feature.SEED: model.has_option("seed"),
    }
    return frozenset(feature for feature, is_there in has.items() if is_there)


def _price(model: Model, told: Told) -> Iterator[Finding]:
    """Compare the price of each clip whose price by the second is told, and tell one of each kind."""
    if model.price is not None and model.price.unit == "gpu-second":
        return  # of the operator's own machine; what others take for it says nothing
    kinds: dict[tuple[object, ...], tuple[VideoRequest, int | None, int]] = {}
    for order in model.orders():
        theirs = _rate(order, told)
        if theirs is None:
            continue
        ours = None if model.price is None else model.quote(order).micros
        if ours != theirs * order.seconds:
            kind = (order.mode, order.quality, order.sound)
            kinds.setdefault(kind, (order, ours, theirs * order.seconds))
    if kinds:
        yield drift_messages.prices(model, list(kinds.values()))


def _rate(order: VideoRequest, told: Told) -> int | None:
    """Return the price by the second that fits an order best; None where none does, or several do."""
    wanted = (order.mode, order.quality, order.sound)
    fitting: dict[int, set[int]] = {}
    for rate in told.rates:
        named = (rate.mode, rate.resolution, rate.sound)
        if all(one in {None, given} for one, given in zip(named, wanted, strict=True)):
            fitting.setdefault(sum(one is not None for one in named), set()).add(rate.micros)
    best = fitting[max(fitting)] if fitting else set[int]()
    return best.pop() if len(best) == 1 else None
