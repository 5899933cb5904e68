"""Foretells what jobs wait for, from the lanes' places and from how long tasks take."""

import datetime as dt
from collections.abc import Mapping

from bot import outlook, pacing
from bot.lane import Lane
from bot.models import Clock, Job, Stage
from bot.outlook import NOTHING_KNOWN, InLine, Outlook, Running
from bot.timing import TimeTable

_LINE_SECONDS = 10.0  # a line is worked out anew that often


class Forecast:
    """Answers from memory what a job's card may say of the time to come."""

    def __init__(self, *, lanes: Mapping[str, Lane], times: TimeTable, clock: Clock) -> None:
        self._lanes = lanes
        self._times = times
        self._clock = clock
        self._lines: dict[str, tuple[dt.datetime, dict[str, Outlook]]] = {}

    def of(self, job: Job) -> Outlook:
        """Foretell a job's start or end."""
        match job.stage:
            case Stage.RENDERING if job.submitted_at is not None:
                times = self._times.of(job.request.model, job.request.seconds)
                return outlook.of_rendering(times, job.submitted_at, self._clock())
            case Stage.QUEUED if not job.waiting_for:
                return self._line(job.request.model).get(job.job_id, NOTHING_KNOWN)
            case _:
                return NOTHING_KNOWN

    def _line(self, model: str) -> dict[str, Outlook]:
        now = self._clock()
        made = self._lines.get(model)
        if made is None or not 0 <= (now - made[0]).total_seconds() < _LINE_SECONDS:
            made = self._lines[model] = (now, self._foretold(model, now))
        return made[1]

    def _foretold(self, model: str, now: dt.datetime) -> dict[str, Outlook]:
        slots = self._lanes[model].slots
        starts = outlook.line(
            [
                InLine(waiting=pacing.Waiting.of(job), takes_seconds=self._left(job, now))
                for job in slots.waiting
            ],
            [Running(member_id=job.member_id, left_seconds=self._left(job, now)) for job in slots.held],
            slots.places,
        )
        return {
            job_id: outlook.of_waiting(place, seconds)
            for place, (job_id, seconds) in enumerate(starts.items(), start=1)
        }

    def _left(self, job: Job, now: dt.datetime) -> float:
        times = self._times.of(job.request.model, job.request.seconds)
        passed = (now - job.submitted_at).total_seconds() if job.submitted_at is not None else 0.0
        return times.left_seconds(max(passed, 0.0))
