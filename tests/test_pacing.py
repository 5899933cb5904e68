"""Decisions about time, as tables: when to look, how long to pause, who is next, which card is edited."""

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import pacing
from bot.catalogue import Catalogue, Model, Timing
from bot.pacing import CardWish, Waiting

START = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
TIMING = Timing(first_look_seconds=120, interval_seconds=5, typical_seconds=180)


def after(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("looked_at", "looks_at"),
    [(None, 120), (after(120), 125), (after(121.5), 126.5), (after(4_000), 4_005), (after(30), 35)],
)
def test_a_task_is_looked_at_after_the_first_wait_and_then_at_the_interval(
    looked_at: dt.datetime | None, looks_at: float
) -> None:
    assert pacing.look_at(TIMING, START, looked_at) == after(looks_at)


@pytest.mark.parametrize("model", Catalogue.load().models.values(), ids=lambda model: model.model_id)
def test_a_minute_of_requests_at_this_spacing_is_below_the_models_limit(model: Model) -> None:
    spacing = pacing.seconds_between_requests(model.limits.requests_per_minute)

    assert 60 / spacing == pytest.approx(0.9 * model.limits.requests_per_minute)


@pytest.mark.parametrize(
    ("tries", "pause"),
    [(0, 5), (1, 5), (2, 10), (3, 20), (4, 40), (6, 160), (7, 300), (8, 300), (10_000, 300)],
)
def test_pauses_double_up_to_a_cap(tries: int, pause: float) -> None:
    assert pacing.growing_pause(tries) == pause


def test_a_pause_can_have_another_cap() -> None:
    assert [pacing.growing_pause(tries, most_seconds=60.0) for tries in (1, 4, 5)] == [5, 40, 60]


@pytest.mark.parametrize(
    ("passed", "cells"), [(-60, 1), (0, 1), (14, 1), (30, 2), (90, 6), (165, 11), (180, 11), (9_999, 11)]
)
def test_the_bar_grows_with_time_and_its_last_cell_waits_for_the_clip(passed: float, cells: int) -> None:
    assert pacing.bar_cells(TIMING, START, after(passed)) == cells


def test_a_clip_is_expected_when_it_is_usually_ready() -> None:
    assert pacing.expected_end(TIMING, START) == after(180)


def waiting(name: str, member_id: int, age: float) -> Waiting:
    return Waiting(job_id=name, member_id=member_id, created_at=after(-age))


@pytest.mark.parametrize(
    ("running", "starts"),
    [
        ({}, "old of 1"),
        ({1: 1}, "of 2"),
        ({1: 1, 2: 1}, "of 3"),
        ({1: 5, 2: 4, 3: 4}, "of 2"),
        ({1: 2, 2: 3, 3: 3}, "old of 1"),
        ({9: 10}, "old of 1"),
    ],
)
def test_the_member_with_the_fewest_running_starts_next_then_the_oldest(
    running: dict[int, int], starts: str
) -> None:
    jobs = [
        waiting("of 3", 3, 1),
        waiting("new of 1", 1, 2),
        waiting("of 2", 2, 5),
        waiting("old of 1", 1, 9),
    ]

    assert pacing.fairest(jobs, running).job_id == starts


def test_two_orders_of_one_moment_have_one_order() -> None:
    jobs = [waiting("b", 1, 0), waiting("a", 2, 0)]

    assert pacing.fairest(jobs, {}).job_id == pacing.fairest(jobs[::-1], {}).job_id == "a"


def wish(name: str, *, channel: int = 1, stage: bool = False, since: float = 0.0) -> CardWish:
    return CardWish(job_id=name, channel_id=channel, stage_changed=stage, since=since)


def chosen(wishes: list[CardWish], cards: dict[str, float], channels: dict[int, float]) -> str | None:
    """Who is edited at second 100; `cards` and `channels` are when they were edited last."""
    card = pacing.next_card(wishes, now=100.0, card_edited=cards, channel_edited=channels)
    return card and card.job_id


@pytest.mark.parametrize(
    ("wishes", "cards", "channels", "edited"),
    [
        ([], {}, {}, None),
        ([wish("a")], {}, {}, "a"),
        # A card has progress at most every 15 seconds.
        ([wish("a")], {"a": 85.1}, {}, None),
        ([wish("a")], {"a": 85.0}, {}, "a"),
        # A clock that was set back holds up nobody.
        ([wish("a")], {"a": 3700.0}, {1: 3700.0}, "a"),
        # A channel has one edit every 3 seconds, of whichever card.
        ([wish("a")], {}, {1: 97.1}, None),
        ([wish("a")], {}, {1: 97.0}, "a"),
        ([wish("a"), wish("b", channel=2)], {}, {1: 99.0}, "b"),
        # A change of stage does not wait for its card, but for the channel.
        ([wish("a", stage=True)], {"a": 99.9}, {}, "a"),
        ([wish("a", stage=True)], {}, {1: 99.0}, None),
        # It goes before progress, however long that waits; else the longest wait goes first.
        ([wish("a", since=1), wish("b", stage=True, since=99)], {}, {}, "b"),
        ([wish("a", since=5), wish("b", since=4)], {}, {}, "b"),
        ([wish("b"), wish("a")], {}, {}, "a"),
    ],
)
def test_which_card_is_edited_next(
    wishes: list[CardWish], cards: dict[str, float], channels: dict[int, float], edited: str | None
) -> None:
    assert chosen(wishes, cards, channels) == edited


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 2), st.booleans()), min_size=1, max_size=20))
def test_every_wish_comes_to_its_turn_and_no_ration_is_passed(wishes: list[tuple[int, int, bool]]) -> None:
    left = {
        f"job{number}": CardWish(job_id=f"job{number}", channel_id=channel, stage_changed=stage, since=since)
        for number, (since, channel, stage) in enumerate(wishes)
    }
    card_edited: dict[str, float] = {}
    channel_edited: dict[int, float] = {}
    edits: list[tuple[float, CardWish]] = []
    for tick in range(700):
        now = 100 + tick / 10
        found = pacing.next_card(
            list(left.values()), now=now, card_edited=card_edited, channel_edited=channel_edited
        )
        if found is not None:
            card_edited[found.job_id] = channel_edited[found.channel_id] = now
            edits.append((now, left.pop(found.job_id)))

    assert not left
    for channel in range(3):
        times = [at for at, card in edits if card.channel_id == channel]
        assert all(later - earlier >= 3 - 1e-9 for earlier, later in itertools.pairwise(times))
