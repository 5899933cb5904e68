"""A model that keeps failing is left alone, and tried again by one order; members' own faults never count."""

import datetime as dt
import io
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot import breaker, messages
from bot.breaker import BOT_STOPPED, FIRST_PAUSE, LONGEST_PAUSE, Breaker, Outcome, Record, Verdict
from bot.models import Failure, FailureKind, Stage
from bot.track import COUNTS_FOR, Track
from storage.proof import prove_ledger
from storage.track import TrackStore
from tests.acting import availability, click, has_card, make_operator, world_with
from tests.books import NOON, Books, open_books
from tests.fake_apixo import state
from tests.offering import CHEAP, RICH, THREE
from tests.world import World

MINUTE = dt.timedelta(minutes=1)
DOWN = Failure(kind=FailureKind.GATEWAY_DOWN, detail="worn out")
REFUSED = Failure(kind=FailureKind.PROMPT_REFUSED, detail="no")


def outcomes(*ended: tuple[str, float]) -> list[Outcome]:
    """Outcomes by their first letters (f, c, n), each with the minute it was in."""
    verdicts = {verdict.value[0]: verdict for verdict in Verdict}
    return [
        Outcome(job_id=str(number), verdict=verdicts[letter], at=NOON + minute * MINUTE)
        for number, (letter, minute) in enumerate(ended)
    ]


@pytest.mark.parametrize(
    ("ended", "faults", "until_minute"),
    [
        ([], 0, None),
        ([("f", 0), ("f", 1)], 2, None),
        ([("f", 0), ("f", 1), ("f", 2)], 3, 12),
        ([("f", 0), ("c", 1), ("f", 2), ("f", 3)], 2, None),
        ([("f", 0), ("n", 1), ("f", 2), ("n", 3), ("f", 4)], 3, 14),  # what members did is no success either
        ([("n", 0), ("n", 1), ("n", 2), ("n", 3)], 0, None),
        ([("f", 0), ("f", 1), ("f", 2), ("f", 3), ("f", 11)], 5, 12),  # under way when it opened
        ([("f", 0), ("f", 1), ("f", 2), ("f", 12)], 4, 32),  # it tried, and the pause doubled
        ([("f", 0), ("f", 1), ("f", 2), ("f", 12), ("f", 40)], 5, 80),
        ([("f", 0), ("f", 1), ("f", 2), ("f", 99), ("f", 200), ("f", 300), ("f", 500), ("f", 900)], 8, 1020),
        ([("f", 0), ("f", 1), ("f", 2), ("f", 12), ("c", 40), ("f", 41)], 1, None),
        ([("f", 0), ("f", 1), ("f", 2), ("c", 3)], 0, None),  # also one that was under way
    ],
)
def test_it_opens_after_three_faults_in_a_row_for_a_growing_pause(
    ended: list[tuple[str, float]], faults: int, until_minute: float | None
) -> None:
    found = breaker.of(outcomes(*ended))
    until = NOON + until_minute * MINUTE if until_minute is not None else None
    assert (found.faults, found.until) == (faults, until)
    if until is not None:
        assert found.is_open(until - MINUTE)
        assert not found.is_open(until)
        assert not found.is_closed
    assert (FIRST_PAUSE, LONGEST_PAUSE) == (10 * MINUTE, 120 * MINUTE)


@pytest.mark.parametrize(
    ("stage", "kind", "detail", "says"),
    [
        (Stage.DONE, None, "", Verdict.CLIP),
        (Stage.DELIVERING, None, "", Verdict.CLIP),
        (Stage.FAILED, FailureKind.GATEWAY_DOWN, "", Verdict.FAULT),
        (Stage.FAILED, FailureKind.NO_OUTPUT, "", Verdict.FAULT),
        (Stage.FAILED, FailureKind.TIMED_OUT, "", Verdict.FAULT),
        (Stage.FAILED, FailureKind.BAD_FILE, "", Verdict.FAULT),
        (Stage.FAILED, FailureKind.CLIP_LOST, "", Verdict.FAULT),
        (Stage.FAILED, FailureKind.PROMPT_REFUSED, "", Verdict.NEITHER),
        (Stage.FAILED, FailureKind.PICTURE_REFUSED, "", Verdict.NEITHER),
        (Stage.FAILED, FailureKind.BAD_REQUEST, "", Verdict.NEITHER),
        (Stage.FAILED, FailureKind.NO_CARD, "", Verdict.NEITHER),
        (Stage.FAILED, FailureKind.NO_BALANCE, "", Verdict.NEITHER),
        (Stage.UNCERTAIN, FailureKind.SUBMIT_LOST, "no answer", Verdict.FAULT),
        (Stage.UNCERTAIN, FailureKind.SUBMIT_LOST, BOT_STOPPED, Verdict.NEITHER),
        (Stage.CANCELLED, None, "", Verdict.NEITHER),
        (Stage.QUEUED, None, "", None),
        (Stage.RENDERING, None, "", None),
    ],
)
def test_only_the_gateways_faults_count(
    stage: Stage, kind: FailureKind | None, detail: str, says: Verdict | None
) -> None:
    assert breaker.verdict(stage, kind, detail) is says


# In the database


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


async def ended(books: Books, failure: Failure | None, minute: float) -> None:
    """Let a job of the model end so many minutes after noon, with a clip or a failure."""
    at = NOON + minute * MINUTE
    job = await books.bring(await books.place(10_000, at=at), Stage.RENDERING, at=at)
    if failure is not None:
        await books.jobs.fail(job.job_id, failure, now=at)
        return
    await books.jobs.rendered(job.job_id, ["https://cdn.example/a.mp4"], now=at)
    await books.jobs.fetched(job.job_id, Path("a.mp4"), now=at)
    await books.jobs.delivered(job.job_id, 900, note="", now=at)


async def track(books: Books, minute: float) -> Track:
    """The track record as a start of the program reads it."""
    found = Track(TrackStore(books.database), clock=lambda: NOON + minute * MINUTE)
    await found.load([PRO])
    return found


PRO = "apixo/sora-2-pro"


async def test_a_restart_knows_the_record_and_the_breaker(books: Books) -> None:
    for minute, failure in enumerate([None, DOWN, REFUSED, DOWN, DOWN]):
        await ended(books, failure, minute)
    now = await track(books, 5)
    assert now.record(PRO) == Record(ended=4, faults=3)
    assert now.breaker(PRO) == Breaker(faults=3, last_at=NOON + 4 * MINUTE, until=NOON + 14 * MINUTE)
    assert not now.may_try(PRO, "a")
    later = await track(books, 14)
    assert [later.may_try(PRO, job) for job in ("a", "b", "a")] == [True, False, True]


async def test_only_the_last_twenty_of_three_days_count(books: Books) -> None:
    for number in range(25):
        await ended(books, DOWN if number < 15 else None, number)
    now = await track(books, 30)
    assert now.record(PRO) == Record(ended=20, faults=10)
    assert now.breaker(PRO).is_closed
    assert (await track(books, COUNTS_FOR / MINUTE + 20)).record(PRO).ended == 5


async def test_a_start_reads_no_more_than_it_needs(books: Books) -> None:
    store = TrackStore(books.database)
    plans = await books.plans(store.recent([PRO], since=NOON, most=20))
    assert [step.partition(" (")[0] for step in plans] == [
        "SCAN wanted VIRTUAL TABLE INDEX 1:",  # the models, one row each
        "SEARCH jobs USING INDEX sqlite_autoindex_jobs_1",
        "CORRELATED LIST SUBQUERY 1",
        "SEARCH ended USING INDEX jobs_by_end",
        "SEARCH jobs USING INDEX jobs_by_stage",
    ]


async def test_what_is_reopened_stays_so_over_a_restart(books: Books) -> None:
    for minute in range(3):
        await ended(books, DOWN, minute)
    now = await track(books, 3)
    await now.forget(PRO)
    assert now.breaker(PRO).is_closed
    assert (await track(books, 4)).breaker(PRO).is_closed
    assert (await track(books, 4)).record(PRO) == Record()


async def test_a_lost_submit_counts_until_it_is_settled(books: Books) -> None:
    job = await books.bring(await books.place(), Stage.UNCERTAIN)
    now = await track(books, 1)
    assert now.record(PRO) == Record(ended=1, faults=1)
    found = await books.jobs.get(job.job_id)
    assert found is not None
    now.saw(found)
    assert now.record(PRO) == Record(ended=1, faults=1)


# In a bot


async def fails(world: World, times: int, model: str = CHEAP) -> None:
    """Let orders of a model fail at the gateway, one after the other."""
    for _ in range(times):
        world.gateway.looks.append(state("failed", failCode="GENERATION_FAILED", failMsg="worn out"))
        assert "is ordered" in await world.create(prompt="A fox", model=model)
        await world.settled()


async def passes(world: World, seconds: float) -> None:
    """Let so much time pass."""
    until = world.time.now() + dt.timedelta(seconds=seconds)
    await world.until(lambda: world.time.now() >= until)


async def all_pages(world: World) -> str:
    """Turn every page of /video models; return all there is to read."""
    shown = await world.member.slash(world.channel, "video models")
    read = str(shown.response.components)
    while "'More'" in str(shown.response.components):
        await click(world.member, shown, "More")
        read += str(shown.response.components)
    return read


async def test_an_open_breaker_refuses_names_others_and_tries_again_by_one_order(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE) as world:
        await fails(world, 3)
        refused = await world.create(prompt="A fox", model=CHEAP)
        assert "its last 3 orders failed at the gateway; one is tried again <t:" in refused
        assert f"Instead: {RICH}" in refused
        page = await all_pages(world)
        assert "Not now: its last 3 orders failed at the gateway" in page
        assert "Lately 3 of 3 orders failed at the gateway." in page
        assert f'video_bot_model_failing{{model="{CHEAP}"}} 1.0' in (await world.app.numbers.page()).decode()

        await world.restart()
        assert "one is tried again" in await world.create(prompt="A fox", model=CHEAP)
        world.time.jump(minutes=11)
        world.gateway.keep_rendering()
        await world.create(prompt="The trial", model=CHEAP)
        await world.reached(Stage.RENDERING)
        sent = len(world.gateway.submitted)
        await world.create(prompt="The next", model=CHEAP, by=world.other)
        await has_card(world, world.other)
        await world.until(lambda: world.app.desk.is_quiet)
        (waiting,) = await world.jobs(of=world.other)
        assert waiting.waiting_for == messages.WAITS_FOR_TRIAL
        assert messages.WAITS_FOR_TRIAL in await world.card(waiting)
        assert len(world.gateway.submitted) == sent

        world.gateway.renders = True
        await world.settled()
        assert [job.stage for job in await world.jobs(of=world.other)] == [Stage.DONE]
        assert "is ordered" in await world.create(prompt="A fox", model=CHEAP)
        await world.settled()


async def test_of_many_orders_one_tries_also_over_a_restart(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE) as world:
        await fails(world, 3)
        world.time.jump(minutes=11)
        world.gateway.keep_rendering()
        sent = len(world.gateway.submitted)
        for number in range(12):
            await world.create(
                prompt=f"Fox {number}", model=CHEAP, by=(world.member, world.other)[number % 2]
            )

        await world.until(lambda: len(world.gateway.submitted) > sent and world.app.desk.is_quiet)
        assert len(world.gateway.submitted) == sent + 1

        await world.restart()
        await passes(world, 180)
        assert len(world.gateway.submitted) == sent + 1

        world.gateway.looks.append(state("failed", failCode="CONTENT_VIOLATION", failMsg="no foxes"))
        await world.until(lambda: len(world.gateway.submitted) > sent + 1)  # it said nothing of the model
        await passes(world, 180)
        assert len(world.gateway.submitted) == sent + 2

        world.gateway.renders = True
        await world.settled()
        assert len(world.gateway.submitted) == sent + 12
        assert prove_ledger(world.app.folder.database, io.StringIO())


async def test_a_failed_trial_opens_again_for_longer_and_the_operator_can_reopen(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE) as world:
        await fails(world, 3)
        world.time.jump(minutes=10)
        await fails(world, 1)
        world.time.jump(minutes=15)
        assert "its last 4 orders failed" in await world.create(prompt="A fox", model=CHEAP)

        make_operator(world, world.staff)
        told = await world.ask("video-admin reopen", by=world.staff, what=f"model {CHEAP}")
        assert f"The model `{CHEAP}` takes orders again." in told
        assert "its last 4 orders failed at the gateway" in told
        await world.restart()
        assert "is ordered" in await world.create(prompt="A fox", model=CHEAP)
        await world.settled()
        assert availability(world).outages() == []


async def test_refused_prompts_open_nothing(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE) as world:
        for _ in range(4):
            world.gateway.looks.append(state("failed", failCode="CONTENT_VIOLATION", failMsg="no foxes"))
            assert "is ordered" in await world.create(prompt="A fox", model=CHEAP)
            await world.settled()


async def test_a_clock_that_was_set_back_leaves_no_model_alone_for_longer(books: Books) -> None:
    year = 365 * 24 * 60
    for minute in range(3):
        await ended(books, DOWN, year + minute)
    now = await track(books, 0)
    assert now.breaker(PRO).is_closed
    await (await track(books, year + 3)).forget(PRO)  # what is to be forgotten is not what comes now
    for minute in range(3):
        await ended(books, DOWN, minute)
    assert (await track(books, 3)).breaker(PRO) == Breaker(
        faults=3, last_at=NOON + 2 * MINUTE, until=NOON + 12 * MINUTE
    )
