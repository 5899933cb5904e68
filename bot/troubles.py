"""What can be wrong with the machine: its disk, its database file, its clock; and how it is said."""

import enum
import errno


class Trouble(enum.StrEnum):
    """What is wrong. While it lasts no order is taken; whatever is under way waits and loses nothing."""

    DISK_FULL = "disk_full"  # something could not be written for want of room
    LOW_DISK = "low_disk"  # there is so little room left that a clip might not fit
    READ_ONLY = "read_only"  # the data folder cannot be written
    LOCKED = "locked"  # somebody else writes to the database and does not end
    FAILING = "failing"  # the disk answers with errors
    CORRUPT = "corrupt"  # the database file is damaged; only the operator can mend that
    CLOCK = "clock"  # the clock was set just now


_WHY = {
    Trouble.DISK_FULL: "the bot's disk is full",
    Trouble.LOW_DISK: "the bot's disk is almost full",
    Trouble.READ_ONLY: "the bot cannot write to its disk",
    Trouble.LOCKED: "the bot's database is busy",
    Trouble.FAILING: "the bot's disk does not work properly",
    Trouble.CORRUPT: "the bot's database is damaged",
    Trouble.CLOCK: "the bot's clock was set just now, and limits count by it",
}

_WHAT_TO_DO = {
    Trouble.DISK_FULL: "Free some room; the bot goes on by itself.",
    Trouble.LOW_DISK: "Free some room, or lower KEEP_DAYS; the bot goes on by itself.",
    Trouble.READ_ONLY: "Let the bot write to DATA_DIR again; it goes on by itself.",
    Trouble.LOCKED: "Find the program that has the database open, and end it; the bot goes on by itself.",
    Trouble.FAILING: "Look into the system's log and mend the disk; the bot goes on by itself.",
    Trouble.CORRUPT: "Stop the bot and restore a backup: `python -m bot restore FILE`.",
    Trouble.CLOCK: "Check that the machine keeps its time; the bot goes on by itself within minutes.",
}


def for_members(trouble: Trouble) -> str:
    """Say why the bot takes no orders now, as members read it."""
    return f"Orders are paused: {_WHY[trouble]}. Nothing was charged; jobs under way go on when it is mended."


def for_operator(trouble: Trouble, detail: str) -> str:
    """Say what is wrong and what to do about it, as the operator reads it."""
    return f"Orders are paused: {_WHY[trouble]} ({detail}). {_WHAT_TO_DO[trouble]}"


def of_os_error(error: OSError) -> Trouble | None:
    """Return what the refusal to write a file of ours says; None where it is no trouble of the disk."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return Trouble.DISK_FULL
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return Trouble.READ_ONLY
        case errno.EIO | errno.ESTALE | errno.ENODEV | errno.ENOENT:
            return Trouble.FAILING
        case _:
            return None
