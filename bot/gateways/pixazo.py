"""Pixazo: a queue of requests with one universal status route.

Facts: Pixazo, Sora 2 Pro API, https://gateway.pixazo.ai/sora-video/v1
"""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

import pydantic

from bot import wording
from bot.catalogue import Model
from bot.gateways import verdicts
from bot.gateways.base import (
    Accepted,
    Checked,
    Failed,
    Finished,
    Missing,
    NoAnswer,
    Refused,
    Running,
    Submitted,
)
from bot.gateways.http import GatewayHttp, Reply, json_object
from bot.gateways.line import TOO_MANY_REQUESTS, Line, rate_limited
from bot.gateways.reading import Code, TaskId, Text, links, took_by_dates
from bot.models import FailureKind, VideoRequest
from bot.wording import SentPicture

_BAD_REQUEST = 400
_CLIENT_ERRORS = range(400, 500)
_LINK_FIELDS = ("media_url", "mediaUrl", "url", "output_url", "video_url")


class _Answer(pydantic.BaseModel):
    request_id: TaskId = ""
    status: Text = ""
    code: Code = pydantic.Field(None, alias="status")  # some refusals put HTTP's status there
    error: Text = ""
    message: Text = ""
    detail: Text = ""
    output: Any = None
    created_at: Any = None
    completed_at: Any = None

    @property
    def words(self) -> str:
        return ": ".join(part for part in (self.error, self.message or self.detail) if part)


class PixazoGateway:
    """One Pixazo subscription key. `charged` is False where failed tasks are known to take no money."""

    tells_balance = False
    tells_models = False
    aborts = False
    calls_back = True

    def __init__(
        self, http: GatewayHttp, *, name: str, base_url: str, key: str, charged: bool | None = None
    ) -> None:
        self.name = name
        self._charged = charged
        # The page sends all three with every request.
        headers = {
            "Content-Type": "application/json",
            "Cache-Control": "no-cache",
            "Ocp-Apim-Subscription-Key": key,
        }
        self._line = Line(http, base_url=base_url, key=key, headers=headers)

    async def submit(
        self,
        model: Model,
        request: VideoRequest,
        picture: SentPicture | None,
        callback_url: str | None = None,
        *,
        end: SentPicture | None = None,
    ) -> Submitted:
        """Order a clip; see `Gateway.submit`."""
        body = wording.fields(model, request, picture, end)
        # The page's header of the queue; its body field of the same use says nothing of what is posted.
        headers = {} if callback_url is None else {"X-Webhook-URL": callback_url}
        reply = await self._line.post(model.modes[request.mode].path or "", body, headers)
        return self._submitted(reply, request.prompt) if isinstance(reply, Reply) else reply

    async def check(self, model: Model, task_id: str) -> Checked:  # noqa: ARG002 - one route for all models
        """Look at a task; see `Gateway.check`."""
        # Built here, never from `polling_url`: the key goes to this origin alone.
        reply = await self._line.get(f"/v2/requests/status/{quote(task_id, safe='')}")
        return self._checked(reply, task_id) if isinstance(reply, Reply) else reply

    async def abort(self, model: Model, task_id: str) -> bool:  # noqa: ARG002 - the protocol's
        """Pixazo documents no way to end a task."""
        return False

    def headers_for(self, url: str) -> Mapping[str, str]:  # noqa: ARG002 - the protocol's
        """Links to clips need no key."""
        return {}

    def named_task(self, callback: bytes) -> str:
        """Read a callback, whose body is that of a status answer; see `Gateway.named_task`."""
        task_id = _Answer.model_validate(json_object(callback) or {}).request_id
        return "" if self._line.holds_key(task_id) else task_id

    async def balance(self) -> NoAnswer:
        """Pixazo documents no free question: only an order tells whether the key works."""
        return NoAnswer(detail="Pixazo tells no balance")

    async def inventory(self) -> NoAnswer:
        """Pixazo documents no list of its models."""
        return NoAnswer(detail="Pixazo tells no models")

    def _submitted(self, reply: Reply, prompt: str) -> Submitted:
        answer = _Answer.model_validate(reply.body or {})
        words = self._line.plain(answer.words or reply.text)
        if answer.request_id:
            if reply.ok and not self._line.holds_key(answer.request_id):
                return Accepted(task_id=answer.request_id)
            return self._line.lost(reply, words, self._line.plain(answer.request_id))
        code = reply.status
        if reply.ok and answer.error:
            code = answer.code or _BAD_REQUEST
        if code == TOO_MANY_REQUESTS:
            return rate_limited(reply, words)
        if reply.body is not None and code in _CLIENT_ERRORS:
            return Refused(failure=verdicts.of_refusal(code, words, prompt=prompt))
        return self._line.lost(reply, words)

    def _checked(self, reply: Reply, task_id: str) -> Checked:
        answer = _Answer.model_validate(reply.body or {})
        words = self._line.plain(answer.words or reply.text)
        nothing = self._line.no_task(reply, reply.status, words)
        if nothing is not None:
            return nothing
        if not answer.status:
            return Missing(detail="the gateway sent no status")
        if answer.request_id not in {"", task_id}:
            return NoAnswer(detail="the gateway answered for another request")
        return self._of_status(answer)

    def _of_status(self, answer: _Answer) -> Checked:
        words = self._line.plain(answer.words)
        match answer.status.upper():
            case "COMPLETED" | "SUCCEEDED" | "DONE":
                took = took_by_dates(answer.created_at, answer.completed_at)
                return Finished(urls=self._line.clean(_links(answer.output)), took_seconds=took)
            case "FAILED" | "CANCELLED":
                return Failed(failure=verdicts.of_task(words, charged=self._charged))
            case "ERROR":
                # "System error — not charged", says the page's table of status values.
                return Failed(
                    failure=verdicts.of_task(
                        words, "ERROR", charged=False, otherwise=FailureKind.GATEWAY_DOWN
                    )
                )
            case "QUEUED" | "PROCESSING" | "IN_QUEUE" | "IN_PROGRESS":
                return Running()
            case unknown:
                self._line.wonder(unknown)
                return Running()


def _links(output: object) -> tuple[str, ...]:
    """Collect the result links: `media_url` is a list by the page, a bare string has been seen."""
    if not isinstance(output, dict):
        return links(output)
    fields = cast("dict[str, Any]", output)
    return links(*(fields.get(name) for name in _LINK_FIELDS))
