"""One key's line to its gateway, and what an answer on it says whatever the gateway's shape is."""

import logging
from collections.abc import Mapping
from typing import Any

from bot import text
from bot.gateways import verdicts
from bot.gateways.base import Lost, Missing, NoAnswer, NotAccepted
from bot.gateways.http import MOST_LIST_BYTES, MOST_REPLY_BYTES, GatewayHttp, NoReply, NotSent, Reply
from bot.models import Failure, FailureKind
from bot.redaction import Redactor

log = logging.getLogger(__name__)

MOST_WORDS = 300
_MOST_READ = 20_000
_MOST_STATE = 40
_MOST_STRANGE = 20

TOO_MANY_REQUESTS = 429
_REFUSES_THE_KEY = frozenset({401, 402, 403})
_NOT_FOUND = 404


class Line:
    """Requests with one key to one origin: the key goes nowhere else, and into no words."""

    def __init__(
        self,
        http: GatewayHttp,
        *,
        base_url: str,
        key: str,
        headers: Mapping[str, str],
        most_bytes: int = MOST_REPLY_BYTES,
    ) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._redactor = Redactor([key], hidden="[key]")
        self._headers = headers
        self._most_bytes = most_bytes
        self._strange: set[str] = set()
        self._has_answered_badly = False

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        *,
        as_form: bool = False,
    ) -> Reply | NotAccepted | Lost:
        """Send a paid request, once."""
        try:
            return await self._http.post(
                self._base_url + path,
                headers={**self._headers, **(headers or {})},
                body=body,
                as_form=as_form,
                most_bytes=self._most_bytes,
            )
        except NotSent as error:
            return NotAccepted(failure=Failure(kind=FailureKind.GATEWAY_DOWN, detail=self.plain(str(error))))
        except NoReply as error:
            return Lost(detail=self.plain(str(error)))

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Reply | NoAnswer:
        """Send a free request."""
        try:
            return await self._http.get(
                self._base_url + path, headers=self._headers, params=params, most_bytes=self._most_bytes
            )
        except NoReply as error:
            return NoAnswer(detail=self.plain(str(error)))

    async def delete(self, path: str) -> Reply | NoAnswer:
        """Ask for something to be ended."""
        try:
            return await self._http.delete(self._base_url + path, headers=self._headers)
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

    def lost(self, reply: Reply, words: str, beside: str = "") -> Lost:
        """Say that an answer leaves open whether the gateway took a task.

        `beside` is what it has beside its words: the task that it names, or a code that leaves it open.
        """
        if reply.ok and not beside:
            return Lost(detail=self.bad_answer(reply, words))
        and_that = f" and {beside}" if beside else ""
        return Lost(detail=f"HTTP {reply.status}{and_that}: {words or 'no readable answer'}")

    def no_task(self, reply: Reply, code: int | None, words: str) -> NoAnswer | Missing | None:
        """Say why a status answer holds no task, by its `code`; None where its body may be read."""
        if code == TOO_MANY_REQUESTS:
            return NoAnswer(detail=words, after_seconds=reply.after_seconds, limited=True)
        if code in _REFUSES_THE_KEY and reply.body is not None:
            failure = verdicts.of_refusal(code, words)
            return NoAnswer(detail=words, failure=failure if failure.kind in verdicts.KEY_TROUBLE else None)
        if code == _NOT_FOUND:
            return Missing(detail=words)
        if not reply.ok:
            return NoAnswer(detail=f"HTTP {reply.status}: {words or 'no readable answer'}")
        if reply.body is None:
            return NoAnswer(detail=self.bad_answer(reply, words))
        return None

    def bad_answer(self, reply: Reply, words: str) -> str:
        """Name a yes of another shape than the gateway's; the first is logged, for all looks see the same."""
        detail = f"bad answer: HTTP {reply.status}: {words or 'nothing readable'}"
        if not self._has_answered_badly:
            self._has_answered_badly = True
            log.warning("the gateway answers in another shape than its own: %s", detail)
        return detail

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
