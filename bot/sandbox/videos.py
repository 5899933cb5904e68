"""Servers with the shape of OpenAI's Videos API: their routes and an order's way, in any of the dialects."""

import asyncio
import dataclasses
import secrets
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias, cast

from aiohttp import web

from bot.models import Clock
from bot.sandbox.body import BadBody, Strict, check, is_web_address, json_table
from bot.sandbox.orders import Order, order_of
from bot.sandbox.pictures import BadPicture, PictureFetcher, decode, examine
from bot.sandbox.studio import NotEnoughMoney, Studio
from bot.sandbox.tasks import State, Task
from bot.sandbox.triggers import Rehearsal, Trigger
from bot.sandbox.videos_terms import FAULTS, Dialect, Json, Refused, Seen

WEB_PAGE = "<!doctype html><title>Expired</title><p>This file has expired.</p>"

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_NO_KEY = (401, "Incorrect API key provided", "invalid_api_key")
_NO_BALANCE = (402, "Insufficient credits", "insufficient_quota")
_NO_MODEL = (404, "The model does not exist", "model_not_found")
_ASKED: Mapping[Trigger, tuple[int, str, str]] = MappingProxyType(
    {
        Trigger.KEY: _NO_KEY,
        Trigger.ACCESS: (403, "The key has no access to the model", "permission_denied"),
        Trigger.BALANCE: _NO_BALANCE,
        Trigger.MODEL: _NO_MODEL,
        Trigger.REFUSE: (400, "The prompt violates the content policy", "content_policy_violation"),
        Trigger.DOWN: (502, "Upstream service error", "bad_gateway"),
        Trigger.BUSY: (429, "Rate limit exceeded", "rate_limit_exceeded"),
    }
)
_STATUSES = MappingProxyType(
    {
        State.PENDING: "queued",
        State.PROCESSING: "in_progress",
        State.SUCCESS: "completed",
        State.FAILED: "failed",
    }
)


class VideosServer:
    """Answers in one dialect. `origin` says where the links of finished clips begin."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        studio: Studio,
        fetcher: PictureFetcher,
        clock: Clock,
        api_key: str,
        origin: Callable[[], str],
    ) -> None:
        self._dialect = dialect
        self._studio = studio
        self._fetcher = fetcher
        self._clock = clock
        self._authorization = f"Bearer {api_key}"
        self._origin = origin
        self._rehearsal = Rehearsal()
        studio.tell_as(dialect.name, lambda task: (dialect.event or dialect.tell)(self._seen(task)))

    def routes(self) -> list[web.RouteDef]:
        """The routes to serve."""
        base = f"/{self._dialect.name}/v1"
        return [
            web.get(f"{base}{self._dialect.models_route}", self._guarded(self._list_models)),
            web.post(f"{base}/videos", self._guarded(self._submit)),
            web.get(f"{base}/videos/{{video_id}}", self._guarded(self._status)),
            web.get(f"{base}/videos/{{video_id}}/content", self._guarded(self._content)),
            web.delete(f"{base}/videos/{{video_id}}", self._guarded(self._delete)),
        ]

    def _guarded(self, handler: _Handler) -> _Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            if request.headers.get("Authorization") != self._authorization:
                return self._no(Refused(*_NO_KEY))
            try:
                return await handler(request)
            except BadBody as error:
                return self._no(Refused(400, str(error), "invalid_value"))
            except BadPicture as error:
                return self._no(Refused(400, f"Invalid image: {error}", "invalid_image"))
            except Refused as refused:
                return self._no(refused)

        return answer

    def _no(self, refused: Refused) -> web.Response:
        return web.json_response(
            self._dialect.refuse(refused), status=refused.status, headers=refused.headers
        )

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        order = await self._order(request)
        if trigger := self._rehearsal.refusal(order.request.prompt):
            raise Refused(*_ASKED[trigger], retry_after="1" if trigger is Trigger.BUSY else "")
        try:
            task = await self._studio.accept(
                order,
                task_id=f"{self._dialect.id_prefix}{secrets.token_hex(16)}",
                price_micros=self._dialect.micros_per_second * order.request.seconds,
            )
        except NotEnoughMoney as error:
            raise Refused(*_NO_BALANCE) from error
        if Trigger.LOST in task.triggers and request.transport is not None:
            request.transport.abort()
        return self._resource(task, status=self._dialect.accepted_status)

    async def _order(self, request: web.Request) -> Order:
        dialect = self._dialect
        if request.content_type == "application/json" and dialect.as_json is not None:
            asked, picture = check(dialect.as_json, json_table(await request.read())), None
        elif request.content_type == "multipart/form-data" and dialect.as_form is not None:
            asked, picture = await self._form(request, dialect.as_form)
        else:
            raise Refused(400, f"Content-Type {request.content_type} is not taken here")
        fields = _flat(asked.model_dump(exclude_none=True), picture)
        model = fields.get("model") or dialect.models[0]
        if dialect.is_closed and model not in dialect.models:
            raise Refused(*_NO_MODEL)
        order = order_of(f"{dialect.name}/{model}", fields, otherwise_seconds=dialect.otherwise_seconds)
        pictures = [await _had(one) for one in order.pictures]
        if dialect.picture_must_fit:
            await self._check_fit(pictures, order)
        return dataclasses.replace(
            order, pictures=tuple(pictures), callback_url=fields.get("callback_url", "")
        )

    async def _form(self, request: web.Request, kind: type[Strict]) -> tuple[Strict, bytes | None]:
        try:
            parts = await request.post()
        except ValueError as error:
            raise BadBody("The request body is not a form") from error
        fields: dict[str, str] = {}
        picture: bytes | None = None
        for name, value in parts.items():
            if name in fields or (name == "input_reference" and picture is not None):
                raise BadBody(f"Invalid {name}: given twice")
            if isinstance(value, web.FileField) and name == "input_reference":
                picture = await asyncio.to_thread(value.file.read)
                await asyncio.to_thread(examine, picture)
            elif isinstance(value, str):
                fields[name] = value
            else:
                raise BadBody(f"Invalid {name}: must not be a file")
        if picture is None and self._dialect.form_needs_file:
            raise BadBody("input_reference file is required")
        return check(kind, fields, of_text=True), picture

    async def _check_fit(self, pictures: list[str | bytes], order: Order) -> None:
        for picture in pictures:
            seen = await self._fetcher.fetch(picture) if isinstance(picture, str) else picture
            facts = await asyncio.to_thread(examine, seen)
            if (facts.width, facts.height) != order.size:
                raise BadBody(
                    "Invalid input_reference: the image must have the width and height of the video"
                )

    async def _status(self, request: web.Request) -> web.StreamResponse:
        return self._resource(self._task(request))

    async def _content(self, request: web.Request) -> web.StreamResponse:
        seen = self._seen(self._task(request))
        if (variant := self._dialect.variant) and request.query.get(variant[0], variant[1]) != variant[1]:
            raise Refused(404, f"There is no such {variant[0]}")
        if seen.status == "failed" or (seen.status == "completed" and not seen.has_clip):
            raise Refused(404, "There is no video")
        if seen.status != "completed":
            raise Refused(*self._dialect.not_ready)
        if Trigger.FILE in seen.task.triggers:
            return web.Response(text=WEB_PAGE, content_type="text/html")
        return web.FileResponse(self._studio.clip_path(seen.task))

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        task = self._task(request)
        way = self._dialect.delete
        if way is None:
            raise Refused(405, "Method Not Allowed")
        if way == "ended" and task.completed_at(self._clock()) is None:
            raise Refused(400, "Only a video that is completed or failed can be deleted")
        answer: Json = {"id": task.task_id, "object": "video.deleted", "deleted": True}
        if way == "forgets":
            answer = self._dialect.tell(self._seen(task)) | {"status": "deleted"}
        await self._studio.remove(task, aborting=way == "aborts")
        return web.json_response(answer)

    async def _list_models(self, _: web.Request) -> web.StreamResponse:
        if self._dialect.list_models is not None:
            return web.json_response(self._dialect.list_models())
        listed = [{"id": name, "object": "model"} for name in self._dialect.models]
        return web.json_response({"object": "list", "data": listed})

    def _resource(self, task: Task, *, status: int = 200) -> web.Response:
        told = self._dialect.tell(self._seen(task))
        return web.json_response(told, status=status, headers=self._dialect.headers)

    def _task(self, request: web.Request) -> Task:
        task = self._studio.find(request.match_info["video_id"])
        if task is None or task.gateway != self._dialect.name:
            raise Refused(404, "Video not found", "not_found")
        return task

    def _seen(self, task: Task) -> Seen:
        now = self._clock()
        completed_at = task.completed_at(now)
        state = task.state(now)
        return Seen(
            task=task,
            status=_STATUSES[state],
            progress=int(task.progress(now) * 10) * 10,
            created_at=int(task.created_at.timestamp()),
            completed_at=None if completed_at is None else int(completed_at.timestamp()),
            error=FAULTS[task.fault] if state is State.FAILED and task.fault else None,
            has_clip=Trigger.EMPTY not in task.triggers,
            link=f"{self._origin()}/files/{task.task_id}.mp4",
            route=f"{self._origin()}/{self._dialect.name}/v1/videos/{task.task_id}",
        )


def _flat(fields: Mapping[str, Any], picture: bytes | None) -> dict[str, Any]:
    """Take a picture out of the object around it, or put the file of a form in its place."""
    flat = dict(fields)
    wrapped = flat.pop("image_reference", None) or flat.pop("input_reference", None)
    if isinstance(wrapped, dict):
        wrapped = cast("dict[str, str]", wrapped)["image_url"]
    if found := picture or wrapped:
        flat["input_reference"] = found
    return flat


async def _had(picture: str | bytes) -> str | bytes:
    """Return a picture's bytes where it came as a data URL; an address is fetched later."""
    if isinstance(picture, bytes) or is_web_address(picture):
        return picture
    return await asyncio.to_thread(decode, picture)
