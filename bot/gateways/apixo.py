"""APIXO: tasks behind one envelope, `{code, message, data}`.

Facts: APIXO Docs, Sora 2 and Sora 2 Pro, https://apixo.ai/docs/models/video/sora-2 and
https://apixo.ai/docs/models/video/sora-2-pro; System APIs, https://apixo.ai/docs/api-reference/system.
"""

import json
import logging
from collections.abc import Mapping
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

# 504 "upstream timeout" is not among them: the task may have been made.
_NOT_ACCEPTED = frozenset({500, 502, 503})
_UPSTREAM_TIMEOUT = 504
_OK = 200
_NOT_FOUND = 404
_SERVER_ERROR = 500


def _text(value: object) -> str:
    return "" if value is None else str(value)


_Text = Annotated[str, pydantic.BeforeValidator(_text)]


class _Envelope(pydantic.BaseModel):
    code: int
    message: _Text = ""
    error: _Text = ""
    data: Any = None

    @property
    def fields(self) -> Mapping[str, Any]:
        return cast("Mapping[str, Any]", self.data) if isinstance(self.data, dict) else {}


class _Task(pydantic.BaseModel):
    task_id: _Text = pydantic.Field("", alias="taskId")
    state: _Text
    result: Any = pydantic.Field(None, alias="resultJson")
    result_urls: Any = pydantic.Field(None, alias="resultUrls")
    fail_code: _Text = pydantic.Field("", alias="failCode")
    fail_message: _Text = pydantic.Field("", alias="failMsg")


class ApixoGateway:
    """One APIXO key. `route` is what `provider` says for models that leave it to the operator."""

    can_probe = True

    def __init__(self, http: GatewayHttp, *, name: str, base_url: str, key: str, route: str) -> None:
        self.name = name
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._key = key
        self._headers = {"Authorization": f"Bearer {key}"}
        self._route = route

    async def submit(self, model: Model, request: VideoRequest, picture: str | None) -> Submitted:
        """Order a clip; see `Gateway.submit`."""
        try:
            reply = await self._http.post(
                f"{self._base_url}/generateTask/{quote(model.remote_id, safe='')}",
                headers=self._headers,
                body=self._body(model, request, picture),
            )
        except NotSent as error:
            return NotAccepted(failure=Failure(kind=FailureKind.GATEWAY_DOWN, detail=self._plain(str(error))))
        except NoReply as error:
            return Lost(detail=self._plain(str(error)))
        return self._submitted(reply)

    async def check(self, model: Model, task_id: str) -> Checked:
        """Look at a task; see `Gateway.check`."""
        try:
            reply = await self._http.get(
                f"{self._base_url}/statusTask/{quote(model.remote_id, safe='')}",
                headers=self._headers,
                params={"taskId": task_id},
            )
        except (NotSent, NoReply) as error:
            return NoAnswer(detail=self._plain(str(error)))
        return self._checked(reply, task_id)

    async def probe(self) -> bool:
        """Read the key's balance; the key works if the gateway answers with a number."""
        try:
            reply = await self._http.get(f"{self._base_url}/apikeys/current-balance", headers=self._headers)
        except (NotSent, NoReply):
            return False
        envelope = _envelope(reply)
        if not reply.ok or envelope is None or envelope.code != _OK:
            return False
        try:
            return float(envelope.data) > 0
        except (TypeError, ValueError):
            return False

    def _body(self, model: Model, request: VideoRequest, picture: str | None) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "mode": request.mode.value,
            "prompt": request.prompt,
            "duration": request.seconds,
            **model.size(request).send,
        }
        if picture is not None:
            fields["image_urls"] = [picture]
        if model.watermark_field is not None:
            fields[model.watermark_field] = not request.keep_watermark
        body: dict[str, Any] = {"request_type": "async", "input": fields}
        if model.route is not None:
            body["provider"] = self._route if model.route == "operator" else model.route
        return body

    def _submitted(self, reply: Reply) -> Submitted:
        envelope = _envelope(reply)
        if reply.status == TOO_MANY_REQUESTS or (envelope and envelope.code == TOO_MANY_REQUESTS):
            words = self._words(envelope) if envelope else reply.excerpt
            return NotAccepted(
                failure=Failure(kind=FailureKind.RATE_LIMITED, detail=self._plain(words)),
                after_seconds=reply.after_seconds,
            )
        if envelope is None:
            return Lost(detail=f"HTTP {reply.status} without a readable answer: {self._plain(reply.excerpt)}")
        task_id = _text(envelope.fields.get("taskId"))
        words = self._words(envelope)
        if reply.ok and envelope.code == _OK and task_id:
            return Accepted(task_id=task_id)
        if task_id or envelope.code in {_OK, _UPSTREAM_TIMEOUT}:
            return Lost(detail=f"HTTP {reply.status} with code {envelope.code}: {words}")
        failure = verdicts.of_refusal(envelope.code, words, _text(envelope.fields.get("failCode")))
        if reply.status in _NOT_ACCEPTED:
            if failure.kind is FailureKind.GATEWAY_DOWN:
                return NotAccepted(failure=failure, after_seconds=reply.after_seconds, counts=True)
            return Refused(failure=failure)
        if reply.ok or reply.status in range(400, 500):
            return Refused(failure=failure)
        return Lost(detail=f"HTTP {reply.status}: {words}")

    def _checked(self, reply: Reply, task_id: str) -> Checked:
        envelope = _envelope(reply)
        codes = {reply.status, envelope.code if envelope else reply.status}
        words = self._words(envelope) if envelope else reply.excerpt
        if TOO_MANY_REQUESTS in codes:
            return NoAnswer(detail=words, after_seconds=reply.after_seconds, limited=True)
        if codes & {401, 402, 403} and envelope is not None:
            return NoAnswer(detail=words, failure=verdicts.of_refusal(max(codes & {401, 402, 403}), words))
        if _NOT_FOUND in codes:
            return Missing(detail=words)
        if not reply.ok or envelope is None or envelope.code != _OK:
            return NoAnswer(detail=f"HTTP {reply.status}: {words}")
        try:
            task = _Task.model_validate(envelope.fields)
        except pydantic.ValidationError:
            return Missing(detail="the gateway sent no state")
        if task.task_id not in {"", task_id}:
            return NoAnswer(detail="the gateway answered for another task")
        return self._of_state(task)

    def _of_state(self, task: _Task) -> Checked:
        match task.state.lower():
            case "success":
                return Finished(urls=_links(task.result, task.result_urls))
            case "failed":
                return Failed(
                    failure=verdicts.of_task(self._plain(task.fail_message), self._plain(task.fail_code))
                )
            case "pending" | "processing":
                return Running()
            case unknown:
                log.info("unknown state %r counts as still rendering", unknown[:40])
                return Running()

    def _words(self, envelope: _Envelope) -> str:
        inner = _text(envelope.fields.get("error") or envelope.fields.get("failMsg"))
        return self._plain(": ".join(part for part in (envelope.message or envelope.error, inner) if part))

    def _plain(self, text: str) -> str:
        return plain(text, secret=self._key)


def _envelope(reply: Reply) -> _Envelope | None:
    """Read the envelope; without an integer `code` it is none."""
    try:
        return _Envelope.model_validate(reply.body)
    except pydantic.ValidationError:
        return None


def _links(*places: object) -> tuple[str, ...]:
    """Collect the result links, wherever the gateway put them: a JSON string, an object or a list."""
    found: list[str] = []
    for place in places:
        value = place
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                value = [value]
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get("resultUrls")
        listed = cast("list[object]", value) if isinstance(value, list) else [value]
        found += [
            link for link in listed if isinstance(link, str) and link.startswith(("https://", "http://"))
        ]
    return tuple(dict.fromkeys(found))
