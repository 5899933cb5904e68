"""The ledger: what the schema itself refuses, the months, and sums against a model of them."""

import asyncio
import dataclasses
import datetime as dt
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from bot.errors import OverLimit
from bot.models import Account, Failure, FailureKind, Job, Stage
from bot.quotas import Policy, Sums
from tests.books import ALICE, CENT, DOLLAR, NOON, UTC_POLICY, Books, new_job, open_books

INSERT = """
    INSERT {conflict} INTO ledger
        (job_id, server_id, member_id, account, kind, amount_micros, reason, ordered_at, created_at)
    VALUES (:job, 100, :member, 'real', :kind, :amount, 'by hand', '2026-11-21T12:00:00.000000Z', 'now')
"""


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


# What the schema refuses, whoever asks


@pytest.mark.parametrize(
    "statement",
    ["UPDATE ledger SET amount_micros = 0", "UPDATE ledger SET reason = 'x'", "DELETE FROM ledger"],
)
async def test_no_entry_is_ever_changed_or_deleted(books: Books, statement: str) -> None:
    job = await books.place()

    with pytest.raises(IntegrityError, match="append-only"):
        await books.write(statement)

    assert await books.entries(job) == [("hold", 30 * CENT)]


@pytest.mark.parametrize("conflict", ["", "OR REPLACE"])
@pytest.mark.parametrize("kind", ["hold", "settle"])
async def test_a_second_entry_of_a_kind_is_refused_and_replaces_none(
    books: Books, conflict: str, kind: str
) -> None:
    job = await books.bring(await books.place(), Stage.DELIVERING)

    with pytest.raises(IntegrityError):
        await books.write(
            INSERT.format(conflict=conflict), job=job.job_id, member=job.member_id, kind=kind, amount=0
        )

    assert await books.entries(job) == [("hold", 30 * CENT), ("settle", 30 * CENT)]


@pytest.mark.parametrize(
    ("kind", "amount", "why"),
    [
        ("settle", 30 * CENT + 1, "more is spent or released than is held"),
        ("release", 30 * CENT + 1, "more is spent or released than is held"),
        ("settle", -1, "entry_is_not_negative"),
        ("possible_charge", -1, "entry_is_not_negative"),
        ("gift", 1, "entry_kind_is_known"),
    ],
)
async def test_an_entry_that_cannot_be_is_refused(books: Books, kind: str, amount: int, why: str) -> None:
    job = await books.place()

    with pytest.raises(IntegrityError, match=why):
        await books.write(
            INSERT.format(conflict=""), job=job.job_id, member=job.member_id, kind=kind, amount=amount
        )


async def test_what_is_held_is_spent_or_released_once_also_in_parts(books: Books) -> None:
    job = await books.place()
    values = {"job": job.job_id, "member": job.member_id}
    await books.write(INSERT.format(conflict=""), kind="settle", amount=10 * CENT, **values)

    with pytest.raises(IntegrityError, match="than is held"):
        await books.write(INSERT.format(conflict=""), kind="release", amount=21 * CENT, **values)

    await books.write(INSERT.format(conflict=""), kind="release", amount=20 * CENT, **values)
    assert await books.sums() == Sums(spent_micros=10 * CENT, held_micros=0)


@pytest.mark.parametrize("kind", ["settle", "release"])
@pytest.mark.parametrize("amount", [0, 1])
async def test_without_a_hold_not_even_nothing_is_spent(books: Books, kind: str, amount: int) -> None:
    job = await books.place()
    await books.write(
        "INSERT INTO jobs (job_id, origin, account, server_id, channel_id, member_id, mode, model, gateway, "
        "prompt, seconds, shape, stage, quote_micros, estimate, created_at) SELECT 'bare', 'bare', account, "
        "server_id, channel_id, member_id, mode, model, gateway, prompt, seconds, shape, stage, "
        "quote_micros, estimate, created_at FROM jobs"
    )

    with pytest.raises(IntegrityError, match="than is held"):
        await books.write(
            INSERT.format(conflict=""), job="bare", member=job.member_id, kind=kind, amount=amount
        )


@pytest.mark.parametrize("kind", ["hold", "settle", "release", "possible_charge"])
async def test_what_belongs_to_a_job_names_it(books: Books, kind: str) -> None:
    job = await books.place()

    with pytest.raises(IntegrityError):
        await books.write(INSERT.format(conflict=""), job=None, member=job.member_id, kind=kind, amount=0)


@pytest.mark.parametrize("table", ["jobs", "members"])
async def test_what_the_ledger_speaks_of_cannot_be_deleted(books: Books, table: str) -> None:
    await books.place()

    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        await books.write(f"DELETE FROM {table}")  # noqa: S608 - two names of our own


async def test_a_negative_price_is_never_stored(books: Books) -> None:
    with pytest.raises(IntegrityError, match="not_negative"):
        await books.place(-1)

    assert await books.rows("SELECT * FROM ledger") == []


# Months


BERLIN = dataclasses.replace(UTC_POLICY, zone=ZoneInfo("Europe/Berlin"))


async def test_a_job_ordered_in_the_last_minute_of_january_counts_there_however_late_it_ends(
    books: Books,
) -> None:
    ordered = dt.datetime(2027, 1, 31, 23, 59, tzinfo=BERLIN.zone)
    february = dt.datetime(2027, 2, 10, tzinfo=dt.UTC)
    job = await books.jobs.place(new_job(), BERLIN, now=ordered)
    assert await books.sums(at=ordered, policy=BERLIN) == Sums(spent_micros=0, held_micros=30 * CENT)

    await books.bring(job, Stage.DELIVERING, at=february)

    assert await books.sums(at=ordered, policy=BERLIN) == Sums(spent_micros=30 * CENT, held_micros=0)
    assert await books.sums(at=february, policy=BERLIN) == Sums(spent_micros=0, held_micros=0)
    # A minute later it is February in Berlin, and still January in UTC.
    after = await books.jobs.place(new_job(), BERLIN, now=ordered + dt.timedelta(minutes=1))
    assert after.created_at.month == 1
    assert await books.sums(at=february, policy=BERLIN) == Sums(spent_micros=0, held_micros=30 * CENT)


async def test_a_new_month_gives_the_whole_limit_again_and_the_old_one_stays_readable(books: Books) -> None:
    december = dt.datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC)
    january = december + dt.timedelta(microseconds=1)
    await books.place(DOLLAR, at=december)
    with pytest.raises(OverLimit):
        await books.place(CENT, at=december)

    await books.place(DOLLAR, at=january)

    assert (await books.sums(at=december)).held_micros == DOLLAR
    assert (await books.sums(at=january)).held_micros == DOLLAR


# All interleavings, against a model


Action = st.tuples(st.sampled_from(["place", *(stage for stage in Stage)]), st.integers(0, 30))
PRICES = (0, 1, 25 * CENT, 30 * CENT, 99 * CENT)
BOUND = Policy(default_member_micros=DOLLAR, operator_micros=150 * CENT, zone=ZoneInfo("UTC"))


class Model:
    """What the books must say after each act."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Job, Stage]] = []

    def sums(self, user_id: int | None) -> Sums:
        spent = held = 0
        for job, stage in self.jobs:
            if user_id in {None, job.user_id} and stage not in {Stage.FAILED, Stage.CANCELLED}:
                paid = stage in {Stage.DELIVERING, Stage.DONE}
                spent += job.quote.micros if paid else 0
                held += 0 if paid else job.quote.micros
        return Sums(spent_micros=spent, held_micros=held)

    def admits(self, user_id: int, price: int) -> bool:
        mine, everybody = self.sums(user_id).used_micros, self.sums(None).used_micros
        return mine + price <= DOLLAR and everybody + price <= 150 * CENT


async def play(books: Books, actions: list[tuple[str, int]]) -> None:
    model = Model()
    for number, (action, choice) in enumerate(actions):
        if action == "place":
            price, user = PRICES[choice % len(PRICES)], choice % 3
            admitted = model.admits(user, price)
            try:
                job = await books.jobs.place(new_job(price, user_id=user), BOUND, now=NOON)
            except OverLimit:
                assert not admitted
            else:
                assert admitted
                model.jobs.append((job, Stage.QUEUED))
        elif model.jobs:
            at = choice % len(model.jobs)
            job, stage = model.jobs[at]
            model.jobs[at] = job, await _step(books, job, stage, Stage(action), number)
    for user in {job.user_id for job, _ in model.jobs}:
        assert await books.sums(user) == model.sums(user)
    assert await books.sums(None) == model.sums(None)
    for job, stage in model.jobs:
        seen = await books.jobs.get(job.job_id)
        assert seen is not None
        assert seen.stage is stage
        assert seen.held_micros == (job.quote.micros if stage in HOLDING else 0)


HOLDING = {Stage.QUEUED, Stage.SUBMITTING, Stage.UNCERTAIN, Stage.RENDERING, Stage.FETCHING}
ALLOWED = {
    Stage.SUBMITTING: {Stage.QUEUED},
    Stage.QUEUED: {Stage.SUBMITTING},
    Stage.RENDERING: {Stage.SUBMITTING},
    Stage.UNCERTAIN: {Stage.SUBMITTING, Stage.RENDERING},
    Stage.FETCHING: {Stage.RENDERING},
    Stage.DELIVERING: {Stage.FETCHING},
    Stage.DONE: {Stage.DELIVERING},
    Stage.FAILED: {Stage.QUEUED, Stage.SUBMITTING, Stage.RENDERING, Stage.FETCHING},
    Stage.CANCELLED: {Stage.QUEUED},
}


async def _step(books: Books, job: Job, stage: Stage, wanted: Stage, number: int) -> Stage:
    """Ask for a move, which only the model's stages allow; return the stage the job is in then."""
    store, job_id = books.jobs, job.job_id
    failure = Failure(kind=FailureKind.NO_OUTPUT, charged=(None, True, False)[number % 3])
    moved = await {
        Stage.QUEUED: lambda: store.submit_not_accepted(job_id, "busy", counts=number % 2 == 0, now=NOON),
        Stage.SUBMITTING: lambda: store.start_submit(job_id, now=NOON),
        Stage.RENDERING: lambda: store.submit_accepted(job_id, f"task {job_id}", now=NOON),
        Stage.UNCERTAIN: lambda: store.lose_sight(job_id, "reset", now=NOON),
        Stage.FETCHING: lambda: store.rendered(job_id, ["https://a.example"], now=NOON),
        Stage.DELIVERING: lambda: store.fetched(job_id, Path("a.mp4"), now=NOON),
        Stage.DONE: lambda: store.delivered(job_id, 1, note="", now=NOON),
        Stage.FAILED: lambda: store.fail(job_id, failure, now=NOON),
        Stage.CANCELLED: lambda: store.cancel(job_id, by="by its member", now=NOON),
    }[wanted]()
    assert (moved is not None) == (stage in ALLOWED[wanted])
    return stage if moved is None else moved.stage


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(Action, min_size=10, max_size=60))
def test_every_interleaving_keeps_the_sums_of_the_model_and_never_passes_a_limit(
    actions: list[tuple[str, int]],
) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with open_books(Path(folder)) as books:
                await play(books, actions)

    asyncio.run(run())


async def test_the_sums_of_a_member_and_of_all_come_from_an_index_alone(books: Books) -> None:
    await books.place()
    month = UTC_POLICY.month(NOON)
    query = """
        EXPLAIN QUERY PLAN SELECT kind, sum(amount_micros) FROM ledger
        WHERE account = 'real' AND ordered_at >= :start AND ordered_at < :end {member} GROUP BY kind
    """
    values = {"start": str(month.starts_at), "end": str(month.turns_at)}

    one = await books.rows(query.format(member="AND member_id = :member"), member=1, **values)
    everybody = await books.rows(query.format(member=""), **values)

    assert "USING COVERING INDEX ledger_by_member (account=? AND member_id=? AND ordered_at>?" in one[0][-1]
    assert "USING COVERING INDEX ledger_by_time (account=? AND ordered_at>?" in everybody[0][-1]


async def test_accounts_are_summed_apart(books: Books) -> None:
    await books.place(account=Account.SANDBOX)

    assert await books.sums(ALICE) == Sums(spent_micros=0, held_micros=0)
    assert await books.sums(None, account=Account.SANDBOX) == Sums(spent_micros=0, held_micros=30 * CENT)
