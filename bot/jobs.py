"""What a person can do with jobs: order, cancel, look. Every method returns at once."""

import dataclasses
import secrets
from typing import Protocol

from bot import media, messages
from bot.availability import Availability
from bot.catalogue import Model
from bot.errors import BadOrder, NoSuchJob, UserError
from bot.models import Clock, Job, Mode, NewJob, Quality, Shape, Upload
from bot.quotas import Policy
from storage.jobs import JobStore

MOST_PROMPT_FILE_BYTES = 64 * 1024

# Without letters and digits that look alike, since people read ids aloud and type them.
_ID_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"
_ID_LENGTH = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """What a person asked for, unchecked. `origin` names the act, so that it is never done twice."""

    origin: str
    server_id: int
    channel_id: int
    user_id: int
    prompt: str | None = None
    prompt_file: Upload | None = None
    picture: Upload | None = None
    model: str | None = None
    seconds: int | None = None
    shape: Shape | None = None
    quality: Quality | None = None
    keep_watermark: bool | None = None
    note: str = ""


class Driver(Protocol):
    """Whoever takes stored jobs through their stages."""

    def add(self, job: Job) -> None: ...
    def drop(self, job: Job) -> None: ...


class JobService:
    """Turns orders into stored, paid-for jobs and hands them to the worker."""

    def __init__(
        self,
        *,
        store: JobStore,
        availability: Availability,
        pictures: media.PictureRoom,
        policy: Policy,
        driver: Driver,
        clock: Clock,
    ) -> None:
        self._store = store
        self._availability = availability
        self._pictures = pictures
        self._policy = policy
        self._driver = driver
        self._clock = clock
        self._closing = False

    def close(self) -> None:
        """Take no more orders: the program is stopping."""
        self._closing = True

    async def order(self, order: Order) -> Job:
        """Check an order, keep its picture, hold its money and store it.

        Raises:
            UserError: nothing is stored and nothing is held.
        """
        if self._closing:
            raise UserError("The bot is restarting. Order again in a minute; nothing was charged.")
        model = self._availability.choose(order.model)
        mode = Mode.TEXT if order.picture is None else Mode.IMAGE
        model.check_mode(mode)
        prompt = await _prompt(order)
        # Everything that needs no picture is checked before one is downloaded.
        request = model.request(
            mode=mode,
            prompt=prompt,
            seconds=order.seconds,
            shape=order.shape or Shape.LANDSCAPE,
            quality=order.quality,
            keep_watermark=order.keep_watermark,
        )
        picture = None
        if order.picture is not None:
            media.check_upload_size(order.picture.size)
            data = await order.picture.read()
            shape = order.shape or await self._pictures.measure(data)
            request = dataclasses.replace(request, shape=shape)
            picture = await self._pictures.fit(data, shape=shape, pixels=model.size(request).pixels)
        job = await self._store.place(
            NewJob(
                job_id=_new_id(),
                origin=order.origin,
                account=model.account,
                server_id=order.server_id,
                channel_id=order.channel_id,
                user_id=order.user_id,
                request=request,
                gateway=model.gateway,
                picture=picture,
                note=order.note,
                quote=model.quote(request),
            ),
            self._policy,
            now=self._clock(),
        )
        self._driver.add(job)
        return job

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
            NoSuchJob: there is none to stop.
            UserError: it is at the gateway, or over.
        """
        job = await self.get(job_id, server_id=server_id, user_id=user_id, staff=staff)
        by = "by its member" if job.user_id == user_id else f"by staff {user_id}"
        cancelled = await self._store.cancel(job.job_id, by=by, now=self._clock())
        if cancelled is not None:
            self._driver.drop(cancelled)
            return cancelled
        job = await self.get(job_id, server_id=server_id, user_id=user_id, staff=staff)
        if job.stage.is_open:
            raise UserError(messages.CANNOT_STOP.format(job_id=job.job_id))
        raise UserError(
            messages.ALREADY_OVER.format(job_id=job.job_id, stage=messages.STAGE_TITLES[job.stage].lower())
        )

    async def of_member(
        self, server_id: int, user_id: int, *, page: int = 0, per_page: int = 5
    ) -> tuple[list[Job], bool]:
        """Return a page of a person's jobs, newest first, and whether there are more."""
        found = await self._store.of_member(server_id, user_id, offset=page * per_page, limit=per_page + 1)
        return found[:per_page], len(found) > per_page

    async def open_of_member(self, server_id: int, user_id: int) -> list[Job]:
        """Return the newest of a person's jobs that are not over, at most 25."""
        return await self._store.of_member(server_id, user_id, only_open=True)

    def offers(self, mode: Mode) -> list[tuple[Model, int]]:
        """Return what can be ordered in a mode: models with each of their lengths, at most 25."""
        return [
            (model, seconds)
            for model in self._availability.orderable()
            if mode in model.modes
            for seconds in model.seconds
        ][:25]


async def _prompt(order: Order) -> str:
    """Return the prompt, typed or from its file.

    Raises:
        BadOrder: both or neither were given, or the file is no text of the right size.
    """
    if (order.prompt is None) == (order.prompt_file is None):
        raise BadOrder("Give either `prompt` or `prompt_file`: exactly one of them.")
    if order.prompt_file is None:
        return (order.prompt or "").strip()
    size = order.prompt_file.size
    if size > MOST_PROMPT_FILE_BYTES:
        raise BadOrder(f"The prompt file has {size:,} bytes; at most {MOST_PROMPT_FILE_BYTES:,} are taken.")
    try:
        return (await order.prompt_file.read()).decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise BadOrder("The prompt file is not UTF-8 text. Save it as UTF-8 and attach it again.") from error


def _new_id() -> str:
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
