"""Decisions about time, as tables: when to look, how long to pause, who is next, which card is edited."""

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import pacing
from bot.catalogue import Model
from bot.catalogue_tables import load_catalogue
from bot.pacing import CardWish, Waiting
from bot.timing import Times

START = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)


def after(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


def times(wait: float, median: float = 180.0, overdue: float = 900.0) -> Times:
    return Times(median_seconds=median, spread=0.25, wait_seconds=wait, overdue_seconds=overdue)


@pytest.mark.parametrize(
    ("looked", "gap", "looks"),
    [
        # Early, for what fails fast; then not before tasks begin to end; then with the gap.
        (None, 5, 15),
        (15, 5, 40),
        (16.1, 5, 40),
        (41.2, 5, 102),
        (102.7, 5, 107.7),
        (102.7, 2, 104.7),
        (300, 20, 320),
        # A look that came late, as after a restart, is not made up for.
        (39.9, 5, 40),
        (40, 5, 102),
        # Far past what is usual once a minute, and no sooner with a callback.
        (899, 5, 904),
        (900, 5, 960),
        (9_000, 2, 9_060),
        (9_000, 20, 9_060),
    ],
)
def test_when_a_task_is_looked_at(looked: float | None, gap: float, looks: float) -> None:
    looked_at = None if looked is None else after(looked)

    assert pacing.look_at(times(102), START, looked_at, gap) == after(looks)


@pytest.mark.parametrize(
    ("wait", "looked", "looks"),
    [
        (2.5, None, 2.5),
        (2.5, 2.5, 5),
        (2.5, 14, 15),
        (0.85, 1, 1.85),
        (30, 15, 30),
        (30, 30, 35),
        (30, 36, 40),
        (8, 8, 13),
    ],
)
def test_tasks_that_are_over_soon_are_looked_at_sooner(
    wait: float, looked: float | None, looks: float
) -> None:
    looked_at = None if looked is None else after(looked)

    assert pacing.look_at(times(wait), START, looked_at, 5) == after(looks)


def test_a_look_before_the_submit_by_a_clock_that_was_set_back_counts_as_one_at_it() -> None:
    assert pacing.look_at(times(102), START, after(-3_600), 5) == after(15)


@pytest.mark.parametrize(
    ("watched", "callback", "doubted", "gap"),
    [
        (1, False, False, 2),
        (10, False, False, 2),
        (11, False, False, 5),
        (1_000, False, False, 5),
        (1, True, False, 20),
        (1_000, True, False, 20),
        (1, True, True, 5),
        # Who has no callback does not care whether others' callbacks come.
        (1, False, True, 2),
    ],
)
def test_how_long_a_task_is_left_alone(*, watched: int, callback: bool, doubted: bool, gap: float) -> None:
    assert pacing.gap_seconds(watched=watched, has_callback=callback, is_doubted=doubted) == gap


@pytest.mark.parametrize(
    ("refusals", "asked", "chance", "pause"),
    [
        (1, None, 0, 5),
        (2, None, 0, 10),
        (3, None, 0, 20),
        (4, None, 0, 40),
        (5, None, 0, 60),
        (50, None, 0, 60),
        (1, None, 1, 6),
        (50, None, 0.5, 66),
        (1, 90, 0, 90),
        (9, 90, 0, 90),
        (1, 90, 1, 90),
        (1, 0, 0, 1),
        (3, 0, 0, 4),
    ],
)
def test_how_long_nothing_is_sent_after_a_429(
    refusals: int, asked: float | None, chance: float, pause: float
) -> None:
    assert pacing.pause_after_refusals(refusals, asked, chance) == pytest.approx(pause)


@pytest.mark.parametrize("model", load_catalogue().models.values(), ids=lambda model: model.model_id)
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
