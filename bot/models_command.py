"""`python -m bot models`: the catalogue as a table, and what the gateways say of it."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TextIO

from bot import doctor_messages, drift, drift_messages, money, text
from bot.catalogue import Model
from bot.config import Settings
from bot.entries import GatewaySpec
from bot.findings import Finding, Level
from bot.gateways.base import Gateway
from bot.gateways.build import address, read_catalogue, real_gateways
from bot.gateways.http import GatewayHttp
from bot.inspection import inspect
from bot.models import Clock, utc_now

ANSWER_SECONDS = 20.0

_GATEWAY_HEADS = ("GATEWAY", "KIND", "ADDRESS", "KEY", "MODELS")
_MODEL_HEADS = ("MODEL", "GATEWAY", "STATUS", "MODES", "LENGTHS", "PRICE", "NOTED", "SOURCE")
_UNITS = {"second": "a second", "video": "a clip", "gpu-second": "a GPU second"}
_MOST_CELL = 120


def write_list(settings: Settings, out: TextIO) -> None:
    """Write what the catalogue has, with the operator's file over it. Nobody is asked.

    Raises:
        SettingsError: one line with the file, the table and the key that is wrong.
    """
    catalogue = read_catalogue(settings)
    gateways = [
        (
            spec.name,
            f"{spec.kind} ({spec.dialect})" if spec.dialect else spec.kind,
            address(settings, spec) if spec.base_url else "the sandbox",
            _key(settings, spec),
            str(len(catalogue.of_gateway(spec.name))),
        )
        for spec in catalogue.gateways.values()
    ]
    _table(out, _GATEWAY_HEADS, gateways)
    out.write("\n")
    _table(out, _MODEL_HEADS, map(_row, catalogue.models.values()))


async def check(
    settings: Settings, out: TextIO, *, clock: Clock = utc_now, answer_seconds: float = ANSWER_SECONDS
) -> bool:
    """Ask every gateway that costs money and is set up; write what differs, and return whether nothing does.

    Raises:
        SettingsError: one line with the file, the table and the key that is wrong.
    """
    catalogue = read_catalogue(settings)
    async with GatewayHttp(clock=clock) as http:
        gateways = real_gateways(settings, catalogue, http)
        asked = (_asked(one, catalogue.of_gateway(name), answer_seconds) for name, one in gateways.items())
        answers = await asyncio.gather(*asked)
    found = [finding for answer in answers for finding in answer]
    mine = [model for model in catalogue.models.values() if model.gateway in gateways]
    today = clock().date()
    found += [drift_messages.old(model, today) for model in drift.old(mine, today)]
    found += drift_messages.priceless(drift.priceless(mine))
    if not gateways:
        found.append(drift_messages.NOBODY_TO_ASK)
    out.write(
        "".join(f"{line}\n" for line in [*map(doctor_messages.line, found), drift_messages.summary(found)])
    )
    return all(finding.level is Level.OK for finding in found)


async def _asked(gateway: Gateway, models: Sequence[Model], seconds: float) -> list[Finding]:
    key, drifted = await inspect(gateway, models, low_micros=0, seconds=seconds)
    return [key, *drifted]


def _key(settings: Settings, spec: GatewaySpec) -> str:
    if not spec.key_env:
        return "play money" if spec.play else "none needed"
    try:
        is_set = settings.key(spec.key_env) is not None
    except ValueError as error:
        return f"{spec.key_env} {error}"
    return f"{spec.key_env} is set" if is_set else f"{spec.key_env} is not set"


def _row(model: Model) -> tuple[str, ...]:
    modes = (mode.removesuffix("-to-video") for mode in model.modes)
    return (
        model.model_id,
        model.gateway,
        model.status,
        ", ".join(modes),
        f"{_lengths(model.seconds)} s",
        _price(model),
        str(model.priced_on),
        model.source,
    )


def _lengths(seconds: Sequence[int]) -> str:
    """Write lengths: those that follow one another as a span."""
    spans: list[list[int]] = []
    for one in sorted(seconds):
        if spans and one == spans[-1][-1] + 1:
            spans[-1].append(one)
        else:
            spans.append([one])
    return ", ".join(f"{span[0]}-{span[-1]}" if len(span) > 1 else f"{span[0]}" for span in spans)


def _price(model: Model) -> str:
    if model.price is None:
        return "price unknown"
    amounts = sorted({row.micros for row in model.price.rows})
    if not amounts[-1]:
        return "free"
    span = " to ".join(map(money.dollars, dict.fromkeys((amounts[0], amounts[-1]))))
    about = "about " if model.price.estimate else ""
    return f"{about}{span} {_UNITS[model.price.unit]}"


def _table(out: TextIO, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write columns as wide as their widest cell; the last one is left ragged."""
    lines = [heads, *([text.one_line(cell, _MOST_CELL) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        out.write("  ".join(cells).rstrip() + "\n")
