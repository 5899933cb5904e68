"""APIXO's dialect: its three routes, its envelope and its refusals.

"APIXO Docs, Sora 2 Pro" (https://apixo.ai/docs/models/video/sora-2-pro) and "APIXO Docs, System
APIs" (https://apixo.ai/docs/api-reference/system). A callback has the body of a status answer.
"""

import datetime as dt
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from aiohttp import web

from bot.catalogue import Catalogue
from bot.models import Clock
from bot.money import MICROS_PER_DOLLAR
from bot.sandbox import apixo_orders
from bot.sandbox.body import BadBody
from bot.sandbox.limits import MinuteWindow
from bot.sandbox.studio import NotEnoughMoney, Studio
from bot.sandbox.tasks import Fault, State, Task
from bot.sandbox.triggers import Rehearsal, Trigger

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_FAULTS: Mapping[Fault, str] = MappingProxyType(
    {
        Fault.CONTENT_VIOLATION: "Content does not meet safety guidelines",
        Fault.INVALID_IMAGE_URL: "Cannot access provided image URL",
        Fault.UNSUPPORTED_FORMAT: "The image is not a JPG, PNG or WebP",
        Fault.IMAGE_TOO_LARGE: "The image is larger than 10 MB",
        Fault.GENERATION_FAILED: "Video generation failed",
        Fault.PROCESSING_TIMEOUT: "The task took too long and was given up",
    }
)


class _Refused(Exception):
    """The request is answered with an error."""

    def __init__(self, code: int, message: str, *, retry_after: str = "") -> None:
        super().__init__(message)
        self._code = code
        self._headers = {"Retry-After": retry_after} if retry_after else {}

    def response(self) -> web.Response:
        """Put it into the envelope."""
        body = {"code": self._code, "message": str(self), "data": None}
        return web.json_response(body, status=self._code, headers=self._headers)


_NO_KEY = (401, "Invalid or missing API key")
_NO_CREDITS = (400, "Insufficient credits")
_NO_MODEL = (404, "Model not found")
_ASKED: Mapping[Trigger, tuple[int, str]] = MappingProxyType(
    {
        Trigger.KEY: _NO_KEY,
        Trigger.ACCESS: (403, "This API key has no permission for the model"),
        Trigger.BALANCE: _NO_CREDITS,
        Trigger.MODEL: _NO_MODEL,
        Trigger.REFUSE: (400, "Content violates provider policy, please adjust the prompt"),
        Trigger.DOWN: (502, "Upstream service error"),
        Trigger.BUSY: (429, "Rate limit exceeded"),
    }
)


class ApixoDialect:
    """Answers as APIXO does. `origin` says where the links of finished clips begin."""

    def __init__(
        self, *, studio: Studio, catalogue: Catalogue, clock: Clock, api_key: str, origin: Callable[[], str]
    ) -> None:
        self._studio = studio
        studio.tell_as("apixo", lambda task: _envelope(self._told(task)))
        self._clock = clock
        self._authorization = f"Bearer {api_key}"
        self._origin = origin
        self._rehearsal = Rehearsal()
        self._limits = {
            model.remote_id: model.limits
            for model in catalogue.models.values()
            if model.gateway == "apixo" and model.remote_id in apixo_orders.MODELS
        }
        self._windows = {
            name: MinuteWindow(limits.requests_per_minute) for name, limits in self._limits.items()
        }

    def routes(self) -> list[web.RouteDef]:
        """The routes to serve."""
        return [
            web.post("/api/v1/generateTask/{model}", self._guarded(self._submit)),
            web.get("/api/v1/statusTask/{model}", self._guarded(self._status)),
            web.get("/api/v1/apikeys/current-balance", self._guarded(self._balance)),
        ]

    def _guarded(self, handler: _Handler) -> _Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            if request.headers.get("Authorization") != self._authorization:
                return _Refused(*_NO_KEY).response()
            try:
                return await handler(request)
            except _Refused as refused:
                return refused.response()

        return answer

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        name = self._counted_model(request)
        if request.content_type != "application/json":
            raise _Refused(400, "Content-Type must be application/json")
        try:
            order = apixo_orders.read_order(name, await request.read())
        except BadBody as error:
            raise _Refused(400, str(error)) from error
        if trigger := self._rehearsal.refusal(order.request.prompt):
            raise _Refused(*_ASKED[trigger], retry_after="1" if trigger is Trigger.BUSY else "")
        if self._studio.count_open(order.request.model) >= self._limits[name].concurrent_tasks:
            raise _Refused(429, "Concurrent task limit exceeded")
        try:
            task = await self._studio.accept(order, task_id=f"task_{secrets.token_hex(16)}")
        except NotEnoughMoney as error:
            raise _Refused(*_NO_CREDITS) from error
        if Trigger.LOST in task.triggers and request.transport is not None:
            request.transport.abort()
        return _success({"taskId": task.task_id})

    async def _status(self, request: web.Request) -> web.StreamResponse:
        name = self._counted_model(request)
        task_id = request.query.get("taskId")
        if not task_id:
            raise _Refused(400, "Missing required parameter: taskId")
        task = self._studio.find(task_id)
        if task is None or task.request.model != f"apixo/{name}":
            raise _Refused(404, "Task not found")
        return _success(self._told(task))

    async def _balance(self, _: web.Request) -> web.StreamResponse:
        # The page prints a bare JSON number of dollars, so this is where money must become one.
        return _success(self._studio.balance_micros("apixo") / MICROS_PER_DOLLAR)

    def _counted_model(self, request: web.Request) -> str:
        """The model in the path, after this request took its place in the model's minute."""
        name = request.match_info["model"]
        if name not in self._windows:
            raise _Refused(*_NO_MODEL)
        if not self._windows[name].take(self._clock()):
            raise _Refused(429, "Rate limit exceeded")
        return name

    def _told(self, task: Task) -> dict[str, object]:
        now = self._clock()
        state = task.state(now)
        told: dict[str, object] = {
            "taskId": task.task_id,
            "state": state.value,
            "createTime": _milliseconds(task.created_at),
        }
        if completed_at := task.completed_at(now):
            told["completeTime"] = _milliseconds(completed_at)
        if state is State.SUCCESS and completed_at:
            links = [] if Trigger.EMPTY in task.triggers else [f"{self._origin()}/files/{task.task_id}.mp4"]
            told["resultJson"] = json.dumps({"resultUrls": links})
            told["costTime"] = _milliseconds(completed_at) - _milliseconds(task.created_at)
        if state is State.FAILED and task.fault:
            told |= {"failCode": task.fault.value, "failMsg": _FAULTS[task.fault]}
        return told


def _milliseconds(time: dt.datetime) -> int:
    return round(time.timestamp() * 1000)


def _success(data: object) -> web.Response:
    return web.json_response(_envelope(data))


def _envelope(data: object) -> object:
    return {"code": 200, "message": "success", "data": data}
