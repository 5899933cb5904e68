"""The composition root: wires, starts and closes everything; `ground.py` opens what it stands on."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import logging
from collections.abc import AsyncGenerator, Coroutine, Mapping, MutableMapping
from typing import Any

from bot import pacing
from bot.access import Access
from bot.acts import Acts
from bot.alerts import Alerts
from bot.approvals import ApprovalService
from bot.card_desk import CardDesk
from bot.caretaker import Caretaker
from bot.charts import Charts
from bot.choosing import Chooser
from bot.client import SoraBot
from bot.clip_room import ClipRoom
from bot.composer import Composer
from bot.config import Settings
from bot.cooldown import Cooldown
from bot.deletions import Deletions
from bot.delivery import Delivery
from bot.doctor import Doctor
from bot.fallover import FallOver
from bot.forecast import Forecast
from bot.funds import FundAdmin
from bot.gate import Gate
from bot.ground import Ground, open_ground
from bot.health import Health
from bot.hooks import Hooks
from bot.jobs import JobService
from bot.lane import Lane
from bot.limits import LimitAdmin
from bot.menu import Menu
from bot.models import Account, Clock, Sleep, Ticks, ticks, utc_now
from bot.notices import Notices
from bot.oversight import Oversight
from bot.picture_room import PictureRoom
from bot.quotes import QuoteService
from bot.readiness import Readiness
from bot.reconcile import Reconciler
from bot.reports import ReportService
from bot.request_desk import RequestDesk
from bot.scrape import Scrape
from bot.servers import ServerAdmin
from bot.shrink import ClipShrinker
from bot.spending import SpendingService
from bot.stopper import Stopper
from bot.story import Stories
from bot.submitter import Submitter
from bot.turnstile import Turnstile
from bot.uncertain import UncertainService
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
from storage.checkup import CheckupStore
from storage.deletions import DeletionStore
from storage.fallover import FallOverStore
from storage.folder import DataFolder
from storage.gauges import GaugeStore
from storage.grants import GrantStore
from storage.hooks import HookStore
from storage.job_search import JobSearch
from storage.jobs import JobStore
from storage.limits import LimitStore
from storage.notes import NoteStore
from storage.orders import OrderStore
from storage.outages import MarkStore
from storage.purses import PurseStore
from storage.reports import ReportStore
from storage.servers import ServerStore
from storage.stops import StopStore
from storage.uncertain import UncertainStore

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
        worker: JobWorker,
        delivery: Delivery,
        desk: CardDesk,
        acts: Acts,
        folder: DataFolder,
        hooks: Hooks,
        gauges: GaugeStore,
        numbers: Scrape,
        health: Health,
        parts: Mapping[str, Coroutine[Any, Any, None]],
    ) -> None:
        self.bot = bot
        self.jobs = jobs
        self.worker = worker
        self.delivery = delivery
        self.desk = desk
        self.folder = folder
        self.hooks = hooks
        self.failed = asyncio.Event()
        self._acts = acts
        self._parts = parts
        self._tasks: list[asyncio.Task[None]] = []
        self.health = health
        self.numbers = numbers
        self.readiness = Readiness(store=gauges, session=bot, health=health, idle_parts=self._idle_parts)

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

    def _idle_parts(self) -> set[str]:
        """Return the names of parts that do not run: all of them before the start and after the stop."""
        return set(self._parts) - {task.get_name() for task in self._tasks if not task.done()}

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
    ticks: Ticks = ticks,
    picture_origins: MutableMapping[str, str] | None = None,
    render_seconds: float = 20.0,
    only_play: bool = False,
) -> AsyncGenerator[App]:
    """Open everything that a bot needs, in order, and close it in reverse.

    `picture_origins` and `render_seconds` are for the sandbox: see `SandboxServer`. With `only_play` no
    gateway that costs money is opened, whatever keys there are.

    Raises:
        StartupError: with one line that says why, and its exit code.
    """
    async with contextlib.AsyncExitStack() as stack:
        ground = await stack.enter_async_context(
            open_ground(
                settings,
                clock=clock,
                sleep=sleep,
                picture_origins=picture_origins,
                render_seconds=render_seconds,
                only_play=only_play,
            )
        )
        app = _wire(ground, stack, ticks)
        stack.push_async_callback(app.stop)
        yield app


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Way:
    """What takes jobs along, and what it needs of Discord."""

    turnstile: Turnstile
    delivery: Delivery
    acts: Acts
    desk: CardDesk
    gate: Gate
    watcher: Watcher
    worker: JobWorker
    stopper: Stopper
    chooser: Chooser


def _wire(ground: Ground, stack: contextlib.AsyncExitStack, ticks: Ticks) -> App:
    """Build the bot upon what was opened: the way of a job first, then what people can do."""
    clock, sleep, database = ground.clock, ground.sleep, ground.database
    bot = SoraBot(
        marks=MarkStore(database),
        allowed_servers=ground.settings.allowed_servers,
        acting=Cooldown(clock=clock),
        choosing=Cooldown(clock=clock, seconds_each=0.2),  # as fast as one types
        trace=ground.metrics.discord_trace(),
    )
    way = _wire_way(ground, bot, stack)
    notices = Notices(bot, turnstile=way.turnstile)
    servers = ServerStore(database)
    alerts = Alerts(
        store=AlertStore(database),
        notes=NoteStore(database),
        servers=servers,
        notices=notices,
        driver=way.worker,
        acts=way.acts,
        clock=clock,
        sleep=sleep,
    )
    reconciler = Reconciler(
        gateways=ground.gateways if ground.availability.account is Account.REAL else {},
        store=BalanceStore(database),
        marks=MarkStore(database),
        notices=notices,
        threshold_micros=ground.settings.reconcile_threshold,
        low_micros=ground.settings.low_balance,
        zone=ground.settings.timezone,
        clock=clock,
        sleep=sleep,
    )
    orders = OrderStore(database, ground.store)
    access = Access(store=AccessStore(database), pauses=ground.pauses, clock=clock)
    composer = Composer(
        availability=ground.availability,
        chooser=way.chooser,
        orders=orders,
        pictures=PictureRoom(ground.folder.pictures),
        policy=ground.policy,
        health=ground.health,
        clock=clock,
    )
    jobs = JobService(
        store=ground.store,
        orders=orders,
        access=access,
        composer=composer,
        policy=ground.policy,
        driver=alerts,
        stopper=way.stopper,
        health=ground.health,
        clock=clock,
    )
    menu = Menu(availability=ground.availability, track=ground.track)
    quotes = QuoteService(
        orders=orders,
        jobs=jobs,
        availability=ground.availability,
        chooser=way.chooser,
        composer=composer,
        policy=ground.policy,
        clock=clock,
    )
    asked = ApprovalStore(database, orders)
    requests = RequestDesk(
        store=asked, orders=orders, servers=servers, board=notices, clock=clock, sleep=sleep
    )
    approvals = ApprovalService(
        store=asked,
        orders=orders,
        servers=servers,
        access=access,
        availability=ground.availability,
        desk=requests,
        members=notices,
        policy=ground.policy,
        driver=alerts,
        health=ground.health,
        clock=clock,
    )
    caretaker = Caretaker(
        health=ground.health,
        database=database,
        folder=ground.folder.path,
        bell=notices,
        clock=clock,
        sleep=sleep,
        ticks=ticks,
    )
    charts = Charts()
    stack.callback(charts.close)
    reports = ReportService(
        store=ReportStore(database),
        servers=servers,
        availability=ground.availability,
        charts=charts,
        policy=ground.policy,
        clock=clock,
    )
    spending = SpendingService(
        limits=LimitStore(database),
        purses=PurseStore(database),
        availability=ground.availability,
        policy=ground.policy,
        clock=clock,
    )
    deletions = Deletions(
        store=DeletionStore(database),
        access=AccessStore(database),
        pauses=ground.pauses,
        alerts=alerts,
        clock=clock,
    )
    uncertain = UncertainService(
        store=UncertainStore(database, ground.store),
        jobs=ground.store,
        looks=way.watcher,
        driver=way.worker,
        tell=alerts.wake,
        clock=clock,
        sleep=sleep,
    )
    hooks = Hooks(
        callbacks=ground.callbacks,
        store=HookStore(database, ground.store),
        gateways=ground.gateways,
        looks=way.watcher,
        uncertain=uncertain,
        counts=ground.metrics,
        clock=clock,
        sleep=sleep,
    )
    admin = _wire_admin(
        ground,
        way,
        access=access,
        reconciler=reconciler,
        reports=reports,
        spending=spending,
        uncertain=uncertain,
    )
    cogs = (
        VideoCog(jobs, menu),
        AnimateCog(bot, jobs, way.chooser),
        MentionCog(bot, jobs, telling=Cooldown(clock=clock, burst=1, seconds_each=30)),
        QuotaCog(spending, alerts, reports),
        DeletionCog(deletions),
        admin,
    )
    buttons = (*BUTTONS, *QUOTE_BUTTONS, *APPROVAL_BUTTONS, *OVERSIGHT_BUTTONS, *MONEY_BUTTONS)
    bot.attach(jobs, quotes, approvals, cogs, buttons, menu=menu)
    keep = dt.timedelta(days=ground.settings.keep_days)
    gauges = GaugeStore(database)
    return App(
        bot=bot,
        jobs=jobs,
        worker=way.worker,
        delivery=way.delivery,
        desk=way.desk,
        acts=way.acts,
        folder=ground.folder,
        hooks=hooks,
        gauges=gauges,
        numbers=Scrape(ground.metrics, gauges, track=ground.track, clock=clock),
        health=ground.health,
        parts={
            "worker": way.worker.run(),
            "gate": way.gate.run(),
            "cards": way.desk.run(),
            "health": caretaker.look(),
            "storage": caretaker.probe(),
            "alerts": alerts.run(),
            "uncertain": uncertain.run(),
            "callbacks": hooks.run(),
            "requests": requests.run(),
            "balances": reconciler.run(),
            "loop": ground.metrics.watch_loop(),
            "sweep": _sweep(ground.folder, ground.store, asked, keep=keep, clock=clock, sleep=sleep),
        },
    )


def _wire_way(ground: Ground, bot: SoraBot, stack: contextlib.AsyncExitStack) -> _Way:
    """Build what takes a job from its card to its clip."""
    clock, sleep, store, catalogue = ground.clock, ground.sleep, ground.store, ground.catalogue
    turnstile = Turnstile(1 / pacing.DISCORD_REQUESTS_PER_SECOND, clock=clock, sleep=sleep, name="discord")
    stack.push_async_callback(turnstile.close)
    lanes = {
        model_id: Lane(model_id, model.limits, clock=clock, sleep=sleep)
        for model_id, model in catalogue.models.items()
    }
    for lane in lanes.values():
        stack.push_async_callback(lane.close)
    forecast = Forecast(lanes=lanes, times=ground.times, clock=clock)
    delivery = Delivery(
        bot,
        catalogue,
        shrinker=ClipShrinker(),
        forecast=forecast,
        aborting={gateway.name for gateway in ground.gateways.values() if gateway.aborts},
        turnstile=turnstile,
        clock=clock,
    )
    chooser = Chooser(
        availability=ground.availability,
        track=ground.track,
        times=ground.times,
        forecast=forecast,
        servers=ServerStore(ground.database),
    )
    fall_over = FallOver(
        jobs=store,
        store=FallOverStore(ground.database, OrderStore(ground.database, store)),
        chooser=chooser,
        catalogue=catalogue,
        policy=ground.policy,
        clock=clock,
    )
    acts = Acts()
    desk = CardDesk(delivery, store, forecast, acts=acts, clock=clock, sleep=sleep)
    gate = Gate(
        store=store,
        availability=ground.availability,
        gateways=ground.gateways,
        lanes=lanes,
        pictures=delivery,
        desk=desk,
        track=ground.track,
        fall_over=fall_over,
        clock=clock,
        sleep=sleep,
    )
    clips = ClipRoom(ground.folder.clips, fetcher=ground.fetcher, gateways=ground.gateways)
    submitter = Submitter(
        store=store,
        catalogue=catalogue,
        gateways=ground.gateways,
        lanes=lanes,
        gate=gate,
        fall_over=fall_over,
        callbacks=ground.callbacks,
        clips=clips,
        desk=desk,
        acts=acts,
        clock=clock,
        sleep=sleep,
    )
    stories = Stories(JobSearch(ground.database, store), ground.metrics)
    watcher = Watcher(
        catalogue=catalogue,
        gateways=ground.gateways,
        lanes=lanes,
        gate=gate,
        times=ground.times,
        delays=stories,
        bars=forecast,
        clock=clock,
        sleep=sleep,
    )
    stops = StopStore(ground.database, store)
    worker = JobWorker(
        store=store,
        catalogue=catalogue,
        lanes=lanes,
        gate=gate,
        fall_over=fall_over,
        submitter=submitter,
        watcher=watcher,
        stops=stops,
        clips=clips,
        channels=delivery,
        desk=desk,
        acts=acts,
        stories=stories,
        track=ground.track,
        health=ground.health,
        clock=clock,
        sleep=sleep,
    )
    stopper = Stopper(
        store=stops,
        jobs=store,
        catalogue=catalogue,
        gateways=ground.gateways,
        lanes=lanes,
        driver=worker,
        clock=clock,
    )
    return _Way(
        turnstile=turnstile,
        delivery=delivery,
        acts=acts,
        desk=desk,
        gate=gate,
        watcher=watcher,
        worker=worker,
        stopper=stopper,
        chooser=chooser,
    )


def _wire_admin(
    ground: Ground,
    way: _Way,
    *,
    access: Access,
    reconciler: Reconciler,
    reports: ReportService,
    spending: SpendingService,
    uncertain: UncertainService,
) -> AdminCog:
    """Build what staff and the operator can do."""
    database, policy, clock = ground.database, ground.policy, ground.clock
    servers = ServerStore(database)
    return AdminCog(
        availability=ground.availability,
        reconciler=reconciler,
        servers=ServerAdmin(store=servers, policy=policy, clock=clock),
        pauses=ground.pauses,
        access_rules=access,
        limits=LimitAdmin(store=LimitStore(database), policy=policy, clock=clock),
        spending=spending,
        funds=FundAdmin(
            purses=PurseStore(database),
            grants=GrantStore(database, ground.store),
            servers=servers,
            availability=ground.availability,
            desk=way.desk,
            policy=policy,
            clock=clock,
        ),
        oversight=Oversight(search=JobSearch(database, ground.store), acts=ActStore(database)),
        uncertain_jobs=uncertain,
        asked_doctor=Doctor(
            store=CheckupStore(database, ground.store),
            folder=ground.folder,
            availability=ground.availability,
            pauses=ground.pauses,
            gateways=ground.gateways,
            times=ground.times,
            health=ground.health,
            low_micros=ground.settings.low_balance,
            clock=clock,
        ),
        reports=reports,
    )


async def _sweep(
    folder: DataFolder,
    store: JobStore,
    asked: ApprovalStore,
    *,
    keep: dt.timedelta,
    clock: Clock,
    sleep: Sleep,
) -> None:
    """Delete files of jobs that ended longer ago than they are kept, and orders that became none."""
    while True:
        moment = clock() - keep
        try:
            await asked.forget(before=moment)
            needed = await store.files_needed(moment)
            count = await asyncio.to_thread(folder.sweep, older_than=moment, keep=needed)
            log.info("deleted %d files older than %d days", count, keep.days)
        except Exception:
            log.exception("old files could not be deleted")  # no reason to end the bot
        await sleep(SWEEP_SECONDS)
