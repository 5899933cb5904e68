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

import pytest

from tests.discord_server import LEAD, MEMBER, STAFF, VIDEOS, DiscordServer
from tests.fake_apixo import FakeApixo
from tests.test_process import ROOT, Bot, running

MODEL = "apixo/sora-2"
PRICE_MICROS = 500_000

# Looks come soon, since this test lives in real time.
QUICK = f"""
[models."{MODEL}".timing]
first_look_seconds = 1
interval_seconds = 1
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
            told = await discord.use(LEAD, "video-admin staff-channel", channel=str(STAFF))
            assert f"<#{STAFF}>" in await told.text()
            told = await discord.use(LEAD, "video-admin quota set", amount="0.60", member=str(MEMBER))
            assert "$0.60" in await told.text()

            told = await discord.use(MEMBER, "video create", prompt="A paper boat", model=MODEL)
            assert "is ordered" in await told.text()
            await discord.until_posted(VIDEOS, "your clip is ready")
            told = await discord.use(MEMBER, "video create", prompt="A paper kite", model=MODEL)
            refusal = await told.text()
            assert "your limit: $0.60 a month, of which $0.50 is spent" in refusal
            asked = await discord.press(MEMBER, told.shown, "Ask for")
            await asked.text()
            request = await discord.until_posted(STAFF, "A paper kite")
            await kill(bot)

        gateway.keep_rendering()
        async with team(tmp_path, discord, gateway) as bot:
            approved = await discord.press(LEAD, request, "Approve", channel_id=STAFF)
            await approved.text()
            await discord.until_posted(VIDEOS, "At the gateway since")
            await kill(bot)

        gateway.renders = True
        async with team(tmp_path, discord, gateway) as bot:
            await discord.until_posted(VIDEOS, "Done")
            while len(clips(discord)) < 2:
                discord.posted.clear()
                await asyncio.wait_for(discord.posted.wait(), 30)
            told = await discord.use(LEAD, "video-admin report", period="this month", by="member")
            report = await told.text()
            (table,) = [file for file in told.shown["attachments"] if file["filename"].endswith(".csv")]
            report_csv = discord.files[table["url"]].decode("utf-8-sig")
            await kill(bot)

        whole = 2 * PRICE_MICROS
        assert "$1.00" in report
        rows = list(csv.DictReader(io.StringIO(report_csv)))
        assert sum(int(row["spent_micros"]) for row in rows) == whole
        exported = list(
            csv.DictReader(
                io.StringIO(await output(tmp_path, "export", "--what", "ledger", "--format", "csv"))
            )
        )
        assert sum(int(row["amount_micros"]) for row in exported if row["kind"] == "settle") == whole
        assert {row["budget"] for row in exported} == {"member", "approval"}
        await output(tmp_path, "doctor", "--ledger")
        with contextlib.closing(sqlite3.connect(tmp_path / "data" / "bot.sqlite3")) as database:
            settled = "SELECT SUM(amount_micros) FROM ledger WHERE kind = 'settle'"
            assert database.execute(settled).fetchall() == [(whole,)]
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert len(gateway.submitted) == len(clips(discord)) == 2


def clips(discord: DiscordServer) -> list[str]:
    """The ids of jobs whose clip was posted, once for each post."""
    return [
        found[1]
        for message in discord.messages[VIDEOS]
        if message["attachments"] and (found := re.search(r"Job `(\w+)`", message["content"]))
    ]
