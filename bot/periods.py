"""Pure: calendar periods as staff name them: read from what they type, and written for people."""

import dataclasses
import datetime as dt
import re
from zoneinfo import ZoneInfo

from bot.quotas import Measure, Period, before, period

THIS_MONTH = "this month"
MONTHS_OFFERED = 12

_WORDS = {
    THIS_MONTH: (Measure.MONTH, 0),
    "last month": (Measure.MONTH, 1),
    "this week": (Measure.WEEK, 0),
    "last week": (Measure.WEEK, 1),
    "today": (Measure.DAY, 0),
    "yesterday": (Measure.DAY, 1),
}
_DATE = re.compile(r"(20\d\d)-(\d\d)(?:-(\d\d))?", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NamedPeriod:
    """A period with its name for people ("November 2026") and for files ("2026-11")."""

    period: Period
    title: str
    slug: str


def read(typed: str, zone: ZoneInfo, now: dt.datetime) -> NamedPeriod | None:
    """Return the period that somebody means by `last week`, `2026-10` or `2026-10-17`, if it is one."""
    wanted = " ".join(typed.lower().split())
    if wanted in _WORDS:
        return _back(*_WORDS[wanted], zone, now)
    match = _DATE.fullmatch(wanted)
    if match is None:
        return None
    year, month, day = match.groups()
    try:
        noon = dt.datetime(int(year), int(month), int(day or 1), 12, tzinfo=zone)
    except ValueError:
        return None
    return _back(Measure.DAY if day else Measure.MONTH, 0, zone, noon)


def latest(measure: Measure, count: int, zone: ZoneInfo, now: dt.datetime) -> list[NamedPeriod]:
    """Return the latest days, weeks or months, the present one first."""
    return [_back(measure, number, zone, now) for number in range(count)]


def offered(zone: ZoneInfo, now: dt.datetime) -> list[tuple[str, str]]:
    """Return what staff may choose, each with what `read` takes for it."""
    words = [
        (f"{word} ({_back(measure, number, zone, now).title})", word)
        for word, (measure, number) in _WORDS.items()
    ]
    months = latest(Measure.MONTH, MONTHS_OFFERED, zone, now)[2:]
    return words + [(month.title, month.slug) for month in months]


def _back(measure: Measure, number: int, zone: ZoneInfo, now: dt.datetime) -> NamedPeriod:
    """Name the period that lies so many before the one of `now`."""
    found = period(measure, zone, now)
    if found is None:
        raise ValueError(f"{measure} has no periods")
    for _ in range(number):
        found = before(measure, zone, found)
    first = found.starts_at.astimezone(zone).date()
    day = f"{first.day} {first:%B %Y}"
    match measure:
        case Measure.MONTH:
            title, slug = f"{first:%B %Y}", f"{first:%Y-%m}"
        case Measure.WEEK:
            title, slug = f"week of {day}", f"{first}-week"
        case _:
            title, slug = day, f"{first}"
    return NamedPeriod(period=found, title=title, slug=slug)
