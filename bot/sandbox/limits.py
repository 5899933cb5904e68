"""Counts requests in a sliding minute, as the gateways' limits are stated."""

import datetime as dt
from collections import deque

_WINDOW = dt.timedelta(minutes=1)


class MinuteWindow:
    """Lets at most `most` requests through in any 60 seconds; those refused do not count."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken_at: deque[dt.datetime] = deque()

    def take(self, now: dt.datetime) -> bool:
        """Take a place in the window, if there is one."""
        while self._taken_at and self._taken_at[0] <= now - _WINDOW:
            self._taken_at.popleft()
        if len(self._taken_at) >= self._most:
            return False
        self._taken_at.append(now)
        return True
