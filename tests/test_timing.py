"""How long tasks take: what pages say, what was learned, and what of a gateway's own word is believed."""

import datetime as dt
import math
import statistics
from pathlib import Path

import pytest

from bot import timing
from bot.catalogue import Timing
from bot.catalogue_tables import load_catalogue
from bot.gateways.reading import took_by_dates, took_by_milliseconds
from bot.models import Mode, Shape, Stage, VideoRequest
from bot.timing import TimeTable, documented, learned
from storage.times import TimeStore
from tests.books import NOON, open_books

PRO = "apixo/sora-2-pro"
DOCUMENTED = Timing(first_look_seconds=120, typical_seconds=180)

# Two to five minutes, as the page says: 5 % are over sooner and 5 % later.
MIDDLE, SPREAD = math.sqrt(120 * 300), math.log(300 / 120) / 2 / 1.645


def some_times(count: int) -> list[float]:
    """As many times as evenly drawn as can be."""
    shares = [(number + 0.5) / count for number in range(count)]
    return [MIDDLE * math.exp(SPREAD * statistics.NormalDist().inv_cdf(share)) for share in shares]


def test_what_a_page_says_is_waited_for_a_little_shorter() -> None:
    times = documented(DOCUMENTED)

    assert times.wait_seconds == pytest.approx(0.85 * 120)
    assert times.median_seconds == 180
    assert times.overdue_seconds == pytest.approx(958, abs=1)


@pytest.mark.parametrize("first", [1, 90, 200])
def test_any_page_gives_times_that_make_sense(first: int) -> None:
    times = documented(Timing(first_look_seconds=first, typical_seconds=90))

    assert 0 < times.wait_seconds < times.overdue_seconds < math.inf
    assert times.spread > 0


def test_the_fit_of_a_hundred_tasks_finds_what_they_were_drawn_from() -> None:
    times = learned(some_times(100))

    assert times.median_seconds == pytest.approx(MIDDLE, rel=0.01)
    assert times.spread == pytest.approx(SPREAD, rel=0.02)
    # Two of a hundred are over when looks begin.
    assert times.wait_seconds == pytest.approx(MIDDLE * math.exp(-2.054 * SPREAD), rel=0.02)
    assert times.overdue_seconds == pytest.approx(3 * MIDDLE * math.exp(2.326 * SPREAD), rel=0.03)


def test_tasks_of_the_very_same_length_leave_some_doubt() -> None:
    times = learned([100.0] * 50)

    assert times.median_seconds == pytest.approx(100)
    assert 85 < times.wait_seconds < 95


@pytest.mark.parametrize(
    ("passed", "left"), [(0, 180), (-5, 185), (90, 90), (180, 32), (300, 21), (3_600, 0)]
)
def test_what_is_left_is_what_half_of_those_that_ran_so_long_still_take(passed: float, left: float) -> None:
    assert documented(DOCUMENTED).left_seconds(passed) == pytest.approx(left, rel=0.05, abs=2)


def test_what_is_left_agrees_with_counting() -> None:
    drawn = some_times(2_000)
    times = learned(drawn)
    for passed in (60.0, 150.0, 250.0):
        still = [one - passed for one in drawn if one > passed]
        assert times.left_seconds(passed) == pytest.approx(statistics.median(still), rel=0.02)


def test_ten_tasks_are_enough_to_learn_from_and_nine_are_not() -> None:
    table = TimeTable(load_catalogue(), {(PRO, 4): [60.0] * 9})
    assert table.of(PRO, 4).wait_seconds == pytest.approx(0.85 * 120)

    table.add(PRO, 4, 60.0)

    assert table.of(PRO, 4).median_seconds == pytest.approx(60)
    # Each length has times of its own.
    assert table.of(PRO, 12).median_seconds == 180


def test_the_last_hundred_count() -> None:
    table = TimeTable(load_catalogue(), {(PRO, 4): [600.0] * 150})
    for _ in range(100):
        assert table.of(PRO, 4).median_seconds > 60.1
        table.add(PRO, 4, 60.0)

    assert table.of(PRO, 4).median_seconds == pytest.approx(60)


@pytest.mark.parametrize(
    ("took", "running", "found", "believed"),
    [
        (None, 0, 200, False),
        (190, 180, 200, True),
        (200, 180, 200, True),
        # Its stopwatch may begin a little before ours, and ours a little before its own.
        (220, 180, 200, True),
        (150, 180, 200, True),
        # A task that ran when we looked was not over long before, nor after we found it over.
        (100, 180, 200, False),
        (300, 180, 200, False),
        (0, 0, 20, False),
        (-5, 0, 20, False),
        (0.2, 0, 20, True),
    ],
)
def test_a_gateways_stopwatch_is_believed_where_it_fits_what_was_seen(
    *, took: float | None, running: float, found: float, believed: bool
) -> None:
    assert timing.is_believed(took, running_seconds=running, found_seconds=found) is believed


@pytest.mark.parametrize(
    ("began", "ended", "took"),
    [
        (1767965610929, 1767965652317, 41.388),
        (1767965610929, None, None),
        (None, 1767965652317, None),
        (1767965652317, 1767965610929, None),
        (1767965610929, 1767965610929, None),
        # Seconds, text, fractions, nonsense: whoever tells time so may mean anything by it.
        (1767965610, 1767965652, None),
        ("1767965610929", "1767965652317", None),
        (1767965610929.0, 1767965652317.0, None),
        (True, 1767965652317, None),
        (1767965610929, 10**400, None),
    ],
)
def test_two_times_in_milliseconds_tell_how_long_a_task_took(
    began: object, ended: object, took: float | None
) -> None:
    assert took_by_milliseconds(began, ended) == took


@pytest.mark.parametrize(
    ("began", "ended", "took"),
    [
        ("2026-11-21T12:00:00Z", "2026-11-21T12:02:30.5Z", 150.5),
        ("2026-11-21T13:00:00+01:00", "2026-11-21T12:01:00Z", 60),
        ("2026-11-21T12:00:00", "2026-11-21T12:01:00", 60),
        ("2026-11-21T12:00:00", "2026-11-21T12:01:00Z", None),
        ("2026-11-21T12:00:00Z", "2026-11-21T11:00:00Z", None),
        ("2026-11-21T12:00:00Z", None, None),
        ("yesterday", "today", None),
        (1767965610929, 1767965652317, None),
        ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", 315538070279),
    ],
)
def test_two_dates_tell_how_long_a_task_took(began: object, ended: object, took: float | None) -> None:
    assert took_by_dates(began, ended) == took


async def test_the_last_tasks_of_each_length_are_read_back(tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        for number, (seconds, took) in enumerate([(4, 100), (4, 110), (12, 300), (4, 120), (4, None)]):
            request = VideoRequest(
                model=PRO, mode=Mode.TEXT, prompt="a fox", seconds=seconds, shape=Shape.LANDSCAPE
            )
            at = NOON + dt.timedelta(minutes=number)
            job = await books.bring(await books.place(1, at=at, request=request), Stage.RENDERING, at=at)
            ready_at = None if took is None else at + dt.timedelta(seconds=took)
            await books.jobs.rendered(job.job_id, ["https://cdn.example/a.mp4"], ready_at=ready_at, now=at)
        times = TimeStore(books.database)

        assert await times.recent(most=2) == {(PRO, 4): [110, 120], (PRO, 12): [300]}
        plans = await books.plans(times.recent(most=2))

    assert any("jobs_by_length (model=? AND seconds=? AND rendered_at" in step for step in plans), plans
    assert not any(step.startswith("SCAN jobs") and "jobs_by_length" not in step for step in plans), plans
