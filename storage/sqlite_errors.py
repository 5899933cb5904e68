"""Translates what SQLite raises for the sake of the disk or the file into what this program knows, once."""

import sqlite3

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bot.errors import StorageTrouble
from bot.troubles import Trouble

# By the primary result code, the low byte: https://www.sqlite.org/rescode.html
_TROUBLES = {
    sqlite3.SQLITE_FULL: Trouble.DISK_FULL,
    sqlite3.SQLITE_READONLY: Trouble.READ_ONLY,
    sqlite3.SQLITE_PERM: Trouble.READ_ONLY,
    sqlite3.SQLITE_BUSY: Trouble.LOCKED,
    sqlite3.SQLITE_LOCKED: Trouble.LOCKED,
    sqlite3.SQLITE_IOERR: Trouble.FAILING,
    sqlite3.SQLITE_CANTOPEN: Trouble.FAILING,
    sqlite3.SQLITE_CORRUPT: Trouble.CORRUPT,
    sqlite3.SQLITE_NOTADB: Trouble.CORRUPT,
}


def trouble_of(error: Exception) -> StorageTrouble | None:
    """Return what an error of the database says of the disk or of the file; None where it is another."""
    if isinstance(error, PoolTimeout):
        return StorageTrouble(Trouble.LOCKED, "the database has no connection free")
    reason = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(reason, sqlite3.Error):
        return None
    code = getattr(reason, "sqlite_errorcode", None)  # errors of the driver itself have none
    trouble = _TROUBLES.get(code & 0xFF) if code is not None else None
    return None if trouble is None else StorageTrouble(trouble, str(reason))
