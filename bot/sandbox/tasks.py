"""The sandbox's tasks: what was asked, where each stands, and one file a task in a folder."""

import dataclasses
import datetime as dt
import logging
import shutil
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import pydantic

from bot.models import VideoRequest
from bot.sandbox.triggers import Trigger, triggers_in

log = logging.getLogger(__name__)

MOST_PICTURES = 2  # what a clip begins with, and what it ends with
KEPT_FOR = dt.timedelta(days=15)
"""How long links live, by "APIXO Docs, Sora 2" (https://apixo.ai/docs/models/video/sora-2)."""


class State(StrEnum):
    """Where a task stands, before a dialect puts it into its own words."""

    PENDING = "pending"  # accepted, no renderer is free yet
    PROCESSING = "processing"  # being rendered
    SUCCESS = "success"
    FAILED = "failed"


class Fault(StrEnum):
    """Why a task failed, in APIXO's words."""

    CONTENT_VIOLATION = "CONTENT_VIOLATION"
    INVALID_IMAGE_URL = "INVALID_IMAGE_URL"
    UNSUPPORTED_FORMAT = "UNSUPPORTED_FORMAT"
    IMAGE_TOO_LARGE = "IMAGE_TOO_LARGE"
    GENERATION_FAILED = "GENERATION_FAILED"
    PROCESSING_TIMEOUT = "PROCESSING_TIMEOUT"


_FAULT_OF = {
    Trigger.MODERATION: Fault.CONTENT_VIOLATION,
    Trigger.PICTURE: Fault.INVALID_IMAGE_URL,
    Trigger.RENDER: Fault.GENERATION_FAILED,
    Trigger.ERROR: Fault.PROCESSING_TIMEOUT,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """One accepted order.

    It is over at `ended_at`, or at `due_at` where that is later: a clip is rendered faster than
    it is to seem. `picture_urls` are the addresses of its pictures, empty where the picture itself came with
    the order. What else it has is its order's.
    """

    task_id: str
    gateway: str
    request: VideoRequest
    picture_urls: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    length_seconds: float | None = None
    shape_by_picture: bool = False
    price_micros: int
    created_at: dt.datetime
    due_at: dt.datetime
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    fault: Fault | None = None
    callback_url: str = ""
    called: bool = False  # or nobody is to be

    @property
    def triggers(self) -> frozenset[Trigger]:
        """The failures its prompt asks for."""
        return triggers_in(self.request.prompt)

    @property
    def asked_fault(self) -> Fault | None:
        """What it is to fail with, where its prompt says so."""
        return next((fault for word, fault in _FAULT_OF.items() if word in self.triggers), None)

    @property
    def has_clip(self) -> bool:
        """Whether there is a clip to render."""
        return not self.triggers & {*_FAULT_OF, Trigger.EMPTY, Trigger.FILE}

    def completed_at(self, now: dt.datetime) -> dt.datetime | None:
        """When it was over, or None while it is not."""
        if self.ended_at is None or now < self.due_at:
            return None
        return max(self.ended_at, self.due_at)

    def state(self, now: dt.datetime) -> State:
        """Where it stands at this time."""
        if self.completed_at(now) is None:
            return State.PENDING if self.started_at is None else State.PROCESSING
        return State.SUCCESS if self.fault is None else State.FAILED

    def progress(self, now: dt.datetime) -> float:
        """How much of it is done, from 0 to 1, as far as can be said."""
        if self.completed_at(now) is not None or self.started_at is None:
            return float(self.ended_at is not None and self.fault is None)
        whole = (self.due_at - self.started_at).total_seconds()
        return min(0.99, (now - self.started_at).total_seconds() / whole) if whole > 0 else 0.99

    def cost_micros(self, now: dt.datetime) -> int:
        """What it takes from the balance.

        Only of Pixazo's ERROR is it documented that nothing is charged (Pixazo, Sora 2 Pro API:
        https://gateway.pixazo.ai/sora-video/v1); every other failure keeps the money here.
        """
        given_back = self.gateway == "pixazo" and self.fault is Fault.PROCESSING_TIMEOUT
        return 0 if given_back and self.state(now) is State.FAILED else self.price_micros


_TASK = pydantic.TypeAdapter(Task)


class TaskFolder:
    """Tasks, pictures and clips on disk. A file appears whole or not at all, so a kill loses nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def clip(self, task_id: str) -> Path:
        """Where the clip of a task lies."""
        return self._folder / f"{task_id}.mp4"

    def picture(self, task_id: str, number: int) -> Path:
        """Where a picture of a task lies until the task is over."""
        return self._folder / f"{task_id}.{number}.picture"

    def load(self) -> dict[str, Task]:
        """Clear away what a kill left half made and read every task, oldest first.

        A file that cannot be read is left alone and logged.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for partial in self._folder.glob("*.part"):
            if partial.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
            else:
                partial.unlink()
        tasks: list[Task] = []
        for path in self._folder.glob("*.json"):
            try:
                tasks.append(_TASK.validate_json(path.read_bytes()))
            except (OSError, ValueError):
                log.warning("Sandbox task %s cannot be read and is left out", path, exc_info=True)
        return {task.task_id: task for task in sorted(tasks, key=lambda task: task.created_at)}

    def save(self, task: Task, pictures: Sequence[bytes] = ()) -> None:
        """Write a task, after the pictures that came with it; an empty one did not."""
        for number, picture in enumerate(pictures):
            if picture:
                self.write(self.picture(task.task_id, number), picture)
        self.write(self._json(task.task_id), _TASK.dump_json(task, indent=2))

    def write(self, path: Path, content: bytes) -> None:
        """Put a file in place in one step."""
        partial = path.with_name(f"{path.name}.part")
        partial.write_bytes(content)
        partial.replace(path)

    def remove(self, task_id: str) -> None:
        """Forget a task and its files."""
        self.remove_pictures(task_id)
        for path in (self._json(task_id), self.clip(task_id)):
            path.unlink(missing_ok=True)

    def remove_pictures(self, task_id: str) -> None:
        """Forget the pictures of a task."""
        for number in range(MOST_PICTURES):
            self.picture(task_id, number).unlink(missing_ok=True)

    def _json(self, task_id: str) -> Path:
        return self._folder / f"{task_id}.json"
