"""Runs a child process to its end, which always comes."""

import asyncio
import contextlib
from asyncio.subprocess import Process


async def finish(
    process: Process, given: bytes | None = None, *, timeout_seconds: float
) -> tuple[bytes, bytes]:
    """Give a process its input and return what it wrote to stdout and stderr, where those are pipes.

    However this ends, cancelled included, the process is gone.

    Raises:
        TimeoutError: it took too long.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            out, err = await process.communicate(given)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return out or b"", err or b""
