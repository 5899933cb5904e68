"""What everything stands on: the folder, the database, the catalogue and the gateways, opened in order."""

import contextlib
import dataclasses
import secrets
from collections.abc import AsyncGenerator, Mapping, MutableMapping

from bot.availability import Availability
from bot.callbacks import Callbacks
from bot.catalogue import Catalogue
from bot.config import Settings
from bot.errors import SettingsError
from bot.gateways.base import Gateway
from bot.gateways.build import (
    key_limits,
    play_gateways,
    read_catalogue,
    real_gateways,
    trusted_hosts,
)
from bot.gateways.download import ClipFetcher
from bot.gateways.http import GatewayHttp
from bot.gateways.metered import MeteredGateway
from bot.health import Health
from bot.metrics import Metrics
from bot.models import Clock, Sleep
from bot.pauses import Pauses
from bot.quotas import Policy
from bot.sandbox.server import SandboxServer
from bot.timing import MOST_TIMES, TimeTable
from bot.track import Track
from storage.database import Database
from storage.folder import DataFolder
from storage.hooks import HookStore
from storage.jobs import JobStore
from storage.outages import OutageStore
from storage.pauses import PauseStore
from storage.times import TimeStore
from storage.track import TrackStore


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ground:
    """What was opened. Everything else is built on it, and closed before it."""

    settings: Settings
    catalogue: Catalogue
    policy: Policy
    folder: DataFolder
    database: Database
    store: JobStore
    gateways: Mapping[str, Gateway]
    callbacks: Callbacks
    fetcher: ClipFetcher
    pauses: Pauses
    availability: Availability
    track: Track
    times: TimeTable
    health: Health
    metrics: Metrics
    clock: Clock
    sleep: Sleep


@contextlib.asynccontextmanager
async def open_ground(
    settings: Settings,
    *,
    clock: Clock,
    sleep: Sleep,
    picture_origins: MutableMapping[str, str] | None,
    render_seconds: float,
    only_play: bool,
) -> AsyncGenerator[Ground]:
    """Open it all, and close it in reverse. Without a gateway that costs money, or with `only_play`, the
    gateways are those that cost play money: the sandbox's.

    Raises:
        StartupError: with one line that says why, and its exit code.
    """
    catalogue = read_catalogue(settings)
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(DataFolder(settings.data_dir))
        health = Health(clock=clock)
        metrics = Metrics()
        database = Database(folder.database, on_trouble=health.notice, on_write=metrics.wrote)
        stack.push_async_callback(database.close)
        await database.migrate()
        http = await stack.enter_async_context(GatewayHttp(clock=clock))
        gateways = {} if only_play else real_gateways(settings, catalogue, http)
        trusted = {*settings.trusted_hosts, *trusted_hosts(catalogue)}
        if not gateways:
            sandbox = await stack.enter_async_context(
                SandboxServer(
                    folder=folder.sandbox,
                    clock=clock,
                    api_key=(key := secrets.token_urlsafe(16)),
                    origins=picture_origins if picture_origins is not None else {},
                    render_seconds=render_seconds,
                    sleep=sleep,
                )
            )
            served = {
                spec.name: sandbox.base_url(spec.kind, spec.dialect)
                for spec in catalogue.gateways.values()
                if spec.play and spec.base_url is None
            }
            gateways = play_gateways(settings, catalogue, http, served, key)
            trusted.add(sandbox.host)
        gateways = {name: MeteredGateway(gateway, metrics) for name, gateway in gateways.items()}
        fetcher = await stack.enter_async_context(ClipFetcher(trusted_hosts=trusted))
        store = JobStore(database, pictures=folder.pictures, clips=folder.clips)
        await _check_open_jobs(store, catalogue)
        public_url = None if settings.public_url is None else str(settings.public_url)
        callbacks = Callbacks(public_url, HookStore(database, store))
        await callbacks.load()
        pauses = Pauses(PauseStore(database), clock=clock)
        await pauses.load()
        track = Track(TrackStore(database), clock=clock)
        availability = Availability(
            catalogue,
            OutageStore(database),
            gateways=gateways,
            unprobed=[name for name, gateway in gateways.items() if not gateway.tells_balance],
            default_model=settings.default_model,
            pauses=pauses,
            track=track,
            clock=clock,
        )
        await availability.load()
        times = await known_times(database, catalogue)
        yield Ground(
            settings=settings,
            catalogue=catalogue,
            policy=Policy(
                default_member_micros=settings.default_user_monthly_limit,
                caps=(*settings.caps, *key_limits(catalogue)),
                zone=settings.timezone,
            ),
            folder=folder,
            database=database,
            store=store,
            gateways=gateways,
            callbacks=callbacks,
            fetcher=fetcher,
            pauses=pauses,
            availability=availability,
            track=track,
            metrics=metrics,
            times=times,
            health=health,
            clock=clock,
            sleep=sleep,
        )


async def known_times(database: Database, catalogue: Catalogue) -> TimeTable:
    """Read how long tasks took."""
    return TimeTable(catalogue, await TimeStore(database).recent(most=MOST_TIMES))


async def _check_open_jobs(store: JobStore, catalogue: Catalogue) -> None:
    """Refuse a catalogue that no longer knows what is being rendered."""
    unknown = {job.request.model for job in await store.unfinished()} - set(catalogue.models)
    if unknown:
        raise SettingsError(
            f"MODELS_FILE: there are open jobs of {min(unknown)}, which it no longer has. Keep the entry, "
            'with status = "retired", until they are done.'
        )
