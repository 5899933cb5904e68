"""Another model goes on where `auto` chose one that failed: once, for no more money, never for two tasks."""

import contextlib
import dataclasses
import datetime as dt
import io
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot import messages
from bot.catalogue_tables import load_catalogue
from bot.choosing import Fits
from bot.fallover import FallOver, may_fall_over
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
    Stage,
    VideoRequest,
)
from bot.offers import Offer
from bot.quotas import Layer, Limit, Measure
from storage.fallover import FallOverStore
from storage.ledger import Scope
from storage.proof import prove_ledger
from storage.servers import ServerStore
from tests.acting import press_at_once
from tests.books import CENT, DOLLAR, NOON, UTC_POLICY, Books, new_job, open_books
from tests.fake_apixo import FakeApixo, cut, envelope, raw, state
from tests.world import World, open_world, picture

FIRST, SECOND = "apixo/sora-2-pro", "other/clip"
DOWN = Failure(kind=FailureKind.GATEWAY_DOWN, detail="upstream error", code="503")
FREE_END = Failure(kind=FailureKind.NO_OUTPUT, detail="it broke", charged=False)
MODELS = load_catalogue().models
PIXAZO = MODELS["pixazo/sora-2-pro"].request(mode=Mode.TEXT, prompt="a fox")  # $1.50
SORA = MODELS["apixo/sora-2"].request(mode=Mode.TEXT, prompt="a fox")
RICH = dataclasses.replace(UTC_POLICY, default_member_micros=10 * DOLLAR)


# Which failures another model may go on after


def failed_job(**changes: Any) -> Job:
    job = {
        "is_auto": True,
        "fell_from": None,
        "task_id": None,
        "uncertain_at": None,
        "charge": Charge(budget=Budget.MEMBER),
        "quote": Quote(micros=DOLLAR, estimate=False),
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
        FailureKind.CLIP_LOST,
    }
    may = may_fall_over(failed_job(task_id="task"), Failure(kind=kind, charged=charged))
    assert may is (kind in faults and charged is False)
    free = failed_job(task_id="task", quote=Quote(micros=0, estimate=False))
    assert may_fall_over(free, Failure(kind=kind, charged=charged)) is (kind in faults)


@pytest.mark.parametrize(
    "changes",
    [
        {"is_auto": False},
        {"fell_from": FIRST},
        {"charge": Charge(budget=Budget.APPROVAL)},
        {"task_id": "task", "uncertain_at": NOON},
    ],
    ids=["chosen by its member", "a second time", "approved by staff", "with a task that somebody found"],
)
def test_jobs_that_no_other_model_goes_on_with(changes: dict[str, Any]) -> None:
    assert not may_fall_over(failed_job(**changes), dataclasses.replace(DOWN, charged=False))


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


@pytest.mark.parametrize("measure", [Measure.DAY, Measure.JOBS_A_DAY])
async def test_the_keys_room_is_that_of_the_day_in_which_the_next_job_counts(
    books: Books, measure: Measure
) -> None:
    store = FallOverStore(books.database, books.orders)
    amount = {Measure.DAY: 30 * CENT, Measure.JOBS_A_DAY: 1}[measure]
    cap = Limit(layer=Layer.KEY, measure=measure, amount=amount, subject="pixazo")
    policy = dataclasses.replace(UTC_POLICY, caps=(cap,))
    evening = NOON + dt.timedelta(hours=11, minutes=59)
    await books.place(30 * CENT, at=evening, request=PIXAZO, gateway="pixazo")
    job = await books.place(30 * CENT, at=evening, is_auto=True)
    morning = NOON + dt.timedelta(hours=13)
    assert await store.fall_over(job, DOWN, next_of(job, 30 * CENT), policy, now=morning) is None
    assert (await books.total(Scope.KEY, "pixazo", measure=Measure.DAY, at=evening)).held_micros == 30 * CENT


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

    async def next_for(self, _: Job, *, fits: Fits) -> Offer | None:
        for request in self.requests:
            model = MODELS[request.model]
            if fits(model, request):
                return Offer(request=request, quote=Quote(micros=self.micros, estimate=False))
        return None


def falling(books: Books, chooser: Any) -> FallOver:
    return FallOver(
        jobs=books.jobs,
        store=FallOverStore(books.database, books.orders),
        chooser=chooser,
        catalogue=load_catalogue(),
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


@pytest.mark.parametrize(
    ("model", "width", "kind", "goes_on"),
    [
        ("pixazo/sora-2-pro", 1280, "image/jpeg", True),
        ("pixazo/sora-2-pro", 1792, "image/jpeg", False),
        ("pixazo/sora-2-pro", 1280, "image/webp", True),
        ("apixo/veo-3-1-fast", 1792, "image/jpeg", True),
        ("apixo/veo-3-1-fast", 1792, "image/webp", False),
    ],
)
async def test_no_model_goes_on_that_wants_the_picture_otherwise(
    books: Books, *, model: str, width: int, kind: str, goes_on: bool
) -> None:
    kept = Picture(path=Path("a"), content_type=kind, width=width, height=720, cropped=False)
    wish = MODELS[model].request(mode=Mode.IMAGE, prompt="a fox")
    job = await books.place(is_auto=True, picture=kept)
    assert (await falling(books, Choosing(wish)).end(job, DOWN) is not None) is goes_on


# As members see it

GATEWAYS = """
[gateways.apixo]
failures_are_free = {free}

[gateways.other]
kind = "apixo"
base_url = "{base_url}"
key_env = "OTHER_KEY"
failures_are_free = true

[models."{first}".limits]
concurrent_tasks = 1

[models."{second}"]
like = "{first}"
title = "The other clip"

[models."{second}".price]
unit = "second"
rows = [ {{ usd = "{usd}" }} ]
"""


@dataclasses.dataclass
class Scene:
    """A world with two gateways, and a server whose `auto` takes first the one, then the other."""

    world: World
    other: FakeApixo

    async def order(self, **options: Any) -> None:
        await self.world.create(prompt="A fox runs", model="auto", **options)

    async def settled(self) -> list[Job]:
        """Wait until nothing is left to do; return the jobs, the one that was ordered first."""
        await self.world.settled()
        assert proof_of(self.world) == []
        return list(reversed(await self.world.jobs()))

    @property
    def accepted(self) -> int:
        """How many tasks there are at both gateways, each of which is paid for."""
        return len(self.world.gateway.tasks) + len(self.other.tasks)


def proof_of(world: World) -> list[str]:
    out = io.StringIO()
    prove_ledger(world.app.folder.database, out)
    return out.getvalue().splitlines()[:-1]


@contextlib.asynccontextmanager
async def open_scene(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, usd: str = "0.20", free: str = "true"
) -> AsyncGenerator[Scene]:
    async with FakeApixo() as gateway, FakeApixo() as other:
        monkeypatch.setenv("OTHER_KEY", other.key)
        file = folder / "models.toml"
        file.write_text(
            GATEWAYS.format(base_url=other.base_url, first=FIRST, second=SECOND, usd=usd, free=free)
        )
        hosts = f"{gateway.host},{other.host}"
        async with open_world(
            folder / "data", gateway=gateway, models_file=file, trusted_hosts=hosts
        ) as world:
            await ServerStore(world.database).change(
                world.guild.id,
                act="auto",
                what="",
                by=world.staff.id,
                now=world.time.now(),
                auto_policy="own",
                auto_models=json.dumps([FIRST, SECOND]),
            )
            yield Scene(world, other)


def refusal(status: int, message: str) -> Any:
    return envelope(None, code=status, status=status, message=message)


BUSTED = [refusal(503, "upstream error")] * 4  # as often as an order is tried
BROKEN = state("failed", failCode="GENERATION_FAILED", failMsg="it broke")


@pytest.mark.parametrize("fails", ["before it is accepted", "as a task that is free"])
async def test_another_model_goes_on_for_less_and_the_cards_tell(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(tmp_path, monkeypatch) as scene:
        world = scene.world
        if fails == "before it is accepted":
            world.gateway.submits.extend(BUSTED)
        else:
            world.gateway.looks.append(BROKEN)
        await scene.order(image=("hills.png", picture()))
        first, second = await scene.settled()
        assert (first.stage, second.stage) == (Stage.FAILED, Stage.DONE)
        assert (first.request.model, second.request.model) == (FIRST, SECOND)
        assert (second.fell_from, second.settled_micros) == (FIRST, 800_000)
        assert await world.sums() == (800_000, 0)
        assert len(scene.other.tasks) == 1
        told = await world.card(first)
        assert "### Failed" in told
        assert f"Another model took over, as job `{second.job_id}`." in told
        assert "order again" not in told.lower()
        why = messages.what_happened(first.failure.kind) if first.failure is not None else ""
        told = await world.card(second)
        assert f"`auto` took {FIRST} first, which failed: the gateway" in told
        assert why[1:] in told
        assert f"{SECOND} took over." in told
        (clip,) = world.answers()  # nobody is called for the failure
        assert "your clip is ready" in clip.content
        assert "$0.80 spent, $0.00 returned" not in clip.content


@pytest.mark.parametrize(
    ("submits", "looks", "kind"),
    [
        ([refusal(400, "Content violates provider policy")], [], FailureKind.PROMPT_REFUSED),
        ([cut()], [], FailureKind.SUBMIT_LOST),
        ([raw("<html>", status=502)], [], FailureKind.SUBMIT_LOST),
        ([], [state("failed", failCode="CONTENT_VIOLATION")], FailureKind.PROMPT_REFUSED),
    ],
    ids=["a refused prompt", "no answer", "an answer that says nothing", "a prompt that is refused late"],
)
async def test_what_no_other_model_goes_on_with(
    submits: list[Any],
    looks: list[Any],
    kind: FailureKind,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_scene(tmp_path, monkeypatch) as scene:
        scene.world.gateway.submits.extend(submits)
        scene.world.gateway.looks.extend(looks)
        await scene.order()
        (job,) = await scene.settled()
        is_known = kind is not FailureKind.SUBMIT_LOST
        assert job.failure is not None
        assert (job.failure.kind, job.stage) == (kind, Stage.FAILED if is_known else Stage.UNCERTAIN)
        assert scene.other.submitted == []


async def test_a_task_whose_failure_may_have_cost_something_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(tmp_path, monkeypatch, free="false") as scene:
        scene.world.gateway.looks.append(BROKEN)
        await scene.order()
        (job,) = await scene.settled()
        assert job.stage is Stage.FAILED
        assert scene.other.submitted == []


async def test_the_second_failure_is_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_scene(tmp_path, monkeypatch) as scene:
        scene.world.gateway.submits.append(refusal(422, "duration is wrong"))
        scene.other.submits.append(refusal(422, "duration is wrong"))
        await scene.order()
        first, second = await scene.settled()
        assert (first.stage, second.stage) == (Stage.FAILED, Stage.FAILED)
        assert scene.accepted == 0
        assert await scene.world.sums() == (0, 0)
        (told,) = scene.world.answers()
        assert f"job `{second.job_id}` failed." in told.content


async def test_what_a_member_chose_themselves_is_no_other_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(tmp_path, monkeypatch) as scene:
        scene.world.gateway.submits.extend(BUSTED)
        await scene.world.create(prompt="A fox runs", model=FIRST)
        (job,) = await scene.settled()
        assert job.stage is Stage.FAILED
        assert scene.other.submitted == []


async def test_a_dearer_model_waits_for_a_yes_below_the_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(tmp_path, monkeypatch, usd="0.30") as scene:
        world = scene.world
        world.gateway.submits.extend(BUSTED)
        await scene.order()
        (first,) = await scene.settled()
        (told,) = [message for message in world.posts() if "failed." in message.content]
        assert f"job `{first.job_id}` failed." in told.content
        assert (
            f"{SECOND} can make the same clip, and costs more: **$1.20** in place of $1.08." in told.content
        )
        assert await world.sums() == (0, 0)
        await world.restart()  # the offer outlives it, and is made once
        await world.settled()
        (told,) = [message for message in world.posts() if "failed." in message.content]
        refused = await world.other.click(told, label="Confirm")
        assert "Only the member" in refused.followups[-1].content
        message = SimpleNamespace(channel_id=world.channel.id, id=told.id)
        await press_at_once(world, message, *[(world.member, "Confirm")] * 2)
        _, second = await scene.settled()
        assert (second.stage, second.settled_micros, second.fell_from) == (Stage.DONE, 1_200_000, FIRST)
        assert scene.accepted == 1


@pytest.mark.parametrize(
    ("submit", "looks"),
    [(refusal(401, "wrong key"), []), (refusal(404, "model not found"), []), (None, [BROKEN] * 3)],
    ids=["a key that is stopped", "a model that is out", "a model that fails again and again"],
)
async def test_an_order_that_would_have_to_wait_goes_elsewhere_at_once(
    submit: Any, looks: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(tmp_path, monkeypatch) as scene:
        world = scene.world
        held = world.gateway.hold_submit(submit)
        world.gateway.looks.extend(looks)
        for _ in looks or [None]:
            await world.create(by=world.other, prompt="The first in line", model=FIRST)
        await world.until(held.arrived.is_set)
        await scene.order()
        await world.until(lambda: "In line for a place" in world.posts_text())
        held.release.set()
        first, second = await scene.settled()
        assert (first.stage, first.submit_tries) == (Stage.FAILED, 0)
        assert (second.stage, second.request.model) == (Stage.DONE, SECOND)
        assert (world.time.now() - world.started).total_seconds() < 600


async def test_a_gateway_that_nobody_reaches_is_waited_for_only_a_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(tmp_path, monkeypatch) as scene:
        world = scene.world
        await world.gateway.stop_listening()
        await scene.order()
        await world.until(lambda: "The gateway is out of order; the bot tries again." in world.posts_text())
        first, second = await scene.settled()
        assert (first.stage, second.stage) == (Stage.FAILED, Stage.DONE)
        assert second.submitted_at is not None
        assert 120 <= (second.submitted_at - first.created_at).total_seconds() < 300


async def test_a_stop_between_the_two_orders_neither_loses_nor_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(tmp_path, monkeypatch) as scene:
        world = scene.world
        world.gateway.submits.append(refusal(422, "duration is wrong"))
        await scene.order()

        async def both() -> bool:
            return len(await world.jobs()) > 1

        await world.until(both)
        await world.restart()
        first, second = await scene.settled()
        assert (first.stage, second.stage) == (Stage.FAILED, Stage.DONE)
        assert scene.accepted == 1
        assert len([message for message in world.posts() if message.components]) == 2
