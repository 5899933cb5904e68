"""Jobs of which nobody knows what became of them: each way out is taken once, and never by a second order."""

import asyncio
import datetime as dt
import io
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.errors import UserError
from bot.gateways.base import Checked, Failed, Finished, Missing, NoAnswer, Running
from bot.models import FailureKind, Job, Stage
from bot.quotas import Period
from bot.uncertain import UncertainService
from bot.uncertain_messages import LOOK, RAN, RELEASE
from storage.audit import ActStore
from storage.balances import BalanceStore
from storage.notes import FOR_OPERATOR, NoteStore
from storage.proof import prove_ledger
from storage.servers import ServerStore
from storage.uncertain import UncertainStore
from tests.acting import make_operator
from tests.books import ALICE, BOB, CENT, NOON, PICTURE_REFUSED, SERVER, Books, open_books
from tests.clock import FakeClock
from tests.fake_apixo import cut, state
from tests.world import World, open_world

PRO = "apixo/sora-2-pro"
OTHER_SERVER = SERVER + 1
DAY = dt.timedelta(hours=24)
HELD, RELEASED = ("hold", 30 * CENT), ("release", 30 * CENT)
POSSIBLE = ("possible_charge", 30 * CENT)


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened
        out = io.StringIO()
        assert prove_ledger(opened.database.path, out), out.getvalue()


class Desk:
    """The service on books, in front of a gateway that shows what the test says, and what it has to drive."""

    def __init__(self, books: Books, *shows: Checked) -> None:
        self.books = books
        self.shows: list[Checked] = list(shows)
        self.asked: list[str] = []
        self.driven: list[Job] = []
        self.clock = FakeClock()
        self.store = UncertainStore(books.database, books.jobs)
        self.service = UncertainService(
            store=self.store,
            jobs=books.jobs,
            looks=self,
            driver=self,
            tell=lambda: None,
            clock=self.clock.now,
            sleep=self.clock.sleep,
        )

    async def look(self, job: Job, task_id: str) -> Checked:
        del job
        self.asked.append(task_id)
        await asyncio.sleep(0)
        return self.shows.pop(0)

    def go_on(self, job: Job) -> None:
        self.driven.append(job)

    async def job(self, job: Job) -> Job:
        found = await self.books.jobs.get(job.job_id)
        assert found is not None
        return found

    async def acts(self, server_id: int = SERVER) -> list[tuple[int | None, str, str, str]]:
        found = await ActStore(self.books.database).page(server_id)
        return [(act.actor_user_id, act.act, act.what, act.reason) for act in found]


async def submit_lost(books: Books, **order: Any) -> Job:
    return await books.bring(await books.place(**order), Stage.UNCERTAIN)


async def no_verdict(books: Books) -> Job:
    job = await books.bring(await books.place(), Stage.RENDERING)
    lost = await books.jobs.lose_sight(job.job_id, "no end", now=NOON)
    assert lost is not None
    assert lost.failure is not None
    assert lost.failure.kind is FailureKind.NO_VERDICT
    return lost


async def reminders(books: Books) -> list[tuple[int, str]]:
    return [(note.server_id, note.content) for note in await NoteStore(books.database).untold()]


# A callback names the task


@pytest.mark.parametrize(
    "shows",
    [
        Running(),
        Finished(urls=("https://cdn.example/a.mp4",)),
        Finished(urls=()),
        Failed(failure=PICTURE_REFUSED),
    ],
    ids=lambda shows: type(shows).__name__,
)
async def test_a_task_that_the_gateway_confirms_is_watched_from_there(books: Books, shows: Checked) -> None:
    job = await submit_lost(books)
    desk = Desk(books, shows)

    await desk.service.named(job, "task_9")

    found = await desk.job(job)
    assert (found.stage, found.task_id, found.failure) == (Stage.RENDERING, "task_9", None)
    assert (found.held_micros, await books.entries(job)) == (30 * CENT, [HELD])
    assert desk.driven == [found]
    assert await desk.acts() == [(None, RAN, f"job {job.job_id} is task task_9", "its callback came")]


@pytest.mark.parametrize(
    "shows", [Missing(detail="task not found"), NoAnswer(detail="HTTP 502")], ids=["missing", "silent"]
)
async def test_a_task_that_the_gateway_does_not_confirm_changes_nothing_until_it_does(
    books: Books, shows: Checked
) -> None:
    job = await submit_lost(books)
    desk = Desk(books, shows, Running())

    await desk.service.named(job, "task_9")

    assert (await desk.job(job), desk.driven, await desk.acts()) == (job, [], [])
    await desk.service.named(job, "task_9")
    assert (await desk.job(job)).stage is Stage.RENDERING


@pytest.mark.parametrize("task_id", ["", "a\nb", "x" * 501], ids=["empty", "two lines", "long"])
async def test_what_cannot_be_a_task_is_not_asked_for(books: Books, task_id: str) -> None:
    job = await submit_lost(books)
    desk = Desk(books)

    await desk.service.named(job, task_id)

    assert (desk.asked, await desk.job(job)) == ([], job)


async def test_the_task_of_another_job_is_never_a_second_ones(books: Books) -> None:
    owner = await books.bring(await books.place(), Stage.DONE)
    job = await submit_lost(books)
    desk = Desk(books, Running(), Running())
    assert owner.task_id is not None

    await desk.service.named(job, owner.task_id)
    with pytest.raises(UserError, match=f"is that of job `{owner.job_id}`"):
        await desk.service.ran(job.job_id, owner.task_id, server_id=None, by=BOB, reason="")

    assert (await desk.job(job), desk.driven) == (job, [])
    elsewhere = await submit_lost(books, gateway="pixazo")
    desk.shows = [Running()]
    await desk.service.named(elsewhere, owner.task_id)
    assert (await desk.job(elsewhere)).stage is Stage.RENDERING


async def test_callbacks_that_come_at_once_are_one_request_and_one_act(books: Books) -> None:
    job = await submit_lost(books)
    desk = Desk(books, Running(), Running(), Running())

    await asyncio.gather(*(desk.service.named(job, "task_9") for _ in range(3)))
    await desk.service.named(await desk.job(job), "task_9")  # late

    assert len(desk.driven) == len(await desk.acts()) == 1
    assert desk.asked[:1] == ["task_9"]
    assert len(desk.asked) <= 2


# A task that is known, and has no end


@pytest.mark.parametrize("names", ["task_of_somebody_else", ""])
async def test_a_callback_of_a_known_task_has_that_looked_at_whatever_it_names(
    books: Books, names: str
) -> None:
    job = await no_verdict(books)
    desk = Desk(books, Finished(urls=("https://cdn.example/a.mp4",)))

    await desk.service.named(job, names)

    assert desk.asked == [job.task_id]
    assert ((await desk.job(job)).stage, (await desk.job(job)).task_id) == (Stage.RENDERING, job.task_id)
    assert [act for _, act, _, _ in await desk.acts()] == [LOOK]


async def test_a_task_without_an_end_after_a_day_stays_uncertain_until_it_has_one(books: Books) -> None:
    job = await no_verdict(books)
    desk = Desk(books, Running(), Failed(failure=PICTURE_REFUSED))
    await desk.clock.advance(DAY.total_seconds())

    with pytest.raises(UserError, match="still renders job"):
        await desk.service.look(job.job_id, server_id=SERVER, by=BOB, reason="")
    assert (await desk.job(job), await desk.acts()) == (job, [])

    await desk.service.look(job.job_id, server_id=SERVER, by=BOB, reason="asked again")
    assert (await desk.job(job)).stage is Stage.RENDERING
    assert await desk.acts() == [(BOB, LOOK, f"job {job.job_id} is task {job.task_id}", "asked again")]


async def test_a_task_seen_running_within_the_day_is_watched_on(books: Books) -> None:
    job = await no_verdict(books)
    desk = Desk(books, Running())

    await desk.service.look(job.job_id, server_id=SERVER, by=BOB, reason="")

    assert (await desk.job(job)).stage is Stage.RENDERING


async def test_people_are_told_which_way_out_a_job_has(books: Books) -> None:
    lost, known = await submit_lost(books), await no_verdict(books)
    desk = Desk(books)

    with pytest.raises(UserError, match="Nobody knows under which id"):
        await desk.service.look(lost.job_id, server_id=SERVER, by=BOB, reason="")
    with pytest.raises(UserError, match="named the task of job"):
        await desk.service.ran(known.job_id, "task_9", server_id=None, by=BOB, reason="")

    assert desk.asked == []


# Staff give up


@pytest.mark.parametrize("make", [submit_lost, no_verdict])
async def test_a_released_job_costs_its_member_nothing_and_the_operator_perhaps(
    books: Books, make: Any
) -> None:
    job = await make(books)
    desk = Desk(books)

    released = await desk.service.release(
        f" `{job.job_id.upper()}` ", server_id=SERVER, by=BOB, reason="<@2> saw no charge"
    )

    assert released.failure is not None
    assert (released.stage, released.failure.kind) == (Stage.FAILED, FailureKind.RELEASED)
    assert (released.held_micros, released.finished_at) == (0, NOON)
    assert await books.entries(job) == [HELD, RELEASED, POSSIBLE]
    sums = await books.sums(ALICE)
    assert (sums.held_micros, sums.spent_micros, sums.jobs) == (0, 0, 0)
    assert desk.driven == [released]
    assert await desk.acts() == [(BOB, RELEASE, f"job {job.job_id}", "@somebody saw no charge")]


@pytest.mark.parametrize("ends", ["release", "ran"])
async def test_what_a_job_may_have_cost_that_waited_in_a_backup_explains_the_balance(
    books: Books, ends: str
) -> None:
    job = await submit_lost(books)
    await books.write("UPDATE jobs SET submitted_at = NULL")  # as a restore leaves it
    desk = Desk(books, Running())

    if ends == "release":
        await desk.service.release(job.job_id, server_id=SERVER, by=BOB, reason="")
    else:
        await desk.service.ran(job.job_id, "task_9", server_id=None, by=BOB, reason="")

    day = Period(starts_at=NOON - DAY, turns_at=NOON + DAY)
    (paid,) = await BalanceStore(books.database).paid_jobs("apixo", day)
    assert (paid.job_id, paid.possible_micros) == (job.job_id, 30 * CENT if ends == "release" else 0)


async def test_what_several_do_at_once_is_done_once(books: Books) -> None:
    """Two of staff press, and the callback comes at the same moment."""
    for order in (["release", "named", "release"], ["named", "release", "release"]):
        job = await submit_lost(books)
        desk = Desk(books, Running())
        acts = {
            "release": lambda desk=desk, job=job: desk.service.release(
                job.job_id, server_id=SERVER, by=BOB, reason=""
            ),
            "named": lambda desk=desk, job=job: desk.service.named(job, f"task of {job.job_id}"),
        }

        said = await asyncio.gather(*(acts[one]() for one in order), return_exceptions=True)

        assert len(desk.driven) == 1
        assert all(one is None or isinstance(one, Job | UserError) for one in said)
        is_released = desk.driven[0].stage is Stage.FAILED
        assert await books.entries(job) == [HELD, RELEASED, POSSIBLE] if is_released else [HELD]


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.UNCERTAIN])
async def test_there_is_no_way_out_of_another_stage(books: Books, stage: Stage) -> None:
    job = await books.bring(await books.place(), stage)
    before = await books.entries(job)
    desk = Desk(books, Running())

    await desk.service.named(job, "task_9")
    for act in (
        desk.service.release(job.job_id, server_id=SERVER, by=BOB, reason=""),
        desk.service.look(job.job_id, server_id=SERVER, by=BOB, reason=""),
        desk.service.ran(job.job_id, "task_9", server_id=None, by=BOB, reason=""),
    ):
        with pytest.raises(UserError, match="is not unclear"):
            await act

    assert (await desk.job(job), await books.entries(job), await desk.acts()) == (job, before, [])


async def test_staff_reach_jobs_of_their_own_server_and_the_operator_all(books: Books) -> None:
    job, theirs = await submit_lost(books), await submit_lost(books, server_id=OTHER_SERVER)
    desk = Desk(books)

    for act in (desk.service.release, desk.service.look):
        with pytest.raises(UserError, match="There is no job"):
            await act(theirs.job_id, server_id=SERVER, by=BOB, reason="")
    assert [one.job_id for one in await desk.service.listed(SERVER, limit=9)] == [job.job_id]

    assert len(await desk.service.listed(None, limit=9)) == 2
    await desk.service.release(theirs.job_id, server_id=None, by=BOB, reason="")
    assert [act for _, act, _, _ in await desk.acts(OTHER_SERVER)] == [RELEASE]
    assert await desk.acts(SERVER) == []


async def test_any_job_of_hundreds_is_found_by_its_id_or_a_part_of_its_prompt(books: Books) -> None:
    for number in range(30):
        await submit_lost(books, micros=CENT, prompt=f"Fox {number}")
    newest = await submit_lost(books, micros=CENT, prompt="A Crow sells 100% of the hills")
    theirs = await submit_lost(books, micros=CENT, prompt="A crow", server_id=OTHER_SERVER)
    service = Desk(books).service

    async def found(typed: str, server_id: int | None = SERVER) -> list[str]:
        return [job.job_id for job in await service.listed(server_id, limit=25, typed=typed)]

    for typed in ("crow", "100%", newest.job_id[2:].upper(), f"{newest.job_id} \u00b7 Unclear \u00b7 A Crow"):
        assert await found(typed) == [newest.job_id], typed
    assert await found("crow", None) == [newest.job_id, theirs.job_id]
    assert await found("fox_1") == await found(theirs.job_id) == []
    assert len(await found("")) == len(await found("fox")) == 25
    assert (await service.count(SERVER), await service.count(None)) == (31, 32)


# Reminders


async def test_staff_are_reminded_once_after_a_day_and_again_when_it_is_lost_again(books: Books) -> None:
    await ServerStore(books.database).change(
        SERVER, act="staff-channel", what="", by=BOB, now=NOON, staff_channel_id=300
    )
    job, found = await submit_lost(books), await submit_lost(books)
    desk = Desk(books, Running())
    await desk.service.named(found, "task_9")

    assert not await desk.store.remind(since=NOON - dt.timedelta(seconds=1), now=NOON)
    assert await desk.store.remind(since=NOON, now=NOON + DAY)
    assert not await desk.store.remind(since=NOON, now=NOON + DAY)

    ((server, told),) = await reminders(books)
    assert server == SERVER
    assert f"Job `{job.job_id}` in <#200> is unclear since <t:1795262400:R>" in told
    assert "It may have cost $0.30 at apixo" in told
    assert "`/video-admin uncertain release`" in told
    assert "<@" not in told

    later = NOON + 3 * DAY
    await books.jobs.lose_sight(found.job_id, "no end", now=later)
    assert await desk.store.remind(since=later, now=later + DAY)
    assert "`/video-admin uncertain look`" in (await reminders(books))[1][1]


async def test_the_operator_is_reminded_of_a_server_without_a_staff_channel(books: Books) -> None:
    await submit_lost(books)

    assert await Desk(books).store.remind(since=NOON, now=NOON + DAY)

    ((server, told),) = await reminders(books)
    assert (server, f"server {SERVER} has no staff channel" in told) == (FOR_OPERATOR, True)


# As people see it


async def lose(world: World, **options: Any) -> Job:
    """Order a clip whose answer is lost."""
    world.gateway.submits.append(cut())
    assert "is ordered" in await world.create(**{"prompt": "A fox runs", "model": PRO, **options})
    job = await world.reached(Stage.UNCERTAIN)
    await world.until(lambda: world.answers() and world.app.desk.is_quiet)
    return job


async def uncertain(world: World, command: str, *, by: Any = None, **options: Any) -> str:
    """Use a command; time passes meanwhile, since the gateway is asked in turn."""
    told: list[str] = []

    async def ask() -> None:
        told.append(await world.ask(f"video-admin uncertain {command}", by=by or world.staff, **options))

    await world.time.move_until(ask())
    return told[0]


def clips(world: World) -> list[discord.Message]:
    return [message for message in world.posts() if message.attachments]


@pytest.mark.parametrize("minutes", [1, 45], ids=["while it keeps its place", "when it has none any more"])
async def test_the_operator_names_the_task_and_its_clip_comes_at_once(minutes: int, world: World) -> None:
    job = await lose(world)
    assert "Unclear" in await world.card()
    assert "nobody will be charged twice" in await world.card()
    assert "`/video-admin uncertain ran`" in await world.card()
    task = world.gateway.accept({}, "sora-2-pro")
    end = world.time.now() + dt.timedelta(minutes=minutes)
    await world.until(lambda: world.time.now() >= end)

    refused = await uncertain(world, "ran", job=job.job_id, task=task.task_id)
    assert refused.startswith("Only the bot's operator may do this")
    make_operator(world, world.staff)
    unknown = await uncertain(world, "ran", job=job.job_id, task="task_of_nobody")
    assert "The gateway does not know task `task_of_nobody`" in unknown
    assert (await world.job()).stage is Stage.UNCERTAIN
    told = await uncertain(world, "ran", job=job.job_id, task=task.task_id, reason="seen in its list")
    assert f"as task `{task.task_id}`" in told
    asked_at = world.time.now()

    await world.until(lambda: clips(world))
    assert world.time.now() - asked_at < dt.timedelta(minutes=1)
    await world.settled()
    assert ((await world.job()).stage, len(world.gateway.submitted), len(clips(world))) == (Stage.DONE, 1, 1)
    assert [message.content.split("\n")[0].endswith("hangs.") for message in world.answers()] == [True, False]
    assert await world.sums() == (1_080_000, 0)
    assert "Done" in await world.card()


async def test_staff_release_a_job_once_and_everybody_reads_so(world: World) -> None:
    job = await lose(world)
    (choice,) = await world.staff.autocomplete(world.channel, "video-admin uncertain release", "job", "fox")
    assert choice["value"] == job.job_id
    assert "nobody can say whether it has this job" in await uncertain(world, "list")
    stranger, elsewhere = other_staff(world)
    for command in ("release", "look"):
        result = await stranger.slash(elsewhere, f"video-admin uncertain {command}", job=job.job_id)
        assert result.response.content.startswith("There is no job")

    told = await uncertain(world, "release", job=job.job_id)
    assert told.startswith(f"Job `{job.job_id}` is closed without a clip: $1.08 returned to <@")
    assert "is not unclear: Failed." in await uncertain(world, "release", job=job.job_id)
    await world.settled()
    assert [message.content.split("\n")[0].split("` ")[1] for message in world.answers()] == [
        "hangs.",
        "failed.",
    ]
    assert "staff closed it. Nobody here was charged" in world.answers()[1].content
    assert "Failed" in await world.card()
    assert (await world.sums(), len(world.gateway.submitted)) == ((0, 0), 1)
    assert "No job is unclear" in await uncertain(world, "list")


async def test_a_list_that_is_longer_says_how_many_there_are_and_where_to_page(world: World) -> None:
    books = Books(world.database, Path())
    for _ in range(4):
        await submit_lost(books, micros=CENT, server_id=world.guild.id)
    assert "oldest" not in await uncertain(world, "list")
    await submit_lost(books, micros=CENT, server_id=world.guild.id)

    assert "These are the oldest 4 of 5. `/video-admin jobs stage:uncertain`" in await uncertain(
        world, "list"
    )


def other_staff(world: World) -> tuple[Any, Any]:
    """Somebody who manages another server of the bot, and a channel there."""
    guild = world.env.create_guild("Other team")
    role = guild.create_role("Staff", permissions=discord.Permissions(manage_guild=True))
    stranger = guild.add_member(world.env.create_user("stranger"), roles=[role])
    return stranger, guild.create_text_channel("elsewhere")


@pytest.mark.parametrize("has_channel", [True, False], ids=["staff", "the operator"])
async def test_a_reminder_is_read_once_though_the_bot_starts_again(has_channel: bool, world: World) -> None:
    make_operator(world, world.other)
    channel = world.guild.create_text_channel("staff")
    if has_channel:
        await ServerStore(world.database).change(
            world.guild.id,
            act="staff-channel",
            what="",
            by=world.staff.id,
            now=world.time.now(),
            staff_channel_id=channel.id,
        )
    job = await lose(world)
    world.time.jump(hours=24)

    def read() -> list[str]:
        place = channel if has_channel else world.other.user.dm_channel
        said = [] if place is None else [message.content for message in place.history()]
        return [one for one in said if job.job_id in one]

    await world.until(read)
    await world.restart()
    make_operator(world, world.other)
    end = world.time.now() + dt.timedelta(hours=1)
    await world.until(lambda: world.time.now() >= end)
    (told,) = read()
    assert f"Job `{job.job_id}` in <#{world.channel.id}> is unclear" in told
    assert ("has no staff channel" in told) is not has_channel


async def test_after_half_an_hour_an_uncertain_job_keeps_no_place_also_over_a_restart(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await lose(world)
        world.time.jump(minutes=31)
        await world.restart()
        world.gateway.keep_rendering()
        for _ in range(10):
            await world.create(prompt="A fox runs", model=PRO, by=world.other)
        started = world.time.now()
        await world.until(lambda: len(world.gateway.tasks) == 10)
        assert world.time.now() - started < dt.timedelta(minutes=5)


async def test_a_job_without_a_verdict_is_looked_at_again_and_fails_as_the_gateway_says(world: World) -> None:
    world.gateway.keep_rendering()
    await world.create(prompt="A fox runs", model=PRO)
    await world.reached(Stage.RENDERING)
    world.time.jump(hours=24)
    job = await world.reached(Stage.UNCERTAIN)
    await world.until(world.answers)
    assert "`/video-admin uncertain look`" in world.answers()[-1].content
    assert "still renders job" in await uncertain(world, "look", job=job.job_id)

    world.gateway.looks.extend([state("failed", failCode="CONTENT_VIOLATION")] * 2)
    assert "The bot takes it from there" in await uncertain(world, "look", job=job.job_id)

    await world.settled()
    assert (await world.job()).failure.kind is FailureKind.PROMPT_REFUSED
    assert "The gateway refused the prompt" in world.answers()[-1].content
    assert (await world.sums(), len(world.gateway.submitted)) == ((0, 0), 1)


async def test_a_card_says_why_a_job_is_unclear_also_when_that_changes(world: World) -> None:
    make_operator(world, world.staff)
    job = await lose(world)
    task = world.gateway.accept({}, "sora-2-pro")
    world.gateway.keep_rendering()
    world.time.jump(hours=24)

    await uncertain(world, "ran", job=job.job_id, task=task.task_id)

    await world.until(lambda: len(world.answers()) == 2 and world.app.desk.is_quiet)
    assert "does not say how it ended" in world.answers()[1].content
    assert "does not say how it ended" in await world.card()
    assert "`/video-admin uncertain look`" in await world.card()
