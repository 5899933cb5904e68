"""The export: columns that scripts rely on, sums that are the ledger's, beside a running bot."""

import csv
import io
import json
import sqlite3
import tracemalloc
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, TextIO, cast

import pytest

from bot.errors import SchemaError, SettingsError
from bot.models import Stage
from bot.quotas import Layer, Limit, Measure
from storage.export import What, write_export
from tests.books import BOB, CHANNEL, DOLLAR, NOON, SERVER, Books, new_job, open_books

JOB_HEADER = (
    "job_id,server_id,channel_id,member_id,mode,model,seconds,shape,quality,stage,failure,task_id,"
    "quote_micros,held_micros,settled_micros,card_message_id,video_message_id,created_at,submitted_at,"
    "finished_at,account,gateway,home_channel_id,role_id,budget,budget_id,price_version,cost_micros,"
    "refunded_micros,sound,seed,style,is_auto,fell_from,fell_to"
)
LEDGER_HEADER = (
    "entry_id,job_id,server_id,member_id,kind,amount_micros,model,reason,created_at,ordered_at,account,gateway,"
    "channel_id,role_id,budget,budget_id,price_version,actor_id,act_id"
)
ACTS_HEADER = "act_id,server_id,actor_id,act,about_id,what,reason,at"
SNOWFLAKE = 1_443_000_000_000_000_001  # more than a float, and so than many a JSON reader, can hold


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


def as_json(books: Books, what: What) -> list[dict[str, Any]]:
    out = io.StringIO()
    write_export(books.database.path, what, "json", out)
    return json.loads(out.getvalue())


def as_csv(books: Books, what: What) -> list[dict[str, str]]:
    out = io.StringIO()
    write_export(books.database.path, what, "csv", out)
    return list(csv.DictReader(io.StringIO(out.getvalue())))


async def test_a_job_is_exported_with_exactly_these_columns(books: Books) -> None:
    new = new_job(
        server_id=SNOWFLAKE,
        channel_id=SNOWFLAKE + 1,
        home_channel_id=SNOWFLAKE + 4,
        top_role_id=SNOWFLAKE + 5,
        user_id=SNOWFLAKE + 2,
    )
    job = await books.place(
        **{
            name: getattr(new, name)
            for name in ("server_id", "channel_id", "home_channel_id", "top_role_id", "user_id")
        }
    )
    await books.jobs.card_posted(job.job_id, SNOWFLAKE + 3, showing=Stage.QUEUED)
    await books.bring(job, Stage.DONE)

    (row,) = as_json(books, "jobs")

    assert ",".join(row) == JOB_HEADER
    assert row == {
        "job_id": job.job_id,
        "server_id": str(SNOWFLAKE),
        "channel_id": str(SNOWFLAKE + 1),
        "member_id": str(SNOWFLAKE + 2),
        "mode": "text-to-video",
        "model": "apixo/sora-2-pro",
        "seconds": 4,
        "shape": "landscape",
        "quality": None,
        "stage": "done",
        "failure": None,
        "task_id": f"task of {job.job_id}",
        "quote_micros": 300_000,
        "held_micros": 0,
        "settled_micros": 300_000,
        "card_message_id": str(SNOWFLAKE + 3),
        "video_message_id": "900",
        "created_at": "2026-11-21T12:00:00.000000Z",
        "submitted_at": "2026-11-21T12:00:00.000000Z",
        "finished_at": "2026-11-21T12:00:00.000000Z",
        "account": "real",
        "gateway": "apixo",
        "home_channel_id": str(SNOWFLAKE + 4),
        "role_id": str(SNOWFLAKE + 5),
        "budget": "member",
        "budget_id": None,
        "price_version": "",
        "cost_micros": None,
        "refunded_micros": 0,
        "sound": None,
        "seed": None,
        "style": None,
        "is_auto": 0,
        "fell_from": None,
        "fell_to": None,
    }
    assert as_csv(books, "jobs") == [
        {name: "" if value is None else str(value) for name, value in row.items()}
    ]


async def test_the_ledger_is_exported_with_exactly_these_columns(books: Books) -> None:
    job = await books.bring(await books.place(), Stage.FAILED)

    rows = as_json(books, "ledger")

    assert ",".join(rows[0]) == LEDGER_HEADER
    assert [(row["kind"], row["amount_micros"], row["reason"]) for row in rows] == [
        ("hold", 300_000, "ordered"),
        ("release", 300_000, "picture_refused"),
        ("possible_charge", 300_000, "picture_refused"),
    ]
    for number, row in enumerate(rows, 1):
        assert row["entry_id"] == str(number)
        assert (row["job_id"], row["server_id"], row["member_id"]) == (job.job_id, str(SERVER), "1")
        assert (row["model"], row["created_at"]) == ("apixo/sora-2-pro", "2026-11-21T12:00:00.000000Z")
        assert (row["account"], row["gateway"], row["channel_id"]) == ("real", "apixo", str(CHANNEL))
        assert (row["budget"], row["budget_id"], row["ordered_at"]) == ("member", None, row["created_at"])
    assert [row["actor_id"] for row in rows] == ["1", None, None]
    assert as_csv(books, "ledger") == [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in rows
    ]


async def test_an_act_is_exported_with_exactly_these_columns_and_its_entry_names_it(books: Books) -> None:
    await books.grant(DOLLAR, to=BOB)

    (act,) = as_json(books, "acts")

    assert ",".join(act) == ACTS_HEADER
    assert act == {
        "act_id": act["act_id"],
        "server_id": str(SERVER),
        "actor_id": "2",
        "act": "grant",
        "about_id": "2",
        "what": "",
        "reason": "",
        "at": "2026-11-21T12:00:00.000000Z",
    }
    assert [row["act_id"] for row in as_json(books, "ledger")] == [act["act_id"]]


async def test_what_staff_wrote_is_no_formula_in_a_spreadsheet(books: Books) -> None:
    await books.limit(DOLLAR)
    await books.limits.set(
        SERVER,
        Limit(layer=Layer.SERVER, measure=Measure.DAY, amount=1),
        what="server",
        reason="=1+1\n@cmd",
        by=BOB,
        now=NOON,
    )

    assert [row["reason"] for row in as_csv(books, "acts")] == ["", "'=1+1 @cmd"]
    assert [row["reason"] for row in as_json(books, "acts")] == ["", "=1+1\n@cmd"]


async def test_all_servers_are_exported(books: Books) -> None:
    for server in (SERVER, SERVER + 1):
        await books.bring(await books.place(server_id=server), Stage.DONE)

    for what in ("jobs", "ledger"):
        assert {row["server_id"] for row in as_json(books, what)} == {"100", "101"}


async def test_a_refund_is_in_the_job_and_in_the_ledger(books: Books) -> None:
    await books.refund(await books.bring(await books.place(), Stage.DONE))

    (job,) = as_json(books, "jobs")

    assert (job["settled_micros"], job["refunded_micros"]) == (300_000, 300_000)
    assert [row["kind"] for row in as_json(books, "ledger")] == ["hold", "settle", "correction"]


@pytest.mark.parametrize(
    ("what", "header"), [("jobs", JOB_HEADER), ("ledger", LEDGER_HEADER), ("acts", ACTS_HEADER)]
)
async def test_an_empty_export_is_an_array_or_a_header(books: Books, what: What, header: str) -> None:
    out = io.StringIO()
    write_export(books.database.path, what, "csv", out)

    assert out.getvalue() == header + "\n"
    assert as_json(books, what) == []


async def test_the_jobs_agree_with_the_ledger_to_the_micro_dollar(books: Books) -> None:
    for number, stage in enumerate(Stage):
        await books.bring(await books.place(number + 1), stage)

    jobs, ledger = as_json(books, "jobs"), as_json(books, "ledger")

    def total(kind: str) -> int:
        return sum(row["amount_micros"] for row in ledger if row["kind"] == kind)

    assert {row["stage"] for row in jobs} == set(Stage)
    assert sum(row["settled_micros"] for row in jobs) == total("settle")
    assert sum(row["held_micros"] for row in jobs) == total("hold") - total("settle") - total("release")
    sums = await books.sums(None)
    assert (sums.spent_micros, sums.held_micros) == (
        sum(row["settled_micros"] for row in jobs),
        sum(row["held_micros"] for row in jobs),
    )


async def test_a_forgotten_member_is_exported_without_an_id(books: Books) -> None:
    await books.place()
    await books.place(user_id=BOB)
    await books.write("UPDATE members SET discord_id = NULL WHERE discord_id = 1")

    for what in ("jobs", "ledger"):
        assert [row["member_id"] for row in as_json(books, what)] == [None, "2"]
        assert [row["member_id"] for row in as_csv(books, what)] == ["", "2"]


async def test_what_members_and_gateways_wrote_is_not_exported(books: Books) -> None:
    await books.place(prompt='secret\n"prompt", of, a member', note="secret note")
    job = await books.bring(await books.place(prompt="=secret()"), Stage.RENDERING)
    await books.jobs.lose_sight(job.job_id, "secret words", now=job.created_at)

    for what in ("jobs", "ledger"):
        for form in ("csv", "json"):
            out = io.StringIO()
            write_export(books.database.path, what, form, out)
            assert "secret" not in out.getvalue()
            assert len(as_json(books, what)) == 2


async def test_the_export_reads_one_moment_while_the_bot_is_writing(books: Books) -> None:
    await books.place()
    async with books.database.write() as connection:
        await connection.exec_driver_sql("UPDATE jobs SET channel_id = 999")

        (row,) = as_json(books, "jobs")

    assert row["channel_id"] == str(CHANNEL)
    assert as_json(books, "jobs")[0]["channel_id"] == "999"


async def test_the_export_touches_no_file(books: Books) -> None:
    await books.place()
    on_disk = {file.name: file.stat().st_mtime_ns for file in books.database.path.parent.iterdir()}

    as_json(books, "jobs")

    after = {file.name: file.stat().st_mtime_ns for file in books.database.path.parent.iterdir()}
    assert {name: at for name, at in after.items() if not name.endswith("-shm")} == {
        name: at for name, at in on_disk.items() if not name.endswith("-shm")
    }


class Counting(io.TextIOBase):
    """Keeps nothing of what is written but how much it was."""

    def __init__(self) -> None:
        self.written = 0
        self.most_at_once = 0

    def write(self, text: str, /) -> int:
        self.written += len(text)
        self.most_at_once = max(self.most_at_once, len(text))
        return len(text)


@pytest.mark.parametrize("form", ["csv", "json"])
async def test_ten_thousand_rows_are_streamed(books: Books, form: Any) -> None:
    await books.place(DOLLAR)
    async with books.database.write() as connection:
        await connection.exec_driver_sql(
            "WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 9999) "
            "INSERT INTO acts (act_id, server_id, act, what, reason, at) "
            "SELECT n, 100, 'grant', 'what', 'reason', '' FROM count"
        )
        await connection.exec_driver_sql(
            "INSERT INTO ledger (server_id, member_id, account, kind, amount_micros, act_id, reason, budget, "
            "price_version, ordered_at, created_at) SELECT 100, 1, 'real', 'grant', 1, act_id, 'grant', "
            "'member', '', '2026-11-21T12:00:00.000000Z', '' FROM acts"
        )
    out = Counting()
    tracemalloc.start()

    write_export(books.database.path, "ledger", form, cast("TextIO", out))

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert out.written > 300_000
    assert out.most_at_once < 1_000
    assert peak < 200_000


@pytest.mark.parametrize("content", [b"", b"no database" * 200, None])
async def test_a_file_that_cannot_be_exported_is_said_in_one_line(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "bot.sqlite3"
    if content is None:
        sqlite3.connect(path).execute("CREATE TABLE jobs (job_id)").connection.close()
    else:
        path.write_bytes(content)

    with pytest.raises(SchemaError, match="cannot be read") as refused:
        write_export(path, "jobs", "csv", io.StringIO())

    assert "\n" not in str(refused.value)


def test_a_missing_database_is_a_wrong_setting_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="DATA_DIR: there is no database"):
        write_export(tmp_path / "bot.sqlite3", "jobs", "csv", io.StringIO())

    assert list(tmp_path.iterdir()) == []
