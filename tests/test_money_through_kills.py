"""A team lead's month, with the process killed in between: every book says the same to the micro-dollar."""

import asyncio
import contextlib
import csv
import io
import os
import re
import sqlite3
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from tests.discord_server import LEAD, MEMBER, STAFF, VIDEOS, DiscordServer
from tests.fake_apixo import FakeApixo, state
from tests.test_process import ROOT, Bot, running

MODEL = "apixo/sora-2"
PRICE_MICROS = 500_000

# Looks come soon, since this test lives in real time.
QUICK = f"""
[models."{MODEL}".timing]
first_look_seconds = 1
typical_seconds = 2
"""


@pytest.fixture
async def discord(tmp_path: Path) -> AsyncGenerator[DiscordServer]:
    async with DiscordServer() as server:
        server.lead_here(tmp_path / "path")
        yield server


@contextlib.asynccontextmanager
async def team(folder: Path, discord: DiscordServer, gateway: FakeApixo) -> AsyncGenerator[Bot]:
    """Run the bot until it is ready."""
    (folder / "models.toml").write_text(QUICK)
    discord.ready.clear()
    settings = {
        "APIXO_API_KEY": gateway.key,
        "APIXO_BASE_URL": gateway.base_url,
        "TRUSTED_HOSTS": gateway.host,
        "MODELS_FILE": str(folder / "models.toml"),
    }
    async with running(folder, **settings) as bot:
        await bot.reaches(discord.ready)
        yield bot


async def kill(bot: Bot) -> None:
    bot.process.kill()
    await bot.ends()


async def output(folder: Path, *command: str) -> str:
    """Run another command of the program beside or after the bot; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", *command),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DATA_DIR": str(folder / "data")},
        stdout=asyncio.subprocess.PIPE,
    )
    written, _ = await process.communicate()
    assert process.returncode == 0, written.decode()
    return written.decode()


async def test_a_team_leads_month_agrees_in_every_book_also_after_kills(
    discord: DiscordServer, tmp_path: Path
) -> None:
    async with FakeApixo() as gateway:
        async with team(tmp_path, discord, gateway) as bot:
            request = await limited_and_asked(discord)
            await kill(bot)
        gateway.keep_rendering()
        async with team(tmp_path, discord, gateway) as bot:
            approved = await discord.press(LEAD, request, "Approve", channel_id=STAFF)
            await approved.text()
            await until_looked_at(gateway, 2)
            await kill(bot)
        gateway.renders = True
        async with team(tmp_path, discord, gateway) as bot:
            await until_clips(discord, 2)
            await spent_otherwise(discord, gateway)
            await kill(bot)
        async with team(tmp_path, discord, gateway) as bot:
            rows = await reported(discord)
            await kill(bot)

        await compare(tmp_path, rows)
        assert len(gateway.submitted) == len(rows) == 4
        assert len(clips(discord)) == 3


async def limited_and_asked(discord: DiscordServer) -> dict[str, Any]:
    """Set a limit, let the member reach it and ask; return the request."""
    told = await discord.use(LEAD, "video-admin staff-channel", channel=str(STAFF))
    assert f"<#{STAFF}>" in await told.text()
    told = await discord.use(LEAD, "video-admin quota set", amount="0.60", member=str(MEMBER))
    assert "$0.60" in await told.text()
    told = await discord.use(MEMBER, "video create", prompt="A paper boat", model=MODEL)
    assert "is ordered" in await told.text()
    await until_clips(discord, 1)
    told = await discord.use(MEMBER, "video create", prompt="A paper kite", model=MODEL)
    assert "your limit: $0.60 a month, of which $0.50 is spent" in await told.text()
    asked = await discord.press(MEMBER, told.shown, "Ask for")
    await asked.text()
    return await discord.until_posted(STAFF, "A paper kite")


async def spent_otherwise(discord: DiscordServer, gateway: FakeApixo) -> None:
    """Spend from a purse, fail there, and give back what the first clip cost."""
    told = await discord.use(LEAD, "video-admin purse open", amount="5")
    assert "$5.00" in await told.text()
    told = await discord.use(MEMBER, "video create", prompt="A paper plane", model=MODEL)
    assert "purse" in await told.text()
    await until_clips(discord, 3)
    gateway.looks.append(state("failed", failCode="CONTENT_VIOLATION", failMsg="no"))
    await discord.use(MEMBER, "video create", prompt="A paper crane", model=MODEL)
    await discord.until_posted(VIDEOS, "returned to the purse of")
    told = await discord.use(LEAD, "video-admin refund", job=clips(discord)[0], reason="It was dull")
    assert "$0.50" in await told.text()


async def reported(discord: DiscordServer) -> list[dict[str, str]]:
    """Ask for the month's report; return the rows of its file."""
    told = await discord.use(LEAD, "video-admin report", period="this month", by="member")
    assert "$1.00" in await told.text()  # one was approved, one the purse's, one refunded, and one failed
    (table,) = [file for file in told.shown["attachments"] if file["filename"].endswith(".csv")]
    return read(discord.files[table["url"]].decode("utf-8-sig"))


async def compare(folder: Path, rows: list[dict[str, str]]) -> None:
    """Compare the report's file, the export and the ledger; let the doctor compare the totals."""
    exported = read(await output(folder, "export", "--what", "ledger", "--format", "csv"))
    with contextlib.closing(sqlite3.connect(folder / "data" / "bot.sqlite3")) as database:
        ledger = database.execute("SELECT job_id, kind, amount_micros FROM ledger").fetchall()
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    await output(folder, "doctor", "--ledger")
    assert [(row["job_id"], row["kind"], int(row["amount_micros"])) for row in exported] == ledger
    assert sum(int(row["spent_micros"]) for row in rows) == 2 * PRICE_MICROS
    assert sorted(row["budget"] for row in rows) == ["approval", "member", "purse", "purse"]
    for row in rows:
        booked = {kind: amount for job, kind, amount in ledger if job == row["job_id"]}
        assert int(row["settled_micros"]) == booked.get("settle", 0)
        assert int(row["refunded_micros"]) == booked.get("correction", 0)
        assert int(row["held_micros"]) == 0
        assert booked["hold"] == booked.get("settle", 0) + booked.get("release", 0) == PRICE_MICROS


async def until_clips(discord: DiscordServer, count: int) -> None:
    """Wait until so many clips were posted."""
    while len(clips(discord)) < count:
        discord.posted.clear()
        await asyncio.wait_for(discord.posted.wait(), 30)


async def until_looked_at(gateway: FakeApixo, number: int) -> None:
    """Wait until the bot has asked for the task of this number, so that it surely knows of it."""
    asked = asyncio.Event()
    gateway.on_request = asked.set
    while len(gateway.tasks) < number or not list(gateway.tasks.values())[number - 1].looks:
        asked.clear()
        await asyncio.wait_for(asked.wait(), 30)


def read(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table)))


def clips(discord: DiscordServer) -> list[str]:
    """The ids of jobs whose clip was posted, once for each post."""
    return [
        found[1]
        for message in discord.messages[VIDEOS]
        if message["attachments"] and (found := re.search(r"Job `(\w+)`", message["content"]))
    ]
