"""The data folder: one process at a time, and only what is old and unneeded is swept."""

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from bot.errors import FolderInUse, SettingsError
from storage.folder import DataFolder

ROOT = Path(__file__).parent.parent
NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
HOLD = """
import sys
from pathlib import Path
from storage.folder import DataFolder
with DataFolder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Generator[subprocess.Popen[str]]:
    """Another process that holds the folder until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_with_exit_code_3(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(FolderInUse, match=r"DATA_DIR .* is in use") as refused, DataFolder(tmp_path):
        pass

    assert refused.value.exit_code == 3
    assert holder.poll() is None


def test_a_killed_process_leaves_the_folder_free(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()

    with DataFolder(tmp_path) as folder:
        assert folder.pictures.is_dir()


def test_the_folder_can_be_opened_again_after_it_was_closed(tmp_path: Path) -> None:
    for _ in range(2):
        with DataFolder(tmp_path / "deep" / "data") as folder:
            assert folder.path == tmp_path / "deep" / "data"
            with pytest.raises(FolderInUse), DataFolder(folder.path):
                pass


def test_a_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(SettingsError, match=r"DATA_DIR .*Not a directory.*Name a folder") as refused:
        DataFolder(tmp_path / "file" / "data").__enter__()

    assert refused.value.exit_code == 2


def test_a_lock_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()

    with pytest.raises(SettingsError, match="Is a directory"):
        DataFolder(tmp_path).__enter__()


def write(file: Path, days_old: int) -> Path:
    file.write_bytes(b"x")
    moment = (NOW - dt.timedelta(days=days_old)).timestamp()
    os.utime(file, (moment, moment))
    return file


def test_the_sweep_deletes_only_what_is_old_and_unneeded(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as folder:
        gone = [
            write(folder.clips / "old.mp4", 31),
            write(folder.clips / "old.small.mp4", 31),
            write(folder.clips / "old.mp4.part", 31),
            write(folder.pictures / "old.png", 31),
        ]
        kept = [
            write(folder.clips / "new.mp4", 29),
            write(folder.clips / "open.mp4", 400),
            write(folder.clips / "open.small.mp4", 400),
            write(folder.pictures / "open.png", 400),
            write(folder.pictures / "new.png", 0),
            write(folder.path / "bot.sqlite3", 400),
        ]

        count = folder.sweep(older_than=NOW - dt.timedelta(days=30), keep={"open.mp4", "open.png"})

        assert count == 4
        assert not any(file.exists() for file in gone)
        assert all(file.exists() for file in kept)


def test_the_scratch_of_a_killed_process_is_swept(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as folder:
        scratch = folder.clips / ".shrinking-abc"
        scratch.mkdir()
        write(scratch / "half.mp4", 31)
        os.utime(scratch, (0, 0))

        assert folder.sweep(older_than=NOW, keep=set()) == 1
        assert not scratch.exists()


def test_what_cannot_be_deleted_is_logged_and_hinders_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with DataFolder(tmp_path) as folder:
        write(folder.clips / "old.mp4", 31)
        (folder.pictures / "lost+found").mkdir()
        os.utime(folder.pictures / "lost+found", (0, 0))

        assert folder.sweep(older_than=NOW, keep=set()) == 1

    assert "cannot delete" in caplog.text
    assert "lost+found" in caplog.text
