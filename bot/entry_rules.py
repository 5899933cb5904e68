"""The rules that hold within one entry of the catalogue: each names the key that contradicts others; pure."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from bot.entries import ModeSpec, Options, PriceRow, Request, Size
from bot.models import Mode

_ALONE = frozenset({"text", "object", "object-text"})  # forms of one picture, with no place for a second


def check_pictures(asking: Request, options: Options, *, has_pictures: bool) -> None:
    """Refuse a model that takes a picture without saying how.

    Raises:
        ValueError: beginning with the key that is wrong.
    """
    picture, end = asking.picture, options.end_frame
    if not has_pictures:
        if end is not None:
            raise ValueError("options.end_frame: belongs to image-to-video, which this model has not")
        return
    if picture is None:
        raise ValueError("request.picture: is missing; say how the picture is sent")
    if asking.content is not None:
        return
    if picture.field is None:
        raise ValueError("request.picture.field: is missing; name the field that takes the picture")
    if end is not None and end.field is None and picture.form in _ALONE:
        raise ValueError("options.end_frame.field: is missing; the first picture is in no list")


def fields(asking: Request, options: Options) -> dict[str, str]:
    """Return the fields of a request by the keys of the entry that name them, for all modes."""
    parts = {
        "request.length": asking.length,
        "request.picture": asking.picture if asking.content is None else None,
        **{f"options.{option}": getattr(options, option) for option in Options.model_fields},
    }
    named = {
        "request.prompt": asking.prompt if asking.content is None else None,
        "request.content": asking.content,
        "request.model": asking.model,
        "request.size": asking.size,
        **{f"{key}.field": part.field for key, part in parts.items() if part is not None},
    }
    return {key: field for key, field in named.items() if field is not None}


def check_fields(named: Mapping[str, str], always: Mapping[str, object], mode: Mode, spec: ModeSpec) -> None:
    """Refuse a field that would hold two things: the later one would hide the other.

    `always` is what the model is sent in every mode; a mode may say otherwise of that, and of nothing else.

    Raises:
        ValueError: beginning with the key that is wrong.
    """
    words = {"ratio": spec.ratio, "resolution": spec.resolution}
    own = {f"modes.{mode}.{key}.field": one.field for key, one in words.items() if one is not None}
    taken: dict[str, str] = {}
    for key, field in {**named, **own}.items():
        if field in taken:
            raise ValueError(f"{key}: {field!r} is named by {taken[field]} already")
        taken[field] = key
    for key, sent in (("request.send", always), (f"modes.{mode}.send", spec.send)):
        for field in sent:
            if field in taken:
                raise ValueError(f"{key}: {field!r} is named by {taken[field]} already")


def check_rows(name: str, rows: Sequence[Size | PriceRow], choices: Mapping[str, Sequence[Any]]) -> None:
    """Refuse rows of which not exactly one fits each order that can be made.

    Raises:
        ValueError: beginning with `name`, and naming an order that none or several fit.
    """
    for order in _told_apart(rows, choices):
        fitting = sum(all(getattr(row, key) in {None, value} for key, value in order.items()) for row in rows)
        if fitting != 1:
            told = ", ".join(_told(key, value) for key, value in order.items()) or "every order"
            raise ValueError(f"{name}: {'several rows fit' if fitting else 'no row fits'} {told}; one must")


def _told_apart(
    rows: Sequence[Size | PriceRow], choices: Mapping[str, Sequence[Any]]
) -> Iterator[dict[str, Any]]:
    """Give every combination of choices that some row could tell from another."""
    matter = {
        key: values for key, values in choices.items() if any(getattr(row, key) is not None for row in rows)
    }
    for combination in itertools.product(*matter.values()):
        yield dict(zip(matter, combination, strict=True))


def _told(key: str, value: object) -> str:
    match key:
        case "seconds":
            return f"{value} s"
        case "sound":
            return {True: "with sound", False: "silent", None: "no choice of sound"}[
                cast("bool | None", value)
            ]
        case _:
            return str(value or f"no {key}")
