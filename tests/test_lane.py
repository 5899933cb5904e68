"""How a model's requests slow down when the gateway asks for fewer."""

import pytest

from bot.catalogue import Limits
from bot.lane import Lane
from tests.clock import FakeClock


@pytest.mark.parametrize(
    ("asked_for", "pauses"),
    [
        (None, [5, 10, 20, 40, 60, 60]),
        (90, [90, 90, 90]),
        (1, [1, 2, 4, 8, 16, 32, 60]),
        (0, [1, 2, 4, 8, 16, 32, 60]),
    ],
)
def test_every_refusal_in_a_row_brings_a_pause(asked_for: float | None, pauses: list[float]) -> None:
    clock = FakeClock()
    limits = Limits(requests_per_minute=60, concurrent_tasks=10)
    lane = Lane("a model", limits, clock=clock.now, sleep=clock.sleep)

    assert [lane.slow_down(asked_for) for _ in pauses] == pauses

    lane.answered()
    assert lane.slow_down(asked_for) == pauses[0]
