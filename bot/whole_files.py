"""Writes files that appear whole or not at all."""

import os
import tempfile
from pathlib import Path

from bot.disk_errors import disk_errors


def write_whole(target: Path, data: bytes) -> None:
    """Write a file, and its folder where that is missing, so that it is on the disk before it has its name.

    The scratch of a process that is killed meanwhile is left for the sweep.

    Raises:
        StorageTrouble: the disk is full, read-only or failing.
    """
    with disk_errors():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".writing-") as scratch:
            draft = Path(scratch) / target.name
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
