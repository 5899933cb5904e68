"""Pixazo's dialect: its submits and the universal status route.

"Pixazo, Sora 2 Pro API" (https://gateway.pixazo.ai/sora-video/v1). The page names no limits, so
none are kept. The address of the header X-Webhook-URL is called with the body of a status answer; nothing
is posted to `callback_url`, of which the page does not say what comes. Sora's image is looked at before the
answer, since the page answers a wrong size with 400; those of the other models are fetched afterwards.
"""

import asyncio
import dataclasses
import datetime as dt
import functools
import secrets
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from aiohttp import web

from bot.models import Clock
from bot.sandbox import pixazo_orders, pixazo_successors
from bot.sandbox.body import BadBody, is_web_address, read_body
from bot.sandbox.orders import Order, order_of
from bot.sandbox.pictures import BadPicture, PictureFetcher, decode, examine
from bot.sandbox.studio import NotEnoughMoney, Studio
from bot.sandbox.tasks import Fault, State, Task
from bot.sandbox.triggers import Rehearsal, Trigger

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_API_IDS = {"sora-2-pro": "sora-video"}  # of the others the id is the name
_KEY_HEADER = "Ocp-Apim-Subscription-Key"
_STATUSES = {State.PENDING: "QUEUED", State.PROCESSING: "PROCESSING", State.SUCCESS: "COMPLETED"}
_FAULTS: Mapping[Fault, str] = MappingProxyType(
    {
        Fault.CONTENT_VIOLATION: "The prompt was rejected: it violates the content policy",
        Fault.INVALID_IMAGE_URL: "The image could not be fetched or decoded",
        Fault.UNSUPPORTED_FORMAT: "The image could not be decoded",
        Fault.IMAGE_TOO_LARGE: "The image is too large",
        Fault.GENERATION_FAILED: "Video generation failed",
        Fault.PROCESSING_TIMEOUT: "Internal error while processing the request",
    }
)


class _Refused(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, error: str, message: str, *, retry_after: str = "") -> None:
        super().__init__(message)
        self._status = status
        self._error = error
        self._headers = {"Retry-After": retry_after} if retry_after else {}

    def response(self) -> web.Response:
        """Put it into the body the page prints."""
        body = {"error": self._error, "message": str(self)}
        return web.json_response(body, status=self._status, headers=self._headers)


_NO_KEY = (401, "Unauthorized", "Access denied due to invalid or missing subscription key")
_NO_BALANCE = (402, "Insufficient Balance", "Your wallet does not have enough balance.")
_ASKED: Mapping[Trigger, tuple[int, str, str]] = MappingProxyType(
    {
        Trigger.KEY: _NO_KEY,
        Trigger.ACCESS: (403, "Forbidden", "This subscription may not use the model"),
        Trigger.BALANCE: _NO_BALANCE,
        Trigger.MODEL: (400, "Model not found", "The model is not found or is disabled"),
        Trigger.REFUSE: (400, "Bad Request", "Content violates provider policy, please adjust the prompt"),
        Trigger.DOWN: (502, "Bad Gateway", "Failed to reach upstream API"),
        Trigger.BUSY: (429, "Too Many Requests", "Rate limit exceeded"),
    }
)


class PixazoDialect:
    """Answers as Pixazo does. `origin` says where polling addresses and links of clips begin."""

    def __init__(
        self,
        *,
        studio: Studio,
        fetcher: PictureFetcher,
        clock: Clock,
        api_key: str,
        origin: Callable[[], str],
    ) -> None:
        self._studio = studio
        studio.tell_as("pixazo", self._told)
        self._fetcher = fetcher
        self._clock = clock
        self._api_key = api_key
        self._origin = origin
        self._rehearsal = Rehearsal()

    def routes(self) -> list[web.RouteDef]:
        """The routes to serve."""
        return [
            web.post("/sora-video/v1/video/generate", self._guarded(self._submit_text)),
            web.post("/sora-video/v1/video/i2v/generate", self._guarded(self._submit_image)),
            *(
                web.post(path, self._guarded(functools.partial(self._submit_successor, way)))
                for path, way in pixazo_successors.ROUTES.items()
            ),
            web.get("/v2/requests/status/{request_id}", self._guarded(self._status)),
        ]

    def _guarded(self, handler: _Handler) -> _Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            if request.headers.get(_KEY_HEADER) != self._api_key:
                return _Refused(*_NO_KEY).response()
            try:
                return await handler(request)
            except BadBody as error:
                return _Refused(400, "Bad Request", str(error)).response()
            except BadPicture as error:
                return _Refused(400, "Bad Request", f"Invalid image: {error}").response()
            except _Refused as refused:
                return refused.response()

        return answer

    async def _submit_text(self, request: web.Request) -> web.StreamResponse:
        _check_headers(request)
        return await self._accept(request, Order(request=pixazo_orders.read_text_order(await request.read())))

    async def _submit_image(self, request: web.Request) -> web.StreamResponse:
        _check_headers(request)
        asked = pixazo_orders.read_image_order(await request.read())
        if is_web_address(asked.image):
            picture = await self._fetcher.fetch(asked.image)
        else:
            picture = await asyncio.to_thread(decode, asked.image)
        order = pixazo_orders.match_image(asked, await asyncio.to_thread(examine, picture))
        return await self._accept(request, Order(request=order, pictures=(picture,)))

    async def _submit_successor(self, way: pixazo_successors.Way, request: web.Request) -> web.StreamResponse:
        _check_headers(request)
        fields = read_body(way.table, await request.read()).model_dump(exclude_none=True)
        return await self._accept(request, order_of(f"pixazo/{way.api_id}", fields))

    async def _accept(self, request: web.Request, order: Order) -> web.StreamResponse:
        if trigger := self._rehearsal.refusal(order.request.prompt):
            raise _Refused(*_ASKED[trigger], retry_after="1" if trigger is Trigger.BUSY else "")
        try:
            task = await self._studio.accept(
                dataclasses.replace(order, callback_url=request.headers.get("X-Webhook-URL", "")),
                task_id=self._new_id(_api_id(order.request.model)),
            )
        except NotEnoughMoney as error:
            raise _Refused(*_NO_BALANCE) from error
        if Trigger.LOST in task.triggers and request.transport is not None:
            request.transport.abort()
        accepted = {
            "request_id": task.task_id,
            "status": "QUEUED",
            "polling_url": f"{self._origin()}/v2/requests/status/{task.task_id}",
        }
        return web.json_response(accepted, status=202)

    async def _status(self, request: web.Request) -> web.StreamResponse:
        request_id = request.match_info["request_id"]
        task = self._studio.find(request_id)
        if task is None or task.gateway != "pixazo":
            raise _Refused(404, "Not Found", "No such request")
        return web.json_response(self._told(task))

    def _told(self, task: Task) -> dict[str, object]:
        now = self._clock()
        state, completed_at = task.state(now), task.completed_at(now)
        status, error, output = _STATUSES.get(state, "FAILED"), None, None
        if state is State.FAILED and task.fault:
            error = _FAULTS[task.fault]
            status = "ERROR" if task.fault is Fault.PROCESSING_TIMEOUT else "FAILED"
        if state is State.SUCCESS:
            links = [] if Trigger.EMPTY in task.triggers else [f"{self._origin()}/files/{task.task_id}.mp4"]
            output = {"media_url": links, "media_type": "application/octet-stream"}
        return {
            "request_id": task.task_id,
            "status": status,
            "model_id": _api_id(task.request.model),
            "error": error,
            "output": output,
            "created_at": _iso(task.created_at),
            "updated_at": _iso(completed_at or task.started_at or task.created_at),
            "completed_at": _iso(completed_at) if completed_at else None,
        }

    def _new_id(self, api_id: str) -> str:
        """An id as the page prints it: the time in milliseconds and the rest of a version 7 UUID."""
        time, rest = f"{round(self._clock().timestamp() * 1000):012x}", secrets.token_hex(9)
        return f"{api_id}_{time[:8]}-{time[8:]}-7{rest[:3]}-8{rest[3:6]}-{rest[6:]}"


def _api_id(model: str) -> str:
    name = model.partition("/")[2]
    return _API_IDS.get(name, name)


def _check_headers(request: web.Request) -> None:
    if request.content_type != "application/json":
        raise _Refused(400, "Bad Request", "Content-Type must be application/json")
    if request.headers.get("Cache-Control") != "no-cache":
        raise _Refused(400, "Bad Request", "Cache-Control must be no-cache")
    if not is_web_address(request.headers.get("X-Webhook-URL", "https://none.invalid")):
        raise _Refused(400, "Bad Request", "X-Webhook-URL must be an http or https URL")


def _iso(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
