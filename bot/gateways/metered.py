"""A gateway whose requests are counted, by what came of them."""

from collections.abc import Mapping

from bot.catalogue import Model
from bot.gateways.base import (
    Accepted,
    Checked,
    Failed,
    Finished,
    Gateway,
    Lost,
    Missing,
    NoAnswer,
    NotAccepted,
    Refused,
    Running,
    Submitted,
)
from bot.inventory import Inventory
from bot.metrics import Metrics
from bot.models import FailureKind, VideoRequest
from bot.wording import SentPicture

_WORDS: Mapping[type, str] = {
    Accepted: "accepted",
    NotAccepted: "not accepted",
    Refused: "refused",
    Lost: "lost",
    Running: "running",
    Finished: "finished",
    Failed: "failed",
    Missing: "missing",
    NoAnswer: "no answer",
    int: "told",
    Inventory: "told",
}
_LIMITED = "limited"  # the gateway answered 429


class MeteredGateway:
    """Passes everything on to the gateway, and counts it."""

    def __init__(self, gateway: Gateway, metrics: Metrics) -> None:
        self._gateway = gateway
        self._metrics = metrics
        self.name = gateway.name
        self.tells_balance = gateway.tells_balance
        self.tells_models = gateway.tells_models
        self.aborts = gateway.aborts
        self.calls_back = gateway.calls_back

    async def submit(
        self,
        model: Model,
        request: VideoRequest,
        picture: SentPicture | None,
        callback_url: str | None = None,
        *,
        end: SentPicture | None = None,
    ) -> Submitted:
        """Order a clip; see `Gateway.submit`."""
        answer = await self._gateway.submit(model, request, picture, callback_url, end=end)
        self._count("submit", answer)
        return answer

    def named_task(self, callback: bytes) -> str:
        """Read a callback; see `Gateway.named_task`."""
        return self._gateway.named_task(callback)

    async def check(self, model: Model, task_id: str) -> Checked:
        """Look at a task; see `Gateway.check`."""
        seen = await self._gateway.check(model, task_id)
        self._count("check", seen)
        return seen

    async def abort(self, model: Model, task_id: str) -> bool:
        """End a task; see `Gateway.abort`."""
        ended = await self._gateway.abort(model, task_id)
        self._metrics.asked(self.name, "abort", "ended" if ended else "not ended")
        return ended

    def headers_for(self, url: str) -> Mapping[str, str]:
        """Say what a link needs; see `Gateway.headers_for`."""
        return self._gateway.headers_for(url)

    async def balance(self) -> int | NoAnswer:
        """Read the balance; see `Gateway.balance`."""
        told = await self._gateway.balance()
        self._count("balance", told)
        return told

    async def inventory(self) -> Inventory | Missing | NoAnswer:
        """Read the list of models; see `Gateway.inventory`."""
        told = await self._gateway.inventory()
        self._count("inventory", told)
        return told

    def _count(self, request: str, answer: Submitted | Checked | int | Inventory) -> None:
        is_limited = (isinstance(answer, NoAnswer) and answer.limited) or (
            isinstance(answer, NotAccepted) and answer.failure.kind is FailureKind.RATE_LIMITED
        )
        self._metrics.asked(self.name, request, _LIMITED if is_limited else _WORDS[type(answer)])
