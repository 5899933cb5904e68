"""Cuts secrets out of text, however they are written in it."""

import base64
import html
import re
from collections.abc import Collection

HIDDEN = "[redacted]"

# What a callback's address and an interaction's route carry: whoever has it can speak for them.
_SLASH = r"(?:\\{0,8}/|%(?:25){0,4}2[fF])"
_TOKENS = re.compile(rf"((?:hooks|interactions){_SLASH}[\w-]{{1,40}}{_SLASH})[\w.~-]{{16,}}")
_LEAST_ENCODED = 8  # a shorter piece of base64 is in too many words


class Redactor:
    """Knows the secrets of this program: its keys, and what its callback addresses look like."""

    def __init__(self, secrets: Collection[str], *, hidden: str = HIDDEN) -> None:
        forms = [form for secret in sorted(secrets, key=len, reverse=True) for form in _forms(secret)]
        self._forms = re.compile("|".join(forms)) if forms else None
        self._hidden = hidden

    def plain(self, words: str) -> str:
        """Return the words without the secrets."""
        return _TOKENS.sub(lambda found: found[1] + self._hidden, self.without_keys(words))

    def without_keys(self, words: str) -> str:
        """Return the words without the secrets it was given, whatever addresses they hold."""
        return words if self._forms is None else self._forms.sub(lambda _: self._hidden, words)


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
