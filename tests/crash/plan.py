"""Where the bot is to be killed: chains of boundaries, since some come only after a kill at another."""

import random
from collections.abc import Iterable
from typing import TypeAlias

from tests.crash.traps import Boundary, Moment

ARRIVED, DONE, HALFWAY, ANSWERED = Moment.ARRIVED, Moment.DONE, Moment.HALFWAY, Moment.ANSWERED

Target: TypeAlias = Boundary | None  # None: a random instant
Chain: TypeAlias = tuple[Target, ...]


def _each(kinds: Iterable[str], moments: Iterable[Moment]) -> list[Chain]:
    return [(Boundary(kind, moment),) for kind in kinds for moment in moments]


# Only the first starts register commands.
FIRST = _each(["register commands"], [ARRIVED, ANSWERED])

# "Done, unanswered" counts where a bot that starts again might repeat what has had its effect.
COMMON: list[Chain] = [
    *_each(["login", "application", "identify", "balance", "acknowledge"], [ARRIVED, ANSWERED]),
    *_each(["answer", "edit card", "post end", "post notice"], [ARRIVED, DONE, ANSWERED]),
    *_each(["read member", "open direct", "write directly"], [ARRIVED, ANSWERED]),
    *_each(["look at apixo", "look at pixazo", "read message", "read picture"], [ARRIVED, ANSWERED]),
    *_each(["submit to apixo", "submit to pixazo"], [DONE, ANSWERED]),
    *_each(["download"], [ARRIVED, HALFWAY]),
    # Channels are read only where an earlier life may have posted.
    (Boundary("post card", ARRIVED),),
    (Boundary("post card", ANSWERED),),
    (Boundary("post card", DONE), Boundary("read channel", ARRIVED)),
    (Boundary("post clip", DONE), Boundary("read channel", ANSWERED)),
    # A server is asked for only where a clip waits for a bot that is not READY yet.
    (Boundary("post clip", ARRIVED), Boundary("read server", ARRIVED)),
    (Boundary("download", ANSWERED), Boundary("read server", ANSWERED)),
    (Boundary("post clip", ANSWERED),),
]

# A gateway that has read a whole request goes on with it, and calls back: with callbacks on nothing is in
# doubt for long. Without, it may as well have lost it.
ALONE = _each(["submit to apixo", "submit to pixazo"], [ARRIVED])
CALLED = [
    *_each(["callback of apixo"], [ARRIVED, DONE, ANSWERED]),
    *_each(["callback of pixazo"], [ARRIVED, ANSWERED]),
]

INSTANTS: list[Chain] = [(None,)]

EVERY = frozenset(
    target for chain in (*FIRST, *COMMON, *ALONE, *CALLED) for target in chain if target is not None
)


def plans(kills: int, rng: random.Random) -> tuple[list[Target], list[Target]]:
    """Deal so many kills to a bot without and one with callbacks: each boundary once before any twice."""
    alone, called = [target for chain in FIRST for target in chain], list[Target]()
    while len(alone) < kills // 2 or len(called) < kills - kills // 2:
        decks: tuple[list[Chain], list[Chain]] = (ALONE + INSTANTS, CALLED + INSTANTS)
        # The long ones first, so that both come out alike.
        for chain in sorted(rng.sample(COMMON, len(COMMON)), key=len, reverse=True):
            shorter = _length(decks[1]) + len(called) < _length(decks[0]) + len(alone)
            decks[shorter].append(chain)
        for plan, deck in zip((alone, called), decks, strict=True):
            plan += [target for chain in rng.sample(deck, len(deck)) for target in chain]
    return alone[: kills // 2], called[: kills - kills // 2]


def _length(chains: list[Chain]) -> int:
    return sum(map(len, chains))
