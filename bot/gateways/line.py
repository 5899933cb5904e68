"""One key's line to its gateway, and the careful reading of what comes back on it."""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Annotated, Any, cast

import pydantic

from bot import text
from bot.gateways import verdicts
from bot.gateways.base import (
    MOST_LIST_BYTES,
    GatewayHttp,
    Lost,
    Missing,
    NoAnswer,
    NoReply,
    NotAccepted,
    NotSent,
    Reply,
)
from bot.models import Failure, FailureKind
from bot.redaction import Redactor

log = logging.getLogger(__name__)

MOST_WORDS = 300
_MOST_READ = 20_000
_MOST_STATE = 40
_MOST_STRANGE = 20
_MOST_ID = 500
_MOST_DIGITS = 9
_MOST_LINK = 4096
_MOST_LINKS = 20
_MILLISECONDS_FROM, _MILLISECONDS_TO = 10**12, 10**13  # the years 2001 to 2286

TOO_MANY_REQUESTS = 429
_REFUSES_THE_KEY = frozenset({401, 402, 403})
_NOT_FOUND = 404


class Line:
    """Requests with one key to one origin: the key goes nowhere else, and into no words."""

    def __init__(self, http: GatewayHttp, *, base_url: str, key: str, headers: Mapping[str, str]) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._redactor = Redactor([key], hidden="[key]")
        self._headers = headers
        self._strange: set[str] = set()

    async def post(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Reply | NotAccepted | Lost:
        """Send a paid request, once."""
        try:
            return await self._http.post(
                self._base_url + path,
                headers={"Content-Type": "application/json", **self._headers, **(headers or {})},
                body=body,
            )
        except NotSent as error:
            return NotAccepted(failure=Failure(kind=FailureKind.GATEWAY_DOWN, detail=self.plain(str(error))))
        except NoReply as error:
            return Lost(detail=self.plain(str(error)))

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Reply | NoAnswer:
        """Send a free request."""
        try:
            return await self._http.get(self._base_url + path, headers=self._headers, params=params)
        except NoReply as error:
            return NoAnswer(detail=self.plain(str(error)))

    async def get_list(self, path: str) -> Reply | NoAnswer:
        """Ask for a list of models; an address of its own is public, and is asked without the key."""
        is_public = path.startswith(("https://", "http://"))
        try:
            return await self._http.get(
                path if is_public else self._base_url + path,
                headers={} if is_public else self._headers,
                most_bytes=MOST_LIST_BYTES,
            )
        except NoReply as error:
            return NoAnswer(detail=self.plain(str(error)))

    def plain(self, words: str) -> str:
        """Make a gateway's words one short, visible line without the key."""
        storable = words.encode("utf-8", "replace").decode("utf-8")  # JSON can spell half a character
        line = " ".join(text.visible(storable).split())
        return text.cut(self._redactor.plain(line[:_MOST_READ]), MOST_WORDS)

    def wonder(self, state: str) -> None:
        """Log a state that no page names, once: each look would say so again."""
        told = self.plain(state)[:_MOST_STATE]
        if told not in self._strange and len(self._strange) < _MOST_STRANGE:
            self._strange.add(told)
            log.warning("the gateway's unknown state %r counts as still rendering", told)

    def holds_key(self, word: str) -> bool:
        """Whether a gateway put the key into something that has to be taken as it is, or not at all."""
        return self._redactor.finds(word)

    def clean(self, urls: tuple[str, ...]) -> tuple[str, ...]:
        """Take the key out of result links: whoever serves them must not get it, nobody must read it."""
        return tuple(map(self._redactor.plain, urls))


def rate_limited(reply: Reply, words: str) -> NotAccepted:
    """Say that the gateway wants fewer requests."""
    return NotAccepted(
        failure=Failure(kind=FailureKind.RATE_LIMITED, detail=words, code=str(TOO_MANY_REQUESTS)),
        after_seconds=reply.after_seconds,
    )


def lost(reply: Reply, words: str, task_id: str = "") -> Lost:
    """Say that an answer leaves open whether the gateway took the task, perhaps the one it names."""
    named = f" and {task_id}" if task_id else ""
    return Lost(detail=f"HTTP {reply.status}{named}: {words or 'no readable answer'}")


def no_task(reply: Reply, code: int | None, words: str) -> NoAnswer | Missing | None:
    """Say why a status answer holds no task, by its `code`; None where its body may be read."""
    if code == TOO_MANY_REQUESTS:
        return NoAnswer(detail=words, after_seconds=reply.after_seconds, limited=True)
    if code in _REFUSES_THE_KEY and reply.body is not None:
        failure = verdicts.of_refusal(code, words)
        return NoAnswer(detail=words, failure=failure if failure.kind in verdicts.KEY_TROUBLE else None)
    if code == _NOT_FOUND:
        return Missing(detail=words)
    if not reply.ok or reply.body is None:
        return NoAnswer(detail=f"HTTP {reply.status}: {words or 'no readable answer'}")
    return None


def took_by_milliseconds(began: object, ended: object) -> float | None:
    """Read how long a task took from two Unix times in milliseconds; None where they are none."""
    if not isinstance(began, int) or not isinstance(ended, int) or not _MILLISECONDS_FROM <= began < ended:
        return None
    return (ended - began) / 1000 if ended < _MILLISECONDS_TO else None


def took_by_dates(began: object, ended: object) -> float | None:
    """Read how long a task took from two dates of ISO 8601; None where they are none."""
    if not isinstance(began, str) or not isinstance(ended, str):
        return None
    try:
        seconds = (dt.datetime.fromisoformat(ended) - dt.datetime.fromisoformat(began)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return seconds if seconds > 0 else None


def _text(value: object) -> str:
    """Read what a gateway says of itself: mostly a string, sometimes an object around one."""
    if isinstance(value, dict):
        fields = cast("Mapping[str, object]", value)
        value = next((fields[name] for name in ("message", "error", "detail") if fields.get(name)), None)
    return str(value) if isinstance(value, str | int | float) else ""


def _id(value: object) -> str:
    """Read a task's id, which is opaque; empty where it is none that can be stored and asked for."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    task_id = str(value).strip()
    return task_id if task_id.isprintable() and len(task_id) <= _MOST_ID else ""


def _integer(value: object) -> int | None:
    """Read a status code; gateways send 200 and "200"."""
    if isinstance(value, str) and len(value) <= _MOST_DIGITS and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) else None


Text = Annotated[str, pydantic.BeforeValidator(_text)]
TaskId = Annotated[str, pydantic.BeforeValidator(_id)]
Code = Annotated[int | None, pydantic.BeforeValidator(_integer)]


def links(*places: object) -> tuple[str, ...]:
    """Collect the web addresses among these values and lists of values, in order and each once."""
    found: list[object] = []
    for place in places:
        found += cast("list[object]", place) if isinstance(place, list) else [place]
    addresses = (link.strip() for link in found if isinstance(link, str))
    good = (
        link
        for link in addresses
        if link.lower().startswith(("https://", "http://")) and link.isprintable() and len(link) <= _MOST_LINK
    )
    return tuple(dict.fromkeys(good))[:_MOST_LINKS]
