"""What the ledger explains of a balance's fall, whenever the gateway takes its money for a job."""

import datetime as dt
from typing import Any

import pytest

from bot.models import Stage
from bot.reckoning import PaidJob, Reading, compare
from tests.books import CENT, NOON

BEFORE, DURING = NOON - dt.timedelta(minutes=5), NOON + dt.timedelta(minutes=5)
AFTER = NOON + dt.timedelta(hours=1)


def job(submitted_at: dt.datetime = DURING, **changes: Any) -> PaidJob:
    """A job of $1.00, under way when the second balance is read."""
    values = {
        "job_id": "abc",
        "stage": Stage.RENDERING,
        "quote_micros": 100 * CENT,
        "submitted_at": submitted_at,
        "settled_micros": 0,
        "possible_micros": 0,
        "is_over": False,
    }
    return PaidJob(**{**values, **changes})


def settled(submitted_at: dt.datetime = DURING, micros: int = 100 * CENT, **changes: Any) -> PaidJob:
    return job(submitted_at, stage=Stage.DONE, settled_micros=micros, is_over=True, **changes)


def failed(submitted_at: dt.datetime = DURING, possible: int = 100 * CENT) -> PaidJob:
    return job(submitted_at, stage=Stage.FAILED, possible_micros=possible, is_over=True)


@pytest.mark.parametrize(
    ("jobs", "least", "most"),
    [
        ([], 0, 0),
        ([settled()], 100, 100),
        ([settled(), failed()], 100, 200),  # what failed may have cost nothing
        ([failed(possible=0)], 0, 0),
        ([job()], 0, 100),  # taken at the submit, or later
        ([job(BEFORE)], 0, 100),
        ([settled(BEFORE)], 0, 100),  # taken at the submit, before the first reading, or since
        ([failed(BEFORE)], -100, 100),  # taken at the submit, and kept or given back; or taken since
        ([failed(BEFORE, possible=0)], -100, 0),  # taken at the submit, and given back
        ([settled(), settled(BEFORE), job(), job(BEFORE)], 100, 400),
        ([settled(micros=40 * CENT)], 40, 40),  # cheaper than quoted
        ([settled(possible_micros=30 * CENT)], 100, 130),  # dearer than quoted
        ([settled(BEFORE, possible_micros=30 * CENT)], 0, 130),
        ([job(NOON - dt.timedelta(hours=25), stage=Stage.UNCERTAIN)], 0, 0),
        ([job(NOON - dt.timedelta(hours=23), stage=Stage.UNCERTAIN)], 0, 100),
        ([settled(NOON - dt.timedelta(hours=25))], 0, 100),
    ],
)
def test_what_the_ledger_explains(jobs: list[PaidJob], least: int, most: int) -> None:
    found = compare(_reading(10, NOON), _reading(10, AFTER), tuple(jobs))

    assert (found.least_micros, found.most_micros) == (least * CENT, most * CENT)


@pytest.mark.parametrize(
    ("left", "off"),
    [(1000, -100), (900, 0), (850, 0), (800, 0), (799, 1), (0, 800), (-100, 900), (2000, -1100)],
)
def test_what_lies_outside_of_that_is_off(left: int, off: int) -> None:
    """$1.00 is settled and a job of $1.00 is under way, of $10.00."""
    found = compare(_reading(1000, NOON), _reading(left, AFTER), (settled(), job()))

    assert found.off_micros == off * CENT


def test_a_job_that_hangs_for_more_than_a_day_is_not_named() -> None:
    hangs, recent = job(NOON - dt.timedelta(hours=25), stage=Stage.UNCERTAIN), job()

    assert compare(_reading(10, NOON), _reading(10, AFTER), (hangs, recent)).jobs == (recent,)


def _reading(cents: int, at: dt.datetime) -> Reading:
    return Reading(balance_micros=cents * CENT, read_at=at)
