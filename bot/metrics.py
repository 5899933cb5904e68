"""What /metrics tells: counters and histograms kept in memory, and gauges read when somebody asks."""

import asyncio
from collections.abc import Iterable, Mapping
from types import SimpleNamespace

import aiohttp
import prometheus_client
from prometheus_client import Counter, Gauge, Histogram

from bot.models import Account, Stage
from bot.money import MICROS_PER_DOLLAR

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST

_STAGE_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 180, 240, 300, 420, 600, 1200, 1800, 3600, 14400, 86400)
_DELAY_SECONDS = (0.5, 1, 1.5, 2, 3, 4, 5, 7.5, 11, 15, 20, 30, 60, 120, 300, 1800)
_WRITE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_LAG_EVERY_SECONDS = 0.5
_MESSAGE_PARTS = 2  # channels/1/messages has one part after the channel's id, channels/1/messages/2 two


class Metrics:
    """The numbers of one running bot, in a registry of its own.

    Labels are the catalogue's and this program's own words, never anybody's text, id or key.
    """

    def __init__(self) -> None:
        self._registry = registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)
        prometheus_client.GCCollector(registry=registry)
        self._jobs = Gauge("video_bot_jobs", "Open jobs.", ["stage", "model"], registry=registry)
        self._ended = Counter(
            "video_bot_jobs_ended", "Jobs that ended since the start.", ["model", "result"], registry=registry
        )
        self._stages = Histogram(
            "video_bot_stage_seconds",
            "How long ended jobs were in each stage.",
            ["stage", "model"],
            buckets=_STAGE_SECONDS,
            registry=registry,
        )
        self._delays = Histogram(
            "video_bot_detection_delay_seconds",
            "From the end that a gateway tells of a clip to the look that found it.",
            ["gateway"],
            buckets=_DELAY_SECONDS,
            registry=registry,
        )
        self._requests = Counter(
            "video_bot_gateway_requests",
            "Requests to gateways; a 429 has the outcome limited.",
            ["gateway", "request", "outcome"],
            registry=registry,
        )
        self._callbacks = Counter(
            "video_bot_callbacks", "Callbacks that came in.", ["outcome"], registry=registry
        )
        self._failing = Gauge(
            "video_bot_model_failing",
            "1 for a model that is left alone, or tried by one order, since its last ones failed.",
            ["model"],
            registry=registry,
        )
        self._held = Gauge(
            "video_bot_held_dollars", "Dollars that open jobs hold.", ["account"], registry=registry
        )
        self._settled = Gauge(
            "video_bot_settled_dollars",
            "Dollars that were ever spent on clips, less what staff gave back.",
            ["account"],
            registry=registry,
        )
        self._discord = Counter(
            "video_bot_discord_requests", "Requests to Discord.", ["kind", "status"], registry=registry
        )
        self._writes = Histogram(
            "video_bot_database_write_seconds",
            "How long writes took, from their turn to their commit.",
            buckets=_WRITE_SECONDS,
            registry=registry,
        )
        self._lag = Histogram(
            "video_bot_loop_lag_seconds",
            "How late the event loop came to what was due.",
            buckets=_LAG_SECONDS,
            registry=registry,
        )

    # What happens

    def stayed(self, stage: Stage, model: str, seconds: float) -> None:
        """A job that ended was in a stage for so long."""
        self._stages.labels(stage, model).observe(seconds)

    def ended(self, model: str, result: str) -> None:
        """A job ended: `done`, `cancelled`, or the kind of its failure."""
        self._ended.labels(model, result).inc()

    def found(self, gateway: str, delay_seconds: float) -> None:
        """A look found a clip, so long after the gateway says that it was ready."""
        self._delays.labels(gateway).observe(max(delay_seconds, 0.0))

    def asked(self, gateway: str, request: str, outcome: str) -> None:
        """A gateway was sent a request, with this outcome."""
        self._requests.labels(gateway, request, outcome).inc()

    def called_back(self, outcome: str) -> None:
        """A callback came in, with this outcome: a word of `bot/hooks.py`."""
        self._callbacks.labels(outcome).inc()

    def wrote(self, seconds: float) -> None:
        """A transaction that writes took so long."""
        self._writes.observe(seconds)

    def discord_trace(self) -> aiohttp.TraceConfig:
        """Return what counts the requests of discord.py's HTTP session."""
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._discord_answered)
        trace.on_request_exception.append(self._discord_failed)
        return trace

    async def watch_loop(self) -> None:
        """Measure, until cancelled, how late the event loop is: by its own time, which no clock sets."""
        loop = asyncio.get_running_loop()
        while True:
            due_at = loop.time() + _LAG_EVERY_SECONDS
            await asyncio.sleep(_LAG_EVERY_SECONDS)
            self._lag.observe(max(loop.time() - due_at, 0.0))

    # What is

    def jobs_are(self, counts: Mapping[tuple[Stage, str], int]) -> None:
        """Take the numbers of open jobs by stage and model, all there are."""
        self._jobs.clear()
        for (stage, model), count in counts.items():
            self._jobs.labels(stage, model).set(count)

    def failing_are(self, models: Iterable[str]) -> None:
        """Take the models that are left alone since their last orders failed."""
        self._failing.clear()
        for model in models:
            self._failing.labels(model).set(1)

    def money_is(self, sums: Mapping[Account, tuple[int, int]]) -> None:
        """Take the micro-dollars that are held and spent, by account."""
        for account, (held_micros, spent_micros) in sums.items():
            self._held.labels(account).set(held_micros / MICROS_PER_DOLLAR)
            self._settled.labels(account).set(spent_micros / MICROS_PER_DOLLAR)

    def page(self) -> bytes:
        """Return all of it, as `CONTENT_TYPE` says."""
        return prometheus_client.generate_latest(self._registry)

    async def _discord_answered(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        params: aiohttp.TraceRequestEndParams,
    ) -> None:
        self._discord.labels(discord_kind(params.method, params.url.path), params.response.status).inc()

    async def _discord_failed(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        params: aiohttp.TraceRequestExceptionParams,
    ) -> None:
        self._discord.labels(discord_kind(params.method, params.url.path), "no answer").inc()


def discord_kind(method: str, path: str) -> str:
    """Return what kind of request to Discord's API this is: the paths themselves hold ids and tokens."""
    _, _, route = path.rpartition("/channels/")
    parts = route.split("/")[1:]
    if path.endswith("/callback") or "/webhooks/" in path:
        return "answer"
    if parts[:1] != ["messages"]:
        return "other"
    match method:
        case "POST":
            return "post"
        case "PATCH" if len(parts) == _MESSAGE_PARTS:
            return "edit"
        case "GET":
            return "look"
        case _:
            return "other"
