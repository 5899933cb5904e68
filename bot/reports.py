"""What was spent in a period, asked by staff about their server and by members about themselves."""

import dataclasses
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from bot import periods, quotas, report_messages
from bot.availability import Availability
from bot.charts import Bar, Charts
from bot.errors import BadOrder
from bot.models import Account, Clock
from bot.periods import NamedPeriod
from bot.quotas import Measure, Policy, Standing
from storage.reports import By, ReportStore, Spent
from storage.servers import ServerStore

MOST_LISTED = 15
MOST_CHARTED = 10
PERIODS = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """A period of a server; the subjects are named by who shows them."""

    named: NamedPeriod
    by: By
    subjects: list[str | None]
    rows: list[Spent]
    file: bytes | None
    most_bytes: int
    is_sandbox: bool

    @property
    def listed(self) -> list[str | None]:
        """The subjects that are shown by name."""
        return self.subjects[:MOST_LISTED]

    @property
    def file_name(self) -> str:
        """What the file with all jobs is called."""
        return f"videos-{self.named.slug}.csv"

    def told(self, names: Sequence[str]) -> str:
        """Write the report with the names of those listed."""
        if not self.rows:
            return report_messages.no_jobs(self.named)
        return report_messages.report(
            self.named,
            self.by,
            report_messages.folded(self.rows, names, MOST_LISTED),
            file_name=self.file_name,
            is_too_big_for=self.most_bytes if self.file is None else None,
            sandbox=self.is_sandbox,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class History:
    """A member's last days, weeks or months, the present first, with what their quota did not pay."""

    measure: Measure
    periods: list[tuple[NamedPeriod, Spent, int]]
    is_sandbox: bool

    @property
    def has_jobs(self) -> bool:
        """Whether the member ordered anything in them."""
        return any(spent.jobs for _, spent, _ in self.periods)

    def told(self) -> str:
        """Write the history."""
        if not self.has_jobs:
            return report_messages.no_history(self.measure)
        return report_messages.history(self.measure, self.periods, sandbox=self.is_sandbox)


def usual_measure(standings: Iterable[Standing]) -> Measure:
    """Return what the tightest of a member's own limits counts in: days, weeks or months."""
    own = (one for one in standings if one.limit.is_own_budget)
    tightest = quotas.binding(own)
    return tightest.limit.measure if tightest is not None else Measure.MONTH


class ReportService:
    """Reads periods in the server's time zone, in the account that is in use."""

    def __init__(
        self,
        *,
        store: ReportStore,
        servers: ServerStore,
        availability: Availability,
        charts: Charts,
        policy: Policy,
        clock: Clock,
    ) -> None:
        self._store = store
        self._servers = servers
        self._availability = availability
        self._charts = charts
        self._policy = policy
        self._clock = clock

    async def offered(self, server_id: int) -> list[tuple[str, str]]:
        """Return periods to choose from: what people read, and what `of_period` takes."""
        return periods.offered(await self._zone(server_id), self._clock())

    async def of_period(self, server_id: int, typed: str, by: By, *, most_bytes: int) -> Report:
        """Return a server's report, with a file of at most so many bytes.

        Raises:
            BadOrder: what was typed is no period.
        """
        named = periods.read(typed, await self._zone(server_id), self._clock())
        if named is None:
            raise BadOrder(report_messages.NO_PERIOD)
        found = await self._store.of_period(
            server_id, self._availability.account, named.period, by, most_bytes=most_bytes
        )
        return Report(
            named=named,
            by=by,
            subjects=[subject for subject, _ in found.rows],
            rows=[spent for _, spent in found.rows],
            file=found.file,
            most_bytes=most_bytes,
            is_sandbox=self._availability.account is Account.SANDBOX,
        )

    async def chart(self, report: Report, names: Sequence[str]) -> bytes:
        """Draw a report with the names of those listed."""
        title = report_messages.chart_title(report.named, report.by, sum(report.rows, Spent()))
        stand_ins = [report_messages.nobody(report.by, subject) for subject in report.listed]
        legible = await self._charts.legible(names, stand_ins)
        return await self._draw(title, report_messages.folded(report.rows, legible, MOST_CHARTED))

    async def history(self, server_id: int, user_id: int, measure: Measure) -> History:
        """Return what a person spent in the last days, weeks or months."""
        named = periods.latest(measure, PERIODS, await self._zone(server_id), self._clock())
        account = self._availability.account
        found = await self._store.of_member(server_id, account, user_id, [one.period for one in named])
        return History(
            measure=measure,
            periods=[(one, *spent) for one, spent in zip(named, found, strict=True)],
            is_sandbox=account is Account.SANDBOX,
        )

    async def history_chart(self, history: History) -> bytes:
        """Draw a history."""
        lines = [(named.title, spent) for named, spent, _ in history.periods]
        total = sum((spent for _, spent in lines), Spent())
        return await self._draw(report_messages.history_title(history.measure, total), lines)

    async def _draw(self, title: str, lines: Sequence[tuple[str, Spent]]) -> bytes:
        bars = [
            Bar(label=label, spent_micros=spent.spent_micros, held_micros=spent.held_micros)
            for label, spent in lines
        ]
        return await self._charts.draw(title, bars)

    async def _zone(self, server_id: int) -> ZoneInfo:
        return (await self._servers.settings(server_id)).zone or self._policy.zone
