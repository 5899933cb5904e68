"""Looks at everything that may be wrong, and says of each thing what to do."""

import asyncio
import datetime as dt
import importlib.metadata
import io
import logging
import platform
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from bot import __version__, doctor_messages, drift, drift_messages, media
from bot.availability import Availability
from bot.caretaker import LEAST_FREE_BYTES
from bot.catalogue import Model
from bot.errors import StartupError, StorageTrouble
from bot.findings import Finding, Level, is_stuck
from bot.gateways.base import Gateway
from bot.health import Health
from bot.inspection import inspect
from bot.media import FfmpegFailed
from bot.models import Account, Clock, Job, PauseScope, Stage
from bot.pauses import Pauses
from bot.timing import TimeTable
from storage import checkup
from storage.backup import last_backup
from storage.checkup import CheckupStore, UsedChannels
from storage.folder import DataFolder
from storage.proof import prove_ledger

log = logging.getLogger(__name__)

USED_LATELY = dt.timedelta(days=30)
ANSWER_SECONDS = 6.0

_MOST_JOBS = 8

# Makes a picture and encodes it as clips are: it needs no file.
_TRY = ("-f", "lavfi", "-i", "color=s=64x64:d=0.1", "-c:v", "libx264", "-f", "null", "-")


class Doctor:
    """Asks, and changes nothing. All questions are asked at once, and none is waited for longer than a while.

    `file_seconds` is how long reading the whole database may take, None as long as it takes, and
    `answer_seconds` anything else.
    """

    def __init__(
        self,
        *,
        store: CheckupStore,
        folder: DataFolder,
        availability: Availability,
        pauses: Pauses,
        gateways: Mapping[str, Gateway],
        times: TimeTable,
        health: Health,
        low_micros: int,
        clock: Clock,
        file_seconds: float | None = ANSWER_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._store = store
        self._folder = folder
        self._availability = availability
        self._pauses = pauses
        self._gateways = gateways
        self._times = times
        self._health = health
        self._low_micros = low_micros
        self._clock = clock
        self._file_seconds = file_seconds
        self._answer_seconds = answer_seconds

    async def used_channels(self, server_id: int) -> UsedChannels:
        """Return where in a server the bot needs its permissions."""
        now = self._clock()
        return await self._store.channels(server_id, since=now - USED_LATELY, now=now)

    def of_clock(self, told_at: dt.datetime, *, whose: str) -> Finding:
        """Compare the clock with what another one says it is now."""
        return doctor_messages.clock((self._clock() - told_at).total_seconds(), whose=whose)

    async def of_server(self, server_id: int) -> list[Finding]:
        """Look at what staff answer for: nothing of it is another server's, or the machine's."""
        pause = self._pauses.of_server(server_id)
        found = [] if pause is None else [doctor_messages.server_paused(pause)]
        return found + await self._asked("Jobs", self._jobs(server_id))

    async def of_machine(self) -> list[Finding]:
        """Look at all that is the operator's: the machine, the gateways, and the jobs of every server."""
        asked = [
            self._asked("Jobs of all servers", self._jobs(None)),
            *(_answered(name, self._gateway(name, one), None) for name, one in self._gateways.items()),
            self._asked("The disk", _in_thread(self._room)),
            self._asked("ffmpeg", _ffmpeg()),
            self._asked("The last backup", _in_thread(self._backup)),
            self._read("The database file", self._file),
            self._read("The ledger", self._proof),
            self._asked("The versions", _in_thread(self._versions)),
        ]
        answers = await asyncio.gather(*asked)
        found = [doctor_messages.trouble(problem.for_operator) for problem in self._health.problems()]
        found += self._stopped() + self._old()
        if self._availability.account is Account.SANDBOX:
            found.append(doctor_messages.NO_GATEWAY)
        return found + [finding for answer in answers for finding in answer]

    # One question each

    async def _jobs(self, server_id: int | None) -> list[Finding]:
        found, now = await self._store.open_jobs(server_id), self._clock()
        unclear = [job for job in found if job.stage is Stage.UNCERTAIN]
        stuck = [job for job in found if is_stuck(job, overdue_seconds=self._overdue_seconds(job), now=now)]
        return doctor_messages.jobs(stuck, unclear, now=now, most=_MOST_JOBS)

    def _overdue_seconds(self, job: Job) -> float:
        return self._times.of(job.request.model, job.request.seconds).overdue_seconds

    def _stopped(self) -> list[Finding]:
        now = self._clock()
        pauses = [
            pause
            for scope in (PauseScope.GATEWAY, PauseScope.MODEL)
            for pause in self._pauses.everywhere(scope)
        ]
        return [
            *(doctor_messages.out(outage, now) for outage in self._availability.outages()),
            *(doctor_messages.paused(pause, now) for pause in pauses),
        ]

    async def _gateway(self, name: str, gateway: Gateway) -> list[Finding]:
        """Ask whether it takes the key, and of what it says of its models what the catalogue does not."""
        key, models = await inspect(
            gateway, self._models(name), low_micros=self._low_micros, seconds=self._answer_seconds
        )
        return [key, *(one for one in models if one.level is not Level.OK)]

    def _models(self, gateway: str) -> list[Model]:
        return self._availability.catalogue.of_gateway(gateway)

    def _old(self) -> list[Finding]:
        """Tell of entries that nobody looked at for long: a rehearsal's are never wrong."""
        models = [
            model for name in self._gateways for model in self._models(name) if model.account is Account.REAL
        ]
        old = drift.old(models, self._clock().date())
        return drift_messages.all_old(old, days=drift.OLD.days)

    def _room(self) -> Finding:
        free = shutil.disk_usage(self._folder.path).free
        return doctor_messages.room(free, _size(self._folder.path), least_bytes=LEAST_FREE_BYTES)

    def _backup(self) -> Finding:
        return doctor_messages.backup(last_backup(self._folder), self._clock())

    def _file(self) -> Finding:
        words = checkup.damage(self._folder.database, seconds=self._file_seconds)
        return doctor_messages.damaged(words) if words else doctor_messages.FILE_WHOLE

    def _proof(self) -> Finding:
        out = io.StringIO()
        agrees = prove_ledger(self._folder.database, out, seconds=self._file_seconds)
        return doctor_messages.proof(out.getvalue().splitlines()[-1], agrees=agrees)

    def _versions(self) -> Finding:
        return doctor_messages.versions(
            program=__version__,
            schema=checkup.schema_of(self._folder.database),
            python=platform.python_version(),
            discord=importlib.metadata.version("discord.py"),
            sqlite=checkup.sqlite_version(),
        )

    # How they are asked

    async def _asked(self, what: str, question: Awaitable[list[Finding]]) -> list[Finding]:
        return await _answered(what, question, self._answer_seconds)

    async def _read(self, what: str, look: Callable[[], Finding]) -> list[Finding]:
        """Ask for something that reads the whole file."""
        return await _answered(what, _in_thread(look), self._file_seconds)


async def _answered(what: str, question: Awaitable[list[Finding]], seconds: float | None) -> list[Finding]:
    """Wait for an answer; that there is none is a finding too."""
    try:
        async with asyncio.timeout(seconds):
            return await question
    except TimeoutError:
        return [doctor_messages.took_long(what, seconds or 0.0)]
    except (StorageTrouble, StartupError, OSError) as error:
        return [doctor_messages.could_not(what, str(error))]  # as members read it: staff may be who asks
    except Exception as error:
        log.exception("%s could not be checked", what)
        return [doctor_messages.could_not(what, type(error).__name__)]


async def _in_thread(look: Callable[[], Finding]) -> list[Finding]:
    return [await asyncio.to_thread(look)]


async def _ffmpeg() -> list[Finding]:
    try:
        await media.run_ffmpeg(_TRY, timeout_seconds=ANSWER_SECONDS)
    except (FfmpegFailed, OSError) as error:
        return [doctor_messages.ffmpeg_fails(str(error))]
    return [doctor_messages.FFMPEG_RUNS]


def _size(folder: Path) -> int:
    """Return how many bytes the files of a folder have; some may go meanwhile."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:
            continue
    return total
