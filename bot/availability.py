"""What can be ordered now: the catalogue, less what has no key, is retired or is out."""

import datetime as dt
from collections.abc import Collection, Sequence

from bot import messages, pacing, server_messages, text
from bot.catalogue import Catalogue, Model
from bot.errors import BadOrder, ModelUnavailable
from bot.models import (
    AUTO,
    Account,
    Clock,
    Failure,
    FailureKind,
    NewJob,
    Outage,
    OutageScope,
    PauseScope,
    Quote,
    VideoRequest,
)
from bot.pauses import Pauses
from bot.track import Track
from bot.wishes import Order
from storage.outages import OutageStore


class Availability:
    """Answers from memory; outages are stored as they come and go.

    `gateways` are the names with a key, `unprobed` those of them that offer no free way to ask
    whether a stopped key works again: there one order every 15 minutes is the question.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        store: OutageStore,
        *,
        gateways: Collection[str],
        unprobed: Collection[str],
        default_model: str | None,
        pauses: Pauses,
        track: Track,
        clock: Clock,
    ) -> None:
        self.catalogue = catalogue
        self._store = store
        self._pauses = pauses
        self._track = track
        self._gateways = frozenset(gateways)
        self._unprobed = frozenset(unprobed)
        self._default = default_model
        self._clock = clock
        self._outages: dict[tuple[OutageScope, str], Outage] = {}
        self._probed_at: dict[str, dt.datetime] = {}

    async def load(self) -> None:
        """Read the outages of earlier runs, and how the last jobs of each model ended.

        Each stopped key may be tried again at once: the operator may have restarted to change it.
        """
        self._outages = {(outage.scope, outage.subject): outage for outage in await self._store.all()}
        await self._track.load(self.catalogue.models.keys())

    # Asking

    @property
    def gateways(self) -> tuple[str, ...]:
        """The names of the gateways with a key."""
        return tuple(sorted(self._gateways))

    def orderable(self) -> list[Model]:
        """Return the models that take orders now, in the order of the catalogue."""
        return [model for model in self.catalogue.models.values() if self.why_not(model) is None]

    def listed(self) -> list[Model]:
        """Return every model worth knowing of, orderable or not: the sandbox's only while it is open."""
        return [model for model in self.catalogue.models.values() if not self._is_closed_sandbox(model)]

    @property
    def account(self) -> Account:
        """Whose money orders count now."""
        is_play = all(self.catalogue.gateways[name].play for name in self._gateways)
        return Account.SANDBOX if is_play else Account.REAL

    def is_auto(self, model_id: str | None) -> bool:
        """Whether the bot is to choose, since that was named or is the default."""
        return ((model_id or "").strip() or self._default) == AUTO

    def choose(self, model_id: str | None) -> Model:
        """Return the named model, or the default one: where none is set, the first that nobody doubts.

        Raises:
            ModelUnavailable: why not, and what works instead.
        """
        wanted = (model_id or "").strip() or self._default
        if wanted is None:
            models = self.orderable()
            if not models:
                raise ModelUnavailable("No model can be ordered now; `/video models` says why.")
            return next((model for model in models if model.status == "available"), models[0])
        model = self.catalogue.models.get(wanted)
        if model is None or self._is_closed_sandbox(model):
            raise ModelUnavailable(f"There is no model {text.code(wanted, 60)} here. {self._instead()}")
        reason = self.why_not(model)
        if reason is not None:
            raise ModelUnavailable(f"{model.model_id} cannot be ordered: {reason} {self._instead()}")
        return model

    def check_options(self, models: Sequence[Model], order: Order) -> None:
        """Refuse an option that the model has not; of several, one that none has.

        Raises:
            BadOrder: naming the models that have it.
        """
        given = {
            "keep_watermark": order.keep_watermark,
            "sound": order.sound,
            "negative_prompt": order.negative_prompt,
            "seed": order.seed,
            "style": order.style,
            "end_frame": order.end_picture,
        }
        for name, value in given.items():
            if value is not None and models and not any(model.has_option(name) for model in models):
                what = models[0].model_id if len(models) == 1 else "What `auto` may take"
                able = [one.model_id for one in self.orderable() if one.has_option(name)]
                instead = f"These have: {', '.join(able[:5])}." if able else "No model here has it."
                raise BadOrder(f"{what} has no {messages.OPTIONS[name]}. {instead} Nothing was charged.")

    def quote_again(self, new: NewJob) -> Quote:
        """Return what an order that was kept costs now.

        Raises:
            UserError: it can no longer be ordered, or not as it was.
        """
        model = self.choose(new.request.model)
        self.check_unchanged(new.request, new.gateway)
        return model.quote(new.request)

    def check_unchanged(self, request: VideoRequest, gateway: str) -> None:
        """Refuse an order that was kept, if the catalogue says otherwise of its model since.

        Raises:
            BadOrder: naming what has changed, as far as there is a word for it.
        """
        model = self.catalogue.models[request.model]
        now_is = model.request(mode=request.mode, prompt=request.prompt, **request.choices)
        if now_is != request or model.gateway != gateway:
            raise BadOrder(f"{model.model_id} has changed since. Order again; nothing was charged.")

    def why_not(self, model: Model) -> str | None:
        """Return why a model takes no orders now, or None if it does.

        Members read it: what is wrong with a key is the operator's affair.
        """
        if model.status == "retired":
            return f"it is retired. {model.note}".strip()
        if model.price is None:
            return "the operator has to set its price."
        if model.gateway not in self._gateways:
            return "its gateway is not set up here."
        pause = self._pauses.of_model(model.model_id, model.gateway)
        if pause is not None:
            return server_messages.model_paused(pause)
        out = self.model_outage(model.model_id)
        if out is not None:
            words = text.code(out.detail or out.failure.replace("_", " "))
            since, until = messages.ago(out.since), messages.ago(out.since + pacing.MODEL_OUT)
            return f"its gateway said {since} that it is gone ({words}). It may be back {until}."
        stopped = self.key_outage(model.gateway)
        if stopped is not None and not self._may_be_probed_by_an_order(model.gateway):
            return f"its gateway took no order {messages.ago(stopped.since)}; the operator has to act."
        breaker = self._track.breaker(model.model_id)
        if breaker.until is not None and breaker.is_open(self._clock()):
            return messages.left_alone(breaker.faults, breaker.until)
        return None

    def check_known(self, scope: PauseScope, name: str) -> None:
        """Make sure that there is such a gateway or model, to be paused.

        Raises:
            BadOrder: there is none.
        """
        models = [model.model_id for model in self.listed()]
        known = models if scope is PauseScope.MODEL else self.gateways
        if name not in known:
            raise BadOrder(f"There is no {scope} {text.code(name, 60)}. There are: {', '.join(known[:10])}.")

    def key_outage(self, gateway: str) -> Outage | None:
        """Return why a gateway's key is stopped, or None."""
        return self._outages.get((OutageScope.KEY, gateway))

    def model_outage(self, model_id: str) -> Outage | None:
        """Return why a model is out, or None; it is tried again after a day."""
        outage = self._outages.get((OutageScope.MODEL, model_id))
        return outage if outage is not None and self._is_within(outage.since, pacing.MODEL_OUT) else None

    def outages(self) -> list[Outage]:
        """Return everything that is out now, the models that failed too often among it."""
        stored = [
            outage
            for outage in self._outages.values()
            if outage.scope is OutageScope.KEY or self.model_outage(outage.subject) is not None
        ]
        named = {(outage.scope, outage.subject) for outage in stored}
        failing = [self._failing(model_id) for model_id in self.catalogue.models]
        return [*stored, *(one for one in failing if one and (one.scope, one.subject) not in named)]

    # Changing

    async def stop_key(self, gateway: str, failure: Failure) -> None:
        """Take no more orders for a gateway that refused the key."""
        self._probed_at[gateway] = self._clock()
        await self._record(OutageScope.KEY, gateway, failure)

    async def take_out(self, model_id: str, failure: Failure) -> None:
        """Take no more orders for a model that the gateway no longer has."""
        await self._record(OutageScope.MODEL, model_id, failure)

    async def works(self, model: Model) -> None:
        """The gateway accepted an order: neither its key nor the model is out."""
        await self.reopen(OutageScope.KEY, model.gateway)
        await self.reopen(OutageScope.MODEL, model.model_id)

    async def reopen(self, scope: OutageScope, subject: str) -> bool:
        """Forget an outage; return whether there was one."""
        if self._outages.pop((scope, subject), None) is None:
            return False
        await self._store.clear(scope, subject)
        return True

    async def reopen_named(self, name: str, *, server_id: int, reason: str, by: int) -> Outage:
        """Forget the outage that the operator named, as `outage_name` does or by its subject alone.

        Raises:
            BadOrder: nothing of that name is out.
        """
        wanted = name.strip()
        for outage in self.outages():
            if wanted in {outage.subject, outage_name(outage)}:
                await self._store.reopen(outage, server_id=server_id, reason=reason, by=by, now=self._clock())
                self._outages.pop((outage.scope, outage.subject), None)
                if outage.scope is OutageScope.MODEL:
                    await self._track.forget(outage.subject)
                return outage
        out = ", ".join(map(outage_name, self.outages())) or "nothing"
        raise BadOrder(f"Nothing named {text.code(name, 60)} is out. What is out now: {out}.")

    def claim_probe(self, gateway: str) -> bool:
        """Whether it is time to try a stopped key again; whoever is told yes must try."""
        if not self._is_probe_due(gateway):
            return False
        self._probed_at[gateway] = self._clock()
        return True

    def _may_be_probed_by_an_order(self, gateway: str) -> bool:
        return gateway in self._unprobed and self._is_probe_due(gateway)

    def _is_probe_due(self, gateway: str) -> bool:
        last = self._probed_at.get(gateway)
        return last is None or not self._is_within(last, pacing.PROBE_EVERY)

    def _is_within(self, since: dt.datetime, span: dt.timedelta) -> bool:
        """Whether so much time has not passed yet; a moment that is still to come is of a wrong clock."""
        return dt.timedelta() <= self._clock() - since < span

    def _failing(self, model_id: str) -> Outage | None:
        """Return a model that is left alone since its last orders failed as what is out."""
        breaker = self._track.breaker(model_id)
        if breaker.is_closed or breaker.last_at is None:
            return None
        return Outage(
            scope=OutageScope.MODEL,
            subject=model_id,
            failure=FailureKind.GATEWAY_DOWN,
            detail=messages.faults_in_a_row(breaker.faults),
            since=breaker.last_at,
        )

    async def _record(self, scope: OutageScope, subject: str, failure: Failure) -> None:
        earlier = self._outages.get((scope, subject))
        outage = Outage(
            scope=scope,
            subject=subject,
            failure=failure.kind,
            detail=failure.detail,
            since=earlier.since if earlier and scope is OutageScope.KEY else self._clock(),
        )
        self._outages[scope, subject] = outage
        await self._store.record(outage)

    def _is_closed_sandbox(self, model: Model) -> bool:
        return model.account is Account.SANDBOX and model.gateway not in self._gateways

    def _instead(self) -> str:
        models = [model.model_id for model in self.orderable()]
        return f"Instead: {', '.join(models[:5])}." if models else "Nothing else can be ordered now."


def outage_name(outage: Outage) -> str:
    """Name what is out: "model apixo/sora-2", "key pixazo"."""
    return f"{outage.scope} {outage.subject}"
