"""The composition root: opens, wires, starts and closes everything; nothing else constructs."""

import asyncio
import contextlib
import datetime as dt
import logging
import secrets
from collections.abc import AsyncGenerator, Coroutine, MutableMapping
from typing import Any

from bot import media, pacing
from bot.access import Access
from bot.acts import Acts
from bot.alerts import Alerts
from bot.approvals import ApprovalService
from bot.availability import Availability
from bot.card_desk import CardDesk
from bot.catalogue import Catalogue
from bot.charts import Charts
from bot.client import SoraBot
from bot.config import Settings
from bot.deletions import Deletions
from bot.delivery import Delivery
from bot.errors import SettingsError
from bot.funds import FundAdmin
from bot.gate import Gate
from bot.gateways.apixo import ApixoGateway
from bot.gateways.base import Gateway, GatewayHttp
from bot.gateways.download import ClipFetcher
from bot.gateways.pixazo import PixazoGateway
from bot.jobs import JobService
from bot.lane import Lane
from bot.limits import LimitAdmin
from bot.models import Account, Clock, Sleep, utc_now
from bot.notices import Notices
from bot.oversight import Oversight
from bot.pauses import Pauses
from bot.quotas import Policy
from bot.quotes import QuoteService
from bot.reconcile import Reconciler
from bot.request_desk import RequestDesk
from bot.sandbox.server import SandboxServer
from bot.reports import ReportService
from bot.servers import ServerAdmin
from bot.shrink import ClipShrinker
from bot.spending import SpendingService
from bot.submitter import Submitter
from bot.turnstile import Turnstile
from bot.watcher import Watcher
from bot.worker import JobWorker
from cogs.admin import AdminCog
from cogs.admin_jobs import OVERSIGHT_BUTTONS
from cogs.animate import AnimateCog
from cogs.approvals import APPROVAL_BUTTONS
from cogs.buttons import BUTTONS
from cogs.deletions import DeletionCog
from cogs.mentions import MentionCog
from cogs.money_pages import MONEY_BUTTONS
from cogs.quota import QuotaCog
from cogs.quotes import QUOTE_BUTTONS
from cogs.video import VideoCog
from storage.access import AccessStore
from storage.alerts import AlertStore
from storage.approvals import ApprovalStore
from storage.audit import ActStore
from storage.balances import BalanceStore
from storage.database import Database
from storage.deletions import DeletionStore
from storage.folder import DataFolder
from storage.grants import GrantStore
from storage.job_search import JobSearch
from storage.jobs import JobStore
from storage.limits import LimitStore
from storage.orders import OrderStore
from storage.outages import MarkStore, OutageStore
from storage.pauses import PauseStore
from storage.purses import PurseStore
from storage.reports import ReportStore
from storage.servers import ServerStore

log = logging.getLogger(__name__)

SWEEP_SECONDS = 6 * 3600.0
GOODBYE_SECONDS = 3.0


class App:
    """A wired bot. `failed` is set when a part that should run for ever has ended."""

    def __init__(
        self,
        *,
        bot: SoraBot,
        jobs: JobService,
        requests: RequestDesk,
        gate: Gate,
        alerts: Alerts,
        worker: JobWorker,
        delivery: Delivery,
        desk: CardDesk,
        acts: Acts,
        reconciler: Reconciler,
        sweep: Coroutine[Any, Any, None],
        folder: DataFolder,
    ) -> None:
        self.bot = bot
        self.jobs = jobs
        self.worker = worker
        self.delivery = delivery
        self.desk = desk
        self.folder = folder
        self.failed = asyncio.Event()
        self._acts = acts
        self._parts: dict[str, Coroutine[Any, Any, None]] = {
            "worker": worker.run(),
            "gate": gate.run(),
            "alerts": alerts.run(),
            "cards": desk.run(),
            "requests": requests.run(),
            "balances": reconciler.run(),
            "sweep": sweep,
        }
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Resume and take work; the bot must be logged in."""
        for name, part in self._parts.items():
            task = asyncio.create_task(part, name=name)
            task.add_done_callback(self._watch)
            self._tasks.append(task)

    async def stop(self) -> None:
        """Take no more work, let what must not break end, and close Discord. May be called again."""
        self.jobs.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for part in self._parts.values():
            part.close()  # if it never ran
        await self.worker.stop()
        await self._acts.close()
        if not self.bot.is_closed():
            await self._leave_discord()

    async def _leave_discord(self) -> None:
        """Close the connection politely; Discord may take its time to answer, and has not long."""
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self.bot.close()
        except TimeoutError:
            log.warning("Discord does not answer the goodbye")
            await self.bot.http.close()

    def _watch(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.critical("%s ended unexpectedly", task.get_name(), exc_info=task.exception())
            self.failed.set()


@contextlib.asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    clock: Clock = utc_now,
    sleep: Sleep = asyncio.sleep,
    picture_origins: MutableMapping[str, str] | None = None,
    render_seconds: float = 20.0,
) -> AsyncGenerator[App]:
    """Open everything that a bot needs, in order, and close it in reverse.

    `picture_origins` and `render_seconds` are for the sandbox: see `SandboxServer`.

    Raises:
        StartupError: with one line that says why, and its exit code.
    """
    catalogue = Catalogue.load(settings.models_file)
    if settings.default_model is not None and settings.default_model not in catalogue.models:
        raise SettingsError(
            f"DEFAULT_MODEL: there is no {settings.default_model!r}; there are {', '.join(catalogue.models)}."
        )
    policy = Policy(
        default_member_micros=settings.default_user_monthly_limit,
        caps=settings.caps,
        zone=settings.timezone,
    )
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(DataFolder(settings.data_dir))
        database = Database(folder.database)
        stack.push_async_callback(database.close)
        await database.migrate()
        http = await stack.enter_async_context(GatewayHttp(clock=clock))
        gateways = _gateways(settings, http)
        trusted = set(settings.trusted_hosts)
        if not gateways:
            sandbox = await stack.enter_async_context(
                SandboxServer(
                    folder=folder.sandbox,
                    clock=clock,
                    api_key=(key := secrets.token_urlsafe(16)),
                    picture_origins=picture_origins if picture_origins is not None else {},
                    render_seconds=render_seconds,
                )
            )
            gateways = _sandbox_gateways(sandbox, http, key)
            trusted.add(sandbox.host)
        fetcher = await stack.enter_async_context(ClipFetcher(trusted_hosts=trusted))
        store = JobStore(database, pictures=folder.pictures, clips=folder.clips)
        await _check_open_jobs(store, catalogue)
        pauses = Pauses(PauseStore(database), clock=clock)
        await pauses.load()
        availability = Availability(
            catalogue,
            OutageStore(database),
            gateways=gateways,
            unprobed=[name for name, gateway in gateways.items() if not gateway.tells_balance],
            default_model=settings.default_model,
            pauses=pauses,
            clock=clock,
        )
        await availability.load()
        bot = SoraBot(marks=MarkStore(database), allowed_servers=settings.allowed_servers)
        turnstile = Turnstile(
            1 / pacing.DISCORD_REQUESTS_PER_SECOND, clock=clock, sleep=sleep, name="discord"
        )
        stack.push_async_callback(turnstile.close)
        delivery = Delivery(bot, catalogue, shrinker=ClipShrinker(), turnstile=turnstile, clock=clock)
        acts = Acts()
        desk = CardDesk(delivery, store, catalogue, acts=acts, clock=clock, sleep=sleep)
        lanes = {
            model_id: Lane(model_id, model.limits, clock=clock, sleep=sleep)
            for model_id, model in catalogue.models.items()
        }
        for lane in lanes.values():
            stack.push_async_callback(lane.close)
        gate = Gate(
            store=store,
            availability=availability,
            gateways=gateways,
            lanes=lanes,
            pictures=delivery,
            desk=desk,
            clock=clock,
            sleep=sleep,
        )
        worker = JobWorker(
            store=store,
            catalogue=catalogue,
            lanes=lanes,
            gate=gate,
            submitter=Submitter(
                store=store,
                catalogue=catalogue,
                gateways=gateways,
                lanes=lanes,
                gate=gate,
                desk=desk,
                acts=acts,
                clock=clock,
                sleep=sleep,
            ),
            watcher=Watcher(
                catalogue=catalogue,
                gateways=gateways,
                lanes=lanes,
                gate=gate,
                clock=clock,
                sleep=sleep,
            ),
            fetcher=fetcher,
            channels=delivery,
            desk=desk,
            acts=acts,
            clips=folder.clips,
            clock=clock,
            sleep=sleep,
        )
        orders = OrderStore(database, store)
        servers = ServerStore(database)
        notices = Notices(bot, turnstile=turnstile)
        alerts = Alerts(
            store=AlertStore(database),
            servers=servers,
            notices=notices,
            driver=worker,
            acts=acts,
            clock=clock,
            sleep=sleep,
        )
        access_rules = AccessStore(database)
        access = Access(store=access_rules, pauses=pauses, clock=clock)
        jobs = JobService(
            store=store,
            orders=orders,
            access=access,
            availability=availability,
            pictures=media.PictureRoom(folder.pictures),
            policy=policy,
            driver=alerts,
            clock=clock,
        )
        quotes = QuoteService(orders=orders, jobs=jobs, availability=availability, policy=policy, clock=clock)
        asked = ApprovalStore(database, orders)
        requests = RequestDesk(store=asked, orders=orders, board=notices, clock=clock, sleep=sleep)
        approvals = ApprovalService(
            store=asked,
            orders=orders,
            servers=servers,
            access=access,
            availability=availability,
            desk=requests,
            members=notices,
            policy=policy,
            driver=alerts,
            clock=clock,
        )
        reconciler = Reconciler(
            gateways=gateways if availability.account is Account.REAL else {},
            store=BalanceStore(database),
            marks=MarkStore(database),
            notices=notices,
            threshold_micros=settings.reconcile_threshold,
            low_micros=settings.low_balance,
            zone=settings.timezone,
            clock=clock,
            sleep=sleep,
        )
        limits = LimitStore(database)
        purses = PurseStore(database)
        spending = SpendingService(
            limits=limits, purses=purses, availability=availability, policy=policy, clock=clock
        )
        charts = Charts()
        stack.callback(charts.close)
        reports = ReportService(
            store=ReportStore(database),
            servers=servers,
            availability=availability,
            charts=charts,
            policy=policy,
            clock=clock,
        )
        cogs = (
            VideoCog(bot, jobs),
            AnimateCog(bot, jobs),
            MentionCog(bot, jobs),
            QuotaCog(spending, alerts, reports),
            DeletionCog(
                Deletions(
                    store=DeletionStore(database),
                    servers=servers,
                    access=access_rules,
                    notices=notices,
                    clock=clock,
                )
            ),
            AdminCog(
                availability=availability,
                reconciler=reconciler,
                servers=ServerAdmin(store=servers, policy=policy, clock=clock),
                pauses=pauses,
                access_rules=access,
                limits=LimitAdmin(store=limits, policy=policy, clock=clock),
                spending=spending,
                funds=FundAdmin(
                    purses=purses,
                    grants=GrantStore(database, store),
                    servers=servers,
                    availability=availability,
                    desk=desk,
                    policy=policy,
                    clock=clock,
                ),
                oversight=Oversight(search=JobSearch(database, store), acts=ActStore(database)),
                reports=reports,
            ),
        )
        buttons = (*BUTTONS, *QUOTE_BUTTONS, *APPROVAL_BUTTONS, *OVERSIGHT_BUTTONS, *MONEY_BUTTONS)
        bot.attach(jobs, quotes, approvals, cogs, buttons)
        app = App(
            bot=bot,
            jobs=jobs,
            requests=requests,
            gate=gate,
            alerts=alerts,
            worker=worker,
            delivery=delivery,
            desk=desk,
            acts=acts,
            reconciler=reconciler,
            sweep=_sweep(folder, store, dt.timedelta(days=settings.keep_days), clock, sleep),
            folder=folder,
        )
        stack.push_async_callback(app.stop)
        yield app


def _gateways(settings: Settings, http: GatewayHttp) -> dict[str, Gateway]:
    """Build the gateways that have a key."""
    found: dict[str, Gateway] = {}
    if settings.apixo_api_key is not None:
        found["apixo"] = ApixoGateway(
            http,
            name="apixo",
            base_url=str(settings.apixo_base_url),
            key=settings.apixo_api_key.get_secret_value(),
            route=settings.apixo_route,
        )
    if settings.pixazo_api_key is not None:
        found["pixazo"] = PixazoGateway(
            http,
            name="pixazo",
            base_url=str(settings.pixazo_base_url),
            key=settings.pixazo_api_key.get_secret_value(),
        )
    return found


def _sandbox_gateways(sandbox: SandboxServer, http: GatewayHttp, key: str) -> dict[str, Gateway]:
    """Build the same clients for the stand-ins."""
    return {
        "sandbox-apixo": ApixoGateway(
            http, name="sandbox-apixo", base_url=sandbox.apixo_base_url, key=key, route="auto"
        ),
        "sandbox-pixazo": PixazoGateway(
            http, name="sandbox-pixazo", base_url=sandbox.pixazo_base_url, key=key
        ),
    }


async def _check_open_jobs(store: JobStore, catalogue: Catalogue) -> None:
    """Refuse a catalogue that no longer knows what is being rendered."""
    unknown = {job.request.model for job in await store.unfinished()} - set(catalogue.models)
    if unknown:
        raise SettingsError(
            f"MODELS_FILE: there are open jobs of {min(unknown)}, which it no longer has. Keep the entry, "
            'with status = "retired", until they are done.'
        )


async def _sweep(folder: DataFolder, store: JobStore, keep: dt.timedelta, clock: Clock, sleep: Sleep) -> None:
    """Delete files of jobs that ended longer ago than they are kept."""
    while True:
        moment = clock() - keep
        try:
            needed = await store.files_needed(moment)
            count = await asyncio.to_thread(folder.sweep, older_than=moment, keep=needed)
            log.info("deleted %d files older than %d days", count, keep.days)
        except Exception:
            log.exception("old files could not be deleted")  # no reason to end the bot
        await sleep(SWEEP_SECONDS)
