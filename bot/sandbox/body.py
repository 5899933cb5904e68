"""Reads a request's JSON body strictly and says in words which field is wrong."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, cast

import pydantic
from pydantic_core import ErrorDetails
from yarl import URL

from bot.models import Mode

AnyBody = TypeVar("AnyBody", bound=pydantic.BaseModel)


class BadBody(Exception):
    """The body is not what the page asks for; the message names the field."""


class Strict(pydantic.BaseModel):
    """A JSON object with exactly these fields, of exactly these types."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _no_nulls(cls, data: Any) -> Any:
        # An optional field may be left out; the pages' types know no null.
        if isinstance(data, dict):
            for key, value in cast("dict[str, Any]", data).items():
                if value is None:
                    raise ValueError(f"{key} must not be null")
        return cast("Any", data)


def _sayable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must not hold half of a surrogate pair") from error
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def is_web_address(text: str) -> bool:
    """Whether this is an http or https URL with a host."""
    try:
        url = URL(text)
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.host)


def _web_address(text: str) -> str:
    if not is_web_address(text):
        raise ValueError("must be an http or https URL")
    return text


def _whole(value: Any) -> Any:
    # Left alone, Literal takes 10.0 for 10, which in Python are equal.
    if type(value) is not int:
        raise ValueError("must be an integer")
    return value


Whole = pydantic.BeforeValidator(_whole)
Prompt = Annotated[str, pydantic.AfterValidator(_sayable)]
WebAddress = Annotated[str, pydantic.AfterValidator(_web_address)]


def read_body(kind: type[AnyBody], body: bytes) -> AnyBody:
    """Read a body of this kind.

    Raises:
        BadBody: it is no JSON object, or a field is missing, unknown or wrong.
    """
    return check(kind, json_table(body))


def json_table(body: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BadBody: it is none.
    """
    try:
        table = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadBody("The request body is not valid JSON") from error
    if not isinstance(table, dict):
        raise BadBody("The request body is not a JSON object")
    return cast("dict[str, Any]", table)


def check(
    kind: type[AnyBody], table: Mapping[str, Any], *, within: str = "", of_text: bool = False
) -> AnyBody:
    """Check the fields of a table, `within` another one. `of_text` reads numbers and truths out of texts, as
    forms have them.

    Raises:
        BadBody: a field is missing, unknown or wrong.
    """
    try:
        return kind.model_validate(table, strict=False if of_text else None)
    except pydantic.ValidationError as error:
        raise BadBody(_sentence(error.errors(include_url=False)[0], within)) from error


def _sentence(error: ErrorDetails, within: str) -> str:
    # pydantic puts the chosen mode into the path of a field; callers know no such level.
    parts = (*((within,) if within else ()), *error["loc"])
    name = ".".join(str(part) for part in parts if part not in set(Mode))
    match error["type"]:
        case "missing":
            return f"Missing required field: {name}"
        case "union_tag_not_found":
            return f"Missing required field: {name}.mode"
        case "union_tag_invalid":
            return f"Invalid {name}.mode: must be {' or '.join(Mode)}"
        case "extra_forbidden":
            return f"Unknown field for this model and mode: {name}"
        case _:
            return f"Invalid {name or 'request'}: {error['msg'].removeprefix('Value error, ')}"
