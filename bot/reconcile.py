"""Reads the gateways' balances, hourly and on demand; tells what the ledger does not explain."""

import asyncio
import datetime as dt
import logging
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from bot import quotas, reckoning
from bot import reconcile_messages as messages
from bot.errors import ChannelClosed, DiscordTrouble
from bot.gateways.base import Gateway, NoAnswer
from bot.models import Clock, Sleep
from bot.notices import Notices
from bot.quotas import Measure, Period
from bot.reckoning import Comparison, Reading
from storage.balances import BalanceStore
from storage.outages import MarkStore

log = logging.getLogger(__name__)

_EVERY_SECONDS = 3600.0
_DAY = dt.timedelta(days=1)


class Reconciler:
    """Knows the gateways of real money; play money needs no books."""

    def __init__(
        self,
        *,
        gateways: Mapping[str, Gateway],
        store: BalanceStore,
        marks: MarkStore,
        notices: Notices,
        threshold_micros: int,
        low_micros: int,
        zone: ZoneInfo,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._gateways = gateways
        self._store = store
        self._marks = marks
        self._notices = notices
        self._threshold = threshold_micros
        self._low = low_micros
        self._zone = zone
        self._clock = clock
        self._sleep = sleep
        self._reading = asyncio.Lock()

    async def run(self) -> None:
        """Read every balance now and then every hour."""
        while True:
            for name, gateway in self._gateways.items():
                try:
                    if gateway.tells_balance:
                        await self._look(name, gateway)
                except Exception:
                    log.exception("%s: the balance could not be reconciled", name)
            await self._sleep(_EVERY_SECONDS)

    async def report(self, *, server_id: int, by: int) -> str:
        """Read every balance now; say how each moved since its last reading and over the day.

        In the server where the operator asks, the audit log keeps that they did.
        """
        await self._store.asked(server_id=server_id, by=by, now=self._clock())
        if not self._gateways:
            return messages.NO_GATEWAY
        parts = [await self._told(name, gateway) for name, gateway in self._gateways.items()]
        return "\n\n".join(parts)

    # One gateway

    async def _look(self, name: str, gateway: Gateway) -> None:
        """Read a balance, and tell the operator by themselves what they should know of it."""
        async with self._reading:
            after = await self._read(gateway)
            if isinstance(after, NoAnswer):
                log.warning("%s: the balance could not be read: %s", name, after.detail)
            else:
                found = await self._difference(name, after)
                untold = messages.difference(name, found) if found is not None else ""
                await self._store.record(name, after, untold=untold)
                await self._warn(name, after)
            for one in await self._store.untold():
                if await self._tell(one.words):
                    await self._store.told(one.reading_id)

    async def _difference(self, name: str, after: Reading) -> Comparison | None:
        """Return what is neither explained nor told: since the last reading, or slowly leaked over a day.

        What was told is not told again: the day is only looked at since then.
        """
        latest = await self._store.latest(name)
        first = await self._store.earliest_untold(name, after.read_at - _DAY)
        for before in dict.fromkeys((latest, first)):
            found = await self._compare(name, before, after)
            if found is not None and abs(found.off_micros) > self._threshold:
                return found
        return None

    async def _told(self, name: str, gateway: Gateway) -> str:
        if not gateway.tells_balance:
            lines = [messages.NO_BALANCE]
        else:
            async with self._reading:
                lines = await self._read_on_demand(name, gateway)
        month = quotas.period(Measure.MONTH, self._zone, self._clock())
        if month is not None:
            last = quotas.before(Measure.MONTH, self._zone, month)
            charges = [await self._store.possible_micros(name, one) for one in (month, last)]
            lines.append(messages.possible_charges(*charges))
        return messages.gateway_lines(name, lines)

    async def _read_on_demand(self, name: str, gateway: Gateway) -> list[str]:
        after = await self._read(gateway)
        if isinstance(after, NoAnswer):
            return [messages.no_answer(after.detail)]
        latest = await self._store.latest(name)
        a_day_ago = await self._store.earliest(name, after.read_at - _DAY)
        lines = [messages.balance(after)]
        if latest is None:
            lines.append(messages.FIRST_READING)
        elif latest.read_at > after.read_at:
            lines.append(messages.CLOCK_WENT_BACK)
        for before in dict.fromkeys((latest, a_day_ago)):
            found = await self._compare(name, before, after)
            if found is not None:
                lines.append(messages.comparison(found, threshold_micros=self._threshold))
        await self._store.record(name, after)
        await self._warn(name, after)
        return lines

    async def _read(self, gateway: Gateway) -> Reading | NoAnswer:
        micros = await gateway.balance()
        # The time is taken afterwards: what was submitted while the gateway counted may be in its answer.
        return (
            micros if isinstance(micros, NoAnswer) else Reading(balance_micros=micros, read_at=self._clock())
        )

    async def _compare(self, name: str, before: Reading | None, after: Reading) -> Comparison | None:
        """Compare two readings; None where there is no time between them, as when a clock went back."""
        if before is None or before.read_at >= after.read_at:
            return None
        period = Period(starts_at=before.read_at, turns_at=after.read_at)
        return reckoning.compare(before, after, await self._store.paid_jobs(name, period))

    async def _warn(self, name: str, reading: Reading) -> None:
        """Tell the operator of a low balance, once until it rises."""
        mark = f"low balance {name}"
        was_told = bool(await self._marks.get(mark))
        if reading.balance_micros >= self._low:
            if was_told:
                await self._marks.set(mark, "")
        elif not was_told and await self._tell(messages.low_balance(name, reading)):
            await self._marks.set(mark, "told")

    async def _tell(self, words: str) -> bool:
        """Write to the operator; return whether that need not be tried again."""
        try:
            return await self._notices.tell_operator(words)
        except (ChannelClosed, DiscordTrouble) as error:
            log.warning("the operator could not be told: %s (%s)", words, error)
            return False
