"""Servers that keep the shape of OpenAI's Videos API, `/v1/videos`; their dialects are data."""

from collections.abc import Mapping

from bot.catalogue import Model
from bot.dialects import Dialect
from bot.gateways.base import Checked, GatewayHttp, Missing, NoAnswer, Submitted
from bot.inventory import Inventory
from bot.models import VideoRequest
from bot.wording import SentPicture


class VideosGateway:
    """One server and the key it is asked with, which may be empty."""

    tells_balance = False
    tells_models = True

    def __init__(
        self,
        http: GatewayHttp,
        *,
        name: str,
        base_url: str,
        key: str,
        dialect: Dialect,
        charged: bool | None = None,
    ) -> None:
        self.name = name
        self.aborts = dialect.aborts

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
        raise NotImplementedError

    async def check(self, model: Model, task_id: str) -> Checked:
        """Look at a task; see `Gateway.check`."""
        raise NotImplementedError

    async def abort(self, model: Model, task_id: str) -> bool:
        """End a task; see `Gateway.abort`."""
        raise NotImplementedError

    def headers_for(self, url: str) -> Mapping[str, str]:
        """Say what a link needs; see `Gateway.headers_for`."""
        raise NotImplementedError

    def named_task(self, callback: bytes) -> str:
        """Read a callback; see `Gateway.named_task`."""
        raise NotImplementedError

    async def balance(self) -> NoAnswer:
        """No dialect tells one."""
        return NoAnswer(detail="this server tells no balance")

    async def inventory(self) -> Inventory | Missing | NoAnswer:
        """Read the list of models; see `Gateway.inventory`."""
        raise NotImplementedError
