"""An APIXO over real HTTP that answers as a test says; without a word it renders at once."""

import asyncio
import dataclasses
import json
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self, TypeAlias

from aiohttp import web

Answer: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

CLIP = Path(__file__).parent / "data" / "clip.mp4"


@dataclasses.dataclass
class Task:
    """A task that was accepted: its request and what looks at it showed."""

    task_id: str
    model: str
    body: dict[str, Any]
    looks: int = 0


class Held:
    """An answer that waits, once its request arrived, until it is released."""

    def __init__(self, then: Answer) -> None:
        self.arrived = asyncio.Event()
        self.release = asyncio.Event()
        self._then = then

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.arrived.set()
        await self.release.wait()
        return await self._then(request)


class FakeApixo:
    """`submits` and `looks` hold answers to give next, before the default ones."""

    key = "key-of-the-gateway"

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.submits: deque[Answer] = deque()
        self.looks: deque[Answer] = deque()
        self.downloads: deque[Answer] = deque()
        self.balance: Answer = envelope(74.87)
        self.clip = CLIP
        self.renders = True
        self.on_request: Callable[[], None] = lambda: None
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=32 * 1024 * 1024)
        app.router.add_post("/api/v1/generateTask/{model}", self._submit)
        app.router.add_get("/api/v1/statusTask/{model}", self._look)
        app.router.add_get("/api/v1/apikeys/current-balance", self._balance)
        app.router.add_get("/files/{name}", self._file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await self._site.start()
        self.host = f"127.0.0.1:{self._runner.addresses[0][1]}"
        self.base_url = f"http://{self.host}/api/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def callback(self, task_id: str) -> tuple[str, dict[str, Any]]:
        """Return where a task's callback goes, and what the page says is posted there."""
        body = self.tasks[task_id].body
        assert body["request_type"] == "callback"
        links = [f"http://{self.host}/files/{task_id}.mp4"]
        ended = {"taskId": task_id, "state": "success", "resultJson": json.dumps({"resultUrls": links})}
        return body["callback_url"], {"code": 200, "message": "success", "data": ended}

    @property
    def submitted(self) -> list[dict[str, Any]]:
        """The bodies of all submits that arrived, accepted or not."""
        return [body for method, _, body in self.requests if method == "POST"]

    def accept(self, body: dict[str, Any], model: str) -> Task:
        """Make a task, as the default answer does."""
        task = Task(f"task_{len(self.tasks) + 1:08d}", model, body)
        self.tasks[task.task_id] = task
        return task

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        self.on_request()
        body = await request.json()
        assert request.headers["Authorization"] == f"Bearer {self.key}"
        self.requests.append(("POST", request.path, body))
        if self.submits:
            return await self.submits.popleft()(request)
        task = self.accept(body, request.match_info["model"])
        return await envelope({"taskId": task.task_id})(request)

    async def _look(self, request: web.Request) -> web.StreamResponse:
        self.on_request()
        self.requests.append(("GET", request.path_qs, None))
        task = self.tasks.get(request.query["taskId"])
        if task is not None:
            task.looks += 1
        if self.looks:
            return await self.looks.popleft()(request)
        if task is None:
            return await envelope(None, code=404, status=404, message="task not found")(request)
        answer = self.success(task.task_id) if self.renders else state("processing")
        return await answer(request)

    def hold_submit(self, then: Answer | None = None) -> "Held":
        """Take the next order, and answer it, when told to, as usual or as given."""

        async def accept(request: web.Request) -> web.StreamResponse:
            task = self.accept(await request.json(), request.match_info["model"])
            return await envelope({"taskId": task.task_id})(request)

        held = Held(then or accept)
        self.submits.append(held.answer)
        return held

    def asked(self, what: str) -> int:
        """How many requests had this in their path."""
        return sum(what in path for _, path, _ in self.requests)

    async def stop_listening(self) -> None:
        """Refuse every connection."""
        await self._site.stop()

    async def listen_again(self) -> None:
        """Take connections, at the same address."""
        assert self._runner is not None
        self._site = web.TCPSite(self._runner, "127.0.0.1", int(self.host.rpartition(":")[2]))
        await self._site.start()

    def keep_rendering(self) -> None:
        """Let no task end from now on."""
        self.renders = False

    def refuse_downloads(self, times: int) -> None:
        """Fail so many downloads."""
        self.downloads.extend(raw("later", status=503) for _ in range(times))

    def success(self, task_id: str, *urls: str) -> Answer:
        """Say that the clip is ready, as the pages show it."""
        links = urls or (f"http://{self.host}/files/{task_id}.mp4",)
        return envelope(
            {"taskId": task_id, "state": "success", "resultJson": json.dumps({"resultUrls": list(links)})}
        )

    async def _balance(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(("GET", request.path, None))
        return await self.balance(request)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        if self.downloads:
            return await self.downloads.popleft()(request)
        return web.FileResponse(self.clip)


def envelope(data: Any, *, code: int = 200, message: str = "success", status: int = 200) -> Answer:
    """Answer with APIXO's envelope."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"code": code, "message": message, "data": data}, status=status)

    return answer


def state(name: str, **fields: Any) -> Answer:
    """Answer a look with a state, for whichever task is asked about."""

    async def answer(request: web.Request) -> web.StreamResponse:
        data = {"taskId": request.query["taskId"], "state": name, **fields}
        return await envelope(data)(request)

    return answer


def cut() -> Answer:
    """Take the request and close the connection without a word."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    return answer


def raw(text: str, *, status: int = 200, content_type: str = "text/html") -> Answer:
    """Answer with anything."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status, content_type=content_type)

    return answer
