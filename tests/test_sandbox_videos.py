"""The sandbox's servers of the shape `/v1/videos`, asked over HTTP: what they refuse, and how they answer."""

import asyncio
import contextlib
import dataclasses
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.media import run_ffmpeg
from bot.sandbox.drawing import Clip
from bot.sandbox.render import render_clip
from bot.sandbox.server import SandboxServer
from tests.test_sandbox import (
    BOT,
    KEY,
    STAND_IN_CLIP,
    Listener,
    MovableClock,
    calling,
    data_url,
    is_close,
    picture,
    stand_in,
)
from tests.test_sandbox import frame as frame_of

RED = picture(1280, 720)
FILE = object()  # stands for a picture that is uploaded
GONE = "https://nowhere.invalid/red.png"


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]


class Client:
    """Speaks one dialect, and sends whatever a test says."""

    def __init__(self, sandbox: SandboxServer, session: aiohttp.ClientSession, dialect: str) -> None:
        self.base = sandbox.base_url("videos", dialect)
        self._session = session

    async def ask(self, method: str, path: str, *, key: str = KEY, **more: Any) -> Answer:
        headers = {"Authorization": f"Bearer {key}", **more.pop("headers", {})}
        async with self._session.request(method, self.base + path, headers=headers, **more) as response:
            raw = await response.read()
            is_json = response.content_type == "application/json"
            return Answer(response.status, json.loads(raw) if is_json else raw, dict(response.headers))

    async def order(self, fields: dict[str, Any], encoding: str = "json") -> Answer:
        if encoding == "json":
            return await self.ask("POST", "/videos", json=fields)
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in fields.items():
            if value is FILE:
                form.add_field(name, io.BytesIO(RED), filename="red.png", content_type="image/png")
            else:
                form.add_field(name, str(value))
        return await self.ask("POST", "/videos", data=form)

    async def ended(self, fields: dict[str, Any], encoding: str = "json") -> dict[str, Any]:
        accepted = await self.order(fields, encoding)
        assert accepted.status in {200, 202}, accepted.body
        return (await self.over(accepted.body["id"])).body

    async def over(self, task_id: str) -> Answer:
        pause = 0.005
        async with asyncio.timeout(30):
            while True:
                answer = await self.ask("GET", f"/videos/{task_id}")
                if answer.body["status"] in {"completed", "failed"}:
                    return answer
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, 0.5)


@dataclasses.dataclass
class Sandbox:
    """A sandbox with a client a dialect."""

    server: SandboxServer
    session: aiohttp.ClientSession
    clock: MovableClock

    def __getitem__(self, dialect: str) -> Client:
        return Client(self.server, self.session, dialect)


async def until_gone(folder: Path, task_id: str) -> None:
    """Wait until no file of a task is left."""
    async with asyncio.timeout(10):
        while True:
            if not any(folder.glob(f"*{task_id}*")):
                return
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def opened(folder: Path, **more: Any) -> AsyncIterator[Sandbox]:
    clock = MovableClock()
    values = {"render": stand_in, "render_seconds": 0, "origins": {}, **more}
    async with (
        aiohttp.ClientSession() as session,
        SandboxServer(folder=folder / "sandbox", clock=clock, api_key=KEY, **values) as server,
    ):
        yield Sandbox(server, session, clock)


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with opened(tmp_path) as found:
        yield found


# What an order may say. A row: the dialect, the encoding, the fields; `...` takes a good body's field away.

GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("json", {"prompt": "a fox", "model": "sora-2", "seconds": "8", "size": "1280x720"}),
    "sglang": ("json", {"prompt": "a fox", "model": "any", "seconds": 5, "size": "832x480"}),
    "vllm-omni": ("form", {"prompt": "a fox", "model": "any", "seconds": "5", "size": "832x480"}),
    "newapi": ("json", {"prompt": "a fox", "model": "wan-2.6", "seconds": "5", "size": "1280x720"}),
    "openrouter": (
        "json",
        {
            "prompt": "a fox",
            "model": "google/veo-3.1",
            "duration": 8,
            "resolution": "720p",
            "aspect_ratio": "9:16",
        },
    ),
}


def frame(place: str = "first_frame", url: str = GONE) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, "frame_type": place}


TAKES: list[tuple[str, str, dict[str, Any]]] = [
    *((dialect, encoding, {}) for dialect, (encoding, _) in GOOD.items()),
    ("openai", "json", {"model": ..., "seconds": ..., "size": ...}),
    ("openai", "form", {}),
    ("openai", "form", {"input_reference": FILE}),
    ("openai", "json", {"input_reference": {"image_url": data_url(RED)}}),
    ("sglang", "json", {"model": ..., "seconds": ..., "size": ""}),
    ("sglang", "json", {"input_reference": GONE}),
    ("sglang", "json", {"reference_url": GONE, "negative_prompt": "rain", "seed": 5}),
    ("sglang", "form", {"input_reference": FILE}),
    ("vllm-omni", "form", {"model": ..., "size": ..., "width": "640", "height": "480"}),
    ("vllm-omni", "form", {"input_reference": FILE, "generate_sound": "true", "seed": "5"}),
    ("vllm-omni", "form", {"image_reference": json.dumps({"image_url": data_url(RED)})}),
    ("newapi", "json", {"seconds": ..., "duration": 5, "metadata": {"anything": 1}}),
    ("newapi", "json", {"image": GONE}),
    ("newapi", "form", {"input_reference": FILE}),
    ("openrouter", "json", {"frame_images": [frame(), frame("last_frame")], "seed": 5}),
    ("openrouter", "json", {"duration": ..., "resolution": ..., "aspect_ratio": ...}),
]

REFUSES: list[tuple[str, str, dict[str, Any], str]] = [
    *((dialect, encoding, {"prompt": ...}, "prompt") for dialect, (encoding, _) in GOOD.items()),
    *((dialect, encoding, {"prompt": " "}, "prompt") for dialect, (encoding, _) in GOOD.items()),
    *((dialect, encoding, {"wish": "1"}, "wish") for dialect, (encoding, _) in GOOD.items()),
    ("openai", "json", {"seconds": 8}, "seconds"),
    ("openai", "json", {"seconds": "5"}, "seconds"),
    ("openai", "json", {"size": "640x480"}, "size"),
    ("openai", "json", {"model": "sora-3"}, "model"),
    ("openai", "json", {"input_reference": data_url(RED)}, "input_reference"),
    ("openai", "json", {"input_reference": {"image_url": GONE, "file_id": "file-1"}}, "exactly one"),
    ("openai", "json", {"input_reference": {"file_id": "file-1"}}, "no such file"),
    ("openai", "json", {"size": "720x1280", "input_reference": {"image_url": data_url(RED)}}, "width and"),
    ("openai", "form", {"size": "720x1280", "input_reference": FILE}, "width and height"),
    ("openai", "form", {"image": FILE}, "image"),
    ("sglang", "json", {"seconds": "5"}, "seconds"),
    ("sglang", "json", {"seconds": 0}, "seconds"),
    ("sglang", "json", {"duration": 5}, "duration"),
    ("sglang", "json", {"size": "832*480"}, "size"),
    ("sglang", "json", {"input_reference": {"image_url": GONE}}, "input_reference"),
    ("sglang", "form", {}, "input_reference"),
    ("vllm-omni", "json", {}, "Content-Type"),
    ("vllm-omni", "form", {"seconds": "05"}, "seconds"),
    ("vllm-omni", "form", {"seconds": "5.0"}, "seconds"),
    ("vllm-omni", "form", {"size": "720p"}, "size"),
    ("vllm-omni", "form", {"input_reference": GONE}, "input_reference"),
    ("vllm-omni", "form", {"image_reference": GONE}, "image_reference"),
    ("newapi", "json", {"model": ...}, "model"),
    ("newapi", "json", {"seconds": 5}, "seconds"),
    ("newapi", "json", {"seconds": ..., "duration": "5"}, "duration"),
    ("newapi", "json", {"duration": 5}, "duration"),
    ("newapi", "json", {"image": {"url": GONE}}, "image"),
    ("newapi", "json", {"image": "data:image/png;base64,!"}, "base64"),
    ("openrouter", "form", {}, "Content-Type"),
    ("openrouter", "json", {"model": ...}, "model"),
    ("openrouter", "json", {"duration": "8"}, "duration"),
    ("openrouter", "json", {"duration": 5}, "duration"),
    ("openrouter", "json", {"resolution": "480p"}, "resolution"),
    ("openrouter", "json", {"aspect_ratio": "1:1"}, "aspect_ratio"),
    ("openrouter", "json", {"size": "1280x720"}, "size"),
    ("openrouter", "json", {"frame_images": [GONE]}, "frame_images"),
    ("openrouter", "json", {"frame_images": [frame("last_frame")]}, "frame_images"),
    ("openrouter", "json", {"frame_images": [frame(), frame()]}, "frame_images"),
    ("openrouter", "json", {"model": "alibaba/wan-2.6", "frame_images": [frame("last_frame")]}, "wan-2.6"),
    ("openrouter", "json", {"callback_url": "hook"}, "callback_url"),
]


def body_of(dialect: str, changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**GOOD[dialect][1], **changes}.items() if value is not ...}


def said(dialect: str, body: Any) -> str:
    """Read a refusal, whose envelope must be exactly the dialect's."""
    if dialect == "sglang":
        assert set(body) == {"detail"}
        return body["detail"]
    keys = {"code", "message"} if dialect == "openrouter" else {"message", "type", "param", "code"}
    assert (set(body), set(body["error"])) == ({"error"}, keys)
    return body["error"]["message"]


async def test_each_dialect_takes_what_its_pages_allow(sandbox: Sandbox) -> None:
    for dialect, encoding, changes in TAKES:
        answer = await sandbox[dialect].order(body_of(dialect, changes), encoding)

        status = 202 if dialect == "openrouter" else 200
        assert answer.status == status, (dialect, changes, answer.body)
        assert answer.body["status"] in {"queued", "pending", "in_progress"}


async def test_each_dialect_refuses_in_its_own_envelope_and_names_the_field(sandbox: Sandbox) -> None:
    for dialect, encoding, changes, named in REFUSES:
        answer = await sandbox[dialect].order(body_of(dialect, changes), encoding)

        assert answer.status == 400, (dialect, changes, answer.body)
        assert named in said(dialect, answer.body)


@pytest.mark.parametrize("dialect", GOOD)
async def test_a_wrong_key_an_unknown_task_and_a_broken_body_are_refused(
    sandbox: Sandbox, dialect: str
) -> None:
    client = sandbox[dialect]
    json_type = {"Content-Type": "application/json"}

    for answer, status in (
        (await client.ask("GET", "/videos/other", key="other"), 401),
        (await client.ask("GET", "/videos/other"), 404),
        (await client.ask("GET", "/videos/other/content"), 404),
        (await client.ask("DELETE", "/videos/other"), 404),
        (await client.ask("POST", "/videos", data=b"{", headers=json_type), 400),
        (await client.ask("POST", "/videos", data=b"x", headers={"Content-Type": "text/plain"}), 400),
    ):
        assert answer.status == status
        assert said(dialect, answer.body)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("fail:key", 401),
        ("fail:access", 403),
        ("fail:balance", 402),
        ("fail:model", 404),
        ("fail:refuse", 400),
        ("fail:down", 502),
        ("fail:429", 429),
    ],
)
async def test_an_order_is_refused_on_demand(sandbox: Sandbox, word: str, status: int) -> None:
    for dialect, (encoding, _) in GOOD.items():
        answer = await sandbox[dialect].order(body_of(dialect, {"prompt": word}), encoding)

        assert (answer.status, bool(said(dialect, answer.body))) == (status, True)
        assert ("Retry-After" in answer.headers) == (word == "fail:429")


async def test_models_that_are_sold_elsewhere_are_unknown(sandbox: Sandbox) -> None:
    for dialect in ("newapi", "openrouter"):
        answer = await sandbox[dialect].order(body_of(dialect, {"model": "sora-9"}))
        assert (answer.status, said(dialect, answer.body)) == (404, "The model does not exist")


async def test_each_server_lists_its_models(sandbox: Sandbox) -> None:
    for dialect, (_, body) in GOOD.items():
        path = "/videos/models" if dialect == "openrouter" else "/models"
        listed = [model["id"] for model in (await sandbox[dialect].ask("GET", path)).body["data"]]
        assert listed
        assert body["model"] in [*listed, "any"]
    (veo, *_) = (await sandbox["openrouter"].ask("GET", "/videos/models")).body["data"]
    assert (veo["supported_durations"], veo["pricing_skus"]) == ([4, 6, 8], {"duration_seconds": "0.08"})


# From order to clip


async def test_the_way_of_a_task_in_each_dialect(tmp_path: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def held(_: Clip, path: Path) -> None:
        begun.set()
        await go_on.wait()
        path.write_bytes(STAND_IN_CLIP)

    ids = {
        "openai": r"video_\w+",
        "sglang": r"[0-9a-f]+",
        "vllm-omni": r"video_gen_[0-9a-f]+",
        "newapi": r"task_\w+",
        "openrouter": r"job-\w+",
    }
    too_soon = {"openai": 400, "sglang": 404, "vllm-omni": 404, "newapi": 400, "openrouter": 400}
    for dialect, (encoding, body) in GOOD.items():
        begun.clear()
        go_on.clear()
        async with opened(tmp_path / dialect, render=held, render_seconds=20) as sandbox:
            client = sandbox[dialect]
            task_id = (await client.order(body, encoding)).body["id"]
            path = f"/videos/{task_id}"
            await begun.wait()
            sandbox.clock.forward(seconds=10)
            middle = await client.ask("GET", path)
            unready = await client.ask("GET", f"{path}/content")
            go_on.set()
            sandbox.clock.forward(seconds=10)
            over = await client.over(task_id)
            clip = await client.ask("GET", f"{path}/content")
            strange = await client.ask("GET", f"{path}/content", key="other")
            odd = await client.ask("GET", f"{path}/content?variant=video&index=1")

        assert re.fullmatch(ids[dialect], task_id)
        assert middle.body["status"] == "in_progress"
        assert middle.body.get("progress") == {"sglang": 0, "openrouter": None}.get(dialect, 50)
        assert over.body.get("progress") == (None if dialect == "openrouter" else 100)
        assert (unready.status, bool(said(dialect, unready.body))) == (too_soon[dialect], True)
        assert (clip.status, clip.body, strange.status) == (200, STAND_IN_CLIP, 401)
        assert odd.status == (404 if dialect in {"sglang", "openrouter"} else 200)
        assert ("openai-poll-after-ms" in middle.headers) == (dialect == "openai")
        if dialect == "openai":
            assert len(over.body) == 13
        if dialect == "newapi":
            assert over.body["task_id"] == task_id
            assert over.body["metadata"]["url"].endswith(f"/files/{task_id}.mp4")
        if dialect != "openrouter":
            assert over.body["completed_at"] - over.body["created_at"] == 20


async def test_openrouter_tells_links_and_what_it_cost(sandbox: Sandbox) -> None:
    client = sandbox["openrouter"]

    task = await client.ended(GOOD["openrouter"][1])

    (signed,), (unsigned,) = task["urls"], task["unsigned_urls"]
    assert task["usage"] == {"cost": 0.64, "is_byok": False}
    async with sandbox.session.get(signed) as free, sandbox.session.get(unsigned) as guarded:
        assert (free.status, await free.read(), guarded.status) == (200, STAND_IN_CLIP, 401)


async def test_a_failed_task_says_why_in_the_form_of_its_dialect(sandbox: Sandbox) -> None:
    words = "The request was blocked by the moderation system"
    expected: dict[str, Any] = {
        "openai": {"code": "moderation_blocked", "message": words},
        "sglang": {"message": words},
        "vllm-omni": {"code": 400, "message": words},
        "newapi": {"code": "moderation_blocked", "message": words},
        "openrouter": words,
    }
    for dialect, (encoding, _) in GOOD.items():
        task = await sandbox[dialect].ended(body_of(dialect, {"prompt": "fail:moderation"}), encoding)
        assert (task["status"], task["error"]) == ("failed", expected[dialect])


async def test_a_task_ends_without_a_clip_or_with_a_web_page_on_demand(sandbox: Sandbox) -> None:
    for dialect, (encoding, _) in GOOD.items():
        for word, status in (("fail:empty", 404), ("fail:file", 200)):
            task = await sandbox[dialect].ended(body_of(dialect, {"prompt": word}), encoding)
            content = await sandbox[dialect].ask("GET", f"/videos/{task['id']}/content")
            assert (task["status"], content.status) == ("completed", status)
            assert word == "fail:empty" or content.body.startswith(b"<!doctype html>")


async def test_the_connection_is_cut_after_acceptance_on_demand(sandbox: Sandbox) -> None:
    with pytest.raises(aiohttp.ClientConnectionError):
        await sandbox["sglang"].order(body_of("sglang", {"prompt": "fail:lost"}))


async def test_delete_ends_a_rendering_at_vllm_omni_alone(tmp_path: Path) -> None:
    begun, ended = asyncio.Semaphore(0), list[str]()

    async def never(clip: Clip, _: Path) -> None:
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(clip.detail.partition(",")[0])

    async with opened(tmp_path, render=never) as sandbox:
        seen: dict[str, tuple[int, Any, int]] = {}
        for dialect in ("vllm-omni", "sglang"):
            client = sandbox[dialect]
            task_id = (await client.order(body_of(dialect, {"model": dialect}), GOOD[dialect][0])).body["id"]
            await begun.acquire()
            deleted = await client.ask("DELETE", f"/videos/{task_id}")
            seen[dialect] = (
                deleted.status,
                deleted.body,
                (await client.ask("GET", f"/videos/{task_id}")).status,
            )
        running = (await sandbox["openai"].order(GOOD["openai"][1])).body["id"]
        refused = [
            (await sandbox["openai"].ask("DELETE", f"/videos/{running}")).status,
            (await sandbox["newapi"].order(GOOD["newapi"][1])).status,
        ]
        assert ended == ["vllm-omni"]

    assert (seen["vllm-omni"][0], seen["vllm-omni"][1]["object"], seen["vllm-omni"][2]) == (
        200,
        "video.deleted",
        404,
    )
    assert (seen["sglang"][0], seen["sglang"][1]["status"], seen["sglang"][2]) == (200, "deleted", 404)
    assert refused == [400, 200]


async def test_what_was_forgotten_while_it_rendered_leaves_nothing_behind(tmp_path: Path) -> None:
    begun, go_on, written = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def held(_: Clip, path: Path) -> None:
        begun.set()
        await go_on.wait()
        path.write_bytes(STAND_IN_CLIP)
        written.set()

    async with opened(tmp_path, render=held) as sandbox:
        client = sandbox["sglang"]
        task_id = (await client.order(GOOD["sglang"][1])).body["id"]
        await begun.wait()
        await client.ask("DELETE", f"/videos/{task_id}")
        go_on.set()
        await written.wait()
        await until_gone(tmp_path / "sandbox", task_id)


async def test_openai_deletes_what_has_ended(sandbox: Sandbox) -> None:
    task = await sandbox["openai"].ended(GOOD["openai"][1])

    deleted = await sandbox["openai"].ask("DELETE", f"/videos/{task['id']}")

    assert deleted.body == {"id": task["id"], "object": "video.deleted", "deleted": True}
    assert (await sandbox["openai"].ask("GET", f"/videos/{task['id']}")).status == 404


async def test_a_sandbox_that_was_ended_renders_what_it_had_taken(tmp_path: Path) -> None:
    ids: dict[str, str] = {}
    async with opened(tmp_path, render=lambda *_: asyncio.Event().wait()) as sandbox:
        for dialect, (encoding, _) in GOOD.items():
            fields = body_of(dialect, {"input_reference": FILE} if encoding == "form" else {})
            ids[dialect] = (await sandbox[dialect].order(fields, encoding)).body["id"]
    async with opened(tmp_path) as sandbox:
        for dialect, task_id in ids.items():
            await sandbox[dialect].over(task_id)
            content = await sandbox[dialect].ask("GET", f"/videos/{task_id}/content")
            assert content.body == STAND_IN_CLIP


async def test_openrouter_calls_whoever_asked_for_it(tmp_path: Path) -> None:
    listener = Listener()
    async with calling(listener, tmp_path, MovableClock()) as server, aiohttp.ClientSession() as session:
        client = Client(server, session, "openrouter")
        accepted = await client.order(body_of("openrouter", {"callback_url": f"{BOT}/hook/1"}))
        await asyncio.wait_for(listener.called.wait(), 10)

    (event,) = listener.bodies
    assert event["type"] == "video.generation.completed"
    assert (event["data"]["id"], event["data"]["status"]) == (accepted.body["id"], "completed")


async def test_a_clip_has_the_size_length_and_sound_that_were_asked_for(tmp_path: Path) -> None:
    clips: list[Clip] = []

    async def note(clip: Clip, path: Path) -> None:
        clips.append(clip)
        path.write_bytes(STAND_IN_CLIP)

    async with opened(tmp_path, render=note) as sandbox:
        await sandbox["sglang"].ended(body_of("sglang", {"num_frames": 81, "fps": 16, "seed": 7}))
        await sandbox["vllm-omni"].ended(
            body_of("vllm-omni", {"seconds": ..., "negative_prompt": "rain"}), "form"
        )
        await sandbox["openrouter"].ended(
            body_of(
                "openrouter",
                {
                    "generate_audio": False,
                    "aspect_ratio": ...,
                    "frame_images": [
                        frame("last_frame", data_url(RED)),
                        frame(url=data_url(picture(60, 90))),
                    ],
                },
            )
        )

    frames, one_frame, framed = clips
    assert (frames.width, frames.height, frames.seconds) == (832, 480, 81 / 16)
    assert frames.detail == "any, 5.0625 s, 832 x 480, seed 7"
    assert (one_frame.seconds, one_frame.sound) == (1 / 24, False)
    assert one_frame.detail.endswith("without rain")
    assert (framed.width, framed.height, framed.seconds, framed.sound) == (720, 1280, 8, False)
    assert (framed.picture, framed.end_picture) == (picture(60, 90), RED)


async def test_a_silent_clip_ends_with_its_last_picture(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    clip = Clip(
        prompt="a fox",
        detail="",
        seconds=1.5,
        width=320,
        height=240,
        picture=picture(colour="red"),
        end_picture=picture(colour="blue"),
        sound=False,
    )
    await render_clip(clip, path)

    told = await run_ffmpeg(["-loglevel", "info", "-i", path, "-f", "null", "-"], timeout_seconds=30)
    assert "Audio" not in told
    early, late = await frame_of(path, 0.5), await frame_of(path, 1.2)
    assert is_close(early.getpixel((160, 100)), (255, 0, 0))
    assert is_close(late.getpixel((160, 100)), (0, 0, 255))
