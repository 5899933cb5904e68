"""What a person can do with jobs: order, cancel, look. Every method returns at once."""

import asyncio
from typing import Protocol
from weakref import WeakValueDictionary

from bot import approval_messages, messages, money_messages, quote_messages, receipts
from bot.access import Access, Asking
from bot.composer import Composer
from bot.errors import NoSuchJob, OverLimit, UserError
from bot.health import Health
from bot.models import Clock, Draft, DraftStage, Job
from bot.quotas import Policy
from bot.stopper import Stopper
from bot.wishes import Order
from storage.jobs import JobStore
from storage.orders import OrderStore, Refusal


class Driver(Protocol):
    """Whoever takes stored jobs through their stages."""

    def add(self, job: Job) -> None:
        """Take a job that was stored just now."""
        ...

    def drop(self, job: Job) -> None:
        """Let go of a job that was cancelled just now."""
        ...


class JobService:
    """Turns orders into stored, paid-for jobs and hands them to the worker."""

    def __init__(
        self,
        *,
        store: JobStore,
        orders: OrderStore,
        access: Access,
        composer: Composer,
        policy: Policy,
        driver: Driver,
        stopper: Stopper,
        health: Health,
        clock: Clock,
    ) -> None:
        self._store = store
        self._orders = orders
        self._access = access
        self._composer = composer
        self._policy = policy
        self._driver = driver
        self._stopper = stopper
        self._health = health
        self._clock = clock
        self._turns = WeakValueDictionary[tuple[int, int], asyncio.Lock]()
        self._closing = False

    def close(self) -> None:
        """Take no more orders: the program is stopping."""
        self._closing = True

    async def order(self, order: Order, *, only_quotes: bool = False) -> Job | Draft:
        """Check an order, keep its picture, hold its money and store it.

        An order above the price that the server wants confirmed becomes a draft, which holds nothing, as does
        one that `only_quotes`; that is of the best model where none is named.

        Raises:
            OverLimit: a limit refuses it; where the error names a draft, its member may ask for more.
            UserError: nothing is stored and nothing is held.
        """
        # One order of a person at a time: hard pictures or many orders of one keep nobody else waiting.
        turn = self._turns.setdefault((order.server_id, order.user_id), asyncio.Lock())
        async with turn:
            return await self._order(order, only_quotes=only_quotes)

    async def _order(self, order: Order, *, only_quotes: bool) -> Job | Draft:
        await self.admit(order)
        new = await self._composer.compose(order, only_quotes=only_quotes)
        if only_quotes:
            return self.taken(await self._orders.quote(new, now=self._clock()))
        return self.taken(await self._orders.place(new, self._policy, now=self._clock()))

    async def admit(self, asking: Asking) -> None:
        """Refuse orders that nobody takes now, or not from this person here.

        Raises:
            UserError: why not.
        """
        if self._closing:
            raise UserError("The bot is restarting. Order again in a minute; nothing was charged.")
        self._health.check()
        await self._access.check(asking)

    def taken(self, outcome: Job | Draft | Refusal) -> Job | Draft:
        """Let the worker have what became a job; a draft is one that waits for a yes to its price.

        Raises:
            OverLimit: a limit refused it.
            UserError: it is a draft that is over, or that staff decide on.
        """
        if isinstance(outcome, Draft) and outcome.stage is not DraftStage.QUOTED:
            raise UserError(quote_messages.OVER[outcome.stage])
        if isinstance(outcome, Refusal):
            told = money_messages.over_limit(outcome.standing, outcome.quote)
            if outcome.note:
                told = f"{told} {outcome.note}"
            if outcome.draft is None and outcome.standing.limit.layer.is_own:
                told = f"{told} {approval_messages.HOW_TO_ALLOW_ASKING}"
            raise OverLimit(
                told,
                public_sentence=money_messages.over_limit_in_public(outcome.standing),
                price=receipts.price(outcome.quote),
                draft_id=outcome.draft.draft_id if outcome.draft is not None else None,
            )
        if isinstance(outcome, Job):
            self._driver.add(outcome)
        return outcome

    async def get(self, job_id: str, *, server_id: int, user_id: int, staff: bool = False) -> Job:
        """Return a job that this person may see: their own, or for staff any of the server.

        Raises:
            NoSuchJob: there is none.
        """
        job = await self._store.get(job_id.strip().lower())
        if job is None or job.server_id != server_id or not (staff or job.user_id == user_id):
            raise NoSuchJob(job_id)
        return job

    async def cancel(self, job_id: str, *, server_id: int, user_id: int, staff: bool = False) -> Job:
        """Stop a job that was not submitted yet, or that its gateway still can; it costs nothing.

        Raises:
            NoSuchJob: there is none in this server.
            UserError: it is somebody else's, at the gateway, or over.
        """
        job = await self._store.get(job_id.strip().lower())
        if job is None or job.server_id != server_id:
            raise NoSuchJob(job_id)
        if not (staff or job.user_id == user_id):
            raise UserError(messages.NOT_YOURS.format(job_id=job.job_id))
        by = "by its member" if job.user_id == user_id else "by staff"
        cancelled = await self._store.cancel(job.job_id, by=by, user_id=user_id, now=self._clock())
        if cancelled is None:
            return await self._stopper.stop(await self._store.get(job.job_id) or job, user_id=user_id)
        self._driver.drop(cancelled)
        return cancelled

    async def of_member(
        self, server_id: int, user_id: int, *, page: int = 0, per_page: int = 5
    ) -> tuple[list[Job], bool]:
        """Return a page of a person's jobs, newest first, and whether there are more."""
        found = await self._store.of_member(server_id, user_id, offset=page * per_page, limit=per_page + 1)
        return found[:per_page], len(found) > per_page

    async def open_of_member(self, server_id: int, user_id: int) -> list[Job]:
        """Return the newest of a person's jobs that are not over, at most 25."""
        return await self._store.of_member(server_id, user_id, only_open=True)
