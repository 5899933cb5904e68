"""How long the last tasks of a model and length took."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Store, reads
from storage.schema import jobs


class TimeStore(Store):
    """What there is to learn from of tasks that were rendered."""

    @reads
    async def recent(
        self, connection: AsyncConnection, lengths: Iterable[tuple[str, int]], *, most: int
    ) -> dict[tuple[str, int], list[float]]:
        """Return the seconds that the last tasks of each model and length took, the oldest first."""
        found: dict[tuple[str, int], list[float]] = {}
        for model, seconds in lengths:
            rows = await connection.execute(
                sa.select(jobs.c.submitted_at, jobs.c.rendered_at)
                .where(
                    jobs.c.model == model,
                    jobs.c.seconds == seconds,
                    jobs.c.rendered_at.is_not(None),
                    jobs.c.submitted_at < jobs.c.rendered_at,
                )
                .order_by(jobs.c.rendered_at.desc())
                .limit(most)
            )
            found[model, seconds] = [(ended - began).total_seconds() for began, ended in rows][::-1]
        return found
