"""APIXO: tasks behind one envelope, `{code, message, data}`.

Facts: APIXO Docs, Sora 2 and Sora 2 Pro, https://apixo.ai/docs/models/video/sora-2 and
https://apixo.ai/docs/models/video/sora-2-pro; System APIs, https://apixo.ai/docs/api-reference/system.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, cast
from urllib.parse import quote

import pydantic

from bot import wording
from bot.catalogue import Model
from bot.gateways import listing, verdicts
from bot.gateways.base import (
    Accepted,
    Checked,
    Failed,
    Finished,
    Missing,
    NoAnswer,
    NotAccepted,
    Refused,
    Running,
    Submitted,
)
from bot.gateways.http import HTTP_OK, GatewayHttp, Reply, json_object
from bot.gateways.line import TOO_MANY_REQUESTS, Line, rate_limited
from bot.gateways.reading import Code, TaskId, Text, links, micros_of_dollars, took_by_milliseconds
from bot.inventory import Inventory
from bot.models import VideoRequest
from bot.wording import SentPicture

_OK = 200
_CLIENT_ERRORS = range(400, 500)
# With a readable envelope these took nothing. All others of their class leave it open: behind 504,
# "upstream timeout", the task may have been made.
_NOT_ACCEPTED = frozenset({500, 502, 503})
_OPEN = frozenset(range(500, 600)) - _NOT_ACCEPTED


class _Data(pydantic.BaseModel):
    """What `data` holds, of a task or of a refusal."""

    task_id: TaskId = pydantic.Field("", alias="taskId")
    state: Text = ""
    result: Any = pydantic.Field(None, alias="resultJson")
    result_urls: Any = pydantic.Field(None, alias="resultUrls")
    fail_code: Text = pydantic.Field("", alias="failCode")
    fail_message: Text = pydantic.Field("", alias="failMsg")
    error: Text = ""
    began: Any = pydantic.Field(None, alias="createTime")
    ended: Any = pydantic.Field(None, alias="completeTime")


def _fields(data: object) -> object:
    return cast("object", data) if isinstance(data, dict) else {}


class _Envelope(pydantic.BaseModel):
    code: Code = None
    message: Text = ""
    error: Text = ""
    data: Annotated[_Data, pydantic.BeforeValidator(_fields)] = pydantic.Field(None, validate_default=True)
    number: Any = pydantic.Field(None, alias="data")  # a balance is the bare number

    @property
    def words(self) -> str:
        inner = self.data.error or self.data.fail_message
        return ": ".join(part for part in (self.message or self.error, inner) if part)


class ApixoGateway:
    """One APIXO key. `route` is what `provider` says for models that leave it to the operator.

    `charged` is False where failed tasks are known to take no money. `models_url` is the public list of its
    models, and empty where there is none.
    """

    tells_balance = True
    aborts = False
    calls_back = True

    def __init__(
        self,
        http: GatewayHttp,
        *,
        name: str,
        base_url: str,
        key: str,
        route: str,
        charged: bool | None = None,
        models_url: str = "",
    ) -> None:
        self.name = name
        self.tells_models = bool(models_url)
        self._models_url = models_url
        self._charged = charged
        self._line = Line(http, base_url=base_url, key=key, headers={"Authorization": f"Bearer {key}"})
        self._route = route

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
        body = self._body(model, wording.fields(model, request, picture, end), callback_url)
        reply = await self._line.post(f"/generateTask/{quote(model.remote_id, safe='')}", body)
        return self._submitted(reply, request.prompt) if isinstance(reply, Reply) else reply

    async def check(self, model: Model, task_id: str) -> Checked:
        """Look at a task; see `Gateway.check`."""
        reply = await self._line.get(
            f"/statusTask/{quote(model.remote_id, safe='')}", params={"taskId": task_id}
        )
        return self._checked(reply, task_id) if isinstance(reply, Reply) else reply

    async def balance(self) -> int | NoAnswer:
        """Read the key's balance, a bare number of dollars; see `Gateway.balance`."""
        reply = await self._line.get("/apikeys/current-balance")
        if not isinstance(reply, Reply):
            return reply
        envelope = _Envelope.model_validate(reply.body or {})
        words = self._line.plain(envelope.words or reply.text)
        if not reply.ok or envelope.code != _OK:
            code = envelope.code if reply.ok else reply.status
            refused = self._line.no_task(reply, code, words)
            failure = refused.failure if isinstance(refused, NoAnswer) else None
            return NoAnswer(detail=f"{code or 'no readable answer'}: {words}", failure=failure)
        micros = micros_of_dollars(envelope.number)
        return NoAnswer(detail=f"no amount of money: {words}") if micros is None else micros

    async def inventory(self) -> Inventory | Missing | NoAnswer:
        """Read the public list of models, without the key; see `Gateway.inventory`."""
        reply = await self._line.get_list(self._models_url)
        return listing.read(reply, self._line) if isinstance(reply, Reply) else reply

    def named_task(self, callback: bytes) -> str:
        """Read a callback, whose body is that of a status answer; see `Gateway.named_task`."""
        task_id = _Envelope.model_validate(json_object(callback) or {}).data.task_id
        return "" if self._line.holds_key(task_id) else task_id

    async def abort(self, model: Model, task_id: str) -> bool:  # noqa: ARG002 - the protocol's
        """APIXO documents no way to end a task."""
        return False

    def headers_for(self, url: str) -> Mapping[str, str]:  # noqa: ARG002 - the protocol's
        """Links to clips need no key."""
        return {}

    def _body(self, model: Model, fields: dict[str, Any], callback_url: str | None) -> dict[str, Any]:
        body: dict[str, Any] = {"request_type": "async"}
        if callback_url is not None:
            body = {"request_type": "callback", "callback_url": callback_url}
        body["input"] = fields
        if model.route is not None:
            body["provider"] = self._route if model.route == "operator" else model.route
        return body

    def _submitted(self, reply: Reply, prompt: str) -> Submitted:
        envelope = _Envelope.model_validate(reply.body or {})
        words = self._line.plain(envelope.words or reply.text)
        code = envelope.code
        if code is None and reply.body is not None and reply.status in _CLIENT_ERRORS:
            code = reply.status
        if envelope.data.task_id:
            if reply.ok and code == _OK and not self._line.holds_key(envelope.data.task_id):
                return Accepted(task_id=envelope.data.task_id)
            return self._line.lost(reply, words, self._line.plain(envelope.data.task_id))
        if reply.status == TOO_MANY_REQUESTS:
            return rate_limited(reply, words)
        says_no = reply.ok or reply.status in _CLIENT_ERRORS or reply.status in _NOT_ACCEPTED
        if not says_no or code is None or code in HTTP_OK:
            return self._line.lost(reply, words)
        if code in _OPEN:
            return self._line.lost(reply, words, f"code {code}")
        if code == TOO_MANY_REQUESTS:
            return rate_limited(reply, words)
        failure = verdicts.of_refusal(code, words, self._line.plain(envelope.data.fail_code), prompt=prompt)
        if reply.status in _NOT_ACCEPTED:
            return NotAccepted(failure=failure, after_seconds=reply.after_seconds, counts=True)
        return Refused(failure=failure)

    def _checked(self, reply: Reply, task_id: str) -> Checked:
        envelope = _Envelope.model_validate(reply.body or {})
        words = self._line.plain(envelope.words or reply.text)
        nothing = self._line.no_task(reply, envelope.code if reply.ok else reply.status, words)
        if nothing is not None:
            return nothing
        if envelope.code != _OK:
            return NoAnswer(detail=self._line.bad_answer(reply, words))
        task = envelope.data
        if not task.state:
            return Missing(detail="the gateway sent no state")
        if task.task_id not in {"", task_id}:
            return NoAnswer(detail="the gateway answered for another task")
        return self._of_state(task)

    def _of_state(self, task: _Data) -> Checked:
        match task.state.lower():
            case "success":
                took = took_by_milliseconds(task.began, task.ended)
                return Finished(urls=self._line.clean(_links(task)), took_seconds=took)
            case "failed":
                return Failed(
                    failure=verdicts.of_task(
                        self._line.plain(task.fail_message),
                        self._line.plain(task.fail_code),
                        charged=self._charged,
                    )
                )
            case "pending" | "processing":
                return Running()
            case unknown:
                self._line.wonder(unknown)
                return Running()


def _links(task: _Data) -> tuple[str, ...]:
    """Collect the result links: `resultJson` is a string of JSON by the page, an object has been seen."""
    result = task.result
    if isinstance(result, str):
        try:
            result = json.loads(result)
        except (ValueError, RecursionError):
            result = task.result
    if isinstance(result, dict):
        result = cast("dict[str, Any]", result).get("resultUrls")
    return links(result, task.result_urls)
