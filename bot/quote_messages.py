"""Every sentence a person reads about a price they have to confirm."""

from collections.abc import Iterable, Sequence

from bot import choice_messages, text
from bot.messages import price, settings_line
from bot.models import Draft, DraftStage
from bot.offers import Choice, Offer, Ways
from bot.price_lists import SOUND

MOST_LENGTHS = 10
MOST_CHARACTERS = 2000  # of a message
MOST_SIDE_BY_SIDE = 5  # in the text; the menu below has the others too

NO_SUCH_QUOTE = "There is no such quote here."
NOT_YOURS = "Only the member who asked for this video can confirm or cancel its price."
DROPPED = "Cancelled: nothing was ordered and nothing was charged."

# What a press comes too late for.
OVER = {
    DraftStage.ORDERED: "It was ordered already. `/video list` shows your jobs.",
    DraftStage.ASKED: "Staff are asked for this video already; they decide.",
    DraftStage.DENIED: "Staff denied this video. Nothing was charged.",
    DraftStage.DROPPED: (
        "This quote is over: it was cancelled, or its price has changed and is shown anew. "
        "Nothing was charged for it."
    ),
    DraftStage.EXPIRED: "This quote is older than a day. Order again; nothing was charged.",
}


def quote(draft: Draft, ways: Ways | None, choices: Sequence[Choice], *, has_changed: bool = False) -> str:
    """Ask for a yes: the price, what changes it, which other models there are, and what would be cheaper."""
    new = draft.new
    verb = "costs" if new.quote.micros else "is"
    lines = [
        f"The price has changed. It is **{price(new.quote)}** now: {settings_line(new.request)}."
        if has_changed
        else f"This {verb} **{price(new.quote)}**: {settings_line(new.request)}.",
        "Confirm to order it. Until then nothing is held; the quote ends after a day.",
    ]
    if new.note:
        lines.append(new.note)
    if ways is not None:
        lines += _changes(draft, ways)
    if len(choices) > 1:
        lines.append("Side by side, best first:")
        lines += [_beside(choice, draft) for choice in choices[:MOST_SIDE_BY_SIDE]]
    if ways is not None and ways.cheaper:
        cheaper = [f"`{_options(one, draft.new.request.model)}` {price(one.quote)}" for one in ways.cheaper]
        lines.append(_line("Cheaper, with all else as it is", cheaper))
    return text.cut("\n".join(lines), MOST_CHARACTERS)


def _beside(choice: Choice, draft: Draft) -> str:
    """Write a model beside the others, in bold where it is the one that was quoted."""
    request = choice.offer.request
    parts = [text.code(request.model), _choices(choice.offer), price(choice.offer.quote)]
    written = " ".join(parts)
    marked = f"**{written}**" if request == draft.new.request else written
    return f"-# {marked} · {choice_messages.facts(choice)}"


def _changes(draft: Draft, ways: Ways) -> list[str]:
    lengths = [(f"{one.request.seconds} s", one) for one in _around(draft, ways.lengths)]
    qualities = [(str(one.request.quality), one) for one in ways.qualities]
    said = [
        _line(name, [_marked(*one, draft) for one in choices])
        for name, choices in (("Length", lengths), ("Quality", qualities))
        if len({offer.quote.micros for _, offer in choices}) > 1
    ]
    return ["What changes the price:", *filter(None, said)] if any(said) else []


def _around(draft: Draft, lengths: Sequence[Offer]) -> Sequence[Offer]:
    """Return as many lengths as are shown, and the one that was chosen if there still is one."""
    wanted = draft.new.request.seconds
    chosen = next((place for place, one in enumerate(lengths) if one.request.seconds == wanted), 0)
    first = max(0, min(chosen - MOST_LENGTHS // 2, len(lengths) - MOST_LENGTHS))
    return lengths[first : first + MOST_LENGTHS]


def _line(name: str, parts: Iterable[str]) -> str:
    joined = ", ".join(parts)
    return f"-# {name}: {joined}" if joined else ""


def _marked(name: str, offer: Offer, draft: Draft) -> str:
    """Write a choice and its price, in bold where it is the one that was made."""
    written = f"{name} {price(offer.quote)}"
    return (
        f"**{written}**"
        if offer.request.seconds == draft.new.request.seconds
        and (offer.request.quality == draft.new.request.quality)
        else written
    )


def _choices(offer: Offer) -> str:
    request = offer.request
    return " ".join(filter(None, [f"{request.seconds} s", request.quality, SOUND[request.sound]]))


def _options(offer: Offer, model: str) -> str:
    """Write the options that order it, as `/video create` names them."""
    request = offer.request
    named = [
        f"model:{request.model}" if request.model != model else "",
        f"seconds:{request.seconds}",
        f"quality:{request.quality}" if request.quality else "",
    ]
    return " ".join(filter(None, named))
