"""Reports: sums that are the ledger's to the micro-dollar, in the server's own calendar."""

import csv
import dataclasses
import datetime as dt
import io
import random
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from PIL import Image
from sqlalchemy import event
from sqlalchemy.engine import Engine

from bot import periods
from bot.charts import Bar, Charts
from bot.models import Account, Budget, Charge, Job, Stage
from bot.quotas import Period, Policy
from storage import ledger
from storage.ledger import Scope
from storage.reports import By, PeriodReport, ReportStore, Spent
from storage.schema import EntryKind
from storage.servers import ServerStore
from tests.acting import CHEAP, world_with
from tests.books import ALICE, BOB, CHANNEL, DOLLAR, NOON, SERVER, Books, new_job, open_books
from tests.world import START, World, open_world

UTC, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")
RICH = Policy(default_member_micros=1_000_000 * DOLLAR, caps=(), zone=UTC)
CAROL = 3
MEGABYTES = 10 * 1024 * 1024
ENDS = [Stage.QUEUED, Stage.UNCERTAIN, Stage.RENDERING, Stage.DONE, Stage.DONE, Stage.FAILED, Stage.CANCELLED]
SPENT_AND_HELD = """
    SELECT COUNT(*) FILTER (WHERE kind = 'hold'),
           SUM(CASE kind WHEN 'settle' THEN amount_micros WHEN 'correction' THEN -amount_micros ELSE 0 END),
           SUM(CASE kind WHEN 'hold' THEN amount_micros WHEN 'settle' THEN -amount_micros
                         WHEN 'release' THEN -amount_micros ELSE 0 END)
    FROM ledger WHERE server_id = :server AND ordered_at >= :start AND ordered_at < :turn
"""


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


@pytest.fixture
async def cheap(tmp_path: Path) -> AsyncGenerator[World]:
    """A world in which a clip costs $0.30."""
    async with world_with(tmp_path, CHEAP, default_model="apixo/sora-2") as world:
        yield world


def month(text: str, zone: ZoneInfo = UTC) -> Period:
    named = periods.read(text, zone, NOON)
    assert named is not None
    return named.period


async def report(
    books: Books,
    by: By = By.MEMBER,
    *,
    period: Period | None = None,
    server: int = SERVER,
    account: Account = Account.REAL,
    most_bytes: int = MEGABYTES,
) -> PeriodReport:
    store = ReportStore(books.database)
    return await store.of_period(server, account, period or month("2026-11"), by, most_bytes=most_bytes)


def lines(file: bytes | None) -> list[dict[str, str]]:
    assert file is not None
    return list(csv.DictReader(io.StringIO(file.decode())))


def total(found: PeriodReport) -> Spent:
    return sum((spent for _, spent in found.rows), Spent())


async def fill(books: Books, count: int = 60) -> None:
    """Order at random, with odd amounts, for everybody, everywhere, and let it end in every way."""
    chance = random.Random(11)
    for channel in (CHANNEL, 201):
        await books.purse(7 * DOLLAR, channel=channel)
    for _ in range(count):
        job = await books.place(
            chance.randrange(0, 900_007),
            at=NOON + dt.timedelta(minutes=chance.randrange(-40_000, 9_000)),
            policy=RICH,
            user_id=chance.choice([ALICE, BOB, CAROL]),
            home_channel_id=chance.choice([CHANNEL, 201, 202]),
            top_role_id=chance.choice([None, 300, 301]),
            request=dataclasses.replace(
                new_job().request, model=chance.choice(["apixo/sora-2", "apixo/sora-2-pro", "pixazo/sora-2"])
            ),
        )
        ended = await books.bring(job, chance.choice(ENDS))
        if ended.stage is Stage.DONE and chance.random() < 0.3:
            await books.refund(job)
    await books.grant(5 * DOLLAR)


# The sums


@pytest.mark.parametrize("text", ["2026-10", "2026-11", "2026-11-21", "last week"])
async def test_the_file_and_every_table_add_up_to_the_ledger(books: Books, text: str) -> None:
    await fill(books)
    period = month(text)

    start, turn = (moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") for moment in dataclasses.astuple(period))
    ((jobs, spent, held),) = await books.rows(SPENT_AND_HELD, server=SERVER, start=start, turn=turn)
    expected = Spent(jobs=jobs, spent_micros=spent, held_micros=held)
    assert jobs > 0
    for by in By:
        found = await report(books, by, period=period)
        assert total(found) == expected, by
        listed = lines(found.file)
        assert len(listed) == jobs
        assert sum(int(line["spent_micros"]) for line in listed) == spent
        assert sum(int(line["held_micros"]) for line in listed) == held
        assert {line["spent_dollars"] for line in listed} == {
            f"{int(line['spent_micros']) / DOLLAR:.6f}" for line in listed
        }
    async with books.database.read() as connection:
        span = ledger.Span(scope=Scope.SERVER, subject=str(SERVER), period=period)
        (kept,) = await ledger.sums(connection, Account.REAL, [span])
    assert (kept.spent_micros, kept.held_micros) == (spent, held)


@pytest.mark.parametrize(
    ("by", "column"),
    [(By.MEMBER, "member_id"), (By.MODEL, "model"), (By.CHANNEL, "channel_id"), (By.ROLE, "role_id")],
)
async def test_every_row_is_the_sum_of_its_lines_in_the_file(books: Books, by: By, column: str) -> None:
    await fill(books)

    found = await report(books, by)

    assert len(found.rows) == 3
    for subject, spent in found.rows:
        own = [line for line in lines(found.file) if line[column] == (subject or "")]
        assert spent == Spent(
            jobs=len(own),
            spent_micros=sum(int(line["spent_micros"]) for line in own),
            held_micros=sum(int(line["held_micros"]) for line in own),
        )
    assert found.rows == sorted(found.rows, key=lambda row: row[1].spent_micros, reverse=True)


async def test_the_file_has_a_line_for_each_job_oldest_first(books: Books) -> None:
    later = await books.place(300_001, at=NOON, policy=RICH, top_role_id=301)
    purse = await books.purse(9 * DOLLAR, channel=201)
    job = await books.place(
        1_234_567, at=NOON - dt.timedelta(days=1), policy=RICH, channel_id=777, home_channel_id=201
    )
    assert job.charge == Charge(budget=Budget.PURSE, subject_id=purse)
    await books.bring(job, Stage.DONE)
    await books.refund(job)

    listed = lines((await report(books)).file)

    assert listed == [
        {
            "job_id": job.job_id,
            "ordered_at": "2026-11-20T12:00:00.000000Z",
            "member_id": str(ALICE),
            "model": "apixo/sora-2-pro",
            "channel_id": "201",
            "role_id": "",
            "stage": "done",
            "budget": "purse",
            "quoted_micros": "1234567",
            "held_micros": "0",
            "settled_micros": "1234567",
            "refunded_micros": "1234567",
            "spent_micros": "0",
            "spent_dollars": "0.000000",
        },
        {
            "job_id": later.job_id,
            "ordered_at": "2026-11-21T12:00:00.000000Z",
            "member_id": str(ALICE),
            "model": "apixo/sora-2-pro",
            "channel_id": str(CHANNEL),
            "role_id": "301",
            "stage": "queued",
            "budget": "member",
            "quoted_micros": "300001",
            "held_micros": "300001",
            "settled_micros": "0",
            "refunded_micros": "0",
            "spent_micros": "0",
            "spent_dollars": "0.000000",
        },
    ]


async def test_grants_and_what_gateways_may_have_taken_are_no_spending(books: Books) -> None:
    await books.grant(5 * DOLLAR)
    job = await books.place(policy=RICH)
    await books.bring(job, Stage.FAILED)  # after the gateway took it
    assert EntryKind.POSSIBLE_CHARGE in dict(await books.entries(job))

    found = await report(books)

    assert found.rows == [(str(ALICE), Spent(jobs=1))]
    assert b"possible" not in (found.file or b"")


# Whose, and when


async def test_a_server_sees_its_own_money_only(books: Books) -> None:
    await books.bring(await books.place(300_000, policy=RICH), Stage.DONE)
    await books.bring(await books.place(777_777, policy=RICH, server_id=101), Stage.DONE)

    assert total(await report(books)).spent_micros == 300_000
    assert total(await report(books, server=101)).spent_micros == 777_777
    assert (await report(books, server=102)).rows == []
    assert lines((await report(books, server=102)).file) == []


async def test_play_money_and_real_money_are_never_added_up(books: Books) -> None:
    await books.place(300_000, policy=RICH)
    await books.place(777_777, policy=RICH, account=Account.SANDBOX)

    assert total(await report(books)).held_micros == 300_000
    assert total(await report(books, account=Account.SANDBOX)).held_micros == 777_777


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        pytest.param("2026-09-30T21:59:59.999999", False, id="September, in summer time"),
        pytest.param("2026-09-30T22:00:00", True, id="the first moment"),
        pytest.param("2026-10-31T22:59:59.999999", True, id="the last moment, in winter time"),
        pytest.param("2026-10-31T23:00:00", False, id="November"),
    ],
)
async def test_a_month_is_that_of_the_servers_zone_across_a_change_of_clocks(
    books: Books, moment: str, inside: bool
) -> None:
    await books.place(at=dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC), policy=RICH)

    found = await report(books, period=month("2026-10", BERLIN))

    assert total(found).jobs == inside
    assert len(lines(found.file)) == inside


async def test_a_job_counts_when_it_was_ordered_however_late_it_ends_or_is_refunded(books: Books) -> None:
    october, december = (dt.datetime(2026, which, 28, 23, tzinfo=dt.UTC) for which in (10, 12))
    job = await books.place(300_000, at=october, policy=RICH)
    await books.bring(job, Stage.DONE, at=NOON)
    kept = await books.place(111_111, at=october, policy=RICH)
    await books.bring(kept, Stage.DONE, at=NOON)
    before = await report(books, period=month("2026-10"))

    await books.refund(job, at=december)

    after = await report(books, period=month("2026-10"))
    assert (total(before).spent_micros, total(after).spent_micros) == (411_111, 111_111)
    assert [line["refunded_micros"] for line in lines(after.file)] == ["300000", "0"]
    for other in ("2026-11", "2026-12"):
        assert (await report(books, period=month(other))).rows == []


async def test_who_was_forgotten_is_named_by_nobody_and_keeps_the_sums(books: Books) -> None:
    await books.place(300_000, policy=RICH)
    await books.place(200_000, policy=RICH, user_id=BOB)
    await books.write("UPDATE members SET discord_id = NULL WHERE discord_id = :user", user=ALICE)

    found = await report(books)

    assert [(subject, spent.held_micros) for subject, spent in found.rows] == [
        (None, 300_000),
        (str(BOB), 200_000),
    ]
    assert [line["member_id"] for line in lines(found.file)] == ["", str(BOB)]


# The file


async def test_a_spreadsheet_finds_no_formula_in_the_file(books: Books) -> None:
    for model in ("=1+1", "@SUM(A1)", "-2+3", "\t=1", "a,b\n=2"):
        await books.place(policy=RICH, request=dataclasses.replace(new_job().request, model=model))

    models = [line["model"] for line in lines((await report(books)).file)]

    assert models == ["'=1+1", "'@SUM(A1)", "'-2+3", "'=1", "a,b =2"]


async def test_a_file_over_the_limit_is_not_made(books: Books) -> None:
    await fill(books, 20)
    whole = (await report(books)).file
    assert whole is not None

    assert (await report(books, most_bytes=len(whole))).file == whole
    short = await report(books, most_bytes=len(whole) - 1)
    assert short.file is None
    assert short.rows == (await report(books)).rows


async def test_a_report_reads_its_period_by_an_index(books: Books) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "ledger" in statement:
            asked.append((statement, parameters))

    await fill(books, 3)
    event.listen(Engine, "before_cursor_execute", note)
    for by in By:
        await report(books, by)
    await ReportStore(books.database).of_member(SERVER, Account.REAL, ALICE, [month("2026-11")])
    event.remove(Engine, "before_cursor_execute", note)

    assert len(asked) == 2 * len(By) + 1
    async with books.database.read() as connection:
        for statement, parameters in asked:
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps: list[str] = [row.detail for row in plan]
            bounded = "account=? AND ordered_at>? AND ordered_at<?"
            assert any(bounded in step for step in steps), steps
            assert not [step for step in steps if step.startswith(("SCAN ledger", "SCAN jobs"))], steps


# Periods as staff name them


@pytest.mark.parametrize(
    ("typed", "title", "slug", "starts", "turns"),
    [
        ("this month", "November 2026", "2026-11", "2026-10-31T23", "2026-11-30T23"),
        ("  Last  MONTH ", "October 2026", "2026-10", "2026-09-30T22", "2026-10-31T23"),
        ("this week", "week of 16 November 2026", "2026-11-16-week", "2026-11-15T23", "2026-11-22T23"),
        ("last week", "week of 9 November 2026", "2026-11-09-week", "2026-11-08T23", "2026-11-15T23"),
        ("today", "22 November 2026", "2026-11-22", "2026-11-21T23", "2026-11-22T23"),
        ("yesterday", "21 November 2026", "2026-11-21", "2026-11-20T23", "2026-11-21T23"),
        ("2026-03", "March 2026", "2026-03", "2026-02-28T23", "2026-03-31T22"),
        ("2024-02-29", "29 February 2024", "2024-02-29", "2024-02-28T23", "2024-02-29T23"),
        ("2026-10-25", "25 October 2026", "2026-10-25", "2026-10-24T22", "2026-10-25T23"),
        ("2099-12", "December 2099", "2099-12", "2099-11-30T23", "2099-12-31T23"),
    ],
)
def test_a_period_is_read_in_the_servers_zone(
    typed: str, title: str, slug: str, starts: str, turns: str
) -> None:
    late = dt.datetime(2026, 11, 21, 23, 30, tzinfo=dt.UTC)  # in Berlin it is tomorrow

    named = periods.read(typed, BERLIN, late)

    assert named is not None
    assert (named.title, named.slug) == (title, slug)
    assert [f"{moment:%Y-%m-%dT%H}" for moment in dataclasses.astuple(named.period)] == [starts, turns]


@pytest.mark.parametrize(
    "typed",
    ["", "month", "2026", "2026-13", "2026-00", "2026-02-30", "2026-1", "0001-01", "9999-12", "\uff12026-10"],
)
def test_what_is_no_period_is_not_read(typed: str) -> None:
    assert periods.read(typed, BERLIN, NOON) is None


def test_each_offered_period_is_one() -> None:
    offered = periods.offered(BERLIN, NOON)

    assert offered[0] == ("this month (November 2026)", "this month")
    assert offered[-1] == ("December 2025", "2025-12")
    for name, value in offered:
        named = periods.read(value, BERLIN, NOON)
        assert named is not None
        assert named.title in name


# In Discord


def files(world: World, message: Any) -> dict[str, bytes]:
    return {file.filename: world.env.backend.cdn.get(file.url) or b"" for file in message.attachments}


async def show(world: World, command: str = "video-admin report", *, whom: Any = None, **options: Any) -> Any:
    """Use a command; return the private message that answers it."""
    result = await (whom or world.staff).slash(world.channel, command, **options)
    assert result.ephemeral
    return result.response


async def order(world: World, times: int = 1, *, by: Any = None) -> None:
    for _ in range(times):
        assert "is ordered" in await world.create(by=by, prompt="A fox")
    await world.settled()


def table(message: Any) -> list[str]:
    """The lines of the table in a message."""
    return message.content.split("```")[1].strip("\n").splitlines()


def is_picture(png: bytes) -> bool:
    with Image.open(io.BytesIO(png)) as image:
        return image.format == "PNG" and len(image.convert("RGB").getcolors(100_000) or []) > 3


async def test_staff_get_a_table_a_chart_and_a_file(cheap: World) -> None:
    await order(cheap, by=cheap.other)
    await order(cheap, 3)
    cheap.gateway.keep_rendering()
    await cheap.create(prompt="A fox")
    await cheap.reached(Stage.RENDERING)

    message = await show(cheap)

    assert message.content.startswith(
        "**November 2026, by member** · <t:1793491200:f> – <t:1796083200:f>\n```"
    )
    assert table(message) == [
        "Spent   Held  Jobs",
        "$0.90  $0.30     4  1. member",
        "$0.30  $0.00     1  2. other",
        "──────────────────",
        "$1.20  $0.30     5  total",
    ]
    assert "Every job is in `videos-2026-11.csv`." in message.content
    assert "-# Import its columns of ids as text: a spreadsheet would round them." in message.content
    found = files(cheap, message)
    assert list(found) == ["chart.png", "videos-2026-11.csv"]
    assert is_picture(found["chart.png"])
    listed = lines(found["videos-2026-11.csv"])
    assert sum(int(line["spent_micros"]) for line in listed) == 1_200_000
    assert sum(int(line["held_micros"]) for line in listed) == 300_000


async def test_a_report_adds_up_by_what_staff_choose(cheap: World) -> None:
    editors = cheap.guild.create_role("Editors")
    editor = cheap.guild.add_member(cheap.env.create_user("editor"), roles=[editors])
    await order(cheap, by=editor)
    await order(cheap)

    assert table(await show(cheap, by="model"))[1:2] == ["$0.60  $0.00     2  1. apixo/sora-2"]
    assert table(await show(cheap, by="channel"))[1:2] == ["$0.60  $0.00     2  1. #videos"]
    by_role = await show(cheap, by="role")
    assert {line.split(". ")[1] for line in table(by_role)[1:3]} == {"@Editors", "no role"}
    assert "It counts for the highest role its member had then." in by_role.content


async def test_old_periods_stay_readable(cheap: World) -> None:
    await order(cheap)
    cheap.time.jump(days=800)

    assert table(await show(cheap, period="2026-11"))[1] == "$0.30  $0.00     1  1. member"
    assert (await show(cheap)).content == "**January 2029**: no videos were ordered here."


async def test_a_period_turns_in_the_servers_zone(cheap: World) -> None:
    await ServerStore(cheap.database).change(
        cheap.guild.id, act="timezone", what="", by=cheap.staff.id, now=START, zone="Pacific/Kiritimati"
    )
    await order(cheap)  # on 21 November at noon in UTC, where it is 22 November already

    assert table(await show(cheap, period="2026-11-22"))[1] == "$0.30  $0.00     1  1. member"
    assert "no videos" in (await show(cheap, period="2026-11-21")).content


async def test_what_is_no_period_is_refused_with_examples(world: World) -> None:
    message = await show(world, period="soon")

    assert message.content.startswith("That is no period. Choose one from the list, or write a month")


async def test_periods_are_offered_while_typing(world: World) -> None:
    async def offered(typed: str) -> list[str]:
        found = await world.staff.autocomplete(world.channel, "video-admin report", "period", typed)
        return [choice["name"] for choice in found]

    assert (await offered(""))[:3] == [
        "this month (November 2026)",
        "last month (October 2026)",
        "this week (week of 16 November 2026)",
    ]
    assert await offered("2026-08") == ["August 2026"]
    assert await offered("yester") == ["yesterday (20 November 2026)"]


async def test_names_do_no_harm_and_who_left_is_known_by_the_end_of_their_id(cheap: World) -> None:
    hostile = cheap.guild.add_member(cheap.env.create_user("x``` @everyone $x^2$ \u202e" + "Z" * 60))
    await order(cheap, 2, by=hostile)
    await order(cheap, by=cheap.other)
    await order(cheap)
    cheap.guild.remove_member(cheap.other)
    await Books(cheap.database, Path()).write(
        "UPDATE members SET discord_id = NULL WHERE discord_id = :user", user=cheap.member.id
    )

    message = await show(cheap)

    assert message.content.count("```") == 2
    shown = table(message)
    assert shown[1].startswith("$0.60  $0.00     2  1. x\u02cb\u02cb\u02cb @everyone $x^2$ Z")
    assert {line.split(". ")[1] for line in shown[2:4]} == {
        f"member …{str(cheap.other.id)[-4:]}",
        "someone forgotten",
    }
    assert is_picture(files(cheap, message)["chart.png"])


async def test_a_chart_names_those_it_cannot_write_by_the_end_of_their_id(cheap: World) -> None:
    fox = cheap.guild.add_member(cheap.env.create_user("\u540d\u524d\u592a\u90ce"))
    await order(cheap, by=fox)

    message = await show(cheap)

    assert table(message)[1].endswith("1. \u540d\u524d\u592a\u90ce")  # Discord has fonts for everything
    charts = Charts()
    expected = Bar(label=f"1. member …{str(fox.id)[-4:]}", spent_micros=300_000, held_micros=0)
    title = "November 2026, by member: $0.30"
    assert files(cheap, message)["chart.png"] == await charts.draw(title, [expected])
    charts.close()


async def test_what_was_deleted_keeps_its_history(cheap: World) -> None:
    await order(cheap)
    channel = str(cheap.channel.id)
    elsewhere = cheap.guild.create_text_channel("desk")
    cheap.env.backend.delete_channel(cheap.channel.id)

    result = await cheap.staff.slash(elsewhere, "video-admin report", by="channel")

    assert table(result.response)[1] == f"$0.30  $0.00     1  1. channel …{channel[-4:]}"


async def test_many_rows_end_in_one_for_all_others(world: World) -> None:
    books = Books(world.database, Path())
    for number in range(20):
        await books.place(
            (20 - number) * 100_000,
            policy=RICH,
            server_id=world.guild.id,
            request=dataclasses.replace(new_job().request, model=f"apixo/clip-{number:02}"),
        )

    message = await show(world, by="model")

    shown = table(message)
    assert len(shown) == 1 + 15 + 1 + 2
    assert shown[15] == "$0.00   $0.60     1  15. apixo/clip-14"
    assert shown[16] == "$0.00   $1.50     5  5 others"
    assert shown[18] == "$0.00  $21.00    20  total"
    assert len(message.content) < 2000


async def test_a_file_that_discord_would_not_take_is_named_with_the_way_to_it(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        books = Books(world.database, Path())
        await books.place(policy=RICH, server_id=world.guild.id)
        reports = world.app.bot.cogs["AdminCog"].reports  # pyright: ignore[reportAttributeAccessIssue]

        found = await reports.of_period(world.guild.id, "this month", By.MEMBER, most_bytes=100)

        assert found.file is None
        told = found.told(["member"])
        assert "is over the 0.0 MB that a file may have here" in told
        assert "`python -m bot export --what jobs --format csv`" in told
        assert "Every job is in" not in told
        assert "spreadsheet" not in told


# My own


async def test_members_see_their_last_six_months_with_a_chart(cheap: World) -> None:
    await order(cheap, by=cheap.other)
    await order(cheap, 2)
    cheap.time.jump(days=40)
    await order(cheap)
    cheap.time.jump(days=31)

    message = await show(cheap, "quota history", whom=cheap.member)

    assert message.content.startswith("**Your last six months in this server**")
    assert table(message) == [
        "Spent   Held  Jobs",
        "$0.00  $0.00     0  January 2027",
        "$0.30  $0.00     1  December 2026",
        "$0.60  $0.00     2  November 2026",
        "$0.00  $0.00     0  October 2026",
        "$0.00  $0.00     0  September 2026",
        "$0.00  $0.00     0  August 2026",
        "──────────────────",
        "$0.90  $0.00     3  total",
    ]
    found = files(cheap, message)
    assert list(found) == ["chart.png"]
    assert is_picture(found["chart.png"])


async def test_a_history_tells_what_a_purse_paid(cheap: World) -> None:
    await cheap.ask("video-admin purse open", by=cheap.staff, amount="5", channel=cheap.channel)
    await order(cheap)

    message = await show(cheap, "quota history", whom=cheap.member)

    assert "-# November 2026: $0.30 of it was paid by channel purses or approvals." in message.content


@pytest.mark.parametrize(
    ("limits", "chosen", "words", "titles"),
    [
        ({}, None, "months", ["November 2026", "October 2026"]),
        ({"day": "0.90"}, None, "days", ["21 November 2026", "20 November 2026"]),
        (
            {"day": "0.90", "week": "0.80"},
            None,
            "weeks",
            ["week of 16 November 2026", "week of 9 November 2026"],
        ),
        (
            {"day": "0.90", "job": "0.40", "jobs a day": "5"},
            None,
            "days",
            ["21 November 2026", "20 November 2026"],
        ),
        ({"day": "0.90"}, "month", "months", ["November 2026", "October 2026"]),
        ({}, "week", "weeks", ["week of 16 November 2026", "week of 9 November 2026"]),
    ],
)
async def test_a_history_is_by_what_the_tightest_own_limit_counts_or_as_chosen(
    cheap: World, limits: dict[str, str], chosen: str | None, words: str, titles: list[str]
) -> None:
    for measure, amount in limits.items():
        await cheap.ask(
            "video-admin quota set", by=cheap.staff, amount=amount, member=cheap.member, period=measure
        )
    await cheap.ask("video-admin quota set", by=cheap.staff, amount="0.70", period="week")  # is the server's
    await order(cheap)

    options = {} if chosen is None else {"period": chosen}
    message = await show(cheap, "quota history", whom=cheap.member, **options)

    assert message.content.startswith(f"**Your last six {words} in this server**")
    shown = table(message)
    assert [line.split("  ")[-1] for line in shown[1:3]] == titles
    assert shown[-1] == "$0.30  $0.00     1  total"
    assert list(files(cheap, message)) == ["chart.png"]
    other = await show(cheap, "quota history", whom=cheap.other, **options)
    assert other.content.startswith("You ordered no videos here in the last six ")


async def test_who_ordered_nothing_has_no_history(cheap: World) -> None:
    await order(cheap)

    message = await show(cheap, "quota history", whom=cheap.other)

    assert message.content == "You ordered no videos here in the last six months."
    assert message.attachments == []


async def test_play_money_is_called_that(tmp_path: Path) -> None:
    async with open_world(tmp_path, apixo_api_key=None) as world:
        books = Books(world.database, Path())
        job: Job = await books.place(
            policy=RICH, server_id=world.guild.id, user_id=world.member.id, account=Account.SANDBOX
        )

        staffs = await show(world)
        members = await show(world, "quota history", whom=world.member)

    assert job.account is Account.SANDBOX
    for message in (staffs, members):
        assert message.content.endswith("-# This is the sandbox's play money.")
