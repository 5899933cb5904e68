"""Callbacks over real HTTP: how a gateway, a forger and a flood are answered, and what comes of it."""

import asyncio
import base64
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.callbacks import Callbacks
from bot.gateways.apixo import ApixoGateway
from bot.gateways.http import GatewayHttp
from bot.hooks import MOST_BODY_BYTES, Hooks
from bot.models import Job, Stage
from bot.redaction import HOOK_PREFIX
from bot.web import serve
from storage.hooks import HookStore
from tests.books import NOON, Books, open_books
from tests.clock import FakeClock

PUBLIC = "https://bot.example/video"
ENDED = {"code": 200, "message": "success", "data": {"taskId": "task_1", "state": "success"}}


class Bot:
    """What the receiver hands on: it looks at nothing and asks for nothing."""

    def __init__(self) -> None:
        self.looks: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.counted: list[str] = []

    def look_now(self, job_id: str) -> None:
        self.looks.append(job_id)

    async def named(self, job: Job, task_id: str) -> None:
        self.asked.append((job.job_id, task_id))
        await self.answers.wait()

    def called_back(self, outcome: str) -> None:
        self.counted.append(outcome)


@dataclasses.dataclass
class Place:
    """A receiver at an address of its own, and short ways to call it."""

    books: Books
    bot: Bot
    callbacks: Callbacks
    hooks: Hooks
    clock: FakeClock
    session: aiohttp.ClientSession
    port: int = 0

    async def job(self, stage: Stage = Stage.RENDERING) -> Job:
        """Bring a job with a callback to a stage."""
        placed = await self.books.place(micros=1)
        job = await self.books.jobs.start_submit(
            placed.job_id, hook_token=self.callbacks.new_token(), now=NOON
        )
        assert job is not None
        assert self.callbacks.address(job) == f"{PUBLIC}/hooks/apixo/{job.hook_token}"
        match stage:
            case Stage.SUBMITTING:
                moved = job
            case Stage.UNCERTAIN:
                moved = await self.books.jobs.lose_sight(job.job_id, "no answer", now=NOON)
            case _:
                moved = await self.books.jobs.submit_accepted(job.job_id, f"task of {job.job_id}", now=NOON)
        assert moved is not None
        return moved

    async def ended(self) -> Job:
        """Bring a job with a callback to where it waits for none."""
        job = await self.job()
        await self.books.jobs.rendered(job.job_id, ["https://cdn.example/a.mp4"], now=NOON)
        ended = await self.books.jobs.get(job.job_id)
        assert ended is not None
        return ended

    async def call(self, job: Job | str, body: Any = ENDED, *, gateway: str = "apixo", **more: Any) -> int:
        """Post a callback; return the status of the answer, whose body must be empty."""
        token = job if isinstance(job, str) else job.hook_token
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.request("POST", f"/hooks/{gateway}/{token}", data=data, **more)

    async def request(self, method: str, path: str, **more: Any) -> int:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.session.request(method, url, **more) as response:
            assert response.status in {405, 404} or not await response.read()
            return response.status


@contextlib.asynccontextmanager
async def open_place(folder: Path, public_url: str | None = PUBLIC) -> AsyncIterator[Place]:
    async with contextlib.AsyncExitStack() as stack:
        clock = FakeClock(NOON)
        books = await stack.enter_async_context(open_books(folder))
        http = await stack.enter_async_context(GatewayHttp())
        session = await stack.enter_async_context(aiohttp.ClientSession())
        store = HookStore(books.database, books.jobs)
        callbacks = Callbacks(public_url, store)
        await callbacks.load()
        bot = Bot()
        hooks = Hooks(
            callbacks=callbacks,
            store=store,
            gateways={
                "apixo": ApixoGateway(
                    http, name="apixo", base_url="http://x", key="a-key-of-tests", route="auto"
                )
            },
            looks=bot,
            uncertain=bot,
            counts=bot,
            clock=clock.now,
            sleep=clock.sleep,
            body_seconds=0.05,
        )
        app = web.Application()
        app.add_routes(hooks.routes())
        port = await stack.enter_async_context(serve(app, "127.0.0.1", 0))
        yield Place(books, bot, callbacks, hooks, clock, session, port)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with open_place(tmp_path) as opened:
        yield opened


# What is believed


@pytest.mark.parametrize(
    "body",
    [
        ENDED,
        {
            "code": 200,
            "message": "success",
            "data": {"taskId": "another", "state": "failed", "failCode": "X"},
        },
        {"data": {"state": "success", "resultJson": '{"resultUrls": ["https://evil.example/clip.mp4"]}'}},
        {},
        b"",
        b"\xff\xfe\x00",
        b"[" * 60_000,
        b"x" * MOST_BODY_BYTES,
    ],
)
async def test_whatever_a_callback_says_its_job_is_looked_at_and_nothing_else_happens(
    place: Place, body: object
) -> None:
    job = await place.job()

    assert await place.call(job, body) == 200

    assert place.bot.looks == [job.job_id]
    assert await place.books.jobs.get(job.job_id) == job
    assert not place.bot.asked


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"Content-Type": "image/png"},
        {"Content-Type": "application/json; charset=utf-7"},
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "br"},
        {"Expect": "100-continue"},
        {"X-Forwarded-For": "10.0.0.1", "Forwarded": "for=10.0.0.1", "X-Real-IP": "::1"},
        {"X-HTTP-Method-Override": "DELETE", "Cookie": "a=b"},
    ],
)
async def test_no_header_keeps_a_callback_from_being_taken(place: Place, headers: dict[str, str]) -> None:
    job = await place.job()

    assert await place.call(job, headers=headers) == 200

    assert place.bot.looks == [job.job_id]


async def test_a_callback_may_come_again_and_late(place: Place) -> None:
    job = await place.job()
    assert [await place.call(job) for _ in range(4)] == [200] * 4  # as often as a gateway tries
    await place.books.jobs.rendered(job.job_id, ["https://cdn.example/a.mp4"], now=NOON)
    before = await place.books.jobs.get(job.job_id)

    assert await place.call(job) == 200

    assert place.bot.looks == [job.job_id] * 5
    assert await place.books.jobs.get(job.job_id) == before
    assert place.bot.counted[-1] == "late"


# Who is not answered


@pytest.mark.parametrize("token", ["x" * 43, "short", "..", "%00", "%2e%2e", "a%2Fb", "'--", "x" * 4000])
async def test_a_token_of_nobody_gets_404(place: Place, token: str) -> None:
    await place.job()

    assert await place.call(token) == 404

    assert not place.bot.looks


async def test_a_token_is_good_for_its_own_gateway_only(place: Place) -> None:
    job = await place.job()
    ended = await place.ended()

    statuses = [
        await place.call(job, gateway=gateway) for gateway in ("pixazo", "sandbox-apixo", "Apixo", "ap%69xo")
    ]

    assert statuses == [404, 404, 404, 200]  # the last is only another spelling
    assert await place.call(ended, gateway="pixazo") == 404


async def test_a_token_of_an_earlier_try_is_nobodys(place: Place) -> None:
    first = await place.job(Stage.SUBMITTING)
    await place.books.jobs.submit_not_accepted(first.job_id, "busy", counts=True, now=NOON)
    token = place.callbacks.new_token()
    second = await place.books.jobs.start_submit(first.job_id, hook_token=token, now=NOON)
    assert second is not None

    place.callbacks.address(second)
    await place.call(first)

    assert not place.bot.looks
    assert second.hook_token not in {None, first.hook_token}
    assert (await place.books.jobs.get(first.job_id)) == second


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_a_callback_is_a_post(place: Place, method: str) -> None:
    job = await place.job()

    assert await place.request(method, f"/hooks/apixo/{job.hook_token}") == 405
    assert not place.bot.looks


async def test_a_body_longer_than_any_callback_is_refused_however_it_comes(place: Place) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 16_384
            await asyncio.sleep(0)

    job = await place.job()

    assert await place.call(job, b"x" * (MOST_BODY_BYTES + 1)) == 413
    with contextlib.suppress(aiohttp.ClientError):  # it may still write when the connection closes
        assert await place.request("POST", f"/hooks/apixo/{job.hook_token}", data=endless()) == 413

    assert not place.bot.looks
    assert place.bot.counted == ["too long"] * 2


async def test_a_body_that_does_not_end_is_not_waited_for(place: Place) -> None:
    job = await place.job()
    head = f"POST /hooks/apixo/{job.hook_token} HTTP/1.1\r\nHost: bot\r\nContent-Length: 9\r\n\r\n{{"
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)

    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert not place.bot.looks


# How much is taken


async def test_one_token_is_taken_so_often_and_others_do_not_suffer(place: Place) -> None:
    noisy, quiet = await place.job(), await place.job()
    forged = [{"X-Forwarded-For": f"10.0.0.{number}"} for number in range(20)]

    statuses = [await place.call(noisy, headers=headers) for headers in forged]

    assert statuses == [200] * 8 + [429] * 12
    assert await place.call(quiet) == 200
    await place.clock.advance(15)
    assert [await place.call(noisy) for _ in range(2)] == [200, 429]
    assert place.bot.looks == [noisy.job_id] * 8 + [quiet.job_id, noisy.job_id]


async def test_a_flood_of_made_up_tokens_asks_the_database_for_few_and_keeps_out_no_callback(
    place: Place,
) -> None:
    ended = await place.ended()
    job = await place.job()
    plans = await place.books.plans(_flood(place, 500))

    lookups = [plan for plan in plans if "jobs_by_hook_token" in plan]
    assert 0 < len(lookups) <= 60
    assert await place.call(job) == 200
    assert await place.call(ended) == 200


async def _flood(place: Place, times: int) -> None:
    statuses = await asyncio.gather(*(place.call(f"{number:043}") for number in range(times)))
    assert set(statuses) == {404}


# A job whose task nobody knows


@pytest.mark.parametrize("stage", [Stage.SUBMITTING, Stage.UNCERTAIN])
async def test_the_task_that_a_callback_names_is_on_disk_when_the_gateway_reads_200(
    place: Place, stage: Stage
) -> None:
    job = await place.job(stage)

    assert await place.call(job) == 200

    assert await place.books.jobs.get(job.job_id) == dataclasses.replace(job, named_task_id="task_1")


async def test_where_nothing_can_be_written_the_gateway_is_told_to_call_again(place: Place) -> None:
    job = await place.job(Stage.UNCERTAIN)
    await place.books.write("CREATE TRIGGER full BEFORE UPDATE ON jobs BEGIN SELECT RAISE(FAIL, 'full'); END")

    assert await place.call(job) == 503
    await place.books.write("DROP TRIGGER full")

    assert await place.call(job) == 200
    assert place.bot.counted == ["failed", "named"]


async def test_a_named_task_is_asked_for_once_at_a_time_and_ever_more_rarely(place: Place) -> None:
    job = await place.job(Stage.UNCERTAIN)
    place.bot.answers.clear()
    running = asyncio.create_task(place.hooks.run())

    for _ in range(3):
        await place.call(job)
        await _rest(place)
    assert place.bot.asked == [(job.job_id, "task_1")]
    place.bot.answers.set()
    times = []
    for minute in range(1, 17):
        await place.clock.advance(60)
        await _rest(place)
        if len(place.bot.asked) > len(times) + 1:
            times.append(minute)

    assert times == [1, 3, 7, 15]
    running.cancel()


async def test_a_new_callback_is_asked_about_at_once(place: Place) -> None:
    job = await place.job(Stage.UNCERTAIN)
    running = asyncio.create_task(place.hooks.run())

    for task_id in ("task_1", "task_1", "task_2"):
        await place.call(job, {"data": {"taskId": task_id}})
        await _rest(place)

    assert [task_id for _, task_id in place.bot.asked] == ["task_1", "task_1", "task_2"]
    running.cancel()


async def test_many_callbacks_of_one_moment_end_nothing(place: Place) -> None:
    running = asyncio.create_task(place.hooks.run())
    jobs = [await place.job(Stage.UNCERTAIN) for _ in range(10)]

    for job in jobs:
        assert await asyncio.gather(*(place.call(job) for _ in range(8))) == [200] * 8
    await _rest(place)

    assert not running.done()
    assert set(place.bot.asked) == {(job.job_id, "task_1") for job in jobs}
    running.cancel()


async def test_a_callback_that_comes_before_the_answer_to_its_order_is_remembered(place: Place) -> None:
    lost, found = await place.job(Stage.SUBMITTING), await place.job(Stage.SUBMITTING)
    running = asyncio.create_task(place.hooks.run())
    for job in (lost, found):
        await place.call(job, {"data": {"taskId": f"task of {job.job_id}"}})
    await place.clock.advance(30)
    await _rest(place)
    assert not place.bot.asked

    await place.books.jobs.lose_sight(lost.job_id, "cut", now=NOON)
    await place.books.jobs.submit_accepted(found.job_id, f"task of {found.job_id}", now=NOON)
    await place.clock.advance(1)
    await _rest(place)

    assert place.bot.asked == [(lost.job_id, f"task of {lost.job_id}")]
    running.cancel()


async def test_a_callback_without_a_task_tells_nothing_of_a_job_that_has_none(place: Place) -> None:
    job = await place.job(Stage.UNCERTAIN)

    assert await place.call(job, b"task_1") == 200

    assert place.bot.counted == ["nameless"]
    assert await place.books.jobs.get(job.job_id) == job


async def test_a_restart_asks_for_what_was_named_and_knows_every_token_again(tmp_path: Path) -> None:
    async with open_place(tmp_path) as before:
        named, rendering = await before.job(Stage.UNCERTAIN), await before.job()
        ended = await before.ended()
        await before.call(named)

    async with open_place(tmp_path) as after:
        running = asyncio.create_task(after.hooks.run())
        await _rest(after)
        statuses = [await after.call(job) for job in (named, rendering, ended)]
        running.cancel()

        assert after.bot.asked[:1] == [(named.job_id, "task_1")]
        assert statuses == [200, 200, 200]
        assert [after.callbacks.is_expected("apixo", job.hook_token or "") for job in (rendering, ended)] == [
            True,
            False,
        ]


async def test_without_a_public_address_no_job_has_a_callback_and_nothing_is_served(tmp_path: Path) -> None:
    async with open_place(tmp_path, public_url=None) as place:
        assert place.callbacks.new_token() is None
        assert await place.call("x" * 43) == 404
        assert not place.hooks.routes()


async def test_a_proxy_may_keep_the_path_of_the_public_address(place: Place) -> None:
    job = await place.job()

    assert await place.request("POST", f"/video/hooks/apixo/{job.hook_token}") == 200
    assert await place.request("POST", f"/other/hooks/apixo/{job.hook_token}") == 404


async def test_tokens_cannot_be_guessed_and_are_not_printed(place: Place) -> None:
    jobs = [await place.job() for _ in range(3)]

    tokens = [job.hook_token or "" for job in jobs]
    assert len(set(tokens)) == 3
    assert all(len(base64.urlsafe_b64decode(f"{token.removeprefix(HOOK_PREFIX)}=")) == 32 for token in tokens)
    assert not any(token in repr(job) for job, token in zip(jobs, tokens, strict=True))


async def _rest(place: Place) -> None:
    """Let the receiver do, over several turns of the disk, what it has to."""
    for _ in range(10):
        await place.books.rows("SELECT 1")
        await place.clock.settle()
