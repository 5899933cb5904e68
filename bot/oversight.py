"""What staff see of their server: its jobs and its audit log."""

from bot import staff_messages, text
from bot.errors import UserError
from bot.models import Act, Job, Step
from storage.audit import ActStore
from storage.job_search import JobFilter, JobSearch


class Oversight:
    """Answers staff, and never with anything of another server."""

    def __init__(self, *, search: JobSearch, acts: ActStore) -> None:
        self._search = search
        self._acts = acts

    async def jobs(
        self, server_id: int, wanted: JobFilter, *, page: int = 0, per_page: int = 5
    ) -> tuple[list[Job], bool]:
        """Return a page of the server's jobs, newest first, and whether there are more."""
        found = await self._search.of_server(server_id, wanted, offset=page * per_page, limit=per_page + 1)
        return found[:per_page], len(found) > per_page

    async def job(self, server_id: int, job_id: str) -> tuple[Job, list[Step]]:
        """Return a job of the server with its history.

        Raises:
            UserError: there is none.
        """
        found = await self._search.job(server_id, job_id.strip().lower())
        if found is None:
            raise UserError(staff_messages.NO_SUCH_JOB.format(job_id=text.code(job_id, 20)))
        return found

    async def acts(
        self, server_id: int, *, user_id: int | None = None, page: int = 0, per_page: int = 10
    ) -> tuple[list[Act], bool]:
        """Return a page of what was done in the server, newest first, and whether there is more."""
        found = await self._acts.page(server_id, user_id=user_id, offset=page * per_page, limit=per_page + 1)
        return found[:per_page], len(found) > per_page
