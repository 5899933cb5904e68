"""Every sentence about what gateways and the catalogue do not agree on.

They are read in Discord and in a terminal.
"""

import datetime as dt
from collections.abc import Sequence

from bot import text
from bot.catalogue import Model
from bot.findings import Finding, Level
from bot.inventory import Feature
from bot.models import VideoRequest
from bot.money import dollars

NOBODY_TO_ASK = Finding(
    level=Level.WARN,
    what="No gateway that costs money is set up, so there is nobody to ask.",
    do="Put the key of one into .env, or a gateway that needs none into MODELS_FILE.",
)

_MOST_NAMED = 12
_MOST_PRICES = 3


def gone(model: Model, alike: Sequence[str]) -> Finding:
    """Tell that a gateway's list lacks a model of the catalogue."""
    instead = f"; it has {', '.join(text.code(name, 80) for name in alike)}" if alike else ""
    return Finding(
        level=Level.BAD,
        what=(
            f"{model.model_id}: the catalogue orders it as {text.code(model.remote_id, 80)}, "
            f"which is not in the list of {model.gateway}{instead}."
        ),
        do='Correct its remote_id in MODELS_FILE, or set status = "retired".',
    )


def narrower(
    model: Model, what: str, ours: Sequence[object], theirs: Sequence[object], refused: Sequence[object]
) -> Finding:
    """Tell that a gateway does not take all that the catalogue offers."""
    return Finding(
        level=Level.WARN,
        what=(
            f"{model.model_id}: the catalogue has the {what} {_some(ours)}; "
            f"{model.gateway} takes {_some(theirs)}."
        ),
        do=f"Take {_some(refused)} out of its entry in MODELS_FILE: such orders are refused there.",
    )


def wider(model: Model, what: str, more: Sequence[object]) -> Finding:
    """Tell that a gateway takes more than the catalogue offers, which does no harm."""
    return Finding(
        level=Level.OK, what=f"{model.model_id}: {model.gateway} also takes the {what} {_some(more)}."
    )


def lacks(model: Model, feature: Feature) -> Finding:
    """Tell that a gateway has not what the catalogue offers."""
    return Finding(
        level=Level.WARN,
        what=f"{model.model_id}: the catalogue has {feature}; {model.gateway} has none for it.",
        do="Take it out of its entry in MODELS_FILE: such orders are refused there.",
    )


def prices(model: Model, kinds: Sequence[tuple[VideoRequest, int | None, int]]) -> Finding:
    """Tell what clips cost by the catalogue, which may not say, and by the gateway, in micro-dollars."""
    told = "; ".join(_price(*kind, gateway=model.gateway) for kind in kinds[:_MOST_PRICES])
    more = f"; and {len(kinds) - _MOST_PRICES} more differ" if len(kinds) > _MOST_PRICES else ""
    if model.price is None:
        return Finding(level=Level.OK, what=f"{model.model_id} has no price here: {told}.")
    return Finding(
        level=Level.WARN, what=f"{model.model_id}: {told}{more}.", do="Set its price anew in MODELS_FILE."
    )


def _price(order: VideoRequest, ours: int | None, theirs: int, *, gateway: str) -> str:
    sound = {None: "", True: " with sound", False: " without sound"}[order.sound]
    quality = f" in {order.quality}" if order.quality else ""
    clip = f"{order.mode} of {order.seconds} s{quality}{sound}"
    by_us = "" if ours is None else f"{dollars(ours)} by the catalogue and "
    return f"{clip} costs {by_us}{dollars(theirs)} by {gateway}"


def as_told(name: str) -> Finding:
    """Tell that nothing differs."""
    return Finding(level=Level.OK, what=f"{name} lists its models as the catalogue has them.")


def no_list(name: str) -> Finding:
    """Tell that a gateway does not say which models it has."""
    return Finding(level=Level.OK, what=f"{name} has no list of its models to compare with.")


def nothing_there(name: str, words: str) -> Finding:
    """Tell that a gateway knows no route, as far as one can see."""
    return Finding(
        level=Level.WARN,
        what=f"{name} answers {text.code(words) or 404} to all that it is asked.",
        do=(
            "Check its base_url: it goes up to what stands before `/videos`, "
            "which is `/v1` nearly everywhere."
        ),
    )


def unreadable(name: str, words: str) -> Finding:
    """Tell that a gateway's list could not be read."""
    return Finding(
        level=Level.WARN,
        what=f"The list of models of {name} cannot be read: {text.code(words)}.",
        do="Ask again later; if it stays so, correct its address or dialect in MODELS_FILE.",
    )


def old(model: Model, today: dt.date) -> Finding:
    """Tell that nobody compared a model with its source for long."""
    days = (today - model.priced_on).days
    return Finding(
        level=Level.WARN,
        what=f"{model.model_id}: its price and limits are of {model.priced_on}, {days} days ago.",
        do=f"Compare them with {text.code(model.source)}, and set price and noted_on anew in MODELS_FILE.",
    )


def all_old(models: Sequence[Model], *, days: int) -> list[Finding]:
    """Tell the same of all such models at once."""
    if not models:
        return []
    entries = "1 entry is" if len(models) == 1 else f"{len(models)} entries are"
    return [
        Finding(
            level=Level.WARN,
            what=f"{entries} older than {days} days: {_some([model.model_id for model in models])}.",
            do="`python -m bot models check` names their sources: compare, and set price and noted_on anew.",
        )
    ]


def priceless(models: Sequence[Model]) -> list[Finding]:
    """Tell which models take no orders for want of a price, as it is meant to be."""
    names = _some([model.model_id for model in models])
    return (
        [Finding(level=Level.OK, what=f"Without a price, and not to be ordered: {names}.")] if models else []
    )


def summary(findings: Sequence[Finding]) -> str:
    """Say whether anything differs."""
    count = sum(finding.level is not Level.OK for finding in findings)
    asks = "asks" if count == 1 else "ask"
    return f"{count} of these {asks} for something." if count else "Nothing differs."


def _some(values: Sequence[object]) -> str:
    """Name values, of many the first."""
    named = ", ".join(map(str, values[:_MOST_NAMED]))
    left = len(values) - _MOST_NAMED
    return f"{named} and {left} more" if left > 0 else named
