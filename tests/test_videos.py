"""The dialects of `/v1/videos`: what they are sent, and what is made of whatever they answer."""

import base64
import logging
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from bot.catalogue import Catalogue
from bot.catalogue_tables import load_catalogue
from bot.dialects import DIALECTS
from bot.gateways.base import (
    Accepted,
    Failed,
    Finished,
    Lost,
    Missing,
    NoAnswer,
    NotAccepted,
    Refused,
    Running,
)
from bot.gateways.http import MOST_CLIP_REPLY_BYTES, GatewayHttp, json_object
from bot.gateways.videos import VideosGateway
from bot.gateways.videos_answer import Answer as VideosAnswer
from bot.models import FailureKind, Mode, Quality, Shape
from bot.wording import FilePart, SentPicture
from tests.fake_apixo import CLIP
from tests.fake_videos import fields
from tests.gateway_server import Answer, Script, answer, closed_port, serving

KEY = "videos-key-8c1f0e55"
TASK = "video_0a1b2c"
LINK = "https://cdn.example/pictures/1.png?sig=a%2Fb"
DATA_URL = "data:image/png;base64,iVBORw0KGgo="
FILE = FilePart(data=b"\x89PNG\r\n\x1a\n\x00\xff", content_type="image/png", filename="picture.png")
CLIP_LINK = "https://cdn.example/clips/1.mp4"
MP4 = CLIP.read_bytes()

# One model behind each dialect, with as few words as an operator needs.
MODELS = """
[gateways.{dialect}]
kind = "videos"
base_url = "https://{dialect}.example/v1"
dialect = "{dialect}"

[models."{dialect}/model"]
title = "A model"
remote_id = "vendor/model-2"
status = "available"
noted_on = 2026-11-20
source = "A page, https://example.com"
seconds = [4, 8]
prompt_limit = 1000
{options}

[models."{dialect}/model".modes.text-to-video]
{sizes}

[models."{dialect}/model".modes.image-to-video]
{sizes}

[models."{dialect}/model".price]
unit = "second"
rows = [{{ usd = "0.10" }}]
"""
PIXELS = """
sizes = [
  { shape = "landscape", pixels = [1280, 720] },
  { shape = "portrait", pixels = [720, 1280] },
]
"""
WORDS = """
ratio = { field = "aspect_ratio", words = { landscape = "16:9", portrait = "9:16" } }
resolution = { field = "resolution", words = { "720p" = "720p", "1080p" = "1080p" } }
"""
OPTIONS = """
options.seed = { field = "seed" }
options.negative_prompt = { field = "negative_prompt", most = 500 }
options.sound = { field = "generate_sound" }
"""


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    file = tmp_path_factory.mktemp("models") / "models.toml"
    tables = [
        MODELS.format(
            dialect=dialect,
            sizes=WORDS if dialect == "openrouter" else PIXELS,
            options=OPTIONS if dialect == "vllm-omni" else "",
        )
        for dialect in DIALECTS
    ]
    file.write_text("\n".join(tables))
    return load_catalogue(file)


@pytest.fixture
async def http() -> AsyncIterator[GatewayHttp]:
    async with GatewayHttp(submit_seconds=5, check_seconds=5) as opened:
        yield opened


def gateway(
    http: GatewayHttp, origin: str, dialect: str = "newapi", *, key: str = KEY, charged: bool | None = None
) -> VideosGateway:
    return VideosGateway(
        http, name="studio", base_url=f"{origin}/v1", key=key, dialect=DIALECTS[dialect], charged=charged
    )


# What an order is sent as. The tables are those of the dialects' own pages.

PROMPT = "a fox 🦊 runs"
TEXT: dict[str, Any] = {"prompt": PROMPT, "model": "vendor/model-2"}


def part(value: str) -> tuple[str, None, bytes]:
    return ("text/plain", None, value.encode())


PICTURE_PART = ("image/png", "picture.png", FILE.data)

# dialect, mode, the picture, the request's fields: JSON values, or of a form (content type, file, bytes)
ORDERS: list[tuple[str, Mode, SentPicture | None, str, dict[str, Any]]] = [
    ("openai", Mode.TEXT, None, "json", {**TEXT, "seconds": "8", "size": "720x1280"}),
    (
        "openai",
        Mode.IMAGE,
        DATA_URL,
        "json",
        {**TEXT, "seconds": "8", "size": "720x1280", "input_reference": {"image_url": DATA_URL}},
    ),
    ("sglang", Mode.TEXT, None, "json", {**TEXT, "seconds": 8, "size": "720x1280"}),
    (
        "sglang",
        Mode.IMAGE,
        FILE,
        "form",
        {
            "prompt": part(PROMPT),
            "model": part("vendor/model-2"),
            "seconds": part("8"),
            "size": part("720x1280"),
            "input_reference": PICTURE_PART,
        },
    ),
    (
        "vllm-omni",
        Mode.TEXT,
        None,
        "form",
        {
            "prompt": part(PROMPT),
            "model": part("vendor/model-2"),
            "seconds": part("8"),
            "size": part("720x1280"),
            "seed": part("7"),
            "negative_prompt": part('blur, "noise"'),
            "generate_sound": part("true"),
        },
    ),
    (
        "vllm-omni",
        Mode.IMAGE,
        FILE,
        "form",
        {
            "prompt": part(PROMPT),
            "model": part("vendor/model-2"),
            "seconds": part("8"),
            "size": part("720x1280"),
            "seed": part("7"),
            "negative_prompt": part('blur, "noise"'),
            "generate_sound": part("true"),
            "input_reference": PICTURE_PART,
        },
    ),
    ("newapi", Mode.TEXT, None, "json", {**TEXT, "seconds": "8", "size": "720x1280"}),
    ("newapi", Mode.IMAGE, LINK, "json", {**TEXT, "seconds": "8", "size": "720x1280", "image": LINK}),
    (
        "openrouter",
        Mode.TEXT,
        None,
        "json",
        {**TEXT, "duration": 8, "aspect_ratio": "9:16", "resolution": "1080p"},
    ),
    (
        "openrouter",
        Mode.IMAGE,
        LINK,
        "json",
        {
            **TEXT,
            "duration": 8,
            "aspect_ratio": "9:16",
            "resolution": "1080p",
            "frame_images": [{"type": "image_url", "image_url": {"url": LINK}, "frame_type": "first_frame"}],
        },
    ),
]


@pytest.mark.parametrize(
    ("dialect", "mode", "picture", "encoding", "body"), ORDERS, ids=[f"{o[0]}-{o[1]}" for o in ORDERS]
)
async def test_every_dialect_is_sent_what_its_page_says(
    http: GatewayHttp,
    catalogue: Catalogue,
    *,
    dialect: str,
    mode: Mode,
    picture: SentPicture | None,
    encoding: str,
    body: dict[str, Any],
) -> None:
    model = catalogue.models[f"{dialect}/model"]
    has_options = dialect == "vllm-omni"
    order = model.request(
        mode=mode,
        prompt=PROMPT,
        seconds=8,
        shape=Shape.PORTRAIT,
        quality=Quality.P1080 if dialect == "openrouter" else None,
        sound=True if has_options else None,
        negative_prompt='blur, "noise"' if has_options else None,
        seed=7 if has_options else None,
    )

    async with serving(answer(200, {"id": TASK, "status": "queued"})) as server:
        outcome = await gateway(http, server.origin, dialect).submit(model, order, picture)

    assert outcome == Accepted(task_id=TASK)
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/v1/videos")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    kind = "application/json" if encoding == "json" else "multipart/form-data; boundary="
    assert request.headers["content-type"].startswith(kind)
    sent = fields(request.headers["content-type"], request.body)
    assert sent == body
    assert {name: type(value) for name, value in sent.items()} == {
        name: type(value) for name, value in body.items()
    }


async def test_a_server_without_a_key_is_sent_none_and_a_file_makes_any_order_a_form(
    http: GatewayHttp, catalogue: Catalogue
) -> None:
    model = catalogue.models["newapi/model"]
    order = model.request(mode=Mode.IMAGE, prompt="a fox")
    async with serving(answer(200, {"id": TASK})) as server:
        await gateway(http, server.origin, "newapi", key="").submit(model, order, FILE)
    [request] = server.requests
    assert "authorization" not in request.headers
    assert request.headers["content-type"].startswith("multipart/form-data")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_only_openrouter_is_told_where_to_call(
    http: GatewayHttp, catalogue: Catalogue, dialect: str
) -> None:
    model = catalogue.models[f"{dialect}/model"]
    order = model.request(mode=Mode.TEXT, prompt="a fox")
    async with serving(answer(200, {"id": TASK})) as server:
        asked = gateway(http, server.origin, dialect)
        await asked.submit(model, order, None, "https://bot.example/hooks/x")
    [request] = server.requests
    assert asked.calls_back is (b"bot.example" in request.body) is (dialect == "openrouter")


def test_a_callback_names_its_task(http: GatewayHttp) -> None:
    asked = gateway(http, "https://router.example", "openrouter")
    assert asked.named_task(b'{"type":"video.generation.completed","data":{"id":"job-1"}}') == "job-1"
    assert asked.named_task(b'{"id": "job-2", "status": "completed"}') == "job-2"
    assert asked.named_task(b"[]") == asked.named_task(b'{"id": "%s"}' % KEY.encode()) == ""


# What became of an order


async def submitted(
    http: GatewayHttp, catalogue: Catalogue, script: Script, dialect: str = "newapi"
) -> tuple[Any, int]:
    """What a submit came to, and how many requests it took."""
    model = catalogue.models[f"{dialect}/model"]
    order = model.request(mode=Mode.TEXT, prompt="a fox runs over a serene beach")
    async with serving(script) as server:
        return await gateway(http, server.origin, dialect).submit(model, order, None), len(server.requests)


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize(
    "body",
    [
        {"id": TASK, "object": "video", "status": "queued", "progress": 0, "error": None},
        {"id": TASK},
        {"task_id": TASK, "status": "submitted"},
        {"request_id": TASK},
        {"code": 200, "data": {"taskId": TASK}},
        {"id": TASK, "polling_url": "https://evil.example/x", "status": "pending"},
        {"id": TASK, "status": "failed", "error": "no"},  # a look says why
    ],
    ids=["id", "bare id", "task_id", "request_id", "data.taskId", "polling_url", "failed"],
)
async def test_a_yes_with_an_id_is_accepted(
    http: GatewayHttp, catalogue: Catalogue, status: int, body: dict[str, Any]
) -> None:
    assert await submitted(http, catalogue, answer(status, body)) == (Accepted(task_id=TASK), 1)


async def test_the_first_of_several_ids_is_the_task(http: GatewayHttp, catalogue: Catalogue) -> None:
    body = {"request_id": "r", "task_id": "t", "id": TASK, "data": {"taskId": "d"}}
    assert (await submitted(http, catalogue, answer(200, body)))[0] == Accepted(task_id=TASK)


async def test_a_result_that_comes_with_the_yes_is_taken(http: GatewayHttp, catalogue: Catalogue) -> None:
    done = {"id": TASK, "status": "completed", "data": [{"url": CLIP_LINK}], "usage": {"cost": "0.25"}}
    outcome, _ = await submitted(http, catalogue, answer(200, done), "openrouter")
    assert outcome.finished.urls[-1] == CLIP_LINK
    assert outcome.finished.cost_micros == 250_000

    inline = {"id": TASK, "status": "completed", "data": [{"b64_json": base64.b64encode(MP4).decode()}]}
    outcome, _ = await submitted(http, catalogue, answer(200, inline))
    assert outcome.finished == Finished(urls=(), clip=MP4)


REFUSALS: list[tuple[int, Any, FailureKind, str, str]] = [
    (
        400,
        {"error": {"message": "Bad size", "code": "invalid_size"}},
        FailureKind.BAD_REQUEST,
        "Bad size",
        "invalid_size",
    ),
    (400, {"error": "seconds must be 4 or 8"}, FailureKind.BAD_REQUEST, "seconds must be 4 or 8", "400"),
    (400, {"error": {"code": 400, "message": "Bad"}}, FailureKind.BAD_REQUEST, "Bad", "400"),
    (400, {"error": {"error": {"message": "Deep"}}}, FailureKind.BAD_REQUEST, "Deep", "400"),
    (400, {"detail": "Bad seconds"}, FailureKind.BAD_REQUEST, "Bad seconds", "400"),
    (
        422,
        {"detail": [{"loc": ["body", "seconds"], "msg": "Not an int", "type": "int"}]},
        FailureKind.BAD_REQUEST,
        "body.seconds: Not an int",
        "422",
    ),
    (400, {"code": "invalid", "message": "No such size"}, FailureKind.BAD_REQUEST, "No such size", "invalid"),
    (400, {"error": None}, FailureKind.BAD_REQUEST, '{"error": null}', "400"),
    (
        400,
        {"error": {"message": "Your prompt violates our content policy"}},
        FailureKind.PROMPT_REFUSED,
        "Your prompt violates our content policy",
        "400",
    ),
    (401, {"error": {"message": "Bad key", "type": "auth"}}, FailureKind.NO_ACCESS, "Bad key", "401"),
    (402, {"error": {"message": "Pay"}}, FailureKind.NO_BALANCE, "Pay", "402"),
    (
        403,
        {"error": "insufficient_user_quota: insufficient quota"},
        FailureKind.NO_BALANCE,
        "insufficient_user_quota: insufficient quota",
        "403",
    ),
    (
        404,
        {"error": {"message": "The model x does not exist", "code": 404}},
        FailureKind.MODEL_GONE,
        "The model x does not exist",
        "404",
    ),
    (400, {"error": {"message": "model not found"}}, FailureKind.MODEL_GONE, "model not found", "400"),
    (
        410,
        {"error": {"message": "This deployment is gone"}},
        FailureKind.MODEL_GONE,
        "This deployment is gone",
        "410",
    ),
    (
        500,
        {"error": {"message": "sora-2 is temporarily paused"}},
        FailureKind.MODEL_GONE,
        "sora-2 is temporarily paused",
        "500",
    ),
    (200, {"error": {"message": "Bad size"}}, FailureKind.BAD_REQUEST, "Bad size", "400"),
]


@pytest.mark.parametrize(("status", "body", "kind", "words", "code"), REFUSALS)
async def test_a_readable_no_is_refused_with_its_words(
    http: GatewayHttp,
    catalogue: Catalogue,
    *,
    status: int,
    body: Any,
    kind: FailureKind,
    words: str,
    code: str,
) -> None:
    outcome, requests = await submitted(http, catalogue, answer(status, body))
    assert isinstance(outcome, Refused)
    assert (outcome.failure.kind, outcome.failure.detail, outcome.failure.code) == (kind, words, code)
    assert requests == 1


async def test_what_was_provably_not_accepted_may_be_sent_again(
    http: GatewayHttp, catalogue: Catalogue
) -> None:
    busy = answer(429, {"error": {"message": "Slow down"}}, {"Retry-After": "9"})
    outcome, _ = await submitted(http, catalogue, busy)
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure.kind, outcome.after_seconds, outcome.counts) == (
        FailureKind.RATE_LIMITED,
        9.0,
        False,
    )
    down = answer(503, {"detail": "warming up"}, {"Retry-After": "4"})
    outcome, _ = await submitted(http, catalogue, down)
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure.kind, outcome.after_seconds, outcome.counts) == (
        FailureKind.GATEWAY_DOWN,
        4.0,
        True,
    )
    model = catalogue.models["newapi/model"]
    order = model.request(mode=Mode.TEXT, prompt="a fox")
    nobody = gateway(http, f"http://127.0.0.1:{closed_port()}")
    assert isinstance(await nobody.submit(model, order, None), NotAccepted)


UNCERTAIN: list[Answer] = [
    answer(200, {"video": {"id": TASK}}),
    answer(200, {"status": "queued"}),
    answer(200, b"<html>welcome</html>"),
    answer(200, b"[1]"),
    answer(202, b""),
    answer(200, {"error": {"message": "Bad"}, "request_id": "req_1"}),
    answer(500, {"error": {"message": "boom"}}),
    answer(502, b"bad gateway"),
    answer(503, b"<html>maintenance</html>"),
    answer(504, {"error": {"message": "upstream timeout"}}),
    answer(524, b""),
    answer(413, b"<html>too large</html>"),
    answer(302, b"", {"Location": "https://evil.example/v1/videos"}),
    answer(500, {"id": TASK, "status": "queued"}),
    Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{", end="close"),
    Answer(raw=b"", end="reset"),
]


@pytest.mark.parametrize("script", UNCERTAIN)
async def test_anything_else_is_lost_and_never_sent_again(
    http: GatewayHttp, catalogue: Catalogue, script: Answer
) -> None:
    outcome, requests = await submitted(http, catalogue, script)
    assert isinstance(outcome, Lost)
    assert outcome.detail
    assert requests == 1


async def test_a_yes_of_another_shape_is_a_bad_answer_with_an_excerpt_in_the_log(
    http: GatewayHttp, catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    outcome, _ = await submitted(http, catalogue, answer(200, {"video": f"ready {KEY}"}))
    assert outcome == Lost(detail='bad answer: HTTP 200: {"video": "ready [key]"}')
    [line] = [record for record in caplog.records if "another shape" in record.getMessage()]
    assert line.levelno == logging.WARNING
    assert '{"video": "ready [key]"}' in line.getMessage()
    assert KEY not in caplog.text


async def test_a_task_named_like_the_key_is_taken_by_nobody(http: GatewayHttp, catalogue: Catalogue) -> None:
    outcome, _ = await submitted(http, catalogue, answer(200, {"id": KEY}))
    assert isinstance(outcome, Lost)
    assert KEY not in outcome.detail


# What a look shows


async def checked(
    http: GatewayHttp,
    catalogue: Catalogue,
    script: Script,
    dialect: str = "newapi",
    *,
    charged: bool | None = None,
) -> Any:
    async with serving(script) as server:
        looked = await gateway(http, server.origin, dialect, charged=charged).check(
            catalogue.models[f"{dialect}/model"], TASK
        )
        [request] = server.requests
        assert (request.method, request.target) == ("GET", f"/v1/videos/{TASK}")
        assert request.headers["authorization"] == f"Bearer {KEY}"
        if isinstance(looked, Finished):
            urls = tuple(url.replace(server.origin, "ORIGIN") for url in looked.urls)
            return Finished(
                urls=urls,
                clip=looked.clip,
                cost_micros=looked.cost_micros,
                took_seconds=looked.took_seconds,
            )
        return looked


STATES = {
    "running": (
        "queued pending submitted not_start preparing created starting unknown in_progress processing "
        "running generating QUEUED In_Progress somethingNew"
    ),
    "done": "completed complete success succeeded finished COMPLETED",
    "failed": "failed failure fail error cancelled canceled expired deleted Cancelled",
}


@pytest.mark.parametrize(
    ("word", "means"), [(word, means) for means, words in STATES.items() for word in words.split()]
)
async def test_every_word_for_a_status_is_known(
    http: GatewayHttp, catalogue: Catalogue, word: str, means: str
) -> None:
    seen = await checked(http, catalogue, answer(200, {"id": TASK, "status": word}))
    assert isinstance(seen, {"running": Running, "done": Finished, "failed": Failed}[means])


@pytest.mark.parametrize(
    ("progress", "share"),
    [
        (0, 0.0),
        (45, 0.45),
        (1, 0.01),
        (100, 1.0),
        ("45%", 0.45),
        ("7.5 %", 0.075),
        ("7.5%", 0.075),
        ("45", 0.45),
        (0.45, 0.45),
        (1.0, 1.0),
        (45.5, 0.455),
        ("0.45", 0.45),
        (250, 1.0),
        (-3, 0.0),
        (10**400, None),
        (None, None),
        (True, None),
        ("soon", None),
        ([45], None),
    ],
)
async def test_progress_is_read_however_it_is_told(
    http: GatewayHttp, catalogue: Catalogue, progress: object, share: float | None
) -> None:
    seen = await checked(http, catalogue, answer(200, {"status": "in_progress", "progress": progress}))
    assert seen == Running(progress=share)
    assert await checked(http, catalogue, answer(200, {"status": "queued"})) == Running(progress=None)


async def test_a_server_may_say_when_to_look_again(http: GatewayHttp, catalogue: Catalogue) -> None:
    for headers, seconds in (({"openai-poll-after-ms": "2500"}, 2.5), ({"Retry-After": "8"}, 8.0)):
        seen = await checked(http, catalogue, answer(200, {"status": "queued"}, headers))
        assert seen == Running(after_seconds=seconds)


@pytest.mark.parametrize(
    ("times", "took"),
    [
        ({"created_at": 1764347090, "completed_at": 1764347150}, 60.0),
        ({"created": 1764347090, "completed_at": 1764347150}, 60.0),
        ({"created_at": 1764347090922, "completed_at": 1764347150922}, 60.0),
        ({"created_at": 1764347090, "completed_at": 1764347150500}, 60.5),
        ({"created_at": "2026-11-28T16:24:50Z", "completed_at": "2026-11-28T16:25:50+00:00"}, 60.0),
        ({"created_at": 1764347090, "completed_at": None}, None),
        ({"created_at": 1764347150, "completed_at": 1764347090}, None),
        ({"created_at": "yesterday", "completed_at": True}, None),
        ({"created_at": 10**400, "completed_at": 10**401}, None),
    ],
)
async def test_how_long_it_took_is_read_from_whatever_clock_it_has(
    http: GatewayHttp, catalogue: Catalogue, times: dict[str, Any], took: float | None
) -> None:
    seen = await checked(http, catalogue, answer(200, {"status": "completed", **times}))
    assert seen.took_seconds == (pytest.approx(took) if took is not None else None)


@pytest.mark.parametrize("began", ["2026-11-28T16:24:50", "2026-11-28T16:24:50Z"])
def test_how_long_it_took_hangs_on_no_time_zone_of_the_bots_machine(
    monkeypatch: pytest.MonkeyPatch, began: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "America/New_York")
        time.tzset()
        took = VideosAnswer.read({"created_at": began, "completed_at": 1795883150}).took_seconds
    time.tzset()
    assert took == 60.0


ERRORS: list[tuple[Any, str, str, FailureKind]] = [
    ({"error": None}, "failed", "", FailureKind.NO_OUTPUT),
    ({"error": "out of memory"}, "out of memory", "", FailureKind.NO_OUTPUT),
    ({"error": {"message": "bad seed"}}, "bad seed", "", FailureKind.NO_OUTPUT),
    ({"error": {"code": 500}}, "failed", "500", FailureKind.NO_OUTPUT),
    ({"error": {"error": {"message": "deep", "code": "x"}}}, "deep", "x", FailureKind.NO_OUTPUT),
    ({"error": {"detail": [{"msg": "one"}, {"msg": "two"}]}}, "one; two", "", FailureKind.NO_OUTPUT),
    ({"detail": "gone wrong"}, "gone wrong", "", FailureKind.NO_OUTPUT),
    ({"message": "gone wrong", "code": "E1"}, "gone wrong", "E1", FailureKind.NO_OUTPUT),
    (
        {"error": {"code": "moderation_blocked", "message": "The prompt was blocked by moderation"}},
        "The prompt was blocked by moderation",
        "moderation_blocked",
        FailureKind.PROMPT_REFUSED,
    ),
    ({"error": False}, "failed", "", FailureKind.NO_OUTPUT),
    ({"error": [[[[[[["x"]]]]]]]}, "failed", "", FailureKind.NO_OUTPUT),
]


@pytest.mark.parametrize(("told", "words", "code", "kind"), ERRORS)
async def test_an_error_of_every_shape_is_read(
    http: GatewayHttp,
    catalogue: Catalogue,
    *,
    told: dict[str, Any],
    words: str,
    code: str,
    kind: FailureKind,
) -> None:
    seen = await checked(http, catalogue, answer(200, {"id": TASK, "status": "failed", **told}))
    assert isinstance(seen, Failed)
    assert (seen.failure.detail, seen.failure.code, seen.failure.kind) == (words, code, kind)
    assert seen.failure.charged is None


async def test_a_failure_is_free_where_the_server_or_the_operator_says_so(
    http: GatewayHttp, catalogue: Catalogue
) -> None:
    failed = {"id": TASK, "status": "failed", "usage": {"cost": 0}}
    assert (await checked(http, catalogue, answer(200, failed), "openrouter")).failure.charged is False
    assert (await checked(http, catalogue, answer(200, failed), "newapi")).failure.charged is None
    failed["usage"] = {"cost": 0.2}
    assert (await checked(http, catalogue, answer(200, failed), "newapi")).failure.charged is None
    seen = await checked(http, catalogue, answer(200, failed), charged=False)
    assert seen.failure.charged is False
    # What it says it took counts more than what the operator says of all failures.
    for said in (None, False):
        seen = await checked(http, catalogue, answer(200, failed), "openrouter", charged=said)
        assert seen.failure.charged is True


CONTENT = f"ORIGIN/v1/videos/{TASK}/content"


@pytest.mark.parametrize(
    ("dialect", "told", "urls"),
    [
        ("openai", {}, [CONTENT]),
        ("sglang", {"url": CLIP_LINK}, [CONTENT, CLIP_LINK]),
        ("vllm-omni", {"file_path": "/out/1.mp4"}, [CONTENT]),
        (
            "newapi",
            {"metadata": {"url": "https://a.example/m"}, "video_url": CLIP_LINK},
            [CONTENT, CLIP_LINK, "https://a.example/m"],
        ),
        ("newapi", {"url": None, "output": {"url": CLIP_LINK}}, [CONTENT, CLIP_LINK]),
        ("newapi", {"outputs": {"video_url": CLIP_LINK, "cost": 1}}, [CONTENT, CLIP_LINK]),
        ("newapi", {"data": [{"url": CLIP_LINK}]}, [CONTENT, CLIP_LINK]),
        (
            "openrouter",
            {"unsigned_urls": ["https://a.example/u"], "urls": [CLIP_LINK]},
            [CONTENT, CLIP_LINK, "https://a.example/u"],
        ),
        ("newapi", {"url": "file:///etc/passwd", "data": "x", "urls": [1, None]}, [CONTENT]),
    ],
)
async def test_the_clip_is_looked_for_where_the_dialect_has_it_first(
    http: GatewayHttp, catalogue: Catalogue, dialect: str, told: dict[str, Any], urls: list[str]
) -> None:
    seen = await checked(http, catalogue, answer(200, {"id": TASK, "status": "completed", **told}), dialect)
    assert seen == Finished(urls=tuple(urls))


async def test_a_clip_within_the_answer_is_taken_if_it_is_one(
    http: GatewayHttp, catalogue: Catalogue
) -> None:
    large = MP4 + b"\0" * (2 * 1024 * 1024)  # more than any other answer may have
    for prefix, clip, is_taken in (
        ("", large, True),
        ("data:video/mp4;base64,", MP4, True),
        ("", b"GIF", False),
    ):
        inline = [{"b64_json": prefix + base64.b64encode(clip).decode()}]
        seen = await checked(http, catalogue, answer(200, {"status": "completed", "data": inline}))
        assert seen == (Finished(urls=(), clip=clip) if is_taken else Finished(urls=(CONTENT,)))
    seen = await checked(http, catalogue, answer(200, {"status": "completed", "data": [{"b64_json": "ü"}]}))
    assert seen == Finished(urls=(CONTENT,))


async def test_of_an_answer_that_holds_a_clip_little_is_read_as_words(http: GatewayHttp) -> None:
    inline = {"data": [{"b64_json": base64.b64encode(MP4 + b"\0" * (2 * 1024 * 1024)).decode()}]}
    async with serving(answer(200, inline)) as server:
        reply = await http.get(
            f"{server.origin}/v1/videos/{TASK}", headers={}, most_bytes=MOST_CLIP_REPLY_BYTES
        )
    assert reply.body == inline
    assert (
        len(reply.text) <= 64 * 1024
    )  # each look goes through all of it for keys, while nobody else is served


@pytest.mark.parametrize(
    ("cost", "micros"),
    [
        (0.25, 250_000),
        ("0.25", 250_000),
        (0.1 + 0.2, 300_000),
        (3e-7, 0),
        (0.0000015, 2),
        (2, 2_000_000),
        (0, 0),
        (-1, None),
        ("free", None),
        (True, None),
        (None, None),
        (1e30, None),
        ({"usd": 1}, None),
    ],
)
async def test_the_cost_is_read_as_whole_micro_dollars(
    http: GatewayHttp, catalogue: Catalogue, cost: object, micros: int | None
) -> None:
    done = {"id": TASK, "status": "completed", "usage": {"cost": cost, "is_byok": False}}
    assert (await checked(http, catalogue, answer(200, done), "openrouter")).cost_micros == micros
    assert (await checked(http, catalogue, answer(200, done), "newapi")).cost_micros is None


@pytest.mark.parametrize(
    ("script", "seen"),
    [
        (answer(404, {"detail": "Video not found"}), Missing(detail="Video not found")),
        (answer(410, {"error": "expired"}), Missing(detail="expired")),
        (
            answer(429, {"error": "Slow"}, {"Retry-After": "3"}),
            NoAnswer(detail="Slow", after_seconds=3.0, limited=True),
        ),
        (answer(502, b"<html>bad</html>"), NoAnswer(detail="HTTP 502: <html>bad</html>")),
        (
            answer(200, {"id": "another", "status": "completed"}),
            NoAnswer(detail="the gateway answered for another task"),
        ),
        (answer(200, b"<html>hi</html>"), NoAnswer(detail="bad answer: HTTP 200: <html>hi</html>")),
        (answer(200, {"state": "ok"}), NoAnswer(detail='bad answer: HTTP 200: {"state": "ok"}')),
        (answer(200, b""), NoAnswer(detail="bad answer: HTTP 200: nothing readable")),
    ],
)
async def test_a_look_that_shows_no_task_is_no_verdict(
    http: GatewayHttp, catalogue: Catalogue, script: Answer, seen: object
) -> None:
    assert await checked(http, catalogue, script) == seen


async def test_a_refused_key_is_told_by_a_look(http: GatewayHttp, catalogue: Catalogue) -> None:
    seen = await checked(http, catalogue, answer(401, {"error": {"message": "No such key"}}))
    assert seen.failure.kind is FailureKind.NO_ACCESS


async def test_a_status_of_another_shape_is_logged_once_not_at_each_look(
    http: GatewayHttp, catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    model = catalogue.models["newapi/model"]
    async with serving(answer(200, {"video": KEY})) as server:
        asked = gateway(http, server.origin)
        for _ in range(3):
            assert await asked.check(model, TASK) == NoAnswer(
                detail='bad answer: HTTP 200: {"video": "[key]"}'
            )
    assert caplog.text.count("another shape") == 1
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        {
            "id": [1],
            "task_id": {},
            "status": {"a": 1},
            "error": 3,
            "data": 7,
            "progress": {},
            "detail": [None],
        },
        {"status": "completed", "created_at": {}, "usage": [], "data": [[]], "metadata": "x", "output": None},
        {"status": 200, "id": True, "deleted": "yes", "body": "x"},
        {"id": "x" * 600, "status": "\ud800 \x00"},
        {"status": "failed", "error": {"message": {"message": ["x"]}, "code": {"a": []}, "loc": 5}},
        {},
    ],
)
async def test_no_answer_breaks_the_reading(
    http: GatewayHttp, catalogue: Catalogue, body: dict[str, Any]
) -> None:
    for dialect in DIALECTS:
        await submitted(http, catalogue, answer(200, body), dialect)
        await submitted(http, catalogue, answer(400, body), dialect)
        await checked(http, catalogue, answer(200, body), dialect)


def test_no_depth_of_an_answer_breaks_the_reading() -> None:
    for depth in range(1, 1000):
        deep = "[" * depth + "]" * depth
        raw = f'{{"detail": [{{"loc": [{deep}, "seconds"], "msg": "no"}}, {{"loc": [1], "msg": {deep}}}]}}'
        problem = VideosAnswer.read(json_object(raw.encode())).problem
        assert problem.message in {"seconds: no", ""}  # by whether the JSON can be read at all


@pytest.mark.parametrize("task_id", [".", ".."])
async def test_an_id_that_would_be_another_route_is_none(
    http: GatewayHttp, catalogue: Catalogue, task_id: str
) -> None:
    outcome, _ = await submitted(http, catalogue, answer(200, {"id": task_id, "status": "queued"}))
    assert isinstance(outcome, Lost)


async def test_an_id_is_no_path(http: GatewayHttp, catalogue: Catalogue) -> None:
    async with serving(answer(200, {"id": "a/../b?c", "status": "completed"})) as server:
        seen = await gateway(http, server.origin).check(catalogue.models["newapi/model"], "a/../b?c")
    assert server.requests[0].target == "/v1/videos/a%2F..%2Fb%3Fc"
    assert isinstance(seen, Finished)
    assert seen.urls == (f"{server.origin}/v1/videos/a%2F..%2Fb%3Fc/content",)


# The end of a task that somebody wants


@pytest.mark.parametrize(
    ("script", "ended"),
    [
        (answer(200, {"id": TASK, "object": "video.deleted", "deleted": True}), True),
        (answer(200, {"id": TASK, "status": "deleted"}), True),
        (answer(200, {"id": TASK, "status": "cancelled"}), True),
        (answer(200, {"id": TASK, "deleted": False}), False),
        (answer(200, {"id": TASK, "status": "in_progress"}), False),
        (answer(204, b""), False),
        (answer(404, {"deleted": True}), False),
        (answer(302, b"", {"Location": "/"}), False),
        (Answer(raw=b"", end="reset"), False),
    ],
)
async def test_a_task_has_ended_where_the_server_says_that_it_did(
    http: GatewayHttp, catalogue: Catalogue, script: Answer, ended: bool
) -> None:
    async with serving(script) as server:
        asked = gateway(http, server.origin, "vllm-omni")
        assert asked.aborts
        assert await asked.abort(catalogue.models["vllm-omni/model"], TASK) is ended
    request = server.requests[0]
    assert (request.method, request.target) == ("DELETE", f"/v1/videos/{TASK}")
    assert request.headers["authorization"] == f"Bearer {KEY}"


async def test_no_other_dialect_is_sent_a_delete(http: GatewayHttp, catalogue: Catalogue) -> None:
    async with serving(answer(200, {"deleted": True})) as server:
        for dialect in set(DIALECTS) - {"vllm-omni"}:
            asked = gateway(http, server.origin, dialect)
            assert not asked.aborts
            assert not await asked.abort(catalogue.models[f"{dialect}/model"], TASK)
    assert server.requests == []


# The key


@pytest.mark.parametrize(
    ("url", "has_key"),
    [
        ("https://studio.example/v1/videos/1/content", True),
        ("https://STUDIO.example:443/v1/videos/1/content?index=0", True),
        ("https://studio.example/v1", False),
        ("https://studio.example/v10/videos", False),
        ("https://studio.example/files/1.mp4", False),
        ("https://studio.example/v1/../files/1.mp4", False),
        ("http://studio.example/v1/videos/1/content", False),
        ("https://studio.example:8443/v1/videos/1/content", False),
        ("https://studio.example.evil.example/v1/videos/1/content", False),
        ("https://studio.example@evil.example/v1/videos/1/content", False),
        ("/v1/videos/1/content", False),
        ("https://[/v1/", False),
    ],
)
async def test_only_the_servers_own_routes_get_the_key(http: GatewayHttp, url: str, has_key: bool) -> None:
    own = gateway(http, "https://studio.example")
    expected: Mapping[str, str] = {"Authorization": f"Bearer {KEY}"} if has_key else {}
    assert own.headers_for(url) == expected
    assert gateway(http, "https://studio.example", key="").headers_for(url) == {}


async def test_the_key_is_in_no_words_and_no_links(http: GatewayHttp, catalogue: Catalogue) -> None:
    failed = await checked(http, catalogue, answer(200, {"status": "failed", "error": f"Bearer {KEY}"}))
    assert KEY not in repr(failed)
    done = await checked(http, catalogue, answer(200, {"status": "completed", "url": f"{CLIP_LINK}?k={KEY}"}))
    assert KEY not in repr(done)
    refused, _ = await submitted(http, catalogue, answer(400, {"error": {"message": KEY, "code": KEY}}))
    assert KEY not in repr(refused)


def test_the_tables_name_every_dialect() -> None:
    assert {order[0] for order in ORDERS} == set(DIALECTS)
