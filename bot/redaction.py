"""Cuts secrets out of text, however they are written in it."""

import base64
import html
import re
from collections.abc import Collection

HIDDEN = "[redacted]"

# How every token of a callback's address begins, so that it is known wherever a gateway repeats it.
HOOK_PREFIX = "hook-"

_HOOK = rf"{HOOK_PREFIX}[\w-]{{40,}}"
# What an interaction's routes carry: whoever has it can answer for the bot.
_INTERACTION = re.compile(r"((?:webhooks|interactions)/\d{1,20}/)[\w.~-]{16,}")
_LEAST_ENCODED = 8  # a shorter piece of base64 is in too many words


class Redactor:
    """Knows this program's secrets: keys it is given, and tokens by what they look like."""

    def __init__(self, secrets: Collection[str], *, hidden: str = HIDDEN) -> None:
        self._secrets: set[str] = set()
        self._hidden = hidden
        self.learn(secrets)

    def learn(self, secrets: Collection[str]) -> None:
        """Know more secrets from now on."""
        self._secrets |= set(filter(None, secrets))
        forms = [form for secret in sorted(self._secrets, key=len, reverse=True) for form in _forms(secret)]
        self._forms = re.compile("|".join([*forms, _HOOK]))

    def plain(self, words: str) -> str:
        """Return the words without the secrets."""
        hidden = self._forms.sub(lambda _: self._hidden, words)
        return _INTERACTION.sub(lambda found: found[1] + self._hidden, hidden)

    def finds(self, word: str) -> bool:
        """Whether there is a secret in something that has to be taken as it is, or not at all."""
        return self.plain(word) != word


def _forms(secret: str) -> list[str]:
    """Return patterns of a secret: as it is or escaped anyhow, and in base64, alone or within more."""
    encoded = [
        re.escape(core).replace(r"\+", r"[+\-]").replace("/", r"[/_]")
        for core in (_base64_core(secret, offset) for offset in range(3))
        if len(core) >= _LEAST_ENCODED
    ]
    return ["".join(map(_spellings, secret)), *encoded]


def _spellings(character: str) -> str:
    """Return a pattern of one character as JSON, Python, addresses and HTML write it."""
    number = ord(character)
    ways = [
        rf"\\{{0,8}}{re.escape(character)}",  # bounded, as a hostile text may have a million of them
        rf"\\{{1,8}}(?:u00|x)(?i:{number:02x})",
        rf"%(?:25){{0,4}}(?i:{number:02x})",
        rf"&#(?:0{{0,6}}{number}|(?i:x0{{0,6}}{number:x}));",
    ]
    named = html.escape(character)
    return f"(?:{'|'.join([*ways, re.escape(named)] if named != character else ways)})"


def _base64_core(secret: str, offset: int) -> str:
    """Return what base64 makes of a secret that begins at this place of a group, less what others share."""
    encoded = base64.b64encode(b"\0" * offset + secret.encode()).decode()
    shared_at_end = {0: 0, 1: 3, 2: 2}[(offset + len(secret)) % 3]
    shared_at_start = {0: 0, 1: 2, 2: 3}[offset]
    return encoded[shared_at_start : len(encoded) - shared_at_end]
