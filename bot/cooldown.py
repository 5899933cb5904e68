"""Cool-downs: how often one member may ask the bot for something, kept in memory alone."""

import datetime as dt

from bot.errors import UserError
from bot.models import Clock

# Fifty orders at once are a day's work of a busy member, not an attack; more than that a minute is a script.
BURST = 60
SECONDS_EACH = 1.0
_MOST_REMEMBERED = 10_000  # a few megabytes; whoever cooled down longest ago is forgotten first


class Cooldown:
    """Lets a member act `burst` times at once, and once every `seconds_each` after that.

    An act costs its member a stretch of time, and they may run up a debt of `burst` of them. Whoever owes
    nothing is not remembered.
    """

    def __init__(self, *, clock: Clock, burst: int = BURST, seconds_each: float = SECONDS_EACH) -> None:
        self._clock = clock
        self._each = dt.timedelta(seconds=seconds_each)
        self._most = self._each * burst
        self._paid_at: dict[tuple[int | str, ...], dt.datetime] = {}

    def wait_for(self, *who: int | str) -> dt.timedelta | None:
        """Let somebody act, or return how long they have to wait; a refused act costs nothing.

        A member is their server's id and their own.
        """
        now = self._clock()
        # A clock that was set back must not keep anybody out for longer than their debt.
        owed = min(max(self._paid_at.get(who, now) - now, dt.timedelta()), self._most)
        if owed + self._each > self._most:
            return owed + self._each - self._most
        self._paid_at.pop(who, None)
        self._paid_at[who] = now + owed + self._each
        if len(self._paid_at) > _MOST_REMEMBERED:
            self._forget(now)
        return None

    def check(self, server_id: int | None, user_id: int) -> None:
        """Refuse a member who asks too fast.

        Raises:
            UserError: it says how long to wait.
        """
        wait = self.wait_for(server_id or 0, user_id)
        if wait is not None:
            seconds = -(-wait // dt.timedelta(seconds=1))  # rounded up
            raise UserError(f"That was too fast. Try again in {seconds} s; nothing was charged.")

    def _forget(self, now: dt.datetime) -> None:
        """Forget who owes nothing; if that is nobody, who acted longest ago."""
        self._paid_at = {who: at for who, at in self._paid_at.items() if at > now}
        while len(self._paid_at) > _MOST_REMEMBERED:
            del self._paid_at[next(iter(self._paid_at))]
