"""The data folder: one process at a time, and where its files lie."""

import datetime as dt
import fcntl
import logging
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
        except OSError as error:
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
        """Delete pictures and clips last written before a moment, but for the names to keep; return
        how many there were."""
        count = 0
        for folder in (self.pictures, self.clips):
            for file in folder.iterdir():
                stem = file.name.split(".", 1)[0]
                written_at = dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC)
                if written_at < older_than and not {file.name, f"{stem}.mp4"} & keep:
                    file.unlink()
                    count += 1
        return count
