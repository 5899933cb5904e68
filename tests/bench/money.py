"""Figures for money: how long an order, a quota and a report take, over a long history and over a tenth.

It judges nothing. The histories are kept in the folder that is named, else in the system's temporary one,
and used again.
"""

import asyncio
import dataclasses
import datetime as dt
import hashlib
import inspect
import io
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from bot.models import Account, Job, NewJob
from bot.quotas import Layer, Limit, Measure, Policy, period
from storage.database import MIGRATIONS, Database
from storage.jobs import JobStore
from storage.limits import LimitStore
from storage.orders import OrderStore
from storage.proof import prove_ledger
from storage.purses import PurseStore
from storage.reports import By, ReportStore
from tests.bench.machine import say
from tests.books import CENT, DOLLAR, SERVER, new_job

NOW = dt.datetime(2026, 11, 30, 23, tzinfo=dt.UTC)
BETWEEN_JOBS = dt.timedelta(seconds=259.2)  # 10,000 jobs in thirty days, 100,000 in three hundred
JOBS = (100_000, 10_000)
ENTRIES_A_JOB = 10
MEMBERS, CHANNELS, ROLES = 300, 20, 5
BUSY = 1  # the member who ordered every tenth job
WITH_PURSE = 201  # the channel whose jobs were all charged to one purse
A_FILE_IN_DISCORD = 10 * 1024 * 1024
PLENTY = 1_000_000 * DOLLAR

MEASURES = {measure: PLENTY if measure.is_money else 1_000_000 for measure in Measure}
POLICY = Policy(
    default_member_micros=PLENTY,
    caps=tuple(
        Limit(layer=layer, measure=measure, amount=amount, subject=subject)
        for layer, subject in ((Layer.KEY, "apixo"), (Layer.OPERATOR, ""))
        for measure, amount in MEASURES.items()
    ),
    zone=ZoneInfo("UTC"),
)


# The history


def iso(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def jobs(count: int) -> Iterator[tuple[object, ...]]:
    """One delivered job after the other, the last one now."""
    for number in range(count):
        at = iso(NOW - BETWEEN_JOBS * (count - number))
        member = BUSY if number % 10 == 0 else 2 + number % (MEMBERS - 1)
        yield (f"old{number}", f"old{number}", 200 + number % CHANNELS, member, 5 + number % ROLES, at, at)


def entries(count: int) -> Iterator[tuple[object, ...]]:
    """Six entries for each job, and four grants beside them: as many as the ledger's rules allow a job."""
    for number, (job_id, _, channel, member, role, at, _) in enumerate(jobs(count)):
        row = (channel, member, "apixo/sora-2-pro", "apixo", role, at, at)
        yield (job_id, "hold", 30 * CENT, None, *row)
        yield (job_id, "grant", 30 * CENT, f"act{number}.0", *row)
        yield (job_id, "settle", 20 * CENT, None, *row)
        yield (job_id, "release", 10 * CENT, None, *row)
        yield (job_id, "possible_charge", CENT, None, *row)
        yield (job_id, "correction", CENT, f"act{number}.1", *row)
        for grant in range(2, ENTRIES_A_JOB - 4):
            yield (None, "grant", CENT, f"act{number}.{grant}", None, member, None, None, None, at, at)


def fill(path: Path, count: int) -> None:
    """Write a history past the stores, but through the ledger's own rules: the totals are real."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO members (member_id, server_id, discord_id) VALUES (?, ?, ?)",
        ((member, SERVER, member) for member in range(1, MEMBERS + 1)),
    )
    connection.executemany(
        "INSERT INTO jobs (job_id, origin, account, server_id, channel_id, member_id, mode, model, gateway, "
        "prompt, seconds, shape, stage, role_id, quote_micros, estimate, created_at, finished_at) "
        "VALUES (?, ?, 'real', 100, ?, ?, 'text-to-video', 'apixo/sora-2-pro', 'apixo', 'a fox', 4, "
        "'landscape', 'done', ?, 300000, 0, ?, ?)",
        jobs(count),
    )
    connection.execute(
        "INSERT INTO purses (purse_id, server_id, channel_id, amount_micros, opened_at) "
        "VALUES (1, 100, ?, ?, ?)",
        (WITH_PURSE, PLENTY, iso(NOW)),
    )
    connection.execute("UPDATE jobs SET budget = 'purse', budget_id = 1 WHERE channel_id = ?", (WITH_PURSE,))
    connection.executemany(
        "INSERT INTO acts (act_id, server_id, actor_id, act, what, reason, at) "
        "VALUES (?, 100, 2, 'grant', '', '', ?)",
        ((entry[3], entry[-1]) for entry in entries(count) if entry[3]),
    )
    connection.executemany(
        "INSERT INTO ledger (job_id, server_id, kind, amount_micros, act_id, channel_id, member_id, account, "
        "model, gateway, role_id, budget, budget_id, price_version, reason, ordered_at, created_at) "
        "VALUES (?1, 100, ?2, ?3, ?4, ?5, ?6, 'real', ?7, ?8, ?9, "
        "CASE ?5 WHEN ?12 THEN 'purse' ELSE 'member' END, CASE ?5 WHEN ?12 THEN 1 END, "
        "'', 'bench', ?10, ?11)",
        ((*entry, WITH_PURSE) for entry in entries(count)),
    )
    subjects = ((Layer.MEMBER, BUSY), (Layer.ROLE, 5), (Layer.CHANNEL, 200), (Layer.SERVER, 0))
    connection.executemany(
        "INSERT INTO limits VALUES (100, ?, ?, ?, ?)",
        (
            (layer, subject, measure, amount)
            for layer, subject in subjects
            for measure, amount in MEASURES.items()
        ),
    )
    connection.execute("COMMIT")
    connection.close()


async def history(folder: Path, count: int) -> Path:
    """Return a file with so many jobs, built where this schema has none yet."""
    version = hashlib.sha256()
    for migration in sorted((MIGRATIONS / "versions").glob("*.py")):
        version.update(migration.read_bytes())
    version.update(inspect.getsource(fill).encode())
    path = folder / f"bench-{count}-{version.hexdigest()[:12]}.sqlite3"
    if path.exists():
        return path
    say(f"  building {count:,} jobs with {count * ENTRIES_A_JOB:,} entries at {path} ...")
    begun = time.perf_counter()
    unfinished = path.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    database = Database(unfinished)
    await database.migrate()
    await database.close()
    await asyncio.to_thread(fill, unfinished, count)
    unfinished.rename(path)
    say(f"  built in {time.perf_counter() - begun:.0f} s, {path.stat().st_size / 1e6:.0f} MB")
    return path


# The figures


@dataclasses.dataclass(frozen=True)
class Figure:
    """Seconds that something took, each time it was done."""

    times: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.times) * 1000

    @property
    def p99(self) -> float:
        return sorted(self.times)[int(len(self.times) * 0.99)] * 1000

    def __str__(self) -> str:
        return f"{self.median:8.1f} {self.p99:8.1f}"


async def timed(act: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await act()
    return time.perf_counter() - begun


def order() -> NewJob:
    """An order that every limit bears on."""
    return new_job(
        30 * CENT, user_id=BUSY, home_channel_id=200, channel_id=200, role_ids=frozenset({5}), top_role_id=5
    )


async def measure(path: Path) -> dict[str, Figure]:
    """Take every figure on a copy of a history."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        copy = Path(folder) / "bot.sqlite3"
        shutil.copy(path, copy)
        database = Database(copy)
        try:
            return await figures(database)
        finally:
            await database.close()


async def figures(database: Database) -> dict[str, Figure]:
    store = JobStore(database, pictures=Path(), clips=Path())
    orders, limits, purses = OrderStore(database, store), LimitStore(database), PurseStore(database)

    async def place() -> None:
        placed = await orders.place(order(), POLICY, now=NOW)
        assert isinstance(placed, Job), placed

    async def start() -> None:
        """Empty the line: a member may have a hundred orders in it."""
        async with database.write() as connection:
            await connection.exec_driver_sql("UPDATE jobs SET stage = 'submitting' WHERE stage = 'queued'")

    async def show() -> None:
        standings = await limits.standings(
            server_id=SERVER,
            channel_id=200,
            user_id=BUSY,
            role_ids=frozenset({5}),
            account=Account.REAL,
            gateways=("apixo",),
            policy=POLICY,
            now=NOW,
        )
        assert len(standings) == 5 * len(Measure)
        assert await purses.open_in(SERVER, WITH_PURSE, Account.REAL, now=NOW) is not None

    async def commit() -> None:
        async with database.write() as connection:
            await connection.exec_driver_sql("INSERT OR REPLACE INTO marks VALUES ('bench', '')")

    reports = ReportStore(database)
    month = period(Measure.MONTH, POLICY.zone, NOW)
    assert month is not None

    async def report() -> None:
        found = await reports.of_period(SERVER, Account.REAL, month, By.MEMBER, most_bytes=A_FILE_IN_DISCORD)
        assert len(found.rows) == MEMBERS
        assert found.file is not None

    for act in (place, show, commit):
        await act()
    taken = {
        "a commit alone (fsync)": Figure([await timed(commit) for _ in range(200)]),
        "/quota show of a member with a tenth of the jobs": Figure([await timed(show) for _ in range(200)]),
        "report of one month with a file of its 10,000 jobs": Figure(
            [await timed(report) for _ in range(10)]
        ),
    }
    alone: list[float] = []
    for _ in range(10):
        alone += [await timed(place) for _ in range(50)]
        await start()
    taken["order to committed hold, one caller"] = Figure(alone)
    fifty: list[float] = []
    for _ in range(10):
        fifty += await asyncio.gather(*(timed(place) for _ in range(50)))
        await start()
    taken["order to committed hold, 50 callers at once"] = Figure(fifty)
    begun = time.perf_counter()
    assert prove_ledger(database.path, io.StringIO())
    taken["doctor --ledger"] = Figure([time.perf_counter() - begun])
    return taken


async def money(folder: Path) -> None:
    """Build what is missing, measure both, and print them side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [await history(folder, count) for count in JOBS]
    long, tenth = [await measure(path) for path in paths]
    say(
        f"  limits of every layer and measure set; milliseconds\n"
        f"  {'':52}{JOBS[0]:>10,} jobs      {JOBS[1]:>8,} jobs\n"
        f"  {'':52}  median      p99   median      p99   ratio"
    )
    for name, figure in long.items():
        say(f"  {name:52}{figure} {tenth[name]} {figure.median / tenth[name].median:7.2f}")
