"""How long tasks take: what a model's page says, and what its last tasks of a length taught."""

import collections
import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from bot.catalogue import Catalogue, Timing

MOST_TIMES = 100
ENOUGH_TIMES = 10

EARLY_SHARE = 0.02  # of all tasks are over when looking at them begins
_SHARE_OF_FIRST_LOOK = 0.85  # of the documented first wait: pages are careful
_DOCUMENTED_EARLIEST = 0.05  # of all tasks are over at the documented first wait
_LATEST_SHARE = 0.99
_LATEST_TIMES = 3
_LEAST_SPREAD = 0.05  # tasks of the very same length would leave nothing to expect
_LEAST_SECONDS = 0.1
_LEAST_LEFT = 1e-6  # beyond it a log-normal says nothing that is worth knowing

# How far a gateway's own stopwatch may be off what was seen of the task, before nobody believes it.
_DOUBT_SECONDS = 60.0

_NORMAL = statistics.NormalDist()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Times:
    """Times of tasks, log-normal. `wait_seconds` is when looks begin, `overdue_seconds` when few are left."""

    median_seconds: float
    spread: float
    wait_seconds: float
    overdue_seconds: float

    def left_seconds(self, passed_seconds: float) -> float:
        """Return how long half of the tasks that have run for so long still take."""
        if passed_seconds <= 0:
            return self.median_seconds - passed_seconds
        over = _NORMAL.cdf(math.log(passed_seconds / self.median_seconds) / self.spread)
        half_over = min(over + (1.0 - over) / 2, 1.0 - _LEAST_LEFT)
        return max(_quantile(self.median_seconds, self.spread, half_over) - passed_seconds, 0.0)


def documented(timing: Timing) -> Times:
    """Return what the catalogue says: hardly any task is over at the first look, half at the typical time."""
    median = float(timing.typical_seconds)
    earliest = math.log(median / min(timing.first_look_seconds, median))
    spread = max(earliest / -_NORMAL.inv_cdf(_DOCUMENTED_EARLIEST), _LEAST_SPREAD)
    return _times(median, spread, wait_seconds=_SHARE_OF_FIRST_LOOK * timing.first_look_seconds)


def learned(seconds: Sequence[float]) -> Times:
    """Return the log-normal that fits these times."""
    logs = [math.log(max(one, _LEAST_SECONDS)) for one in seconds]
    median, spread = math.exp(statistics.fmean(logs)), max(statistics.pstdev(logs), _LEAST_SPREAD)
    return _times(median, spread, wait_seconds=_quantile(median, spread, EARLY_SHARE))


def is_believed(took_seconds: float | None, *, running_seconds: float, found_seconds: float) -> bool:
    """Whether a gateway's word on how long a task took fits what was seen of it.

    The task was last seen running, and then found over, so long after its submit.
    """
    return (
        took_seconds is not None
        and took_seconds > 0
        and running_seconds - _DOUBT_SECONDS <= took_seconds <= found_seconds + _DOUBT_SECONDS
    )


class TimeTable:
    """The times of every model and length, in memory: the last hundred count, once there are ten."""

    def __init__(
        self, catalogue: Catalogue, recent: Mapping[tuple[str, int], Iterable[float]] | None = None
    ) -> None:
        self._models = catalogue.models
        self._seconds: dict[tuple[str, int], collections.deque[float]] = {}
        self._times: dict[tuple[str, int], Times] = {}
        for (model, length), seconds in (recent or {}).items():
            self._seconds[model, length] = collections.deque(seconds, MOST_TIMES)

    def of(self, model: str, length: int) -> Times:
        """Return how long tasks of a model that make clips of this length take."""
        times = self._times.get((model, length))
        if times is None:
            known = self._seconds.get((model, length), ())
            is_learned = len(known) >= ENOUGH_TIMES
            times = learned(list(known)) if is_learned else documented(self._models[model].timing)
            self._times[model, length] = times
        return times

    def add(self, model: str, length: int, took_seconds: float) -> None:
        """Learn how long a task took that ended just now."""
        known = self._seconds.setdefault((model, length), collections.deque(maxlen=MOST_TIMES))
        known.append(took_seconds)
        self._times.pop((model, length), None)


def _times(median: float, spread: float, *, wait_seconds: float) -> Times:
    return Times(
        median_seconds=median,
        spread=spread,
        wait_seconds=wait_seconds,
        overdue_seconds=_LATEST_TIMES * _quantile(median, spread, _LATEST_SHARE),
    )


def _quantile(median: float, spread: float, share: float) -> float:
    return median * math.exp(spread * _NORMAL.inv_cdf(share))
