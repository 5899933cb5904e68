"""The ledger against a model of it: whatever happens in whatever order, every sum is what was done."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bot.errors import UserError
from bot.models import Account, Budget, Draft, DraftStage, Failure, FailureKind, Job, NewJob, Stage
from bot.quotas import Layer, Limit, Measure, Policy, Sums, period
from storage import ledger
from storage.approvals import ApprovalStore
from storage.ledger import Scope, Span
from storage.orders import Refusal
from storage.proof import prove_ledger
from storage.servers import ServerStore
from tests.books import BOB, CENT, DOLLAR, Books, new_job, open_books

# Half an hour before a month ends in Kathmandu (UTC+5:45), half a day before New York's clocks go back.
START = dt.datetime(2026, 10, 31, 17, 45, tzinfo=dt.UTC)
OPERATORS_ZONE = ZoneInfo("America/New_York")
ZONES = {100: ZoneInfo("Asia/Kathmandu"), 101: OPERATORS_ZONE}
SERVERS, USERS, ROLES, GATEWAYS = (100, 101), (1, 2, 3), (5, 6), ("apixo", "pixazo")
AMOUNTS = (0, 30 * CENT, DOLLAR, 3 * DOLLAR)
COUNTS = (0, 1, 2, 5)
PRICES = (0, 1, 30 * CENT, 33 * CENT + 1, 99 * CENT)
POLICY = Policy(
    default_member_micros=2 * DOLLAR,
    caps=(
        Limit(layer=Layer.KEY, measure=Measure.WEEK, amount=4 * DOLLAR, subject="apixo"),
        Limit(layer=Layer.KEY, measure=Measure.JOBS_A_DAY, amount=9, subject="pixazo"),
        Limit(layer=Layer.OPERATOR, measure=Measure.MONTH, amount=6 * DOLLAR),
        Limit(layer=Layer.OPERATOR, measure=Measure.AT_ONCE, amount=12),
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
        return Sums(
            spent_micros=sum(job.spent for job in of),
            held_micros=sum(job.held for job in of),
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
        """Whether every layer has room; an approval and a purse lift the member's own."""
        zone, where = ZONES[new.server_id], new.home_channel_id
        checks: list[Check] = []
        if not is_lifted and self.purse(where, new.quote.micros, now) is None:
            who = (new.server_id, new.user_id)
            own = self.own_limits(new).items()
            checks += [Check(Scope.MEMBER, who, measure, amount, zone) for measure, amount in own]
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
            is_own = job.budget in {Budget.MEMBER, Budget.ROLE}
            return is_own and (job.new.server_id, job.new.user_id) == subject
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


Orders = st.builds(
    lambda price, server, user, channel, roles, gateway: new_job(
        price,
        server_id=server,
        user_id=user,
        channel_id=channel_of(server, channel),
        home_channel_id=channel_of(server, channel),
        role_ids=roles,
        top_role_id=max(roles, default=None),
        gateway=gateway,
    ),
    st.sampled_from(PRICES),
    st.sampled_from(SERVERS),
    st.sampled_from(USERS),
    st.integers(0, 1),
    st.frozensets(st.sampled_from(ROLES)),
    st.sampled_from(GATEWAYS),
)


Limits = st.builds(
    lambda layer, measure, choice: Limit(
        layer=layer, measure=measure, amount=(AMOUNTS if measure.is_money else COUNTS)[choice]
    ),
    st.sampled_from([layer for layer in Layer if not layer.is_operators]),
    st.sampled_from(Measure),
    st.integers(0, 3),
)


class Money(RuleBasedStateMachine):
    """Everything that moves money, in every order, on a real file."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.now = START
        self.drafts: dict[str, NewJob] = {}
        self._stack = contextlib.ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._run = self._stack.enter_context(asyncio.Runner()).run
        self._open()

    def _open(self) -> None:
        self._opened = contextlib.AsyncExitStack()
        self.books: Books = self._run(self._opened.enter_async_context(open_books(self._folder)))
        self.approvals = ApprovalStore(self.books.database, self.books.orders)

    def teardown(self) -> None:
        """All that was done is proven once more from the file alone."""
        out = io.StringIO()
        try:
            assert prove_ledger(self.books.database.path, out), out.getvalue()
        finally:
            self._run(self._opened.aclose())
            self._stack.close()

    @initialize()
    def servers(self) -> None:
        for server in SERVERS:
            zone = None if ZONES[server] is OPERATORS_ZONE else ZONES[server].key
            change = ServerStore(self.books.database).change(
                server, act="settings", what="", by=BOB, now=START, zone=zone, staff_channel_id=300
            )
            self._run(change)

    # Orders

    @rule(new=Orders)
    def order(self, new: NewJob) -> None:
        self._expect(new, self._run(self.books.orders.place(new, POLICY, now=self.now)))

    @rule(new=Orders, copies=st.integers(2, 6))
    def order_many_at_once(self, new: NewJob, copies: int) -> None:
        """The one writer takes them in turn: they are admitted as if they had come one by one."""
        news = [
            dataclasses.replace(new, job_id=f"{new.job_id}.{copy}", origin=f"{new.origin}.{copy}")
            for copy in range(copies)
        ]

        async def place() -> list[Any]:
            return await asyncio.gather(*(self.books.orders.place(one, POLICY, now=self.now) for one in news))

        for one, placed in zip(news, self._run(place()), strict=True):
            self._expect(one, placed)

    @rule(new=Orders, turns=st.integers(0, 60))
    def order_whose_asker_is_cancelled(self, new: NewJob, turns: int) -> None:
        """Asked again it is the same order."""

        async def place() -> Any:
            task = asyncio.create_task(self.books.orders.place(new, POLICY, now=self.now))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return await self.books.orders.place(new, POLICY, now=self.now)

        placed = self._run(place())
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

    @precondition(lambda self: self.drafts)
    @rule(data=st.data(), presses=st.integers(1, 3))
    def approve(self, data: st.DataObject, presses: int) -> None:
        """Staff approve what a member's own limit refused; however often they press, it is one job."""
        draft_id = data.draw(st.sampled_from(sorted(self.drafts)))
        new = self.drafts[draft_id]

        async def decide() -> list[Any]:
            asked = await self.approvals.ask(
                draft_id, quote=new.quote, role_ids=new.role_ids, policy=POLICY, now=self.now
            )
            if asked.stage is not DraftStage.ASKED:
                return []
            await self.approvals.shown(asked, 1)
            return await asyncio.gather(
                *(
                    self.approvals.approve(draft_id, by=BOB, quote=new.quote, policy=POLICY, now=self.now)
                    for _ in range(presses)
                )
            )

        decided = self._run(decide())
        jobs = [one for one in decided if isinstance(one, Job)]
        if decided and draft_id not in self.model.jobs:
            assert bool(jobs) == self.model.admits(new, self.now, is_lifted=True), decided
        for job in jobs[:1]:
            assert job.charge.budget is Budget.APPROVAL
            self.model.jobs.setdefault(
                job.job_id,
                Ordered(new=new, at=self.now, budget=Budget.APPROVAL, purse=None, held=new.quote.micros),
            )

    # The way of a job

    @precondition(lambda self: self.model.jobs)
    @rule(
        data=st.data(), wanted=st.sampled_from(Stage), cost=st.sampled_from((None, 0, 1, 30 * CENT, DOLLAR))
    )
    def move(self, data: st.DataObject, wanted: Stage, cost: int | None) -> None:
        """Ask for a step, twice at once: it is taken once, and from its own stages only."""
        job_id = data.draw(st.sampled_from(sorted(self.model.jobs)))
        job = self.model.jobs[job_id]

        async def twice() -> list[Job | None]:
            return list(
                await asyncio.gather(self._step(job_id, wanted, cost), self._step(job_id, wanted, cost))
            )

        moved = self._run(twice())
        assert sum(one is not None for one in moved) == (job.stage in BEFORE[wanted])
        if job.stage not in BEFORE[wanted]:
            return
        job.stage = wanted
        quote = job.new.quote.micros
        match wanted:
            case Stage.FETCHING:
                job.cost = cost
            case Stage.DELIVERING:
                job.held, job.spent = 0, quote if job.cost is None else min(quote, job.cost)
            case Stage.FAILED | Stage.CANCELLED:
                job.held = 0
            case _:
                pass

    def _step(self, job_id: str, wanted: Stage, cost: int | None) -> Any:
        store, now = self.books.jobs, self.now
        failure = Failure(kind=FailureKind.NO_OUTPUT, charged=(None, True, False)[(cost or 0) % 3])
        steps: dict[Stage, Callable[[], Any]] = {
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

    @precondition(lambda self: any(job.spent and not job.refunded for job in self.model.jobs.values()))
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        paid = [job_id for job_id, job in self.model.jobs.items() if job.spent and not job.refunded]
        job_id = data.draw(st.sampled_from(sorted(paid)))
        stored = self._run(self.books.jobs.get(job_id))
        assert stored is not None
        self._run(self.books.refund(stored, at=self.now))
        self.model.jobs[job_id].spent, self.model.jobs[job_id].refunded = 0, True

    # What staff do

    @rule(server=st.sampled_from(SERVERS), of=Limits, which=st.integers(0, 1), is_set=st.booleans())
    def limit(self, server: int, of: Limit, which: int, is_set: bool) -> None:
        """Set or clear one of each layer and measure, for one of two members, roles or channels."""
        subject = {
            Layer.MEMBER: USERS[which],
            Layer.ROLE: ROLES[which],
            Layer.CHANNEL: channel_of(server, which),
        }.get(of.layer, 0)
        is_members = of.layer is Layer.MEMBER
        limit = dataclasses.replace(of, subject="" if is_members or not subject else str(subject))
        user = subject if is_members else None
        act = self.books.limits.set if is_set else self.books.limits.clear
        self._run(act(server, limit, user_id=user, what="by hand", by=BOB, now=self.now))
        if is_set:
            self.model.limits[server, of.layer, subject, of.measure] = of.amount
        else:
            self.model.limits.pop((server, of.layer, subject, of.measure), None)

    @rule(
        server=st.sampled_from(SERVERS),
        number=st.integers(0, 1),
        amount=st.sampled_from([amount for amount in AMOUNTS if amount]),
        days=st.sampled_from([None, 1, 8]),
    )
    def open_purse(self, server: int, number: int, amount: int, days: int | None) -> None:
        channel, ends_at = channel_of(server, number), days and self.now + dt.timedelta(days=days)
        here = [
            purse for purse in self.model.purses.values() if purse.subject == channel and not purse.closed
        ]
        lasts = any(purse.ends_at is None or purse.ends_at > self.now for purse in here)
        opened = self.books.purses.open(
            server_id=server,
            channel_id=channel,
            amount_micros=amount,
            ends_at=ends_at,
            what="",
            by=BOB,
            now=self.now,
        )
        try:
            purse_id = self._run(opened)
        except UserError:
            assert lasts
        else:
            assert not lasts
            for purse in here:
                purse.closed = True
            self.model.purses[purse_id] = Given(server, channel, amount, self.now, ends_at)

    @rule(server=st.sampled_from(SERVERS), number=st.integers(0, 1))
    def close_purse(self, server: int, number: int) -> None:
        channel = channel_of(server, number)
        self._run(
            self.books.purses.close(server_id=server, channel_id=channel, what="", by=BOB, now=self.now)
        )
        for purse in self.model.purses.values():
            purse.closed = purse.closed or purse.subject == channel

    @rule(user=st.sampled_from(USERS), amount=st.sampled_from(AMOUNTS))
    def grant(self, user: int, amount: int) -> None:
        self._run(self.books.grant(amount, to=user, at=self.now))
        self.model.grants.append(Given(100, user, amount, self.now))

    # Time, and the end of the process

    @rule(minutes=st.sampled_from([1, 14, 16, 60, 24 * 60, 8 * 24 * 60, 31 * 24 * 60]), back=st.booleans())
    def set_the_clock(self, minutes: int, back: bool) -> None:
        """Forwards over the end of periods, or back as a time server does."""
        self.now += dt.timedelta(minutes=-minutes if back else minutes)

    @rule()
    def restart(self) -> None:
        self._run(self._opened.aclose())
        self._open()

    # What must be true after each of them

    @invariant()
    def every_sum_is_the_models(self) -> None:
        asked = [
            (scope, subject, key, measure, zone)
            for scope, subject, key, zone in self._subjects()
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

        async def found() -> list[Sums]:
            async with self.books.database.read() as connection:
                return await ledger.sums(connection, Account.REAL, spans)

        for (scope, subject, _, measure, zone), sums in zip(asked, self._run(found()), strict=True):
            within = (lambda _: True) if scope is Scope.PURSE else same(measure, zone, self.now)
            assert sums == self.model.sums(scope, subject, within), (scope, subject, measure)

    def _subjects(self) -> Iterator[tuple[Scope, Any, str, ZoneInfo]]:
        """Everything that sums are kept of: for the model, and as the ledger calls it."""
        people = self._run(self.books.rows("SELECT member_id, server_id, discord_id FROM members"))
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


TestMoney = Money.TestCase
TestMoney.settings = settings(max_examples=30, stateful_step_count=35, deadline=None, derandomize=True)
