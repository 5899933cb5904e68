"""What every gateway does and answers."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol, TypeAlias

from bot.catalogue import Model
from bot.inventory import Inventory
from bot.models import Failure, VideoRequest
from bot.wording import SentPicture

# What became of a paid submit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accepted:
    """The gateway has the task; `finished` is set where its answer brings the clip, too."""

    task_id: str
    finished: "Finished | None" = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class NotAccepted:
    """The gateway provably took nothing, and may take it later.

    `after_seconds` is the gateway's own Retry-After. `counts` marks refusals that are tried only a
    few times; the others are tried as long as a job may wait.
    """

    failure: Failure
    after_seconds: float | None = None
    counts: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refused:
    """The gateway took nothing and will not."""

    failure: Failure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lost:
    """Nobody can say whether the gateway has the task: it must not be sent again."""

    detail: str


Submitted: TypeAlias = Accepted | NotAccepted | Refused | Lost


# What a look at a task showed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Running:
    """Still rendering, or in a state this program does not know.

    `progress` is the share that is done, from 0 to 1, and `after_seconds` how long the gateway asks to be
    left alone; None where it does not say.
    """

    progress: float | None = None
    after_seconds: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """Rendered; the links lead to the clip, best first, or the answer held the whole `clip`, or neither.

    `cost_micros` is what the gateway says it took, and `took_seconds` how long, by its own stopwatch: no
    clock of another machine has a say in it. Both are None where it does not say.
    """

    urls: tuple[str, ...]
    clip: bytes | None = dataclasses.field(default=None, repr=False)
    cost_micros: int | None = None
    took_seconds: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failed:
    """The gateway's final no."""

    failure: Failure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Missing:
    """The gateway does not know the task, or says nothing of it."""

    detail: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoAnswer:
    """This look told nothing.

    `limited` says that the gateway asked for fewer requests; `failure` is set where it refused the key.
    """

    detail: str
    after_seconds: float | None = None
    limited: bool = False
    failure: Failure | None = None


Checked: TypeAlias = Running | Finished | Failed | Missing | NoAnswer


class Gateway(Protocol):
    """A service that renders, seen through one key."""

    @property
    def name(self) -> str:
        """The gateway's name in the catalogue."""
        ...

    @property
    def tells_balance(self) -> bool:
        """Whether the gateway answers for free what is left of the key's money, and so if the key works."""
        ...

    @property
    def calls_back(self) -> bool:
        """Whether the gateway posts to an address that it is given with an order."""
        ...

    @property
    def aborts(self) -> bool:
        """Whether the gateway really ends a task that is rendering when it is asked to."""
        ...

    async def submit(
        self,
        model: Model,
        request: VideoRequest,
        picture: SentPicture | None,
        callback_url: str | None = None,
        *,
        end: SentPicture | None = None,
    ) -> Submitted:
        """Order a clip, once, that begins with `picture` and ends with `end`, each as the model wants it.

        With `callback_url`, only where it `calls_back`, it is asked to post there when the task has ended.
        Never raises for anything the gateway or the network does.
        """
        ...

    def named_task(self, callback: bytes) -> str:
        """Return the id of the task that the body of a callback names; empty where it names none."""
        ...

    async def check(self, model: Model, task_id: str) -> Checked:
        """Look at a task, once, for free. Never raises for anything the gateway or network does."""
        ...

    async def abort(self, model: Model, task_id: str) -> bool:
        """End a task that is rendering; return whether it surely ended. Only where `aborts`.

        Never raises for anything the gateway or network does.
        """
        ...

    def headers_for(self, url: str) -> Mapping[str, str]:
        """Return what a clip's link has to be fetched with: nothing, but for this gateway's own routes."""
        ...

    async def balance(self) -> int | NoAnswer:
        """Ask, for free, what is left of the key's money, in micro-dollars; only where `tells_balance`.

        It may be less than nothing. Never raises for anything the gateway or network does.
        """
        ...

    @property
    def tells_models(self) -> bool:
        """Whether there may be a list of the models it has, to be asked for free."""
        ...

    async def inventory(self) -> Inventory | Missing | NoAnswer:
        """Ask, for free, which models it has; Missing where it has no such list. Only where `tells_models`.

        Never raises for anything the gateway or network does.
        """
        ...
