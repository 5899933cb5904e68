"""Every sentence about models side by side: when a clip is to be expected, and why `auto` took one."""

from collections.abc import Sequence

from bot import text
from bot.models import AutoPolicy
from bot.offers import Choice
from bot.receipts import price

AUTO_TOOK = "`auto` took"  # how each note begins that says so
NOT_OFFERED = "This is not on offer any more. Order again; nothing was charged."
AUTO_OPTION = "auto: the bot chooses"

_MOST_LABEL = 100
_MINUTE = 60

AUTO_TAKES = {
    AutoPolicy.CHEAPEST: "the cheapest model",
    AutoPolicy.FASTEST: "the model whose clip comes first",
    AutoPolicy.OWN: "the first of staff's own order",
}


def none_can(models: int) -> str:
    """Refuse an order that no model can do."""
    if not models:
        return (
            "None of the models that staff let `auto` take can be ordered now. Name one yourself: "
            "`/video models`. Nothing was charged."
        )
    return (
        f"None of the {models} models that `auto` may take can do all of this. Leave a choice out, or name a "
        "model: `/video models`. Nothing was charged."
    )


def took(policy: AutoPolicy, choices: Sequence[Choice], number: int) -> str:
    """Say in a job's note which of the choices `auto` took, by its number, and why."""
    others = f"of {len(choices)} that can do this" if len(choices) > 1 else "the only one that can do this"
    what = AUTO_TAKES[policy] if len(choices) > 1 else ""
    if policy is AutoPolicy.FASTEST and what:
        what = f"{what} (in {span(choices[number].ready_seconds)})"
    told = f"{AUTO_TOOK} {' '.join(filter(None, [what, others]))}."
    if number:
        told = f"{told} A limit left no room for {number} that would have gone before it."
    healthy = any(not choice.doubt for choice in choices)
    return told if healthy or not choices[number].doubt else f"{told} None is without a doubt now."


def only_with(models: Sequence[str]) -> str:
    """Say below an input which of the models on offer have it, in at most 100 characters."""
    return text.one_line(f"Only with {', '.join(models)}", _MOST_LABEL)


def value(choice: Choice) -> str:
    """Name a choice in a menu: model, length and quality."""
    request = choice.offer.request
    return f"{request.model}|{request.seconds}|{request.quality or ''}"


def label(choice: Choice) -> str:
    """Write what a choice is and costs, for a menu."""
    request = choice.offer.request
    parts = [request.model, f"{request.seconds} s", request.quality or "", price(choice.offer.quote)]
    return text.one_line(", ".join(filter(None, parts)), _MOST_LABEL)


def facts(choice: Choice) -> str:
    """Write when a clip is to be expected and how the model did lately, in less than 100 characters."""
    parts = [f"about {span(choice.ready_seconds)}"]
    if choice.waiting or choice.waits_seconds:
        parts.append(f"{choice.waiting} in line")
    parts.append(record(choice.ended, choice.faults))
    parts.append(choice.doubt)
    return " · ".join(filter(None, parts))


def record(ended: int, faults: int) -> str:
    """Write how many of a model's last orders failed by a fault of the gateway; "" where none ended."""
    if not ended:
        return ""
    return f"{faults} of its last {ended} failed" if ended > 1 else ("its last failed" if faults else "")


def span(seconds: float) -> str:
    """Write how long something takes, as roughly as it is known."""
    if seconds < _MINUTE:
        return f"{max(round(seconds / 10) * 10, 10)} s"
    minutes = round(seconds / _MINUTE)
    hours, rest = divmod(minutes, _MINUTE)
    return f"{hours} h {rest} min" if hours and rest else f"{hours} h" if hours else f"{minutes} min"
