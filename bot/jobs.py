"""What a person can do with jobs: order, cancel, look. Every method returns at once."""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Protocol
from weakref import WeakValueDictionary

from bot import approval_messages, messages, money_messages, quote_messages, receipts
from bot.access import Access, Asking
from bot.availability import Availability
from bot.catalogue import Model
from bot.errors import ModelUnavailable, NoSuchJob, OverLimit, UserError
from bot.health import Health
from bot.ids import new_id
from bot.models import Clock, Draft, DraftStage, Job, Mode, NewJob, Picture, Shape, Upload, VideoRequest
from bot.picture_room import PictureRoom, check_upload_size
from bot.quotas import Policy
from bot.wishes import Order, read_prompt
from storage.jobs import JobStore
from storage.orders import OrderStore, Refusal

# Files are held in memory while they are looked at; a rush of orders waits here instead of filling it.
_FILES_AT_ONCE = 4


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
        availability: Availability,
        pictures: PictureRoom,
        policy: Policy,
        driver: Driver,
        health: Health,
        clock: Clock,
    ) -> None:
        self._store = store
        self._orders = orders
        self._access = access
        self._availability = availability
        self._pictures = pictures
        self._policy = policy
        self._driver = driver
        self._health = health
        self._clock = clock
        self._files = asyncio.Semaphore(_FILES_AT_ONCE)
        self._turns = WeakValueDictionary[tuple[int, int], asyncio.Lock]()
        self._closing = False

    def close(self) -> None:
        """Take no more orders: the program is stopping."""
        self._closing = True

    async def order(self, order: Order) -> Job | Draft:
        """Check an order, keep its picture, hold its money and store it.

        An order above the price that the server wants confirmed becomes a draft, which holds nothing.

        Raises:
            OverLimit: a limit refuses it; where the error names a draft, its member may ask for more.
            UserError: nothing is stored and nothing is held.
        """
        # One order of a person at a time: hard pictures or many orders of one keep nobody else waiting.
        turn = self._turns.setdefault((order.server_id, order.user_id), asyncio.Lock())
        async with turn:
            return await self._order(order)

    async def _order(self, order: Order) -> Job | Draft:
        await self.admit(order)
        model = self._availability.choose(order.model)
        mode = Mode.TEXT if order.picture is None else Mode.IMAGE
        model.check_mode(mode)
        self._availability.check_options(model, order)
        request = model.request(mode=mode, prompt=await read_prompt(order, model), **order.choices)
        picture = end_picture = None
        if order.picture is not None:
            with self._health.noticing():
                shapes = model.shapes_of(mode) if order.shape is None else (order.shape,)
                request, picture = await self._pictured(order.picture, model, request, shapes)
                if order.end_picture is not None:
                    _, end_picture = await self._pictured(order.end_picture, model, request, (request.shape,))
        outcome = await self._orders.place(
            NewJob(
                job_id=new_id(),
                origin=order.origin,
                account=model.account,
                server_id=order.server_id,
                channel_id=order.channel_id,
                home_channel_id=order.home_channel_id,
                user_id=order.user_id,
                role_ids=order.role_ids,
                top_role_id=order.top_role_id,
                request=request,
                gateway=model.gateway,
                picture=picture,
                end_picture=end_picture,
                note=order.note,
                quote=model.quote(request),
            ),
            self._policy,
            now=self._clock(),
        )
        return self.taken(outcome)

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

    async def _pictured(
        self, upload: Upload, model: Model, request: VideoRequest, shapes: Sequence[Shape]
    ) -> tuple[VideoRequest, Picture]:
        """Fit the picture to the order, and the order to the picture where that may have several shapes."""
        check_upload_size(upload.size)
        sizes = {one: model.size(dataclasses.replace(request, shape=one)).pixels for one in shapes}
        async with self._files:
            data = await upload.read()
            fitted, picture = await self._pictures.fit(data, sizes=sizes)
        return dataclasses.replace(request, shape=fitted), picture

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
        """Stop a job that was not submitted yet; it costs nothing.

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
            raise UserError(messages.cannot_stop(await self._store.get(job.job_id) or job))
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

    # What can be ordered; from memory only

    def orderable(self) -> list[Model]:
        """Return the models that take orders now."""
        return self._availability.orderable()

    def listed(self) -> list[tuple[Model, str | None]]:
        """Return every model worth knowing of, and why it takes no orders if it does not; those last."""
        listed = [(model, self._availability.why_not(model)) for model in self._availability.listed()]
        return sorted(listed, key=lambda one: one[1] is not None)

    def lengths(self, model_id: str | None) -> tuple[int, ...]:
        """Return the seconds that a model makes, or the default one; none where it cannot be ordered."""
        try:
            return self._availability.choose(model_id).seconds
        except ModelUnavailable:
            return ()

    def offers(self, mode: Mode) -> list[tuple[Model, int]]:
        """Return what can be ordered in a mode: models with each of their lengths, at most 25."""
        return [
            (model, seconds) for model in self.orderable() if mode in model.modes for seconds in model.seconds
        ][:25]
