"""How long the last tasks of a model and length took."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Store, reads
from storage.schema import jobs

# Each pair that ever rendered, found by hopping from one to the next along the index: a model may have a
# dozen lengths, and most of them were never ordered.
_LENGTHS = sa.text("""
    WITH RECURSIVE found (model, seconds) AS (
        SELECT * FROM (
            SELECT model, seconds FROM jobs WHERE rendered_at IS NOT NULL ORDER BY model, seconds LIMIT 1
        )
        UNION ALL
        SELECT jobs.model, jobs.seconds FROM found JOIN jobs ON jobs.rowid = coalesce(
            (
                SELECT rowid FROM jobs AS longer
                WHERE longer.rendered_at IS NOT NULL
                    AND longer.model = found.model AND longer.seconds > found.seconds
                ORDER BY longer.seconds LIMIT 1
            ),
            (
                SELECT rowid FROM jobs AS later
                WHERE later.rendered_at IS NOT NULL AND later.model > found.model
                ORDER BY later.model, later.seconds LIMIT 1
            )
        )
    )
    SELECT model, seconds FROM found
""")


class TimeStore(Store):
    """What there is to learn from of tasks that were rendered."""

    @reads
    async def recent(self, connection: AsyncConnection, *, most: int) -> dict[tuple[str, int], list[float]]:
        """Return the seconds that the last tasks of each model and length took, the oldest first."""
        found: dict[tuple[str, int], list[float]] = {}
        for model, seconds in (await connection.execute(_LENGTHS)).all():
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
