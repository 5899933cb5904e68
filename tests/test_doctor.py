"""The doctor: what staff and the operator are told is wrong, with what to do, and what staff never see."""

import asyncio
import dataclasses
import datetime as dt
import io
import logging
from collections.abc import AsyncGenerator, Generator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import discord
import pytest

from bot import doctor_messages
from bot.__main__ import main
from bot.availability import Availability
from bot.catalogue_tables import load_catalogue
from bot.checkup import check_up
from bot.config import Settings
from bot.doctor import Doctor
from bot.errors import SchemaError, SettingsError, StorageTrouble
from bot.findings import Finding, Level, is_stuck
from bot.gateways.base import Gateway, NoAnswer
from bot.health import Health
from bot.models import FailureKind, Job, Outage, OutageScope, PauseScope, Stage, utc_now
from bot.pauses import Pauses
from bot.quotas import Policy
from bot.timing import TimeTable
from bot.track import Track
from bot.troubles import Trouble
from storage.checkup import CheckupStore, read_within
from storage.folder import DataFolder
from storage.outages import OutageStore
from storage.pauses import PauseStore
from storage.track import TrackStore
from tests.acting import deny, make_operator, world_with_a_waiting_job
from tests.books import DOLLAR, NOON, SERVER, Books, open_books, put_fresh_database
from tests.fake_apixo import cut, envelope
from tests.fake_pixazo import FakePixazo
from tests.world import World, open_world

GIB = 1024**3
PRO = "apixo/sora-2-pro"
RICH = Policy(default_member_micros=1000 * DOLLAR, caps=(), zone=ZoneInfo("UTC"))
OTHER = SERVER + 1


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


def doctor(books: Books, gateways: Mapping[str, Gateway] | None = None, **changes: Any) -> Doctor:
    """The doctor on books, at noon."""
    folder, known = DataFolder(books.database.path.parent), gateways or {}
    pauses = Pauses(PauseStore(books.database), clock=lambda: NOON)
    catalogue = load_catalogue(None)
    values = {
        "store": CheckupStore(books.database, books.jobs),
        "folder": folder,
        "availability": Availability(
            catalogue,
            OutageStore(books.database),
            gateways=known,
            unprobed=(),
            default_model=None,
            pauses=pauses,
            track=Track(TrackStore(books.database), clock=lambda: NOON),
            clock=lambda: NOON,
        ),
        "pauses": pauses,
        "gateways": known,
        "times": TimeTable(catalogue),
        "health": Health(clock=lambda: NOON),
        "low_micros": 5 * DOLLAR,
        "clock": lambda: NOON,
    }
    return Doctor(**{**values, **changes})


async def job_in(books: Books, stage: Stage, *, hours_ago: float, **changes: Any) -> Job:
    """A job that came to its stage so long before noon."""
    at = NOON - dt.timedelta(hours=hours_ago)
    return await books.bring(await books.place(at=at, policy=RICH, **changes), stage, at=at)


def asking(found: list[Finding]) -> list[str]:
    """What asks for something; each says what to do."""
    assert all(one.do for one in found if one.level is not Level.OK)
    return [one.what for one in found if one.level is not Level.OK]


# What is stuck


async def test_a_job_is_stuck_when_its_stage_lasts_too_long(books: Books) -> None:
    stuck_after_minutes = {
        Stage.QUEUED: 60,
        Stage.SUBMITTING: 5,
        Stage.RENDERING: 30,  # as it is told to be overdue
        Stage.FETCHING: 60,
        Stage.DELIVERING: 60,
    }
    for stage in Stage:
        job = await job_in(books, stage, hours_ago=0)
        minutes = stuck_after_minutes.get(stage, 100_000)  # others are over, or told as what they are
        for passed, stuck in ((minutes - 1, False), (minutes + 1, stage in stuck_after_minutes)):
            now = NOON + dt.timedelta(minutes=passed)
            assert is_stuck(job, overdue_seconds=1800, now=now) is stuck, (stage, passed)


async def test_stuck_and_unclear_jobs_are_named_with_why_and_what_to_do(books: Books) -> None:
    waits = await job_in(books, Stage.QUEUED, hours_ago=3)
    await books.jobs.wait(waits.job_id, "The gateway is busy; the bot tries again.")
    lost = await job_in(books, Stage.UNCERTAIN, hours_ago=26)
    slow = await job_in(books, Stage.RENDERING, hours_ago=20)
    await job_in(books, Stage.RENDERING, hours_ago=0.01)
    elsewhere = await job_in(books, Stage.UNCERTAIN, hours_ago=1, server_id=OTHER)

    here, everywhere = await doctor(books).of_server(SERVER), await doctor(books).of_machine()

    assert asking(here) == [
        f"Job `{lost.job_id}` ({PRO}) is unclear for 1 d 2 h.",
        f"Job `{slow.job_id}` ({PRO}) is rendering for 20 h 0 min.",
        f"Job `{waits.job_id}` ({PRO}) is waiting for 3 h 0 min. The gateway is busy; the bot tries again.",
    ]
    assert f"`{elsewhere.job_id}`" in "".join(asking(everywhere))
    assert f"/video-admin jobs job:{waits.job_id}" in here[-1].do


async def test_a_crowd_of_stuck_jobs_is_counted(books: Books) -> None:
    for _ in range(11):
        await job_in(books, Stage.QUEUED, hours_ago=3)
    assert asking(await doctor(books).of_server(SERVER))[-1] == "3 more jobs hang."


# What is found of the machine, from values alone


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (doctor_messages.room(90 * GIB, 3 * GIB, least_bytes=GIB // 4), Level.OK, "90.0 GiB are free"),
        (doctor_messages.room(GIB // 2, GIB, least_bytes=GIB // 4), Level.WARN, "512 MiB are free"),
        (doctor_messages.room(GIB // 8, GIB, least_bytes=GIB // 4), Level.BAD, "128 MiB are free"),
        (doctor_messages.backup(None, NOON), Level.WARN, "never backed up"),
        (doctor_messages.backup(NOON - dt.timedelta(hours=23), NOON), Level.OK, "23 h 0 min ago"),
        (doctor_messages.backup(NOON - dt.timedelta(hours=25), NOON), Level.WARN, "1 d 1 h ago"),
        (doctor_messages.clock(-9.0, whose="apixo"), Level.OK, "agrees with that of apixo"),
        (doctor_messages.clock(90.0, whose="Discord"), Level.BAD, "1 min ahead of that of Discord"),
        (doctor_messages.clock(-45.0, whose="Discord"), Level.BAD, "45 s behind that of Discord"),
        (doctor_messages.balance("apixo", 6 * DOLLAR, low_micros=5 * DOLLAR), Level.OK, "$6.00 is left"),
        (doctor_messages.balance("apixo", DOLLAR, low_micros=5 * DOLLAR), Level.WARN, "$1.00 is left"),
        (doctor_messages.balance("apixo", 0, low_micros=5 * DOLLAR), Level.BAD, "$0.00 is left"),
        (doctor_messages.proof("2 findings", agrees=False), Level.BAD, "2 findings"),
        (doctor_messages.damaged("*** in database main ***"), Level.BAD, "is damaged"),
        (doctor_messages.ffmpeg_fails("not there"), Level.BAD, "ffmpeg does not run: `not there`"),
    ],
)
def test_each_finding_says_how_bad_it_is_and_what_to_do(found: Finding, level: Level, words: str) -> None:
    assert found.level is level
    assert words in found.what
    assert bool(found.do) is (level is not Level.OK)


def test_a_page_tells_the_worst_first() -> None:
    fine, bad = Finding(level=Level.OK, what="a"), Finding(level=Level.BAD, what="b", do="c")
    soon = Finding(level=Level.WARN, what="d", do="e")
    assert doctor_messages.page_parts([fine, soon, bad, fine]) == [
        "🔴 b\n-# c",
        "🟡 d\n-# e",
        "🟢 a\n🟢 a",
    ]


async def test_outages_pauses_and_what_the_bot_noticed_itself_are_told(books: Books) -> None:
    health, pauses = Health(clock=lambda: NOON), Pauses(PauseStore(books.database), clock=lambda: NOON)
    health.notice(Trouble.LOW_DISK, "9 MiB are free in DATA_DIR")
    await pauses.pause(PauseScope.MODEL, PRO, "too <@1> dear", server_id=SERVER, by=1)
    since = NOON - dt.timedelta(hours=2)
    asked = doctor(books, health=health, pauses=pauses)
    await OutageStore(books.database).record(
        Outage(
            scope=OutageScope.KEY,
            subject="apixo",
            failure=FailureKind.NO_ACCESS,
            detail="bad key",
            since=since,
        )
    )
    await asked._availability.load()  # noqa: SLF001 - as the root does

    told = asking(await asked.of_machine())

    assert "9 MiB are free" in told[0]
    assert "The key `apixo` is out for 2 h 0 min: `bad key`." in told
    assert f"The model `{PRO}` is paused for 0 s: `too <@1> dear`." in told


async def test_staff_learn_that_the_database_cannot_be_read_and_not_why(books: Books) -> None:
    class Broken(CheckupStore):
        async def open_jobs(self, server_id: int | None) -> list[Job]:  # noqa: ARG002
            raise StorageTrouble(Trouble.CORRUPT, "page 7 of bot.sqlite3 is malformed")

    (told,) = asking(await doctor(books, store=Broken(books.database, books.jobs)).of_server(SERVER))
    assert told.startswith("Jobs could not be checked: `Orders are paused: the bot's database is damaged.")
    assert "page 7" not in told


async def test_a_gateway_that_no_model_is_of_is_told_as_that(tmp_path: Path, books: Books) -> None:
    models = tmp_path / "models.toml"
    models.write_text(
        '[gateways.studio]\nkind = "videos"\ndialect = "sglang"\nbase_url = "http://127.0.0.1:1/v1"\n'
    )
    gateway: Any = Silent("studio", tells_balance=False)
    availability = Availability(
        load_catalogue(models),
        OutageStore(books.database),
        gateways={},
        unprobed=(),
        default_model=None,
        pauses=Pauses(PauseStore(books.database), clock=lambda: NOON),
        track=Track(TrackStore(books.database), clock=lambda: NOON),
        clock=lambda: NOON,
    )

    found = await doctor(books, {"studio": gateway}, availability=availability).of_machine()

    (told,) = [one for one in found if "studio" in one.what]
    assert told.level is Level.WARN
    assert told.what == "No model is of the gateway studio, so its key could not be tried."
    assert "MODELS_FILE" in told.do


# Bounds


@dataclasses.dataclass
class Silent:
    """A gateway that never answers."""

    name: str = "apixo"
    tells_balance: bool = True
    tells_models: bool = False

    async def balance(self) -> int | NoAnswer:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_gateway_that_does_not_answer_holds_up_nothing(books: Books) -> None:
    gateway: Any = Silent()
    found = await doctor(books, {"apixo": gateway}, answer_seconds=0.5).of_machine()
    assert "apixo does not answer as it should: `no answer within 0.5 s`." in asking(found)
    assert doctor_messages.FILE_WHOLE in found


async def test_reading_the_file_ends_in_time(books: Books) -> None:
    count = (
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000000) SELECT max(i) FROM n"
    )
    with pytest.raises(TimeoutError), read_within(books.database.path, 0.01) as connection:
        connection.execute(count).fetchone()


# Beside a running bot


async def checked(folder: Path, **settings: Any) -> tuple[bool, str]:
    out = io.StringIO()
    is_fine = await check_up(Settings(data_dir=folder, **settings), out)
    return is_fine, out.getvalue()


async def test_the_command_asks_the_gateways_and_reads_the_files_beside_a_running_bot(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world, FakePixazo() as pixazo:
        keys = {
            "apixo_api_key": world.gateway.key,
            "apixo_base_url": world.gateway.base_url,
            "pixazo_api_key": pixazo.key,
            "pixazo_base_url": f"http://{pixazo.host}",
        }
        is_fine, told = await checked(tmp_path, **keys)
        assert not is_fine  # for want of a backup
        assert "ok    apixo takes the key; $74.87 is left there." in told
        assert "ok    pixazo answers and does not refuse the key" in told
        assert "ok    The clock agrees with that of apixo." in told
        assert "ok    The ledger: 0 entries, 0 jobs and 0 totals: all agree." in told
        assert "WARN  The database was never backed up.\n      -> Run `python -m bot backup FILE`" in told
        assert "`/video-admin doctor`" in told
        old = "are older than 90 days" in told  # as the shipped entries are, once nobody looks after them
        assert told.endswith(f"{1 + old} of {11 + old} findings ask for something.\n")

        world.gateway.balance = envelope(
            None, code=401, status=401, message=f"no such key {world.gateway.key}"
        )
        _, told = await checked(tmp_path, **keys)
        assert "BAD   apixo refuses the key: `401: no such key [key]`." in told
        world.gateway.balance = cut()
        _, told = await checked(tmp_path, **keys)
        assert "BAD   apixo does not answer as it should: `ServerDisconnectedError" in told
        assert world.gateway.submitted == []


async def test_stuck_jobs_and_a_damaged_file_are_found_there(tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        at = utc_now() - dt.timedelta(hours=30)
        lost = await books.bring(await books.place(at=at), Stage.UNCERTAIN, at=at)
        await books.write("UPDATE totals SET jobs = jobs + 1")
    _, told = await checked(tmp_path)
    assert f"BAD   Job `{lost.job_id}` ({PRO}) is unclear for 1 d 6 h." in told
    assert "BAD   The ledger:" in told
    assert "ok    No gateway has a key" in told


async def test_a_file_that_is_not_there_or_not_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no database"):
        await checked(tmp_path)
    async with open_books(tmp_path) as books:
        await books.write("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match="schema 9999, not this program's"):
        await checked(tmp_path)


@pytest.fixture
def logging_as_it_was() -> Generator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


@pytest.mark.usefixtures("logging_as_it_was")
def test_the_exit_code_says_whether_something_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(put_fresh_database(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", "data")

    assert main(["doctor"]) == 1
    assert main(["backup", "copy.sqlite3"]) == 0
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("All is as it should be.\n")


# In Discord

MACHINES = ("takes the key", "74.87", "DATA_DIR", "ffmpeg", "SQLite", "backed up", "ledger", "The clock")


async def test_staff_read_of_their_server_and_never_of_the_machine(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        job = await world.job()
        world.time.jump(hours=2)
        told = await world.ask("video-admin doctor", by=world.staff)
        assert f"Job `{job.job_id}` (apixo/sora-2) is waiting for 2 h" in told
        assert "There is no staff channel" in told
        assert "I lack" not in told
        assert not [word for word in MACHINES if word in told]

        deny(world, "attach_files", "read_message_history")
        await world.ask("video-admin pause", by=world.staff, reason="holidays")
        told = await world.ask("video-admin doctor", by=world.staff)
        assert (
            f"In <#{world.channel.id}> (orders) I lack **Attach Files** and **Read Message History**." in told
        )
        assert "Orders are paused in this server: `holidays`." in told


async def test_the_operator_reads_of_the_machine_and_of_every_server(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        job = await world.job()
        world.time.jump(hours=2)
        theirs = world.env.create_guild("Others")
        there = theirs.create_text_channel("videos")
        role = theirs.create_role("Staff", permissions=discord.Permissions(manage_guild=True))
        chief = theirs.add_member(world.env.create_user("chief"), roles=[role])

        async def asked() -> str:
            return str((await chief.slash(there, "video-admin doctor")).response.components)

        told = await asked()
        assert job.job_id not in told
        assert not [word for word in MACHINES if word in told]
        make_operator(world, chief)
        told = await asked()
        assert job.job_id in told
        assert [word for word in MACHINES if word not in told] == []
        assert told.count(job.job_id) == 2  # it is named, and in what to do, once


async def test_a_member_is_told_nothing(world: World) -> None:
    command: Any = world.app.bot.tree.get_command("video-admin")
    assert command.default_permissions == discord.Permissions(manage_guild=True)
    assert "doctor" in {one.name for one in command.commands}
