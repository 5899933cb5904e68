"""The ids of jobs, which people read aloud and type."""

import secrets

_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # without letters and digits that look alike
_LENGTH = 10


def new_id() -> str:
    """Return a fresh id for a job, or for the draft that may become one."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
