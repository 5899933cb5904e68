"""A server of the shape of `/v1/videos` over real HTTP; without a word it has rendered by the first look."""

import email.message
import email.parser
import email.policy
import json
from collections import deque
from typing import Any, Self

from aiohttp import web

from tests.fake_apixo import CLIP, Answer


class FakeVideos:
    """`submits`, `looks`, `aborts` and `downloads` hold answers to give next, before the default ones.

    `seen` has method, path and Authorization of each request, `orders` the fields of each order. `told` is
    added to what a finished task says.
    """

    def __init__(self, base: str = "/v1", **told: Any) -> None:
        self.base = base
        self.told = told
        self.orders: list[dict[str, Any]] = []
        self.seen: list[tuple[str, str, str | None]] = []
        self.submits: deque[Answer] = deque()
        self.looks: deque[Answer] = deque()
        self.aborts: deque[Answer] = deque()
        self.ended: set[str] = set()  # which nobody knows any more
        self.renders = True
        self.downloads: deque[Answer] = deque()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=32 * 1024 * 1024, middlewares=[self._note])
        app.router.add_post(f"{self.base}/videos", self._submit)
        app.router.add_get(f"{self.base}/videos/{{video_id}}", self._look)
        app.router.add_delete(f"{self.base}/videos/{{video_id}}", self._abort)
        app.router.add_get(f"{self.base}/videos/{{video_id}}/content", self._content)
        app.router.add_get("/files/clip.mp4", self._file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.host = f"127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def base_url(self) -> str:
        return f"http://{self.host}{self.base}"

    @property
    def clip_link(self) -> str:
        """Where the clip lies for everybody: no route of the API."""
        return f"http://{self.host}/files/clip.mp4"

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.seen.append((request.method, request.path, request.headers.get("Authorization")))
        return await handler(request)

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        self.orders.append(fields(request.headers["Content-Type"], await request.read()))
        if self.submits:
            return await self.submits.popleft()(request)
        return web.json_response({"id": f"video_{len(self.orders)}", "object": "video", "status": "queued"})

    async def _look(self, request: web.Request) -> web.StreamResponse:
        if self.looks:
            return await self.looks.popleft()(request)
        video_id = request.match_info["video_id"]
        if video_id in self.ended:
            return web.json_response({"detail": "Video not found"}, status=404)
        if not self.renders:
            return web.json_response({"id": video_id, "status": "in_progress"})
        done = {"id": video_id, "status": "completed", "progress": 100}
        return web.json_response({**done, **self.told})

    async def _abort(self, request: web.Request) -> web.StreamResponse:
        if self.aborts:
            return await self.aborts.popleft()(request)
        video_id = request.match_info["video_id"]
        self.ended.add(video_id)
        return web.json_response({"id": video_id, "object": "video.deleted", "deleted": True})

    async def _content(self, request: web.Request) -> web.StreamResponse:
        if self.downloads:
            return await self.downloads.popleft()(request)
        return web.FileResponse(CLIP)

    async def _file(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(CLIP)


def saying(body: object, status: int = 200) -> Answer:
    """Answer with this as JSON."""

    async def told(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status)

    return told


def fields(content_type: str, body: bytes) -> dict[str, Any]:
    """Read an order: JSON as it is, of a form each part as (content type, file name, bytes)."""
    if content_type == "application/json":
        return json.loads(body)
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    form = parser.parsebytes(head + body)
    assert form.get_content_type() == "multipart/form-data"
    found: dict[str, Any] = {}
    for part in form.iter_parts():
        assert isinstance(part, email.message.EmailMessage)
        name = part.get_param("name", header="Content-Disposition")
        assert isinstance(name, str)
        assert name not in found
        found[name] = (part.get_content_type(), part.get_filename(), part.get_payload(decode=True))
    return found
