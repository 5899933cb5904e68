"""Which model is best for an order: what `auto` takes, what stands side by side, what follows a failure."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from bot import choice_messages, offers
from bot.availability import Availability
from bot.catalogue import Model
from bot.errors import BadOrder, ModelUnavailable
from bot.forecast import Forecast
from bot.models import AutoPolicy, Job, Mode, NewJob, ServerSettings, VideoRequest
from bot.offers import Choice, Offer
from bot.timing import TimeTable
from bot.track import Track
from bot.wishes import Order, wish
from storage.servers import ServerStore

Fits: TypeAlias = Callable[[Model, VideoRequest], bool]


class Chooser:
    """Knows of each model what it costs, how long it takes, how it did lately and how many wait for it."""

    def __init__(
        self,
        *,
        availability: Availability,
        track: Track,
        times: TimeTable,
        forecast: Forecast,
        servers: ServerStore,
    ) -> None:
        self._availability = availability
        self._track = track
        self._times = times
        self._forecast = forecast
        self._servers = servers

    async def candidates(self, order: Order, prompt: str) -> tuple[AutoPolicy, list[Choice]]:
        """Return what `auto` may take for an order, best first, and by which policy; there is at least one.

        What was not given is free. With staff's own order only its models count.

        Raises:
            BadOrder: no model can do it.
            ModelUnavailable: nothing can be ordered now.
        """
        models = self._availability.orderable()
        if not models:
            raise ModelUnavailable("No model can be ordered now; `/video models` says why.")
        settings = await self._servers.settings(order.server_id)
        if settings.auto_policy is AutoPolicy.OWN:
            models = [model for model in models if model.model_id in settings.auto_models]
        able: list[Choice] = []
        refusals: list[BadOrder] = []
        for model in models:
            try:
                request = wish(order, model, prompt)
                able.append(self._choice(model, Offer(request=request, quote=model.quote(request))))
            except BadOrder as error:
                refusals.append(error)
        if not able:
            self._availability.check_options(models, order)
            raise refusals[0] if len(refusals) == 1 else BadOrder(choice_messages.none_can(len(models)))
        return settings.auto_policy, _sorted(able, settings)

    async def beside(self, new: NewJob) -> list[Choice]:
        """Return an order beside what other models have that comes nearest to it, best first.

        Its own model is among them, also where that takes no orders any more.
        """
        request = new.request
        own = self._availability.catalogue.models.get(request.model)
        if own is None:
            return []
        found = [self._choice(own, Offer(request=request, quote=new.quote))]
        for model in self._availability.orderable():
            if model.model_id == own.model_id or model.account is not new.account:
                continue
            offer = offers.nearest(request, own, model, ends=new.end_picture is not None)
            if offer is not None:
                found.append(self._choice(model, offer))
        return _sorted(found, await self._servers.settings(new.server_id))

    async def in_mode(self, server_id: int, mode: Mode) -> tuple[AutoPolicy, list[Choice]]:
        """Return every model that has a mode in each of its lengths, best first by the policy that counts."""
        choices = [
            self._choice(model, Offer(request=request, quote=model.quote(request)))
            for model in self._availability.orderable()
            if mode in model.modes
            for request in _lengths(model, mode)
        ]
        settings = await self._servers.settings(server_id)
        best = _sorted(choices, settings)
        places = {model.model_id: place for place, model in enumerate(self.models(best))}
        best.sort(key=lambda choice: (places[choice.offer.request.model], choice.offer.request.seconds))
        return settings.auto_policy, best

    def models(self, choices: Iterable[Choice]) -> list[Model]:
        """Return the models of choices, each once and in their order."""
        named = dict.fromkeys(choice.offer.request.model for choice in choices)
        return [self._availability.catalogue.models[model_id] for model_id in named]

    async def next_for(self, job: Job, *, fits: Fits) -> Offer | None:
        """Return the very same order of the best other model, after a failure.

        It comes by the policy that `auto` follows, of the models that are healthy and that `fits` agrees to;
        None where there is none.
        """
        own = self._availability.catalogue.models.get(job.request.model)
        if own is None:
            return None
        settings = await self._servers.settings(job.server_id)
        found: list[Choice] = []
        for model in self._availability.orderable():
            is_tried = model.model_id in {job.request.model, job.fell_from}
            if is_tried or not self._is_allowed(model, settings):
                continue
            offer = offers.same(job.request, own, model, ends=job.end_picture is not None)
            if offer is not None and fits(model, offer.request):
                found.append(self._choice(model, offer))
        return next((best.offer for best in _sorted(found, settings)), None)

    def _is_allowed(self, model: Model, settings: ServerSettings) -> bool:
        """Whether a job may fall to a model: staff let `auto` take it, and it is not on trial itself."""
        is_named = settings.auto_policy is not AutoPolicy.OWN or model.model_id in settings.auto_models
        return is_named and self._track.breaker(model.model_id).is_closed

    def _choice(self, model: Model, offer: Offer) -> Choice:
        waiting, waits_seconds = self._forecast.of_newcomer(model.model_id)
        record = self._track.record(model.model_id)
        return Choice(
            offer=offer,
            takes_seconds=self._times.of(model.model_id, offer.request.seconds).median_seconds,
            waits_seconds=waits_seconds,
            waiting=waiting,
            ended=record.ended,
            faults=record.faults,
            doubt=self._doubt(model),
            is_usual=offer.request.seconds == model.usual_seconds,
        )

    def _doubt(self, model: Model) -> str:
        """Say in a word why others go before a model, though it can be ordered; "" where nothing is known."""
        if not self._track.breaker(model.model_id).is_closed:
            return "failing"
        return "" if model.status == "available" else model.status


def _sorted(choices: Iterable[Choice], settings: ServerSettings) -> list[Choice]:
    return offers.best_first(choices, settings.auto_policy, settings.auto_models)


def _lengths(model: Model, mode: Mode) -> list[VideoRequest]:
    """Return a model's orders in a mode, one for each length, with the defaults of all else."""
    first: dict[int, VideoRequest] = {}
    for request in model.orders(mode):
        if request.quality == model.usual_quality:
            first.setdefault(request.seconds, request)
    return list(first.values())
