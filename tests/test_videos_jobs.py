"""Jobs at servers of the shape of `/v1/videos`: from the order to the clip in the channel, and the money."""

import base64
import contextlib
import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from bot.clip_room import ClipRoom
from bot.dialects import DIALECTS
from bot.errors import StorageTrouble
from bot.gateways.download import ClipFetcher, FetchError
from bot.gateways.http import GatewayHttp
from bot.gateways.videos import VideosGateway
from bot.models import FailureKind, Job, Stage
from bot.troubles import Trouble
from tests.acting import deny, world_with
from tests.books import open_books
from tests.fake_apixo import CLIP
from tests.fake_videos import FakeVideos, saying
from tests.gateway_server import Answer, HostileServer, Seen, answer, serving
from tests.test_storage_trouble import largest_file
from tests.world import World

MP4 = CLIP.read_bytes()
STUDIO_KEY, ROUTER_KEY = "studio-key-51f0aa73", "router-key-9e2bc417"

MODELS = """
[gateways.studio]
kind = "videos"
base_url = "{studio}"
key_env = "STUDIO_KEY"
dialect = "vllm-omni"

[gateways.router]
kind = "videos"
base_url = "{router}"
key_env = "ROUTER_KEY"
dialect = "openrouter"

[models."studio/wan"]
title = "Wan on our own machine"
remote_id = "wan-2.2"
status = "available"
noted_on = 2026-11-20
source = "A page, https://example.com"
seconds = [4]
prompt_limit = 1000
modes.text-to-video.sizes = [{{ pixels = [1280, 720] }}]
price = {{ unit = "second", rows = [{{ usd = "0.10" }}] }}

[models."router/veo"]
title = "Veo by a router"
remote_id = "google/veo-3.1"
status = "available"
noted_on = 2026-11-20
source = "A page, https://example.com"
seconds = [8]
prompt_limit = 1000
modes.text-to-video = {{}}
price = {{ unit = "video", rows = [{{ usd = "0.50" }}] }}
"""


@contextlib.asynccontextmanager
async def two_servers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, **told: Any
) -> AsyncGenerator[tuple[World, FakeVideos, FakeVideos]]:
    """Open a world with a server of their own and with a router, side by side; `told` is the router's."""
    monkeypatch.setenv("STUDIO_KEY", STUDIO_KEY)
    monkeypatch.setenv("ROUTER_KEY", ROUTER_KEY)
    async with FakeVideos() as studio, FakeVideos("/api/v1", **told) as router:
        models = MODELS.format(studio=studio.base_url, router=router.base_url)
        async with world_with(folder, models) as world:
            yield world, studio, router


async def test_two_servers_of_different_dialects_make_clips_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with two_servers(tmp_path, monkeypatch, usage={"cost": 0.3125}) as (world, studio, router):
        await world.create(prompt="A fox", model="studio/wan")
        await world.create(prompt="A hare", model="router/veo")
        await world.settled()

        hare, fox = await world.jobs()
        assert (fox.stage, hare.stage) == (Stage.DONE, Stage.DONE)
        for job in (fox, hare):
            assert job.clip is not None
            assert job.clip.read_bytes() == MP4
        assert len([message for message in world.answers() if message.attachments]) == 2
        # The router told what its clip cost, the studio did not.
        assert (fox.settled_micros, hare.settled_micros) == (400_000, 312_500)
        assert await world.sums() == (712_500, 0)

        [ordered] = studio.orders
        assert ordered["seconds"][2] == b"4"
        assert router.orders == [{"model": "google/veo-3.1", "prompt": "A hare", "duration": 8}]
        assert {key for _, _, key in studio.seen} == {f"Bearer {STUDIO_KEY}"}
        assert {key for _, _, key in router.seen} == {f"Bearer {ROUTER_KEY}"}
        assert [path for _, path, _ in router.seen][-1] == "/api/v1/videos/video_1/content"
    assert STUDIO_KEY not in caplog.text
    assert ROUTER_KEY not in caplog.text


async def test_two_keys_of_one_server_are_used_side_by_side_each_for_its_own_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_KEY", STUDIO_KEY)
    monkeypatch.setenv("ROUTER_KEY", ROUTER_KEY)
    async with FakeVideos() as server:
        models = MODELS.format(studio=server.base_url, router=server.base_url)
        async with world_with(tmp_path, models) as world:
            await world.create(prompt="A fox", model="studio/wan")
            await world.settled()
            assert {key for _, _, key in server.seen} == {f"Bearer {STUDIO_KEY}"}
            server.seen.clear()
            await world.create(prompt="A hare", model="router/veo")
            await world.settled()
            assert {key for _, _, key in server.seen} == {f"Bearer {ROUTER_KEY}"}
            assert [job.stage for job in await world.jobs()] == [Stage.DONE] * 2


async def test_a_member_never_pays_more_than_the_quote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_servers(tmp_path, monkeypatch, usage={"cost": "0.75"}) as (world, _, _):
        await world.create(prompt="A hare", model="router/veo")
        await world.settled()
        job = await world.job()
        assert (job.stage, job.settled_micros, job.cost_micros) == (Stage.DONE, 500_000, 750_000)
        assert await world.sums() == (500_000, 0)


async def test_a_clip_that_comes_with_the_answer_is_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inline = {"status": "completed", "data": [{"b64_json": base64.b64encode(MP4).decode()}]}
    async with two_servers(tmp_path, monkeypatch) as (world, studio, router):
        studio.submits.append(saying({"id": "video_at_once", **inline}))
        router.looks.append(saying({"id": "video_1", **inline, "usage": {"cost": 0.2}}))
        await world.create(prompt="A fox", model="studio/wan")
        await world.create(prompt="A hare", model="router/veo")
        await world.settled()

        hare, fox = await world.jobs()
        assert (fox.task_id, fox.stage, hare.stage) == ("video_at_once", Stage.DONE, Stage.DONE)
        assert (fox.settled_micros, hare.settled_micros) == (400_000, 200_000)
        for job in (fox, hare):
            assert job.clip is not None
            assert job.clip.read_bytes() == MP4
        assert [method for method, _, _ in studio.seen] == ["POST"]
        assert [method for method, _, _ in router.seen] == ["POST", "GET"]


async def test_a_clip_that_came_with_an_answer_and_was_lost_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inline = {"status": "completed", "data": [{"b64_json": base64.b64encode(MP4).decode()}]}
    async with two_servers(tmp_path, monkeypatch) as (world, studio, _):
        studio.renders = False
        await world.create(prompt="A fox", model="studio/wan")
        job = await world.reached(Stage.RENDERING)
        # What a power cut leaves whose disk had not written the file's name yet.
        await world.store.rendered(job.job_id, [], now=world.time.now())
        studio.told, studio.renders = inline, True
        await world.restart()
        await world.settled()
        job = await world.job()
        assert (job.stage, job.settled_micros) == (Stage.DONE, 400_000)
        assert job.clip is not None
        assert job.clip.read_bytes() == MP4


@pytest.mark.parametrize("is_signed", [True, False])
async def test_nobody_is_given_a_link_that_only_the_bot_can_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_signed: bool
) -> None:
    signed = "https://cdn.example/1.mp4?sig=1"
    told = {"urls": [signed]} if is_signed else {}
    async with two_servers(tmp_path, monkeypatch, **told) as (world, _, router):
        router.told["unsigned_urls"] = [f"{router.base_url}/videos/video_1/content?index=0"]
        await world.create(prompt="A hare", model="router/veo")
        await world.reached(Stage.RENDERING)
        deny(world, "attach_files")
        await world.settled()
        (message,) = world.answers()
        assert router.host not in message.content
        assert (f"<{signed}>" in message.content) is is_signed
        assert ("the gateway gave no link that could be shown" in message.content) is not is_signed


async def test_a_server_that_answers_in_another_shape_leaves_the_job_uncertain_and_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with two_servers(tmp_path, monkeypatch) as (world, studio, _):
        studio.submits.append(saying({"video": "on its way"}))
        await world.create(prompt="A fox", model="studio/wan")
        await world.reached(Stage.UNCERTAIN)
        await world.settled()
        job = await world.job()
        assert job.stage is Stage.UNCERTAIN
        assert job.failure is not None
        assert job.failure.kind is FailureKind.SUBMIT_LOST
        assert job.failure.detail == 'bad answer: HTTP 200: {"video": "on its way"}'
        assert len(studio.orders) == len(studio.seen) == 1
        assert await world.sums() == (0, 400_000)
    assert caplog.text.count("another shape") == 1


async def test_a_clip_that_is_not_ready_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_servers(tmp_path, monkeypatch) as (world, studio, _):
        for status in (404, 409, 425, 400, 502, 403, 401):
            studio.downloads.append(saying({"detail": "not completed yet"}, status))
        await world.create(prompt="A fox", model="studio/wan")
        await world.settled()
        assert (await world.job()).stage is Stage.DONE


async def test_a_task_that_has_no_clip_within_the_hour_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_servers(tmp_path, monkeypatch) as (world, studio, _):
        studio.downloads.extend([saying({"detail": "Video not found"}, 404)] * 50)
        await world.create(prompt="A fox", model="studio/wan")
        await world.settled()
        job = await world.job()
        assert job.stage is Stage.FAILED
        assert job.failure is not None
        assert job.failure.kind is FailureKind.CLIP_LOST
        assert 3600 <= (world.time.now() - world.started).total_seconds() < 2 * 3600
        # The bot says so, and not the gateway.
        assert "What is known: `the link answers HTTP 404`" in await world.card()
        assert await world.sums() == (0, 0)


async def test_a_clip_within_an_answer_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    job = await queued(tmp_path)
    async with ClipFetcher(trusted_hosts=()) as fetcher:
        room = ClipRoom(tmp_path / "clips", fetcher=fetcher, gateways={})
        with largest_file(20_000), pytest.raises(StorageTrouble) as found:
            await room.keep(job, MP4)
        assert found.value.trouble is Trouble.DISK_FULL
        assert list((tmp_path / "clips").iterdir()) == []

        await room.keep(job, MP4)

        assert (await room.fetch(job, ())).read_bytes() == MP4
        assert len(list((tmp_path / "clips").iterdir())) == 1


async def queued(folder: Path) -> Job:
    async with open_books(folder) as books:
        return await books.place()


# Where the key goes while a clip is fetched


def owned(http: GatewayHttp, server: HostileServer, key: str = STUDIO_KEY) -> VideosGateway:
    return VideosGateway(
        http, name="studio", base_url=f"{server.origin}/v1", key=key, dialect=DIALECTS["newapi"]
    )


def keys(server: HostileServer) -> list[tuple[str, str | None]]:
    return [(seen.target, seen.headers.get("authorization")) for seen in server.requests]


def going(to: str) -> Answer:
    return answer(302, b"", {"Location": to})


async def test_the_key_is_dropped_where_a_redirect_leaves_the_server_and_kept_within_it(
    tmp_path: Path,
) -> None:
    bearer = f"Bearer {STUDIO_KEY}"
    async with GatewayHttp() as http, serving(answer(200, MP4)) as elsewhere, serving(answer()) as server:

        def script(seen: Seen) -> Answer:
            match seen.path:
                case "/v1/videos/1/content":
                    return going("/v1/videos/1/content/2")
                case "/v1/videos/1/content/2":
                    return going("/files/1")
                case _:
                    return going(f"{elsewhere.origin}/v1/signed.mp4?sig=1")

        server.script = script
        hosts = [f"127.0.0.1:{one.port}" for one in (server, elsewhere)]
        async with ClipFetcher(trusted_hosts=hosts) as fetcher:
            own = owned(http, server)
            url = f"{server.origin}/v1/videos/1/content"
            await fetcher.fetch([url], tmp_path / "clip.mp4", headers_for=own.headers_for)
        assert (tmp_path / "clip.mp4").read_bytes() == MP4
        assert keys(server) == [
            ("/v1/videos/1/content", bearer),
            ("/v1/videos/1/content/2", bearer),
            ("/files/1", None),
        ]
        assert keys(elsewhere) == [("/v1/signed.mp4?sig=1", None)]


async def test_links_to_other_places_are_fetched_without_the_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        GatewayHttp() as http,
        serving(answer(200, MP4)) as cdn,
        serving(answer(403, {"error": STUDIO_KEY})) as server,
    ):
        hosts = [f"127.0.0.1:{one.port}" for one in (server, cdn)]
        async with ClipFetcher(trusted_hosts=hosts) as fetcher:
            own = owned(http, server)
            content = f"{server.origin}/v1/videos/1/content"
            with pytest.raises(FetchError) as failed:
                await fetcher.fetch([content], tmp_path / "clip.mp4", headers_for=own.headers_for)
            assert not failed.value.lasting
            await fetcher.fetch(
                [content, f"{cdn.origin}/v1/videos/1/content"],
                tmp_path / "clip.mp4",
                headers_for=own.headers_for,
            )
        assert {key for _, key in keys(server)} == {f"Bearer {STUDIO_KEY}"}
        assert keys(cdn) == [("/v1/videos/1/content", None)]
    assert STUDIO_KEY not in caplog.text
    assert STUDIO_KEY not in str(failed.value)
