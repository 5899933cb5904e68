"""Translates what the system refuses when a file of ours is written into what this program knows, once."""

import contextlib
from collections.abc import Generator

from bot import troubles
from bot.errors import StorageTrouble


@contextlib.contextmanager
def disk_errors() -> Generator[None]:
    """Raise a full, failing or read-only disk as StorageTrouble; other errors pass as they are."""
    try:
        yield
    except OSError as error:
        trouble = trouble_of(error)
        if trouble is None:
            raise
        raise trouble from error


def trouble_of(error: OSError) -> StorageTrouble | None:
    """Return what the refusal says of the disk; None where it is another."""
    trouble = troubles.of_os_error(error)
    return StorageTrouble(trouble, error.strerror or type(error).__name__) if trouble is not None else None
