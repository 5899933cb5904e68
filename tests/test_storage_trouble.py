"""A full, locked or damaged disk, a clock that jumps: said clearly, nothing lost, mended by itself."""

import asyncio
import contextlib
import datetime as dt
import errno
import resource
import sqlite3
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bot import troubles
from bot.caretaker import LEAST_FREE_BYTES, Caretaker
from bot.disk_errors import disk_errors
from bot.errors import ChannelClosed, DiskUnusable, StorageTrouble, UserError
from bot.gateways.download import ClipFetcher
from bot.health import Health
from bot.models import NewJob, Stage
from bot.troubles import Trouble
from storage.database import Database
from storage.sqlite_errors import trouble_of
from tests.books import UTC_POLICY, Books, new_job, put_fresh_database
from tests.clock import FakeClock
from tests.fake_apixo import FakeApixo, state
from tests.world import World

LONG = "A fox runs " * 400  # more than fits into a page that has some room left


class Disk:
    """Lets SQLite refuse, in every database of this process, what it refuses for the sake of a disk."""

    def __init__(self) -> None:
        self._most_pages, self._takes_nothing = 2**30, "OFF"

    def fill(self) -> None:
        self._most_pages = 1  # SQLite takes it for as many as there are

    def forbid(self) -> None:
        self._takes_nothing = "ON"

    def mend(self) -> None:
        self.__init__()

    def apply(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {self._most_pages}")
        connection.exec_driver_sql(f"PRAGMA query_only = {self._takes_nothing}")


@pytest.fixture
def disk() -> Generator[Disk]:
    found = Disk()
    event.listen(Engine, "begin", found.apply)
    yield found
    event.remove(Engine, "begin", found.apply)


class Seen:
    """What a database told of its troubles."""

    def __init__(self) -> None:
        self.troubles: list[tuple[Trouble, str]] = []

    def notice(self, trouble: Trouble, detail: str) -> None:
        self.troubles.append((trouble, detail))


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
async def books(tmp_path: Path, seen: Seen) -> AsyncGenerator[Books]:
    path = await put_fresh_database(tmp_path)
    database = Database(path, on_trouble=seen.notice, patience_seconds=0.02)
    yield Books(database, tmp_path)
    await database.close()


@contextlib.contextmanager
def locked(path: Path) -> Generator[None]:
    """Let another connection write to the file and not end."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def damage(path: Path) -> None:
    """Overwrite every page but the first, and take away the journal that would hide it."""
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))


# The database says what is wrong


async def refused(books: Books, job: NewJob) -> StorageTrouble:
    with pytest.raises(StorageTrouble) as found:
        await books.orders.place(job, UTC_POLICY, now=dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC))
    return found.value


@pytest.mark.parametrize("trouble", [Trouble.DISK_FULL, Trouble.READ_ONLY, Trouble.LOCKED])
async def test_an_order_that_cannot_be_written_says_why_costs_nothing_and_works_later(
    books: Books, seen: Seen, disk: Disk, trouble: Trouble
) -> None:
    job = new_job(prompt=LONG)
    with contextlib.ExitStack() as stack:
        match trouble:
            case Trouble.DISK_FULL:
                disk.fill()
            case Trouble.READ_ONLY:
                disk.forbid()
            case _:
                stack.enter_context(locked(books.database.path))
        error = await refused(books, job)
        assert await books.rows("SELECT count(*) FROM jobs") == [(0,)]  # reading goes on
        with pytest.raises(StorageTrouble):
            await books.database.probe(reconnect=True)
    assert str(error).startswith("Orders are paused: the bot")
    assert "Nothing was charged" in str(error)
    assert {found for found, _ in seen.troubles} == {trouble}
    disk.mend()
    await books.database.probe(reconnect=False)
    await books.place(prompt=LONG)
    assert await books.rows("SELECT count(*) FROM jobs") == [(1,)]
    assert await books.rows("SELECT count(*) FROM marks") == [(0,)]


async def test_a_damaged_file_is_not_written_any_more(books: Books, seen: Seen) -> None:
    damage(books.database.path)
    with pytest.raises(StorageTrouble, match="the bot's database is damaged"):
        await books.jobs.unfinished()
    before = books.database.path.read_bytes()
    error = await refused(books, new_job())
    assert error.trouble is Trouble.CORRUPT
    assert books.database.path.read_bytes() == before
    assert [found for found, _ in seen.troubles] == [Trouble.CORRUPT]


async def test_a_mistake_of_ours_is_no_trouble_of_the_disk(books: Books, seen: Seen) -> None:
    with pytest.raises(OperationalError, match="no such table"):
        await books.write("INSERT INTO nowhere VALUES (1)")
    assert seen.troubles == []


@pytest.mark.parametrize("trouble", [Trouble.READ_ONLY, Trouble.LOCKED])
async def test_a_start_on_a_database_that_cannot_be_written_ends_with_6_and_one_line(
    tmp_path: Path, disk: Disk, trouble: Trouble
) -> None:
    path = await put_fresh_database(tmp_path)
    database = Database(path, patience_seconds=0.02)
    with contextlib.ExitStack() as stack:
        if trouble is Trouble.LOCKED:
            stack.enter_context(locked(path))
        else:
            disk.forbid()
        with pytest.raises(DiskUnusable, match="cannot be used now: ") as ended:
            await database.migrate()
    await database.close()
    assert ended.value.exit_code == 6
    assert "\n" not in str(ended.value)


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (sqlite_error(sqlite3.SQLITE_FULL), Trouble.DISK_FULL),
        (sqlite_error(sqlite3.SQLITE_READONLY_DBMOVED), Trouble.READ_ONLY),
        (sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT), Trouble.LOCKED),
        (sqlite_error(sqlite3.SQLITE_IOERR_FSYNC), Trouble.FAILING),
        (sqlite_error(sqlite3.SQLITE_CANTOPEN), Trouble.FAILING),
        (sqlite_error(sqlite3.SQLITE_CORRUPT_INDEX), Trouble.CORRUPT),
        (sqlite_error(sqlite3.SQLITE_NOTADB), Trouble.CORRUPT),
        (sqlite_error(sqlite3.SQLITE_CONSTRAINT_CHECK), None),
        (OperationalError("", {}, sqlite_error(sqlite3.SQLITE_FULL)), Trouble.DISK_FULL),
        (PoolTimeout("all are taken"), Trouble.LOCKED),
        (sqlite3.ProgrammingError("Cannot operate on a closed database."), None),
        (ValueError("something else"), None),
    ],
)
def test_what_sqlite_raises_is_told_apart(error: Exception, trouble: Trouble | None) -> None:
    found = trouble_of(error)
    assert (found and found.trouble) is trouble


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        (errno.ENOSPC, Trouble.DISK_FULL),
        (errno.EDQUOT, Trouble.DISK_FULL),
        (errno.EROFS, Trouble.READ_ONLY),
        (errno.EACCES, Trouble.READ_ONLY),
        (errno.EIO, Trouble.FAILING),
        (errno.ECONNRESET, None),
    ],
)
def test_what_the_system_refuses_is_told_apart(code: int, trouble: Trouble | None) -> None:
    with pytest.raises(OSError if trouble is None else StorageTrouble) as found, disk_errors():
        raise OSError(code, "as the system says it")
    assert getattr(found.value, "trouble", None) is trouble


def test_every_trouble_has_its_sentences() -> None:
    for trouble in Trouble:
        assert troubles.for_members(trouble).startswith("Orders are paused: ")
        assert "(what was seen)" in troubles.for_operator(trouble, "what was seen")


@contextlib.contextmanager
def largest_file(size: int) -> Generator[None]:
    """Let the system refuse to write files beyond a size, whoever asks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_clip_that_the_disk_does_not_take_is_no_bad_file(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    async with FakeApixo() as gateway, ClipFetcher(trusted_hosts={gateway.host}) as fetcher:
        link = f"http://{gateway.host}/files/task.mp4"
        with largest_file(20_000), pytest.raises(StorageTrouble) as found:
            await fetcher.fetch([link], clip)
        assert found.value.trouble is Trouble.DISK_FULL
        assert list(tmp_path.iterdir()) == []
        await fetcher.fetch([link], clip)
    assert clip.stat().st_size > 20_000


async def test_a_folder_that_was_deleted_to_make_room_is_made_again(tmp_path: Path) -> None:
    clip = tmp_path / "clips" / "clip.mp4"
    async with FakeApixo() as gateway, ClipFetcher(trusted_hosts={gateway.host}) as fetcher:
        await fetcher.fetch([f"http://{gateway.host}/files/task.mp4"], clip)
    assert clip.exists()


# Somebody looks after it


class Bell:
    """The operator, who may be out of reach."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.is_closed = False

    async def tell_operator(self, content: str) -> bool:
        if self.is_closed:
            raise ChannelClosed("direct messages are closed")
        self.told.append(content)
        return True


class Care:
    """A caretaker at work, with time that stands still."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.health = Health(clock=self.clock.now)
        self.database = Database(folder / "bot.sqlite3", on_trouble=self.health.notice, patience_seconds=0.02)
        self.bell = Bell()
        self.free_bytes = LEAST_FREE_BYTES
        self.caretaker = Caretaker(
            health=self.health,
            database=self.database,
            folder=folder,
            free_bytes=lambda _: self.free_bytes,
            bell=self.bell,
            clock=self.clock.now,
            sleep=self.clock.sleep,
            ticks=self.clock.ticks,
        )

    @property
    def wrong(self) -> list[Trouble]:
        return [problem.trouble for problem in self.health.problems()]

    async def passes(self, seconds: float) -> None:
        """Let time pass, and what it begins come to its end."""
        await self.clock.advance(seconds)
        while storing := [task for task in asyncio.all_tasks() if task.get_name().startswith("storage ")]:
            await asyncio.wait(storing)
            await self.clock.settle()


@pytest.fixture
async def care(tmp_path: Path) -> AsyncGenerator[Care]:
    await put_fresh_database(tmp_path)
    found = Care(tmp_path)
    loops = [asyncio.create_task(found.caretaker.look()), asyncio.create_task(found.caretaker.probe())]
    await found.passes(0)
    yield found
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    await found.database.close()


async def test_a_full_disk_is_tried_until_it_takes_something_again(care: Care, disk: Disk) -> None:
    disk.fill()
    with pytest.raises(StorageTrouble):
        await care.database.probe(reconnect=False)
    waiting = asyncio.create_task(care.health.can_write())
    for seconds in (1, 2, 4, 8):
        await care.passes(seconds)
        assert care.wrong == [Trouble.DISK_FULL]
    assert not waiting.done()
    disk.mend()
    await care.passes(16)
    assert care.wrong == []
    await waiting
    care.health.check()


async def test_a_file_that_was_opened_while_it_could_not_be_written_is_opened_anew(
    care: Care, disk: Disk
) -> None:
    disk.forbid()
    with pytest.raises(StorageTrouble):
        await care.database.probe(reconnect=False)
    assert care.wrong == [Trouble.READ_ONLY]
    disk.mend()
    await care.passes(1)
    assert care.wrong == []


async def test_a_damaged_database_is_never_tried_again(care: Care, disk: Disk) -> None:
    care.health.notice(Trouble.CORRUPT, "malformed")
    disk.fill()  # a try would be noticed
    await care.passes(3600)
    assert care.wrong == [Trouble.CORRUPT]
    assert len(care.bell.told) == 1
    assert "`python -m bot restore FILE`" in care.bell.told[0]


async def test_orders_stop_before_a_clip_no_longer_fits_and_go_on_by_themselves(care: Care) -> None:
    care.free_bytes = LEAST_FREE_BYTES - 1
    await care.passes(60)
    assert care.wrong == [Trouble.LOW_DISK]
    with pytest.raises(UserError, match="Orders are paused: the bot's disk is almost full"):
        care.health.check()
    await care.health.can_write()  # what is under way goes on
    care.free_bytes = LEAST_FREE_BYTES
    await care.passes(60)
    care.health.check()


async def test_the_operator_is_told_once_and_of_what_comes_and_goes_once_an_hour(care: Care) -> None:
    care.bell.is_closed = True
    care.health.notice(Trouble.LOCKED, "database is locked")
    care.health.notice(Trouble.CORRUPT, "so that it is not tried")
    await care.passes(60)
    care.bell.is_closed = False
    for _ in range(50):
        await care.passes(60)
        care.health.mend(Trouble.LOCKED)
        care.health.notice(Trouble.LOCKED, "database is locked")
    assert len(care.bell.told) == 2
    assert care.bell.told[0].startswith("Orders are paused: the bot's database is busy (database is locked)")
    await care.passes(20 * 60)
    assert len(care.bell.told) == 3


@pytest.mark.parametrize(
    ("hours", "words"), [(3, "forward by 3:00:00"), (-3, "back by 3:00:00"), (-24 * 365, "back by 365 days")]
)
async def test_a_clock_that_is_set_stops_orders_for_some_minutes(care: Care, hours: int, words: str) -> None:
    await care.passes(30)
    care.clock.set(care.clock.now() + dt.timedelta(hours=hours))
    await care.passes(30)
    (problem,) = care.health.problems()
    assert problem.trouble is Trouble.CLOCK
    assert problem.detail.startswith(words)
    with pytest.raises(UserError, match="the bot's clock was set just now"):
        care.health.check()
    await care.passes(4 * 60)
    assert care.wrong == [Trouble.CLOCK]
    await care.passes(60)
    assert care.wrong == []


async def test_a_clock_that_drifts_stops_nothing(care: Care) -> None:
    for _ in range(10):
        care.clock.set(care.clock.now() + dt.timedelta(seconds=5))
        await care.passes(60)
        assert care.wrong == []


# As members see it


async def test_while_nothing_can_be_written_orders_are_paused_jobs_wait_and_both_go_on_by_themselves(
    world: World, disk: Disk
) -> None:
    for _ in range(2):
        world.gateway.looks.append(state("processing"))
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    disk.forbid()
    for _ in range(2):  # the first finds it out, the second is refused before anything is tried
        assert await world.create(prompt="A bear runs") == (
            "Orders are paused: the bot cannot write to its disk. Nothing was charged; jobs under way go on "
            "when it is mended."
        )
    downloads = world.gateway.asked("files")
    await world.until(lambda: world.time.now() > world.started + dt.timedelta(minutes=10))
    assert "cannot write to its disk" in (await world.app.readiness.problems())["disk"]
    assert (await world.job()).stage is Stage.RENDERING
    assert world.gateway.asked("files") == downloads
    disk.mend()
    await world.settled()
    assert (await world.job()).stage is Stage.DONE
    assert (await world.app.readiness.problems())["disk"] == ""
    await world.create(prompt="A bear runs")
    await world.settled()
    assert len(world.gateway.submitted) == len(world.answers()) == 2
    assert not world.app.failed.is_set()


async def is_in_trouble(world: World) -> bool:
    return bool((await world.app.readiness.problems())["disk"])


async def test_the_answer_to_a_paid_request_is_written_down_when_the_disk_works_again(
    world: World, disk: Disk
) -> None:
    held = world.gateway.hold_submit()
    await world.create(prompt="A fox runs")
    await world.until(held.arrived.is_set)
    disk.forbid()
    held.release.set()
    await world.until(lambda: is_in_trouble(world))
    assert (await world.job()).stage is Stage.SUBMITTING
    disk.mend()
    await world.settled()
    assert (await world.job()).stage is Stage.DONE
    assert len(world.gateway.submitted) == len(world.answers()) == 1


async def test_a_database_that_is_damaged_while_the_bot_runs_stops_orders_and_steps_but_not_the_bot(
    world: World,
) -> None:
    world.gateway.keep_rendering()
    await world.create(prompt="A fox runs")
    await world.reached(Stage.RENDERING)
    await world.database.close()
    with contextlib.closing(sqlite3.connect(world.app.folder.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(world.app.folder.database)
    for _ in range(2):
        told = await world.create(prompt="A bear runs")
        assert told.startswith("Orders are paused: the bot's database is damaged. Nothing was charged")
    world.gateway.renders = True
    await world.until(lambda: world.time.now() > world.started + dt.timedelta(hours=1))
    assert "database is damaged" in (await world.app.readiness.problems())["database"]
    assert not world.app.failed.is_set()
    assert world.answers() == []
    assert len(world.gateway.submitted) == 1
