"""The ledger against a model of it: whatever happens in whatever order, every sum is what was done."""

import asyncio
import dataclasses
import datetime as dt
import io
import itertools
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import UserError
from bot.models import Account, Budget, Draft, DraftStage, Failure, FailureKind, Job, NewJob, Stage
from bot.quotas import Layer, Limit, Measure, Policy, Sums, period
from storage import ledger
from storage.approvals import ApprovalStore
from storage.ledger import Scope, Span
from storage.orders import Refusal
from storage.proof import prove_ledger
from storage.servers import ServerStore
from storage.uncertain import UncertainStore
from tests.books import BOB, CENT, DOLLAR, Books, new_job, open_books

# What these tests run is covered elsewhere, and tracing makes them three times as long.
pytestmark = pytest.mark.no_cover

# Half an hour before a month ends in Kathmandu (UTC+5:45), half a day before New York's clocks go back.
START = dt.datetime(2026, 10, 31, 17, 45, tzinfo=dt.UTC)
OPERATORS_ZONE = ZoneInfo("America/New_York")
ZONES = {100: ZoneInfo("Asia/Kathmandu"), 101: OPERATORS_ZONE}
SERVERS, USERS, ROLES, GATEWAYS = (100, 101), (1, 2), (5, 6), ("apixo", "pixazo")
# Two or three orders fit an amount to the micro-dollar.
AMOUNTS = (63 * CENT, 63 * CENT, 96 * CENT, 96 * CENT, 3 * DOLLAR, 3 * DOLLAR, 0)
COUNTS = (2, 3, 3, 5, 8, 8, 0)
PRICES = (30 * CENT, 33 * CENT, 33 * CENT + 1, 0)
POLICY = Policy(
    default_member_micros=DOLLAR,
    caps=(
        Limit(layer=Layer.KEY, measure=Measure.WEEK, amount=8 * DOLLAR, subject="apixo"),
        Limit(layer=Layer.KEY, measure=Measure.JOBS_A_DAY, amount=20, subject="pixazo"),
        Limit(layer=Layer.OPERATOR, measure=Measure.MONTH, amount=15 * DOLLAR),
        Limit(layer=Layer.OPERATOR, measure=Measure.AT_ONCE, amount=40),
    ),
    zone=OPERATORS_ZONE,
)
PERIODS: dict[Measure, Callable[[dt.datetime], object]] = {
    Measure.DAY: lambda local: local.date(),
    Measure.JOBS_A_DAY: lambda local: local.date(),
    Measure.WEEK: lambda local: local.isocalendar()[:2],
    Measure.MONTH: lambda local: (local.year, local.month),
}
RUNNING = {Stage.QUEUED, Stage.SUBMITTING, Stage.RENDERING, Stage.FETCHING}
BEFORE = {
    Stage.SUBMITTING: {Stage.QUEUED},
    Stage.QUEUED: {Stage.SUBMITTING},
    Stage.RENDERING: {Stage.SUBMITTING},
    Stage.UNCERTAIN: {Stage.SUBMITTING, Stage.RENDERING},
    Stage.FETCHING: {Stage.RENDERING},
    Stage.DELIVERING: {Stage.FETCHING},
    Stage.DONE: {Stage.DELIVERING},
    Stage.FAILED: RUNNING,
    Stage.CANCELLED: {Stage.QUEUED},
}
# Ways that a job goes; any single step is tried beside them.
WAYS = (
    (Stage.SUBMITTING, Stage.RENDERING, Stage.FETCHING, Stage.DELIVERING, Stage.DONE),
    (Stage.SUBMITTING, Stage.RENDERING, Stage.FETCHING, Stage.DELIVERING),
    (Stage.SUBMITTING, Stage.QUEUED, Stage.SUBMITTING, Stage.RENDERING, Stage.FAILED),
    (Stage.SUBMITTING, Stage.UNCERTAIN),
    (Stage.CANCELLED,),
)


def channel_of(server: int, number: int) -> int:
    return server * 10 + number


@dataclasses.dataclass
class Ordered:
    """What the model knows of a job."""

    new: NewJob
    at: dt.datetime
    budget: Budget
    purse: int | None
    stage: Stage = Stage.QUEUED
    cost: int | None = None
    held: int = 0
    spent: int = 0
    refunded: bool = False

    @property
    def is_own(self) -> bool:
        """Whether its member pays it."""
        return self.budget in {Budget.MEMBER, Budget.ROLE}

    def go(self, stage: Stage, cost: int | None) -> None:
        """Take a step; the gateway names its price with the clip, and the clip is what is paid for."""
        self.stage = stage
        match stage:
            case Stage.FETCHING:
                self.cost = cost
            case Stage.DELIVERING:
                quote = self.new.quote.micros
                self.held, self.spent = 0, quote if self.cost is None else min(quote, self.cost)
            case Stage.FAILED | Stage.CANCELLED:
                self.held = 0
            case _:
                pass


@dataclasses.dataclass
class Given:
    """A purse or a grant, in the model."""

    server: int
    subject: int  # the channel of a purse, the member of a grant
    amount: int
    at: dt.datetime
    ends_at: dt.datetime | None = None
    closed: bool = False


class Check(NamedTuple):
    """A limit, and what it is a limit of."""

    scope: Scope
    subject: Any
    measure: Measure
    amount: int
    zone: ZoneInfo


class Model:
    """The same money, kept in the simplest way: every sum is added up anew from everything that was done."""

    def __init__(self) -> None:
        self.jobs: dict[str, Ordered] = {}
        self.limits: dict[tuple[int, Layer, int, Measure], int] = {}
        self.purses: dict[int, Given] = {}
        self.grants: list[Given] = []

    def sums(
        self, scope: Scope, subject: tuple[int, int] | int | str, within: Callable[[dt.datetime], bool]
    ) -> Sums:
        """Add up; the subject of the scope of members is their server and their id."""
        of = [job for job in self.jobs.values() if _is_of(job, scope, subject) and within(job.at)]
        paid = [job for job in of if scope is not Scope.MEMBER or job.is_own]
        return Sums(
            spent_micros=sum(job.spent for job in paid),
            held_micros=sum(job.held for job in paid),
            granted_micros=sum(
                grant.amount
                for grant in self.grants
                if scope is Scope.MEMBER and (grant.server, grant.subject) == subject and within(grant.at)
            ),
            jobs=sum(job.stage not in {Stage.FAILED, Stage.CANCELLED} for job in of),
        )

    def running(self, scope: Scope, subject: tuple[int, int] | int | str) -> int:
        return sum(job.stage in RUNNING and _is_of(job, scope, subject) for job in self.jobs.values())

    def purse(self, channel: int, price: int, now: dt.datetime) -> int | None:
        """Return the purse that pays, if one does."""
        for purse_id, purse in self.purses.items():
            lasts = not purse.closed and (purse.ends_at is None or purse.ends_at > now)
            used = self.sums(Scope.PURSE, purse_id, lambda _: True).used_micros
            if purse.subject == channel and lasts and price <= max(0, purse.amount - used):
                return purse_id
        return None

    def own_limits(self, new: NewJob) -> dict[Measure, int]:
        """Return the member's own where set, else the most generous of their roles, else the default."""
        found = {Measure.MONTH: POLICY.default_member_micros}
        for measure in Measure:
            roles = [
                amount
                for (server, layer, subject, of), amount in self.limits.items()
                if (server, layer, of) == (new.server_id, Layer.ROLE, measure) and subject in new.role_ids
            ]
            own = self.limits.get((new.server_id, Layer.MEMBER, new.user_id, measure))
            if own is not None or roles:
                found[measure] = own if own is not None else max(roles)
        return found

    def admits(self, new: NewJob, now: dt.datetime, *, is_lifted: bool = False) -> bool:
        """Whether every layer has room; an approval lifts the member's own, a purse what money they have."""
        zone, where = ZONES[new.server_id], new.home_channel_id
        checks: list[Check] = []
        if not is_lifted:
            who, is_paid = (new.server_id, new.user_id), self.purse(where, new.quote.micros, now) is not None
            checks += [
                Check(Scope.MEMBER, who, measure, amount, zone)
                for measure, amount in self.own_limits(new).items()
                if not (is_paid and measure.is_budget)
            ]
        for (server, layer, subject, measure), amount in self.limits.items():
            if (server, layer, subject) == (new.server_id, Layer.CHANNEL, where):
                checks.append(Check(Scope.CHANNEL, where, measure, amount, zone))
            if (server, layer) == (new.server_id, Layer.SERVER):
                checks.append(Check(Scope.SERVER, server, measure, amount, zone))
        for cap in POLICY.caps:
            if cap.layer is Layer.OPERATOR or cap.subject == new.gateway:
                scope = Scope.OPERATOR if cap.layer is Layer.OPERATOR else Scope.KEY
                checks.append(Check(scope, cap.subject, cap.measure, cap.amount, OPERATORS_ZONE))
        return all(self._has_room(new.quote.micros, now, check) for check in checks)

    def _has_room(self, price: int, now: dt.datetime, check: Check) -> bool:
        match check.measure:
            case Measure.JOB:
                return price <= check.amount and check.amount > 0
            case Measure.AT_ONCE:
                return self.running(check.scope, check.subject) < check.amount
            case _:
                within = same(check.measure, check.zone, now)
                sums = self.sums(check.scope, check.subject, within)
        if check.measure is Measure.JOBS_A_DAY:
            return sums.jobs < check.amount
        whole = check.amount + sums.granted_micros
        return whole > 0 and price <= max(0, whole - sums.used_micros)


def _is_of(job: Ordered, scope: Scope, subject: object) -> bool:
    match scope:
        case Scope.MEMBER:
            return (job.new.server_id, job.new.user_id) == subject
        case Scope.PURSE:
            return job.purse == subject
        case Scope.CHANNEL:
            return job.new.home_channel_id == subject
        case Scope.SERVER:
            return job.new.server_id == subject
        case Scope.KEY:
            return job.new.gateway == subject
        case Scope.OPERATOR:
            return True


def same(measure: Measure, zone: ZoneInfo, now: dt.datetime) -> Callable[[dt.datetime], bool]:
    """Whether a moment lies in the calendar period of `now`, as a wall calendar says."""
    period = PERIODS[measure]
    return lambda moment: period(moment.astimezone(zone)) == period(now.astimezone(zone))


def some_order(random: Random) -> NewJob:
    """An order of somebody somewhere, mostly of the same few, so that they meet their limits."""
    server = random.choice((100, 100, 100, 101))
    channel = channel_of(server, random.choice((0, 0, 1)))
    roles = frozenset(random.sample(ROLES, random.choice((0, 1, 2, 2))))
    return new_job(
        random.choice(PRICES),
        server_id=server,
        user_id=random.choice((1, 1, 2)),
        channel_id=channel,
        home_channel_id=channel,
        role_ids=roles,
        top_role_id=max(roles, default=None),
        gateway=random.choice(GATEWAYS),
    )


class Money:
    """Everything that moves money, on a real file; each act happens in the model too."""

    def __init__(self, books: Books, random: Random, now: dt.datetime = START) -> None:
        self.books = books
        self.random = random
        self.model = Model()
        self.now = now
        self.drafts: dict[str, NewJob] = {}

    async def set_up(self) -> None:
        """Give the servers their zones and some limits."""
        for server in SERVERS:
            zone = None if ZONES[server] is OPERATORS_ZONE else ZONES[server].key
            await ServerStore(self.books.database).change(
                server, act="settings", what="", by=BOB, now=self.now, zone=zone, staff_channel_id=300
            )
        for _ in range(self.random.randint(0, 16)):
            await self.set_limit()

    # Orders

    async def order(self) -> None:
        """The one writer takes them in turn: they are admitted as if they had come one by one."""
        news = [some_order(self.random) for _ in range(self.random.randint(1, 8))]
        orders = (self.books.orders.place(new, POLICY, now=self.now) for new in news)
        for new, placed in zip(news, await asyncio.gather(*orders), strict=True):
            self._expect(new, placed)

    async def order_and_be_cancelled(self) -> None:
        """Whoever asked is gone at some moment; asked again it is the same order."""
        new = some_order(self.random)
        task = asyncio.create_task(self.books.orders.place(new, POLICY, now=self.now))
        for _ in range(self.random.randint(0, 60)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        placed = await self.books.orders.place(new, POLICY, now=self.now)
        if isinstance(placed, Draft):
            # What is kept of a refused order is what its origin gives when it is asked again.
            assert placed.stage is DraftStage.REFUSED
            assert not self.model.admits(new, self.now)
            self.drafts[placed.draft_id] = new
        else:
            self._expect(new, placed)

    def _expect(self, new: NewJob, placed: object) -> None:
        """Book in the model what the stores must have done."""
        if isinstance(placed, Refusal):
            assert not self.model.admits(new, self.now), (new, placed)
            assert placed.draft is None or placed.standing.limit.layer.is_own
            if placed.draft is not None:
                self.drafts[placed.draft.draft_id] = new
            return
        assert isinstance(placed, Job), placed
        assert self.model.admits(new, self.now), placed
        purse = self.model.purse(new.home_channel_id, new.quote.micros, self.now)
        is_purse = placed.charge.budget is Budget.PURSE
        assert (placed.charge.subject_id if is_purse else None) == purse
        self.model.jobs[placed.job_id] = Ordered(
            new=new, at=self.now, budget=placed.charge.budget, purse=purse, held=new.quote.micros
        )

    async def approve(self) -> None:
        """Staff approve what a member's own limit refused; however often they press, it is one job."""
        for draft_id in self._some(self.drafts):
            new = self.drafts[draft_id]
            try:
                asked = await self.approvals.ask(
                    draft_id, quote=new.quote, role_ids=new.role_ids, policy=POLICY, now=self.now
                )
            except UserError:
                continue  # the member has too many requests open
            if asked.stage is not DraftStage.ASKED:
                continue
            await self.approvals.shown(asked, 1)
            presses = (
                self.approvals.approve(
                    draft_id,
                    by=BOB,
                    quote=new.quote,
                    role_ids=new.role_ids,
                    top_role_id=new.top_role_id,
                    policy=POLICY,
                    now=self.now,
                )
                for _ in range(self.random.randint(1, 3))
            )
            jobs = [one for one in await asyncio.gather(*presses) if isinstance(one, Job)]
            assert bool(jobs) == self.model.admits(new, self.now, is_lifted=True)
            if jobs:
                assert jobs[0].charge.budget is Budget.APPROVAL
                self.model.jobs[jobs[0].job_id] = Ordered(
                    new=new, at=self.now, budget=Budget.APPROVAL, purse=None, held=new.quote.micros
                )

    @property
    def approvals(self) -> ApprovalStore:
        return ApprovalStore(self.books.database, self.books.orders)

    # The way of a job

    async def move(self) -> None:
        """Take each step twice at once: it is taken once, and from its own stages only."""
        cost = self.random.choice((None, 0, 20 * CENT, DOLLAR))
        way = self.random.choice((*WAYS, (self.random.choice(list(Stage)),)))
        for job_id, wanted in itertools.product(self._some(self.model.jobs), way):
            job = self.model.jobs[job_id]
            moved = await asyncio.gather(*(self._step(job_id, wanted, cost) for _ in range(2)))
            assert sum(one is not None for one in moved) == (job.stage in BEFORE[wanted])
            if job.stage in BEFORE[wanted]:
                job.go(wanted, cost)

    def _step(self, job_id: str, wanted: Stage, cost: int | None) -> Awaitable[Job | None]:
        store, now = self.books.jobs, self.now
        failure = Failure(kind=FailureKind.NO_OUTPUT, charged=self.random.choice((None, True, False)))
        steps: dict[Stage, Callable[[], Awaitable[Job | None]]] = {
            Stage.QUEUED: lambda: store.submit_not_accepted(job_id, "busy", counts=True, now=now),
            Stage.SUBMITTING: lambda: store.start_submit(job_id, now=now),
            Stage.RENDERING: lambda: store.submit_accepted(job_id, f"task {job_id}", now=now),
            Stage.UNCERTAIN: lambda: store.lose_sight(job_id, "reset", now=now),
            Stage.FETCHING: lambda: store.rendered(job_id, ["https://a.example"], cost_micros=cost, now=now),
            Stage.DELIVERING: lambda: store.fetched(job_id, Path("a.mp4"), now=now),
            Stage.DONE: lambda: store.delivered(job_id, 1, note="", now=now),
            Stage.FAILED: lambda: store.fail(job_id, failure, now=now),
            Stage.CANCELLED: lambda: store.cancel(job_id, by="by its member", now=now),
        }
        return steps[wanted]()

    async def end_uncertainty(self) -> None:
        """Staff give up while the gateway names the task: one of both counts, whoever else tries the same."""
        store = UncertainStore(self.books.database, self.books.jobs)
        for job_id in self._some(
            job_id for job_id, job in self.model.jobs.items() if job.stage is Stage.UNCERTAIN
        ):
            acts = [
                *(store.release(job_id, act="release", by=BOB, reason="", now=self.now) for _ in range(2)),
                *(
                    store.found_again(job_id, f"task {job_id}", act="ran", by=None, reason="", now=self.now)
                    for _ in range(2)
                ),
            ]
            self.random.shuffle(acts)
            (ended,) = [one for one in await asyncio.gather(*acts) if one is not None]
            self.model.jobs[job_id].go(ended.stage, None)

    async def refund(self) -> None:
        """Staff give back what one job cost, also what an earlier period paid."""
        for job_id in self._some(
            [job_id for job_id, job in self.model.jobs.items() if job.spent and not job.refunded]
        ):
            stored = await self.books.jobs.get(job_id)
            assert stored is not None
            await self.books.refund(stored, at=self.now)
            self.model.jobs[job_id].spent, self.model.jobs[job_id].refunded = 0, True

    # What staff do

    async def set_limit(self) -> None:
        """Set one, mostly, or clear it."""
        server, which = self.random.choice((100, 100, 100, 101)), self.random.randint(0, 1)
        layer = self.random.choice((Layer.MEMBER, *[Layer.ROLE] * 4, Layer.CHANNEL, Layer.SERVER))
        measure = self.random.choice((*Measure, *[Measure.MONTH, Measure.DAY] * 2))
        amount = self.random.choice(AMOUNTS if measure.is_money else COUNTS) * (1 if layer.is_own else 4)
        subject = {
            Layer.MEMBER: USERS[which],
            Layer.ROLE: ROLES[which],
            Layer.CHANNEL: channel_of(server, which),
        }.get(layer, 0)
        is_members = layer is Layer.MEMBER
        limit = Limit(
            layer=layer,
            measure=measure,
            amount=amount,
            subject="" if is_members or not subject else str(subject),
        )
        is_set = self.random.random() < 0.7
        act = self.books.limits.set if is_set else self.books.limits.clear
        await act(
            server, limit, user_id=subject if is_members else None, what="by hand", by=BOB, now=self.now
        )
        if is_set:
            self.model.limits[server, layer, subject, measure] = amount
        else:
            self.model.limits.pop((server, layer, subject, measure), None)

    async def open_purse(self) -> None:
        """A channel gets its own money, where it has none that lasts."""
        server, days = self.random.choice(SERVERS), self.random.choice((None, 1, 8))
        channel, ends_at = (
            channel_of(server, self.random.randint(0, 1)),
            days and self.now + dt.timedelta(days),
        )
        amount = self.random.choice([amount for amount in AMOUNTS if amount])
        here = [one for one in self.model.purses.values() if one.subject == channel and not one.closed]
        lasts = any(purse.ends_at is None or purse.ends_at > self.now for purse in here)
        try:
            purse_id = await self.books.purses.open(
                server_id=server,
                channel_id=channel,
                amount_micros=amount,
                ends_at=ends_at,
                what="",
                by=BOB,
                now=self.now,
            )
        except UserError:
            assert lasts
        else:
            assert not lasts
            for purse in here:
                purse.closed = True
            self.model.purses[purse_id] = Given(server, channel, amount, self.now, ends_at)

    async def close_purses(self) -> None:
        """Every channel of a server loses its own money."""
        server = self.random.choice(SERVERS)
        for channel in (channel_of(server, 0), channel_of(server, 1)):
            await self.books.purses.close(server_id=server, channel_id=channel, what="", by=BOB, now=self.now)
        for purse in self.model.purses.values():
            purse.closed = purse.closed or purse.server == server

    async def grant(self) -> None:
        """A member gets more than their limit."""
        user, amount = self.random.choice(USERS), self.random.choice(AMOUNTS)
        await self.books.grant(amount, to=user, at=self.now)
        self.model.grants.append(Given(100, user, amount, self.now))

    # Time, and the end of the process

    async def set_the_clock(self) -> None:
        """Forwards over the end of periods, or back as a time server does."""
        minutes = self.random.choice((1, 14, 31, 31, 60, 6 * 60, 24 * 60, 7 * 24 * 60))
        self.now += dt.timedelta(minutes=self.random.choice((1, 1, -1)) * minutes)

    def _some(self, of: Iterable[str]) -> list[str]:
        found = sorted(of)
        return self.random.sample(found, min(3, len(found)))

    # What must be true after each of them

    async def compare(self) -> None:
        """Every sum of every scope and period is the model's."""
        people = await self.books.rows("SELECT member_id, server_id, discord_id FROM members")
        asked = [
            (scope, subject, key, measure, zone)
            for scope, subject, key, zone in self._subjects(people)
            for measure in (Measure.DAY, Measure.WEEK, Measure.MONTH)
        ]
        spans = [
            Span(
                scope=scope,
                subject=key,
                period=None if scope is Scope.PURSE else period(measure, zone, self.now),
            )
            for scope, _, key, measure, zone in asked
        ]
        async with self.books.database.read() as connection:
            found = await ledger.sums(connection, Account.REAL, spans)
        for (scope, subject, _, measure, zone), sums in zip(asked, found, strict=True):
            within = (lambda _: True) if scope is Scope.PURSE else same(measure, zone, self.now)
            assert sums == self.model.sums(scope, subject, within), (scope, subject, measure)

    def _subjects(self, people: list[tuple[Any, ...]]) -> Iterator[tuple[Scope, Any, str, ZoneInfo]]:
        """Everything that sums are kept of: for the model, and as the ledger calls it."""
        for member, server, user in people:
            yield Scope.MEMBER, (server, user), str(member), ZONES[server]
        for purse in self.model.purses:
            yield Scope.PURSE, purse, str(purse), OPERATORS_ZONE
        for server in SERVERS:
            yield Scope.SERVER, server, str(server), ZONES[server]
            for channel in (channel_of(server, 0), channel_of(server, 1)):
                yield Scope.CHANNEL, channel, str(channel), ZONES[server]
        for gateway in GATEWAYS:
            yield Scope.KEY, gateway, gateway, OPERATORS_ZONE
        yield Scope.OPERATOR, "", "", OPERATORS_ZONE


ACTS = (
    *(Money.order, Money.order, Money.order, Money.move, Money.move, Money.move),
    *(
        Money.order_and_be_cancelled,
        Money.approve,
        Money.end_uncertainty,
        Money.refund,
        Money.set_limit,
        Money.set_limit,
        Money.grant,
    ),
    *(Money.open_purse, Money.close_purses, Money.set_the_clock, Money.set_the_clock),
)


async def play(stretches: list[list[Callable[[Money], Awaitable[None]]]], random: Random) -> None:
    """Act, compare after each act, and begin each stretch with a start of the program."""
    with tempfile.TemporaryDirectory() as folder:
        money: Money | None = None
        for acts in stretches:
            async with open_books(Path(folder)) as books:
                if money is None:
                    money = Money(books, random)
                    await money.set_up()
                money.books = books
                await money.compare()
                for act in acts:
                    await act(money)
                    await money.compare()
                out = io.StringIO()
                assert prove_ledger(books.database.path, out), out.getvalue()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    st.lists(st.lists(st.sampled_from(ACTS), min_size=15, max_size=40), min_size=2, max_size=3),
    st.randoms(use_true_random=True),
)
def test_whatever_happens_in_whatever_order_every_sum_is_the_models(
    stretches: list[list[Callable[[Money], Awaitable[None]]]], random: Random
) -> None:
    asyncio.run(play(stretches, random))
