"""Structured log lines as text or JSON, with every secret cut out of whatever is written.

Everybody logs through the standard library, as discord.py does: a sentence, and what is worth searching for
in `extra`. What a task was told to be `about` stands in each of its lines.
"""

import datetime as dt
import json
import logging
import sys
import traceback
from collections.abc import Collection
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

from bot.redaction import Redactor

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+.:/@$%[]")


def about(**values: str) -> None:
    """Name what this task is about, and the tasks that it begins, in each line they log."""
    structlog.contextvars.bind_contextvars(**values)


def configure(*, level: str, form: Literal["text", "json"], secrets: Collection[str]) -> None:
    """Send all logging to stderr."""
    redactor = Redactor(secrets)
    handler = _Stderr(redactor)
    handler.setFormatter(_Formatter(redactor, as_json=form == "json"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # At debug, discord.py and aiosqlite would fill the log with every frame and every row.
    for chatty in ("discord", "aiosqlite", "PIL", "matplotlib"):
        logging.getLogger(chatty).setLevel(max(logging.INFO, logging.getLogger().level))
    logging.getLogger("alembic").setLevel(logging.WARNING)


def hide(secrets: Collection[str]) -> None:
    """Cut more secrets out of all that is written from now on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Stderr):
            handler.redactor.learn(secrets)


class _Stderr(logging.StreamHandler[Any]):
    """Writes to stderr; of a line that cannot be formatted it tells without the secrets in its arguments."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__(sys.stderr)
        self.redactor = redactor

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        told = f"{record.name}: a line could not be logged: {record.msg!r}\n{traceback.format_exc()}"
        self.stream.write(self.redactor.plain(told))


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Formats a line, traceback included, and then removes the secrets from the whole of it."""

    def __init__(self, redactor: Redactor, *, as_json: bool) -> None:
        super().__init__(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.ExtraAdder(),
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                _stamp,
            ],
            processors=[
                self.remove_processors_meta,
                structlog.processors.format_exc_info,
                # Before the JSON is made: a quote or backslash in a secret reads otherwise in it.
                self._redact,
                _json if as_json else _text,
            ],
            use_get_message=True,
        )
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.plain(super().format(record))

    def _redact(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {
            name: value if isinstance(value, bool | int | float) else self._redactor.plain(str(value))
            for name, value in event.items()
            if value is not None
        }


def _stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Say when it was logged, in UTC."""
    at = dt.datetime.fromtimestamp(event["_record"].created, dt.UTC)
    event["at"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return event


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    head = {"at": event.pop("at"), "level": event.pop("level"), "logger": event.pop("logger")}
    head["message"] = event.pop("event")
    error = event.pop("exception", None)
    return json.dumps({**head, **event, **({"error": error} if error is not None else {})})


def _text(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    head = f"{event.pop('at')} {event.pop('level').upper():<7} {event.pop('logger')}: "
    # A line break in somebody else's words must not look like a line of ours.
    message = event.pop("event").replace("\r", r"\r").replace("\n", r"\n")
    error = event.pop("exception", None)
    fields = [f"{name}={_value(value)}" for name, value in event.items()]
    return head + " ".join([message, *fields]) + (f"\n{error}" if error is not None else "")


def _value(value: Any) -> str:
    written = str(value)
    return written if written and _PLAIN.issuperset(written) else json.dumps(written, ensure_ascii=False)
