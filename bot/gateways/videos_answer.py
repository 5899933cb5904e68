"""What servers of the shape of OpenAI's Videos API answer, read with all the liberties they take.

Facts: OpenAI, Videos: https://developers.openai.com/api/docs/guides/video-generation; OpenRouter, Video
Generation API: https://openrouter.ai/docs/api_reference/videos; New API, Sora: create a video:
https://docs.newapi.pro/zh/docs/api/ai-model/videos/sora/create-video; vLLM-Omni, Videos API:
https://docs.vllm.ai/projects/vllm-omni/en/latest/serving/videos_api/
"""

import base64
import math
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Annotated, Any, cast

import pydantic

from bot import media
from bot.gateways.reading import TaskId, Text, instant, links, micros_of_dollars

# Where links to the clip have been seen, each a path of keys into the answer; a dialect's own come before.
_LINKS = (
    "url",
    "video_url",
    "output.url",
    "outputs.video_url",
    "metadata.url",
    "unsigned_urls",
    "urls",
    "data.0.url",
)
_CLIP = "data.0.b64_json"
_MOST_ERRORS = 3  # of a list of them
_DEEPEST_ERROR = 4


class State(Enum):
    """What a status means."""

    RUNNING = auto()
    DONE = auto()
    FAILED = auto()
    UNKNOWN = auto()


_WORDS = {
    State.RUNNING: (
        "queued pending submitted not_start preparing created starting unknown "
        "in_queue in_progress processing running generating"
    ),
    State.DONE: "completed complete success succeeded finished done",
    State.FAILED: "failed failure fail error cancelled canceled expired deleted",
}
_STATES = {word: state for state, words in _WORDS.items() for word in words.split()}


class Problem(pydantic.BaseModel):
    """An error, whatever it was wrapped in; empty where there is none."""

    code: Text = ""
    message: Text = ""


def _error(value: object) -> object:
    return _problem(value, 0)


def _problem(value: object, depth: int) -> object:
    """Read an error: nothing, a string, an object with message or code, one within another, or a list."""
    if not value or depth > _DEEPEST_ERROR:
        return {}
    if isinstance(value, list):
        first = cast("list[object]", value)[:_MOST_ERRORS]
        several = [Problem.model_validate(_problem(one, depth + 1)) for one in first]
        return {"message": "; ".join(one.message for one in several if one.message)}
    if not isinstance(value, dict):
        return {"message": value}
    fields = cast("Mapping[str, object]", value)
    inner = fields.get("error") or fields.get("detail")
    if isinstance(inner, dict | list):
        return _problem(cast("object", inner), depth + 1)
    message = next((fields[name] for name in ("message", "msg", "reason", "type") if fields.get(name)), inner)
    place = fields.get("loc")  # of FastAPI: which field is wrong
    if isinstance(place, list) and isinstance(message, str):
        named = [str(one) for one in cast("list[object]", place) if isinstance(one, str | int)]
        message = f"{'.'.join(named)}: {message}"
    return {"code": fields.get("code"), "message": message}


_Problem = Annotated[Problem, pydantic.BeforeValidator(_error)]


def _object(value: object) -> object:
    return cast("object", value) if isinstance(value, dict) else {}


class _Inner(pydantic.BaseModel):
    id: TaskId = ""
    task_id: TaskId = pydantic.Field("", alias="taskId")


class Answer(pydantic.BaseModel):
    """One answer: to an order, a look or a DELETE."""

    id: TaskId = ""
    task_id: TaskId = ""
    request_id: TaskId = ""
    data: Annotated[_Inner, pydantic.BeforeValidator(_object)] = _Inner.model_construct()
    status: Text = ""
    deleted: Any = None
    error: _Problem = Problem()
    detail: _Problem = Problem()
    message: Text = ""
    code: Text = ""
    progress: Any = None
    created_at: Any = None
    created: Any = None
    completed_at: Any = None
    body: Any = None

    @classmethod
    def read(cls, body: Mapping[str, Any] | None) -> "Answer":
        """Read a body that may hold anything."""
        fields = body or {}
        return cls.model_validate({**fields, "body": fields})

    @property
    def ids(self) -> Sequence[str]:
        """Every name it gives the task, the one to ask for first."""
        named = (self.id, self.task_id, self.request_id, self.data.task_id)
        return [name for name in named if name]

    @property
    def state(self) -> State:
        """What its status means; one that no page names is unknown."""
        return _STATES.get(self.status.strip().lower(), State.UNKNOWN)

    @property
    def problem(self) -> Problem:
        """What went wrong."""
        found = (one for one in (self.error, self.detail) if one.message or one.code)
        return next(found, Problem(code=self.code, message=self.message))

    @property
    def share(self) -> float | None:
        """How much of the task is done, from 0 to 1: told as 45, "45%" or 0.45."""
        told = self.progress
        if isinstance(told, bool) or not isinstance(told, int | float | str):
            return None
        try:
            share = float(told.strip().removesuffix("%")) if isinstance(told, str) else float(told)
        except (ValueError, OverflowError):
            return None
        is_share = "." in told and "%" not in told if isinstance(told, str) else isinstance(told, float)
        if not is_share or share > 1:
            share /= 100
        return None if math.isnan(share) else min(max(share, 0.0), 1.0)

    @property
    def took_seconds(self) -> float | None:
        """How long the task took, by the server's own stopwatch."""
        began, ended = instant(self.created_at or self.created), instant(self.completed_at)
        return ended - began if began is not None and ended is not None and ended > began else None

    def links(self, first: Sequence[str]) -> tuple[str, ...]:
        """Collect the links to the clip, from these places first."""
        return links(*(self._at(path) for path in dict.fromkeys((*first, *_LINKS))))

    def clip(self) -> bytes | None:
        """Return the clip itself, where the answer holds it."""
        encoded = self._at(_CLIP)
        if not isinstance(encoded, str):
            return None
        try:
            clip = base64.b64decode(encoded.rpartition(",")[2])
        except ValueError:
            return None
        return clip if media.is_mp4(clip[:12]) else None

    def cost_micros(self, path: str | None) -> int | None:
        """Return what it says the task took, in micro-dollars; None where it does not say."""
        micros = micros_of_dollars(self._at(path)) if path is not None else None
        return micros if micros is not None and micros >= 0 else None

    def _at(self, path: str) -> object:
        value: object = self.body
        for key in path.split("."):
            if isinstance(value, dict):
                value = cast("dict[str, object]", value).get(key)
            elif isinstance(value, list) and value and key == "0":
                value = cast("list[object]", value)[0]
            else:
                return None
        return value
