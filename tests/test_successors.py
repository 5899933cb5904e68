"""Sora's successors on APIXO and Pixazo: every request that their pages allow, and none that they do not.

The pages are typed in here. APIXO's: https://apixo.ai/docs/models/video/ and the model's name. Pixazo's:
https://www.pixazo.ai/models/ and the family's name. Where a page leaves something open, it is not ordered.
"""

import dataclasses
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bot import wording
from bot.catalogue import Model
from bot.catalogue_tables import load_catalogue
from bot.errors import BadOrder
from bot.gateways.apixo import ApixoGateway
from bot.gateways.base import Accepted
from bot.gateways.http import GatewayHttp
from bot.gateways.pixazo import PixazoGateway
from bot.models import Account, Mode, Quality, Shape, VideoRequest
from tests.gateway_server import answer, serving

MODELS = load_catalogue().models
PICTURE = "https://cdn.example.com/reference.jpg?ex=1&hm=2"
END = "https://cdn.example.com/last.png?ex=1&hm=2"
KEY = "a-key-8c1f4e"

WIDE = {"landscape": "16:9"}
TWO = WIDE | {"portrait": "9:16"}
THREE = TWO | {"square": "1:1"}
FIVE = THREE | {"4:3": "4:3", "3:4": "3:4"}
SIX = FIVE | {"21:9": "21:9"}
LYING = ("landscape", "portrait", "square")  # as a picture does where the page has no ratio beside one


@dataclasses.dataclass(frozen=True)
class Order:
    """What a member chose, and the pictures' links."""

    is_text: bool
    seconds: int
    shape: str
    quality: str | None
    sound: bool | None
    picture: str | None = None
    end: str | None = None

    @property
    def pictures(self) -> list[str]:
        return [link for link in (self.picture, self.end) if link is not None]

    def beside(self, **fields: object) -> dict[str, object]:
        """What is sent beside a picture only."""
        return {} if self.is_text else fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """What a page allows. `where` is APIXO's id, or Pixazo's path of each mode; `body` what is sent."""

    where: str | tuple[str, ...]
    seconds: tuple[int, ...]
    usual: int
    shapes: tuple[str, ...]
    picture_shapes: tuple[str, ...] | None  # None: no clips from a picture
    qualities: tuple[str, ...] = ()
    usual_quality: str | None = None
    sound: bool | None = None  # what it is where nobody said; None: no choice
    prompt: int
    options: frozenset[str] = frozenset()
    styles: tuple[str, ...] = ()
    body: Callable[[Order], Mapping[str, object]]


def _items(order: Order) -> list[dict[str, object]]:
    return [
        {"type": "text", "text": "a fox"},
        *({"type": "image_url", "image_url": {"url": link}} for link in order.pictures),
    ]


def _veo(mode: str) -> Page:
    return Page(
        where="veo-3-1",
        seconds=(8,),
        usual=8,
        shapes=("landscape", "portrait"),
        picture_shapes=("landscape", "portrait"),
        prompt=10_000,
        options=frozenset({"seed", "end_frame"}),
        body=lambda order: {
            "mode": mode,
            "prompt": "a fox",
            "generationType": "TEXT_2_VIDEO" if order.is_text else "FIRST_AND_LAST_FRAMES_2_VIDEO",
            "aspect_ratio": TWO[order.shape],
            **order.beside(image_urls=order.pictures),
        },
    )


WAN_SIZES = {
    ("landscape", "720p"): "1280*720",
    ("portrait", "720p"): "720*1280",
    ("square", "720p"): "960*960",
    ("4:3", "720p"): "1088*832",
    ("3:4", "720p"): "832*1088",
    ("landscape", "1080p"): "1920*1080",
    ("portrait", "1080p"): "1080*1920",
    ("square", "1080p"): "1440*1440",
    ("4:3", "1080p"): "1632*1248",
    ("3:4", "1080p"): "1248*1632",
}

PAGES = {
    "apixo/seedance-2-0-fast": Page(
        where="seedance-2-0-fast",
        seconds=tuple(range(4, 16)),
        usual=5,
        shapes=tuple(SIX),
        picture_shapes=tuple(SIX),
        qualities=("480p", "720p"),
        usual_quality="720p",
        sound=True,
        prompt=2_500,
        options=frozenset({"sound", "end_frame"}),
        body=lambda order: {
            "mode": "text-to-video" if order.is_text else "first_and_last_frames",
            "prompt": "a fox",
            "duration": order.seconds,
            "aspect_ratio": SIX[order.shape],
            "resolution": order.quality,
            "sound": order.sound,
            **order.beside(image_urls=order.pictures),
        },
    ),
    "apixo/kling-3-0-turbo": Page(
        where="kling-3-0-turbo",
        seconds=tuple(range(3, 16)),
        usual=3,
        shapes=tuple(THREE),
        picture_shapes=LYING,
        qualities=("720p", "1080p"),
        usual_quality="720p",
        prompt=2_500,
        body=lambda order: {
            "mode": "text-to-video" if order.is_text else "image-to-video",
            "prompt": "a fox",
            "duration": order.seconds,
            "resolution": order.quality,
            **({"aspect_ratio": THREE[order.shape]} if order.is_text else {"image_urls": [PICTURE]}),
        },
    ),
    "apixo/wan-2-6-video": Page(
        where="wan-2-6-video",
        seconds=tuple(range(2, 16)),
        usual=5,
        shapes=tuple(FIVE),
        picture_shapes=tuple(FIVE),
        qualities=("720p", "1080p"),
        usual_quality="720p",
        prompt=1_500,
        options=frozenset({"negative_prompt"}),
        body=lambda order: {
            "prompt": "a fox",
            "duration": order.seconds,
            **(
                {"mode": "text-to-video", "size": WAN_SIZES[order.shape, str(order.quality)]}
                if order.is_text
                else {"mode": "image-to-video", "resolution": order.quality, "image_urls": [PICTURE]}
            ),
        },
    ),
    "apixo/veo-3-1-fast": _veo("fast"),
    "apixo/veo-3-1-quality": _veo("quality"),
    "pixazo/ltx-free": Page(
        where=("/ltx-video/v1/text-to-video", "/ltx-video/v1/image-to-video"),
        seconds=tuple(range(1, 21)),  # 500 frames at most, 24 a second
        usual=5,
        shapes=("landscape", "portrait", "square", "4:3"),
        picture_shapes=("landscape", "portrait", "square", "4:3"),
        prompt=2_500,
        options=frozenset({"seed"}),
        body=lambda order: {
            "prompt": "a fox",
            "aspect": FIVE[order.shape],
            "num_frames": {5: 121, 20: 481}.get(order.seconds, 24 * order.seconds + 1),
            "frame_rate": 24,
            **order.beside(image_url=PICTURE),
        },
    ),
    "pixazo/p-video": Page(
        where=("/p-video/v1/p-video/generate", "/p-video/v1/p-video/generate"),
        seconds=tuple(range(1, 11)),
        usual=5,
        shapes=tuple(WIDE),
        picture_shapes=LYING,
        qualities=("720p", "1080p"),
        usual_quality="720p",
        sound=True,
        prompt=2_500,
        options=frozenset({"sound", "seed"}),
        body=lambda order: {
            "prompt": "a fox",
            "duration": order.seconds,
            "resolution": order.quality,
            "save_audio": order.sound,
            "disable_safety_filter": False,
            **({"aspect_ratio": "16:9"} if order.is_text else {"image": PICTURE}),
        },
    ),
    "pixazo/pixverse-v6": Page(
        where=(
            "/pixverse-v6-text-to-video/v1/pixverse-v6-text-to-video-request",
            "/pixverse-v6-image-to-video/v1/pixverse-v6-image-to-video-request",
        ),
        seconds=(5,),
        usual=5,
        shapes=tuple(WIDE),
        picture_shapes=LYING,
        qualities=("360p", "540p", "720p", "1080p"),
        usual_quality="720p",
        sound=False,
        prompt=2_500,
        options=frozenset({"sound", "negative_prompt", "style"}),
        styles=("cyberpunk",),
        body=lambda order: {
            "prompt": "a fox",
            "duration": 5,
            "resolution": order.quality,
            "generate_audio_switch": order.sound,
            **({"aspect_ratio": "16:9"} if order.is_text else {"image_url": PICTURE}),
        },
    ),
    "pixazo/grok-imagine": Page(
        where=(
            "/grok-imagine-video-1-5/v1/text-to-video",
            "/grok-imagine-video-1-5/v1/image-to-video",
        ),
        seconds=tuple(range(3, 11)),
        usual=3,
        shapes=tuple(WIDE),
        picture_shapes=tuple(WIDE),
        qualities=("480p", "720p"),
        usual_quality="720p",
        prompt=2_500,
        body=lambda order: {
            "prompt": "a fox",
            "duration": order.seconds,
            "resolution": order.quality,
            "aspect_ratio": "16:9",
            **({} if order.is_text else {"image_url": PICTURE}),
        },
    ),
    "pixazo/veo-3-1-fast": Page(
        where=("/veo31f/v1/veo-3.1-fast/generate", "/veo31f/v1/veo-3.1-fast/generate"),
        seconds=(6, 8),
        usual=6,
        shapes=tuple(TWO),
        picture_shapes=tuple(TWO),
        qualities=("720p",),
        usual_quality="720p",
        sound=False,
        prompt=2_500,
        options=frozenset({"sound", "negative_prompt", "seed", "end_frame"}),
        body=lambda order: {
            "prompt": "a fox",
            "duration": order.seconds,
            "aspect_ratio": TWO[order.shape],
            "resolution": "720p",
            "generate_audio": order.sound,
            **order.beside(image=PICTURE),
            **({"last_frame": order.end} if order.end else {}),
        },
    ),
    "pixazo/kling-3-0": Page(
        where=("/kling-3-0-text-to-video-standard/v1/kling-3-0-text-to-video-standard-request",),
        seconds=tuple(range(3, 16)),
        usual=5,
        shapes=tuple(THREE),
        picture_shapes=None,  # the page wants a picture to end with, too
        sound=False,
        prompt=2_500,
        options=frozenset({"sound", "negative_prompt"}),
        body=lambda order: {
            "prompt": "a fox",
            "duration": str(order.seconds),
            "aspect_ratio": THREE[order.shape],
            "generate_audio": order.sound,
        },
    ),
    "pixazo/seedance-2-0": Page(
        where=("/seedance-2-0/v1/text-to-video", "/seedance-2-0/v1/first-last-frame-to-video"),
        seconds=tuple(range(4, 16)),
        usual=5,
        shapes=tuple(SIX),
        picture_shapes=tuple(SIX),
        qualities=("480p", "720p"),
        usual_quality="720p",
        sound=True,
        prompt=2_500,
        options=frozenset({"sound", "end_frame"}),
        body=lambda order: {
            "content": _items(order),
            "duration": order.seconds,
            "ratio": SIX[order.shape],
            "resolution": order.quality,
            "generate_audio": order.sound,
            "watermark": False,
        },
    ),
    "pixazo/wan-2-6": Page(
        where=(
            "/wan-2-6-text-to-video-569/v1/wan-2-6-text-to-video-request",
            "/wan-2-6-image-to-video-477/v1/wan-2-6-image-to-video-request",
        ),
        seconds=(5, 10),
        usual=5,
        shapes=tuple(FIVE),
        picture_shapes=tuple(FIVE),
        qualities=("720p", "1080p"),
        usual_quality="720p",
        prompt=1_500,
        body=lambda order: {
            "prompt": "a fox",
            "duration": {5: "5", 10: "10"}[order.seconds],
            "aspect_ratio": FIVE[order.shape],
            "resolution": order.quality,
            "enable_safety_checker": True,
            **order.beside(image_url=PICTURE),
        },
    ),
    "pixazo/hailuo-2-3": Page(
        where=("/minimax-hailuo-ai/v1/generate", "/minimax-hailuo-ai/v1/imageToVideo"),
        seconds=(6, 10),
        usual=6,
        shapes=tuple(WIDE),
        picture_shapes=LYING,
        qualities=("768p",),
        usual_quality="768p",
        prompt=2_000,
        body=lambda order: {
            "prompt": "a fox",
            "duration": order.seconds,
            "resolution": "768P",
            **order.beside(first_frame_image=PICTURE),
        },
    ),
    "pixazo/runway-gen-4-5": Page(
        where=("/runway-gen-4-5/v1/gen-4.5/text-to-video", "/runway-gen-4-5/v1/gen-4.5/image-to-video"),
        seconds=(5, 10),
        usual=5,
        shapes=tuple(SIX),
        picture_shapes=tuple(SIX),
        prompt=2_500,
        options=frozenset({"seed"}),
        body=lambda order: {
            "prompt": "a fox",
            "duration": order.seconds,
            "aspect_ratio": SIX[order.shape],
            **order.beside(image=PICTURE),
        },
    ),
}

# What each option is called in the request, with a value that is taken and one that is not.
NAMED: dict[str, tuple[str, Any, Any]] = {
    "negative_prompt": ("negative_prompt", "blur", "x" * 501),
    "seed": ("seed", 42, -1),
    "style": ("style", "cyberpunk", "baroque"),
}

by_page = pytest.mark.parametrize(("name", "page"), PAGES.items(), ids=list(PAGES))


def modes(page: Page) -> tuple[Mode, ...]:
    return (Mode.TEXT,) if page.picture_shapes is None else (Mode.TEXT, Mode.IMAGE)


def allowed(page: Page, mode: Mode) -> Iterator[Order]:
    """Everything that the page lets one order, but for what is typed."""
    shapes = page.shapes if mode is Mode.TEXT else page.picture_shapes or ()
    for seconds, shape, quality, sound, end in itertools.product(
        page.seconds,
        shapes,
        page.qualities or (None,),
        (None,) if page.sound is None else (True, False),
        (None, END) if mode is Mode.IMAGE and "end_frame" in page.options else (None,),
    ):
        is_text = mode is Mode.TEXT
        yield Order(is_text, seconds, shape, quality, sound, None if is_text else PICTURE, end)


def asked(model: Model, order: Order, **options: Any) -> VideoRequest:
    """Order it as a member does."""
    return model.request(
        mode=Mode.TEXT if order.is_text else Mode.IMAGE,
        prompt="a fox",
        seconds=order.seconds,
        shape=Shape(order.shape),
        quality=Quality(order.quality) if order.quality else None,
        sound=order.sound,
        **options,
    )


# What may be ordered


def test_these_are_the_successors() -> None:
    """Those of the sandbox and Sora itself have tests of their own."""
    assert [
        name for name, model in MODELS.items() if model.account is Account.REAL and "sora" not in name
    ] == (list(PAGES))


@by_page
def test_everything_the_page_allows_is_sent_in_its_words(name: str, page: Page) -> None:
    model = MODELS[name]
    assert tuple(model.modes) == modes(page)
    for mode in modes(page):
        for order in allowed(page, mode):
            sent = wording.fields(model, asked(model, order), order.picture, order.end)
            assert sent == page.body(order), order


@by_page
def test_what_nobody_chose_is_the_pages_usual(name: str, page: Page) -> None:
    for mode in modes(page):
        request = MODELS[name].request(mode=mode, prompt="a fox")
        assert (request.seconds, request.quality) == (page.usual, page.usual_quality)
        assert (request.sound, request.shape) == (page.sound, Shape.LANDSCAPE)
        assert (request.negative_prompt, request.seed, request.style) == (None, None, None)


@by_page
def test_an_option_the_page_has_is_sent_and_any_other_is_refused(name: str, page: Page) -> None:
    model = MODELS[name]
    order = next(allowed(page, Mode.TEXT))
    plain = wording.fields(model, asked(model, order), None)
    for option, (field, good, bad) in NAMED.items():
        assert model.has_option(option) == (option in page.options)
        if option in page.options:
            told = wording.fields(model, asked(model, order, **{option: good}), None)
            assert told == {**plain, field: good}
            with pytest.raises(BadOrder, match=name):
                asked(model, order, **{option: bad})
        else:
            with pytest.raises(BadOrder, match=rf"{name} has no option `{option}`"):
                asked(model, order, **{option: good})
    for option in ("sound", "end_frame", "keep_watermark"):
        assert model.has_option(option) == (option in page.options)


# What may not


@by_page
def test_what_the_page_does_not_allow_is_refused_with_what_it_does(name: str, page: Page) -> None:
    model = MODELS[name]
    for mode in modes(page):
        shapes = page.shapes if mode is Mode.TEXT else page.picture_shapes or ()
        bad: list[dict[str, Any]] = [
            *({"seconds": seconds} for seconds in range(-1, 61) if seconds not in page.seconds),
            *({"shape": shape} for shape in Shape if shape not in shapes),
            *({"quality": quality} for quality in Quality if quality not in page.qualities),
            *([{"sound": True}, {"sound": False}] if page.sound is None else []),
            {"keep_watermark": True},
            {"prompt": ""},
            {"prompt": "x" * (page.prompt + 1)},
        ]
        for wish in bad:
            with pytest.raises(BadOrder, match=name):
                model.request(**{"mode": mode, "prompt": "a fox"} | wish)
        assert model.request(mode=mode, prompt="x" * page.prompt)
    if page.picture_shapes is None:
        with pytest.raises(BadOrder, match=r"makes text-to-video only\. Leave the picture out"):
            model.request(mode=Mode.IMAGE, prompt="a fox")


# On the wire


@pytest.fixture
async def http() -> AsyncIterator[GatewayHttp]:
    async with GatewayHttp(submit_seconds=5, check_seconds=5) as opened:
        yield opened


def exact(body: object) -> str:
    """Write a body so that true is not 1."""
    return json.dumps(body, sort_keys=True)


@by_page
async def test_the_request_arrives_at_its_route_as_the_page_has_it(
    http: GatewayHttp, name: str, page: Page
) -> None:
    model = MODELS[name]
    is_apixo = model.gateway == "apixo"
    accepted = (
        {"code": 200, "message": "success", "data": {"taskId": "task"}}
        if is_apixo
        else ({"request_id": "task", "status": "QUEUED"})
    )
    async with serving(answer(200, accepted)) as server:
        gateway = (
            ApixoGateway(http, name="apixo", base_url=f"{server.origin}/api/v1", key=KEY, route="auto")
            if is_apixo
            else PixazoGateway(http, name="pixazo", base_url=server.origin, key=KEY)
        )
        orders = [list(allowed(page, mode))[-1] for mode in modes(page)]
        for order in orders:
            outcome = await gateway.submit(model, asked(model, order), order.picture, end=order.end)
            assert outcome == Accepted(task_id="task")

    assert [seen.method for seen in server.requests] == ["POST"] * len(orders)
    for seen, order, path in zip(
        server.requests,
        orders,
        page.where if isinstance(page.where, tuple) else [f"/api/v1/generateTask/{page.where}"] * 2,
        strict=False,
    ):
        assert seen.target == path
        assert seen.headers["content-type"] == "application/json"
        if is_apixo:
            assert seen.headers["authorization"] == f"Bearer {KEY}"
            assert exact(seen.json) == exact({"request_type": "async", "input": page.body(order)})
        else:
            assert seen.headers["ocp-apim-subscription-key"] == KEY
            assert exact(seen.json) == exact(page.body(order))


# A further model, by MODELS_FILE alone

VIDU = """
[models."apixo/vidu-q3"]
title = "Vidu Q3"
remote_id = "vidu-q3"
status = "available"
noted_on = 2026-11-21
source = "APIXO Docs, Vidu Q3: https://apixo.ai/docs/models/video/vidu-q3"
seconds = [4, 8]
prompt_limit = 5_000

[models."apixo/vidu-q3".request]
length = { field = "duration" }
picture = { field = "image_urls", form = "list" }
send = { bgm = false }

[models."apixo/vidu-q3".modes.text-to-video]
send = { mode = "text-to-video" }
ratio = { field = "aspect_ratio", words = { landscape = "16:9", portrait = "9:16" } }
resolution = { field = "resolution", words = { 540p = "540p", 1080p = "1080p" } }

[models."apixo/vidu-q3".modes.image-to-video]
send = { mode = "image-to-video" }
resolution = { field = "resolution", words = { 540p = "540p", 1080p = "1080p" } }

[models."apixo/vidu-q3".options]
sound = { field = "sound" }
seed = { field = "seed", least = -1 }
end_frame = {}

[models."apixo/vidu-q3".price]
unit = "second"
rows = [ { sound = false, usd = "0.05" }, { sound = true, usd = "0.07" } ]
"""


def test_a_further_model_of_a_known_shape_touches_no_python(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(VIDU, "utf-8")
    vidu = load_catalogue(path).models["apixo/vidu-q3"]

    text = vidu.request(mode=Mode.TEXT, prompt="a fox", seconds=8, sound=True, seed=-1)
    image = vidu.request(mode=Mode.IMAGE, prompt="a fox", quality=Quality.P1080)

    assert wording.fields(vidu, text, None) == {
        "mode": "text-to-video",
        "prompt": "a fox",
        "duration": 8,
        "aspect_ratio": "16:9",
        "resolution": "540p",
        "sound": True,
        "bgm": False,
        "seed": -1,
    }
    assert wording.fields(vidu, image, PICTURE, END) == {
        "mode": "image-to-video",
        "prompt": "a fox",
        "duration": 4,
        "resolution": "1080p",
        "sound": False,
        "bgm": False,
        "image_urls": [PICTURE, END],
    }
    assert (vidu.quote(text).micros, vidu.quote(image).micros) == (560_000, 200_000)
