"""What an operator sees of a running bot: /healthz, /readyz, /metrics and the story of each job."""

import asyncio
import datetime as dt
import functools
import logging
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.catalogue_tables import load_catalogue
from bot.errors import StorageTrouble
from bot.gateways.base import (
    Accepted,
    Checked,
    Failed,
    Finished,
    Gateway,
    Lost,
    Missing,
    NoAnswer,
    NotAccepted,
    Refused,
    Running,
    Submitted,
)
from bot.gateways.metered import MeteredGateway
from bot.health import Health
from bot.inventory import Inventory
from bot.metrics import Metrics, discord_kind
from bot.models import Account, Failure, FailureKind, Mode, Shape, Stage, Step, VideoRequest, utc_now
from bot.readiness import Readiness
from bot.scrape import Scrape
from bot.story import stage_seconds
from bot.track import Track
from bot.troubles import Trouble
from storage.gauges import GaugeStore
from storage.track import TrackStore
from tests.acting import world_with_a_waiting_job
from tests.books import CENT, NOON, Books, open_books
from tests.fake_apixo import envelope, state
from tests.world import PUBLIC_URL, SteppedTime, World, open_world

MODEL = "apixo/sora-2"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with open_world(tmp_path, public_url=PUBLIC_URL) as opened:
        yield opened


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


async def get(world: World, path: str) -> tuple[int, Any]:
    """Ask the bot's own web server."""
    address = f"http://127.0.0.1:{world.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        is_json = answer.content_type == "application/json"
        return answer.status, await answer.json() if is_json else await answer.text()


def number(page: str, name: str, **labels: str) -> float | None:
    """Find one number on a page of metrics, by its name and all its labels."""
    found = [
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return found[0] if found else None


def stories(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return what the log tells of jobs that ended."""
    return [vars(record) for record in caplog.records if record.message == "job ended"]


async def test_one_line_tells_a_job_s_whole_story_at_its_end(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world.gateway.submits.append(envelope(None, code=503, status=503, message="busy"))
    await world.create(prompt="a fox", model=MODEL, seconds=10)
    await world.settled()
    world.gateway.looks.append(state("failed", failCode="CONTENT_VIOLATION", failMsg="a face"))
    await world.create(prompt="a face", model=MODEL, seconds=10)
    await world.settled()

    good, bad = stories(caplog)

    job = (await world.jobs())[1]
    assert job.finished_at is not None
    assert (good["levelname"], good["result"], good["model"]) == ("INFO", "done", MODEL)
    assert (good["tries"], good["looks"], good["clip_seconds"]) == (2, 1, 10)
    assert good["cost"] == f"${job.settled_micros / 1_000_000:.2f}"
    assert good["total_seconds"] == round((job.finished_at - job.created_at).total_seconds(), 1)
    stages = ["queued", "submitting", "rendering", "fetching", "delivering"]
    parts = [good[f"{stage}_seconds"] for stage in stages]
    assert sum(parts) == pytest.approx(good["total_seconds"], abs=0.3)
    assert good["rendering_seconds"] >= 10
    assert (bad["result"], bad["looks"], bad["cost"]) == (FailureKind.PROMPT_REFUSED, 1, "$0.00")
    await world.restart()
    await world.settled()
    assert len(stories(caplog)) == 2


async def test_the_story_of_a_job_that_was_cancelled_is_told_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with world_with_a_waiting_job(tmp_path) as world:
        job = await world.job()
        await world.ask("video cancel", job=job.job_id)
        await world.settled()

    (story,) = [story for story in stories(caplog) if story["result"] == "cancelled"]
    assert (story["tries"], story["looks"], story["cost"]) == (0, 0, "$0.00")
    assert story["queued_seconds"] == story["total_seconds"]


async def test_ready_names_each_check_and_what_is_wrong_with_it(world: World) -> None:
    assert await get(world, "/healthz") == (200, "ok\n")
    status, body = await get(world, "/readyz")
    assert (status, body["ready"]) == (200, True)
    assert set(body["checks"].values()) == {"ok"}
    assert list(body["checks"]) == ["database", "discord", "worker", "disk", "clock"]

    world.app.bot.dispatch("disconnect")
    await world.until(lambda: not world.app.bot.is_online)
    status, body = await get(world, "/readyz")
    assert (status, body["ready"], body["checks"]["discord"]) == (503, False, "not connected")
    assert body["checks"]["worker"] == "ok"
    world.app.bot.dispatch("resumed")
    await world.until(lambda: world.app.bot.is_online)

    world.app.health.notice(Trouble.DISK_FULL, "database or disk is full")
    status, body = await get(world, "/readyz")
    assert (status, body["checks"]["database"]) == (503, "ok")
    assert "disk is full" in body["checks"]["disk"]
    world.app.health.mend(Trouble.DISK_FULL)
    assert (await get(world, "/readyz"))[0] == 200

    await world.time.move_until(world.app.stop())
    status, body = await get(world, "/readyz")
    assert (status, body["checks"]["discord"]) == (503, "not connected")
    assert body["checks"]["worker"].startswith("not running: ")
    assert "worker" in body["checks"]["worker"].partition(": ")[2]
    assert await get(world, "/healthz") == (200, "ok\n")


class Stuck:
    """A database that does not answer before it may, and a Discord that always does."""

    is_online = True

    def __init__(self, error: Exception | None = None) -> None:
        self.asked = 0
        self.may = asyncio.Event()
        self._error = error

    async def answers(self) -> None:
        self.asked += 1
        await self.may.wait()
        if self._error is not None:
            raise self._error


async def test_a_database_that_hangs_is_told_in_time_and_asked_once() -> None:
    stuck = Stuck()
    readiness = Readiness(
        store=stuck, session=stuck, health=Health(clock=utc_now), idle_parts=set, most_seconds=0.01
    )

    assert (await readiness.problems())["database"] == "no answer within 0.01 s"
    assert (await readiness.problems())["database"] == "no answer within 0.01 s"
    assert stuck.asked == 1
    stuck.may.set()
    assert (await readiness.problems())["database"] == ""
    assert (await readiness.problems())["database"] == ""
    assert stuck.asked == 2


async def test_why_a_database_cannot_be_read_is_told_without_what_it_was_asked() -> None:
    for error, told in (
        (StorageTrouble(Trouble.CORRUPT, "database disk image is malformed"), "disk image is malformed"),
        (RuntimeError("SELECT a secret"), "cannot be read: RuntimeError"),
    ):
        stuck = Stuck(error)
        stuck.may.set()
        readiness = Readiness(store=stuck, session=stuck, health=Health(clock=utc_now), idle_parts=set)
        assert (await readiness.problems())["database"].endswith(told)


async def test_metrics_tell_of_jobs_money_requests_and_callbacks(world: World) -> None:
    await world.create(prompt="a fox", model=MODEL, seconds=10)
    await world.settled()
    world.gateway.submits.append(envelope(None, code=429, status=429, message="slowly"))
    world.gateway.keep_rendering()
    await world.create(prompt="a hen", model=MODEL, seconds=10)
    hen = await world.reached(Stage.RENDERING)
    await world.until(lambda: world.gateway.tasks[hen.task_id or ""].looks)
    await world.call_back(world.gateway.callback(hen.task_id or ""))
    spent, held = await world.sums()

    page = (await get(world, "/metrics"))[1]

    def shown(name: str, **labels: str) -> float:
        return number(page, f"video_bot_{name}", **labels) or 0

    asked = functools.partial(shown, "gateway_requests_total", gateway="apixo")
    assert shown("jobs", stage="rendering", model=MODEL) == 1
    assert shown("jobs_ended_total", model=MODEL, result="done") == 1
    assert shown("stage_seconds_count", stage="rendering", model=MODEL) == 1
    assert asked(request="submit", outcome="accepted") == 2
    assert asked(request="submit", outcome="limited") == 1
    assert asked(request="check", outcome="finished") == 1
    assert asked(request="check", outcome="running") >= 1
    assert shown("held_dollars", account="real") == held / 1_000_000 > 0
    assert shown("settled_dollars", account="real") == spent / 1_000_000 > 0
    assert number(page, "video_bot_held_dollars", account="sandbox") == 0
    assert shown("callbacks_total", outcome="look") == 1
    assert shown("database_write_seconds_count") > 10
    assert (number(page, "process_resident_memory_bytes") or 0) > 0


async def test_numbers_of_the_database_are_read_every_few_seconds_only(books: Books) -> None:
    time = SteppedTime(NOON)
    track = Track(TrackStore(books.database), clock=time.now)
    scrape = Scrape(Metrics(), GaugeStore(books.database), track=track, clock=time.now)
    await books.place(30 * CENT)

    async def queued() -> tuple[float | None, float | None]:
        page = (await scrape.page()).decode()
        count = number(page, "video_bot_jobs", stage="queued", model="apixo/sora-2-pro")
        return count, number(page, "video_bot_held_dollars", account="real")

    assert await queued() == (1, 0.3)
    await books.place(20 * CENT)
    assert await queued() == (1, 0.3)
    time.jump(seconds=5)
    assert await queued() == (2, 0.5)
    time.jump(days=-1)  # a clock that was set back holds nothing up
    await books.place(20 * CENT)
    assert await queued() == (3, 0.7)


async def test_a_stage_without_jobs_is_told_no_more(books: Books) -> None:
    metrics, store = Metrics(), GaugeStore(books.database)
    job = await books.place(30 * CENT)

    async def told() -> bool:
        metrics.jobs_are(await store.open_jobs())
        page = metrics.page().decode()
        return number(page, "video_bot_jobs", stage="queued", model=job.request.model) is not None

    assert await told()
    await books.jobs.cancel(job.job_id, by="by its member", now=NOON)
    assert not await told()
    assert (await store.money())[Account.REAL] == (0, 0)


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/api/v10/channels/1/messages", "post"),
        ("PATCH", "/api/v10/channels/1/messages/2", "edit"),
        ("GET", "/api/v10/channels/1/messages", "look"),
        ("GET", "/api/v10/channels/1/messages/2", "look"),
        ("POST", "/api/v10/interactions/1/a-token/callback", "answer"),
        ("PATCH", "/api/v10/webhooks/1/a-token/messages/@original", "answer"),
        ("GET", "/api/v10/users/@me", "other"),
        ("GET", "/api/v10/guilds/1/members/2", "other"),
        ("GET", "/api/v10/channels/1", "other"),
        ("DELETE", "/api/v10/channels/1/messages/2", "other"),
    ],
)
def test_a_request_to_discord_is_of_one_kind(method: str, path: str, kind: str) -> None:
    assert discord_kind(method, path) == kind


class Told:
    """A gateway that answers what it was told."""

    name = "apixo"
    tells_balance = True
    tells_models = True
    aborts = True
    calls_back = True

    def __init__(self, answer: Submitted | Checked | int | Inventory) -> None:
        self.answer: Any = answer

    async def submit(self, *_: object, **__: object) -> Submitted:
        return self.answer

    async def check(self, *_: object, **__: object) -> Checked:
        return self.answer

    async def abort(self, *_: object, **__: object) -> bool:
        return self.answer

    def headers_for(self, url: str) -> Mapping[str, str]:
        return {"seen": url}

    async def balance(self) -> int | NoAnswer:
        return self.answer

    async def inventory(self) -> Inventory | Missing | NoAnswer:
        return self.answer

    def named_task(self, callback: bytes) -> str:
        return callback.decode()


_DOWN = Failure(kind=FailureKind.GATEWAY_DOWN)
_LIMITED = Failure(kind=FailureKind.RATE_LIMITED)


@pytest.mark.parametrize(
    ("request_kind", "answer", "outcome"),
    [
        ("submit", Accepted(task_id="t"), "accepted"),
        ("submit", NotAccepted(failure=_DOWN), "not accepted"),
        ("submit", NotAccepted(failure=_LIMITED), "limited"),
        ("submit", Refused(failure=_DOWN), "refused"),
        ("submit", Lost(detail="cut"), "lost"),
        ("check", Running(), "running"),
        ("check", Finished(urls=()), "finished"),
        ("check", Failed(failure=_DOWN), "failed"),
        ("check", Missing(detail="?"), "missing"),
        ("check", NoAnswer(detail="?"), "no answer"),
        ("check", NoAnswer(detail="?", limited=True), "limited"),
        ("balance", 5, "told"),
        ("balance", NoAnswer(detail="?"), "no answer"),
        ("inventory", Inventory(models={}), "told"),
        ("inventory", Missing(detail="?"), "missing"),
    ],
)
async def test_each_answer_of_a_gateway_is_passed_on_and_counted(
    request_kind: str, answer: Submitted | Checked | int | Inventory, outcome: str
) -> None:
    metrics, model = Metrics(), load_catalogue(None).models[MODEL]
    gateway: Gateway = MeteredGateway(Told(answer), metrics)
    order = VideoRequest(model=MODEL, mode=Mode.TEXT, prompt="a fox", seconds=4, shape=Shape.LANDSCAPE)

    match request_kind:
        case "submit":
            given = await gateway.submit(model, order, None)
        case "check":
            given = await gateway.check(model, "t")
        case "inventory":
            given = await gateway.inventory()
        case _:
            given = await gateway.balance()

    assert given == answer
    assert gateway.named_task(b"t") == "t"
    labels = {"gateway": "apixo", "request": request_kind, "outcome": outcome}
    assert number(metrics.page().decode(), "video_bot_gateway_requests_total", **labels) == 1


def test_times_in_a_stage_are_added_up_and_never_negative() -> None:
    def at(seconds: float) -> dt.datetime:
        return NOON + dt.timedelta(seconds=seconds)

    steps = [
        Step(stage=Stage.QUEUED, note="ordered", at=at(0)),
        Step(stage=Stage.SUBMITTING, note="", at=at(3)),
        Step(stage=Stage.QUEUED, note="busy", at=at(4)),
        Step(stage=Stage.SUBMITTING, note="", at=at(9)),
        Step(stage=Stage.RENDERING, note="", at=at(8)),  # the clock was set back
        Step(stage=Stage.FAILED, note="", at=at(200)),
    ]

    assert stage_seconds(steps) == {Stage.QUEUED: 8, Stage.SUBMITTING: 1, Stage.RENDERING: 192}
    assert stage_seconds(steps[:1]) == {}
