"""How many orders may wait to be started, of one member and in one server; checked as an order is stored."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import messages
from bot.errors import UserError
from bot.models import NewJob, Stage
from storage.schema import jobs

# With ten places and three minutes a clip, a hundred orders wait for half an hour and five hundred for more
# than two: who comes later is better told so than put in line. No member can fill their server's line alone.
MOST_OF_MEMBER = 100
MOST_OF_SERVER = 500


async def check(connection: AsyncConnection, new: NewJob, member_id: int) -> None:
    """Refuse an order while too many wait, in the transaction that would store it; staff's own too.

    What was ordered and could not start yet counts, by any way of ordering; what is at the gateway does not.

    Raises:
        UserError: it says how many wait.
    """
    (everybodys, own), *_ = await connection.execute(
        sa.select(
            sa.func.count(),
            sa.func.count().filter(jobs.c.member_id == member_id),
        ).where(jobs.c.server_id == new.server_id, jobs.c.stage == Stage.QUEUED)
    )
    if own >= MOST_OF_MEMBER:
        raise UserError(messages.TOO_MANY_OF_YOURS_WAIT.format(count=own))
    if everybodys >= MOST_OF_SERVER:
        raise UserError(messages.TOO_MANY_WAIT.format(count=everybodys))
