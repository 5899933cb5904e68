"""Both gateways, strict by their pages, with a ledger of every task and every cent."""

import asyncio
import base64
import contextlib
import dataclasses
import json
import random
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web
from yarl import URL

from bot.models import VideoRequest
from bot.sandbox import apixo_orders, pixazo_orders
from bot.sandbox.body import BadBody
from tests.crash.traps import Gone, Moment, Trap, watched

CLIP = Path(__file__).parent.parent / "data" / "clip.mp4"

KEYS = {"apixo": "key-of-apixo", "pixazo": "key-of-pixazo"}
BALANCE_MICROS = 5_000_000_000

# "increasing delays", says APIXO's page of webhooks, and up to three retries; here they are shorter.
RETRY_SECONDS = (0.0, 1.0, 3.0, 9.0)
# As an operator's proxy does that waits for the bot to come back (Caddy: lb_try_duration).
PROXY_WAITS_SECONDS = 120.0

# What the prompts ask the gateway to do.
FAILS, ERRS, REFUSED, SPOILT = "fails", "errs", "is refused", "is spoilt at first"
FALLS = "falls to another model"
_NUMBER = re.compile(r"number (\d+)")

_PRICES: Mapping[tuple[str, int, str | None], int] = {
    ("apixo/sora-2", 10, None): 500_000,
    ("apixo/sora-2-pro", 4, "720p"): 1_080_000,
    ("pixazo/sora-2-pro", 4, "720p"): 1_500_000,
    ("pixazo/sora-2-pro", 8, "720p"): 3_000_000,
}


@dataclasses.dataclass(kw_only=True)
class Task:
    """A task that was taken, what it was charged, and what of it was given back."""

    task_id: str
    gateway: str
    number: int
    request: VideoRequest
    price_micros: int
    began_at: float
    ends_at: float
    callback_url: str | None
    refunds: bool
    downloads: int = 0

    @property
    def is_over(self) -> bool:
        return time.time() >= self.ends_at

    @property
    def fails(self) -> bool:
        return any(word in self.request.prompt for word in (FAILS, ERRS))

    @property
    def charged_micros(self) -> int:
        """What it costs in the end."""
        return 0 if self.is_over and self.fails and self.refunds else self.price_micros


class Gateways:
    """APIXO and Pixazo on one port. `posts` counts the paid requests that came, by the order's number."""

    def __init__(self, trap: Trap, files: Mapping[str, bytes], rng: random.Random) -> None:
        self._trap = trap
        self._files = files
        self._rng = rng
        self.tasks: dict[str, Task] = {}
        self.posts: dict[int, int] = {}
        self.complaints: list[str] = []
        self.bot_port = 0
        self.public_url = ""
        self._calls: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=32 * 1024 * 1024, middlewares=[watched(self._trap, self._kind)])
        app.router.add_post("/api/v1/generateTask/{model}", self._submit_apixo)
        app.router.add_get("/api/v1/statusTask/{model}", self._status_apixo)
        app.router.add_get("/api/v1/apikeys/current-balance", self._balance)
        app.router.add_post("/sora-video/v1/video/generate", self._submit_pixazo)
        app.router.add_post("/sora-video/v1/video/i2v/generate", self._submit_pixazo_picture)
        app.router.add_get("/v2/requests/status/{task}", self._status_pixazo)
        app.router.add_get("/files/{name}", self._file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.host = f"127.0.0.1:{self._runner.addresses[0][1]}"
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(self, *_: object) -> None:
        for call in list(self._calls):
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._session.close()
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def settings(self) -> dict[str, str]:
        """What a bot needs to be told of them."""
        return {
            "APIXO_API_KEY": KEYS["apixo"],
            "APIXO_BASE_URL": f"http://{self.host}/api/v1",
            "PIXAZO_API_KEY": KEYS["pixazo"],
            "PIXAZO_BASE_URL": f"http://{self.host}",
            "TRUSTED_HOSTS": self.host,
        }

    async def _kind(self, request: web.Request) -> str:
        name = getattr(request.match_info.handler, "__name__", "")
        kinds = {
            "_submit_apixo": "submit to apixo",
            "_submit_pixazo": "submit to pixazo",
            "_submit_pixazo_picture": "submit to pixazo",
            "_status_apixo": "look at apixo",
            "_status_pixazo": "look at pixazo",
            "_balance": "balance",
            "_file": "download",
        }
        if name not in kinds:
            self.complaints.append(f"the gateways have no route {request.method} {request.path}")
        return kinds.get(name, "")

    # APIXO: https://apixo.ai/docs/models/video/sora-2 and https://apixo.ai/docs/api-reference/webhooks

    async def _submit_apixo(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEYS['apixo']}":
            return _envelope(None, code=401, message="Invalid or missing API key")
        raw = await request.read()
        try:
            order = apixo_orders.read_order(request.match_info["model"], raw)
        except BadBody as error:
            self.complaints.append(f"APIXO takes no such order: {error}")
            return _envelope(None, code=400, message=str(error))
        if self._refuses(order.request):
            return _envelope(None, code=400, message="Content violates provider policy, please adjust")
        for link in order.pictures:
            if link not in self._files:
                self.complaints.append(f"there is no picture at {link!r}")
        task = self._accept("apixo", order.request, json.loads(raw).get("callback_url"))
        return _envelope({"taskId": task.task_id})

    async def _status_apixo(self, request: web.Request) -> web.StreamResponse:
        task = self.tasks.get(request.query["taskId"])
        if task is None:
            return _envelope(None, code=404, message="Task not found")
        return web.json_response(self._apixo_body(task))

    def _apixo_body(self, task: Task) -> dict[str, Any]:
        data: dict[str, Any] = {"taskId": task.task_id, "createTime": round(task.began_at * 1000)}
        if not task.is_over:
            data["state"] = "processing"
        elif task.fails:
            data |= {
                "state": "failed",
                "failCode": "CONTENT_VIOLATION" if FAILS in task.request.prompt else "GENERATION_FAILED",
                "failMsg": "Video generation failed",
            }
        else:
            links = [f"http://{self.host}/files/{task.task_id}.mp4"]
            data |= {
                "state": "success",
                "resultJson": json.dumps({"resultUrls": links}),
                "completeTime": round(task.ends_at * 1000),
                "costTime": round((task.ends_at - task.began_at) * 1000),
            }
        return {"code": 200, "message": "success", "data": data}

    async def _balance(self, _: web.Request) -> web.StreamResponse:
        spent = sum(task.charged_micros for task in self.tasks.values() if task.gateway == "apixo")
        return _envelope((BALANCE_MICROS - spent) / 1_000_000)

    # Pixazo: https://gateway.pixazo.ai/sora-video/v1

    async def _submit_pixazo(self, request: web.Request) -> web.StreamResponse:
        try:
            order = pixazo_orders.read_text_order(await request.read())
        except BadBody as error:
            return self._bad_pixazo(str(error))
        return self._take_pixazo(request, order)

    async def _submit_pixazo_picture(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = pixazo_orders.read_image_order(await request.read())
            head, _, data = asked.image.partition(",")
            if not head.startswith("data:image/") or not base64.b64decode(data, validate=True):
                return self._bad_pixazo("image is no data URL")
            text = {"prompt": asked.prompt, "model": asked.model, "seconds": asked.seconds}
            body = json.dumps(text | {"size": asked.size or "1280x720"}).encode()
            order = pixazo_orders.read_text_order(body)
        except BadBody as error:
            return self._bad_pixazo(str(error))
        return self._take_pixazo(request, order)

    def _bad_pixazo(self, why: str) -> web.StreamResponse:
        self.complaints.append(f"Pixazo takes no such order: {why}")
        return web.json_response({"error": "Bad Request", "message": why}, status=400)

    def _take_pixazo(self, request: web.Request, order: VideoRequest) -> web.StreamResponse:
        if request.headers.get("Ocp-Apim-Subscription-Key") != KEYS["pixazo"]:
            return web.json_response({"error": "Unauthorized", "message": "no key"}, status=401)
        if FALLS in order.prompt:
            # No paid submit: it may come as often as it is refused.
            return web.json_response({"error": "Bad Request", "message": "seconds is wrong"}, status=400)
        if self._refuses(order):
            words = "Content violates provider policy, please adjust the prompt"
            return web.json_response({"error": "Bad Request", "message": words}, status=400)
        task = self._accept("pixazo", order, request.headers.get("X-Webhook-URL"))
        accepted = {
            "request_id": task.task_id,
            "status": "QUEUED",
            "polling_url": f"http://{self.host}/v2/requests/status/{task.task_id}",
        }
        return web.json_response(accepted, status=202)

    async def _status_pixazo(self, request: web.Request) -> web.StreamResponse:
        task = self.tasks.get(request.match_info["task"])
        if task is None:
            return web.json_response({"error": "Not Found", "message": "No such request"}, status=404)
        return web.json_response(self._pixazo_body(task))

    def _pixazo_body(self, task: Task) -> dict[str, Any]:
        body: dict[str, Any] = {"request_id": task.task_id, "error": None, "output": None}
        if not task.is_over:
            return body | {"status": "PROCESSING"}
        if task.fails:
            status = "ERROR" if ERRS in task.request.prompt else "FAILED"
            return body | {"status": status, "error": "Internal error while processing the request"}
        links = [f"http://{self.host}/files/{task.task_id}.mp4"]
        return body | {"status": "COMPLETED", "output": {"media_url": links}}

    # What both do

    def _refuses(self, order: VideoRequest) -> bool:
        self.posts[_number(order)] = self.posts.get(_number(order), 0) + 1
        return REFUSED in order.prompt

    def _accept(self, gateway: str, order: VideoRequest, callback_url: str | None) -> Task:
        now = time.time()
        task = Task(
            task_id=f"{gateway}_{secrets.token_hex(12)}",
            gateway=gateway,
            number=_number(order),
            request=order,
            price_micros=_PRICES[order.model, order.seconds, order.quality],
            began_at=now,
            ends_at=now + self._rng.uniform(0.2, 1.0),
            callback_url=callback_url,
            # "System error: not charged", says Pixazo's page of ERROR; of others no page says it.
            refunds=(gateway == "pixazo" and ERRS in order.prompt) or self._rng.random() < 0.5,
        )
        self.tasks[task.task_id] = task
        if (callback_url is not None) != bool(self.public_url):
            self.complaints.append(f"order number {task.number} came with the callback {callback_url}")
        if callback_url is not None:
            call = asyncio.create_task(self._call_back(task, URL(callback_url)))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        return task

    async def _file(self, request: web.Request) -> web.StreamResponse:
        task = self.tasks[request.match_info["name"].removesuffix(".mp4")]
        task.downloads += 1
        data = CLIP.read_bytes()
        if SPOILT in task.request.prompt and task.downloads == 1:
            data = b"no video " * 100
        response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        response.content_length = len(data)
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        await self._trap.passes("download", Moment.HALFWAY)
        await response.write(data[len(data) // 2 :])
        return response

    # Callbacks

    @property
    def calls_left(self) -> bool:
        """Whether callbacks are still to be sent."""
        return bool(self._calls)

    async def _call_back(self, task: Task, url: URL) -> None:
        await asyncio.sleep(task.ends_at - time.time())
        if not str(url).startswith(f"{self.public_url}/"):
            self.complaints.append(f"the callback of {task.task_id} leads to {url.origin()}")
            return
        body = self._apixo_body(task) if task.gateway == "apixo" else self._pixazo_body(task)
        for pause in RETRY_SECONDS:
            await asyncio.sleep(pause)
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                if await self._through_the_proxy(f"callback of {task.gateway}", url, body) == 200:
                    return
        self.complaints.append(f"nobody took the callback of {task.task_id}")

    async def _through_the_proxy(self, kind: str, url: URL, body: dict[str, Any]) -> int:
        """Hand a callback to the bot; while nobody listens, wait."""
        local = url.with_scheme("http").with_host("127.0.0.1").with_port(self.bot_port)
        give_up_at = time.monotonic() + PROXY_WAITS_SECONDS
        with contextlib.suppress(Gone):
            await self._trap.passes(kind, Moment.ARRIVED)
        while True:
            post = asyncio.create_task(self._post(local, body))
            try:
                await asyncio.sleep(0.001)
                with contextlib.suppress(Gone):
                    await self._trap.passes(kind, Moment.DONE)
                status = await post
            except aiohttp.ClientConnectorError:
                if time.monotonic() >= give_up_at:
                    raise
                await asyncio.sleep(0.1)
            else:
                with contextlib.suppress(Gone):
                    await self._trap.passes(kind, Moment.ANSWERED)
                return status
            finally:
                post.cancel()

    async def _post(self, url: URL, body: dict[str, Any]) -> int:
        async with self._session.post(url, json=body) as response:
            await response.read()
            return response.status


def _number(order: VideoRequest) -> int:
    found = _NUMBER.search(order.prompt)
    assert found is not None, order.prompt
    return int(found[1])


def _envelope(data: object, *, code: int = 200, message: str = "success") -> web.Response:
    return web.json_response({"code": code, "message": message, "data": data}, status=code)
