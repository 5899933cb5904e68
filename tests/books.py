"""Jobs and money in a real database file, without Discord and without a gateway."""

import contextlib
import dataclasses
import datetime as dt
import itertools
from collections.abc import AsyncGenerator, Awaitable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import Engine, event

from bot.models import Account, Failure, FailureKind, Job, Mode, NewJob, Quote, Shape, Stage, VideoRequest
from bot.quotas import Layer, Limit, Measure, Policy, Sums, period
from storage import audit, ledger, members
from storage.database import Database
from storage.jobs import JobStore
from storage.ledger import Scope, Span
from storage.limits import LimitStore
from storage.orders import OrderStore, Refusal
from storage.purses import PurseStore
from storage.schema import EntryKind

NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
SERVER, CHANNEL, ALICE, BOB = 100, 200, 1, 2
DOLLAR = 1_000_000
CENT = 10_000

UTC_POLICY = Policy(default_member_micros=DOLLAR, caps=(), zone=ZoneInfo("UTC"))
PICTURE_REFUSED = Failure(kind=FailureKind.PICTURE_REFUSED, detail="a face", code="FACE")

_REQUEST = VideoRequest(
    model="apixo/sora-2-pro", mode=Mode.TEXT, prompt="a fox", seconds=4, shape=Shape.LANDSCAPE
)
_EMPTY: list[bytes] = []  # a fresh database, migrated once: that takes longer than most tests
_numbers = itertools.count(1)


def new_job(micros: int = 30 * CENT, *, prompt: str = "a fox", **changes: Any) -> NewJob:
    """An order that costs so much, ready to be stored; every call makes another one."""
    number = next(_numbers)
    job = NewJob(
        job_id=f"job{number}",
        origin=f"interaction:{number}",
        account=Account.REAL,
        server_id=SERVER,
        channel_id=CHANNEL,
        home_channel_id=CHANNEL,
        user_id=ALICE,
        request=dataclasses.replace(_REQUEST, prompt=prompt),
        gateway="apixo",
        picture=None,
        note="",
        quote=Quote(micros=micros, estimate=False),
    )
    return dataclasses.replace(job, **changes)


class Books:
    """The stores on one file, and short ways to bring a job somewhere."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.jobs = JobStore(database, pictures=folder / "pictures", clips=folder / "clips")
        self.orders = OrderStore(database, self.jobs)
        self.limits = LimitStore(database)
        self.purses = PurseStore(database)

    async def place(
        self, micros: int = 30 * CENT, *, at: dt.datetime = NOON, policy: Policy = UTC_POLICY, **changes: Any
    ) -> Job:
        """Store an order, by default under a dollar a month."""
        placed = await self.orders.place(new_job(micros, **changes), policy, now=at)
        assert isinstance(placed, Job), placed
        return placed

    async def refusal(
        self, micros: int = 30 * CENT, *, at: dt.datetime = NOON, policy: Policy = UTC_POLICY, **changes: Any
    ) -> Refusal:
        """Try an order that a limit refuses."""
        placed = await self.orders.place(new_job(micros, **changes), policy, now=at)
        assert isinstance(placed, Refusal), placed
        return placed

    async def limit(
        self, amount: int, *, of: int = ALICE, measure: Measure = Measure.MONTH, at: dt.datetime = NOON
    ) -> None:
        """Give a member a limit of their own."""
        limit = Limit(layer=Layer.MEMBER, measure=measure, amount=amount)
        await self.limits.set(SERVER, limit, user_id=of, what="by hand", by=BOB, now=at)

    async def purse(
        self,
        amount: int,
        *,
        channel: int = CHANNEL,
        ends_at: dt.datetime | None = None,
        by: int = BOB,
        at: dt.datetime = NOON,
    ) -> int:
        """Give a channel a purse; return its id."""
        return await self.purses.open(
            server_id=SERVER,
            channel_id=channel,
            amount_micros=amount,
            ends_at=ends_at,
            what="by hand",
            by=by,
            now=at,
        )

    async def grant(self, amount: int, *, to: int = ALICE, by: int = BOB, at: dt.datetime = NOON) -> None:
        """Give a member money on top of their limit, as staff."""
        async with self.database.write() as connection:
            member = await members.row(connection, SERVER, to)
            actor = await members.row(connection, SERVER, by)
            act = await audit.record(
                connection, server_id=SERVER, by=by, act="grant", about_id=member, now=at
            )
            await ledger.grant(
                connection,
                server_id=SERVER,
                member_id=member,
                account=Account.REAL,
                amount_micros=amount,
                reason="by hand",
                actor_id=actor,
                act_id=act,
                now=at,
            )

    async def refund(self, job: Job, *, by: int = BOB, at: dt.datetime = NOON) -> None:
        """Give back all that a job's member paid, as staff."""
        paid = await self.jobs.get(job.job_id)
        assert paid is not None
        async with self.database.write() as connection:
            actor = await members.row(connection, paid.server_id, by)
            act = await audit.record(
                connection, server_id=paid.server_id, by=by, act="refund", about_id=paid.member_id, now=at
            )
            await ledger.book(
                connection,
                paid,
                EntryKind.CORRECTION,
                paid.settled_micros,
                reason="by hand",
                actor_id=actor,
                act_id=act,
                now=at,
            )

    async def bring(self, job: Job, stage: Stage, *, at: dt.datetime = NOON) -> Job:
        """Take a queued job the usual way to a stage."""
        match stage:
            case Stage.QUEUED:
                return job
            case Stage.SUBMITTING:
                moved = await self.jobs.start_submit(job.job_id, now=at)
            case Stage.UNCERTAIN:
                await self.bring(job, Stage.SUBMITTING, at=at)
                moved = await self.jobs.lose_sight(job.job_id, "no answer", now=at)
            case Stage.RENDERING:
                await self.bring(job, Stage.SUBMITTING, at=at)
                moved = await self.jobs.submit_accepted(job.job_id, f"task of {job.job_id}", now=at)
            case Stage.FETCHING:
                await self.bring(job, Stage.RENDERING, at=at)
                moved = await self.jobs.rendered(job.job_id, ["https://cdn.example/a.mp4"], now=at)
            case Stage.DELIVERING:
                await self.bring(job, Stage.FETCHING, at=at)
                moved = await self.jobs.fetched(job.job_id, Path(f"{job.job_id}.mp4"), now=at)
            case Stage.DONE:
                await self.bring(job, Stage.DELIVERING, at=at)
                moved = await self.jobs.delivered(job.job_id, 900, note="", now=at)
            case Stage.FAILED:
                await self.bring(job, Stage.RENDERING, at=at)
                moved = await self.jobs.fail(job.job_id, PICTURE_REFUSED, now=at)
            case Stage.CANCELLED:
                moved = await self.jobs.cancel(job.job_id, by="by its member", now=at)
        assert moved is not None
        assert moved.stage is stage
        return moved

    async def sums(
        self,
        user_id: int | None = ALICE,
        *,
        server_id: int = SERVER,
        account: Account = Account.REAL,
        at: dt.datetime = NOON,
        policy: Policy = UTC_POLICY,
    ) -> Sums:
        """What a person, or with None everybody, spent and holds in the month."""
        if user_id is None:
            return await self.total(Scope.OPERATOR, "", account=account, at=at, policy=policy)
        ((member,),) = await self.rows(
            "SELECT member_id FROM members WHERE server_id = :server AND discord_id = :user",
            server=server_id,
            user=user_id,
        )
        return await self.total(Scope.MEMBER, str(member), account=account, at=at, policy=policy)

    async def total(
        self,
        scope: Scope,
        subject: str,
        *,
        measure: Measure = Measure.MONTH,
        account: Account = Account.REAL,
        at: dt.datetime = NOON,
        policy: Policy = UTC_POLICY,
    ) -> Sums:
        """What a subject of a scope spent and holds in a period; of a purse ever."""
        when = None if scope is Scope.PURSE else period(measure, policy.zone, at)
        async with self.database.read() as connection:
            (found,) = await ledger.sums(
                connection, account, [Span(scope=scope, subject=subject, period=when)]
            )
            return found

    async def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """What the database has, whatever the stores say."""
        async with self.database.read() as connection:
            return [tuple(row) for row in await connection.execute(sa.text(query), values)]

    async def entries(self, job: Job) -> list[tuple[str, int]]:
        """The job's entries in the ledger: kind and micro-dollars."""
        found = await self.rows(
            "SELECT kind, amount_micros FROM ledger WHERE job_id = :job ORDER BY entry_id", job=job.job_id
        )
        return [(kind, micros) for kind, micros in found]

    async def plans(self, read: Awaitable[object]) -> list[str]:
        """How SQLite looks for what a read asks for, step by step."""
        asked: list[tuple[str, Any]] = []

        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if statement.lstrip().startswith("SELECT"):
                asked.append((statement, parameters))

        event.listen(Engine, "before_cursor_execute", note)
        try:
            await read
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        async with self.database.read() as connection:
            plans = [
                await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                for statement, parameters in asked
            ]
        return [row.detail for plan in plans for row in plan]

    async def write(self, statement: str, **values: Any) -> None:
        """Write past the stores."""
        async with self.database.write() as connection:
            await connection.execute(sa.text(statement), values)


async def put_fresh_database(folder: Path) -> Path:
    """Put a migrated database into a folder that has none; return its path."""
    path = folder / "bot.sqlite3"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    if not _EMPTY:
        database = Database(path)
        try:
            await database.migrate()
        finally:
            await database.close()  # moves everything into the one file
        _EMPTY.append(path.read_bytes())
    path.write_bytes(_EMPTY[0])
    return path


@contextlib.asynccontextmanager
async def open_books(folder: Path) -> AsyncGenerator[Books]:
    """A database in a folder, fresh where there is none."""
    database = Database(await put_fresh_database(folder))
    try:
        yield Books(database, folder)
    finally:
        await database.close()
