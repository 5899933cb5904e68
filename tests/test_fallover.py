"""Another model goes on where `auto` chose one that failed: once, for no more money, and never for two tasks."""

import contextlib
import dataclasses
import io
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa

from bot import messages
from bot.catalogue import Catalogue, Model
from bot.fallover import FallOver, Fits, may_fall_over
from bot.models import (
    Account,
    Budget,
    Charge,
    DraftStage,
    Failure,
    FailureKind,
    Job,
    Mode,
    NewJob,
    Picture,
    Quote,
    Shape,
    Stage,
    VideoRequest,
)
from bot.quotas import Layer, Limit, Measure
from storage.fallover import FallOverStore
from storage.ledger import Scope
from storage.proof import prove_ledger
from storage.servers import ServerStore
from tests.acting import click, press_at_once
from tests.books import CENT, DOLLAR, NOON, UTC_POLICY, Books, new_job, open_books
from tests.fake_apixo import FakeApixo, cut, envelope, raw, state
from tests.world import World, open_world, picture

FIRST, SECOND = "apixo/sora-2-pro", "other/clip"
DOWN = Failure(kind=FailureKind.GATEWAY_DOWN, detail="upstream error", code="503")
FREE_END = Failure(kind=FailureKind.NO_OUTPUT, detail="it broke", charged=False)
MODELS = Catalogue.load().models
PIXAZO = MODELS["pixazo/sora-2-pro"].request(mode=Mode.TEXT, prompt="a fox")  # $1.50
SORA = MODELS["apixo/sora-2"].request(mode=Mode.TEXT, prompt="a fox")
RICH = dataclasses.replace(UTC_POLICY, default_member_micros=10 * DOLLAR)


# Which failures another model may go on after


def failed_job(**changes: Any) -> Job:
    job = {
        "is_auto": True,
        "fell_from": None,
        "task_id": None,
        "charge": Charge(budget=Budget.MEMBER),
        **changes,
    }
    return cast("Job", SimpleNamespace(**job))


@pytest.mark.parametrize("kind", FailureKind)
def test_what_was_refused_before_a_task_goes_on_unless_its_wish_was(kind: FailureKind) -> None:
    never = {
        FailureKind.PROMPT_REFUSED,
        FailureKind.PICTURE_REFUSED,
        FailureKind.VIDEO_REFUSED,
        FailureKind.SUBMIT_LOST,
        FailureKind.NO_VERDICT,
        FailureKind.RELEASED,
        FailureKind.NO_CARD,
    }
    assert may_fall_over(failed_job(), Failure(kind=kind)) is (kind not in never)


@pytest.mark.parametrize("charged", [None, True, False])
@pytest.mark.parametrize("kind", FailureKind)
def test_a_task_that_failed_goes_on_only_where_its_gateway_was_at_fault_and_took_nothing(
    kind: FailureKind, charged: bool | None
) -> None:
    faults = {
        FailureKind.NO_ACCESS,
        FailureKind.NO_BALANCE,
        FailureKind.RATE_LIMITED,
        FailureKind.GATEWAY_DOWN,
        FailureKind.MODEL_GONE,
        FailureKind.TIMED_OUT,
        FailureKind.NO_OUTPUT,
        FailureKind.BAD_FILE,
    }
    may = may_fall_over(failed_job(task_id="task"), Failure(kind=kind, charged=charged))
    assert may is (kind in faults and charged is False)


@pytest.mark.parametrize(
    "changes",
    [{"is_auto": False}, {"fell_from": FIRST}, {"charge": Charge(budget=Budget.APPROVAL)}],
    ids=["chosen by its member", "a second time", "approved by staff"],
)
def test_jobs_that_no_other_model_goes_on_with(changes: dict[str, Any]) -> None:
    assert not may_fall_over(failed_job(**changes), DOWN)


# The books


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened
        assert proof(opened) == []


def proof(books: Books) -> list[str]:
    out = io.StringIO()
    prove_ledger(books.database.path, out)
    return out.getvalue().splitlines()[:-1]


def next_of(job: Job, micros: int) -> NewJob:
    """What would go on for a job, at a price."""
    return new_job(
        micros,
        origin=f"fallover:{job.job_id}:7",
        request=PIXAZO,
        gateway="pixazo",
        is_auto=True,
        fell_from=job.request.model,
    )


async def test_one_transaction_ends_the_first_and_holds_the_lower_price_for_the_next(books: Books) -> None:
    store = FallOverStore(books.database, books.orders)
    job = await books.bring(await books.place(30 * CENT, is_auto=True), Stage.SUBMITTING)
    new = next_of(job, 20 * CENT)

    successor = await store.fall_over(job, DOWN, new, UTC_POLICY, now=NOON)

    first = await books.jobs.get(job.job_id)
    assert successor is not None
    assert first is not None
    assert (first.stage, first.failure, first.fell_to) == (Stage.FAILED, DOWN, successor.job_id)
    assert first.told_stage is Stage.FAILED  # by its card
    assert await books.entries(first) == [("hold", 30 * CENT), ("release", 30 * CENT)]
    assert (successor.stage, successor.gateway, successor.fell_from) == (Stage.QUEUED, "pixazo", FIRST)
    assert (successor.created_at, successor.held_micros) == (job.created_at, 20 * CENT)
    assert (await books.sums()).held_micros == 20 * CENT
    assert (await books.total(Scope.KEY, "apixo")).held_micros == 0
    assert (await books.total(Scope.KEY, "pixazo")).held_micros == 20 * CENT
    await books.bring(successor, Stage.DONE)
    assert (await books.sums()).spent_micros == 20 * CENT


async def test_a_fall_over_that_was_written_already_gives_the_same_job(books: Books) -> None:
    store = FallOverStore(books.database, books.orders)
    job = await books.bring(await books.place(is_auto=True), Stage.RENDERING)
    told = [
        await store.fall_over(job, FREE_END, next_of(job, 30 * CENT), UTC_POLICY, now=NOON) for _ in range(2)
    ]
    assert told[0] is not None
    assert told[0] == told[1]
    assert await books.entries(job) == [("hold", 30 * CENT), ("release", 30 * CENT)]


async def test_a_key_without_room_changes_nothing(books: Books) -> None:
    store = FallOverStore(books.database, books.orders)
    job = await books.place(is_auto=True)
    cap = Limit(layer=Layer.KEY, measure=Measure.DAY, amount=10 * CENT, subject="pixazo")
    policy = dataclasses.replace(UTC_POLICY, caps=(cap,))
    assert await store.fall_over(job, DOWN, next_of(job, 30 * CENT), policy, now=NOON) is None
    assert await books.jobs.get(job.job_id) == job


async def test_a_dearer_model_is_offered_once_and_holds_nothing(books: Books) -> None:
    store = FallOverStore(books.database, books.orders)
    job = await books.bring(await books.place(is_auto=True), Stage.SUBMITTING)
    for _ in range(2):
        await store.offer(job, DOWN, next_of(job, 90 * CENT), now=NOON)
    first = await books.jobs.get(job.job_id)
    draft = await store.offered(f"fallover:{job.job_id}:7")
    assert first is not None
    assert draft is not None
    assert (first.stage, first.told_stage, first.fell_to) == (Stage.FAILED, None, None)
    assert (draft.stage, draft.new.fell_from) == (DraftStage.QUOTED, FIRST)
    assert await books.rows("SELECT count(*) FROM drafts") == [(1,)]
    assert (await books.sums()).held_micros == 0


class Choosing:
    """A chooser that has one model to offer, at a price."""

    def __init__(self, *requests: VideoRequest, micros: int = 30 * CENT) -> None:
        self.requests = requests
        self.micros = micros

    async def next_for(self, _: Job, *, fits: Fits) -> tuple[VideoRequest, Quote, str] | None:
        for request in self.requests:
            model = MODELS[request.model]
            if fits(model, request):
                return request, Quote(micros=self.micros, estimate=False), model.gateway
        return None


def falling(books: Books, chooser: Any) -> FallOver:
    return FallOver(
        jobs=books.jobs,
        store=FallOverStore(books.database, books.orders),
        chooser=chooser,
        catalogue=Catalogue.load(),
        policy=UTC_POLICY,
        clock=lambda: NOON,
    )


@pytest.mark.parametrize(("quoted", "goes_on"), [(150 * CENT, True), (149 * CENT, False)])
async def test_a_job_waits_where_what_could_go_on_costs_more(
    books: Books, quoted: int, goes_on: bool
) -> None:
    job = await books.place(quoted, policy=RICH, is_auto=True)
    successor = await falling(books, Choosing(PIXAZO, micros=150 * CENT)).instead_of_waiting(job, DOWN)
    assert (successor is not None) is goes_on
    assert (await books.jobs.get(job.job_id) == job) is not goes_on


async def test_a_chooser_that_breaks_ends_the_job_as_any_other(books: Books) -> None:
    class Broken:
        async def next_for(self, _: Job, *, fits: Fits) -> None:
            raise RuntimeError(fits)

    job = await books.place(is_auto=True)
    assert await falling(books, Broken()).end(job, DOWN) is None
    ended = await books.jobs.get(job.job_id)
    assert ended is not None
    assert (ended.stage, ended.failure) == (Stage.FAILED, DOWN)


@pytest.mark.parametrize(
    ("kind", "wish", "changes", "goes_on"),
    [
        (FailureKind.GATEWAY_DOWN, SORA, {}, True),
        (FailureKind.NO_BALANCE, SORA, {}, False),
        (FailureKind.NO_BALANCE, PIXAZO, {}, True),
        (FailureKind.GATEWAY_DOWN, SORA, {"account": Account.SANDBOX, "gateway": "sandbox-apixo"}, False),
    ],
    ids=["the same key", "a key that was refused", "another key", "real money for play money"],
)
async def test_which_models_may_go_on(
    books: Books, kind: FailureKind, wish: VideoRequest, changes: dict[str, Any], goes_on: bool
) -> None:
    job = await books.place(is_auto=True, **changes)
    successor = await falling(books, Choosing(wish)).end(job, Failure(kind=kind))
    assert (successor is not None) is goes_on


@pytest.mark.parametrize(("width", "goes_on"), [(1280, True), (1792, False)])
async def test_no_model_goes_on_that_wants_the_picture_in_other_pixels(
    books: Books, tmp_path: Path, width: int, goes_on: bool
) -> None:
    kept = Picture(path=tmp_path / "a.jpg", content_type="image/jpeg", width=width, height=720, cropped=False)
    wish = MODELS["pixazo/sora-2-pro"].request(mode=Mode.IMAGE, prompt="a fox")
    assert MODELS["pixazo/sora-2-pro"].size(wish).pixels == (1280, 720)
    job = await books.place(is_auto=True, picture=kept)
    assert (await falling(books, Choosing(wish)).end(job, DOWN) is not None) is goes_on
