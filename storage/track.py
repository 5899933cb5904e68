"""How the last jobs of each model ended, and since when that counts."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import breaker
from bot.breaker import Outcome
from bot.models import FailureKind, Stage
from storage.database import Store, reads, writes
from storage.schema import jobs, marks

_FORGOTTEN = "faults forgotten "  # the mark of a model that was reopened
_COLUMNS = (
    jobs.c.job_id,
    jobs.c.model,
    jobs.c.stage,
    jobs.c.failure,
    jobs.c.failure_detail,
    jobs.c.uncertain_at,
    jobs.c.fetched_at,
    jobs.c.finished_at,
)


class TrackStore(Store):
    """Reads what ended, and writes when somebody had it forgotten."""

    @reads
    async def recent(
        self, connection: AsyncConnection, models: Iterable[str], *, since: dt.datetime, most: int
    ) -> dict[str, list[Outcome]]:
        """Return the last outcomes of each of these models, of jobs that came to it, the oldest first."""
        found: dict[str, list[Outcome]] = {}
        for model in models:
            rows = await connection.execute(
                sa.select(*_COLUMNS)
                .where(jobs.c.model == model, jobs.c.finished_at >= since, jobs.c.submitted_at.is_not(None))
                .order_by(jobs.c.finished_at.desc())
                .limit(most)
            )
            found[model] = _outcomes(rows.all())
        # These have not ended, but the gateway has: with a clip, or without a word.
        rows = await connection.execute(
            sa.select(*_COLUMNS).where(jobs.c.stage.in_([Stage.UNCERTAIN, Stage.DELIVERING]))
        )
        for row in rows.all():
            if row.model in found:
                found[row.model] += _outcomes([row])
        return {
            model: sorted((one for one in outcomes if one.at >= since), key=lambda one: one.at)[-most:]
            for model, outcomes in found.items()
        }

    @reads
    async def forgotten(self, connection: AsyncConnection) -> dict[str, dt.datetime]:
        """Return by model since when its outcomes count, where somebody reopened it."""
        rows = await connection.execute(
            sa.select(marks.c.name, marks.c.value).where(marks.c.name.startswith(_FORGOTTEN, autoescape=True))
        )
        return {name.removeprefix(_FORGOTTEN): dt.datetime.fromisoformat(value) for name, value in rows}

    @writes
    async def forget(self, connection: AsyncConnection, model: str, *, now: dt.datetime) -> None:
        """Let only what ends from now on count."""
        await connection.execute(
            insert(marks)
            .values(name=f"{_FORGOTTEN}{model}", value=now.isoformat())
            .on_conflict_do_update(index_elements=["name"], set_={"value": now.isoformat()})
        )


def _outcomes(rows: Sequence[Any]) -> list[Outcome]:
    found: list[Outcome] = []
    for row in rows:
        kind = FailureKind(row.failure) if row.failure else None
        verdict = breaker.verdict(Stage(row.stage), kind, row.failure_detail or "")
        at = row.uncertain_at if verdict is breaker.Verdict.FAULT else row.fetched_at
        moment = at or row.finished_at
        if verdict is not None and moment is not None:
            found.append(Outcome(job_id=row.job_id, verdict=verdict, at=moment))
    return found
