"""A Pixazo over real HTTP that answers as a test says; without a word it renders at once."""

from collections import deque
from typing import Any, Self

from aiohttp import web

from tests.fake_apixo import CLIP, Answer, Held


class FakePixazo:
    """`submits` holds answers to give next, before the default one."""

    key = "key-of-pixazo"

    def __init__(self) -> None:
        self.submits: deque[Answer] = deque()
        self.submitted: list[dict[str, Any]] = []
        self.accepted: list[str] = []
        self.renders = True
        self._webhooks: list[str | None] = []
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=32 * 1024 * 1024)
        app.router.add_post("/sora-video/v1/video/generate", self._submit)
        app.router.add_post("/sora-video/v1/video/i2v/generate", self._submit)
        app.router.add_get("/v2/requests/status/{request_id}", self._look)
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
    def settings(self) -> dict[str, Any]:
        """Settings of a bot that has this gateway and no other."""
        return {
            "apixo_api_key": None,
            "pixazo_api_key": self.key,
            "pixazo_base_url": f"http://{self.host}",
            "default_model": "pixazo/sora-2-pro",
            "trusted_hosts": self.host,
        }

    def callback(self, request_id: str) -> tuple[str, dict[str, Any]]:
        """Return where the callback of the newest order goes, and what of a request is posted there."""
        address = self._webhooks[-1]
        assert address is not None
        return address, self._told(request_id)

    def hold(self, then: Answer) -> Held:
        """Answer the next order only when told to."""
        held = Held(then)
        self.submits.append(held.answer)
        return held

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Ocp-Apim-Subscription-Key"] == self.key
        self.submitted.append(await request.json())
        self._webhooks.append(request.headers.get("X-Webhook-URL"))
        if self.submits:
            return await self.submits.popleft()(request)
        self.accepted.append(f"request_{len(self.accepted) + 1}")
        return web.json_response({"request_id": self.accepted[-1], "status": "QUEUED"}, status=202)

    async def _look(self, request: web.Request) -> web.StreamResponse:
        request_id = request.match_info["request_id"]
        if not self.renders:
            return web.json_response({"request_id": request_id, "status": "PROCESSING"})
        return web.json_response(self._told(request_id))

    def _told(self, request_id: str) -> dict[str, Any]:
        output = {"media_url": [f"http://{self.host}/files/clip.mp4"]}
        return {"request_id": request_id, "status": "COMPLETED", "output": output}

    async def _file(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(CLIP)
