"""Writes what a model costs: its prices by length, and by whatever else they hang on; pure."""

from collections.abc import Sequence
from typing import TypeAlias

from bot import text
from bot.catalogue import Model
from bot.models import Quote
from bot.receipts import price

SOUND = {True: "with sound", False: "silent", None: ""}  # where a model leaves no choice, nothing is said
UNKNOWN = "price unknown: set it to use it"
_MOST_LENGTHS = 4  # that are written one by one

_Costs: TypeAlias = Sequence[tuple[int, Quote]]


def price_list(model: Model) -> str:
    """Write the price of each length; what else changes the price heads a line of its own."""
    if model.price is None:
        return f"{_span(model.seconds)}; {UNKNOWN}"
    variants: dict[tuple[str, ...], list[tuple[int, Quote]]] = {}
    for order in model.orders():
        variant = (order.mode, order.shape, order.quality or "", SOUND[order.sound])
        variants.setdefault(variant, []).append((order.seconds, model.quote(order)))
    by_costs: dict[str, list[tuple[str, ...]]] = {}
    for variant, costs in variants.items():
        by_costs.setdefault(_written(costs), []).append(variant)
    choices = [set(values) for values in zip(*variants, strict=True)]
    lines: list[str] = []
    for costs, alike in by_costs.items():
        columns = zip(*alike, strict=True)
        named = [sorted(set(one)) for one, every in zip(columns, choices, strict=True) if set(one) != every]
        lines.append(": ".join(filter(None, [", ".join(map(" or ".join, named)), costs])))
    return "\n".join(lines)


def cheapest(model: Model) -> str:
    """Write what the cheapest order of a model costs, beside its name in a menu."""
    if model.cheapest is None:
        return "price unknown"
    return price(model.cheapest) if model.cheapest.micros == 0 else f"from {price(model.cheapest)}"


def _span(seconds: Sequence[int]) -> str:
    """Write lengths: all of a few, or the ends of many."""
    if len(seconds) <= _MOST_LENGTHS:
        return f"{text.either(seconds)} s"
    return f"{min(seconds)} to {max(seconds)} s"


def _written(costs: _Costs) -> str:
    """Write the prices of a few lengths, or the price of a second where there are many."""
    (least, first), (_, last) = costs[0], costs[-1]
    lengths = _span([seconds for seconds, _ in costs])
    if len(costs) <= _MOST_LENGTHS:
        return ", ".join(f"{seconds} s {price(quote)}" for seconds, quote in costs)
    a_second = Quote(micros=first.micros // least, estimate=first.estimate)
    if first.micros and all(quote.micros == a_second.micros * seconds for seconds, quote in costs):
        return f"{lengths} {price(a_second)} a second"
    ends = dict.fromkeys((price(first), price(last)))
    return f"{lengths} {' to '.join(ends)}"
