import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.catalogue_tables import load_catalogue
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
from bot.gateways.http import GatewayHttp, data_url
from bot.gateways.pixazo import PixazoGateway
from bot.models import FailureKind, Mode, Picture, Quality, Shape, VideoRequest
from tests.gateway_server import Answer, Script, answer, closed_port, serving

KEY = "pixazo-key-41d7aa"
TASK = "sora-video_019d42ce-946d-7739-f812-6875c434cb790"
CLIP = "https://pub-582b7213209642b9b995c96c95a30381.r2.dev/v1/sora-video/output.mp4"
IMAGE = "data:image/jpeg;base64,/9j/4AAQSkZJRg=="
MODEL = load_catalogue().models["pixazo/sora-2-pro"]
ORDER = VideoRequest(
    model="pixazo/sora-2-pro",
    mode=Mode.TEXT,
    prompt="a serene beach",
    seconds=4,
    shape=Shape.LANDSCAPE,
    quality=Quality.P720,
)
ACCEPTED = {
    "request_id": TASK,
    "status": "QUEUED",
    "polling_url": f"https://gateway.pixazo.ai/v2/requests/status/{TASK}",
}


@pytest.fixture
async def http() -> AsyncIterator[GatewayHttp]:
    async with GatewayHttp(submit_seconds=5, check_seconds=5) as opened:
        yield opened


def gateway(http: GatewayHttp, origin: str) -> PixazoGateway:
    return PixazoGateway(http, name="pixazo", base_url=origin, key=KEY)


async def submitted(http: GatewayHttp, script: Script) -> tuple[Any, int]:
    """What a submit came to, and how many requests it took."""
    async with serving(script) as server:
        outcome = await gateway(http, server.origin).submit(MODEL, ORDER, None)
        return outcome, len(server.requests)


async def checked(http: GatewayHttp, script: Script) -> Any:
    async with serving(script) as server:
        return await gateway(http, server.origin).check(MODEL, TASK)


def status(word: object, **fields: object) -> Answer:
    told = {"request_id": TASK, "status": word, "model_id": "sora-video", "error": None, "output": None}
    return answer(200, {**told, **fields})


# The requests of the page: Pixazo, Sora 2 Pro API.

ORDERS = [
    (
        VideoRequest(
            model="pixazo/sora-2-pro",
            mode=mode,
            prompt="a serene beach 🌊",
            seconds=seconds,
            shape=shape,
            quality=quality,
        ),
        path,
        {"prompt": "a serene beach 🌊", "model": "sora-2-pro", "size": size, "seconds": seconds, **image},
    )
    for (mode, path, image), seconds, (shape, quality, size) in itertools.product(
        [
            (Mode.TEXT, "/sora-video/v1/video/generate", {}),
            (Mode.IMAGE, "/sora-video/v1/video/i2v/generate", {"image": IMAGE}),
        ],
        [4, 8, 12],
        [
            (Shape.LANDSCAPE, Quality.P720, "1280x720"),
            (Shape.PORTRAIT, Quality.P720, "720x1280"),
            (Shape.LANDSCAPE, Quality.P1080, "1792x1024"),
            (Shape.PORTRAIT, Quality.P1080, "1024x1792"),
        ],
    )
]


@pytest.mark.parametrize(("order", "path", "body"), ORDERS)
async def test_every_order_is_the_request_of_the_page(
    http: GatewayHttp, order: VideoRequest, path: str, body: dict[str, Any]
) -> None:
    async with serving(answer(202, ACCEPTED)) as server:
        outcome = await gateway(http, server.origin).submit(MODEL, order, body.get("image"))
    assert outcome == Accepted(task_id=TASK)
    [request] = server.requests
    assert (request.method, request.target) == ("POST", path)
    assert request.json == body
    assert_three_headers(request.headers)


def assert_three_headers(headers: Any) -> None:
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-cache"
    assert headers["ocp-apim-subscription-key"] == KEY
    assert not {"authorization", "cookie"} & set(headers)


async def test_with_an_address_the_request_asks_for_a_callback_as_the_page_does(http: GatewayHttp) -> None:
    address = "https://bot.example/hooks/pixazo/token"

    async with serving(answer(202, ACCEPTED)) as server:
        await gateway(http, server.origin).submit(MODEL, ORDER, None, address)
        await gateway(http, server.origin).submit(MODEL, ORDER, None, None)

    called, polled = server.requests
    assert called.body == polled.body
    assert dict(called.headers) == {**polled.headers, "x-webhook-url": address}


@pytest.mark.parametrize(
    ("callback", "task_id"),
    [
        ({"request_id": TASK, "status": "COMPLETED", "output": {"media_url": ["https://cdn.example"]}}, TASK),
        ({"request_id": TASK, "status": "ERROR", "error": "no", "output": None}, TASK),
        ({"request_id": 7}, "7"),
        ({"request_id": {"id": TASK}}, ""),
        ({"request_id": "x" * 501}, ""),
        ([TASK], ""),
        ({}, ""),
    ],
)
async def test_a_callback_is_believed_to_name_a_request_at_most(
    http: GatewayHttp, callback: object, task_id: str
) -> None:
    assert gateway(http, "http://127.0.0.1").named_task(json.dumps(callback).encode()) == task_id


def test_the_table_above_holds_every_order_the_catalogue_allows() -> None:
    def choices(order: VideoRequest) -> tuple[object, ...]:
        return order.mode, order.seconds, order.shape, order.quality

    assert {choices(order) for order in MODEL.orders()} == {choices(order) for order, *_ in ORDERS}


async def test_a_picture_of_ten_megabytes_travels_whole_as_a_data_url(
    http: GatewayHttp, tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(bytes(range(256)) * 40_000)
    picture = Picture(path=path, content_type="image/png", width=1280, height=720, cropped=False)
    url = await data_url(picture)
    assert url.startswith("data:image/png;base64,AAECAwQF")
    order = next(order for order, *_ in ORDERS if order.mode is Mode.IMAGE)
    async with serving(answer(202, ACCEPTED)) as server:
        assert await gateway(http, server.origin).submit(MODEL, order, url) == Accepted(task_id=TASK)
    assert server.requests[0].json["image"] == url


# The submit, exactly


@pytest.mark.parametrize("http_status", [200, 201, 202, 299])
@pytest.mark.parametrize(
    "body",
    [
        ACCEPTED,
        {"request_id": TASK},
        {"request_id": TASK, "status": "IN_QUEUE", "error": "", "response_url": "https://x.example"},
        {"request_id": TASK, "status": "ERROR", "error": "the task itself will say so"},
    ],
)
async def test_any_success_with_a_request_id_is_acceptance(
    http: GatewayHttp, http_status: int, body: dict[str, Any]
) -> None:
    outcome, _ = await submitted(http, answer(http_status, body))
    assert outcome == Accepted(task_id=TASK)


@pytest.mark.parametrize(
    "place",
    ["https://gateway.invalid", f"http://127.0.0.1:{closed_port()}"],
    ids=["name not resolved", "connection refused"],
)
async def test_a_submit_that_finds_no_gateway_may_be_tried_again(http: GatewayHttp, place: str) -> None:
    outcome = await gateway(http, place).submit(MODEL, ORDER, None)
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure.kind, outcome.counts) == (FailureKind.GATEWAY_DOWN, False)


async def test_a_submit_refused_by_tls_was_not_sent_and_may_be_tried_again(http: GatewayHttp) -> None:
    async with serving(answer(202, ACCEPTED)) as server:
        outcome = await gateway(http, server.origin.replace("http:", "https:")).submit(MODEL, ORDER, None)
        assert (server.connections > 0, server.requests) == (True, [])
    assert isinstance(outcome, NotAccepted)


@pytest.mark.parametrize(
    ("http_status", "body"),
    [
        (429, {"error": "Too Many Requests"}),
        (429, b"slow down"),
        (429, b""),
        (200, {"error": "Too Many Requests", "status": 429}),
    ],
)
@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), (None, None)])
async def test_too_many_requests_are_tried_again_after_the_pause_the_gateway_asks_for(
    http: GatewayHttp, http_status: int, body: object, header: str | None, seconds: float | None
) -> None:
    outcome, _ = await submitted(
        http, answer(http_status, body, {"Retry-After": header} if header is not None else {})
    )
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure.kind, outcome.after_seconds, outcome.counts) == (
        FailureKind.RATE_LIMITED,
        seconds,
        False,
    )


@pytest.mark.parametrize(
    ("http_status", "body", "kind"),
    [
        (
            400,
            {"error": "Model not found", "message": "Model 'sora-video' not found or is disabled"},
            FailureKind.MODEL_GONE,
        ),
        (
            402,
            {"error": "Insufficient Balance", "message": "Your wallet does not have enough balance."},
            FailureKind.NO_BALANCE,
        ),
        (403, {"error": "Insufficient Balance"}, FailureKind.NO_BALANCE),
        (401, {"statusCode": 401, "message": "Access denied due to missing key."}, FailureKind.NO_ACCESS),
        (403, {"error": "Forbidden"}, FailureKind.NO_ACCESS),
        (403, {"error": "Content violates our usage policy"}, FailureKind.PROMPT_REFUSED),
        (404, {"error": "Resource not found"}, FailureKind.MODEL_GONE),
        (400, {"error": "Missing required field: prompt", "status": 400}, FailureKind.BAD_REQUEST),
        (400, {"error": {"message": "Unsupported image dimensions 640x480"}}, FailureKind.PICTURE_REFUSED),
        (400, {"detail": "Bad size"}, FailureKind.BAD_REQUEST),
        (200, {"error": "Missing required field: prompt", "status": 400}, FailureKind.BAD_REQUEST),
        (200, {"error": "Unauthorized", "status": 401}, FailureKind.NO_ACCESS),
        (
            200,
            {"status": "ERROR", "error": "Insufficient Balance", "request_id": None},
            FailureKind.NO_BALANCE,
        ),
    ],
)
async def test_a_readable_no_is_final_by_its_class(
    http: GatewayHttp, http_status: int, body: dict[str, Any], kind: FailureKind
) -> None:
    outcome, count = await submitted(http, answer(http_status, body))
    assert isinstance(outcome, Refused)
    assert outcome.failure.kind is kind
    assert count == 1


WHOLE = json.dumps(ACCEPTED).encode()
LOST = {
    "500": answer(500, {"error": "Internal Server Error"}),
    "502": answer(502, {"error": "Failed to reach upstream API", "status": 502}),
    "502 in a success": answer(200, {"error": "Failed to reach upstream API", "status": 502}),
    "503": answer(503, {"error": "Unavailable"}),
    "504": answer(504, {"error": "Gateway timeout"}),
    "520 with HTML": answer(520, b"<html></html>"),
    "500 without a body": answer(500),
    "500 with the request": answer(500, ACCEPTED),
    "400 with the request": answer(400, {"error": "Bad Request", "request_id": TASK}),
    "429 with the request": answer(429, {"error": "Too Many Requests", "request_id": TASK}),
    "400 with HTML": answer(400, b"<html></html>"),
    "403 with HTML": answer(403, b"<html></html>"),
    "202 without a body": answer(202),
    "202 with HTML": answer(202, b"<html></html>"),
    "202 with a list": answer(202, [ACCEPTED]),
    "no request_id": answer(202, {"status": "QUEUED"}),
    "an empty request_id": answer(202, {"request_id": "", "status": "QUEUED"}),
    "a request_id that is an object": answer(202, {"request_id": {"id": TASK}}),
    "a body shorter than it says": Answer(raw=b"HTTP/1.1 202 OK\r\nContent-Length: 5000\r\n\r\n" + WHOLE),
    "a chunked body cut off": Answer(
        raw=b"HTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(WHOLE), WHOLE)
    ),
    "an endless body": Answer(raw=b"HTTP/1.1 202 OK\r\n\r\n", end="endless"),
    "a redirect": answer(308, ACCEPTED | {"request_id": ""}, {"Location": "/elsewhere"}),
    "a reset after the request": Answer(end="reset"),
    "a hang-up after the request": Answer(),
    "a reset in the headers": Answer(raw=b"HTTP/1.1 202 OK\r\nContent-Ty", end="reset"),
}


async def test_a_yes_of_another_shape_is_a_bad_answer_that_is_logged(
    http: GatewayHttp, caplog: pytest.LogCaptureFixture
) -> None:
    outcome, _ = await submitted(http, answer(202, {"video": KEY}))
    assert outcome == Lost(detail='bad answer: HTTP 202: {"video": "[key]"}')
    assert await checked(http, answer(200, b"<html>")) == NoAnswer(detail="bad answer: HTTP 200: <html>")
    assert caplog.text.count("another shape") == 2  # of one gateway each
    assert KEY not in caplog.text


@pytest.mark.parametrize("hostile", LOST.values(), ids=LOST)
async def test_an_answer_that_decides_nothing_loses_the_submit_after_exactly_one_request(
    http: GatewayHttp, hostile: Answer
) -> None:
    outcome, count = await submitted(http, hostile)
    assert isinstance(outcome, Lost)
    assert count == 1


async def test_a_gateway_that_stays_silent_loses_the_submit() -> None:
    async with GatewayHttp(submit_seconds=0.2) as http:
        outcome, count = await submitted(http, Answer(end="hang"))
    assert (type(outcome), count) == (Lost, 1)


# Status answers


@pytest.mark.parametrize("task_id", [TASK, "a/../b?c#d %"])
async def test_a_look_asks_the_universal_route_at_the_own_origin_with_the_three_headers(
    http: GatewayHttp, task_id: str
) -> None:
    async with serving(status("QUEUED", request_id=task_id, polling_url="https://evil.example")) as server:
        assert await gateway(http, server.origin).check(MODEL, task_id) == Running()
    [request] = server.requests
    assert request.method == "GET"
    assert request.target == {
        TASK: f"/v2/requests/status/{TASK}",
        "a/../b?c#d %": "/v2/requests/status/a%2F..%2Fb%3Fc%23d%20%25",
    }.get(task_id)
    assert_three_headers(request.headers)


@pytest.mark.parametrize(
    "word", ["QUEUED", "PROCESSING", "IN_QUEUE", "IN_PROGRESS", "queued", "submitted", "UPLOADING", 7]
)
async def test_statuses_that_end_nothing_are_still_rendering(http: GatewayHttp, word: object) -> None:
    assert await checked(http, status(word)) == Running()


@pytest.mark.parametrize("word", ["COMPLETED", "completed", "SUCCEEDED", "DONE"])
@pytest.mark.parametrize(
    ("output", "urls"),
    [
        ({"media_url": [CLIP], "media_type": "application/octet-stream"}, (CLIP,)),
        (
            {"media_url": [CLIP, "ftp://x.example/a", CLIP, "https://b.example/2.mp4"]},
            (CLIP, "https://b.example/2.mp4"),
        ),
        ({"media_url": CLIP}, (CLIP,)),
        ({"mediaUrl": CLIP}, (CLIP,)),
        ({"url": CLIP}, (CLIP,)),
        ({"output_url": CLIP}, (CLIP,)),
        ({"video_url": CLIP}, (CLIP,)),
        (CLIP, (CLIP,)),
        ([CLIP], (CLIP,)),
        ({"media_url": []}, ()),
        ({}, ()),
        (None, ()),
        (5, ()),
    ],
)
async def test_the_links_of_a_success_are_found_however_they_are_wrapped(
    http: GatewayHttp, word: str, output: object, urls: tuple[str, ...]
) -> None:
    assert await checked(http, status(word, output=output)) == Finished(urls=urls)


@pytest.mark.parametrize(
    ("word", "error", "kind", "charged"),
    [
        ("FAILED", "Generation failed", FailureKind.NO_OUTPUT, None),
        ("FAILED", "The prompt was flagged by moderation", FailureKind.PROMPT_REFUSED, None),
        ("FAILED", None, FailureKind.NO_OUTPUT, None),
        ("CANCELLED", "Cancelled", FailureKind.NO_OUTPUT, None),
        ("ERROR", "Description of the error", FailureKind.GATEWAY_DOWN, False),
        ("error", None, FailureKind.GATEWAY_DOWN, False),
        ("ERROR", "Failed to download the image", FailureKind.PICTURE_REFUSED, False),
        ("ERROR", "Model 'sora-video' not found or is disabled", FailureKind.MODEL_GONE, False),
        ("ERROR", {"message": "Processing timed out"}, FailureKind.TIMED_OUT, False),
    ],
)
async def test_a_failed_task_ends_with_its_words_and_an_error_costs_nothing(
    http: GatewayHttp, word: str, error: object, kind: FailureKind, charged: bool | None
) -> None:
    outcome = await checked(http, status(word, error=error))
    assert isinstance(outcome, Failed)
    assert (outcome.failure.kind, outcome.failure.charged) == (kind, charged)
    if isinstance(error, str):
        assert outcome.failure.detail == error


@pytest.mark.parametrize(
    "script",
    [
        answer(404, {"error": "Request not found"}),
        answer(404, b"<html></html>"),
        answer(200, {}),
        answer(200, {"request_id": TASK, "status": None}),
    ],
)
async def test_a_task_the_gateway_does_not_know_is_missing(http: GatewayHttp, script: Answer) -> None:
    assert isinstance(await checked(http, script), Missing)


SUCCESS = {"request_id": TASK, "status": "COMPLETED", "output": {"media_url": [CLIP]}}


@pytest.mark.parametrize(
    "script",
    [
        answer(500, SUCCESS),
        answer(502, {"error": "Failed to reach upstream API", "status": 502}),
        answer(200, {**SUCCESS, "request_id": "sora-video_of-another"}),
        answer(200, [SUCCESS]),
        answer(200, b"<html></html>"),
        answer(200),
        answer(403, b"<html>Just a moment...</html>"),
        answer(301, SUCCESS, {"Location": "/"}),
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + json.dumps(SUCCESS).encode()),
        Answer(raw=b"HTTP/1.1 200 OK\r\n\r\n", end="endless"),
        Answer(end="reset"),
    ],
)
async def test_a_look_that_shows_nothing_sure_is_no_answer_and_no_verdict(
    http: GatewayHttp, script: Answer
) -> None:
    outcome = await checked(http, script)
    assert isinstance(outcome, NoAnswer)
    assert (outcome.limited, outcome.failure) == (False, None)


async def test_a_look_too_many_says_how_long_to_wait(http: GatewayHttp) -> None:
    outcome = await checked(http, answer(429, {"error": "Too Many Requests"}, {"Retry-After": "9"}))
    assert outcome == NoAnswer(detail="Too Many Requests", after_seconds=9.0, limited=True)


@pytest.mark.parametrize(
    ("http_status", "kind"),
    [(401, FailureKind.NO_ACCESS), (402, FailureKind.NO_BALANCE), (403, FailureKind.NO_ACCESS)],
)
async def test_a_look_refused_for_its_key_says_so_and_ends_no_task(
    http: GatewayHttp, http_status: int, kind: FailureKind
) -> None:
    outcome = await checked(http, answer(http_status, {"error": "No"}))
    assert isinstance(outcome, NoAnswer)
    assert outcome.failure.kind is kind


async def test_pixazo_tells_no_balance_and_is_not_asked_for_it(http: GatewayHttp) -> None:
    async with serving(answer(200)) as server:
        pixazo = gateway(http, server.origin)
        assert not pixazo.tells_balance
        assert await pixazo.balance() == NoAnswer(detail="Pixazo tells no balance")
        assert server.connections == 0


# The key in an answer


@pytest.mark.parametrize(
    "script",
    [
        answer(400, {"error": KEY, "message": KEY}),
        answer(400, {"error": {"detail": KEY}}),
        answer(401, {"statusCode": 401, "message": f"No subscription {KEY}"}),
        answer(429, KEY.encode()),
        answer(500, {"error": KEY}),
        answer(404, KEY.encode()),
        answer(200, {"status": "FAILED", "error": KEY}),
        answer(200, {"status": "ERROR", "error": KEY}),
        answer(200, f"<html>{KEY}</html>".encode()),
        Answer(raw=f"HTTP/1.1 {KEY}\r\n\r\n".encode()),
    ],
)
async def test_a_key_that_a_gateway_echoes_is_in_no_words(http: GatewayHttp, script: Answer) -> None:
    outcome, _ = await submitted(http, script)
    look = await checked(http, script)
    assert KEY not in f"{outcome} {look}"


async def test_a_redirect_is_not_followed_and_the_key_stays_at_home(http: GatewayHttp) -> None:
    async with (
        serving(answer(202, ACCEPTED)) as thief,
        serving(answer(307, b"", {"Location": f"{thief.origin}/steal"})) as server,
    ):
        pixazo = gateway(http, server.origin)
        assert isinstance(await pixazo.submit(MODEL, ORDER, None), Lost)
        assert isinstance(await pixazo.check(MODEL, TASK), NoAnswer)
    assert thief.connections == 0
