"""Log lines as text or JSON, with every secret cut out of whatever is written."""

import json
import logging
import sys
import time
from collections.abc import Collection
from typing import Literal


class _Redacting(logging.Formatter):
    """Formats a line, traceback included, and then removes the secrets from the whole of it."""

    converter = time.gmtime

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__("%(asctime)sZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        forms = {form for secret in secrets for form in (secret, repr(secret)[1:-1])}
        self._secrets = sorted(forms, key=len, reverse=True)  # one may be the beginning of another

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))

    def _redact(self, line: str) -> str:
        for secret in self._secrets:
            line = line.replace(secret, "[redacted]")
        return line


class _Json(_Redacting):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "at": self.formatTime(record, self.datefmt) + "Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        # Before the JSON is made: a quote or backslash in a secret reads otherwise in it.
        return json.dumps({key: self._redact(value) for key, value in entry.items()})


def configure(*, level: str, form: Literal["text", "json"], secrets: Collection[str]) -> None:
    """Send all logging to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter((_Json if form == "json" else _Redacting)(secrets))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # At debug, discord.py and aiosqlite would fill the log with every frame and every row.
    for chatty in ("discord", "aiosqlite", "PIL"):
        logging.getLogger(chatty).setLevel(max(logging.INFO, logging.getLogger().level))
    logging.getLogger("alembic").setLevel(logging.WARNING)
