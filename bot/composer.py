"""Makes of what a person asked for an order of a model: that chosen, the pictures fitted, the price read."""

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from bot import choice_messages
from bot.availability import Availability
from bot.catalogue import Model
from bot.choosing import Chooser
from bot.disk_errors import disk_errors
from bot.errors import BadOrder
from bot.health import Health
from bot.ids import new_id
from bot.models import Clock, NewJob, Picture, Shape, Upload, VideoRequest
from bot.offers import Offer
from bot.picture_room import PictureRoom, check_upload_size
from bot.quotas import Policy
from bot.wishes import Order, read_prompt, wish
from storage.orders import OrderStore

# Files are held in memory while they are looked at; a rush of orders waits here instead of filling it.
_FILES_AT_ONCE = 4


@dataclasses.dataclass(frozen=True)
class _KeptUpload:
    """A picture that was kept for an order, to be made what another model takes."""

    path: Path

    @property
    def filename(self) -> str:
        """Its name on disk."""
        return self.path.name

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.path.stat().st_size if self.path.exists() else 0

    async def read(self) -> bytes:
        """Read the whole file.

        Raises:
            StorageTrouble: the disk is failing.
        """
        with disk_errors():
            return await asyncio.to_thread(self.path.read_bytes)


class Composer:
    """Composes orders; nothing is stored but their pictures."""

    def __init__(
        self,
        *,
        availability: Availability,
        chooser: Chooser,
        orders: OrderStore,
        pictures: PictureRoom,
        policy: Policy,
        health: Health,
        clock: Clock,
    ) -> None:
        self._availability = availability
        self._chooser = chooser
        self._orders = orders
        self._pictures = pictures
        self._policy = policy
        self._health = health
        self._clock = clock
        self._files = asyncio.Semaphore(_FILES_AT_ONCE)

    async def compose(self, order: Order, *, only_quotes: bool) -> NewJob:
        """Return the order of the model that was named, or of the best one for `auto`.

        What is only quoted is of the best model too where none is named, whatever limits say.

        Raises:
            UserError: it cannot be ordered; the sentence says why, and what can.
        """
        if order.end_picture is not None and order.picture is None:
            raise BadOrder("`end_image` is how a clip from a picture ends: attach `image` too.")
        if self._availability.is_auto(order.model) or (only_quotes and not order.model):
            new = await self._chosen(order, only_quotes=only_quotes)
        else:
            model = self._availability.choose(order.model)
            model.check_mode(order.mode)
            self._availability.check_options([model], order)
            new = self._new(order, wish(order, model, await read_prompt(order, model)))
        if order.picture is None:
            return new
        with self._health.noticing():
            return await self._pictured(new, order.picture, order.end_picture, is_given=bool(order.shape))

    async def with_offer(self, new: NewJob, offer: Offer) -> NewJob:
        """Return an order as another model would do it, with its pictures as that one takes them.

        Raises:
            UserError: the pictures are no longer there, or cannot be made so.
        """
        model = self._availability.catalogue.models[offer.request.model]
        request = offer.request

        async def refitted(picture: Picture | None) -> Picture | None:
            if picture is None or model.takes(picture, request):
                return picture
            _, again = await self._fitted(_KeptUpload(picture.path), model, request, (request.shape,))
            return dataclasses.replace(again, cropped=picture.cropped or again.cropped)

        with self._health.noticing():
            return dataclasses.replace(
                new,
                job_id=new_id(),
                request=request,
                gateway=model.gateway,
                picture=await refitted(new.picture),
                end_picture=await refitted(new.end_picture),
                is_auto=False,
                note=new.note.partition(choice_messages.AUTO_TOOK)[0].strip(),
                quote=offer.quote,
            )

    async def _chosen(self, order: Order, *, only_quotes: bool) -> NewJob:
        """Return the best order that fits the member's limits; where none does, the best of all.

        A quote holds nothing, and is not measured.
        """
        policy, choices = await self._chooser.candidates(order, await read_prompt(order))
        candidates = [self._new(order, choice.offer.request) for choice in choices]
        number = 0
        if not only_quotes:
            number = await self._orders.first_that_fits(candidates, self._policy, now=self._clock())
        note = choice_messages.took(policy, choices, number)
        new = candidates[number]
        return dataclasses.replace(new, is_auto=True, note=" ".join(filter(None, [new.note, note])))

    def _new(self, order: Order, request: VideoRequest) -> NewJob:
        model = self._availability.catalogue.models[request.model]
        return NewJob(
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
            picture=None,
            note=order.note,
            quote=model.quote(request),
        )

    async def _pictured(self, new: NewJob, first: Upload, end: Upload | None, *, is_given: bool) -> NewJob:
        """Fit the pictures to the order, and the order to the first one where its shape is not given."""
        model = self._availability.catalogue.models[new.request.model]
        shapes = (new.request.shape,) if is_given else model.shapes_of(new.request.mode)
        shape, picture = await self._fitted(first, model, new.request, shapes)
        request = dataclasses.replace(new.request, shape=shape)
        end_picture = None
        if end is not None:
            _, end_picture = await self._fitted(end, model, request, (shape,))
        return dataclasses.replace(
            new, request=request, picture=picture, end_picture=end_picture, quote=model.quote(request)
        )

    async def _fitted(
        self, upload: Upload, model: Model, request: VideoRequest, shapes: Sequence[Shape]
    ) -> tuple[Shape, Picture]:
        check_upload_size(upload.size)
        sizes = {one: model.size(dataclasses.replace(request, shape=one)).pixels for one in shapes}
        async with self._files:
            return await self._pictures.fit(await upload.read(), sizes=sizes, webp=model.takes_webp)
