import datetime as dt
import email.utils
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.catalogue_tables import load_catalogue
from bot.gateways.apixo import ApixoGateway
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
from bot.gateways.http import GatewayHttp
from bot.models import FailureKind, Mode, Quality, Shape, VideoRequest
from tests.gateway_server import Answer, Script, answer, closed_port, serving

KEY = "apixo-key-8c1f4e"
NOW = dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC)
PICTURE = "https://cdn.example.com/reference.jpg?ex=1&hm=2"
TASK = "task_12345678"
CLIP = "https://r2.apixo.ai/video.mp4"
MODELS = load_catalogue().models
ORDER = VideoRequest(
    model="apixo/sora-2",
    mode=Mode.TEXT,
    prompt="a red fox runs",
    seconds=10,
    shape=Shape.LANDSCAPE,
    keep_watermark=False,
)
ACCEPTED = {"code": 200, "message": "success", "data": {"taskId": TASK}}


@pytest.fixture
async def http() -> AsyncIterator[GatewayHttp]:
    async with GatewayHttp(submit_seconds=5, check_seconds=5, clock=lambda: NOW) as opened:
        yield opened


def gateway(http: GatewayHttp, origin: str, route: str = "auto") -> ApixoGateway:
    return ApixoGateway(http, name="apixo", base_url=f"{origin}/api/v1", key=KEY, route=route)


async def submitted(http: GatewayHttp, script: Script) -> tuple[Any, int]:
    """What a submit came to, and how many requests it took."""
    async with serving(script) as server:
        outcome = await gateway(http, server.origin).submit(MODELS["apixo/sora-2"], ORDER, None)
        return outcome, len(server.requests)


async def checked(http: GatewayHttp, script: Script) -> Any:
    async with serving(script) as server:
        return await gateway(http, server.origin).check(MODELS["apixo/sora-2"], TASK)


def status(**data: object) -> Answer:
    return answer(200, {"code": 200, "message": "success", "data": {"taskId": TASK, **data}})


def told(code: object, message: str, data: object = None) -> dict[str, object]:
    return {"code": code, "message": message, "data": data}


# The requests of the pages. sora-2: APIXO Docs, Sora 2. sora-2-pro: APIXO Docs, Sora 2 Pro.

SORA_2 = [
    (
        VideoRequest(
            model="apixo/sora-2",
            mode=mode,
            prompt="a cinematic flyover 🌅",
            seconds=seconds,
            shape=shape,
            keep_watermark=keep,
        ),
        {
            "mode": told_mode,
            "prompt": "a cinematic flyover 🌅",
            "duration": seconds,
            "aspect_ratio": ratio,
            **images,
            "remove_watermark": remove,
        },
    )
    for (mode, told_mode, images), seconds, (shape, ratio), (keep, remove) in itertools.product(
        [
            (Mode.TEXT, "text-to-video", {}),
            (Mode.IMAGE, "image-to-video", {"image_urls": [PICTURE]}),
        ],
        [10, 15],
        [(Shape.LANDSCAPE, "landscape"), (Shape.PORTRAIT, "portrait")],
        [(False, True), (True, False), (None, True)],
    )
]
SORA_2_PRO = [
    (
        VideoRequest(
            model="apixo/sora-2-pro",
            mode=Mode.TEXT,
            prompt="a tracking shot",
            seconds=seconds,
            shape=shape,
            quality=quality,
        ),
        {"mode": "text-to-video", "prompt": "a tracking shot", "duration": seconds, "size": size},
    )
    for seconds, (shape, quality, size) in itertools.product(
        [4, 8, 12],
        [
            (Shape.LANDSCAPE, Quality.P720, "1280*720"),
            (Shape.PORTRAIT, Quality.P720, "720*1280"),
            (Shape.LANDSCAPE, Quality.P1080, "1792*1024"),
            (Shape.PORTRAIT, Quality.P1080, "1024*1792"),
        ],
    )
] + [
    (
        VideoRequest(
            model="apixo/sora-2-pro",
            mode=Mode.IMAGE,
            prompt="subtle motion",
            seconds=seconds,
            shape=shape,
            quality=quality,
        ),
        {
            "mode": "image-to-video",
            "prompt": "subtle motion",
            "duration": seconds,
            "resolution": resolution,
            "image_urls": [PICTURE],
        },
    )
    for seconds, shape, (quality, resolution) in itertools.product(
        [4, 8, 12],
        [Shape.LANDSCAPE, Shape.PORTRAIT],
        [(Quality.P720, "720p"), (Quality.P1080, "1080p")],
    )
]


def label(value: object) -> str:
    if isinstance(value, VideoRequest):
        parts = (value.mode, value.seconds, value.shape, value.quality, value.keep_watermark)
        return " ".join(str(part) for part in parts if part is not None)
    return ""


async def sent(http: GatewayHttp, order: VideoRequest, route: str = "auto") -> Any:
    """The one request that an order becomes, its line and headers already compared with the page."""
    model = MODELS[order.model]
    async with serving(answer(200, ACCEPTED)) as server:
        picture = PICTURE if order.mode is Mode.IMAGE else None
        outcome = await gateway(http, server.origin, route).submit(model, order, picture)
    assert outcome == Accepted(task_id=TASK)
    [request] = server.requests
    assert (request.method, request.target) == ("POST", f"/api/v1/generateTask/{model.remote_id}")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert "cookie" not in request.headers
    return request.json


@pytest.mark.parametrize("route", ["auto", "value", "official"])
@pytest.mark.parametrize(("order", "fields"), SORA_2, ids=label)
async def test_every_order_of_sora_2_is_the_request_of_its_page(
    http: GatewayHttp, order: VideoRequest, fields: dict[str, Any], route: str
) -> None:
    body = await sent(http, order, route)
    assert body == {"request_type": "async", "provider": route, "input": fields}


@pytest.mark.parametrize(("order", "fields"), SORA_2_PRO, ids=label)
async def test_every_order_of_sora_2_pro_is_the_request_of_its_page_and_official(
    http: GatewayHttp, order: VideoRequest, fields: dict[str, Any]
) -> None:
    body = await sent(http, order, route="value")
    assert body == {"request_type": "async", "provider": "official", "input": fields}


async def test_with_an_address_the_request_asks_for_a_callback_as_the_page_does(http: GatewayHttp) -> None:
    address = "https://bot.example/hooks/apixo/token"
    order, fields = SORA_2[-1]

    async with serving(answer(200, ACCEPTED)) as server:
        await gateway(http, server.origin).submit(MODELS[order.model], order, PICTURE, address)
        await gateway(http, server.origin).submit(MODELS[order.model], order, PICTURE, None)

    called, polled = (request.body for request in server.requests)
    assert json.loads(called) == {
        "request_type": "callback",
        "callback_url": address,
        "provider": "auto",
        "input": fields,
    }
    asked = f'"request_type": "callback", "callback_url": "{address}"'.encode()
    assert polled == called.replace(asked, b'"request_type": "async"')


@pytest.mark.parametrize(
    ("callback", "task_id"),
    [
        ({"code": 200, "message": "success", "data": {"taskId": TASK, "state": "success"}}, TASK),
        ({"code": 200, "message": "success", "data": {"taskId": TASK, "state": "failed"}}, TASK),
        ({"code": 500, "data": {"taskId": f" {TASK} "}, "more": [1]}, TASK),
        ({"data": {"taskId": 12345678}}, "12345678"),
        ({"data": {"taskId": "x" * 501}}, ""),
        ({"data": {"taskId": "line\nbreak"}}, ""),
        ({"data": {"taskId": ["a"]}}, ""),
        ({"data": {"taskId": None}}, ""),
        ({"data": None}, ""),
        ({"data": [{"taskId": TASK}]}, ""),
        ([{"data": {"taskId": TASK}}], ""),
        ("data", ""),
        ({}, ""),
    ],
)
async def test_a_callback_is_believed_to_name_a_task_at_most(
    http: GatewayHttp, callback: object, task_id: str
) -> None:
    assert gateway(http, "http://127.0.0.1").named_task(json.dumps(callback).encode()) == task_id


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"{", b"[" * 60_000, b'{"data":' * 9_000, b"taskId=task_1"]
)
async def test_a_callback_that_is_no_json_names_no_task(http: GatewayHttp, body: bytes) -> None:
    assert not gateway(http, "http://127.0.0.1").named_task(body)


@pytest.mark.parametrize(("name", "table"), [("apixo/sora-2", SORA_2), ("apixo/sora-2-pro", SORA_2_PRO)])
def test_the_tables_above_hold_every_order_the_catalogue_allows(
    name: str, table: list[tuple[VideoRequest, dict[str, Any]]]
) -> None:
    def choices(order: VideoRequest) -> tuple[object, ...]:
        return order.mode, order.seconds, order.shape, order.quality

    assert {choices(order) for order in MODELS[name].orders()} == {choices(order) for order, _ in table}


# The submit, exactly


@pytest.mark.parametrize(
    "place",
    [
        "https://gateway.invalid",
        f"http://127.0.0.1:{closed_port()}",
        f"http://{'a' * 64}.example",
    ],
    ids=["name not resolved", "connection refused", "no name at all"],
)
async def test_a_submit_that_finds_no_gateway_may_be_tried_again(http: GatewayHttp, place: str) -> None:
    outcome = await gateway(http, place).submit(MODELS["apixo/sora-2"], ORDER, None)
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure.kind, outcome.counts, outcome.after_seconds) == (
        FailureKind.GATEWAY_DOWN,
        False,
        None,
    )


async def test_a_submit_refused_by_tls_was_not_sent_and_may_be_tried_again(http: GatewayHttp) -> None:
    async with serving(answer(200, ACCEPTED)) as server:
        origin = server.origin.replace("http:", "https:")
        outcome = await gateway(http, origin).submit(MODELS["apixo/sora-2"], ORDER, None)
        assert server.connections
        assert server.requests == []
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure.kind, outcome.counts) == (FailureKind.GATEWAY_DOWN, False)


IN_90_SECONDS = email.utils.format_datetime(NOW + dt.timedelta(seconds=90), usegmt=True)
AN_HOUR_AGO = email.utils.format_datetime(NOW - dt.timedelta(hours=1), usegmt=True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0", 0.0),
        (IN_90_SECONDS, 90.0),
        (AN_HOUR_AGO, 0.0),
        ("99999999999", 3600.0),
        ("9" * 400, 3600.0),
        ("soon", None),
        ("-5", None),
        ("Sat, 21 Nov 99999999999999999999 12:00:00 GMT", None),
        ("Sat, 21 Nov 2026 12:00:00 +99999999999999", None),
    ],
)
@pytest.mark.parametrize(
    ("http_status", "body"),
    [
        (429, told(429, "Rate limit exceeded")),
        (429, b"<html>slow down</html>"),
        (429, b""),
        (200, told(429, "Rate limit exceeded")),
        (400, told("429", "Concurrency limit reached")),
        (500, told(429, "Rate limit exceeded")),
    ],
)
async def test_too_many_requests_are_tried_again_after_the_pause_the_gateway_asks_for(
    http: GatewayHttp, http_status: int, body: object, header: str | None, seconds: float | None
) -> None:
    headers = {"Retry-After": header} if header is not None else {}
    outcome, _ = await submitted(http, answer(http_status, body, headers))
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure.kind, outcome.after_seconds, outcome.counts) == (
        FailureKind.RATE_LIMITED,
        seconds,
        False,
    )


@pytest.mark.parametrize("http_status", [500, 502, 503])
@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (500, "Server error", FailureKind.GATEWAY_DOWN),
        (502, "Upstream service error", FailureKind.GATEWAY_DOWN),
        (503, "Model temporarily unavailable", FailureKind.GATEWAY_DOWN),
        ("503", "Service unavailable", FailureKind.GATEWAY_DOWN),
        (400, "Insufficient credits", FailureKind.NO_BALANCE),
        (500, "This model is paused", FailureKind.MODEL_GONE),
    ],
)
async def test_500_502_and_503_with_their_envelope_are_not_accepted_and_count(
    http: GatewayHttp, http_status: int, code: object, message: str, kind: FailureKind
) -> None:
    outcome, _ = await submitted(http, answer(http_status, told(code, message)))
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure.kind, outcome.failure.detail, outcome.counts) == (kind, message, True)


@pytest.mark.parametrize(
    ("http_status", "body", "kind"),
    [
        (400, told(400, "Insufficient credits"), FailureKind.NO_BALANCE),
        (402, told(402, "Payment required"), FailureKind.NO_BALANCE),
        (
            400,
            told(400, "Content violates provider policy, please adjust the prompt"),
            FailureKind.PROMPT_REFUSED,
        ),
        (403, told(403, "Content rejected by provider policy"), FailureKind.PROMPT_REFUSED),
        (403, told(403, "This API key has no permission for the model"), FailureKind.NO_ACCESS),
        (401, {"code": 401, "message": "Invalid or missing API key"}, FailureKind.NO_ACCESS),
        (401, {"message": "Invalid or missing API key"}, FailureKind.NO_ACCESS),
        (404, told(404, "Not found"), FailureKind.MODEL_GONE),
        (400, told(400, "Invalid request", {"error": "Missing required field"}), FailureKind.BAD_REQUEST),
        (400, told(400, "Cannot access provided image URL"), FailureKind.PICTURE_REFUSED),
        (400, told(400, "rejected", {"failCode": "SensitiveContentDetected"}), FailureKind.PROMPT_REFUSED),
        (422, told(422, "Unprocessable"), FailureKind.BAD_REQUEST),
        (400, {}, FailureKind.BAD_REQUEST),
        (200, told(400, "Insufficient credits"), FailureKind.NO_BALANCE),
        (200, told("401", "Invalid or missing API key"), FailureKind.NO_ACCESS),
        (200, told(402, "no money"), FailureKind.NO_BALANCE),
        (200, told(403, "Forbidden"), FailureKind.NO_ACCESS),
        (200, told(500, "Server error"), FailureKind.GATEWAY_DOWN),
        (201, told(1001, "Invalid parameter"), FailureKind.BAD_REQUEST),
    ],
)
async def test_a_readable_no_is_final_by_its_class(
    http: GatewayHttp, http_status: int, body: dict[str, Any], kind: FailureKind
) -> None:
    outcome, count = await submitted(http, answer(http_status, body))
    assert isinstance(outcome, Refused)
    assert outcome.failure.kind is kind
    assert count == 1


def cut(headers: str, body: bytes, status: int = 200) -> Answer:
    return Answer(raw=f"HTTP/1.1 {status} OK\r\n{headers}\r\n\r\n".encode() + body)


WHOLE = json.dumps(ACCEPTED).encode()
LOST = {
    "504": answer(504, told(504, "Upstream timeout")),
    "504 in the envelope": answer(200, told(504, "Upstream timeout")),
    "504 in the envelope of 500": answer(500, told(504, "Upstream timeout")),
    "501": answer(501, told(501, "Not implemented")),
    "520": answer(520, told(520, "Web server returned an unknown error")),
    "599": answer(599, told(599, "Network timeout")),
    "504 that says 429": answer(504, told(429, "Rate limit exceeded")),
    "500 with HTML": answer(500, b"<html>Internal Server Error</html>"),
    "502 without a body": answer(502),
    "503 with another JSON": answer(503, {"error": "no healthy upstream"}),
    "500 with code 200": answer(500, told(200, "success")),
    "400 with HTML": answer(400, b"<html>Bad Request</html>"),
    "403 with HTML": answer(403, b"<html>Just a moment...</html>"),
    "200 without a body": answer(200),
    "204": Answer(raw=b"HTTP/1.1 204 No Content\r\n\r\n"),
    "200 with HTML": answer(200, b"<html>It works!</html>"),
    "JSON that is a list": answer(200, [ACCEPTED]),
    "JSON that is a string": answer(200, "task_12345678"),
    "JSON nested too deep": answer(200, b"[" * 100_000),
    "a number too long": answer(200, b'{"code": ' + b"1" * 5_000 + b"}"),
    "no code": answer(200, {"message": "success", "data": None}),
    "no task id": answer(200, told(200, "success", {})),
    "null data": answer(200, told(200, "success")),
    "an empty task id": answer(200, told(200, "success", {"taskId": " "})),
    "a task id that is null": answer(200, told(200, "success", {"taskId": None})),
    "a task id that is an object": answer(200, told(200, "success", {"taskId": {"id": TASK}})),
    "a task id that is true": answer(200, told(200, "success", {"taskId": True})),
    "a task id that cannot be stored": answer(200, told(200, "success", {"taskId": "\ud800"})),
    "a task id of a page's length": answer(200, told(200, "success", {"taskId": "x" * 5_000})),
    "data that is the task id": answer(200, told(200, "success", TASK)),
    "a task id beside code 400": answer(200, told(400, "Insufficient credits", {"taskId": TASK})),
    "a task id beside 400": answer(400, told(400, "Insufficient credits", {"taskId": TASK})),
    "a task id beside 429": answer(429, told(429, "Rate limit exceeded", {"taskId": TASK})),
    "a task id beside 500": answer(500, told(500, "Server error", {"taskId": TASK})),
    "code 200 in a 400": answer(400, told(200, "success")),
    "a body shorter than it says": cut("Content-Length: 5000", WHOLE),
    "a body cut in its JSON": cut("Content-Length: 5000", WHOLE[:20]),
    "a chunked body cut off": cut("Transfer-Encoding: chunked", b"%x\r\n%s\r\n" % (len(WHOLE), WHOLE)),
    "a 400 cut off": cut("Content-Length: 5000", json.dumps(told(400, "no")).encode(), 400),
    "a body that is no gzip": cut(f"Content-Encoding: gzip\r\nContent-Length: {len(WHOLE)}", WHOLE),
    "an endless body": Answer(raw=b"HTTP/1.1 200 OK\r\n\r\n", end="endless"),
    "a redirect": answer(307, ACCEPTED, {"Location": "/elsewhere"}),
    "a redirect that says no": answer(302, told(400, "Insufficient credits"), {"Location": "/login"}),
    "a reset after the request": Answer(end="reset"),
    "a hang-up after the request": Answer(),
    "a reset in the headers": Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Type: appl", end="reset"),
    "a hang-up in the status line": Answer(raw=b"HTTP/1."),
    "no HTTP": Answer(raw=b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
    "headers too long": Answer(raw=b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
}


@pytest.mark.parametrize("hostile", LOST.values(), ids=LOST)
async def test_an_answer_that_decides_nothing_loses_the_submit_after_exactly_one_request(
    http: GatewayHttp, hostile: Answer
) -> None:
    outcome, count = await submitted(http, hostile)
    assert isinstance(outcome, Lost)
    assert outcome.detail
    assert count == 1


async def test_a_yes_of_another_shape_is_a_bad_answer_that_is_logged_once(
    http: GatewayHttp, caplog: pytest.LogCaptureFixture
) -> None:
    strange = answer(200, {"video": KEY})
    outcome, _ = await submitted(http, strange)
    assert outcome == Lost(detail='bad answer: HTTP 200: {"video": "[key]"}')
    async with serving(strange) as server:
        apixo = gateway(http, server.origin)
        for _ in range(2):
            assert await apixo.check(MODELS["apixo/sora-2"], TASK) == NoAnswer(
                detail='bad answer: HTTP 200: {"video": "[key]"}'
            )
    assert caplog.text.count("another shape") == 2  # of one gateway each
    assert KEY not in caplog.text


async def test_a_lost_submit_names_the_task_that_the_gateway_named_beside_its_error(
    http: GatewayHttp,
) -> None:
    outcome, _ = await submitted(http, LOST["a task id beside 400"])
    assert outcome == Lost(detail=f"HTTP 400 and {TASK}: Insufficient credits")


@pytest.mark.parametrize(
    "silence",
    [Answer(end="hang"), cut("Content-Length: 5000", WHOLE)],
    ids=["no answer at all", "half an answer"],
)
async def test_a_gateway_that_stays_silent_loses_the_submit(silence: Answer) -> None:
    async with GatewayHttp(submit_seconds=0.2) as http:
        outcome, count = await submitted(http, Answer(raw=silence.raw, end="hang"))
    assert isinstance(outcome, Lost)
    assert count == 1


async def test_a_submit_is_accepted_whatever_kind_of_number_or_success_the_envelope_has(
    http: GatewayHttp,
) -> None:
    for http_status, body in (
        (200, told("200", "success", {"taskId": TASK})),
        (202, told(200, "accepted", {"taskId": TASK})),
        (200, told(200, "", {"taskId": TASK, "more": [1, 2]})),
    ):
        outcome, _ = await submitted(http, answer(http_status, body))
        assert outcome == Accepted(task_id=TASK)
    outcome, _ = await submitted(http, answer(200, told(200, "success", {"taskId": 12345678})))
    assert outcome == Accepted(task_id="12345678")


@pytest.mark.parametrize("end", ["close", "keep"])
async def test_paid_requests_never_ride_on_a_connection_that_may_have_gone_stale(
    http: GatewayHttp, end: Any
) -> None:
    keep_alive = {"Connection": "keep-alive", "Keep-Alive": "timeout=600"}
    async with serving(answer(200, ACCEPTED, keep_alive, end=end)) as server:
        apixo = gateway(http, server.origin)
        for _ in range(5):
            assert await apixo.submit(MODELS["apixo/sora-2"], ORDER, None) == Accepted(task_id=TASK)
        assert (len(server.requests), server.connections) == (5, 5)


async def test_a_redirect_is_not_followed_and_the_key_stays_at_home(http: GatewayHttp) -> None:
    async with serving(answer(200, ACCEPTED)) as thief:
        away = answer(307, b"", {"Location": f"{thief.origin}/steal"})
        async with serving(away) as server:
            apixo = gateway(http, server.origin)
            assert isinstance(await apixo.submit(MODELS["apixo/sora-2"], ORDER, None), Lost)
            assert isinstance(await apixo.check(MODELS["apixo/sora-2"], TASK), NoAnswer)
            assert isinstance(await apixo.balance(), NoAnswer)
        assert (thief.connections, thief.requests) == (0, [])


# Status answers


async def test_a_look_asks_for_the_task_under_its_model_with_the_key(http: GatewayHttp) -> None:
    async with serving(status(state="pending")) as server:
        model = MODELS["apixo/sora-2-pro"]
        assert await gateway(http, server.origin).check(model, "a/b &c") == NoAnswer(
            detail="the gateway answered for another task"
        )
    [request] = server.requests
    assert (request.method, request.path) == ("GET", "/api/v1/statusTask/sora-2-pro")
    assert request.query == {"taskId": ["a/b &c"]}
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == b""


@pytest.mark.parametrize(
    ("result", "urls"),
    [
        ({"resultJson": json.dumps({"resultUrls": [CLIP]})}, (CLIP,)),
        ({"resultJson": {"resultUrls": [CLIP]}}, (CLIP,)),
        ({"resultJson": {"resultUrls": CLIP}}, (CLIP,)),
        ({"resultJson": json.dumps([CLIP])}, (CLIP,)),
        ({"resultJson": CLIP}, (CLIP,)),
        ({"resultJson": "", "resultUrls": [CLIP]}, (CLIP,)),
        (
            {"resultJson": {"resultUrls": [CLIP, "https://b.example/2.mp4", CLIP]}},
            (CLIP, "https://b.example/2.mp4"),
        ),
        ({"resultJson": {"resultUrls": ["file:///etc/passwd", "javascript:x", None, 7, CLIP]}}, (CLIP,)),
        ({"resultJson": {"resultUrls": ["https://a.example/\ud800", "https://a.example/\n", CLIP]}}, None),
        ({"resultJson": "{not json"}, ()),
        ({"resultJson": "[" * 100_000}, ()),
        ({"resultJson": ""}, ()),
        ({"resultJson": "null"}, ()),
        ({"resultJson": {"resultUrls": []}}, ()),
        ({"resultJson": {"resultUrls": {"a": CLIP}}}, ()),
        ({"resultJson": 7}, ()),
        ({}, ()),
        ({"resultJson": {"resultUrls": [f"https://a.example/{n}.mp4" for n in range(50)]}}, 20),
    ],
)
async def test_the_links_of_a_success_are_found_however_they_are_wrapped(
    http: GatewayHttp, result: dict[str, Any], urls: tuple[str, ...] | int | None
) -> None:
    outcome = await checked(http, status(state="success", **result))
    assert isinstance(outcome, Finished)
    if isinstance(urls, int):
        assert len(outcome.urls) == urls
    elif urls is None:
        assert outcome.urls[-1] == CLIP
        assert all(url.isprintable() for url in outcome.urls)
    else:
        assert outcome.urls == urls


@pytest.mark.parametrize(
    "state", ["pending", "processing", "Processing", "processing_r2", "queued", "throttled", "failed?"]
)
async def test_states_that_end_nothing_are_still_rendering(http: GatewayHttp, state: str) -> None:
    assert await checked(http, status(state=state)) == Running()


async def test_timestamps_are_optional_and_the_code_may_be_a_string(http: GatewayHttp) -> None:
    times = {"createTime": 1767965610929, "completeTime": None, "costTime": "41388"}
    for data in ({}, times):
        outcome = await checked(http, status(state="SUCCESS", resultJson={"resultUrls": [CLIP]}, **data))
        assert outcome == Finished(urls=(CLIP,))
    times["completeTime"] = 1767965652317
    outcome = await checked(http, status(state="success", resultJson={"resultUrls": [CLIP]}, **times))
    assert outcome == Finished(urls=(CLIP,), took_seconds=41.388)
    body = told("200", "success", {"taskId": TASK, "state": "processing"})
    assert await checked(http, answer(200, body)) == Running()


@pytest.mark.parametrize(
    "script",
    [
        answer(404, told(404, "Task not found")),
        answer(404, b"<html>Not Found</html>"),
        answer(200, told(404, "Task not found")),
        answer(200, told(200, "success")),
        answer(200, told(200, "success", {})),
        answer(200, told(200, "success", {"taskId": TASK, "state": None})),
        answer(200, told(200, "success", [])),
    ],
)
async def test_a_task_the_gateway_does_not_know_is_missing(http: GatewayHttp, script: Answer) -> None:
    assert isinstance(await checked(http, script), Missing)


SUCCESS = {"taskId": TASK, "state": "success", "resultJson": {"resultUrls": [CLIP]}}


@pytest.mark.parametrize(
    "script",
    [
        answer(500, told(200, "success", SUCCESS)),
        answer(302, told(200, "success", SUCCESS), {"Location": "/"}),
        answer(200, told(500, "Server error", SUCCESS)),
        answer(200, told(201, "created", SUCCESS)),
        answer(200, {"message": "success", "data": SUCCESS}),
        answer(200, told(200, "success", {**SUCCESS, "taskId": "task_of_another"})),
        answer(200, b"<html></html>"),
        answer(200),
        answer(503, told(503, "Service unavailable")),
        answer(504, b"upstream timeout"),
        answer(403, b"<html>Just a moment...</html>"),
        cut("Content-Length: 5000", json.dumps(told(200, "success", SUCCESS)).encode()),
        Answer(raw=b"HTTP/1.1 200 OK\r\n\r\n", end="endless"),
        Answer(end="reset"),
        answer(200, json.dumps(told(200, "x" * 2_000_000, SUCCESS)).encode()),
    ],
)
async def test_a_look_that_shows_nothing_sure_is_no_answer_and_no_verdict(
    http: GatewayHttp, script: Answer
) -> None:
    outcome = await checked(http, script)
    assert isinstance(outcome, NoAnswer)
    assert (outcome.limited, outcome.failure) == (False, None)


async def test_a_gateway_that_cannot_be_reached_or_is_silent_gives_no_answer(http: GatewayHttp) -> None:
    away = gateway(http, f"http://127.0.0.1:{closed_port()}")
    assert isinstance(await away.check(MODELS["apixo/sora-2"], TASK), NoAnswer)
    async with GatewayHttp(check_seconds=0.2) as hasty:
        assert isinstance(await checked(hasty, Answer(end="hang")), NoAnswer)


@pytest.mark.parametrize("http_status", [200, 429])
async def test_a_look_too_many_says_how_long_to_wait(http: GatewayHttp, http_status: int) -> None:
    outcome = await checked(http, answer(http_status, told(429, "Rate limit"), {"Retry-After": "9"}))
    assert outcome == NoAnswer(detail="Rate limit", after_seconds=9.0, limited=True)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(401, FailureKind.NO_ACCESS), (402, FailureKind.NO_BALANCE), (403, FailureKind.NO_ACCESS)],
)
@pytest.mark.parametrize("in_envelope", [False, True])
async def test_a_look_refused_for_its_key_says_so_and_ends_no_task(
    http: GatewayHttp, code: int, kind: FailureKind, *, in_envelope: bool
) -> None:
    outcome = await checked(http, answer(200 if in_envelope else code, told(code, "No")))
    assert isinstance(outcome, NoAnswer)
    assert outcome.failure.kind is kind


async def test_a_look_refused_in_words_of_policy_does_not_stop_the_key(http: GatewayHttp) -> None:
    outcome = await checked(http, answer(403, told(403, "Content violates provider policy")))
    assert outcome == NoAnswer(detail="Content violates provider policy")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (
            {"failCode": "CONTENT_VIOLATION", "failMsg": "Content does not meet safety guidelines"},
            FailureKind.PROMPT_REFUSED,
        ),
        (
            {"failCode": "INVALID_IMAGE_URL", "failMsg": "Cannot access provided image URL"},
            FailureKind.PICTURE_REFUSED,
        ),
        ({"failCode": "SOMETHING_NEW", "failMsg": "It broke"}, FailureKind.NO_OUTPUT),
        ({"failCode": None, "failMsg": None}, FailureKind.NO_OUTPUT),
        ({"failCode": 500, "failMsg": {"message": "It broke"}}, FailureKind.NO_OUTPUT),
        ({}, FailureKind.NO_OUTPUT),
    ],
)
async def test_a_failed_task_ends_with_its_code_and_words(
    http: GatewayHttp, data: dict[str, Any], kind: FailureKind
) -> None:
    outcome = await checked(http, status(state="failed", **data))
    assert isinstance(outcome, Failed)
    assert (outcome.failure.kind, outcome.failure.charged) == (kind, None)
    for value in data.values():
        if isinstance(value, str):
            assert value in (outcome.failure.code, outcome.failure.detail)


# The balance


@pytest.mark.parametrize(
    ("data", "micros"),
    [
        ("74.8700", 74_870_000),
        ("5", 5_000_000),
        ("0", 0),
        ('"74.87"', 74_870_000),
        ('" 74.87 "', 74_870_000),
        ("-3.5", -3_500_000),
        ('"-3"', -3_000_000),
        ("0.000001", 1),
        ("74.86999999999999", 74_870_000),
        ("0.30000000000000004", 300_000),
        ("999999999.999999", 999_999_999_999_999),
        ("1e3", 1_000_000_000),
        ("1e-400", 0),
        ('"1e-999999999"', 0),
    ],
)
async def test_a_balance_is_read_exactly(http: GatewayHttp, data: str, micros: int) -> None:
    script = answer(200, f'{{"code":200,"message":"success","data":{data}}}'.encode())
    async with serving(script) as server:
        assert await gateway(http, server.origin).balance() == micros
        request = server.requests[0]
        assert (request.method, request.target) == ("GET", "/api/v1/apikeys/current-balance")
        assert request.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        *(
            (answer(200, f'{{"code":200,"message":"success","data":{data}}}'.encode()), "no amount of money")
            for data in (
                *("null", '{"balance":5}', "[5]", "true", "NaN", "Infinity", "-Infinity", '"nan"', '"inf"'),
                *('"a lot"', '""', "1e9999", "1000000000.01", '"1e999999999"', '"1e99999999999999999999"'),
                *("-1000000001", "9" * 4000, '"$5"', '"5,00"'),
            )
        ),
        (answer(200, f'{{"code":200,"data":{"9" * 5000}}}'.encode()), "no readable answer"),
        (answer(200, b'{"code":200}'), "no amount of money"),
        (answer(200, b'{"data":5}'), "no readable answer"),
        (answer(200, told(401, "Invalid or missing API key", 5)), "401: Invalid or missing API key"),
        (answer(401, told(401, "Invalid or missing API key")), "401: Invalid or missing API key"),
        (answer(403, told(403, KEY)), "403: [key]"),
        (answer(429, told(429, "Rate limit exceeded")), "429: Rate limit exceeded"),
        (answer(500, told(200, "success", 5)), "500: success"),
        (answer(200, b"<html></html>"), "no readable answer: <html></html>"),
        (answer(200), "no readable answer"),
        (Answer(end="reset"), "ServerDisconnectedError"),
    ],
)
async def test_what_is_no_balance_is_never_taken_for_one(http: GatewayHttp, script: Answer, why: str) -> None:
    async with serving(script) as server:
        found = await gateway(http, server.origin).balance()

    assert isinstance(found, NoAnswer)
    assert why in found.detail
    assert KEY not in found.detail


# The key in an answer


@pytest.mark.parametrize(
    "script",
    [
        answer(400, told(400, f"Bad header: Bearer {KEY}")),
        answer(400, told(400, "Bad", {"error": KEY, "failCode": KEY})),
        answer(400, told(400, "x" * 290 + KEY)),
        answer(400, told(400, f"{KEY[:6]}\u200b{KEY[6:]}")),
        answer(400, {"error": {"message": KEY}}),
        answer(401, told(401, KEY)),
        answer(403, f"<html>{KEY}</html>".encode()),
        answer(429, f"{KEY} asks too often".encode()),
        answer(500, told(500, KEY)),
        answer(504, told(504, KEY)),
        answer(404, told(404, KEY)),
        answer(200, told(200, "success", {"state": "failed", "failCode": KEY, "failMsg": KEY})),
        answer(200, KEY.encode()),
        cut("Content-Length: 5000", KEY[:-2].encode()),
        Answer(raw=f"{KEY} 200\r\n\r\n".encode()),
        Answer(raw=f"HTTP/1.1 200 OK\r\n{'x' * 40} {KEY}\r\n\r\n".encode()),
        Answer(raw=f"HTTP/1.1 {KEY}\r\n\r\n".encode()),
    ],
)
async def test_a_key_that_a_gateway_echoes_is_in_no_words(http: GatewayHttp, script: Answer) -> None:
    outcome, _ = await submitted(http, script)
    look = await checked(http, script)
    assert KEY[:-2] not in f"{outcome} {look}"


async def test_words_are_one_short_visible_line_that_can_be_stored(http: GatewayHttp) -> None:
    outcome, _ = await submitted(http, answer(400, told(400, "a\u202eb\n\0c \ud800 " + "long " * 500)))
    assert isinstance(outcome, Refused)
    assert outcome.failure.detail.isprintable()
    assert len(outcome.failure.detail) <= 300
    outcome.failure.detail.encode()


async def test_a_refusal_that_repeats_the_prompt_is_judged_by_the_rest(http: GatewayHttp) -> None:
    prompt = "a fashion model is disabled, insufficient credits, content violates policy"
    order = VideoRequest(
        model="apixo/sora-2", mode=Mode.TEXT, prompt=prompt, seconds=10, shape=Shape.LANDSCAPE
    )
    for message in (f"Invalid input: {prompt}", f'Invalid input "{prompt}"'):
        async with serving(answer(400, told(400, message))) as server:
            outcome = await gateway(http, server.origin).submit(MODELS["apixo/sora-2"], order, None)
        assert isinstance(outcome, Refused)
        assert (outcome.failure.kind, outcome.failure.detail) == (FailureKind.BAD_REQUEST, message)
