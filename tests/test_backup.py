"""Backups beside a running bot, and restores after which nothing is paid, posted or lost twice."""

import asyncio
import datetime as dt
import fcntl
import io
import shutil
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot.errors import DiskUnusable, FolderInUse, SchemaError, SettingsError, StartupError
from bot.fallover import may_fall_over
from bot.models import Draft, DraftStage, Failure, FailureKind, Stage
from storage.backup import last_backup, write_backup
from storage.folder import DataFolder
from storage.proof import prove_ledger
from storage.restore import restore
from tests.books import DOLLAR, NOON, UTC_POLICY, Books, new_job, open_books
from tests.fake_apixo import state
from tests.world import World

ROOT = Path(__file__).parent.parent


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "bot.sqlite3"


@pytest.fixture(autouse=True)
def place(target: Path) -> None:
    target.parent.mkdir()


async def back_up(folder: DataFolder, target: Path) -> str:
    out = io.StringIO()
    await asyncio.to_thread(write_backup, folder, target, out, now=NOON)
    return out.getvalue()


async def put_back(folder: DataFolder, source: Path, *, at: dt.datetime = NOON) -> str:
    out = io.StringIO()
    await asyncio.to_thread(restore, folder, source, out, now=at)
    return out.getvalue()


def jobs_in(path: Path) -> int:
    connection = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
    (count,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
    connection.close()
    return count


async def test_a_backup_is_one_whole_file_and_one_line(folder: DataFolder, target: Path) -> None:
    async with open_books(folder.path) as books:
        await books.place()  # is in the journal only
        told = await back_up(folder, target)
    assert told.startswith(f"backup {target}: ")
    assert "schema 0004, 1 jobs" in told
    assert told.count("\n") == 1
    assert [file.name for file in target.parent.iterdir()] == [target.name]
    assert jobs_in(target) == 1


async def test_a_backup_replaces_the_one_before_and_is_remembered(folder: DataFolder, target: Path) -> None:
    assert last_backup(folder) is None
    async with open_books(folder.path) as books:
        for count in (1, 2):
            await books.place()
            await back_up(folder, target)
            assert jobs_in(target) == count
    assert last_backup(folder) == NOON


async def test_a_backup_holds_up_no_writer_even_while_its_own_moment_is_open(
    folder: DataFolder, target: Path
) -> None:
    async with open_books(folder.path) as books:
        reader = sqlite3.connect(f"file:{folder.database}?mode=ro", uri=True, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchone()  # what a backup holds while it copies
        for _ in range(3):
            await books.place(1)
        assert reader.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
        reader.close()
        assert "3 jobs" in await back_up(folder, target)


@pytest.mark.parametrize("name", ["bot.sqlite3", "bot.sqlite3-wal", "link"])
async def test_a_backup_never_overwrites_the_database_itself(folder: DataFolder, name: str) -> None:
    async with open_books(folder.path):
        (folder.path / "link").hardlink_to(folder.database)
        with pytest.raises(SettingsError, match="is the bot's own database"):
            await back_up(folder, folder.path / name)


async def test_a_backup_to_a_place_that_cannot_be_written_is_one_line(
    folder: DataFolder, target: Path
) -> None:
    async with open_books(folder.path):
        with pytest.raises(DiskUnusable, match="cannot be written: No such file or directory") as refused:
            await back_up(folder, target.parent / "gone" / "file")
        assert refused.value.exit_code == 6


async def test_two_backups_to_one_file_do_not_mix(folder: DataFolder, target: Path) -> None:
    async with open_books(folder.path):
        with target.with_name("bot.sqlite3.part").open("ab") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(FolderInUse, match="being written by another backup"):
                await back_up(folder, target)
        await back_up(folder, target)  # what the other one left is written over
        assert jobs_in(target) == 0


def damage(path: Path) -> None:
    """Overwrite a few pages in the middle."""
    data = bytearray(path.read_bytes())
    data[3 * 4096 : 40 * 4096] = b"\xa5" * (37 * 4096)
    path.write_bytes(data)


async def test_a_damaged_database_makes_no_backup_and_keeps_the_one_before(
    folder: DataFolder, target: Path
) -> None:
    async with open_books(folder.path):
        pass
    target.write_bytes(b"the one before")
    damage(folder.database)
    with pytest.raises(SchemaError):
        await back_up(folder, target)
    assert target.read_bytes() == b"the one before"
    assert [file.name for file in target.parent.iterdir()] == [target.name]
    assert last_backup(folder) is None


async def test_what_a_command_does_is_told_with_its_exit_code(folder: DataFolder, target: Path) -> None:
    async with open_books(folder.path):
        await back_up(folder, older := target.with_name("older"))
    with folder:
        backed_up, put_back = await asyncio.gather(
            command(folder, "backup", target), command(folder, "restore", older)
        )
    assert backed_up[0] == 0
    assert backed_up[1].startswith(f"backup {target}: ")
    assert put_back[0] == 3
    assert put_back[1].startswith("video bot: DATA_DIR ")


async def command(folder: DataFolder, *arguments: object) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", *map(str, arguments)),
        cwd=folder.path,
        env={"PYTHONPATH": str(ROOT), "DATA_DIR": str(folder.path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


# Restoring


@pytest.mark.parametrize("what", ["missing", "text", "damaged", "foreign", "newer", "itself"])
async def test_what_is_no_good_backup_changes_nothing(folder: DataFolder, target: Path, what: str) -> None:
    async with open_books(folder.path) as books:
        await books.place()
        await back_up(folder, target)
    before = folder.database.read_bytes()
    expected: type[StartupError] = SchemaError
    match what:
        case "missing":
            target.unlink()
            expected = SettingsError
        case "text":
            target.write_text("no database" * 1000)
        case "damaged":
            damage(target)
        case "foreign":
            target.unlink()
            with sqlite3.connect(target) as connection:
                connection.execute("CREATE TABLE jobs (number INTEGER)")
            connection.close()
        case "newer":
            with sqlite3.connect(target) as connection:
                connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.close()
        case _:
            target, expected = folder.database, SettingsError
    with pytest.raises(expected) as refused:
        await put_back(folder, target)
    assert "\n" not in str(refused.value)
    assert folder.database.read_bytes() == before
    assert [file.name for file in folder.path.glob("*restor*")] == []


async def test_a_restore_wants_the_folder_for_itself(folder: DataFolder, target: Path) -> None:
    async with open_books(folder.path):
        await back_up(folder, target)
    with folder, pytest.raises(FolderInUse):
        await put_back(DataFolder(folder.path), target)


async def test_a_restore_keeps_what_was_there_with_all_it_had(
    folder: DataFolder, target: Path, tmp_path: Path
) -> None:
    killed = DataFolder(tmp_path / "killed")
    killed.path.mkdir()
    async with open_books(folder.path) as books:
        await books.place()
        folder.database.chmod(0o600)
        await back_up(folder, target)
        await books.place()
        for ending in ("", "-wal"):  # what a kill leaves: the second job is in the journal only
            shutil.copy(f"{folder.database}{ending}", f"{killed.database}{ending}")
    told = await put_back(killed, target)
    (kept,) = killed.path.glob("*.before-restore-20261121-120000*")
    assert f"kept as {kept.name}" in told
    assert jobs_in(kept) == 2
    assert jobs_in(killed.database) == 1
    assert killed.database.stat().st_mode & 0o777 == 0o600


async def test_a_damaged_database_is_kept_as_it_is_and_replaced(folder: DataFolder, target: Path) -> None:
    async with open_books(folder.path) as books:
        await books.place()
        await back_up(folder, target)
    damage(folder.database)
    Path(f"{folder.database}-wal").write_bytes(b"stale")
    damaged = folder.database.read_bytes()
    await put_back(folder, target)
    (kept,) = folder.path.glob("*.before-restore-20261121-120000")
    assert kept.read_bytes() == damaged
    assert not Path(f"{folder.database}-wal").exists()
    async with open_books(folder.path) as books:
        assert await books.rows("SELECT count(*) FROM jobs") == [(1,)]
        await books.place()


async def test_a_backup_starts_a_new_machine(folder: DataFolder, target: Path, tmp_path: Path) -> None:
    async with open_books(folder.path) as books:
        await books.bring(await books.place(), Stage.DONE)
        await back_up(folder, target)
    there = DataFolder(tmp_path / "new machine")
    told = await put_back(there, target)
    assert "kept as" not in told
    assert "uncertain" not in told
    assert jobs_in(there.database) == 1


async def test_what_may_have_been_ordered_since_is_uncertain_and_never_ordered_again(
    folder: DataFolder, target: Path
) -> None:
    async with open_books(folder.path) as books:
        placed = {stage: await books.place(1) for stage in Stage}
        for stage, job in placed.items():
            await books.bring(job, stage)
        await back_up(folder, target)
    later = NOON + dt.timedelta(hours=3)
    told = await put_back(folder, target, at=later)
    async with open_books(folder.path) as books:
        after = {stage: await books.jobs.get(job.job_id) for stage, job in placed.items()}
        unknown = {Stage.QUEUED, Stage.SUBMITTING}
        for stage, job in after.items():
            assert job is not None
            assert job.stage is (Stage.UNCERTAIN if stage in unknown else stage)
            if stage in unknown:
                assert job.uncertain_at == later
                assert job.held_micros == 1
                assert job.job_id in told
                assert (
                    await history(books, job.job_id)
                    == "restored from a backup: it may have been ordered since"
                )
    assert prove_ledger(folder.database, io.StringIO())


async def test_no_model_goes_on_for_a_second_time_with_what_was_rendered(
    folder: DataFolder, target: Path
) -> None:
    async with open_books(folder.path) as books:
        placed = await books.place(is_auto=True)
        rendering = await books.bring(placed, Stage.RENDERING)
        await back_up(folder, target)
    failed_for_nothing = Failure(kind=FailureKind.TIMED_OUT, charged=False)
    assert may_fall_over(rendering, failed_for_nothing)  # as it did after the backup
    await put_back(folder, target)
    async with open_books(folder.path) as books:
        restored = await books.jobs.get(rendering.job_id)
    assert restored is not None
    assert restored.stage is Stage.RENDERING
    assert not may_fall_over(restored, failed_for_nothing)


async def history(books: Books, job_id: str) -> str:
    ((note,),) = await books.rows(
        "SELECT note FROM stage_history WHERE job_id = :job ORDER BY rowid DESC LIMIT 1", job=job_id
    )
    return note


async def test_a_yes_that_may_have_come_since_is_not_asked_for_again(
    folder: DataFolder, target: Path
) -> None:
    async with open_books(folder.path) as books:
        await books.limit(5 * DOLLAR)
        draft = await books.orders.place(new_job(3 * DOLLAR), UTC_POLICY, now=NOON)
        await back_up(folder, target)
    assert isinstance(draft, Draft)
    told = await put_back(folder, target)
    assert "were open are over (1)" in told
    async with open_books(folder.path) as books:
        assert await books.rows("SELECT draft_id, stage FROM drafts") == [
            (draft.draft_id, DraftStage.EXPIRED)
        ]


async def test_after_a_restore_nothing_is_paid_or_posted_a_second_time(world: World, target: Path) -> None:
    for _ in range(3):
        world.gateway.looks.append(state("processing"))
    await world.create(prompt="A fox runs")
    rendering = await world.reached(Stage.RENDERING)
    held = world.gateway.hold_submit()
    await world.create(prompt="A bear runs")
    await world.until(held.arrived.is_set)
    submitting = await world.job()
    await back_up(world.app.folder, target)
    held.release.set()
    await world.settled()
    paid, posted = len(world.gateway.submitted), world.answers()
    assert (paid, len(posted)) == (2, 2)
    await world.database.close()

    folder = DataFolder(world.app.folder.path)
    await world.restart(meanwhile=lambda: restore_now(folder, target, world.time.now()))
    await world.until(lambda: is_over(world, rendering.job_id))
    await world.until(lambda: len(world.answers()) > len(posted))

    assert len(world.gateway.submitted) == paid
    fox = await world.store.get(rendering.job_id)
    assert fox is not None
    assert fox.video_message_id in [message.id for message in posted]
    bear = await world.store.get(submitting.job_id)
    assert bear is not None
    assert bear.stage is Stage.UNCERTAIN
    (more,) = [message for message in world.answers() if message not in posted]
    assert not more.attachments  # it says that nobody is charged twice


async def is_over(world: World, job_id: str) -> bool:
    job = await world.store.get(job_id)
    return job is not None and job.stage is Stage.DONE


def restore_now(folder: DataFolder, source: Path, now: dt.datetime) -> None:
    """Restore while the test's loop stands still, as another process does."""
    with ThreadPoolExecutor() as threads:
        threads.submit(restore, folder, source, io.StringIO(), now=now).result()
