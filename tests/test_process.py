"""`python -m bot` as a real process: its exit codes, its signals and what it tells Discord at start."""

import asyncio
import contextlib
import csv
import dataclasses
import io
import os
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import aiohttp
import pytest

from bot.models import Job, Quality, Stage, utc_now
from storage.database import Database
from storage.jobs import JobStore
from storage.orders import OrderStore
from tests.books import UTC_POLICY, new_job, put_fresh_database
from tests.discord_standin import TOKEN, DiscordStandin
from tests.fake_apixo import FakeApixo, Held

ROOT = Path(__file__).parent.parent


@pytest.fixture
async def discord(tmp_path: Path) -> AsyncGenerator[DiscordStandin]:
    async with DiscordStandin() as standin:
        standin.lead_here(tmp_path / "path")
        yield standin


class Bot:
    """A process of the bot, and what it wrote."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.output = ""
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.output += line.decode()
            self._news.set()

    async def ends(self, within_seconds: float = 15) -> int:
        """Wait for the end; return the exit code."""
        async with asyncio.timeout(within_seconds):
            code = await self.process.wait()
            await self._reading
        return code

    async def reaches(self, event: asyncio.Event) -> None:
        """Wait until the bot came so far."""
        waiting = asyncio.create_task(event.wait())
        await asyncio.wait({waiting, self._reading}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        assert event.is_set(), self.output

    async def says(self, pattern: str) -> str:
        """Wait for a line; return the first group of the pattern."""
        while (found := re.search(pattern, self.output)) is None:
            self._news.clear()
            await self.reaches(self._news)
        return found.group(1) if found.groups() else ""

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


@contextlib.asynccontextmanager
async def running(folder: Path, command: str = "run", **settings: str) -> AsyncGenerator[Bot]:
    """Start `python -m bot`, and see to it that it is gone afterwards."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder / "path"), str(ROOT)]),
        "DISCORD_TOKEN": TOKEN,
        "DATA_DIR": str(folder / "data"),
        "HTTP_PORT": "0",
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        *command.split(),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    bot = Bot(process)
    try:
        yield bot
    finally:
        if process.returncode is None:
            process.kill()
        await bot.ends()


async def failure(folder: Path, command: str = "run", **settings: str) -> tuple[int, str]:
    """Run until it ends; return the exit code and the last line."""
    async with running(folder, command, **settings) as bot:
        code = await bot.ends()
    assert "Traceback" not in bot.output
    return code, bot.output.strip().splitlines()[-1]


@pytest.mark.usefixtures("discord")
async def test_a_refused_token_ends_the_process_with_5_and_one_line(tmp_path: Path) -> None:
    async with running(tmp_path, DISCORD_TOKEN="a-wrong-token") as bot:
        assert await bot.ends() == 5
    line = "video bot: DISCORD_TOKEN: Discord refused it. Copy it anew from the Developer Portal."
    assert bot.output.strip().splitlines()[-1] == line
    assert "Traceback" not in bot.output
    assert "a-wrong-token" not in bot.output


async def test_without_a_token_the_process_ends_with_2(tmp_path: Path) -> None:
    code, line = await failure(tmp_path, DISCORD_TOKEN="")
    assert code == 2
    assert line.startswith("video bot: DISCORD_TOKEN: is not set.")


async def test_a_wrong_setting_ends_the_process_with_2_and_names_it(tmp_path: Path) -> None:
    code, line = await failure(tmp_path, KEEP_DAYS="soon")
    assert code == 2
    assert line.startswith("video bot: KEEP_DAYS: ")


async def test_a_wrong_catalogue_ends_the_process_with_2_and_names_it(tmp_path: Path) -> None:
    models = tmp_path / "models.toml"
    models.write_text('[models."apixo/sora-2"]\nseconds = "ten"\n')
    code, line = await failure(tmp_path, MODELS_FILE=str(models))
    assert code == 2
    assert f'MODELS_FILE {models}: [models."apixo/sora-2"] seconds' in line


async def test_a_taken_port_ends_the_process_with_2(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        code, line = await failure(tmp_path, HTTP_PORT=str(port))
    assert code == 2
    assert f"HTTP_PORT: cannot listen on 127.0.0.1:{port}" in line


async def test_a_newer_database_ends_the_process_with_4(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with contextlib.closing(sqlite3.connect(data / "bot.sqlite3")) as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        database.execute("INSERT INTO alembic_version VALUES ('9999')")
        database.commit()
    code, line = await failure(tmp_path)
    assert code == 4
    assert "newer version (schema 9999)" in line


async def test_a_database_with_a_damaged_page_ends_the_process_with_4(tmp_path: Path) -> None:
    """So that a service manager does not start it again for ever."""
    path = await put_fresh_database(tmp_path / "data")
    with contextlib.closing(sqlite3.connect(path)) as database:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'jobs'"
        (page,), (size,) = database.execute(query).fetchone(), database.execute("PRAGMA page_size").fetchone()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : page * size] = b"\xa5" * size
    path.write_bytes(data)
    code, line = await failure(tmp_path)
    assert code == 4
    assert "the bot's database is damaged" in line


async def test_an_unreachable_discord_ends_the_process_with_1_and_one_line(tmp_path: Path) -> None:
    async with DiscordStandin() as gone:
        gone.lead_here(tmp_path / "path")
    code, line = await failure(tmp_path)
    assert code == 1
    assert line.startswith("video bot: Discord cannot be reached: ")


async def test_a_discord_that_takes_no_connection_ends_the_process_with_1_and_one_line(
    discord: DiscordStandin, tmp_path: Path
) -> None:
    discord.takes_sockets = False
    async with running(tmp_path) as bot:
        assert await bot.ends() == 1
    assert bot.output.splitlines()[-1].startswith("video bot: Discord cannot be reached: ")


async def test_a_running_bot_answers_for_its_health_keeps_its_folder_and_stops_on_a_signal(
    discord: DiscordStandin, tmp_path: Path
) -> None:
    async with running(tmp_path) as bot:
        address = await bot.says(r"health check on (http://\S+)")
        await bot.reaches(discord.ready)
        async with aiohttp.ClientSession() as session, session.get(address) as response:
            assert (response.status, await response.text()) == (200, "ok\n")
        await bot.says("connected to Discord")
        async with aiohttp.ClientSession(address.removesuffix("healthz")) as session:
            async with session.get("readyz") as response:
                told = await response.json()
                assert (response.status, told["ready"]) == (200, True), told
            async with session.get("metrics") as response:
                page = await response.text()
                assert response.content_type == "text/plain"
        assert 'video_bot_discord_requests_total{kind="other",status="200"}' in page
        assert re.search(r"^video_bot_loop_lag_seconds_count [1-9]", page, re.MULTILINE)
        assert TOKEN not in page + str(told)
        assert (await failure(tmp_path))[0] == 3
        assert await exported(tmp_path, "jobs") == []
        bot.signal(signal.SIGTERM)
        assert await bot.ends(within_seconds=10) == 0
    assert "Traceback" not in bot.output
    assert TOKEN not in bot.output


async def exported(folder: Path, what: str) -> list[dict[str, str]]:
    """Export as CSV."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "export", "--what", what, "--format", "csv"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DATA_DIR": str(folder / "data")},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    reader = csv.DictReader(io.StringIO(output.decode()))
    assert reader.fieldnames is not None
    assert reader.fieldnames[0] == "job_id"
    return list(reader)


async def test_a_signal_while_logging_in_stops_the_process(discord: DiscordStandin, tmp_path: Path) -> None:
    discord.answers_logins.clear()
    async with running(tmp_path) as bot:
        await bot.reaches(discord.logging_in)
        bot.signal(signal.SIGINT)
        assert await bot.ends(within_seconds=10) == 0
    assert "Traceback" not in bot.output


@contextlib.asynccontextmanager
async def ordering(folder: Path, gateway: FakeApixo) -> AsyncGenerator[tuple[Bot, Held, JobStore, Job]]:
    """Run a bot that has sent a paid request and waits for the answer."""
    (folder / "data").mkdir()
    async with contextlib.AsyncExitStack() as stack:
        database = Database(folder / "data" / "bot.sqlite3")
        stack.push_async_callback(database.close)
        await database.migrate()
        store = JobStore(database, pictures=folder, clips=folder)
        new = new_job()
        new = dataclasses.replace(new, request=dataclasses.replace(new.request, quality=Quality.P720))
        job = await OrderStore(database, store).place(new, UTC_POLICY, now=utc_now())
        assert isinstance(job, Job)
        await store.card_posted(job.job_id, 900, showing=Stage.QUEUED)
        held = gateway.hold_submit()
        async with running(folder, APIXO_API_KEY=gateway.key, APIXO_BASE_URL=gateway.base_url) as bot:
            await bot.reaches(held.arrived)
            yield bot, held, store, job


@pytest.mark.usefixtures("discord")
async def test_a_signal_waits_for_the_answer_to_a_paid_request(tmp_path: Path) -> None:
    async with FakeApixo() as gateway, ordering(tmp_path, gateway) as (bot, held, store, job):
        bot.signal(signal.SIGTERM)
        await bot.says("stopping")
        assert bot.process.returncode is None
        held.release.set()
        assert await bot.ends(within_seconds=10) == 0
        written = await store.get(job.job_id)
        assert (written.stage, written.task_id) == (Stage.RENDERING, "task_00000001")
    assert len(gateway.submitted) == 1


@pytest.mark.usefixtures("discord")
async def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    async with FakeApixo() as gateway, ordering(tmp_path, gateway) as (bot, held, store, job):
        bot.signal(signal.SIGTERM)
        await bot.says("stopping")
        bot.signal(signal.SIGTERM)
        assert await bot.ends(within_seconds=2) == 1
        held.release.set()
        assert (await store.get(job.job_id)).stage is Stage.SUBMITTING


async def test_commands_are_registered_once_and_again_when_they_changed(
    discord: DiscordStandin, tmp_path: Path
) -> None:
    for _ in range(2):
        discord.ready.clear()
        async with running(tmp_path) as bot:
            await bot.reaches(discord.ready)
            bot.signal(signal.SIGTERM)
            assert await bot.ends() == 0
    (commands,) = discord.registered
    assert {command["name"] for command in commands} >= {"video", "quota", "video-admin", "Animate image"}
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "bot.sqlite3")) as database:
        database.execute("UPDATE marks SET value = 'of other commands'")
        database.commit()
    discord.ready.clear()
    async with running(tmp_path) as bot:
        await bot.reaches(discord.ready)
    assert discord.registered == [commands, commands]
