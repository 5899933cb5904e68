"""Words in a prompt that make the sandbox misbehave, so that every failure can be rehearsed.

A prompt may hold several; upper and lower case are the same. The temporary ones are counted per
prompt, in memory, and start over once a submit of that prompt went through.
"""

import re
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

_WORD = re.compile(r"\bfail:\w+")


class Trigger(StrEnum):
    """One failure, and the word that asks for it."""

    KEY = "fail:key"
    ACCESS = "fail:access"
    BALANCE = "fail:balance"
    MODEL = "fail:model"
    REFUSE = "fail:refuse"
    DOWN = "fail:down"
    BUSY = "fail:429"
    LOST = "fail:lost"
    MODERATION = "fail:moderation"
    PICTURE = "fail:picture"
    RENDER = "fail:render"
    ERROR = "fail:error"
    EMPTY = "fail:empty"
    FILE = "fail:file"
    SLOW = "fail:slow"


MEANINGS: Mapping[Trigger, str] = MappingProxyType(
    {
        Trigger.KEY: "the submit is refused: 401, wrong key",
        Trigger.ACCESS: "the submit is refused: 403, this key may not use the model",
        Trigger.BALANCE: 'the submit is refused: APIXO 400 "Insufficient credits", all others 402',
        Trigger.MODEL: "the submit is refused: the model is unknown (Pixazo 400, all others 404)",
        Trigger.REFUSE: "the submit is refused: 400, the prompt violates the provider's policy",
        Trigger.DOWN: "502 comes twice, by which only APIXO surely takes nothing; then the task is accepted",
        Trigger.BUSY: "the submit is answered with 429 and Retry-After: 1 once, then accepted",
        Trigger.LOST: "the task is accepted, but the connection is cut instead of an answer",
        Trigger.MODERATION: "the task fails by policy: APIXO CONTENT_VIOLATION, Pixazo FAILED, others failed",
        Trigger.PICTURE: "the task fails by its image: APIXO INVALID_IMAGE_URL, Pixazo FAILED, others failed",
        Trigger.RENDER: "the task fails: APIXO GENERATION_FAILED, Pixazo FAILED, others failed",
        Trigger.ERROR: "the task fails: APIXO PROCESSING_TIMEOUT, Pixazo ERROR (not charged), others failed",
        Trigger.EMPTY: "the task succeeds without a link",
        Trigger.FILE: "the task succeeds, but its link answers with a web page",
        Trigger.SLOW: "the task takes three times as long",
    }
)

REFUSED = (Trigger.KEY, Trigger.ACCESS, Trigger.BALANCE, Trigger.MODEL, Trigger.REFUSE)
TEMPORARY: Mapping[Trigger, int] = MappingProxyType({Trigger.DOWN: 2, Trigger.BUSY: 1})


def triggers_in(prompt: str) -> frozenset[Trigger]:
    """Every trigger the prompt holds."""
    words = set(_WORD.findall(prompt.lower()))
    return frozenset(trigger for trigger in Trigger if trigger in words)


class Rehearsal:
    """Decides what a submit is refused with, and remembers how often it was."""

    def __init__(self) -> None:
        self._times: Counter[tuple[Trigger, str]] = Counter()

    def refusal(self, prompt: str) -> Trigger | None:
        """What this submit is to be refused with; None lets it through."""
        found = triggers_in(prompt)
        for trigger in REFUSED:
            if trigger in found:
                return trigger
        for trigger, most in TEMPORARY.items():
            if trigger in found and self._times[trigger, prompt] < most:
                self._times[trigger, prompt] += 1
                return trigger
        for trigger in TEMPORARY:
            del self._times[trigger, prompt]
        return None
