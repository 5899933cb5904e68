"""What stands in the database now, as numbers for /metrics; and whether it answers at all."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import Account, Stage
from storage.database import Store, reads
from storage.schema import jobs, marks, totals

_OPEN = tuple(stage for stage in Stage if stage.is_open)


class GaugeStore(Store):
    """Reads that are cheap: with the history they grow by a total for each quarter of an hour at most."""

    @reads
    async def answers(self, connection: AsyncConnection) -> None:
        """Read something of the file."""
        await connection.execute(sa.select(marks.c.name).limit(1))

    @reads
    async def open_jobs(self, connection: AsyncConnection) -> dict[tuple[Stage, str], int]:
        """Count the open jobs of all servers by stage and model."""
        rows = await connection.execute(
            sa.select(jobs.c.stage, jobs.c.model, sa.func.count())
            .where(jobs.c.stage.in_(_OPEN))
            .group_by(jobs.c.stage, jobs.c.model)
        )
        return {(Stage(stage), model): count for stage, model, count in rows}

    @reads
    async def money(self, connection: AsyncConnection) -> dict[Account, tuple[int, int]]:
        """Return the micro-dollars that all open jobs hold, and those ever spent, by account."""
        sums: dict[Account, tuple[int, int]] = dict.fromkeys(Account, (0, 0))
        rows = await connection.execute(
            sa.select(totals.c.account, sa.func.sum(totals.c.held_micros), sa.func.sum(totals.c.spent_micros))
            .where(totals.c.account.in_(tuple(Account)), totals.c.scope == "operator")
            .group_by(totals.c.account)
        )
        sums.update((Account(account), (held, spent)) for account, held, spent in rows)
        return sums
