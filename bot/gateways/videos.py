"""Servers that keep the shape of OpenAI's Videos API, `/v1/videos`; their dialects are data.

The pages that facts come from are named in `bot/dialects.py` and `bot/gateways/videos_answer.py`.
"""

from collections.abc import Mapping
from urllib.parse import quote

from yarl import URL

from bot import wording
from bot.catalogue import Model
from bot.dialects import Dialect
from bot.gateways import listing, verdicts
from bot.gateways.base import (
    Accepted,
    Checked,
    Failed,
    Finished,
    Missing,
    NoAnswer,
    NotAccepted,
    Refused,
    Running,
    Submitted,
)
from bot.gateways.http import MOST_CLIP_REPLY_BYTES, GatewayHttp, Reply, holds_files, json_object
from bot.gateways.line import TOO_MANY_REQUESTS, Line, rate_limited
from bot.gateways.videos_answer import Answer, State
from bot.inventory import Inventory
from bot.models import Failure, FailureKind, VideoRequest
from bot.wording import SentPicture

_BAD_REQUEST, _NOT_FOUND, _GONE, _UNAVAILABLE = 400, 404, 410, 503
_CLIENT_ERRORS = range(400, 500)
_SERVER_ERRORS = range(500, 600)


class VideosGateway:
    """One server and the key it is asked with, which may be empty.

    `charged` is False where failed tasks are known to take no money; what a task says it took counts more.
    """

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
        self.calls_back = dialect.callback is not None
        self._dialect = dialect
        self._charged = charged
        self._base_url = base_url.rstrip("/")
        self._place = URL(self._base_url)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._line = Line(
            http,
            base_url=base_url,
            key=key,
            headers=self._headers,
            most_bytes=MOST_CLIP_REPLY_BYTES,
        )

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
        body = wording.fields(model, request, picture, end)
        if callback_url is not None and self._dialect.callback is not None:
            body[self._dialect.callback] = callback_url
        as_form = self._dialect.encoding == "multipart" or holds_files(body)
        reply = await self._line.post("/videos", body, as_form=as_form)
        return self._submitted(reply, request.prompt) if isinstance(reply, Reply) else reply

    async def check(self, model: Model, task_id: str) -> Checked:  # noqa: ARG002 - one route for all models
        """Look at a task; see `Gateway.check`."""
        # Built here, never from what an answer names: the key goes to this origin alone.
        reply = await self._line.get(_route(task_id))
        return self._checked(reply, task_id) if isinstance(reply, Reply) else reply

    async def abort(self, model: Model, task_id: str) -> bool:  # noqa: ARG002 - one route for all models
        """End a task; see `Gateway.abort`."""
        if not self.aborts:
            return False
        reply = await self._line.delete(_route(task_id))
        if not isinstance(reply, Reply) or not reply.ok:
            return False
        answer = Answer.read(reply.body)
        return answer.deleted is True or answer.status.lower() in {"deleted", "cancelled", "canceled"}

    def headers_for(self, url: str) -> Mapping[str, str]:
        """Say what a link needs: the key, on this server's own routes alone; see `Gateway.headers_for`."""
        try:
            address = URL(url)
        except ValueError:
            return {}
        below = self._place.path.rstrip("/") + "/"
        is_own = _origin(address) == _origin(self._place) and address.path.startswith(below)
        return self._headers if is_own else {}

    def named_task(self, callback: bytes) -> str:
        """Read a callback, whose body is an event about a task; see `Gateway.named_task`."""
        answer = Answer.read(json_object(callback))
        task_id = answer.data.id or next(iter(answer.ids), "")
        return "" if self._line.holds_key(task_id) else task_id

    async def balance(self) -> NoAnswer:
        """No dialect tells one."""
        return NoAnswer(detail="this server tells no balance")

    async def inventory(self) -> Inventory | Missing | NoAnswer:
        """Read the list of models; see `Gateway.inventory`."""
        reply = await self._line.get_list(self._dialect.models)
        return listing.read(reply, self._line) if isinstance(reply, Reply) else reply

    def _submitted(self, reply: Reply, prompt: str) -> Submitted:
        answer = Answer.read(reply.body)
        problem = answer.problem
        words = self._line.plain(problem.message or reply.text)
        task_id = next(iter(answer.ids), "")
        has_error = bool(answer.error.message or answer.error.code)
        # An error without a status may name but the request in `request_id`.
        names_task = bool(task_id) and bool(answer.status or not has_error)
        if reply.ok and names_task and not self._line.holds_key(task_id):
            is_over = answer.state is State.DONE
            return Accepted(task_id=task_id, finished=self._finished(answer, task_id) if is_over else None)
        if reply.status == TOO_MANY_REQUESTS:
            return rate_limited(reply, words)
        if task_id and (reply.ok or answer.status):
            return self._line.lost(reply, words, self._line.plain(task_id))
        # A yes that holds nothing but an error is a no.
        status = _BAD_REQUEST if reply.ok and has_error else reply.status
        failure = verdicts.of_refusal(status, words, self._line.plain(problem.code), prompt=prompt)
        if reply.body is not None and status in _CLIENT_ERRORS:
            return Refused(failure=failure)
        is_told = bool(reply.body is not None and (problem.message or problem.code))
        if is_told and status in _SERVER_ERRORS and failure.kind is FailureKind.MODEL_GONE:
            return Refused(failure=failure)
        if is_told and status == _UNAVAILABLE:
            return NotAccepted(failure=failure, after_seconds=reply.after_seconds, counts=True)
        return self._line.lost(reply, words)

    def _checked(self, reply: Reply, task_id: str) -> Checked:
        answer = Answer.read(reply.body)
        words = self._line.plain(answer.problem.message or reply.text)
        is_gone = reply.status == _GONE
        nothing = self._line.no_task(reply, _NOT_FOUND if is_gone else reply.status, words)
        if nothing is not None:
            return nothing
        if not answer.status:
            return NoAnswer(detail=self._line.bad_answer(reply, words))
        if answer.ids and task_id not in answer.ids:
            return NoAnswer(detail="the gateway answered for another task")
        match answer.state:
            case State.DONE:
                return self._finished(answer, task_id)
            case State.FAILED:
                return Failed(failure=self._failure(answer))
            case State.UNKNOWN:
                self._line.wonder(answer.status)
            case State.RUNNING:
                pass
        return Running(progress=answer.share, after_seconds=reply.after_seconds)

    def _finished(self, answer: Answer, task_id: str) -> Finished:
        """Say where the clip is. One that came with the answer is the surest: then no link is needed."""
        clip = answer.clip()
        places = [place for place in self._dialect.results if place != "content"]
        urls = self._line.clean(answer.links(places))
        if "content" in self._dialect.results:
            urls = (f"{self._base_url}{_route(task_id)}/content", *urls)
        return Finished(
            urls=() if clip is not None else urls,
            clip=clip,
            cost_micros=answer.cost_micros(self._dialect.cost),
            took_seconds=answer.took_seconds,
        )

    def _failure(self, answer: Answer) -> Failure:
        cost, problem = answer.cost_micros(self._dialect.cost), answer.problem
        return verdicts.of_task(
            self._line.plain(problem.message or answer.status),
            self._line.plain(problem.code),
            charged=self._charged if cost is None else cost > 0,
        )


def _origin(address: URL) -> tuple[str, str, int | None]:
    return address.scheme, (address.host or "").lower(), address.port


def _route(task_id: str) -> str:
    return f"/videos/{quote(task_id, safe='')}"
