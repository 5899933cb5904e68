"""Prices that wait for a yes, what other models would do, and what an order leaves."""

import dataclasses

from bot import choice_messages, offers, quote_messages
from bot.availability import Availability
from bot.choosing import Chooser
from bot.composer import Composer
from bot.errors import UserError
from bot.ids import new_id
from bot.jobs import JobService
from bot.models import Clock, Draft, DraftStage, Job, Purse
from bot.quotas import Policy, Standing
from storage.orders import OrderStore


class QuoteService:
    """Confirms and drops what was quoted; everything is checked again when somebody presses."""

    def __init__(
        self,
        *,
        orders: OrderStore,
        jobs: JobService,
        availability: Availability,
        chooser: Chooser,
        composer: Composer,
        policy: Policy,
        clock: Clock,
    ) -> None:
        self._orders = orders
        self._jobs = jobs
        self._availability = availability
        self._chooser = chooser
        self._composer = composer
        self._policy = policy
        self._clock = clock

    async def confirm(
        self,
        draft_id: str,
        *,
        server_id: int,
        user_id: int,
        role_ids: frozenset[int],
        top_role_id: int | None,
    ) -> Job | Draft:
        """Order what was quoted, for its member; done before, it gives the same job.

        Another draft comes back where the price has changed: it has to be confirmed in its turn.

        Raises:
            OverLimit: a limit refuses it now; the quote stays, to be confirmed when there is room.
            UserError: it is somebody else's, over, or cannot be ordered now; nothing is held.
        """
        draft = await self._draft(draft_id, server_id=server_id, user_id=user_id)
        if draft.job_id is not None:
            return await self._jobs.get(draft.job_id, server_id=server_id, user_id=user_id)
        await self._jobs.admit(dataclasses.replace(draft.new, role_ids=role_ids))
        outcome = await self._orders.confirm(
            draft_id,
            quote=self._availability.quote_again(draft.new),
            new_id=new_id(),
            role_ids=role_ids,
            top_role_id=top_role_id,
            policy=self._policy,
            now=self._clock(),
        )
        return self._jobs.taken(outcome)

    async def drop(self, draft_id: str, *, server_id: int, user_id: int) -> None:
        """Let go of a quote, for its member; nothing was held.

        Raises:
            UserError: it is somebody else's, was confirmed, or staff decide on it.
        """
        await self._draft(draft_id, server_id=server_id, user_id=user_id)
        draft = await self._orders.drop(draft_id)
        if draft.stage in {DraftStage.ORDERED, DraftStage.ASKED}:
            raise UserError(quote_messages.OVER[draft.stage])

    async def take(self, draft_id: str, value: str, *, server_id: int, user_id: int) -> Draft:
        """Quote another of the models side by side in the place of a quote, for its member.

        It is a draft of its own, to be confirmed in its turn. Nothing changes where it is what was quoted.

        Raises:
            UserError: it is somebody else's, over, or not on offer now.
        """
        draft = await self._draft(draft_id, server_id=server_id, user_id=user_id)
        if draft.stage is not DraftStage.QUOTED:
            raise UserError(quote_messages.OVER[draft.stage])
        choices = {choice_messages.value(choice): choice for choice in await self._chooser.beside(draft.new)}
        if value not in choices:
            raise UserError(choice_messages.NOT_OFFERED)
        offer = choices[value].offer
        if offer.request == draft.new.request:
            return draft
        new = await self._composer.with_offer(draft.new, offer)
        quoted = await self._orders.exchange(draft_id, new, now=self._clock())
        if quoted.stage is not DraftStage.QUOTED:
            raise UserError(quote_messages.OVER[quoted.stage])
        return quoted

    async def beside(self, draft: Draft) -> tuple[offers.Ways | None, list[offers.Choice]]:
        """Return what the order in a draft costs in other ways, and beside other models, best first.

        Of a model that is gone there are no other ways.
        """
        wish = draft.new.request
        choices = await self._chooser.beside(draft.new)
        model = self._availability.catalogue.models.get(wish.model)
        if model is None:
            return None, choices
        return offers.ways(wish, model, [choice.offer for choice in choices]), choices

    async def left(self, job: Job, role_ids: frozenset[int]) -> Standing | Purse | None:
        """Return the budget that a job was charged to as it stands now, if one says what is left."""
        return await self._orders.left(job, role_ids=role_ids, policy=self._policy, now=self._clock())

    async def _draft(self, draft_id: str, *, server_id: int, user_id: int) -> Draft:
        draft = await self._orders.draft(draft_id)
        if draft is None or draft.new.server_id != server_id:
            raise UserError(quote_messages.NO_SUCH_QUOTE)
        if draft.new.user_id != user_id:
            raise UserError(quote_messages.NOT_YOURS)
        return draft
