"""What the sandbox takes of APIXO's and Pixazo's newer models, beside what the bot sends."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from bot import wording
from bot.catalogue import Model
from bot.catalogue_tables import load_catalogue
from bot.models import Mode, Quality, Shape, VideoRequest
from bot.sandbox import apixo_orders, apixo_successors, pixazo_successors
from bot.sandbox.body import BadBody, check, read_body
from bot.sandbox.orders import Order, order_of
from bot.sandbox.sizes import dimensions
from bot.sandbox.videos_dialects import DIALECTS
from tests.test_sandbox import Client
from tests.test_sandbox_videos import opened

LINK, END = "https://cdn.example/first.png", "https://cdn.example/last.png"


def apixo(model: str, fields: dict[str, Any]) -> Order:
    return apixo_orders.read_order(model, json.dumps({"request_type": "async", "input": fields}).encode())


def pixazo(path: str, fields: dict[str, Any]) -> Order:
    way = pixazo_successors.ROUTES[path]
    asked = read_body(way.table, json.dumps(fields).encode())
    return order_of(f"pixazo/{way.api_id}", asked.model_dump(exclude_none=True))


def send(model: Model, request: VideoRequest, *, with_end: bool) -> Order:
    """Order as the bot would."""
    picture = LINK if request.mode is Mode.IMAGE else None
    end = END if picture and with_end and model.options.end_frame is not None else None
    fields = wording.fields(model, request, picture, end)
    if CATALOGUE.gateways[model.gateway].kind == "apixo":
        return apixo(model.remote_id, fields)
    return pixazo(model.modes[request.mode].path or "", fields)


CATALOGUE = load_catalogue()
SUCCESSORS = [
    model
    for model in CATALOGUE.models.values()
    if CATALOGUE.gateways[model.gateway].kind != "videos" and not model.remote_id.startswith("sora")
]
SPOKEN = {dialect.name: dialect for dialect in DIALECTS}


def options_of(model: Model) -> dict[str, Any]:
    has = model.options
    return {
        "negative_prompt": "rain" if has.negative_prompt else None,
        "seed": 7 if has.seed else None,
        "style": has.style.words[0] if has.style else None,
    }


@pytest.mark.parametrize("model", SUCCESSORS, ids=lambda model: model.model_id)
def test_the_sandbox_takes_every_order_of_a_successor_and_understands_it(model: Model) -> None:
    for order in model.orders():
        more = options_of(model)
        request = model.request(
            **{name: value for name, value in order.choices.items() if name not in more},
            **more,
            mode=order.mode,
            prompt="a fox",
        )
        for with_end in (False, True):
            taken = send(model, request, with_end=with_end)

            read = taken.request
            assert (read.prompt, read.mode, read.seconds) == ("a fox", request.mode, request.seconds)
            assert (read.negative_prompt, read.seed, read.style) == tuple(more.values())
            assert read.sound == request.sound or request.sound is None
            assert taken.pictures == (
                ()
                if request.mode is Mode.TEXT
                else (LINK, END)[: 1 + (with_end and model.options.end_frame is not None)]
            )
            assert taken.shape_by_picture or shape_of(taken.size) == request.shape, (request, taken.size)


@pytest.mark.parametrize("name", ["sandbox/wan", "sandbox/wan-rented", "sandbox/openrouter"])
def test_the_sandbox_takes_every_order_of_its_own_servers(name: str) -> None:
    model = CATALOGUE.models[name]
    dialect = SPOKEN[CATALOGUE.gateways[model.gateway].dialect or ""]
    assert model.remote_id in dialect.models
    for request in model.orders(Mode.TEXT):
        fields = wording.fields(model, dataclasses.replace(request, prompt="a fox", seed=7), None)
        if dialect.as_json is not None:
            asked = check(dialect.as_json, fields)
        else:
            assert dialect.as_form is not None
            asked = check(dialect.as_form, {key: str(value) for key, value in fields.items()}, of_text=True)
        taken = order_of("sandbox/any", asked.model_dump(exclude_none=True))

        assert (taken.request.seconds, taken.request.seed) == (request.seconds, 7)
        assert taken.size is not None
        assert (taken.size[0] < taken.size[1]) == (request.shape is Shape.PORTRAIT)


def shape_of(size: tuple[int, int] | None) -> Shape:
    """Name the shape that comes nearest to a size."""
    assert size is not None
    return min(Shape, key=lambda shape: abs(shape.ratio - size[0] / size[1]))


# What it refuses: a good input, and rows that change it; `...` takes a field away.

SEEDANCE = {
    "mode": "text-to-video",
    "prompt": "a fox",
    "duration": 5,
    "resolution": "720p",
    "aspect_ratio": "16:9",
}
KLING = {
    "mode": "text-to-video",
    "prompt": "a fox",
    "duration": 5,
    "resolution": "720p",
    "aspect_ratio": "16:9",
}
WAN = {"mode": "text-to-video", "prompt": "a fox", "duration": 5, "size": "1280*720"}
VEO = {"mode": "fast", "generationType": "TEXT_2_VIDEO", "prompt": "a fox", "aspect_ratio": "16:9"}

APIXO_REFUSES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("seedance-2-0-fast", SEEDANCE, {"mode": ...}, "input.mode"),
    ("seedance-2-0-fast", SEEDANCE, {"mode": "image-to-video"}, "input.mode"),
    ("seedance-2-0-fast", SEEDANCE, {"mode": 5}, "input.mode"),
    ("seedance-2-0-fast", SEEDANCE, {"prompt": " "}, "input.prompt"),
    *(
        ("seedance-2-0-fast", SEEDANCE, {"duration": wrong}, "input.duration")
        for wrong in (3, 16, "5", 5.0, True)
    ),
    ("seedance-2-0-fast", SEEDANCE, {"resolution": "1080p"}, "input.resolution"),
    ("seedance-2-0-fast", SEEDANCE, {"aspect_ratio": "landscape"}, "input.aspect_ratio"),
    ("seedance-2-0-fast", SEEDANCE, {"sound": "true"}, "input.sound"),
    ("seedance-2-0-fast", SEEDANCE, {"image_urls": [LINK]}, "input.image_urls"),
    ("seedance-2-0-fast", SEEDANCE, {"negative_prompt": "rain"}, "input.negative_prompt"),
    ("seedance-2-0-fast", SEEDANCE, {"mode": "first_and_last_frames"}, "input.image_urls"),
    (
        "seedance-2-0-fast",
        SEEDANCE,
        {"mode": "first_and_last_frames", "image_urls": [LINK] * 3},
        "input.image_urls",
    ),
    ("kling-3-0-turbo", KLING, {"duration": 2}, "input.duration"),
    ("kling-3-0-turbo", KLING, {"resolution": "480p"}, "input.resolution"),
    ("kling-3-0-turbo", KLING, {"sound": True}, "input.sound"),
    ("kling-3-0-turbo", KLING, {"mode": "image-to-video", "image_urls": [LINK]}, "input.aspect_ratio"),
    (
        "kling-3-0-turbo",
        KLING,
        {"mode": "image-to-video", "aspect_ratio": ..., "image_urls": [LINK, END]},
        "input.image_urls",
    ),
    ("wan-2-6-video", WAN, {"duration": 16}, "input.duration"),
    ("wan-2-6-video", WAN, {"size": "1280x720"}, "input.size"),
    ("wan-2-6-video", WAN, {"resolution": "720p"}, "input.resolution"),
    ("wan-2-6-video", WAN, {"prompt": "x" * 1_501}, "input.prompt"),
    ("wan-2-6-video", WAN, {"negative_prompt": "x" * 501}, "input.negative_prompt"),
    ("wan-2-6-video", WAN, {"sound": True}, "input.sound"),
    ("veo-3-1", VEO, {"generationType": ...}, "input.generationType"),
    ("veo-3-1", VEO, {"generationType": "IMAGE"}, "input.generationType"),
    ("veo-3-1", VEO, {"mode": "text-to-video"}, "input.mode"),
    ("veo-3-1", VEO, {"duration": 8}, "input.duration"),
    ("veo-3-1", VEO, {"seed": "7"}, "input.seed"),
    ("veo-3-1", VEO, {"generationType": "FIRST_AND_LAST_FRAMES_2_VIDEO"}, "input.image_urls"),
]

LTX, LTX_IMAGE = "/ltx-video/v1/text-to-video", "/ltx-video/v1/image-to-video"
P_VIDEO = "/p-video/v1/p-video/generate"
PIXVERSE = "/pixverse-v6-text-to-video/v1/pixverse-v6-text-to-video-request"
GROK = "/grok-imagine-video-1-5/v1/text-to-video"
GROK_IMAGE = "/grok-imagine-video-1-5/v1/image-to-video"
VEO_FAST = "/veo31f/v1/veo-3.1-fast/generate"
KLING_3 = "/kling-3-0-text-to-video-standard/v1/kling-3-0-text-to-video-standard-request"
KLING_3_IMAGE = "/kling-3-0-image-to-video-standard/v1/kling-3-0-image-to-video-standard-request"
SEEDANCE_2, SEEDANCE_2_IMAGE = "/seedance-2-0/v1/text-to-video", "/seedance-2-0/v1/first-last-frame-to-video"
WAN_2 = "/wan-2-6-text-to-video-569/v1/wan-2-6-text-to-video-request"
HAILUO, HAILUO_IMAGE = "/minimax-hailuo-ai/v1/generate", "/minimax-hailuo-ai/v1/imageToVideo"
RUNWAY = "/runway-gen-4-5/v1/gen-4.5/text-to-video"

FOX = {"prompt": "a fox"}
TEXT_ITEM = {"type": "text", "text": "a fox"}
IMAGE_ITEM = {"type": "image_url", "image_url": {"url": LINK}}
GROK_GOOD = {**FOX, "duration": 5, "aspect_ratio": "16:9", "resolution": "720p"}
DATA = "data:image/png;base64,aaaa"

PIXAZO_REFUSES: list[tuple[str, dict[str, Any], str]] = [
    (LTX, {}, "prompt"),
    (LTX, {**FOX, "num_frames": 501}, "num_frames"),
    (LTX, {**FOX, "num_frames": "121"}, "num_frames"),
    (LTX, {**FOX, "aspect": "3:4"}, "aspect"),
    (LTX, {**FOX, "aspect_ratio": "16:9"}, "aspect_ratio"),
    (LTX, {**FOX, "duration": 5}, "duration"),
    (LTX, {**FOX, "width": 128}, "width"),
    (LTX, {**FOX, "image_url": LINK}, "image_url"),
    (LTX_IMAGE, FOX, "image_url"),
    (LTX_IMAGE, {**FOX, "image_url": DATA}, "image_url"),
    (P_VIDEO, {**FOX, "duration": 11}, "duration"),
    (P_VIDEO, {**FOX, "duration": "5"}, "duration"),
    (P_VIDEO, {**FOX, "resolution": "720P"}, "resolution"),
    (P_VIDEO, {**FOX, "image_url": LINK}, "image_url"),
    (PIXVERSE, {**FOX, "resolution": "480p"}, "resolution"),
    (PIXVERSE, {**FOX, "generate_audio": True}, "generate_audio"),
    *((GROK, {**GROK_GOOD, "duration": wrong}, "duration") for wrong in (2, 11, "5")),
    *((GROK, {name: value for name, value in GROK_GOOD.items() if name != gone}, gone) for gone in GROK_GOOD),
    (GROK_IMAGE, GROK_GOOD, "image_url"),
    (VEO_FAST, {**FOX, "duration": 7}, "duration"),
    (VEO_FAST, {**FOX, "duration": "8"}, "duration"),
    (VEO_FAST, {**FOX, "last_frame": LINK}, "last_frame"),
    (VEO_FAST, {**FOX, "aspect_ratio": "1:1"}, "aspect_ratio"),
    (KLING_3, FOX, "duration"),
    (KLING_3, {**FOX, "duration": 5}, "duration"),
    (KLING_3, {**FOX, "duration": "16"}, "duration"),
    (
        KLING_3_IMAGE,
        {
            **FOX,
            "duration": "5",
            "start_image_url": LINK,
            "aspect_ratio": "16:9",
            "generate_audio": False,
            "shot_type": "",
        },
        "end_image_url",
    ),
    (SEEDANCE_2, FOX, "content"),
    (SEEDANCE_2, {**FOX, "content": [TEXT_ITEM]}, "prompt"),
    (SEEDANCE_2, {"content": []}, "one text"),
    (SEEDANCE_2, {"content": [TEXT_ITEM, IMAGE_ITEM]}, "images"),
    (SEEDANCE_2, {"content": [TEXT_ITEM], "duration": 3}, "duration"),
    (SEEDANCE_2, {"content": [TEXT_ITEM], "aspect_ratio": "16:9"}, "aspect_ratio"),
    (SEEDANCE_2_IMAGE, {"content": [TEXT_ITEM]}, "images"),
    (SEEDANCE_2_IMAGE, {"content": [TEXT_ITEM, *[IMAGE_ITEM] * 3]}, "images"),
    (SEEDANCE_2_IMAGE, {"content": [TEXT_ITEM, {"type": "image_url", "image_url": LINK}]}, "image_url"),
    (WAN_2, {**FOX, "duration": 5}, "duration"),
    (WAN_2, {**FOX, "duration": "7"}, "duration"),
    (HAILUO, {**FOX, "resolution": "768p"}, "resolution"),
    (HAILUO, {**FOX, "duration": 5}, "duration"),
    (HAILUO, {**FOX, "aspect_ratio": "16:9"}, "aspect_ratio"),
    (HAILUO_IMAGE, {**FOX, "image": LINK}, "first_frame_image"),
    (RUNWAY, {**FOX, "duration": 6}, "duration"),
    (RUNWAY, {**FOX, "resolution": "720p"}, "resolution"),
]


def test_apixo_refuses_what_the_pages_of_successors_do_not_allow() -> None:
    assert {row[0] for row in APIXO_REFUSES} == set(apixo_successors.MODELS)
    for model, good, changes, named in APIXO_REFUSES:
        assert apixo(model, good).request.prompt == "a fox"
        fields = {name: value for name, value in {**good, **changes}.items() if value is not ...}
        with pytest.raises(BadBody) as refused:
            apixo(model, fields)
        assert named in str(refused.value), (model, changes)


def test_pixazo_refuses_what_the_pages_of_successors_do_not_allow() -> None:
    for path, fields, named in PIXAZO_REFUSES:
        with pytest.raises(BadBody) as refused:
            pixazo(path, fields)
        assert named in str(refused.value), (path, fields)


def test_sizes_are_even_and_as_their_names_say() -> None:
    assert dimensions(Shape.LANDSCAPE, Quality.P1080) == (1920, 1080)
    assert dimensions(Shape.THREE_TO_FOUR, Quality.P480) == (480, 640)
    sides = [side for shape in Shape for quality in Quality for side in dimensions(shape, quality)]
    assert not any(side % 2 for side in sides)


async def test_successors_are_served_beside_sora(tmp_path: Path) -> None:
    async with opened(tmp_path) as sandbox:
        client = Client(sandbox.server, sandbox.session)
        task = await client.apixo_ended("kling-3-0-turbo", {"request_type": "async", "input": KLING})
        request = await client.pixazo_ended(GROK_GOOD, GROK)
        status, refusal = await client.pixazo({**FOX, "duration": 5}, LTX)
        failed = await client.apixo_ended("veo-3-1", {"input": {**VEO, "prompt": "fail:moderation"}})

    assert (task["state"], failed["state"]) == ("success", "failed")
    assert (request["status"], request["model_id"]) == ("COMPLETED", "grok-imagine-video-1-5")
    assert request["request_id"].startswith("grok-imagine-video-1-5_")
    assert (status, refusal["error"]) == (400, "Bad Request")
