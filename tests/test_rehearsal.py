"""The whole way from a MODELS_FILE alone: two `/v1/videos` servers of different dialects, and a successor on
each seed gateway's dialect, ordered in a simulated Discord and delivered there.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bot.app import open_app
from bot.config import Settings
from bot.media import is_mp4
from bot.models import Account, Stage
from bot.sandbox.drawing import Clip
from bot.sandbox.playground import open_playground
from bot.sandbox.server import SandboxServer
from tests.test_sandbox import STAND_IN_CLIP, stand_in
from tests.world import SteppedTime, open_world, picture

LONGEST_SECONDS = 60
REAL_SECONDS = 0.03
KEY = "rehearsal-key"

GATEWAYS = """
[gateways.studio]
kind = "videos"
dialect = "sglang"
{studio}

[gateways.rented]
kind = "videos"
dialect = "vllm-omni"
{rented}

[gateways.reseller]
kind = "apixo"
{reseller}

[gateways.queue]
kind = "pixazo"
{queue}
"""
MODELS = """
[models."studio/wan"]
title = "Wan 2.2 at home"
remote_id = "Wan-AI/Wan2.2-TI2V-5B-Diffusers"
status = "available"
noted_on = 2026-11-21
source = "our own machine"
seconds = [1, 2]
prompt_limit = 2_000

[models."studio/wan".modes.text-to-video]
sizes = [ { shape = "landscape", pixels = [320, 192] }, { shape = "portrait", pixels = [192, 320] } ]

[models."studio/wan".modes.image-to-video]
sizes = [ { shape = "landscape", pixels = [320, 192] }, { shape = "portrait", pixels = [192, 320] } ]

[models."studio/wan".price]
unit = "second"
rows = [ { usd = "0.01" } ]

[models."studio/wan".timing]
first_look_seconds = 1
typical_seconds = 1

[models."rented/wan"]
like = "studio/wan"

[models."reseller/kling"]
like = "apixo/kling-3-0-turbo"
price = { unit = "second", rows = [ { usd = "0.05" } ] }
timing = { first_look_seconds = 1, typical_seconds = 1 }

[models."queue/ltx"]
like = "pixazo/ltx-free"
timing = { first_look_seconds = 1, typical_seconds = 1 }
"""
NAMES = ("studio", "rented", "reseller", "queue")
ORDERS = {  # by the seconds of their clips; those from a picture send it as a file and as a link
    "studio/wan": 1,
    "rented/wan": 1,
    "reseller/kling": 3,
    "queue/ltx": 1,
}
FROM_A_PICTURE = ("studio/wan", "reseller/kling")


def models_file(folder: Path, **places: str) -> Path:
    path = folder / "models.toml"
    path.write_text(GATEWAYS.format(**places) + MODELS, "utf-8")
    return path


async def test_four_gateways_of_a_models_file_are_rehearsed_in_the_playground(tmp_path: Path) -> None:
    origins: dict[str, str] = {}
    time = SteppedTime()
    settings = Settings.model_construct(
        data_dir=tmp_path / "data", models_file=models_file(tmp_path, **dict.fromkeys(NAMES, "play = true"))
    )
    async with (
        asyncio.timeout(LONGEST_SECONDS),
        open_app(
            settings,
            clock=time.now,
            sleep=time.sleep,
            ticks=time.ticks,
            picture_origins=origins,
            render_seconds=0,
        ) as app,
        open_playground(app, origins, clock=time.now) as playground,
    ):
        for model, seconds in ORDERS.items():
            image = {"image": ("hills.png", picture())} if model in FROM_A_PICTURE else {}
            told = await playground.you.slash(
                playground.channel, "video create", prompt="A fox", model=model, seconds=seconds, **image
            )
            assert told.response is not None
            assert "is ordered" in told.response.content, told.response.content
        while app.worker.busy_jobs or not app.desk.is_quiet:
            await asyncio.sleep(REAL_SECONDS)  # for ffmpeg, which knows no stepped time
            time.step()
        jobs, _ = await app.jobs.of_member(playground.env.guild.id, playground.you.id, per_page=9)
        said = playground.transcript()
        await time.move_until(app.stop())

    assert {job.request.model: (job.stage, job.account) for job in jobs} == dict.fromkeys(
        ORDERS, (Stage.DONE, Account.SANDBOX)
    ), [job.failure for job in jobs]
    assert all(f"your clip is ready: {model}" in said for model in ORDERS)
    assert all(job.clip is not None and is_mp4(job.clip.read_bytes()) for job in jobs)


async def test_four_gateways_elsewhere_are_ordered_from_with_keys_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips: list[Clip] = []

    async def note(clip: Clip, path: Path) -> None:
        clips.append(clip)
        await stand_in(clip, path)

    time = SteppedTime()
    async with SandboxServer(
        folder=tmp_path / "elsewhere",
        clock=time.now,
        api_key=KEY,
        origins={},
        render=note,
        render_seconds=0,
    ) as elsewhere:
        kinds = {"studio": ("videos", "sglang"), "rented": ("videos", "vllm-omni")}
        places = {
            name: f'base_url = "{elsewhere.base_url(*kinds.get(name, (kind, None)))}"\nkey_env = "THEIR_KEY"'
            for name, kind in zip(NAMES, ("", "", "apixo", "pixazo"), strict=True)
        }
        monkeypatch.setenv("THEIR_KEY", KEY)
        own = {"models_file": models_file(tmp_path, **places), "apixo_api_key": None}
        async with open_world(tmp_path / "data", time=time, **own) as world:
            for model, seconds in ORDERS.items():
                image: dict[str, Any] = {"image": ("hills.png", picture())} if model == "studio/wan" else {}
                told = await world.create(prompt=f"A fox by {model}", model=model, seconds=seconds, **image)
                assert "is ordered" in told, told
            await world.settled()
            jobs = await world.jobs()
            files = [one for message in world.answers() for one in message.attachments]
            delivered = [await one.read() for one in files]

    assert {job.request.model: (job.stage, job.account) for job in jobs} == dict.fromkeys(
        ORDERS, (Stage.DONE, Account.REAL)
    ), [job.failure for job in jobs]
    assert delivered == [STAND_IN_CLIP] * len(ORDERS)
    assert {(clip.prompt, bool(clip.picture)) for clip in clips} == {
        (f"A fox by {model}", model == "studio/wan") for model in ORDERS
    }
