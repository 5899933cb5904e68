"""A job's way through storage: every step moves from its own stages only, with its money, or not at all."""

import asyncio
import dataclasses
import datetime as dt
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from sqlalchemy.exc import DBAPIError

from bot.models import Account, Failure, FailureKind, Job, Mode, Picture, Quality, Stage
from bot.quotas import Sums
from tests.books import (
    ALICE,
    BOB,
    CENT,
    DOLLAR,
    NOON,
    PICTURE_REFUSED,
    SERVER,
    UTC_POLICY,
    Books,
    new_job,
    open_books,
)

LATER = NOON + dt.timedelta(minutes=5)
Step: TypeAlias = Callable[[Books, str], Awaitable[Job | None]]

STEPS: dict[str, tuple[Step, set[Stage], Stage]] = {
    "start_submit": (
        lambda books, job_id: books.jobs.start_submit(job_id, now=LATER),
        {Stage.QUEUED},
        Stage.SUBMITTING,
    ),
    "submit_accepted": (
        lambda books, job_id: books.jobs.submit_accepted(job_id, "another task", now=LATER),
        {Stage.SUBMITTING},
        Stage.RENDERING,
    ),
    "submit_not_accepted": (
        lambda books, job_id: books.jobs.submit_not_accepted(job_id, "busy", counts=True, now=LATER),
        {Stage.SUBMITTING},
        Stage.QUEUED,
    ),
    "lose_sight": (
        lambda books, job_id: books.jobs.lose_sight(job_id, "reset", now=LATER),
        {Stage.SUBMITTING, Stage.RENDERING},
        Stage.UNCERTAIN,
    ),
    "rendered": (
        lambda books, job_id: books.jobs.rendered(job_id, ["https://cdn.example/b.mp4"], now=LATER),
        {Stage.RENDERING},
        Stage.FETCHING,
    ),
    "fetched": (
        lambda books, job_id: books.jobs.fetched(job_id, Path("clip.mp4"), now=LATER),
        {Stage.FETCHING},
        Stage.DELIVERING,
    ),
    "delivered": (
        lambda books, job_id: books.jobs.delivered(job_id, 901, note="", now=LATER),
        {Stage.DELIVERING},
        Stage.DONE,
    ),
    "fail": (
        lambda books, job_id: books.jobs.fail(job_id, PICTURE_REFUSED, now=LATER),
        {Stage.QUEUED, Stage.SUBMITTING, Stage.RENDERING, Stage.FETCHING},
        Stage.FAILED,
    ),
    "cancel": (
        lambda books, job_id: books.jobs.cancel(job_id, by="by its member", now=LATER),
        {Stage.QUEUED},
        Stage.CANCELLED,
    ),
}


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


async def everything(books: Books) -> list[list[tuple[object, ...]]]:
    return [
        await books.rows(f"SELECT * FROM {table}")  # noqa: S608 - three names of our own
        for table in ("jobs", "stage_history", "ledger")
    ]


# Ordering


async def test_an_order_is_stored_as_it_was_given_and_its_money_is_held(books: Books, tmp_path: Path) -> None:
    picture = Picture(
        path=tmp_path / "pictures" / "abc.png", content_type="image/png", width=3, height=4, cropped=True
    )
    new = new_job(picture=picture, note="cropped", prompt="a\nfox `\x00` 🦊")
    request = dataclasses.replace(new.request, mode=Mode.IMAGE, quality=Quality.P1080, keep_watermark=False)

    job = await books.orders.place(dataclasses.replace(new, request=request), UTC_POLICY, now=NOON)

    assert isinstance(job, Job)
    assert (job.request, job.picture, job.note) == (request, picture, "cropped")
    assert (job.job_id, job.origin, job.user_id, job.server_id) == (new.job_id, new.origin, ALICE, SERVER)
    assert (job.stage, job.created_at, job.submit_tries) == (Stage.QUEUED, NOON, 0)
    assert (job.quote, job.held_micros, job.settled_micros) == (new.quote, 30 * CENT, 0)
    assert (job.failure, job.task_id, job.clip, job.card_message_id) == (None, None, None, None)
    assert await books.jobs.get(job.job_id) == job
    assert await books.entries(job) == [("hold", 30 * CENT)]


async def test_one_origin_ordered_many_times_at_once_makes_one_job_and_one_hold(books: Books) -> None:
    orders = [new_job(origin="interaction:same") for _ in range(10)]

    placed = await asyncio.gather(*(books.orders.place(order, UTC_POLICY, now=NOON) for order in orders))

    jobs = [job for job in placed if isinstance(job, Job)]
    assert len(jobs) == 10
    assert len({job.job_id for job in jobs}) == 1
    assert await books.entries(jobs[0]) == [("hold", 30 * CENT)]
    assert await books.sums() == Sums(held_micros=30 * CENT, jobs=1)


async def test_an_origin_gives_its_job_also_when_the_limit_is_used_up(books: Books) -> None:
    job = await books.place(DOLLAR, origin="interaction:first")

    assert await books.place(DOLLAR, origin="interaction:first") == job


async def test_a_free_order_passes_a_limit_that_is_used_up_and_settles_at_nothing(books: Books) -> None:
    await books.place(DOLLAR)

    job = await books.bring(await books.place(0), Stage.DELIVERING)

    assert await books.entries(job) == [("hold", 0), ("settle", 0)]


# The way of a job


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("stage", Stage)
async def test_a_step_moves_from_its_own_stages_and_changes_nothing_from_others(
    books: Books, stage: Stage, name: str
) -> None:
    step, starts, end = STEPS[name]
    job = await books.bring(await books.place(), stage)
    before = await everything(books)

    moved = await step(books, job.job_id)

    if stage in starts:
        assert moved is not None
        assert moved.stage is end
        assert moved == await books.jobs.get(job.job_id)
        (newest,) = await books.rows("SELECT stage, at FROM stage_history ORDER BY entry_id DESC LIMIT 1")
        assert newest == (end, "2026-11-21T12:05:00.000000Z")
    else:
        assert moved is None
        assert await everything(books) == before


@pytest.mark.parametrize("name", STEPS)
async def test_a_step_of_a_job_that_is_not_there_is_nothing(books: Books, name: str) -> None:
    assert await STEPS[name][0](books, "nobody") is None


async def test_two_who_take_the_same_step_at_once_cannot_both_take_it(books: Books) -> None:
    job = await books.place()

    results = await asyncio.gather(
        books.jobs.cancel(job.job_id, by="by its member", now=NOON),
        *(books.jobs.start_submit(job.job_id, now=NOON) for _ in range(5)),
    )

    assert sum(result is not None for result in results) == 1


async def test_a_clip_is_paid_in_the_commit_that_records_it(books: Books) -> None:
    job = await books.bring(await books.place(), Stage.FETCHING)
    assert (job.held_micros, job.settled_micros) == (30 * CENT, 0)

    fetched = await books.jobs.fetched(job.job_id, Path("/elsewhere/clip.mp4"), now=LATER)

    assert fetched is not None
    assert (fetched.held_micros, fetched.settled_micros) == (0, 30 * CENT)
    assert (fetched.clip, fetched.fetched_at) == (books.jobs._clips / "clip.mp4", LATER)  # noqa: SLF001
    assert await books.entries(job) == [("hold", 30 * CENT), ("settle", 30 * CENT)]
    assert await books.sums() == Sums(spent_micros=30 * CENT, jobs=1)


async def test_a_delivered_job_keeps_its_message_and_how_it_went(books: Books) -> None:
    job = await books.bring(await books.place(), Stage.DELIVERING)

    done = await books.jobs.delivered(job.job_id, None, note="the channel is gone", now=LATER)

    assert done is not None
    assert (done.video_message_id, done.finished_at) == (None, LATER)
    assert await books.rows("SELECT note FROM stage_history WHERE stage = 'done'") == [
        ("the channel is gone",)
    ]


@pytest.mark.parametrize("stage", [Stage.QUEUED, Stage.SUBMITTING, Stage.RENDERING, Stage.FETCHING])
@pytest.mark.parametrize("charged", [None, True, False])
async def test_a_failure_gives_the_money_back_and_books_what_the_gateway_may_keep(
    books: Books, stage: Stage, charged: bool | None
) -> None:
    job = await books.bring(await books.place(), stage)

    failed = await books.jobs.fail(
        job.job_id, dataclasses.replace(PICTURE_REFUSED, charged=charged), now=LATER
    )

    assert failed is not None
    assert (failed.held_micros, failed.settled_micros, failed.finished_at) == (0, 0, LATER)
    assert failed.failure == PICTURE_REFUSED
    had_a_task = stage in {Stage.RENDERING, Stage.FETCHING}
    possible = [("possible_charge", 30 * CENT)] if had_a_task and charged is not False else []
    assert await books.entries(job) == [("hold", 30 * CENT), ("release", 30 * CENT), *possible]
    assert await books.sums() == Sums()


@pytest.mark.parametrize("cost", [0, 20 * CENT, 40 * CENT])
@pytest.mark.parametrize("charged", [None, False])
async def test_a_job_that_fails_after_the_gateway_named_its_cost_books_that_cost(
    books: Books, cost: int, charged: bool | None
) -> None:
    job = await books.bring(await books.place(), Stage.RENDERING)
    await books.jobs.rendered(job.job_id, ["https://cdn.example/a.mp4"], cost_micros=cost, now=NOON)

    await books.jobs.fail(job.job_id, dataclasses.replace(PICTURE_REFUSED, charged=charged), now=LATER)

    possible = [] if charged is False else [("possible_charge", cost)]
    assert await books.entries(job) == [("hold", 30 * CENT), ("release", 30 * CENT), *possible]


async def test_a_cancelled_job_costs_nothing(books: Books) -> None:
    job = await books.bring(await books.place(), Stage.CANCELLED, at=LATER)

    assert (job.held_micros, job.finished_at) == (0, LATER)
    assert await books.rows("SELECT kind, reason FROM ledger WHERE job_id = :job", job=job.job_id) == [
        ("hold", "ordered"),
        ("release", "cancelled by its member"),
    ]


async def test_an_uncertain_job_keeps_its_money_held(books: Books) -> None:
    job = await books.bring(await books.place(), Stage.UNCERTAIN)

    assert job.failure == Failure(kind=FailureKind.SUBMIT_LOST, detail="no answer")
    assert await books.entries(job) == [("hold", 30 * CENT)]


async def test_only_refusals_that_count_use_up_a_try(books: Books) -> None:
    job = await books.place()
    tries: list[int] = []
    for counts in (True, False, True):
        await books.jobs.start_submit(job.job_id, now=NOON)
        back = await books.jobs.submit_not_accepted(job.job_id, "busy", counts=counts, now=LATER)
        assert back is not None
        assert (back.waiting_for, back.submitted_at) == ("busy", None)
        tries.append(back.submit_tries)

    assert tries == [1, 1, 2]
    submitting = await books.jobs.start_submit(job.job_id, now=LATER)
    assert submitting is not None
    assert (submitting.submit_tries, submitting.waiting_for, submitting.submitted_at) == (3, "", LATER)


async def test_a_task_belongs_to_one_job_of_its_gateway(books: Books) -> None:
    first, second, elsewhere = [
        await books.bring(await books.place(gateway=gateway), Stage.SUBMITTING)
        for gateway in ("apixo", "apixo", "pixazo")
    ]
    await books.jobs.submit_accepted(first.job_id, "task_1", now=NOON)

    lost = await books.jobs.submit_accepted(second.job_id, "task_1", now=NOON)

    assert lost is not None
    assert (lost.stage, lost.task_id) == (Stage.UNCERTAIN, None)
    assert lost.failure == Failure(
        kind=FailureKind.SUBMIT_LOST,
        detail=f"the gateway named task task_1, which is that of job {first.job_id}",
    )
    assert await books.jobs.submit_accepted(elsewhere.job_id, "task_1", now=NOON)


async def test_half_a_character_in_a_gateways_words_ends_no_job_badly(books: Books) -> None:
    job = await books.bring(await books.place(prompt="\udc00 a fox"), Stage.RENDERING)

    failed = await books.jobs.fail(
        job.job_id, Failure(kind=FailureKind.NO_OUTPUT, detail="bad \ud83d words", code="\ud83d"), now=NOON
    )

    assert failed is not None
    assert failed.failure == Failure(kind=FailureKind.NO_OUTPUT, detail="bad ? words", code="?")
    assert failed.request.prompt == "? a fox"


# Nothing happens by halves


@pytest.mark.parametrize(
    ("forbidden", "stage", "name"),
    [
        ("INSERT ON ledger", Stage.FETCHING, "fetched"),
        ("INSERT ON ledger", Stage.RENDERING, "fail"),
        ("INSERT ON ledger WHEN NEW.kind = 'possible_charge'", Stage.RENDERING, "fail"),
        ("INSERT ON ledger", Stage.QUEUED, "cancel"),
        ("INSERT ON stage_history", Stage.FETCHING, "fetched"),
        ("INSERT ON stage_history", Stage.QUEUED, "start_submit"),
    ],
)
async def test_a_move_that_breaks_in_the_middle_leaves_nothing_behind(
    books: Books, forbidden: str, stage: Stage, name: str
) -> None:
    job = await books.bring(await books.place(), stage)
    before = await everything(books)
    event, _, when = forbidden.partition(" WHEN ")
    condition = f"WHEN {when}" if when else ""
    await books.write(
        f"CREATE TRIGGER broken_disk BEFORE {event} {condition} BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )

    with pytest.raises(DBAPIError, match="disk full"):
        await STEPS[name][0](books, job.job_id)

    assert await everything(books) == before
    await books.write("DROP TRIGGER broken_disk")
    assert await STEPS[name][0](books, job.job_id)


async def test_an_order_that_breaks_in_the_middle_leaves_nothing_behind(books: Books) -> None:
    await books.write(
        "CREATE TRIGGER broken_disk BEFORE INSERT ON ledger BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )

    with pytest.raises(DBAPIError, match="disk full"):
        await books.place()

    assert await everything(books) == [[], [], []]
    assert await books.rows("SELECT * FROM members") == []


async def test_an_order_whose_asker_is_cancelled_at_any_moment_happens_wholly_or_not_at_all(
    books: Books,
) -> None:
    for turns in range(1000):
        server_id = SERVER + turns  # in each of which not too many orders wait
        order = asyncio.create_task(books.place(0, server_id=server_id))
        for _ in range(turns):
            await asyncio.sleep(0)
        if order.done():
            break
        order.cancel()
        await asyncio.gather(order, return_exceptions=True)
        await asyncio.wait_for(books.place(0, server_id=server_id), timeout=5)  # the one writer is free again

    stored = await books.rows("SELECT job_id FROM jobs ORDER BY job_id")
    assert stored == await books.rows("SELECT job_id FROM ledger ORDER BY job_id")
    assert stored == await books.rows("SELECT job_id FROM stage_history ORDER BY job_id")


async def test_readers_that_are_cancelled_at_any_moment_leave_room_for_others(books: Books) -> None:
    await books.place()

    for turns in range(1000):
        look = asyncio.create_task(books.jobs.unfinished())
        for _ in range(turns):
            await asyncio.sleep(0)
        if look.done():
            break
        look.cancel()
        await asyncio.gather(look, return_exceptions=True)

    assert len(await asyncio.wait_for(books.jobs.unfinished(), timeout=5)) == 1


async def test_what_was_begun_is_written_before_the_database_closes(tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        order = asyncio.create_task(books.place())
        await asyncio.sleep(0)
        order.cancel()

    async with open_books(tmp_path) as books:
        assert len(await books.jobs.unfinished()) == 1


# What Discord shows of it, and reading


async def test_the_card_and_what_was_told_are_remembered(books: Books) -> None:
    job = await books.bring(await books.place(), Stage.FAILED)

    posted = await books.jobs.card_posted(job.job_id, 555, showing=Stage.QUEUED)
    await books.jobs.card_shows(job.job_id, Stage.FAILED)
    await books.jobs.told(job.job_id, Stage.FAILED)

    assert (posted.card_message_id, posted.card_stage) == (555, Stage.QUEUED)
    seen = await books.jobs.get(job.job_id)
    assert seen is not None
    assert (seen.card_stage, seen.told_stage) == (Stage.FAILED, Stage.FAILED)


async def test_only_a_queued_job_says_what_it_waits_for(books: Books) -> None:
    job = await books.place()

    assert (await books.jobs.wait(job.job_id, "the key is refused")).waiting_for == "the key is refused"
    assert (await books.jobs.wait(job.job_id, "")).waiting_for == ""
    await books.bring(job, Stage.SUBMITTING)
    assert (await books.jobs.wait(job.job_id, "too late")).waiting_for == ""


@pytest.mark.parametrize("stage", Stage)
async def test_a_job_is_unfinished_until_it_is_over_told_and_shown(books: Books, stage: Stage) -> None:
    job = await books.bring(await books.place(), stage)
    must_be_told = stage in {Stage.FAILED, Stage.UNCERTAIN}
    assert bool(await books.jobs.unfinished()) == (stage.is_open or must_be_told)

    await books.jobs.told(job.job_id, stage)
    assert bool(await books.jobs.unfinished()) == stage.is_open

    await books.jobs.card_posted(job.job_id, 555, showing=Stage.RENDERING)
    assert bool(await books.jobs.unfinished()) == (stage.is_open or stage is not Stage.RENDERING)

    await books.jobs.card_shows(job.job_id, stage)
    assert bool(await books.jobs.unfinished()) == stage.is_open


async def test_a_member_sees_their_own_jobs_of_the_server_newest_first(books: Books) -> None:
    mine = [await books.place(CENT, at=NOON + dt.timedelta(seconds=number)) for number in range(5)]
    await books.place(CENT, user_id=BOB)
    await books.place(CENT, server_id=SERVER + 1)
    await books.bring(mine[4], Stage.CANCELLED)

    async def ids(**page: int | bool) -> list[str]:
        return [job.job_id for job in await books.jobs.of_member(SERVER, ALICE, **page)]  # pyright: ignore[reportArgumentType]

    newest_first = [job.job_id for job in reversed(mine)]
    assert await ids() == newest_first
    assert await ids(offset=1, limit=2) == newest_first[1:3]
    assert await ids(only_open=True) == newest_first[1:]
    assert await ids(offset=5) == []


async def test_files_of_open_and_recent_jobs_are_needed(books: Books, tmp_path: Path) -> None:
    picture = Picture(path=tmp_path / "a.png", content_type="image/png", width=1, height=1, cropped=False)
    month = dt.timedelta(days=30)
    old = await books.bring(await books.place(CENT, at=NOON - month), Stage.DONE, at=NOON - month)
    recent = await books.bring(await books.place(CENT), Stage.DONE)
    await books.place(CENT, picture=picture, at=NOON - month)

    assert await books.jobs.files_needed(NOON) == {f"{recent.job_id}.mp4", "a.png"}
    assert f"{old.job_id}.mp4" in await books.jobs.files_needed(NOON - month)


async def test_a_forgotten_member_leaves_their_jobs_and_sums(books: Books) -> None:
    job = await books.bring(await books.place(), Stage.DONE)

    await books.write("UPDATE members SET discord_id = NULL")

    assert (await books.jobs.get(job.job_id) or job).user_id is None
    assert await books.jobs.of_member(SERVER, ALICE) == []
    assert await books.sums(None) == Sums(spent_micros=30 * CENT, jobs=1)
    # Two people may be forgotten in one server, and a new order makes a new row.
    assert (await books.place()).member_id != job.member_id
    await books.write("UPDATE members SET discord_id = NULL")


async def test_a_naive_time_is_refused(books: Books) -> None:
    with pytest.raises(Exception, match="must be aware"):
        await books.place(at=NOON.replace(tzinfo=None))


async def test_times_are_stored_in_utc_whatever_zone_they_came_in(books: Books) -> None:
    job = await books.place(at=dt.datetime.fromisoformat("2026-11-21T14:00:00.000001+02:00"))

    assert job.created_at == NOON + dt.timedelta(microseconds=1)
    assert await books.rows("SELECT created_at FROM jobs") == [("2026-11-21T12:00:00.000001Z",)]


async def test_play_money_is_an_account_of_its_own(books: Books) -> None:
    await books.place(DOLLAR, account=Account.SANDBOX, gateway="sandbox-apixo")

    assert await books.place(DOLLAR)
    await books.refusal(CENT, account=Account.SANDBOX)
    assert await books.sums(account=Account.SANDBOX) == await books.sums()
