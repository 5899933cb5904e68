"""The data folder: one process at a time, and where its files lie."""

import datetime as dt
import fcntl
import logging
import shutil
from pathlib import Path
from typing import Self, TextIO

from bot.errors import FolderInUse, SettingsError

log = logging.getLogger(__name__)


class DataFolder:
    """DATA_DIR, locked while it is open."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.database = self.path / "bot.sqlite3"
        self.pictures = self.path / "pictures"
        self.clips = self.path / "clips"
        self.sandbox = self.path / "sandbox"
        self._lock: TextIO | None = None

    def __enter__(self) -> Self:
        """Make the folder and lock it; the system drops the lock however the process ends.

        Raises:
            SettingsError: the folder cannot be made or written.
            FolderInUse: another process holds it.
        """
        try:
            for folder in (self.path, self.pictures, self.clips):
                folder.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("a", encoding="utf-8")
        except OSError as error:
            raise SettingsError(
                f"DATA_DIR {self.path}: {error.strerror}. Name a folder the bot may write."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise FolderInUse(
                f"DATA_DIR {self.path} is in use by another process. Stop it, or name another folder."
            ) from error
        self._lock = lock
        return self

    def __exit__(self, *_: object) -> None:
        """Unlock."""
        if self._lock is not None:
            self._lock.close()

    def sweep(self, *, older_than: dt.datetime, keep: set[str]) -> int:
        """Delete pictures and clips last written before a moment, but for the names to keep.

        What is made of a clip (`job.mp4`) begins with its name (`job.small.mp4`) and is kept with it.
        A file that cannot be deleted is logged and stays. Returns how many were deleted.
        """
        count = 0
        for file in (*self.pictures.iterdir(), *self.clips.iterdir()):
            stem = file.name.split(".", 1)[0]
            if {file.name, f"{stem}.mp4"} & keep:
                continue
            try:
                if dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC) < older_than:
                    if file.name.startswith("."):
                        shutil.rmtree(file)  # the scratch of a process that was killed
                    else:
                        file.unlink()
                    count += 1
            except OSError as error:
                log.warning("cannot delete %s: %s", file, error.strerror)
        return count
