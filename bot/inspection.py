"""Asks a gateway, for free, whether it takes the key and what it has, beside what the catalogue says."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from bot import doctor_messages, drift, drift_messages
from bot.catalogue import Model
from bot.findings import Finding, Level
from bot.gateways.base import Checked, Gateway, Missing, NoAnswer
from bot.inventory import Inventory
from bot.models import Account

_NO_TASK = "00000000-0000-4000-8000-000000000000"  # a request that no gateway has

_Told = TypeVar("_Told")


async def inspect(
    gateway: Gateway, models: Sequence[Model], *, low_micros: int, seconds: float
) -> tuple[Finding, list[Finding]]:
    """Return what is found of the key, and what of the models, which are the catalogue's of this gateway.

    No answer is waited for longer than `seconds`. A silence is told once. What costs play money agrees with
    the catalogue by design, and is not compared.
    """
    key, listed = await asyncio.gather(
        _within(seconds, _ask(gateway, models)), _within(seconds, _ask_models(gateway, models))
    )
    of_key = _of_key(gateway.name, key, low_micros=low_micros)
    match listed:
        case Missing(detail=words) if key == listed:  # no word tells its routes from its tasks
            return drift_messages.nothing_there(gateway.name, words), []
        case Missing():
            return of_key, [drift_messages.no_list(gateway.name)]
        case NoAnswer(detail=detail):
            is_told = of_key.level is Level.BAD
            return of_key, [] if is_told else [drift_messages.unreadable(gateway.name, detail)]
        case _:
            return of_key, drift.of_gateway(gateway.name, models, listed)


async def _ask(gateway: Gateway, models: Sequence[Model]) -> int | Checked | None:
    """Ask for the balance, or what became of a task that is not there; None where neither can be asked."""
    if gateway.tells_balance:
        return await gateway.balance()
    return await gateway.check(models[0], _NO_TASK) if models else None


async def _ask_models(gateway: Gateway, models: Sequence[Model]) -> Inventory | Missing | NoAnswer:
    is_play = any(model.account is Account.SANDBOX for model in models)
    if is_play or not gateway.tells_models:
        return Missing(detail="it has no such list")
    return await gateway.inventory()


async def _within(seconds: float, question: Awaitable[_Told]) -> _Told | NoAnswer:
    try:
        async with asyncio.timeout(seconds):
            return await question
    except TimeoutError:
        return NoAnswer(detail=f"no answer within {seconds:g} s")


def _of_key(name: str, told: int | Checked | None, *, low_micros: int) -> Finding:
    match told:
        case None:
            return doctor_messages.no_model(name)
        case int(micros):
            return doctor_messages.balance(name, micros, low_micros=low_micros)
        case NoAnswer(failure=None, detail=detail):
            return doctor_messages.no_answer(name, detail)
        case NoAnswer(detail=detail):
            return doctor_messages.key_refused(name, detail)
        case _:
            return doctor_messages.key_taken(name)
