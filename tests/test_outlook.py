"""What cards foretell: the bar, the usual end, the place in line and how long it takes."""

import datetime as dt
import itertools
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot import messages, outlook
from bot.catalogue_tables import load_catalogue
from bot.forecast import Forecast
from bot.models import Job, Stage
from bot.outlook import NOTHING_KNOWN, InLine, Running
from bot.pacing import Waiting
from bot.timing import Times, TimeTable
from tests.clock import FakeClock

START = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
TIMES = Times(median_seconds=180, spread=0.25, wait_seconds=102, overdue_seconds=900)
ALICE, BOB, CAROL = 1, 2, 3


def after(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("passed", "cells"), [(-60, 1), (0, 1), (14, 1), (30, 2), (90, 6), (165, 11), (180, 11), (9_999, 11)]
)
def test_the_bar_grows_with_time_and_its_last_cell_waits_for_the_clip(passed: float, cells: int) -> None:
    assert outlook.of_rendering(TIMES, START, after(passed)).cells == cells


def test_a_clip_is_expected_when_half_of_them_are_ready() -> None:
    seen = outlook.of_rendering(TIMES, START, after(180))

    assert (seen.ends_at, seen.is_slow, seen.is_late) == (after(180), False, False)


def test_a_clip_that_takes_longer_is_slow_and_after_half_an_hour_late() -> None:
    assert outlook.of_rendering(TIMES, START, after(181)).is_slow
    assert not outlook.of_rendering(TIMES, START, after(1_799)).is_late
    assert outlook.of_rendering(TIMES, START, after(1_800)).is_late


def test_a_card_changes_seldom_while_a_clip_is_rendered() -> None:
    faces = [outlook.of_rendering(TIMES, START, after(second)) for second in range(7_200)]

    # Twelve cells, slow, late; what is learned meanwhile moves the end and changes no card.
    assert sum(one != other for one, other in itertools.pairwise(faces)) <= 13


@pytest.mark.parametrize(
    ("place", "seconds", "told"),
    [
        (1, 0, "1st, about 1 min"),
        (2, 61, "2nd, about 2 min"),
        (3, 180, "3rd, about 3 min"),
        (4, 600, "4th, about 10 min"),
        (10, 601, "10th, about 15 min"),
        (11, 1_500, "20th, about 25 min"),
        (20, 3_000, "20th, about 50 min"),
        (29, 3_599, "30th, about 1 h"),
        (112, 3_700, "120th, about 2 h"),
    ],
)
def test_a_place_in_line_is_told_as_roughly_as_it_is_known(place: int, seconds: float, told: str) -> None:
    words = messages.in_line(outlook.of_waiting(place, seconds))

    assert words == f"In line for a place at the gateway: {told}."


def test_where_nothing_is_known_nothing_is_foretold() -> None:
    assert messages.in_line(NOTHING_KNOWN) == "In line for a place at the gateway."


@pytest.mark.parametrize(
    ("number", "written"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (11, "11th"), (12, "12th"), (21, "21st")]
)
def test_places_are_written_as_people_say_them(number: int, written: str) -> None:
    assert messages.ordinal(number) == written


def in_line(name: str, member: int, age: float, takes: float = 100) -> InLine:
    waiting = Waiting(job_id=name, member_id=member, created_at=after(-age))
    return InLine(waiting=waiting, takes_seconds=takes)


def running(member: int, left: float) -> Running:
    return Running(member_id=member, left_seconds=left)


def test_a_line_moves_when_places_become_free_and_members_take_turns() -> None:
    line = outlook.line(
        [in_line("a3", ALICE, 9), in_line("a4", ALICE, 8), in_line("b1", BOB, 1)],
        [running(ALICE, 30), running(ALICE, 50)],
        places=2,
    )

    # Bob has none running; then Alice's turn comes when her second ends.
    assert list(line.items()) == [("b1", 30), ("a3", 50), ("a4", 130)]


def test_a_free_place_is_taken_at_once() -> None:
    assert outlook.line([in_line("a", ALICE, 1)], [running(BOB, 70)], places=2) == {"a": 0}


def test_who_is_overdue_may_end_at_any_moment() -> None:
    assert outlook.line([in_line("a", ALICE, 1)], [running(BOB, -20)], places=1) == {"a": 0}


def test_more_running_than_there_are_places_must_end_first() -> None:
    line = outlook.line([in_line("a", ALICE, 1)], [running(BOB, left) for left in (10, 20, 30)], places=2)

    assert line == {"a": 20}


def test_a_very_long_line_is_foretold_as_far_as_anybody_cares() -> None:
    crowd = [in_line(f"job{number}", number % 50, number) for number in range(1_000)]

    assert len(outlook.line(crowd, [], places=10)) == outlook.MOST_PLACES


@pytest.mark.parametrize(("told", "cells"), [(0.0, 1), (0.05, 1), (0.5, 6), (0.99, 11), (1.0, 11)])
def test_what_the_gateway_says_is_done_fills_the_bar_in_place_of_time(told: float, cells: int) -> None:
    seen = outlook.of_rendering(TIMES, START, after(90), told=told)

    assert seen.cells == cells
    assert seen.ends_at == after(180)  # which is learned, whatever a gateway tells of its progress


def test_a_bar_never_goes_back() -> None:
    clock = FakeClock(START)
    forecast = Forecast(lanes={}, times=TimeTable(load_catalogue()), clock=clock.now)

    def job(stage: Stage = Stage.RENDERING) -> Job:
        request = SimpleNamespace(model="apixo/sora-2-pro", seconds=4)
        return cast("Job", SimpleNamespace(job_id="a", request=request, stage=stage, submitted_at=START))

    def cells() -> int:
        return forecast.of(job()).cells

    clock.set(after(90))
    assert cells() == 6  # by time alone
    forecast.told(job(), 0.0)
    assert cells() == 6  # some say 0 until the end
    forecast.told(job(), 0.25)
    assert cells() == 6
    forecast.told(job(), 0.75)
    assert cells() == 9
    forecast.told(job(), 0.5)
    clock.set(after(10))
    assert cells() == 9
    forecast.of(job(Stage.UNCERTAIN))
    assert cells() == 9
    forecast.of(job(Stage.DONE))
    assert cells() == 1  # nothing is kept of what is over


def test_whoever_orders_next_starts_as_a_member_who_has_nothing_running() -> None:
    request = SimpleNamespace(model="apixo/sora-2-pro", seconds=4)
    rendering, queued = (
        SimpleNamespace(job_id=name, member_id=ALICE, request=request, created_at=START, submitted_at=sent)
        for name, sent in (("a1", START), ("a2", None))
    )
    slots = SimpleNamespace(places=2, held=[rendering], waiting=[])
    lanes: Any = {"apixo/sora-2-pro": SimpleNamespace(slots=slots)}
    forecast = Forecast(lanes=lanes, times=TimeTable(load_catalogue()), clock=FakeClock(START).now)

    assert forecast.of_newcomer("apixo/sora-2-pro") == (0, 0.0)
    slots.places, slots.waiting = 1, [queued]
    assert forecast.of_newcomer("apixo/sora-2-pro") == (1, 180.0)  # before Alice's second
