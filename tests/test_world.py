"""The tests' own clock: it goes on only when the bot has nothing left to do but wait for it."""

import asyncio
import os
import threading
from pathlib import Path

from storage.database import Database
from tests.books import put_fresh_database
from tests.world import come_to_rest

ROUNDS = 1_000  # of the event loop: far more than rest takes where nothing is under way


async def stays_restless(rest: asyncio.Task[None]) -> bool:
    for _ in range(ROUNDS):
        await asyncio.sleep(0)
    return not rest.done()


async def test_there_is_no_rest_while_a_thread_works() -> None:
    may_end = threading.Event()
    work = asyncio.create_task(asyncio.to_thread(may_end.wait))
    rest = asyncio.create_task(come_to_rest())

    is_restless = await stays_restless(rest)
    may_end.set()
    await rest
    assert is_restless
    assert work.done()


async def test_there_is_no_rest_while_a_process_runs() -> None:
    its_input, our_end = os.pipe()
    process = await asyncio.create_subprocess_exec("cat", stdin=its_input, stdout=asyncio.subprocess.PIPE)
    os.close(its_input)
    work = asyncio.create_task(process.communicate())
    rest = asyncio.create_task(come_to_rest())

    is_restless = await stays_restless(rest)
    os.close(our_end)
    await rest
    assert is_restless
    assert work.done()


async def test_there_is_no_rest_while_the_database_is_read(tmp_path: Path) -> None:
    database = Database(await put_fresh_database(tmp_path))
    async with database.read():
        rest = asyncio.create_task(come_to_rest())
        assert await stays_restless(rest)
    await rest
    await database.close()
