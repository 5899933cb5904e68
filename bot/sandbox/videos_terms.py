"""What dialects of `/v1/videos` differ in, and what each is told to put it into its own words."""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from bot.sandbox.body import Strict
from bot.sandbox.tasks import Fault, Task

Json: TypeAlias = dict[str, object]


class Refused(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, message: str, code: str | None = None, *, retry_after: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = {"Retry-After": retry_after} if retry_after else {}


FAULTS: Mapping[Fault, tuple[str, str]] = MappingProxyType(
    {
        Fault.CONTENT_VIOLATION: ("moderation_blocked", "The request was blocked by the moderation system"),
        Fault.INVALID_IMAGE_URL: ("invalid_image", "The reference image could not be fetched"),
        Fault.UNSUPPORTED_FORMAT: ("invalid_image", "The reference image is not a JPG, PNG or WebP"),
        Fault.IMAGE_TOO_LARGE: ("invalid_image", "The reference image is too large"),
        Fault.GENERATION_FAILED: ("video_generation_failed", "Video generation failed"),
        Fault.PROCESSING_TIMEOUT: ("server_error", "The server had an error while processing the request"),
    }
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """A task as somebody sees it who asks now.

    `status` and `seconds` are as OpenAI writes them, `progress` is in steps of ten. `error` is a code and a
    message. `link` leads to the clip without a key, `route` to the task with one; `has_clip` says whether the
    clip is to be had. Times are Unix seconds.
    """

    task: Task
    status: str
    progress: int
    created_at: int
    completed_at: int | None
    error: tuple[str, str] | None
    has_clip: bool
    link: str
    route: str

    @property
    def model(self) -> str:
        """The model as it was asked for."""
        return self.task.request.model.partition("/")[2]

    @property
    def size(self) -> str:
        """Its width and height."""
        return "{}x{}".format(*self.task.size) if self.task.size else ""

    @property
    def seconds(self) -> str:
        """Its length."""
        return str(self.task.request.seconds)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dialect:
    """One kind of server.

    `tell` returns a task's resource, `refuse` the body of an error and `event` that of a callback. `as_json`
    and `as_form` are the tables of fields of an order, None where the encoding is not taken. `models` are
    listed at `models_route`, by `list_models`; `is_closed` refuses all others. `not_ready` answers whoever
    wants the clip too soon, and `variant` is the one word that it may be asked for by. DELETE takes no task,
    or one that has `ended`, or any: it `forgets` that, which goes on all the same, or `aborts` it.
    """

    name: str
    tell: Callable[[Seen], Json]
    refuse: Callable[[Refused], Json]
    event: Callable[[Seen], Json] | None = None
    as_json: type[Strict] | None
    as_form: type[Strict] | None
    form_needs_file: bool = False
    picture_must_fit: bool = False
    models: tuple[str, ...]
    is_closed: bool = False
    list_models: Callable[[], Json] | None = None
    models_route: str = "/models"
    id_prefix: str
    accepted_status: int = 200
    headers: Mapping[str, str] | None = None
    otherwise_seconds: float = 4
    micros_per_second: int = 0
    not_ready: tuple[int, str]
    variant: tuple[str, str] | None = None
    delete: Literal["ended", "forgets", "aborts"] | None = None
