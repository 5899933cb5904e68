"""The gate before a paid submit: a working key, a place, a fresh picture and a turn; in this order."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from bot import messages, pacing
from bot.availability import Availability
from bot.card_desk import CardDesk
from bot.catalogue import Model
from bot.errors import BadOrder, ChannelClosed
from bot.fallover import FallOver
from bot.gateways import verdicts
from bot.gateways.base import Gateway
from bot.gateways.http import data_url, file_part
from bot.lane import SUBMIT, Lane
from bot.models import Clock, Failure, FailureKind, Job, OutageScope, Sleep
from bot.track import Track
from bot.wording import SentPicture
from storage.jobs import JobStore

log = logging.getLogger(__name__)

_LOOK_SECONDS = 60.0  # how soon a job behind a stopped key notices that it works again


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ready:
    """The job holds a place and may be sent now, with its pictures as the model wants them."""

    picture: SentPicture | None
    end: SentPicture | None


@dataclasses.dataclass(frozen=True)
class CardGone:
    """Somebody deleted the job's card, and with it the picture the gateway would fetch."""


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    """The job would have had to wait: it is over, and another goes on in its stead."""

    successor: Job


class Pictures(Protocol):
    """Whoever knows where a job's picture can be fetched."""

    async def picture_links(self, job: Job) -> list[str] | None:
        """Return a fresh link to each of the job's pictures, or None where the card is gone.

        May raise ChannelClosed, DiscordTrouble.
        """
        ...


class Gate:
    """Lets queued jobs through; while a gateway refuses the key they wait, with the reason on their cards.

    So do those of a model whose last jobs failed; after a pause one of them tries it.
    """

    def __init__(
        self,
        *,
        store: JobStore,
        availability: Availability,
        gateways: Mapping[str, Gateway],
        lanes: Mapping[str, Lane],
        pictures: Pictures,
        desk: CardDesk,
        track: Track,
        fall_over: FallOver,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._store = store
        self._availability = availability
        self._gateways = gateways
        self._lanes = lanes
        self._pictures = pictures
        self._desk = desk
        self._track = track
        self._fall_over = fall_over
        self._clock = clock
        self._sleep = sleep
        self._waiting: dict[str, Job] = {}
        self._probes: dict[str, str] = {}  # by gateway: the job whose order asks whether the key works

    async def admit(self, job: Job) -> Ready | CardGone | Elsewhere | Failure:
        """Wait until nothing but the POST is left to wait for; only then the job holds a place.

        Raises:
            ChannelClosed, DiscordTrouble: the picture, or the card with it, cannot be read.
        """
        model = self._availability.catalogue.models[job.request.model]
        try:
            self._availability.check_unchanged(job.request, job.gateway)
        except BadOrder as error:  # the bot was started with another catalogue while the job waited
            return Failure(kind=FailureKind.CHANGED, detail=str(error))
        lane = self._lanes[model.model_id]
        ready = False
        self._waiting[job.job_id] = job
        try:
            while True:
                ended = await self._open(job, model)
                if ended is not None:
                    return ended
                await lane.slots.take(job)
                pictures = await self._sent_pictures(job, model)
                if pictures is None:
                    return CardGone()
                await lane.turn(SUBMIT)
                if self._obstacle(job, model) is None:
                    ready = True
                    picture, end = (*pictures, None, None)[:2]
                    return Ready(picture=picture, end=end)
                lane.slots.give_back(job.job_id)
        finally:
            del self._waiting[job.job_id]
            if not ready:
                lane.slots.give_back(job.job_id)
                self._track.let_go(job)

    async def accepted(self, job: Job) -> None:
        """The gateway took an order: neither its key nor the model is out."""
        await self._availability.works(self._availability.catalogue.models[job.request.model])
        await self._explain()

    async def refused(self, job: Job, failure: Failure) -> None:
        """Draw what a gateway's refusal says of its key or of the model."""
        if failure.kind is FailureKind.MODEL_GONE:
            await self._availability.take_out(job.request.model, failure)
            log.warning("%s is out: %s", job.request.model, failure.detail)
        if failure.kind in verdicts.KEY_TROUBLE:
            stopped = self._availability.key_outage(job.gateway)
            # Every look may say so again, and each stop would put the next probe off.
            if stopped is None or stopped.failure is not failure.kind:
                await self._availability.stop_key(job.gateway, failure)
                log.warning("%s takes no orders with this key: %s", job.gateway, failure.detail)
            await self._explain()

    async def run(self) -> None:
        """Ask the gateways that refused their key, every 15 minutes, whether it works again."""
        while True:
            for gateway in self._gateways.values():
                try:
                    await self._probe(gateway)
                except Exception:
                    log.exception("%s: the key could not be tried", gateway.name)
            await self._sleep(_LOOK_SECONDS)

    async def _probe(self, gateway: Gateway) -> None:
        if self._availability.key_outage(gateway.name) is None or not gateway.tells_balance:
            return
        if not self._availability.claim_probe(gateway.name):
            return
        balance = await gateway.balance()
        if isinstance(balance, int) and balance > 0:
            log.info("%s: the key works again", gateway.name)
            await self._availability.reopen(OutageScope.KEY, gateway.name)
            await self._explain()

    async def _open(self, job: Job, model: Model) -> Elsewhere | Failure | None:
        """Wait while the gateway takes no orders; return None where that is over.

        A failure says why waiting is no use. Where another model can go on with the job, it does not wait.
        """
        while (obstacle := self._obstacle(job, model)) is not None:
            is_hopeless = obstacle.kind is FailureKind.MODEL_GONE or job.gateway not in self._gateways
            if is_hopeless or self._clock() - job.created_at >= pacing.LONGEST_WAIT:
                return obstacle
            is_stopped = self._availability.key_outage(job.gateway) is not None
            asks = is_stopped and not self._gateways[job.gateway].tells_balance
            # One that its model's breaker would hold asks nothing, and would keep those from asking that may.
            may_ask = asks and self._track.may_try(model.model_id, job.job_id)
            if may_ask and self._availability.claim_probe(job.gateway):
                self._probes[job.gateway] = job.job_id
                continue
            successor = await self._fall_over.instead_of_waiting(job, obstacle)
            if successor is not None:
                return Elsewhere(successor)
            await self._explain()
            await self._sleep(_LOOK_SECONDS)
        await self._explain()
        return None

    def _obstacle(self, job: Job, model: Model) -> Failure | None:
        """Return why the gateway would refuse the order, as far as it is known."""
        out = self._availability.model_outage(model.model_id)
        if out is not None:
            return Failure(kind=FailureKind.MODEL_GONE, detail=out.detail)
        if job.gateway not in self._gateways:
            return Failure(kind=FailureKind.NO_ACCESS, detail="the key was removed")
        stopped = self._availability.key_outage(job.gateway)
        if stopped is not None and self._probes.get(job.gateway) != job.job_id:
            return Failure(kind=stopped.failure, detail=stopped.detail)
        if not self._track.may_try(model.model_id, job.job_id):
            faults = self._track.breaker(model.model_id).faults
            return Failure(kind=FailureKind.GATEWAY_DOWN, detail=messages.faults_in_a_row(faults))
        return None

    async def _explain(self) -> None:
        """Let the card of every waiting job say what it waits for, where that is the operator."""
        for job in list(self._waiting.values()):
            if job.job_id not in self._waiting:
                continue  # it left while another was told, and must not be the one that tries its model
            reason = self._reason(job)
            if job.waiting_for != reason:
                self._waiting[job.job_id] = dataclasses.replace(job, waiting_for=reason)
                self._desk.show(await self._store.wait(job.job_id, reason))

    def _reason(self, job: Job) -> str:
        is_stopped = self._availability.key_outage(job.gateway) is not None
        if is_stopped and self._probes.get(job.gateway) != job.job_id:
            return messages.WAITS_FOR_OPERATOR
        return "" if self._track.may_try(job.request.model, job.job_id) else messages.WAITS_FOR_TRIAL

    async def _sent_pictures(self, job: Job, model: Model) -> Sequence[SentPicture] | None:
        """Return the pictures as the gateway wants them, in their order; None where their card is gone."""
        kept = [picture for picture in (job.picture, job.end_picture) if picture is not None]
        asking = model.asking.picture
        if not kept or asking is None:
            return []
        if asking.send == "link":
            return await self._pictures.picture_links(job)
        if not all(picture.path.exists() for picture in kept):
            raise ChannelClosed("the picture is no longer there")  # as where its card cannot be posted
        return [
            await (data_url(picture) if asking.send == "data-url" else file_part(picture)) for picture in kept
        ]
