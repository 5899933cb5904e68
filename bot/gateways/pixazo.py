"""Pixazo: a queue of requests with one universal status route.

Facts: Pixazo, Sora 2 Pro API, https://gateway.pixazo.ai/sora-video/v1
"""

import logging
from typing import Annotated, Any, cast
from urllib.parse import quote

import pydantic

from bot.catalogue import Model
from bot.gateways import verdicts
from bot.gateways.base import (
    TOO_MANY_REQUESTS,
    Accepted,
    Checked,
    Failed,
    Finished,
    GatewayHttp,
    Lost,
    Missing,
    NoAnswer,
    NoReply,
    NotAccepted,
    NotSent,
    Refused,
    Reply,
    Running,
    Submitted,
    plain,
)
from bot.models import Failure, FailureKind, VideoRequest

log = logging.getLogger(__name__)

_NOT_FOUND = 404
_LINK_FIELDS = ("media_url", "mediaUrl", "url", "output_url", "video_url")


def _text(value: object) -> str:
    return "" if value is None else str(value)


_Text = Annotated[str, pydantic.BeforeValidator(_text)]


class _Answer(pydantic.BaseModel):
    request_id: _Text = ""
    status: _Text = ""
    error: _Text = ""
    message: _Text = ""
    output: Any = None

    @property
    def words(self) -> str:
        return ": ".join(part for part in (self.error, self.message) if part)


class PixazoGateway:
    """One Pixazo subscription key."""

    can_probe = False

    def __init__(self, http: GatewayHttp, *, name: str, base_url: str, key: str) -> None:
        self.name = name
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._key = key
        # The page sends all three with every request.
        self._headers = {
            "Content-Type": "application/json",
            "Cache-Control": "no-cache",
            "Ocp-Apim-Subscription-Key": key,
        }

    async def submit(self, model: Model, request: VideoRequest, picture: str | None) -> Submitted:
        """Order a clip; see `Gateway.submit`."""
        body: dict[str, Any] = {
            "prompt": request.prompt,
            "model": model.remote_id,
            "seconds": request.seconds,
            **model.size(request).send,
        }
        if picture is not None:
            body["image"] = picture
        path = model.modes[request.mode].path or ""
        try:
            reply = await self._http.post(f"{self._base_url}{path}", headers=self._headers, body=body)
        except NotSent as error:
            return NotAccepted(failure=Failure(kind=FailureKind.GATEWAY_DOWN, detail=self._plain(str(error))))
        except NoReply as error:
            return Lost(detail=self._plain(str(error)))
        return self._submitted(reply)

    async def check(self, model: Model, task_id: str) -> Checked:  # noqa: ARG002 - one route for all models
        """Look at a task; see `Gateway.check`."""
        try:
            # Built here, never from `polling_url`: the key goes to this origin alone.
            reply = await self._http.get(
                f"{self._base_url}/v2/requests/status/{quote(task_id, safe='')}", headers=self._headers
            )
        except (NotSent, NoReply) as error:
            return NoAnswer(detail=self._plain(str(error)))
        return self._checked(reply, task_id)

    async def probe(self) -> bool:
        """Pixazo documents no free question: only an order can tell."""
        return False

    def _submitted(self, reply: Reply) -> Submitted:
        answer = _answer(reply)
        words = self._plain(answer.words if answer else reply.excerpt)
        if reply.status == TOO_MANY_REQUESTS:
            return NotAccepted(
                failure=Failure(kind=FailureKind.RATE_LIMITED, detail=words),
                after_seconds=reply.after_seconds,
            )
        if answer is None:
            return Lost(detail=f"HTTP {reply.status} without a readable answer: {words}")
        if reply.ok and answer.request_id:
            return Accepted(task_id=answer.request_id)
        refused = reply.ok and answer.error and not answer.request_id
        if refused or reply.status in range(400, 500):
            return Refused(failure=verdicts.of_refusal(400 if reply.ok else reply.status, words))
        return Lost(detail=f"HTTP {reply.status}: {words}")

    def _checked(self, reply: Reply, task_id: str) -> Checked:
        answer = _answer(reply)
        words = self._plain(answer.words if answer else reply.excerpt)
        if reply.status == TOO_MANY_REQUESTS:
            return NoAnswer(detail=words, after_seconds=reply.after_seconds, limited=True)
        if reply.status in {401, 402, 403} and answer is not None:
            return NoAnswer(detail=words, failure=verdicts.of_refusal(reply.status, words))
        if reply.status == _NOT_FOUND:
            return Missing(detail=words)
        if not reply.ok or answer is None:
            return NoAnswer(detail=f"HTTP {reply.status}: {words}")
        if not answer.status:
            return Missing(detail="the gateway sent no status")
        if answer.request_id not in {"", task_id}:
            return NoAnswer(detail="the gateway answered for another request")
        return self._of_status(answer, words)

    def _of_status(self, answer: _Answer, words: str) -> Checked:
        match answer.status.upper():
            case "COMPLETED" | "SUCCEEDED" | "DONE":
                return Finished(urls=_links(answer.output))
            case "FAILED" | "CANCELLED":
                return Failed(failure=verdicts.of_task(words))
            case "ERROR":
                # "System error — not charged", says the page's table of status values.
                failure = verdicts.of_task(words, charged=False)
                if failure.kind is FailureKind.NO_OUTPUT:
                    failure = Failure(
                        kind=FailureKind.GATEWAY_DOWN, detail=words, code="ERROR", charged=False
                    )
                return Failed(failure=failure)
            case "QUEUED" | "PROCESSING" | "IN_QUEUE" | "IN_PROGRESS":
                return Running()
            case unknown:
                log.info("unknown status %r counts as still rendering", unknown[:40])
                return Running()

    def _plain(self, text: str) -> str:
        return plain(text, secret=self._key)


def _answer(reply: Reply) -> _Answer | None:
    try:
        return _Answer.model_validate(reply.body)
    except pydantic.ValidationError:
        return None


def _links(output: object) -> tuple[str, ...]:
    """Collect the result links: `media_url` is a list by the page, a bare string has been seen."""
    fields = cast("dict[str, Any]", output) if isinstance(output, dict) else {"url": output}
    found: list[object] = []
    for name in _LINK_FIELDS:
        value = fields.get(name)
        found += cast("list[object]", value) if isinstance(value, list) else [value]
    links = (link for link in found if isinstance(link, str) and link.startswith(("https://", "http://")))
    return tuple(dict.fromkeys(links))
