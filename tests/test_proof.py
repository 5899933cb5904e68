"""The proof of the ledger: silent where all agrees, one line for each thing that does not."""

import dataclasses
import io
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.errors import SchemaError, SettingsError
from bot.models import Account, Stage
from storage.proof import prove_ledger
from tests.books import BOB, CENT, CHANNEL, DOLLAR, SERVER, UTC_POLICY, Books, open_books

ROOT = Path(__file__).parent.parent
RICH = dataclasses.replace(UTC_POLICY, default_member_micros=1000 * DOLLAR)


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    """Jobs in every stage, of two members, two servers and both accounts; one charged to a purse."""
    async with open_books(tmp_path) as opened:
        for number, stage in enumerate(Stage):
            job = await opened.place(30 * CENT + number, policy=RICH, user_id=1 + number % 2)
            await opened.bring(job, stage)
        await opened.bring(await opened.place(server_id=SERVER + 1, home_channel_id=CHANNEL + 1), Stage.DONE)
        await opened.place(account=Account.SANDBOX, gateway="sandbox-apixo")
        await opened.purse(5 * DOLLAR)
        await opened.bring(await opened.place(40 * CENT), Stage.DONE)
        await opened.grant(2 * DOLLAR, to=BOB)
        yield opened


def findings(books: Books) -> list[str]:
    out = io.StringIO()
    agrees = prove_ledger(books.database.path, out)
    *found, summary = out.getvalue().splitlines()
    assert agrees == (found == [])
    assert summary.endswith(
        "all agree" if agrees else f"{len(found)} finding" + ("s" if len(found) > 1 else "")
    )
    return found


async def damage(books: Books, *statements: str) -> list[str]:
    """Do to the file what the program never does, and return what the proof finds then."""
    await books.database.close()
    connection = sqlite3.connect(books.database.path)
    try:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for (trigger,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement
        connection.commit()
    finally:
        connection.close()
    return findings(books)


async def test_all_agrees_after_jobs_in_every_stage(books: Books) -> None:
    assert findings(books) == []


async def test_an_empty_ledger_agrees(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    async with open_books(tmp_path / "empty") as empty:
        assert findings(empty) == []


async def test_the_proof_reads_one_moment_while_the_bot_is_writing(books: Books) -> None:
    async with books.database.write() as connection:
        await connection.exec_driver_sql("UPDATE totals SET spent_micros = spent_micros + 1")

        assert findings(books) == []


async def test_a_total_that_is_not_its_entries_is_named_with_both(books: Books) -> None:
    (found,) = await damage(
        books, "UPDATE totals SET spent_micros = spent_micros + 1 WHERE scope = 'server' AND subject = '101'"
    )

    assert found == (
        "total of server 101 (real) at 2026-11-21 12:00 UTC: "
        "spent 300001, held 0, granted 0, possibly charged 0, jobs 1; "
        "its entries: spent 300000, held 0, granted 0, possibly charged 0, jobs 1"
    )


@pytest.mark.parametrize("column", ["spent", "held", "granted", "possible"])
async def test_every_sum_of_every_scope_is_compared(books: Books, column: str) -> None:
    found = await damage(books, f"UPDATE totals SET {column}_micros = {column}_micros + 1")  # noqa: S608

    ((totals,),) = await books.rows("SELECT count(*) FROM totals")
    assert len(found) == totals
    assert {line.split()[2] for line in found} == {
        "member", "purse", "channel", "server", "key", "operator"
    }  # fmt: skip


async def test_a_total_without_entries_and_entries_without_a_total_are_found(books: Books) -> None:
    found = await damage(
        books,
        "UPDATE totals SET subject = '999' WHERE scope = 'channel' AND subject = '201'",
    )

    assert sorted(line.split(" (real)")[0] for line in found) == [
        "total of channel 201",
        "total of channel 999",
    ]
    assert any(": none; its entries: spent 300000" in line for line in found)
    assert any(line.endswith("its entries: none") for line in found)


async def test_a_total_in_another_quarter_of_an_hour_is_found(books: Books) -> None:
    assert len(await damage(books, "UPDATE totals SET quarter = quarter + 1 WHERE scope = 'purse'")) == 2


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (
            "DELETE FROM ledger WHERE kind = 'settle' AND budget = 'purse'",
            "is done; of 400000 held 0 is settled",
        ),
        (
            "UPDATE ledger SET amount_micros = amount_micros + 1 WHERE budget = 'purse' AND kind = 'hold'",
            "was quoted",
        ),
        (
            "DELETE FROM ledger WHERE job_id IN (SELECT job_id FROM jobs WHERE stage = 'queued')",
            "nothing was ever",
        ),
        (
            "UPDATE jobs SET stage = 'queued' WHERE stage = 'done'",
            "is queued; of 300006 held 300006 is settled",
        ),
        (
            "UPDATE jobs SET stage = 'cancelled' WHERE stage = 'uncertain'",
            "is cancelled; of 300002 held 0 is",
        ),
        (
            "UPDATE jobs SET stage = 'rendering' WHERE stage = 'failed'",
            "is rendering; of 300007 held 0 is settled",
        ),
        ("UPDATE jobs SET budget = 'approval' WHERE stage = 'rendering'", "was held, 0 was approved"),
        (
            "UPDATE ledger SET kind = 'correction', amount_micros = 900000 WHERE kind = 'possible_charge'",
            "refunded",
        ),
        ("UPDATE ledger SET member_id = member_id + 1 WHERE entry_id = 1", "something else than its job"),
        (
            "UPDATE ledger SET ordered_at = '2026-10-21T12:00:00.000000Z' WHERE entry_id = 1",
            "else than its job",
        ),
        ("UPDATE ledger SET gateway = NULL WHERE entry_id = 1", "something else than its job"),
        ("DELETE FROM acts WHERE act = 'grant'", "(grant): has no act of its server"),
        ("UPDATE acts SET server_id = 999 WHERE act = 'grant'", "(grant): has no act of its server"),
        ("DELETE FROM purses", "(hold): is charged to a purse that is not its server's"),
        ("UPDATE ledger SET job_id = 'nobody' WHERE entry_id = 1", "(hold): names a job that is not there"),
    ],
)
async def test_a_job_or_an_entry_that_does_not_fit_is_found(books: Books, statement: str, what: str) -> None:
    found = await damage(books, statement)

    assert any(what in line for line in found), found


async def test_the_command_says_by_its_exit_code_whether_all_agrees(books: Books) -> None:
    command = (sys.executable, "-m", "bot", "doctor", "--ledger")
    folder = books.database.path.parent
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATA_DIR": str(folder)}

    def doctor() -> tuple[int, list[str]]:
        ended = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        return ended.returncode, ended.stdout.splitlines()

    assert doctor() == (0, ["20 entries, 12 jobs and 15 totals: all agree"])
    await damage(books, "UPDATE totals SET jobs = jobs + 1 WHERE scope = 'purse'")
    code, (found, summary) = doctor()

    assert code == 1
    assert found.startswith("total of purse 1 (real)")
    assert summary == "20 entries, 12 jobs and 15 totals: 1 finding"


async def test_what_cannot_be_read_is_said_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no database"):
        prove_ledger(tmp_path / "bot.sqlite3", io.StringIO())
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "bot.sqlite3").write_bytes(b"no database" * 200)

    with pytest.raises(SchemaError, match="cannot be read"):
        prove_ledger(tmp_path / "bot.sqlite3", io.StringIO())
