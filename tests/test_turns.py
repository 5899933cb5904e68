"""Turns at the one writer."""

import asyncio

import pytest

from storage.turns import BEHIND, FIRST, Turns


async def take(turns: Turns, rank: int, name: str, passed: list[str]) -> None:
    async with turns.turn(rank):
        passed.append(name)
        await asyncio.sleep(0)
        assert passed[-1] == name  # nobody else was let in meanwhile


async def test_what_a_person_waits_for_goes_before_what_waited_longer() -> None:
    turns, passed = Turns(), list[str]()
    ranks = {"step 1": BEHIND, "step 2": BEHIND, "order 1": FIRST, "step 3": BEHIND, "order 2": FIRST}
    await asyncio.gather(*(take(turns, rank, name, passed) for name, rank in ranks.items()))
    assert passed == ["step 1", "order 1", "order 2", "step 2", "step 3"]


@pytest.mark.parametrize("was_let_in", [False, True])
async def test_one_that_is_cancelled_holds_up_nobody(was_let_in: bool) -> None:
    turns, passed = Turns(), list[str]()
    async with turns.turn(BEHIND):
        given_up = asyncio.create_task(take(turns, FIRST, "given up", passed))
        behind = asyncio.create_task(take(turns, BEHIND, "behind", passed))
        await asyncio.sleep(0)
        if not was_let_in:
            given_up.cancel()
    given_up.cancel()
    await asyncio.wait([given_up, behind])
    assert passed == ["behind"]
    await take(turns, BEHIND, "later", passed)


async def test_one_that_fails_holds_up_nobody() -> None:
    turns, passed = Turns(), list[str]()
    with pytest.raises(ValueError, match="broken"):
        async with turns.turn(FIRST):
            raise ValueError("broken")
    await take(turns, BEHIND, "next", passed)
