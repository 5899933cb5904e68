"""How the last jobs of each model ended, and since when that counts."""

import datetime as dt
import json
from collections.abc import Iterable
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
        found: dict[str, list[Outcome]] = {model: [] for model in models}
        wanted = sa.func.json_each(json.dumps(list(found))).table_valued("value", name="wanted")
        ended = jobs.alias("ended")
        last = (  # searched for once a model, in the index
            sa.select(ended.c.job_id)
            .where(
                ended.c.model == wanted.c.value,
                ended.c.finished_at >= since,
                ended.c.submitted_at.is_not(None),
            )
            .order_by(ended.c.finished_at.desc())
            .limit(most)
            .correlate(wanted)
        )
        ends = await connection.execute(
            sa.select(*_COLUMNS).select_from(wanted.join(jobs, jobs.c.job_id.in_(last)))
        )
        # These have not ended, but the gateway has: with a clip, or without a word.
        others = await connection.execute(
            sa.select(*_COLUMNS).where(jobs.c.stage.in_([Stage.UNCERTAIN, Stage.DELIVERING]))
        )
        for row in (*ends, *others):
            outcome = _outcome(row)
            if outcome is not None and outcome.at >= since and row.model in found:
                found[row.model].append(outcome)
        return {
            model: sorted(outcomes, key=lambda outcome: outcome.at)[-most:]
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


def _outcome(row: Any) -> Outcome | None:
    kind = FailureKind(row.failure) if row.failure else None
    verdict = breaker.verdict(Stage(row.stage), kind, row.failure_detail or "")
    at = row.uncertain_at if verdict is breaker.Verdict.FAULT else row.fetched_at
    moment = at or row.finished_at
    if verdict is None or moment is None:
        return None
    return Outcome(job_id=row.job_id, verdict=verdict, at=moment)
