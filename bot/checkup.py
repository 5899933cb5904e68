"""`python -m bot doctor`: the doctor beside a running bot, from its files and the gateways alone."""

import asyncio
import datetime as dt
import email.utils
from typing import TextIO

import aiohttp

from bot import doctor_messages
from bot.availability import Availability
from bot.config import Settings
from bot.doctor import ANSWER_SECONDS, Doctor
from bot.findings import Finding, Level
from bot.gateways.build import address, read_catalogue, real_gateways
from bot.gateways.http import GatewayHttp
from bot.ground import known_times
from bot.health import Health
from bot.models import utc_now
from bot.pauses import Pauses
from bot.track import Track
from storage import checkup
from storage.checkup import CheckupStore
from storage.database import Database
from storage.folder import DataFolder
from storage.jobs import JobStore
from storage.outages import OutageStore
from storage.pauses import PauseStore
from storage.track import TrackStore


async def check_up(settings: Settings, out: TextIO) -> bool:
    """Write what was found, and what to do; return whether all is as it should be.

    Raises:
        SettingsError, SchemaError: there is no database yet, or it is none that this program reads.
    """
    folder = DataFolder(settings.data_dir)  # not entered: the bot holds its lock
    checkup.check_schema(folder.database)
    catalogue = read_catalogue(settings)
    database = Database(folder.database)
    try:
        async with GatewayHttp(check_seconds=ANSWER_SECONDS) as http:
            gateways = real_gateways(settings, catalogue, http)
            pauses = Pauses(PauseStore(database), clock=utc_now)
            await pauses.load()
            availability = Availability(
                catalogue,
                OutageStore(database),
                gateways=gateways,
                unprobed=(),
                default_model=settings.default_model,
                pauses=pauses,
                track=Track(TrackStore(database), clock=utc_now),
                clock=utc_now,
            )
            await availability.load()
            doctor = Doctor(
                store=CheckupStore(
                    database, JobStore(database, pictures=folder.pictures, clips=folder.clips)
                ),
                folder=folder,
                availability=availability,
                pauses=pauses,
                gateways=gateways,
                times=await known_times(database, catalogue),
                health=Health(clock=utc_now),
                low_micros=settings.low_balance,
                clock=utc_now,
                file_seconds=None,
            )
            clocks = [_clock(doctor, name, address(settings, catalogue.gateways[name])) for name in gateways]
            machine, *beside = await asyncio.gather(doctor.of_machine(), *clocks)
    finally:
        await database.close()
    findings = [*machine, *(finding for found in beside for finding in found)]
    told = [*doctor_messages.lines(findings), doctor_messages.IN_DISCORD, doctor_messages.summary(findings)]
    out.write("".join(f"{line}\n" for line in told))
    return all(finding.level is Level.OK for finding in findings)


async def _clock(doctor: Doctor, gateway: str, address: str) -> list[Finding]:
    """Compare the clock with a gateway's, which tells it in any answer; nothing where it tells none."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.head(address, allow_redirects=False) as answer,
        ):
            told_at = email.utils.parsedate_to_datetime(answer.headers.get("Date", ""))
    except (aiohttp.ClientError, OSError, ValueError):
        return []  # that it does not answer is found by asking it for something
    return [doctor.of_clock(told_at.astimezone(dt.UTC), whose=gateway)]
