"""The sandbox is asked over HTTP, as the gateways' clients ask it."""

import asyncio
import base64
import contextlib
import datetime as dt
import io
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from PIL import ExifTags, Image

from bot.media import is_mp4, run_ffmpeg
from bot.sandbox.drawing import Clip, card
from bot.sandbox.render import Render
from bot.sandbox.server import SandboxServer
from bot.sandbox.triggers import MEANINGS, Trigger
from bot.web import serve

KEY = "play-key"
APIXO = {"Authorization": f"Bearer {KEY}"}
PIXAZO = {
    "Ocp-Apim-Subscription-Key": KEY,
    "Cache-Control": "no-cache",
    "Content-Type": "application/json",
}
TEXT_PATH = "/sora-video/v1/video/generate"
IMAGE_PATH = "/sora-video/v1/video/i2v/generate"
STAND_IN_CLIP = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(1000)
CDN = "https://cdn.example.invalid"
BOT = "https://bot.example"

OPEN_STATES = {"pending", "processing", "QUEUED", "PROCESSING"}


class MovableClock:
    def __init__(self) -> None:
        self.now = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now

    def forward(self, **length: float) -> None:
        self.now += dt.timedelta(**length)


class Client:
    """Speaks both dialects to one sandbox."""

    def __init__(self, sandbox: SandboxServer, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.session = session

    async def call(
        self, method: str, path: str, headers: dict[str, str], body: object = None
    ) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json", **headers} if data is not None else headers
        url = self.sandbox.origin + path
        async with self.session.request(method, url, headers=headers, data=data) as response:
            return response.status, await response.json()

    async def apixo(self, model: str, body: object) -> tuple[int, Any]:
        return await self.call("POST", f"/api/v1/generateTask/{model}", APIXO, body)

    async def pixazo(self, body: object, path: str = TEXT_PATH) -> tuple[int, Any]:
        return await self.call("POST", path, PIXAZO, body)

    async def apixo_task(self, model: str, task_id: str) -> dict[str, Any]:
        status, answer = await self.call("GET", f"/api/v1/statusTask/{model}?taskId={task_id}", APIXO)
        assert (status, answer["code"], answer["message"]) == (200, 200, "success")
        return answer["data"]

    async def pixazo_task(self, request_id: str) -> dict[str, Any]:
        status, answer = await self.call("GET", f"/v2/requests/status/{request_id}", PIXAZO)
        assert status == 200
        return answer

    async def ended(self, told: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Ask until the task is over, ever more rarely: sora-2-pro allows 60 requests a minute."""
        pause = 0.02
        async with asyncio.timeout(30):
            while (task := await told()).get("state", task.get("status")) in OPEN_STATES:
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, 1.0)
        return task

    async def apixo_ended(self, model: str, body: object) -> dict[str, Any]:
        status, answer = await self.apixo(model, body)
        assert status == 200, answer
        return await self.ended(lambda: self.apixo_task(model, answer["data"]["taskId"]))

    async def pixazo_ended(self, body: object, path: str = TEXT_PATH) -> dict[str, Any]:
        status, answer = await self.pixazo(body, path)
        assert status == 202, answer
        return await self.ended(lambda: self.pixazo_task(answer["request_id"]))

    async def balance(self) -> float:
        return (await self.call("GET", "/api/v1/apikeys/current-balance", APIXO))[1]["data"]

    async def download(self, link: str, **headers: str) -> tuple[int, str, bytes]:
        async with self.session.get(link, headers=headers) as response:
            return response.status, response.content_type, await response.read()


async def stand_in(_: Clip, path: Path) -> None:
    path.write_bytes(STAND_IN_CLIP)


def picture(width: int = 64, height: int = 64, kind: str = "PNG", colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, kind)
    return buffer.getvalue()


def lying_on_its_side(width: int, height: int) -> bytes:
    """A JPEG stored sideways, with the mark that turns it upright."""
    mark = Image.Exif()
    mark[ExifTags.Base.Orientation] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (height, width), "red").save(buffer, "JPEG", exif=mark)
    return buffer.getvalue()


def data_url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


STORED_PICTURES = {
    "red.png": picture(),
    "tall.jpg": lying_on_its_side(60, 90),
    "hd.webp": picture(1280, 720, "WEBP"),
    "page.html": b"<html>",
    "animated.gif": picture(kind="GIF"),
    "huge.png": picture() + bytes(10_000_000),
    "cut.png": picture(600, 600)[:200],
}


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def pictures() -> AsyncIterator[str]:
    """A store of pictures on localhost; yields its origin."""

    async def give(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in STORED_PICTURES or request.rel_url.raw_query_string not in {"", "ex=1&sig=a%2Fb"}:
            raise web.HTTPNotFound
        return web.Response(body=STORED_PICTURES[name])

    app = web.Application()
    app.add_routes([web.get("/{name}", give)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


OpenSandbox = Callable[..., SandboxServer]


@pytest.fixture
def open_sandbox(tmp_path: Path, clock: MovableClock, pictures: str) -> OpenSandbox:
    def open_(render: Render = stand_in, render_seconds: float = 0, **more: Any) -> SandboxServer:
        return SandboxServer(
            folder=tmp_path / "sandbox",
            clock=clock,
            api_key=KEY,
            origins={CDN: pictures, BOT: pictures},
            render=render,
            render_seconds=render_seconds,
            **more,
        )

    return open_


@pytest.fixture
async def client(open_sandbox: OpenSandbox, session: aiohttp.ClientSession) -> AsyncIterator[Client]:
    async with open_sandbox() as sandbox:
        yield Client(sandbox, session)


@pytest.fixture
async def slow_client(open_sandbox: OpenSandbox, session: aiohttp.ClientSession) -> AsyncIterator[Client]:
    """Its tasks last 20 seconds by the clock."""
    async with open_sandbox(render_seconds=20) as sandbox:
        yield Client(sandbox, session)


@pytest.fixture
async def real_client(
    session: aiohttp.ClientSession, tmp_path: Path, clock: MovableClock, pictures: str
) -> AsyncIterator[Client]:
    """Its clips are rendered by ffmpeg."""
    async with SandboxServer(
        folder=tmp_path, clock=clock, api_key=KEY, origins={CDN: pictures, BOT: pictures}, render_seconds=0
    ) as sandbox:
        yield Client(sandbox, session)


# What a submit may say: each row changes a good body; `...` takes a field away.


def changed(body: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = json.loads(json.dumps(body))
    for name, value in changes.items():
        table = result
        *path, key = name.split(".")
        for part in path:
            table = table[part]
        if value is ...:
            del table[key]
        else:
            table[key] = value
    return result


def sora_2(**changes: Any) -> dict[str, Any]:
    body = {
        "request_type": "async",
        "provider": "auto",
        "input": {"mode": "text-to-video", "prompt": "a fox", "duration": 10, "aspect_ratio": "landscape"},
    }
    return changed(body, changes)


def sora_2_image(**changes: Any) -> dict[str, Any]:
    return changed(
        sora_2(**{"input.mode": "image-to-video", "input.image_urls": [f"{CDN}/red.png"]}), changes
    )


def pro(**changes: Any) -> dict[str, Any]:
    body = {
        "request_type": "async",
        "provider": "official",
        "input": {"mode": "text-to-video", "prompt": "a fox", "duration": 4, "size": "1280*720"},
    }
    return changed(body, changes)


def pro_image(**changes: Any) -> dict[str, Any]:
    body = {
        "request_type": "async",
        "provider": "official",
        "input": {
            "mode": "image-to-video",
            "prompt": "a fox",
            "duration": 4,
            "resolution": "720p",
            "image_urls": [f"{CDN}/red.png"],
        },
    }
    return changed(body, changes)


def video(**changes: Any) -> dict[str, Any]:
    return changed({"prompt": "a fox", "model": "sora-2-pro", "size": "1280x720", "seconds": 4}, changes)


def image_video(**changes: Any) -> dict[str, Any]:
    return changed(video(image=data_url(picture(1280, 720))), changes)


CALLBACK = {"request_type": "callback", "callback_url": "https://bot.example/hook"}

APIXO_TAKES = [
    ("sora-2", sora_2()),
    ("sora-2", sora_2(request_type=..., provider=...)),
    ("sora-2", sora_2(**CALLBACK)),
    ("sora-2", sora_2(provider="value")),
    ("sora-2", sora_2(provider="official")),
    ("sora-2", sora_2(**{"input.duration": 15})),
    ("sora-2", sora_2(**{"input.aspect_ratio": ...})),
    ("sora-2", sora_2(**{"input.aspect_ratio": "portrait"})),
    ("sora-2", sora_2(**{"input.remove_watermark": True})),
    ("sora-2", sora_2(**{"input.remove_watermark": False})),
    ("sora-2", sora_2(**{"input.prompt": "\N{FOX FACE}" * 10_000})),
    ("sora-2", sora_2_image()),
    ("sora-2", sora_2_image(**{"input.image_urls": ["http://127.0.0.1:9/a.png"]})),
    ("sora-2-pro", pro()),
    ("sora-2-pro", pro(request_type=..., provider=...)),
    ("sora-2-pro", pro(**CALLBACK)),
    *(("sora-2-pro", pro(**{"input.duration": seconds})) for seconds in (8, 12)),
    *(("sora-2-pro", pro(**{"input.size": size})) for size in ("720*1280", "1024*1792", "1792*1024")),
    ("sora-2-pro", pro(**{"input.prompt": "\N{FOX FACE}" * 5_000})),
    ("sora-2-pro", pro_image()),
    ("sora-2-pro", pro_image(**{"input.resolution": "1080p"})),
]

APIXO_REFUSES = [
    ("sora-2", b"", "JSON"),
    ("sora-2", b"{", "JSON"),
    ("sora-2", b"[]", "JSON object"),
    ("sora-2", sora_2(source="bot"), "source"),
    ("sora-2", sora_2(**{"input.seed": 1}), "input.seed"),
    ("sora-2", sora_2(input=...), "input"),
    ("sora-2", sora_2(input="a fox"), "input"),
    ("sora-2", sora_2(request_type="sync"), "request_type"),
    ("sora-2", sora_2(request_type=None), "request_type"),
    ("sora-2", sora_2(request_type="callback"), "callback_url"),
    ("sora-2", sora_2(**CALLBACK | {"callback_url": "ftp://bot.example"}), "callback_url"),
    ("sora-2", sora_2(**CALLBACK | {"callback_url": ""}), "callback_url"),
    ("sora-2", sora_2(callback_url=None), "callback_url"),
    ("sora-2", sora_2(provider="cheap"), "provider"),
    ("sora-2", sora_2(**{"input.mode": ...}), "input.mode"),
    ("sora-2", sora_2(**{"input.mode": "text"}), "input.mode"),
    ("sora-2", sora_2(**{"input.mode": ["text-to-video"]}), "input.mode"),
    ("sora-2", sora_2(**{"input.prompt": ...}), "input.prompt"),
    ("sora-2", sora_2(**{"input.prompt": ""}), "input.prompt"),
    ("sora-2", sora_2(**{"input.prompt": " \n\t"}), "input.prompt"),
    ("sora-2", sora_2(**{"input.prompt": None}), "prompt"),
    ("sora-2", sora_2(**{"input.prompt": 5}), "input.prompt"),
    ("sora-2", sora_2(**{"input.prompt": "\ud800"}), "input.prompt"),
    ("sora-2", sora_2(**{"input.prompt": "x" * 10_001}), "input.prompt"),
    ("sora-2", sora_2(**{"input.duration": ...}), "input.duration"),
    *(
        ("sora-2", sora_2(**{"input.duration": wrong}), "input.duration")
        for wrong in (4, 8, 12, 11, "10", 10.0, True)
    ),
    ("sora-2", sora_2(**{"input.aspect_ratio": "16:9"}), "input.aspect_ratio"),
    ("sora-2", sora_2(**{"input.aspect_ratio": None}), "aspect_ratio"),
    ("sora-2", sora_2(**{"input.remove_watermark": 1}), "input.remove_watermark"),
    ("sora-2", sora_2(**{"input.remove_watermark": "true"}), "input.remove_watermark"),
    ("sora-2", sora_2(**{"input.size": "1280*720"}), "input.size"),
    ("sora-2", sora_2(**{"input.resolution": "720p"}), "input.resolution"),
    ("sora-2", sora_2(**{"input.image_urls": []}), "input.image_urls"),
    ("sora-2", sora_2(**{"input.image_urls": [f"{CDN}/red.png"]}), "input.image_urls"),
    ("sora-2", sora_2_image(**{"input.image_urls": ...}), "input.image_urls"),
    ("sora-2", sora_2_image(**{"input.image_urls": []}), "input.image_urls"),
    ("sora-2", sora_2_image(**{"input.image_urls": [f"{CDN}/red.png"] * 2}), "input.image_urls"),
    ("sora-2", sora_2_image(**{"input.image_urls": f"{CDN}/red.png"}), "input.image_urls"),
    ("sora-2", sora_2_image(**{"input.image_urls": [data_url(picture())]}), "input.image_urls"),
    ("sora-2", sora_2_image(**{"input.image_urls": ["red.png"]}), "input.image_urls"),
    ("sora-2", sora_2_image(**{"input.image_urls": ["http://[::"]}), "input.image_urls"),
    ("sora-2", sora_2_image(**{"input.image_urls": [None]}), "input.image_urls"),
    ("sora-2-pro", pro(provider="auto"), "provider"),
    ("sora-2-pro", pro(provider="value"), "provider"),
    ("sora-2-pro", pro(**{"input.prompt": " "}), "input.prompt"),
    ("sora-2-pro", pro(**{"input.prompt": "x" * 5_001}), "input.prompt"),
    ("sora-2-pro", pro(**{"input.duration": ...}), "input.duration"),
    *(
        ("sora-2-pro", pro(**{"input.duration": wrong}), "input.duration")
        for wrong in (10, 15, "4", 4.0, True)
    ),
    ("sora-2-pro", pro(**{"input.size": ...}), "input.size"),
    ("sora-2-pro", pro(**{"input.size": "1280x720"}), "input.size"),
    ("sora-2-pro", pro(**{"input.resolution": "720p"}), "input.resolution"),
    ("sora-2-pro", pro(**{"input.image_urls": [f"{CDN}/red.png"]}), "input.image_urls"),
    ("sora-2-pro", pro(**{"input.aspect_ratio": "landscape"}), "input.aspect_ratio"),
    ("sora-2-pro", pro(**{"input.remove_watermark": True}), "input.remove_watermark"),
    ("sora-2-pro", pro_image(**{"input.size": "1280*720"}), "input.size"),
    ("sora-2-pro", pro_image(**{"input.resolution": ...}), "input.resolution"),
    ("sora-2-pro", pro_image(**{"input.resolution": "1080P"}), "input.resolution"),
    ("sora-2-pro", pro_image(**{"input.image_urls": ...}), "input.image_urls"),
    ("sora-2-pro", pro_image(**{"input.image_urls": [f"{CDN}/red.png"] * 2}), "input.image_urls"),
]

PIXAZO_TAKES = [
    (TEXT_PATH, video()),
    (TEXT_PATH, {"prompt": "a fox"}),
    *((TEXT_PATH, video(size=size)) for size in ("720x1280", "1792x1024", "1024x1792")),
    *((TEXT_PATH, video(seconds=seconds)) for seconds in (8, 12)),
    (TEXT_PATH, video(callback_url="https://bot.example/hook")),
    (IMAGE_PATH, image_video()),
    (IMAGE_PATH, image_video(size=..., model=..., seconds=...)),
    (IMAGE_PATH, image_video(image=data_url(picture(1280, 720, "JPEG"), "image/jpeg"))),
    (IMAGE_PATH, image_video(image=data_url(picture(1280, 720, "WEBP"), "image/webp"))),
    (IMAGE_PATH, image_video(image=data_url(picture(1024, 1792)), size="1024x1792")),
    (IMAGE_PATH, image_video(image=f"{CDN}/hd.webp")),
]

PIXAZO_REFUSES = [
    (TEXT_PATH, b"{", "JSON"),
    (TEXT_PATH, video(prompt=...), "prompt"),
    (TEXT_PATH, video(prompt="  "), "prompt"),
    (TEXT_PATH, video(prompt=None), "prompt"),
    (TEXT_PATH, video(model="sora-2"), "model"),
    (TEXT_PATH, video(size="1280*720"), "size"),
    (TEXT_PATH, video(size="1920x1080"), "size"),
    *((TEXT_PATH, video(seconds=wrong), "seconds") for wrong in (10, "4", 4.0, True, None)),
    (TEXT_PATH, video(callback_url="hook"), "callback_url"),
    (TEXT_PATH, video(image=f"{CDN}/hd.webp"), "image"),
    (TEXT_PATH, video(duration=4), "duration"),
    (IMAGE_PATH, image_video(image=...), "image"),
    (IMAGE_PATH, image_video(image=None), "image"),
    (IMAGE_PATH, image_video(image="red.png"), "URL"),
    (IMAGE_PATH, image_video(image="data:image/png;base64,not base64!"), "base64"),
    (IMAGE_PATH, image_video(image="data:image/png;base64,\u00e4\u00e4\u00e4\u00e4"), "base64"),
    (IMAGE_PATH, image_video(image=data_url(b"no picture")), "JPG, PNG or WebP"),
    (IMAGE_PATH, image_video(image=data_url(picture(1280, 720)[:100])), "JPG, PNG or WebP"),
    (IMAGE_PATH, image_video(image=data_url(picture(1280, 720), "image/jpeg")), "image/png"),
    (IMAGE_PATH, image_video(image=data_url(picture(1280, 721))), "1280x721"),
    (IMAGE_PATH, image_video(image=data_url(picture(720, 1280))), "must match"),
    (IMAGE_PATH, image_video(image=f"{CDN}/red.png"), "64x64"),
    (IMAGE_PATH, image_video(image=f"{CDN}/none.png"), "Cannot access"),
    (IMAGE_PATH, image_video(image_url=f"{CDN}/hd.webp"), "image_url"),
]


@pytest.mark.parametrize(("model", "body"), APIXO_TAKES)
async def test_apixo_takes_what_its_pages_allow(client: Client, model: str, body: object) -> None:
    status, answer = await client.apixo(model, body)

    assert (status, answer["code"], answer["message"]) == (200, 200, "success")
    assert re.fullmatch(r"task_\w+", answer["data"]["taskId"])


@pytest.mark.parametrize(("model", "body", "named"), APIXO_REFUSES)
async def test_apixo_refuses_what_its_pages_do_not_allow_and_names_the_field(
    client: Client, model: str, body: object, named: str
) -> None:
    status, answer = await client.apixo(model, body)

    assert (status, answer["code"], answer["data"]) == (400, 400, None)
    assert named in answer["message"]
    assert await client.balance() == 100


@pytest.mark.parametrize(("path", "body"), PIXAZO_TAKES)
async def test_pixazo_takes_what_its_page_allows(client: Client, path: str, body: object) -> None:
    status, answer = await client.pixazo(body, path)

    assert (status, answer["status"]) == (202, "QUEUED")
    assert re.fullmatch(r"sora-video_01[0-9a-f]{6}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer["request_id"])
    assert answer["polling_url"] == f"{client.sandbox.origin}/v2/requests/status/{answer['request_id']}"


@pytest.mark.parametrize(("path", "body", "named"), PIXAZO_REFUSES)
async def test_pixazo_refuses_what_its_page_does_not_allow_and_names_the_field(
    client: Client, path: str, body: object, named: str
) -> None:
    status, answer = await client.pixazo(body, path)

    assert (status, answer["error"]) == (400, "Bad Request")
    assert named in answer["message"]


@pytest.mark.parametrize("header", [{}, {"Authorization": KEY}, {"Authorization": "Bearer other"}])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/generateTask/sora-2"),
        ("GET", "/api/v1/statusTask/sora-2?taskId=task_1"),
        ("GET", "/api/v1/apikeys/current-balance"),
    ],
)
async def test_apixo_wants_its_key(client: Client, method: str, path: str, header: dict[str, str]) -> None:
    body = sora_2() if method == "POST" else None

    status, answer = await client.call(method, path, header, body)

    assert (status, answer["code"], answer["message"]) == (401, 401, "Invalid or missing API key")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Ocp-Apim-Subscription-Key": ""}, 401),
        ({"Ocp-Apim-Subscription-Key": "other"}, 401),
        ({"Cache-Control": ""}, 400),
        ({"Cache-Control": "max-age=0"}, 400),
        ({"Content-Type": "text/plain"}, 400),
        ({"X-Webhook-URL": "hook"}, 400),
        ({"X-Webhook-URL": "https://bot.example/hook"}, 202),
    ],
)
async def test_pixazo_wants_its_three_headers(client: Client, headers: dict[str, str], expected: int) -> None:
    status, _ = await client.call("POST", TEXT_PATH, PIXAZO | headers, video())

    assert status == expected


async def test_pixazo_status_wants_the_key_only(client: Client) -> None:
    task = await client.pixazo_ended(video())
    path = f"/v2/requests/status/{task['request_id']}"

    assert (await client.call("GET", path, {"Ocp-Apim-Subscription-Key": KEY}))[0] == 200
    assert (await client.call("GET", path, {}))[0] == 401


async def test_apixo_wants_json(client: Client) -> None:
    headers = APIXO | {"Content-Type": "text/plain"}

    status, answer = await client.call("POST", "/api/v1/generateTask/sora-2", headers, sora_2())

    assert (status, answer["code"]) == (400, 400)
    assert "Content-Type" in answer["message"]


async def test_apixo_knows_a_task_only_by_its_own_model(client: Client) -> None:
    task = await client.apixo_ended("sora-2-pro", pro())
    other = await client.pixazo_ended(video())

    for path, expected in [
        (f"/api/v1/statusTask/sora-2?taskId={task['taskId']}", 404),
        (f"/api/v1/statusTask/sora-2-pro?taskId={other['request_id']}", 404),
        ("/api/v1/statusTask/sora-2-pro?taskId=task_1", 404),
        (f"/api/v1/statusTask/sora-3?taskId={task['taskId']}", 404),
        ("/api/v1/statusTask/sora-2-pro", 400),
    ]:
        status, answer = await client.call("GET", path, APIXO)
        assert (status, answer["code"], answer["data"]) == (expected, expected, None)
    assert (await client.apixo("sora-3", sora_2()))[0] == 404
    assert (await client.call("GET", f"/v2/requests/status/{task['taskId']}", PIXAZO))[0] == 404


# From order to clip.


async def test_an_apixo_task_tells_its_way_and_its_times(slow_client: Client, clock: MovableClock) -> None:
    created = round(clock().timestamp() * 1000)
    _, answer = await slow_client.apixo("sora-2", sora_2())
    task_id = answer["data"]["taskId"]
    link = f"{slow_client.sandbox.origin}/files/{task_id}.mp4"

    clock.forward(seconds=19.9)
    task = await slow_client.apixo_task("sora-2", task_id)
    assert task == {"taskId": task_id, "state": task["state"], "createTime": created}
    assert task["state"] in OPEN_STATES
    assert (await slow_client.download(link))[0] == 404

    clock.forward(seconds=0.1)
    assert await slow_client.ended(lambda: slow_client.apixo_task("sora-2", task_id)) == {
        "taskId": task_id,
        "state": "success",
        "resultJson": json.dumps({"resultUrls": [link]}),
        "createTime": created,
        "completeTime": created + 20_000,
        "costTime": 20_000,
    }
    assert await slow_client.download(link) == (200, "video/mp4", STAND_IN_CLIP)
    assert await slow_client.download(link, Range="bytes=4-7") == (206, "video/mp4", b"ftyp")
    assert (await slow_client.download(f"{slow_client.sandbox.origin}/files/other.mp4"))[0] == 404


async def test_a_pixazo_request_tells_its_way_and_its_times(slow_client: Client, clock: MovableClock) -> None:
    _, answer = await slow_client.pixazo(video())
    request_id = answer["request_id"]

    request = await slow_client.pixazo_task(request_id)
    assert request["status"] in OPEN_STATES
    assert (request["error"], request["output"], request["completed_at"]) == (None, None, None)

    clock.forward(seconds=20)
    assert await slow_client.ended(lambda: slow_client.pixazo_task(request_id)) == {
        "request_id": request_id,
        "status": "COMPLETED",
        "model_id": "sora-video",
        "error": None,
        "output": {
            "media_url": [f"{slow_client.sandbox.origin}/files/{request_id}.mp4"],
            "media_type": "application/octet-stream",
        },
        "created_at": "2026-11-21T12:00:00.000Z",
        "updated_at": "2026-11-21T12:00:20.000Z",
        "completed_at": "2026-11-21T12:00:20.000Z",
    }


async def test_two_clips_are_rendered_at_once_and_the_third_waits(
    open_sandbox: OpenSandbox, session: aiohttp.ClientSession
) -> None:
    begun, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def wait(_: Clip, path: Path) -> None:
        begun.release()
        await go_on.wait()
        path.write_bytes(STAND_IN_CLIP)

    async with open_sandbox(render=wait) as sandbox:
        client = Client(sandbox, session)
        ids = [(await client.apixo("sora-2", sora_2()))[1]["data"]["taskId"] for _ in range(3)]
        await begun.acquire()
        await begun.acquire()
        states = [(await client.apixo_task("sora-2", each))["state"] for each in ids]
        assert states == ["processing", "processing", "pending"]

        go_on.set()
        for each in ids:
            assert (await client.ended(lambda each=each: client.apixo_task("sora-2", each)))[
                "state"
            ] == "success"


async def facts(clip: bytes, path: Path) -> tuple[str, str, bool]:
    """Return length, size in pixels and whether there is sound, as ffmpeg sees them."""
    path.write_bytes(clip)
    said = await run_ffmpeg(["-loglevel", "info", "-i", path, "-f", "null", "-"], timeout_seconds=30)
    length = re.search(r"Duration: ([\d:.]+)", said)
    size = re.search(r"Video: h264.*yuv420p.*?, (\d+x\d+).*24 fps", said)
    assert length
    assert size
    return length[1], size[1], "Audio: aac" in said


async def frame(clip: Path, seconds: float) -> Image.Image:
    still = clip.with_suffix(".png")
    await run_ffmpeg(["-y", "-ss", str(seconds), "-i", clip, "-frames:v", "1", still], timeout_seconds=30)
    with Image.open(still) as image:
        return image.convert("RGB")


def is_close(pixel: Any, colour: Any) -> bool:
    return all(abs(a - b) < 40 for a, b in zip(pixel, colour, strict=True))


async def test_a_clip_from_text_plays_and_moves_and_is_marked(real_client: Client, tmp_path: Path) -> None:
    task = await real_client.apixo_ended("sora-2-pro", pro())
    [link] = json.loads(task["resultJson"])["resultUrls"]

    status, kind, clip = await real_client.download(link)

    assert (status, kind, is_mp4(clip[:12])) == (200, "video/mp4", True)
    assert await facts(clip, tmp_path / "clip.mp4") == ("00:00:04.00", "1280x720", True)
    early, late = await frame(tmp_path / "clip.mp4", 0), await frame(tmp_path / "clip.mp4", 3.5)
    assert not is_close(early.getpixel((640, 200)), late.getpixel((640, 200)))
    assert is_close(early.getpixel((100, 60)), (255, 196, 0))
    assert not list(tmp_path.glob("*.part"))


async def test_a_clip_from_a_picture_lies_as_the_picture_does_and_shows_it(
    real_client: Client, tmp_path: Path
) -> None:
    body = pro_image(**{"input.resolution": "1080p", "input.image_urls": [f"{CDN}/tall.jpg?ex=1&sig=a%2Fb"]})
    task = await real_client.apixo_ended("sora-2-pro", body)
    [link] = json.loads(task["resultJson"])["resultUrls"]

    _, _, clip = await real_client.download(link)

    assert await facts(clip, tmp_path / "clip.mp4") == ("00:00:04.00", "1024x1792", True)
    assert is_close((await frame(tmp_path / "clip.mp4", 2)).getpixel((512, 900)), (255, 0, 0))
    assert is_close((await frame(tmp_path / "clip.mp4", 2)).getpixel((140, 84)), (255, 196, 0))


async def test_a_clip_from_a_data_url_is_rendered_for_pixazo(real_client: Client, tmp_path: Path) -> None:
    body = image_video(image=data_url(picture(720, 1280, colour="blue")), size="720x1280")
    task = await real_client.pixazo_ended(body, IMAGE_PATH)

    _, _, clip = await real_client.download(task["output"]["media_url"][0])

    assert await facts(clip, tmp_path / "clip.mp4") == ("00:00:04.00", "720x1280", True)
    assert is_close((await frame(tmp_path / "clip.mp4", 2)).getpixel((360, 640)), (0, 0, 255))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("none.png", "INVALID_IMAGE_URL"),
        ("page.html", "UNSUPPORTED_FORMAT"),
        ("animated.gif", "UNSUPPORTED_FORMAT"),
        ("cut.png", "UNSUPPORTED_FORMAT"),
        ("huge.png", "IMAGE_TOO_LARGE"),
    ],
)
async def test_a_picture_is_fetched_after_acceptance_and_may_fail_the_task(
    client: Client, name: str, code: str
) -> None:
    task = await client.apixo_ended("sora-2", sora_2_image(**{"input.image_urls": [f"{CDN}/{name}"]}))

    assert (task["state"], task["failCode"]) == ("failed", code)
    assert task["failMsg"]
    assert not {"resultJson", "costTime"} & set(task)


async def test_a_host_that_is_not_there_fails_the_task(client: Client) -> None:
    body = sora_2_image(**{"input.image_urls": ["http://127.0.0.1:9/red.png"]})

    assert (await client.apixo_ended("sora-2", body))["failCode"] == "INVALID_IMAGE_URL"


async def test_a_renderer_that_breaks_fails_the_task(
    open_sandbox: OpenSandbox, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: Clip, __: Path) -> None:
        raise OSError("no space left on device")

    async with open_sandbox(render=broken) as sandbox:
        task = await Client(sandbox, session).apixo_ended("sora-2", sora_2())

    assert task["failCode"] == "GENERATION_FAILED"
    assert "no space left on device" in caplog.text


@pytest.mark.parametrize("prompt", ["x" * 3_000, "\u200b" * 2_000, "two\nlines \u202e and 夜", "W" * 300])
def test_any_prompt_can_be_drawn(prompt: str) -> None:
    clip = Clip(prompt=prompt, detail="", seconds=4, width=720, height=1280)

    assert card(clip).size == (720, 1280)


# What a restart finds.


async def test_a_restart_renders_again_what_was_cut_off_and_keeps_what_was_done(
    open_sandbox: OpenSandbox, session: aiohttp.ClientSession
) -> None:
    begun = asyncio.Event()

    async def never(clip: Clip, path: Path) -> None:
        if clip.prompt != "done":
            begun.set()
            await asyncio.Event().wait()
        await stand_in(clip, path)

    async with open_sandbox(render=never) as sandbox:
        client = Client(sandbox, session)
        done = await client.apixo_ended("sora-2", sora_2(**{"input.prompt": "done"}))
        _, accepted = await client.pixazo(image_video(), IMAGE_PATH)
        await begun.wait()
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.origin

    async with open_sandbox() as sandbox:
        client = Client(sandbox, session)
        kept = await client.apixo_task("sora-2", done["taskId"])
        assert (kept["state"], kept["completeTime"]) == ("success", done["completeTime"])
        [link] = json.loads(kept["resultJson"])["resultUrls"]
        assert (await client.download(link))[2] == STAND_IN_CLIP
        resumed = await client.ended(lambda: client.pixazo_task(accepted["request_id"]))
        assert resumed["status"] == "COMPLETED"
        assert await client.balance() == 99.5


KILLED = """
import asyncio, pathlib, sys
from bot.models import utc_now
from bot.sandbox.server import SandboxServer

async def never(clip, path):
    print("rendering", flush=True)
    await asyncio.Event().wait()

async def main():
    async with SandboxServer(folder=pathlib.Path(sys.argv[1]), clock=utc_now, api_key=sys.argv[2],
                             origins={}, render=never):
        print("resumed", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_killed_sandbox_loses_no_task(
    open_sandbox: OpenSandbox, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    folder = tmp_path / "sandbox"
    async with open_sandbox(render=lambda *_: asyncio.Event().wait()) as sandbox:
        _, answer = await Client(sandbox, session).apixo("sora-2", sora_2())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, folder, KEY), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    lines = [await process.stdout.readline(), await process.stdout.readline()]
    assert sorted(lines) == [b"rendering\n", b"resumed\n"]
    process.send_signal(signal.SIGKILL)
    await process.wait()

    async with open_sandbox() as sandbox:
        client = Client(sandbox, session)
        task = await client.ended(lambda: client.apixo_task("sora-2", answer["data"]["taskId"]))
        assert task["state"] == "success"


async def test_a_file_that_is_no_task_is_left_alone_and_half_made_ones_are_cleared_away(
    open_sandbox: OpenSandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stray = tmp_path / "sandbox" / "task_1.json"
    stray.parent.mkdir()
    stray.write_text("{")
    (stray.parent / "task_2.json.part").write_text("{")
    (stray.parent / "try.part").mkdir()

    async with open_sandbox():
        pass

    assert list(stray.parent.iterdir()) == [stray]
    assert "task_1.json cannot be read" in caplog.text


async def test_tasks_are_forgotten_after_fifteen_days_and_their_money_comes_back(
    client: Client, clock: MovableClock, tmp_path: Path
) -> None:
    task = await client.apixo_ended("sora-2", sora_2())
    assert await client.balance() == 99.5

    clock.forward(days=15, seconds=1)
    await client.apixo_ended("sora-2-pro", pro())

    status, _ = await client.call("GET", f"/api/v1/statusTask/sora-2?taskId={task['taskId']}", APIXO)
    assert status == 404
    assert not list((tmp_path / "sandbox").glob(f"{task['taskId']}*"))
    assert await client.balance() == 98.92


async def test_a_taken_port_is_said(open_sandbox: OpenSandbox, client: Client) -> None:
    port = int(client.sandbox.host.rpartition(":")[2])
    with pytest.raises(OSError, match=str(port)):
        await open_sandbox(port=port).start()


def test_the_addresses_are_those_of_the_gateways_settings(client: Client) -> None:
    sandbox = client.sandbox
    assert sandbox.origin == f"http://{sandbox.host}"
    assert (sandbox.apixo_base_url, sandbox.pixazo_base_url) == (f"{sandbox.origin}/api/v1", sandbox.origin)


# Money and limits.


@pytest.mark.parametrize(
    ("model", "body", "left"),
    [
        ("sora-2", sora_2(), 99.5),
        ("sora-2", sora_2_image(**{"input.duration": 15}), 99.25),
        ("sora-2-pro", pro(), 98.92),
        ("sora-2-pro", pro(**{"input.size": "1024*1792", "input.duration": 12}), 94.6),
        ("sora-2-pro", pro_image(**{"input.resolution": "1080p", "input.duration": 8}), 96.4),
    ],
)
async def test_acceptance_takes_the_price_from_the_balance(
    client: Client, model: str, body: object, left: float
) -> None:
    await client.apixo_ended(model, body)

    status, answer = await client.call("GET", "/api/v1/apikeys/current-balance", APIXO)

    assert (status, answer) == (200, {"code": 200, "message": "success", "data": left})


async def test_pixazo_refuses_when_its_money_is_spent_and_gives_back_what_ended_in_error(
    client: Client,
) -> None:
    dear = video(size="1792x1024", seconds=12)
    assert (await client.pixazo_ended(dear | {"prompt": "fail:error"}))["status"] == "ERROR"
    for _ in range(13):
        assert (await client.pixazo(dear))[0] == 202

    assert await client.pixazo(dear) == (
        402,
        {"error": "Insufficient Balance", "message": "Your wallet does not have enough balance."},
    )
    assert (await client.pixazo(video()))[0] == 202
    assert await client.balance() == 100


async def test_apixo_refuses_when_its_money_is_spent(client: Client) -> None:
    answers = [await client.apixo("sora-2", sora_2(**{"input.duration": 15})) for _ in range(134)]

    assert {status for status, _ in answers[:133]} == {200}
    assert answers[133] == (400, {"code": 400, "message": "Insufficient credits", "data": None})


async def test_requests_are_limited_in_a_sliding_minute_a_model(client: Client, clock: MovableClock) -> None:
    async def ask(model: str = "sora-2-pro") -> int:
        return (await client.call("GET", f"/api/v1/statusTask/{model}?taskId=task_1", APIXO))[0]

    assert (await client.apixo("sora-2-pro", pro()))[0] == 200
    clock.forward(seconds=30)
    assert [await ask() for _ in range(60)] == [404] * 59 + [429]
    assert await client.apixo("sora-2-pro", pro()) == (
        429,
        {"code": 429, "message": "Rate limit exceeded", "data": None},
    )
    assert await ask("sora-2") == 404

    clock.forward(seconds=30)
    assert [await ask() for _ in range(2)] == [404, 429]
    clock.forward(seconds=30)
    assert await ask() == 404


async def test_ten_tasks_run_at_once(slow_client: Client, clock: MovableClock) -> None:
    answers = [await slow_client.apixo("sora-2-pro", pro()) for _ in range(11)]

    assert [status for status, _ in answers] == [200] * 10 + [429]
    assert answers[10][1]["code"] == 429
    assert (await slow_client.apixo("sora-2", sora_2()))[0] == 200

    clock.forward(seconds=20)
    for _, answer in answers[:10]:
        task_id = answer["data"]["taskId"]
        await slow_client.ended(lambda task_id=task_id: slow_client.apixo_task("sora-2-pro", task_id))
    assert (await slow_client.apixo("sora-2-pro", pro()))[0] == 200


# Failures on demand.


def test_every_trigger_has_a_meaning_which_the_readme_tells() -> None:
    assert set(MEANINGS) == set(Trigger)
    rows = [f"| `{trigger}` | {meaning} |" for trigger, meaning in MEANINGS.items()]
    assert "\n".join(rows) in (Path(__file__).parents[1] / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("word", "expected", "message"),
    [
        ("fail:key", 401, "Invalid or missing API key"),
        ("Fail:ACCESS", 403, "This API key has no permission for the model"),
        ("fail:balance", 400, "Insufficient credits"),
        ("fail:model", 404, "Model not found"),
        ("fail:refuse", 400, "Content violates provider policy, please adjust the prompt"),
    ],
)
async def test_apixo_refuses_a_submit_on_demand(
    client: Client, word: str, expected: int, message: str
) -> None:
    body = pro(**{"input.prompt": f"a fox, {word}."})

    assert await client.apixo("sora-2-pro", body) == (
        expected,
        {"code": expected, "message": message, "data": None},
    )
    assert await client.balance() == 100


@pytest.mark.parametrize(
    ("word", "expected", "error"),
    [
        ("fail:key", 401, "Unauthorized"),
        ("fail:access", 403, "Forbidden"),
        ("fail:balance", 402, "Insufficient Balance"),
        ("fail:model", 400, "Model not found"),
        ("fail:refuse", 400, "Bad Request"),
    ],
)
async def test_pixazo_refuses_a_submit_on_demand(
    client: Client, word: str, expected: int, error: str
) -> None:
    status, answer = await client.pixazo(video(prompt=f"a fox {word}"))

    assert (status, answer["error"]) == (expected, error)
    assert answer["message"]


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("fail:moderation", "CONTENT_VIOLATION"),
        ("fail:picture", "INVALID_IMAGE_URL"),
        ("fail:render", "GENERATION_FAILED"),
        ("fail:error", "PROCESSING_TIMEOUT"),
    ],
)
async def test_an_apixo_task_fails_on_demand(client: Client, word: str, code: str) -> None:
    task = await client.apixo_ended("sora-2", sora_2(**{"input.prompt": word}))

    assert (task["state"], task["failCode"], bool(task["failMsg"])) == ("failed", code, True)
    assert (await client.download(f"{client.sandbox.origin}/files/{task['taskId']}.mp4"))[0] == 404


@pytest.mark.parametrize(
    ("word", "status", "words"),
    [
        ("fail:moderation", "FAILED", "content policy"),
        ("fail:picture", "FAILED", "image"),
        ("fail:render", "FAILED", "generation failed"),
        ("fail:error", "ERROR", "Internal error"),
    ],
)
async def test_a_pixazo_request_fails_on_demand(client: Client, word: str, status: str, words: str) -> None:
    task = await client.pixazo_ended(video(prompt=word))

    assert (task["status"], task["output"]) == (status, None)
    assert words in task["error"]
    assert task["completed_at"]


async def test_a_task_succeeds_without_links_on_demand(client: Client) -> None:
    apixo = await client.apixo_ended("sora-2", sora_2(**{"input.prompt": "fail:empty"}))
    pixazo = await client.pixazo_ended(video(prompt="fail:empty"))

    assert (apixo["state"], json.loads(apixo["resultJson"])) == ("success", {"resultUrls": []})
    assert (pixazo["status"], pixazo["output"]["media_url"]) == ("COMPLETED", [])


async def test_a_link_gives_a_web_page_on_demand(client: Client) -> None:
    task = await client.pixazo_ended(video(prompt="fail:file"))

    status, kind, page = await client.download(task["output"]["media_url"][0])

    assert (status, kind) == (200, "text/html")
    assert page.startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fail:down", [502, 502, 200, 502]),
        ("fail:429", [429, 200, 429]),
        ("fail:down fail:429", [502, 502, 429, 200, 502]),
    ],
)
async def test_apixo_recovers_after_a_while_on_demand(
    client: Client, words: str, expected: list[int]
) -> None:
    answers = [await client.apixo("sora-2", sora_2(**{"input.prompt": words})) for _ in expected]

    assert [status for status, _ in answers] == expected
    assert [answer["code"] for _, answer in answers] == expected


async def test_temporary_failures_are_counted_for_each_prompt(client: Client) -> None:
    for prompt in ("one fail:429", "two fail:429"):
        statuses = [(await client.pixazo(video(prompt=prompt)))[0] for _ in range(2)]
        assert statuses == [429, 202]


async def test_a_429_on_demand_says_when_to_come_back(client: Client) -> None:
    url = f"{client.sandbox.origin}{TEXT_PATH}"

    async with client.session.post(url, headers=PIXAZO, json=video(prompt="fail:429")) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "1")


async def test_the_connection_is_cut_after_acceptance_on_demand(client: Client) -> None:
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.apixo("sora-2", sora_2(**{"input.prompt": "fail:lost"}))
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.pixazo(video(prompt="fail:lost"))

    assert await client.balance() == 99.5


async def test_a_task_takes_three_times_as_long_on_demand(slow_client: Client, clock: MovableClock) -> None:
    _, answer = await slow_client.apixo("sora-2", sora_2(**{"input.prompt": "fail:slow fail:moderation"}))
    task_id = answer["data"]["taskId"]

    clock.forward(seconds=59)
    assert (await slow_client.apixo_task("sora-2", task_id))["state"] in OPEN_STATES
    clock.forward(seconds=1)
    task = await slow_client.ended(lambda: slow_client.apixo_task("sora-2", task_id))
    assert (task["state"], task["failCode"]) == ("failed", "CONTENT_VIOLATION")


# Callbacks


class Listener:
    """Whom the sandbox calls: it answers with these statuses, and then with 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[Any] = []
        self.pauses: list[float] = []
        self.called = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        assert (request.path, request.content_type) == ("/hook/1", "application/json")
        self.bodies.append(await request.json())
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.called.set()
        headers = {"Location": "/hook/1"} if status == 302 else {}
        return web.Response(status=status, headers=headers)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


@contextlib.asynccontextmanager
async def calling(
    listener: Listener, folder: Path, clock: MovableClock, **more: Any
) -> AsyncIterator[SandboxServer]:
    """A sandbox that reaches the listener by its public name."""
    app = web.Application()
    app.router.add_post("/hook/1", listener.take)
    async with (
        serve(app, "127.0.0.1", 0) as port,
        SandboxServer(
            folder=folder,
            clock=clock,
            api_key=KEY,
            origins={BOT: f"http://127.0.0.1:{port}"},
            render_seconds=0,
            sleep=listener.sleep,
            **{"render": stand_in, **more},
        ) as sandbox,
    ):
        yield sandbox


async def called(folder: Path) -> None:
    """Wait until the sandbox wrote down that it called for its one task, or gave up."""
    pause = 0.005
    async with asyncio.timeout(10):
        while '"called": true' not in next(folder.glob("*.json")).read_text("utf-8"):
            await asyncio.sleep(pause)
            pause *= 1.5


HOOK = {"request_type": "callback", "callback_url": f"{BOT}/hook/1"}


@pytest.mark.parametrize("prompt", ["a fox", "fail:moderation", "fail:lost"])
async def test_apixo_posts_what_a_look_at_the_ended_task_shows(
    tmp_path: Path, clock: MovableClock, session: aiohttp.ClientSession, prompt: str
) -> None:
    listener = Listener()
    async with calling(listener, tmp_path, clock) as sandbox:
        client = Client(sandbox, session)
        with contextlib.suppress(aiohttp.ClientError):
            await client.apixo("sora-2", sora_2(**HOOK, **{"input.prompt": prompt}))
        await asyncio.wait_for(listener.called.wait(), 10)
        (body,) = listener.bodies

        shown = await client.apixo_task("sora-2", body["data"]["taskId"])

    assert body == {"code": 200, "message": "success", "data": shown}
    assert shown["state"] == ("failed" if "moderation" in prompt else "success")


@pytest.mark.parametrize("prompt", ["a fox", "fail:error"])
async def test_pixazo_posts_what_a_look_at_the_ended_request_shows(
    tmp_path: Path, clock: MovableClock, session: aiohttp.ClientSession, prompt: str
) -> None:
    listener = Listener()
    async with calling(listener, tmp_path, clock) as sandbox:
        client = Client(sandbox, session)
        headers = {**PIXAZO, "X-Webhook-URL": f"{BOT}/hook/1"}
        await client.call("POST", TEXT_PATH, headers, video(prompt=prompt))
        await asyncio.wait_for(listener.called.wait(), 10)

        assert listener.bodies == [await client.pixazo_task(listener.bodies[0]["request_id"])]


@pytest.mark.parametrize("statuses", [[], [204], [500, 302], [404, 503, 201], [500] * 9])
async def test_only_200_takes_a_callback_and_three_more_tries_are_made(
    tmp_path: Path, clock: MovableClock, session: aiohttp.ClientSession, statuses: list[int]
) -> None:
    listener = Listener(*statuses)
    async with calling(listener, tmp_path, clock) as sandbox:
        await Client(sandbox, session).apixo("sora-2", sora_2(**HOOK))
        await called(tmp_path)

    assert len(listener.bodies) == min(len(statuses) + 1, 4)
    assert listener.pauses == [30, 60, 120][: len(statuses)]


async def test_whoever_is_not_asked_to_call_does_not(
    tmp_path: Path, clock: MovableClock, session: aiohttp.ClientSession
) -> None:
    listener = Listener()
    async with calling(listener, tmp_path, clock) as sandbox:
        await Client(sandbox, session).apixo_ended("sora-2", sora_2(callback_url=f"{BOT}/hook/1"))

    assert not listener.bodies


async def test_a_sandbox_that_was_ended_calls_after_its_next_start_and_once(
    tmp_path: Path, clock: MovableClock, session: aiohttp.ClientSession
) -> None:
    async with calling(Listener(), tmp_path, clock, render=lambda *_: asyncio.Event().wait()) as sandbox:
        await Client(sandbox, session).apixo("sora-2", sora_2(**HOOK))
    listener = Listener()
    async with calling(listener, tmp_path, clock):
        await called(tmp_path)
    silent = Listener()
    async with calling(silent, tmp_path, clock) as sandbox:
        await Client(sandbox, session).balance()

    assert len(listener.bodies) == 1
    assert not silent.bodies
