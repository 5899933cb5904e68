"""Reads single values that a gateway sent, whatever they are: each becomes what it should be, or nothing."""

import datetime as dt
import decimal
from decimal import Decimal
from typing import Annotated, cast

import pydantic

from bot.money import MICROS_PER_DOLLAR

_MOST_ID = 500
_MOST_DIGITS = 9
_MOST_LINK = 4096
_MOST_LINKS = 20
_MOST_DOLLARS = 1_000_000_000
_MILLISECONDS_FROM, _MILLISECONDS_TO = 10**12, 10**13  # the years 2001 to 2286
_MOST_AMOUNT = 40


def took_by_milliseconds(began: object, ended: object) -> float | None:
    """Read how long a task took from two Unix times in milliseconds; None where they are none."""
    if not isinstance(began, int) or not isinstance(ended, int) or not _MILLISECONDS_FROM <= began < ended:
        return None
    return (ended - began) / 1000 if ended < _MILLISECONDS_TO else None


def took_by_dates(began: object, ended: object) -> float | None:
    """Read how long a task took from two dates of ISO 8601; None where they are none."""
    if not isinstance(began, str) or not isinstance(ended, str):
        return None
    try:
        seconds = (dt.datetime.fromisoformat(ended) - dt.datetime.fromisoformat(began)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return seconds if seconds > 0 else None


def instant(value: object) -> float | None:
    """Read a moment as Unix seconds: told in seconds, in milliseconds or as a date of ISO 8601.

    A date without an offset is taken for UTC, since servers are seldom in the time zone of this machine.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        if not 0 < value < _MILLISECONDS_TO:
            return None
        return value / 1000 if value >= _MILLISECONDS_FROM else float(value)
    if not isinstance(value, str):
        return None
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def amount(value: object) -> Decimal | None:
    """Read a number that is finite, told as one or as text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = Decimal(str(value)[:_MOST_AMOUNT])
    except decimal.DecimalException:
        return None
    return number if number.is_finite() else None


def micros_of_dollars(value: object) -> int | None:
    """Read dollars, to the nearest micro-dollar: doubles are finer for all amounts believed here."""
    dollars = amount(value)
    if dollars is None or dollars.copy_abs() > _MOST_DOLLARS:
        return None
    return int((dollars * MICROS_PER_DOLLAR).to_integral_value())


def _text(value: object) -> str:
    """Read what a gateway says of itself: mostly a string, sometimes an object around one."""
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        value = next((fields[name] for name in ("message", "error", "detail") if fields.get(name)), None)
    return str(value) if isinstance(value, str | int | float) else ""


def _id(value: object) -> str:
    """Read a task's id, which is opaque; empty where it is none that can be stored and asked for."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    task_id = str(value).strip()
    is_route = task_id in {".", ".."}  # which no quoting keeps from naming another one
    return task_id if task_id.isprintable() and len(task_id) <= _MOST_ID and not is_route else ""


def _integer(value: object) -> int | None:
    """Read a status code; gateways send 200 and "200"."""
    if isinstance(value, str) and len(value) <= _MOST_DIGITS and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) else None


Text = Annotated[str, pydantic.BeforeValidator(_text)]
TaskId = Annotated[str, pydantic.BeforeValidator(_id)]
Code = Annotated[int | None, pydantic.BeforeValidator(_integer)]


def links(*places: object) -> tuple[str, ...]:
    """Collect the web addresses among these values and lists of values, in order and each once."""
    found: list[object] = []
    for place in places:
        found += cast("list[object]", place) if isinstance(place, list) else [place]
    addresses = (link.strip() for link in found if isinstance(link, str))
    good = (
        link
        for link in addresses
        if link.lower().startswith(("https://", "http://")) and link.isprintable() and len(link) <= _MOST_LINK
    )
    return tuple(dict.fromkeys(good))[:_MOST_LINKS]
