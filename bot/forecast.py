"""Foretells what jobs wait for, from the lanes' places and from how long tasks take."""

import dataclasses
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
        self._told: dict[str, float | None] = {}  # by job that was looked at: the share that is done
        self._cells: dict[str, int] = {}  # by job: how far its bar has come

    def of(self, job: Job) -> Outlook:
        """Foretell a job's start or end; its bar never goes back."""
        if not job.stage.is_open:
            self._told.pop(job.job_id, None)
            self._cells.pop(job.job_id, None)
        match job.stage:
            case Stage.RENDERING if job.submitted_at is not None:
                times = self._times.of(job.request.model, job.request.seconds)
                told = self._told.get(job.job_id)
                seen = outlook.of_rendering(times, job.submitted_at, self._clock(), told=told)
                cells = self._cells[job.job_id] = max(seen.cells, self._cells.get(job.job_id, 0))
                return dataclasses.replace(seen, cells=cells)
            case Stage.QUEUED if not job.waiting_for:
                return self._line(job.request.model).get(job.job_id, NOTHING_KNOWN)
            case _:
                return NOTHING_KNOWN

    def of_newcomer(self, model: str) -> tuple[int, float]:
        """Return how many wait for a place of a model, and in how many seconds one more might start.

        That is one of a member who has nothing else running there, whatever it will take itself.
        """
        slots, now = self._lanes[model].slots, self._clock()
        if len(slots.held) < slots.places:
            return 0, 0.0
        newcomer = InLine(waiting=pacing.Waiting(job_id="", member_id=-1, created_at=now), takes_seconds=0.0)
        starts = self._starts(model, now, newcomer)
        return len(slots.waiting), starts.get("", max(starts.values()))

    def told(self, job: Job, share: float | None) -> None:
        """A look showed how much of a task is done, from 0 to 1; nothing at all says only that it began."""
        if share or job.job_id not in self._told:
            self._told[job.job_id] = share or None

    def is_heard_of(self, job: Job) -> bool:
        """Whether a look in this run showed that the job's task is under way."""
        return job.job_id in self._told

    def _line(self, model: str) -> dict[str, Outlook]:
        now = self._clock()
        made = self._lines.get(model)
        if made is None or not 0 <= (now - made[0]).total_seconds() < _LINE_SECONDS:
            made = self._lines[model] = (now, self._foretold(model, now))
        return made[1]

    def _foretold(self, model: str, now: dt.datetime) -> dict[str, Outlook]:
        return {
            job_id: outlook.of_waiting(place, seconds)
            for place, (job_id, seconds) in enumerate(self._starts(model, now).items(), start=1)
        }

    def _starts(self, model: str, now: dt.datetime, *newcomers: InLine) -> dict[str, float]:
        """Return in how many seconds each job starts that waits for a place."""
        slots = self._lanes[model].slots
        waiting = [
            InLine(waiting=pacing.Waiting.of(job), takes_seconds=self._left(job, now))
            for job in slots.waiting
        ]
        running = [Running(member_id=job.member_id, left_seconds=self._left(job, now)) for job in slots.held]
        return outlook.line([*waiting, *newcomers], running, slots.places)

    def _left(self, job: Job, now: dt.datetime) -> float:
        times = self._times.of(job.request.model, job.request.seconds)
        passed = (now - job.submitted_at).total_seconds() if job.submitted_at is not None else 0.0
        return times.left_seconds(max(passed, 0.0))
